//! Presence: online, away, offline, of an account over all its devices.

use std::time::Instant;

use soqet_core::config::Config;

use super::CONFIG;
use crate::line::Line;
use crate::world::{PATIENCE, World};

super::scenarios![
    monitor,
    monitor_lists,
    monitor_is_bounded,
    away_notify,
    offline_shows_as_away,
    a_flapping_link_ends_right,
    silence_is_noticed,
    time_to_log_in_is_bounded,
];

fn monitor(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("MONITOR + bob,carol");
    let offline = ann.expect_command("731");
    assert!(offline.text().contains("bob"), "{offline}");
    let mut bob = world.register("bob");
    let online = ann.expect_command("730");
    assert!(online.text().starts_with("bob!"), "{online}");
    // A second device changes nothing, and the first may go.
    let mut desk = world.login("bob");
    bob.send("QUIT");
    bob.expect_closed();
    ann.expect_none("a change", |l| l.is("730") || l.is("731"));
    desk.send("QUIT");
    desk.expect_closed();
    assert!(ann.expect_command("731").text().contains("bob"));
    ann.send("MONITOR - bob");
    world.login("bob");
    ann.expect_none("news of somebody not watched", |l| {
        l.is("730") && l.text().contains("bob")
    });
}

fn monitor_lists(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    world.register("bob").send("QUIT");
    let mut carol = world.register("carol");
    carol.fence();
    ann.send("MONITOR + BOB,carol,dave");
    ann.fence();
    let list = ann.ask("MONITOR L", "733");
    let names = list
        .iter()
        .filter(|l| l.is("732"))
        .map(|l| l.text().to_ascii_lowercase())
        .collect::<Vec<_>>()
        .join(",");
    let mut names: Vec<_> = names.split(',').collect();
    names.sort_unstable();
    assert_eq!(names, ["bob", "carol", "dave"]);
    let status = ann.answers("MONITOR S");
    let online = status.iter().filter(|l| l.is("730")).count();
    assert_eq!(online, 1, "{status:#?}");
    ann.send("MONITOR C");
    let list = ann.ask("MONITOR L", "733");
    assert!(!list.iter().any(|l| l.is("732")), "{list:#?}");
}

fn monitor_is_bounded(world: &mut dyn World) {
    world.start(&Config {
        watches_per_connection: 5,
        ..CONFIG
    });
    let mut ann = world.register("ann");
    ann.send("MONITOR + a,b,c,d,e");
    ann.send("MONITOR + f,g");
    let full = ann.expect_command("734");
    assert_eq!(full.param(1), "5", "{full}");
    ann.send("MONITOR - a");
    ann.send("MONITOR + f");
    ann.expect("news of f", |l| l.is("731") && l.text().contains('f'));
}

fn away_notify(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let mut stranger = world.register("stranger");
    ann.join("#room");
    bob.join("#room");
    ann.join("#other");
    bob.join("#other");
    bob.send("AWAY :out for a walk");
    bob.expect_command("306");
    let away = ann.expect_command("AWAY");
    assert_eq!((away.nick(), away.text()), ("bob", "out for a walk"));
    ann.expect_none("a second AWAY, for the second room", |l| l.is("AWAY"));
    bob.send("AWAY");
    bob.expect_command("305");
    let back = ann.expect_command("AWAY");
    assert_eq!((back.nick(), back.params.len()), ("bob", 0));
    stranger.expect_none("presence of a stranger", |l| l.is("AWAY"));
}

fn offline_shows_as_away(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    ann.fence();
    bob.send("QUIT");
    bob.expect_closed();
    let away = ann.expect_command("AWAY");
    assert_eq!(away.nick(), "bob");
    assert!(!away.text().is_empty());
    let whois = ann.ask("WHOIS bob", "318");
    assert!(whois.iter().any(|l| l.is("301")), "{whois:#?}");
    let ison = ann.ask("ISON bob ann", "303");
    assert_eq!(ison[ison.len() - 1].text().trim(), "ann");
    world.login("bob");
    let back = ann.expect_command("AWAY");
    assert_eq!((back.nick(), back.params.len()), ("bob", 0));
}

fn a_flapping_link_ends_right(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    let mut bob = world.register("bob");
    bob.join("#room");
    ann.say("#room", "the only message");
    ann.send("MONITOR + bob");
    ann.fence();
    for _ in 0..20 {
        bob = world.login("bob");
    }
    bob.send("QUIT");
    bob.expect_closed();
    drop(bob);
    // However many changes were skipped, it ends with the truth.
    let last = |lines: &[Line]| lines.iter().rfind(|l| l.is("730") || l.is("731")).cloned();
    // What bob had begun ends only after the store has answered, which on a busy disk takes its time; a ghost would stay for `ping_ms`.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "bob is never offline");
        if last(&ann.answers("MONITOR S")).is_some_and(|l| l.is("731")) {
            break;
        }
    }
    ann.expect_none("a late 730", |l| l.is("730"));
    let history = ann.history("LATEST #room * 50");
    assert_eq!(
        crate::person::texts(&history),
        ["the only message"],
        "presence is no history"
    );
}

fn silence_is_noticed(world: &mut dyn World) {
    world.start(&Config {
        ping_ms: 1_000,
        ..CONFIG
    });
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.send("MONITOR + bob");
    ann.expect_command("730");
    bob.answers_pings = false;
    bob.expect_command("PING");
    // Ann answers all the while, and stays.
    ann.expect_command("731");
    let last = bob.expect_closed();
    assert!(last.iter().any(|l| l.is("ERROR")), "{last:#?}");
    ann.fence();
}

fn time_to_log_in_is_bounded(world: &mut dyn World) {
    world.start(&Config {
        login_ms: 1_000,
        ..CONFIG
    });
    let mut eve = world.connect("eve");
    eve.send("NICK eve");
    let last = eve.expect_closed();
    assert!(last.iter().any(|l| l.is("ERROR")), "{last:#?}");
}
