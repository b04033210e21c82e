//! Rooms: who may do what, and that a member stays one while offline.

use soqet_core::config::Config;

use super::CONFIG;
use crate::client::Client;
use crate::line::Line;
use crate::person::texts;
use crate::world::World;

super::scenarios![
    create_and_join,
    join_again,
    part,
    topic,
    topic_for_operators_only,
    kick,
    ban,
    invite_only,
    operator_and_voice,
    moderated,
    key,
    member_limit,
    no_messages_from_outside,
    founder_keeps_the_room,
    an_empty_room_is_removed,
    membership_lasts_while_offline,
    too_many_rooms,
    modes_in_words,
    forbidden_room_names,
    all_survives_a_restart,
];

/// The words of NAMES.
fn names(client: &mut Client, room: &str) -> Vec<String> {
    let mut names: Vec<String> = client
        .ask(format_args!("NAMES {room}"), "366")
        .iter()
        .filter(|l| l.is("353"))
        .flat_map(|l| {
            l.text()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    names.sort();
    names
}

/// A founder and a member in `#room`.
fn two_in_a_room(world: &mut dyn World) -> (Client, Client) {
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    ann.expect("bob joins", |l| l.is("JOIN") && l.nick() == "bob");
    (ann, bob)
}

fn is_mode(room: &'static str, change: &'static str) -> impl FnMut(&Line) -> bool {
    move |l| l.is("MODE") && l.param(0) == room && l.params[1..].join(" ") == change
}

fn create_and_join(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("JOIN #Room");
    let mine = ann.until("366", |l| l.is("366"));
    let join = mine.iter().find(|l| l.is("JOIN")).expect("own JOIN");
    // extended-join: account and real name.
    assert_eq!((join.param(0), join.param(1)), ("#Room", "ann"));
    assert_eq!(names(&mut ann, "#room"), ["~@ann"]);
    let mut bob = world.register("bob");
    bob.join("#rOOM");
    let join = ann.expect("bob joins", |l| l.is("JOIN") && l.nick() == "bob");
    assert_eq!(
        (join.param(0), join.param(1), join.tag("account")),
        ("#Room", "bob", Some("bob"))
    );
    assert_eq!(names(&mut bob, "#room"), ["bob", "~@ann"]);
    ann.send("JOIN #one,#two");
    ann.expect("the first room", |l| l.is("366") && l.param(1) == "#one");
    ann.expect("the second room", |l| l.is("366") && l.param(1) == "#two");
}

fn join_again(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    // A repeated JOIN answers like the first, to whom it was asked only.
    let again = bob.ask("JOIN #room", "366");
    assert!(again.iter().any(|l| l.is("JOIN") && l.nick() == "bob"));
    assert!(again.iter().any(|l| l.is("353")));
    ann.expect_none("a second JOIN", |l| l.is("JOIN"));
}

fn part(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    bob.send("PART #room :so long");
    bob.expect("own PART", |l| l.is("PART") && l.nick() == "bob");
    let part = ann.expect_command("PART");
    assert_eq!((part.nick(), part.text()), ("bob", "so long"));
    assert_eq!(names(&mut ann, "#room"), ["~@ann"]);
    ann.say("#room", "gone?");
    bob.expect_none("messages of a room left", |l| l.is("PRIVMSG"));
    bob.send("PART #room");
    bob.expect_command("442");
    bob.send("PART #nowhere");
    bob.expect("no such room", |l| l.is("403") || l.is("442"));
}

fn topic(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    bob.send("TOPIC #room");
    bob.expect_command("331");
    ann.send("TOPIC #room :what we talk about");
    let topic = bob.expect_command("TOPIC");
    assert_eq!((topic.nick(), topic.text()), ("ann", "what we talk about"));
    let shown = bob.ask("TOPIC #room", "333");
    assert!(
        shown
            .iter()
            .any(|l| l.is("332") && l.text() == "what we talk about")
    );
    assert_eq!(
        shown[shown.len() - 1].param(2).split('!').next(),
        Some("ann")
    );
    let mut carol = world.register("carol");
    let joined = carol.ask("JOIN #room", "366");
    assert!(
        joined
            .iter()
            .any(|l| l.is("332") && l.text() == "what we talk about")
    );
    ann.send("TOPIC #room :");
    bob.expect("no topic", |l| l.is("TOPIC") && l.text().is_empty());
    bob.send("TOPIC #room");
    bob.expect_command("331");
}

fn topic_for_operators_only(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +t");
    ann.fence();
    bob.send("TOPIC #room :mine");
    bob.expect_command("482");
    ann.send("MODE #room -t");
    bob.expect("-t", is_mode("#room", "-t"));
    bob.send("TOPIC #room :everybody's");
    ann.expect("TOPIC", |l| l.is("TOPIC") && l.text() == "everybody's");
}

fn kick(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    bob.send("KICK #room ann :out");
    bob.expect_command("482");
    ann.send("KICK #room bob :calm down");
    for client in [&mut ann, &mut bob] {
        let kick = client.expect_command("KICK");
        assert_eq!(
            (kick.nick(), kick.param(0), kick.param(1), kick.text()),
            ("ann", "#room", "bob", "calm down")
        );
    }
    bob.send("PRIVMSG #room :still here");
    bob.expect("cannot send", |l| l.is("404") || l.is("442"));
    ann.send("KICK #room bob");
    ann.expect_command("441");
    ann.send("KICK #room nobody");
    ann.expect("no such", |l| l.is("401") || l.is("441"));
    bob.join("#room");
    assert_eq!(names(&mut ann, "#room"), ["bob", "~@ann"]);
}

fn ban(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +b BOB!*@*");
    ann.expect("+b", |l| l.is("MODE") && l.param(1) == "+b");
    bob.send("PRIVMSG #room :can you hear me");
    bob.expect_command("404");
    ann.send("KICK #room bob");
    bob.expect_command("KICK");
    bob.send("JOIN #room");
    bob.expect_command("474");
    let list = ann.ask("MODE #room b", "368");
    assert!(list.iter().any(|l| l.is("367") && l.param(2) == "BOB!*@*"));
    world.restart();
    let mut bob = world.login("bob");
    bob.send("JOIN #room");
    bob.expect_command("474");
    let mut ann = world.login("ann");
    ann.fence();
    ann.send("MODE #room -b bob!*@*");
    ann.expect("-b", |l| l.is("MODE") && l.param(1) == "-b");
    bob.join("#room");
}

fn invite_only(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    ann.send("MODE #room +i");
    ann.expect("+i", is_mode("#room", "+i"));
    bob.send("JOIN #room");
    bob.expect_command("473");
    ann.send("INVITE bob #room");
    ann.expect_command("341");
    let invite = bob.expect_command("INVITE");
    assert_eq!(
        (invite.nick(), invite.param(0), invite.param(1)),
        ("ann", "bob", "#room")
    );
    bob.join("#room");
    bob.send("INVITE ann #room");
    bob.expect("already in, or not an operator", |l| {
        l.is("443") || l.is("482")
    });
    // An invitation is good for once.
    bob.send("PART #room");
    bob.expect_command("PART");
    bob.send("JOIN #room");
    bob.expect_command("473");
}

fn operator_and_voice(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    bob.send("MODE #room +o bob");
    bob.expect_command("482");
    ann.send("MODE #room +o bob");
    bob.expect("+o", is_mode("#room", "+o bob"));
    assert_eq!(names(&mut ann, "#room"), ["@bob", "~@ann"]);
    // An operator is no match for the founder.
    bob.send("KICK #room ann");
    bob.expect_command("482");
    bob.send("MODE #room -q ann");
    bob.expect("refusal", |l| l.is("482") || l.is("472") || l.is("FAIL"));
    ann.send("MODE #room +v bob");
    bob.expect("+v", is_mode("#room", "+v bob"));
    // multi-prefix shows both.
    assert_eq!(names(&mut ann, "#room"), ["@+bob", "~@ann"]);
    ann.send("MODE #room -o+t bob");
    bob.expect("-o", |l| l.is("MODE") && l.raw.contains("-o"));
    assert_eq!(names(&mut ann, "#room"), ["+bob", "~@ann"]);
    ann.send("MODE #room +o nobody");
    ann.expect("no such", |l| l.is("401") || l.is("441"));
}

fn moderated(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +m");
    ann.expect("+m", is_mode("#room", "+m"));
    bob.send("PRIVMSG #room :may I");
    bob.expect_command("404");
    ann.send("MODE #room +v bob");
    bob.expect("+v", is_mode("#room", "+v bob"));
    bob.say("#room", "thank you");
    ann.expect_text("thank you");
    ann.expect_none("what was refused", |l| l.says("may I"));
}

fn key(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    ann.send("MODE #room +k hunter2");
    ann.expect("+k", is_mode("#room", "+k hunter2"));
    for attempt in ["JOIN #room", "JOIN #room wrong", "JOIN #room HUNTER2"] {
        bob.send(attempt);
        bob.expect_command("475");
    }
    let modes = bob.answers("MODE #room");
    assert!(
        !modes.iter().any(|l| l.raw.contains("hunter2")),
        "{modes:#?}"
    );
    bob.send("JOIN #room hunter2");
    bob.expect_command("366");
    ann.send("MODE #room -k hunter2");
    bob.expect("-k", |l| l.is("MODE") && l.param(1) == "-k");
    world.register("carol").join("#room");
}

fn member_limit(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +l 2");
    ann.expect("+l", is_mode("#room", "+l 2"));
    let mut carol = world.register("carol");
    carol.send("JOIN #room");
    carol.expect_command("471");
    // Who is offline still counts: membership is not presence.
    bob.send("QUIT");
    bob.expect_closed();
    carol.send("JOIN #room");
    carol.expect_command("471");
    ann.send("MODE #room -l");
    ann.expect("-l", is_mode("#room", "-l"));
    carol.join("#room");
}

fn no_messages_from_outside(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    ann.fence();
    bob.send("PRIVMSG #room :hello");
    bob.expect("cannot send", |l| l.is("404") || l.is("442"));
    bob.answers("NOTICE #room :hello");
    bob.send("CHATHISTORY LATEST #room * 10");
    bob.expect("refusal", |l| l.is("FAIL") && l.param(0) == "CHATHISTORY");
    bob.send("TOPIC #room :mine");
    bob.expect_command("442");
    bob.send("PRIVMSG #nowhere :hello");
    bob.expect("no such room", |l| {
        l.is("403") || l.is("404") || l.is("401")
    });
    let seen = ann.fence();
    assert!(seen.is_empty(), "{seen:#?}");
}

fn founder_keeps_the_room(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("TOPIC #room :mine for ever");
    ann.expect_command("TOPIC");
    bob.send("PART #room");
    bob.expect_command("PART");
    ann.send("PART #room");
    ann.expect("PART", |l| l.is("PART") && l.nick() == "ann");
    // Empty, and still hers.
    bob.join("#room");
    assert_eq!(names(&mut bob, "#room"), ["bob"]);
    bob.send("MODE #room +m");
    bob.expect_command("482");
    let joined = ann.ask("JOIN #room", "366");
    assert!(
        joined
            .iter()
            .any(|l| l.is("332") && l.text() == "mine for ever")
    );
    assert_eq!(names(&mut ann, "#room"), ["bob", "~@ann"]);
}

fn an_empty_room_is_removed(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut owner = world.register("owner");
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    ann.say("#room", "soon forgotten");
    ann.send("ROOM REMOVE #room");
    ann.expect_fail("ROOM", "ROOM_IN_USE");
    ann.send("PART #room");
    ann.expect_command("PART");
    bob.send("ROOM REMOVE #room");
    bob.expect_fail("ROOM", "NOT_FOUNDER");
    ann.send("ROOM REMOVE #Room");
    ann.expect("done", |l| l.standard("NOTE", "ROOM", "REMOVE_DONE"));
    ann.send("ROOM REMOVE #room");
    ann.expect_fail("ROOM", "NO_SUCH_ROOM");
    // The name is free: whoever comes first has a room of its own, without a past.
    bob.join("#room");
    assert_eq!(names(&mut bob, "#room"), ["~@bob"]);
    assert!(texts(&bob.history("LATEST #room * 50")).is_empty());
    bob.send("PART #room");
    bob.expect_command("PART");
    owner.send("ROOM REMOVE #room");
    owner.expect("done", |l| l.standard("NOTE", "ROOM", "REMOVE_DONE"));
    for unknown in ["ROOM", "ROOM REMOVE", "ROOM REMOVE room", "ROOM MAKE #room"] {
        owner.send(unknown);
        owner.expect_fail("ROOM", "UNKNOWN_SUBCOMMAND");
    }
    world.restart();
    let mut owner = world.login("owner");
    let list = owner.ask("LIST", "323");
    assert!(!list.iter().any(|l| l.is("322")), "{list:#?}");
}

fn membership_lasts_while_offline(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    bob.send("QUIT :good night");
    bob.expect_closed();
    // Offline is not gone: no QUIT or PART, still in NAMES, shown away.
    let seen = ann.fence();
    assert!(
        !seen.iter().any(|l| l.is("PART") || l.is("QUIT")),
        "{seen:#?}"
    );
    assert_eq!(names(&mut ann, "#room"), ["bob", "~@ann"]);
    let who = ann.ask("WHO #room", "315");
    let flags = |nick: &str| {
        who.iter()
            .find(|l| l.is("352") && l.param(5) == nick)
            .map(|l| l.param(6).to_owned())
    };
    assert!(flags("bob").is_some_and(|f| f.starts_with('G')), "{who:#?}");
    assert!(flags("ann").is_some_and(|f| f.starts_with('H')), "{who:#?}");
    ann.say("#room", "he will read this");
    let mut bob = world.login("bob");
    let back = bob.fence();
    assert!(
        back.iter()
            .any(|l| l.is("JOIN") && l.nick() == "bob" && l.param(0) == "#room"),
        "{back:#?}"
    );
    assert!(back.iter().any(|l| l.is("353")), "{back:#?}");
    ann.expect_none("a second JOIN of bob", |l| l.is("JOIN"));
}

fn too_many_rooms(world: &mut dyn World) {
    world.start(&Config {
        rooms_per_account: 3,
        ..CONFIG
    });
    let mut ann = world.register("ann");
    for room in ["#a", "#b", "#c"] {
        ann.join(room);
    }
    ann.send("JOIN #d");
    ann.expect_command("405");
    ann.send("PART #a");
    ann.expect_command("PART");
    ann.join("#d");
}

fn modes_in_words(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +mi");
    let change = bob.expect_command("MODE");
    assert!(change.param(1).starts_with('+'), "{change}");
    ann.fence();
    let modes = ann.ask("MODE #room", "324");
    let modes = modes[modes.len() - 1].param(2).to_owned();
    assert!(modes.contains('m') && modes.contains('i'), "{modes}");
    ann.send("MODE #room +Z");
    ann.expect_command("472");
    ann.send("MODE #nowhere +m");
    ann.expect("no such room", |l| l.is("403") || l.is("442"));
    ann.send("MODE ann");
    ann.expect_command("221");
    ann.send("MODE bob +i");
    ann.expect_command("502");
}

fn forbidden_room_names(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    for room in [
        "room",
        "#",
        "",
        "&room",
        "#a\u{7}b",
        "#\u{200b}",
        "#a\u{202e}b",
        &format!("#{}", "x".repeat(200)),
    ] {
        let answers = ann.answers(format_args!("JOIN {room}"));
        assert!(
            answers.iter().any(|l| l.is("403")
                || l.is("476")
                || l.is("461")
                || l.is("479")
                || l.is("FAIL")),
            "{room:?}: {answers:#?}"
        );
        assert!(
            !answers.iter().any(|l| l.is("JOIN")),
            "{room:?}: {answers:#?}"
        );
    }
    ann.join("#房间");
    ann.say("#房间", "你好");
}

fn all_survives_a_restart(world: &mut dyn World) {
    world.start(&CONFIG);
    let (mut ann, mut bob) = two_in_a_room(world);
    ann.send("MODE #room +mk secret");
    ann.expect_command("MODE");
    ann.send("MODE #room +v bob");
    ann.send("TOPIC #room :kept");
    ann.expect_command("TOPIC");
    bob.say("#room", "before");
    world.restart();
    let mut bob = world.login("bob");
    bob.fence();
    assert_eq!(names(&mut bob, "#room"), ["+bob", "~@ann"]);
    let modes = bob.ask("MODE #room", "324");
    let modes = modes[modes.len() - 1].param(2).to_owned();
    assert!(modes.contains('m') && modes.contains('k'), "{modes}");
    bob.send("TOPIC #room");
    assert_eq!(bob.expect_command("332").text(), "kept");
    let said = bob.say("#room", "after");
    let history = bob.history("LATEST #room * 10");
    let texts = crate::person::texts(&history);
    assert_eq!(texts, ["before", "after"]);
    let times: Vec<_> = history.iter().filter_map(|l| l.tag("time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        history.last().and_then(|l| l.tag("msgid")),
        said.tag("msgid")
    );
}
