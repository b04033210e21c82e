//! Labels, echoes and batches; capabilities coming and going.

use super::CONFIG;
use crate::person::MODERN;
use crate::world::World;

super::scenarios![
    every_command_is_answered_under_its_label,
    echo_carries_the_label,
    no_echo_unasked,
    client_tags_are_passed_on,
    tagmsg,
    capabilities_come_and_go,
    unknown_capabilities,
    tags_only_to_who_asked,
    order_of_replies_and_messages,
];

fn every_command_is_answered_under_its_label(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    for (n, command) in [
        "NAMES #room",
        "WHO #room",
        "WHOIS ann",
        "LIST",
        "MOTD",
        "LUSERS",
        "VERSION",
        "TIME",
        "INFO",
        "ISON ann",
        "USERHOST ann",
        "MONITOR L",
        "MODE #room",
        "TOPIC #room",
        "AWAY :x",
        "AWAY",
        "JOIN #room",
        "PONG x",
        "NOTICE nobody :x",
        "NOSUCH",
        "PRIVMSG nobody :x",
        "CHATHISTORY LATEST #room * 5",
        "MARKREAD #room",
        "SETNAME :Ann",
        "PING x",
    ]
    .iter()
    .enumerate()
    {
        let label = format!("l{n}");
        ann.send(format_args!("@label={label} {command}"));
        let first = ann.expect(&format!("the label of {command}"), |l| {
            l.tag("label") == Some(label.as_str())
        });
        // One line, a batch, or ACK; and the label only once.
        if first.is("BATCH") {
            let id = first.param(0)[1..].to_owned();
            let rest = ann.until("its end", |l| {
                l.is("BATCH") && l.param(0).strip_prefix('-') == Some(id.as_str())
            });
            assert!(
                rest.iter().all(|l| l.tag("label").is_none()),
                "{command}: {rest:#?}"
            );
        }
        ann.expect_none("the label again", |l| l.tag("label").is_some());
    }
}

fn echo_carries_the_label(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut desk = world.login("ann");
    let mut bob = world.register("bob");
    for target in ["#room", "bob"] {
        if target.starts_with('#') {
            ann.join(target);
            bob.join(target);
        }
        ann.send(format_args!("@label=mine PRIVMSG {target} :hello"));
        let echo = ann.expect_text("hello");
        assert_eq!(echo.tag("label"), Some("mine"), "{echo}");
        assert!(echo.tag("msgid").is_some() && echo.tag("time").is_some());
        let got = bob.expect_text("hello");
        assert_eq!(got.tag("label"), None);
        assert_eq!(got.tag("msgid"), echo.tag("msgid"));
        assert_eq!(desk.expect_text("hello").tag("label"), None);
    }
}

fn no_echo_unasked(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    let mut desk = world.legacy("ann");
    desk.fence();
    desk.send("PRIVMSG #room :from the legacy client");
    ann.expect_text("from the legacy client");
    desk.expect_none("an echo", |l| l.is("PRIVMSG"));
}

fn client_tags_are_passed_on(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    ann.send("@+draft/reply=abc;+x=a\\sb\\:c;time=2000-01-01T00:00:00.000Z;msgid=mine;account=bob PRIVMSG #room :tagged");
    let got = bob.expect_text("tagged");
    assert_eq!(got.tag("+draft/reply"), Some("abc"));
    assert_eq!(got.tag("+x"), Some("a b;c"));
    assert_eq!(
        got.tag("account"),
        Some("ann"),
        "nobody forges a server's tag"
    );
    assert_ne!(got.tag("msgid"), Some("mine"));
    assert!(!got.tag("time").unwrap_or("2000").starts_with("2000"));
    let history = bob.history("LATEST #room * 1");
    let kept = history.last().expect("a message");
    assert_eq!(kept.tag("+draft/reply"), Some("abc"));
}

fn tagmsg(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let mut old = world.legacy("bob");
    ann.join("#room");
    bob.join("#room");
    ann.send("@+typing=active TAGMSG #room");
    let got = bob.expect_command("TAGMSG");
    assert_eq!((got.nick(), got.param(0)), ("ann", "#room"));
    assert_eq!(got.tag("+typing"), Some("active"));
    ann.send("@+draft/react=yes TAGMSG bob");
    assert_eq!(
        bob.expect_command("TAGMSG").tag("+draft/react"),
        Some("yes")
    );
    ann.send("@+typing=done TAGMSG bob");
    assert_eq!(bob.expect_command("TAGMSG").tag("+typing"), Some("done"));
    old.expect_none("TAGMSG without message-tags", |l| l.is("TAGMSG"));
    // Nothing was said between these two yet.
    let mut carol = world.register("carol");
    ann.send("@+typing=active TAGMSG carol");
    assert_eq!(
        carol.expect_command("TAGMSG").tag("+typing"),
        Some("active")
    );
}

fn capabilities_come_and_go(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let list = ann.ask("CAP LIST", "CAP");
    let list = list[list.len() - 1].text().to_owned();
    assert!(list.split(' ').any(|c| c == "server-time"), "{list}");
    ann.send("CAP REQ :-server-time");
    ann.expect("ACK", |l| l.is("CAP") && l.param(1) == "ACK");
    ann.join("#room");
    assert_eq!(ann.say("#room", "no time").tag("time"), None);
    ann.send("CAP REQ server-time");
    ann.expect("ACK", |l| l.is("CAP") && l.param(1) == "ACK");
    assert!(ann.say("#room", "time").tag("time").is_some());
}

fn unknown_capabilities(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.connect("ann");
    let offered = ann.offered();
    for capability in MODERN.iter().filter(|c| **c != "soqet/verifier") {
        assert!(
            offered
                .iter()
                .any(|o| o.split('=').next() == Some(capability)),
            "{capability} is missing in {offered:?}"
        );
    }
    // All or nothing.
    ann.send("CAP REQ :server-time no-such-thing");
    ann.expect("NAK", |l| l.is("CAP") && l.param(1) == "NAK");
    let list = ann.ask("CAP LIST", "CAP");
    assert!(!list[0].text().contains("server-time"), "{}", list[0]);
    ann.send("CAP NONSENSE");
    ann.expect_command("410");
}

fn tags_only_to_who_asked(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut plain = world.login_with("ann", &["sasl"]);
    ann.join("#room");
    ann.say("#room", "hello");
    let got = plain.expect_text("hello");
    assert!(got.tags.is_empty(), "{got}");
    let who = plain.ask("NAMES #room", "366");
    assert!(who.iter().all(|l| l.tags.is_empty()), "{who:#?}");
}

fn order_of_replies_and_messages(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    // Sent in one go; each answer comes after the echo before it.
    for n in 0..20 {
        ann.send(format_args!("PRIVMSG #room :{n}"));
        ann.send(format_args!("PING {n}"));
    }
    for n in 0..20 {
        let got = ann.expect("an echo or a PONG", |l| l.is("PRIVMSG") || l.is("PONG"));
        assert!(got.says(&n.to_string()), "{got}");
        let got = ann.expect("an echo or a PONG", |l| l.is("PRIVMSG") || l.is("PONG"));
        assert!(got.is("PONG") && got.text() == n.to_string(), "{got}");
    }
}
