//! A member who never reads slows nobody; when it reads again it learns that it missed something and can fetch it.

use super::CONFIG;
use crate::client::Client;
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

/// Says a lot in `#room` while reading the echoes.
fn talk(ann: &mut Client) {
    let filler = "x".repeat(200);
    for n in 0..MESSAGES {
        ann.send(format_args!("PRIVMSG #room :{n} {filler}"));
        if n % 50 == 0 {
            ann.pump();
        }
    }
    let last = (MESSAGES - 1).to_string();
    ann.expect("the last echo", |l| {
        l.is("PRIVMSG") && l.text().split(' ').next() == Some(&last)
    });
}

fn slows_nobody_and_catches_up(world: &mut dyn World) {
    world.start_small(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    world.register("bob").send("QUIT");
    let mut bob = sleeper(world, MODERN);
    let mut carol = world.register("carol");
    carol.join("#room");
    let listener = std::thread::spawn(move || {
        let mut count = 0;
        while count < MESSAGES {
            let line = carol.expect_command("PRIVMSG");
            let number: usize = line
                .text()
                .split(' ')
                .next()
                .unwrap_or("")
                .parse()
                .expect("a number");
            assert_eq!(number, count, "in order, nothing lost");
            count += 1;
        }
    });
    talk(&mut ann);
    listener.join().expect("carol got everything");

    // Bob wakes up.
    let gap = bob.expect("the gap", |l| l.standard("NOTE", "HISTORY", "GAP"));
    assert_eq!(gap.param(2), "#room");
    ann.say("#room", "good morning");
    bob.expect_text("good morning");
    let page = bob.history("LATEST #room * 100");
    assert_eq!(texts(&page).last(), Some(&"good morning"));
    assert!(texts(&page).len() > 50, "{} messages", texts(&page).len());
    bob.say("#room", "morning");
    ann.expect_text("morning");
}

fn a_legacy_reader_is_told_in_words(world: &mut dyn World) {
    world.start_small(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    world.register("bob").send("QUIT");
    let mut bob = sleeper(world, &["sasl"]);
    talk(&mut ann);
    bob.expect("the notice of the gap", |l| {
        l.is("NOTICE") && (l.text().contains("#room") || l.param(0) == "#room")
    });
    // And a fresh view of the room.
    bob.expect("JOIN", |l| l.is("JOIN") && l.nick() == "bob");
    bob.expect_command("366");
    ann.say("#room", "good morning");
    bob.expect_text("good morning");
}
