//! Private chats, and messages to somebody offline: kept, in order, delivered once.

use super::CONFIG;
use crate::line::Line;
use crate::person::texts;
use crate::world::World;

super::scenarios![
    both_ways,
    to_oneself,
    kept_while_offline,
    replayed_once_to_a_legacy_client,
    replayed_room_to_a_legacy_client,
    kept_across_a_restart,
    no_such_account,
    away_answer,
    other_devices_see_what_one_sends,
    several_targets,
];

fn both_ways(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let mut eve = world.register("eve");
    let echo = ann.say("bob", "hello bob");
    let got = bob.expect_text("hello bob");
    assert_eq!((got.nick(), got.param(0)), ("ann", "bob"));
    assert_eq!(got.tag("account"), Some("ann"));
    assert_eq!(got.tag("msgid"), echo.tag("msgid"));
    assert_eq!(got.tag("time"), echo.tag("time"));
    bob.say("ann", "hello ann");
    ann.expect_text("hello ann");
    bob.send("NOTICE ann :by the way");
    assert!(ann.expect_text("by the way").is("NOTICE"));
    let history = ann.history("LATEST bob * 10");
    assert_eq!(texts(&history), ["hello bob", "hello ann", "by the way"]);
    let history = eve.answers("CHATHISTORY LATEST bob * 10");
    assert!(texts(&history).is_empty(), "not hers: {history:#?}");
    eve.expect_none("anything of it", |l| l.is("PRIVMSG") || l.is("NOTICE"));
}

fn to_oneself(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("PRIVMSG ann :a note");
    let got: Vec<_> = ann
        .fence()
        .into_iter()
        .filter(|l| l.says("a note"))
        .collect();
    assert!(!got.is_empty() && got.len() <= 2, "{got:#?}");
    assert_eq!(texts(&ann.history("LATEST ann * 10")), ["a note"]);
}

fn kept_while_offline(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    bob.send("QUIT :bye");
    bob.expect_closed();
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.extend(ann.answers(format_args!("PRIVMSG bob :message {n}")));
    }
    // Kept, each with its echo as the receipt, and answered 301, never 401.
    assert_eq!(texts(&answers).len(), 6, "{answers:#?}");
    assert!(
        answers.iter().any(|l| l.is("301") && l.param(1) == "bob"),
        "{answers:#?}"
    );
    assert!(!answers.iter().any(|l| l.is("401")), "{answers:#?}");
    // A client that can fetch is not pushed at; it finds the chat among the targets.
    let mut bob = world.login("bob");
    let pushed = bob.fence();
    assert!(texts(&pushed).is_empty(), "{pushed:#?}");
    let targets = bob.history(
        "TARGETS timestamp=2000-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z 10",
    );
    assert_eq!(targets.len(), 1, "{targets:#?}");
    assert_eq!(targets[0].param(1), "ann");
    let history = bob.history("LATEST ann * 50");
    let expected = Vec::from_iter((0..6).map(|n| format!("message {n}")));
    assert_eq!(texts(&history), expected);
}

/// What was said, of what a client got unasked.
fn said(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .filter(|l| l.is("PRIVMSG"))
        .map(|l| l.text().to_owned())
        .collect()
}

fn replayed_once_to_a_legacy_client(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    world.register("bob").send("QUIT");
    let expected = Vec::from_iter((0..20).map(|n| format!("message {n}")));
    for text in &expected {
        ann.say("bob", text);
    }
    let mut bob = world.legacy("bob");
    let got = bob.until("the last message", |l| l.says("message 19"));
    assert_eq!(said(&got), expected);
    let first = got.iter().find(|l| l.is("PRIVMSG")).expect("a message");
    assert_eq!((first.nick(), first.param(0)), ("ann", "bob"));
    assert!(
        first.tag("time").is_some(),
        "with the time it was said: {first}"
    );
    bob.expect_none("a second copy", |l| l.is("PRIVMSG"));
    bob.send("QUIT");
    bob.expect_closed();
    // Next time nothing is left, and what is new comes.
    ann.say("bob", "one more");
    let mut bob = world.legacy("bob");
    let got = bob.until("the new message", |l| l.says("one more"));
    assert_eq!(said(&got), ["one more"]);
    bob.expect_none("more", |l| l.is("PRIVMSG"));
}

fn replayed_room_to_a_legacy_client(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    world.register("bob").send("QUIT");
    let mut bob = world.legacy("bob");
    bob.join("#room");
    ann.say("#room", "live");
    bob.expect_text("live");
    bob.send("QUIT");
    bob.expect_closed();
    let expected = Vec::from_iter((0..20).map(|n| format!("missed {n}")));
    for text in &expected {
        ann.say("#room", text);
    }
    let mut bob = world.legacy("bob");
    let got = bob.until("the last message", |l| l.says("missed 19"));
    assert_eq!(said(&got), expected);
    let join = got.iter().position(|l| l.is("JOIN")).expect("JOIN");
    let first = got.iter().position(|l| l.is("PRIVMSG")).expect("a message");
    assert!(join < first, "first the room, then what was said in it");
    bob.expect_none("a second copy", |l| l.is("PRIVMSG"));
}

fn kept_across_a_restart(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    world.register("bob").send("QUIT");
    ann.say("bob", "before");
    world.restart();
    let mut ann = world.login("ann");
    ann.say("bob", "between");
    world.crash();
    let mut ann = world.login("ann");
    ann.say("bob", "after");
    let mut bob = world.legacy("bob");
    let got = bob.until("the last", |l| l.says("after"));
    assert_eq!(said(&got), ["before", "between", "after"]);
}

fn no_such_account(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    for target in ["nobody", "1nobody", "a!b", "*"] {
        let answers = ann.answers(format_args!("PRIVMSG {target} :hello"));
        assert!(
            answers.iter().any(|l| l.is("401")),
            "{target}: {answers:#?}"
        );
        assert!(!answers.iter().any(|l| l.is("PRIVMSG")), "{answers:#?}");
    }
    ann.send("PRIVMSG");
    ann.expect("no recipient", |l| l.is("411") || l.is("461"));
    ann.send("PRIVMSG ann");
    ann.expect("no text", |l| l.is("412") || l.is("461"));
    ann.send("PRIVMSG ann :");
    ann.expect_command("412");
}

fn away_answer(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    bob.send("AWAY :having lunch");
    bob.expect_command("306");
    ann.send("PRIVMSG bob :hungry?");
    let away = ann.expect_command("301");
    assert_eq!((away.param(1), away.text()), ("bob", "having lunch"));
    bob.expect_text("hungry?");
    bob.send("AWAY");
    bob.expect_command("305");
    ann.fence();
    ann.say("bob", "back?");
    ann.expect_none("301", |l| l.is("301"));
}

fn other_devices_see_what_one_sends(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut phone = world.register("ann");
    let mut desk = world.login("ann");
    let mut bob = world.register("bob");
    phone.say("bob", "from the phone");
    let copy = desk.expect_text("from the phone");
    assert_eq!((copy.nick(), copy.param(0)), ("ann", "bob"));
    bob.say("ann", "to both");
    phone.expect_text("to both");
    desk.expect_text("to both");
    for device in [&mut phone, &mut desk] {
        device.expect_none("a second copy", |l| l.is("PRIVMSG"));
    }
}

fn several_targets(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let mut carol = world.register("carol");
    let answers = ann.answers("PRIVMSG bob,carol :both of you");
    if answers.iter().any(|l| l.is("407")) {
        // Refused whole, as TARGMAX says.
        bob.expect_none("a part of it", |l| l.is("PRIVMSG"));
    } else {
        bob.expect_text("both of you");
        carol.expect_text("both of you");
    }
    // A label is answered once, so it goes with one target.
    let answers = ann.answers("@label=l PRIVMSG bob,carol :both again");
    let labelled: Vec<_> = answers
        .iter()
        .filter(|l| l.tag("label").is_some())
        .collect();
    assert!(labelled.len() == 1 && labelled[0].is("407"), "{answers:#?}");
    bob.expect_none("a part of it", |l| l.text() == "both again");
}
