//! A member who never reads slows nobody; when it reads again it learns that it missed something and can fetch it.

use super::CONFIG;
use crate::client::Client;
use crate::line::Line;
use crate::person::{MODERN, password, texts};
use crate::world::World;

super::scenarios![
    slows_nobody_and_catches_up,
    a_legacy_reader_is_told_in_words,
];

/// Longer than what the kernel holds for one connection, and than what the server keeps in memory for the room.
const MESSAGES: usize = 30_000;

/// A member of `#room` with a small receive window, who reads nothing from now on.
fn sleeper(world: &mut dyn World, capabilities: &[&str]) -> Client {
    let wire = world.dial(Some(8 * 1024)).expect("connect");
    let mut bob = Client::new("bob", wire);
    bob.introduce("bob", capabilities);
    bob.scram("bob", &password("bob"));
    bob.send("CAP END");
    bob.welcomed();
    bob.join("#room");
    bob
}

/// The number at the start of a message.
fn number(line: &Line) -> usize {
    let word = line.text().split(' ').next().unwrap_or_default();
    word.parse().expect("a number")
}

/// Ann says a lot in `#room`. She and the listeners never fall far behind, and get all of it in order.
fn talk(ann: &mut Client, listeners: &mut [Client]) {
    const AHEAD: usize = 500;
    let filler = "x".repeat(200);
    for n in 0..MESSAGES + AHEAD {
        if n < MESSAGES {
            ann.send(format_args!("PRIVMSG #room :{n} {filler}"));
        }
        if let Some(due) = n.checked_sub(AHEAD) {
            for client in std::iter::once(&mut *ann).chain(&mut *listeners) {
                let line = client.expect_command("PRIVMSG");
                assert_eq!(number(&line), due, "in order, nothing lost");
            }
        }
    }
}

fn slows_nobody_and_catches_up(world: &mut dyn World) {
    world.start_small(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    world.register("bob").send("QUIT");
    let mut bob = sleeper(world, MODERN);
    let mut carol = world.register("carol");
    carol.join("#room");
    talk(&mut ann, &mut [carol]);

    // Bob wakes up.
    let gap = bob.expect("the gap", |l| l.standard("NOTE", "HISTORY", "GAP"));
    assert_eq!(gap.param(2), "#room");
    ann.say("#room", "good morning");
    bob.expect_text("good morning");
    let page = bob.history("LATEST #room * 100");
    assert_eq!(texts(&page).last(), Some(&"good morning"));
    assert!(texts(&page).len() > 1, "what was missed can be fetched");
    bob.say("#room", "morning");
    ann.expect_text("morning");
}

fn a_legacy_reader_is_told_in_words(world: &mut dyn World) {
    world.start_small(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    world.register("bob").send("QUIT");
    let mut bob = sleeper(world, &["sasl"]);
    talk(&mut ann, &mut []);
    bob.expect("the notice of the gap", |l| {
        l.is("NOTICE") && (l.text().contains("#room") || l.param(0) == "#room")
    });
    // And a fresh view of the room.
    bob.expect("JOIN", |l| l.is("JOIN") && l.nick() == "bob");
    bob.expect_command("366");
    ann.say("#room", "good morning");
    bob.expect_text("good morning");
}
