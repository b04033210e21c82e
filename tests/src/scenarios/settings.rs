//! Settings that an owner changes while the server runs.

use super::CONFIG;
use crate::client::Client;
use crate::line::Line;
use crate::world::World;

super::scenarios![
    an_owner_changes_settings,
    settings_survive_a_restart,
    nobody_else_may,
    nonsense_is_refused,
];

/// A setting's value, as CONFIG LIST shows it.
fn value(owner: &mut Client, setting: &str) -> String {
    owner.send("CONFIG LIST");
    let mut found = None;
    owner.expect("the end of the list", |line: &Line| {
        if line.is("NOTE") && line.param(1) == "SETTING" && line.param(2) == setting {
            found = line.text().split(" (").next().map(str::to_owned);
        }
        line.is("NOTE") && line.param(1) == "END"
    });
    found.unwrap_or_else(|| panic!("{setting} is not listed"))
}

fn an_owner_changes_settings(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.send("CONFIG SET limits.make-room 1/60000");
    let done = ann.expect_command("NOTE");
    assert!(done.raw.contains("SET_DONE limits.make-room"), "{done}");
    assert_eq!(value(&mut ann, "limits.make-room"), "1/60000");
    // It counts at once.
    bob.join("#one");
    bob.send("JOIN #two");
    bob.expect("a refusal", |l| !l.is("JOIN") && l.raw.contains("#two"));
}

fn settings_survive_a_restart(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("CONFIG SET limits.make-room 7/7000");
    ann.expect("the change", |l| l.raw.contains("SET_DONE"));
    ann.send("CONFIG SET limits.make-room 8/8000");
    ann.expect("the change", |l| l.raw.contains("SET_DONE"));
    world.restart();
    let mut ann = world.login("ann");
    assert_eq!(value(&mut ann, "limits.make-room"), "8/8000");
}

fn nobody_else_may(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let before = value(&mut ann, "limits.make-room");
    for line in ["CONFIG LIST", "CONFIG SET limits.make-room 9/9000"] {
        bob.send(line);
        let refused = bob.expect_command("FAIL");
        assert!(refused.raw.contains("CONFIG NOT_OWNER"), "{refused}");
    }
    assert_eq!(value(&mut ann, "limits.make-room"), before);
}

fn nonsense_is_refused(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let before = value(&mut ann, "limits.make-room");
    for (line, code) in [
        ("CONFIG", "UNKNOWN_SUBCOMMAND"),
        ("CONFIG DROP x", "UNKNOWN_SUBCOMMAND"),
        ("CONFIG SET", "UNKNOWN_SETTING"),
        ("CONFIG SET limits.no-such 1", "UNKNOWN_SETTING"),
        ("CONFIG SET limits.make-room", "INVALID_VALUE"),
        ("CONFIG SET limits.make-room 20", "INVALID_VALUE"),
        ("CONFIG SET limits.make-room 20/0", "INVALID_VALUE"),
        ("CONFIG SET limits.make-room :20/1000 more", "INVALID_VALUE"),
    ] {
        ann.send(line);
        let refused = ann.expect_command("FAIL");
        assert!(refused.raw.contains(code), "{line}: {refused}");
    }
    assert_eq!(value(&mut ann, "limits.make-room"), before);
}
