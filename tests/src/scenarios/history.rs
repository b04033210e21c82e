//! CHATHISTORY in all its forms, its limits, and read markers.

use soqet_core::config::Config;

use super::CONFIG;
use crate::client::Client;
use crate::line::Line;
use crate::person::texts;
use crate::world::World;

super::scenarios![
    latest,
    before,
    after,
    between,
    around,
    targets,
    page_limit,
    kept_entries_are_bounded,
    event_playback,
    paging_by_time_loses_nothing,
    paging_by_msgid_loses_nothing,
    from_the_store_after_a_restart,
    bad_requests,
    markers,
    markers_survive,
    no_replay_to_who_can_fetch,
];

/// A member of `#room` in which ten messages `m0`..`m9` were said; and their echoes.
fn ten(world: &mut dyn World) -> (Client, Vec<Line>) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    let said = (0..10).map(|n| ann.say("#room", format!("m{n}"))).collect();
    (ann, said)
}

fn msgid(line: &Line) -> String {
    format!("msgid={}", line.tag("msgid").expect("a msgid"))
}

fn timestamp(line: &Line) -> String {
    format!("timestamp={}", line.tag("time").expect("a time"))
}

/// Asks and compares the texts.
fn check(client: &mut Client, request: &str, expected: &[&str]) {
    let page = client.history(request);
    assert_eq!(texts(&page), expected, "CHATHISTORY {request}");
}

/// What a page of at most `limit` of these messages holds, oldest first: it never ends inside a run of equal times. It is cut
/// shorter, or, where one run alone exceeds the limit, goes on to its end. `newest` says from which end it is taken.
fn page(of: &[Line], limit: usize, newest: bool) -> Vec<&str> {
    let mut runs: Vec<&[Line]> = of.chunk_by(|a, b| a.tag("time") == b.tag("time")).collect();
    if newest {
        runs.reverse();
    }
    let mut taken: Vec<&[Line]> = Vec::new();
    for run in runs {
        let count: usize = taken.iter().map(|run| run.len()).sum();
        if count >= limit || (count > 0 && count + run.len() > limit) {
            break;
        }
        taken.push(run);
    }
    if newest {
        taken.reverse();
    }
    taken.into_iter().flat_map(texts).collect()
}

fn latest(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    check(&mut ann, "LATEST #room * 3", &page(&said, 3, true));
    check(&mut ann, "LATEST #ROOM * 1", &page(&said, 1, true));
    check(&mut ann, "LATEST #room * 50", &page(&said, 50, true));
    let bound = msgid(&said[7]);
    check(
        &mut ann,
        &format!("LATEST #room {bound} 10"),
        &page(&said[8..], 10, true),
    );
    check(
        &mut ann,
        &format!("LATEST #room {bound} 1"),
        &page(&said[8..], 1, true),
    );
    let newest = ann.history("LATEST #room * 1");
    let newest = newest.last().expect("a message");
    assert_eq!(newest.tag("msgid"), said[9].tag("msgid"));
    assert_eq!(newest.tag("time"), said[9].tag("time"));
    assert_eq!(newest.tag("account"), Some("ann"));
    ann.join("#empty");
    let empty = ann.history("LATEST #empty * 10");
    assert!(texts(&empty).is_empty(), "{empty:#?}");
}

fn before(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    let bound = msgid(&said[5]);
    check(
        &mut ann,
        &format!("BEFORE #room {bound} 2"),
        &page(&said[..5], 2, true),
    );
    let first = msgid(&said[0]);
    check(&mut ann, &format!("BEFORE #room {first} 5"), &[]);
    check(
        &mut ann,
        "BEFORE #room timestamp=2100-01-01T00:00:00.000Z 2",
        &page(&said, 2, true),
    );
    check(
        &mut ann,
        "BEFORE #room timestamp=2000-01-01T00:00:00.000Z 2",
        &[],
    );
}

fn after(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    let bound = msgid(&said[5]);
    check(
        &mut ann,
        &format!("AFTER #room {bound} 2"),
        &page(&said[6..], 2, false),
    );
    let last = msgid(&said[9]);
    check(&mut ann, &format!("AFTER #room {last} 5"), &[]);
    check(
        &mut ann,
        "AFTER #room timestamp=2100-01-01T00:00:00.000Z 2",
        &[],
    );
}

fn between(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    let (low, high) = (msgid(&said[2]), msgid(&said[7]));
    for limit in [50, 2] {
        check(
            &mut ann,
            &format!("BETWEEN #room {low} {high} {limit}"),
            &page(&said[3..7], limit, false),
        );
        // From the later to the earlier: the newest are taken.
        check(
            &mut ann,
            &format!("BETWEEN #room {high} {low} {limit}"),
            &page(&said[3..7], limit, true),
        );
    }
    check(&mut ann, &format!("BETWEEN #room {low} {low} 5"), &[]);
}

fn around(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    let lines = ann.history(&format!("AROUND #room {} 5", msgid(&said[5])));
    let texts = texts(&lines);
    assert!(texts.contains(&"m5"), "{texts:?}");
    // In one piece of what was said.
    let all: Vec<_> = said.iter().map(Line::text).collect();
    assert!(
        all.windows(texts.len()).any(|window| window == texts),
        "{texts:?}"
    );
}

fn targets(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let mut carol = world.register("carol");
    ann.join("#first");
    ann.say("#first", "one");
    let second = bob.say("ann", "two");
    carol.say("bob", "none of hers");
    ann.join("#third");
    let third = ann.say("#third", "three");
    ann.fence();
    let (from, to) = (
        "timestamp=2000-01-01T00:00:00.000Z",
        "timestamp=2100-01-01T00:00:00.000Z",
    );
    let rows = ann.history(&format!("TARGETS {from} {to} 10"));
    let names: Vec<_> = rows.iter().map(|l| l.param(1)).collect();
    assert!(
        rows.iter()
            .all(|l| l.is("CHATHISTORY") && l.param(0) == "TARGETS")
    );
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["#first", "#third", "bob"]);
    let row = |name: &str| rows.iter().find(|l| l.param(1) == name).expect("a row");
    assert_eq!(Some(row("bob").param(2)), second.tag("time"));
    assert_eq!(Some(row("#third").param(2)), third.tag("time"));
    let rows = ann.history(&format!("TARGETS {from} {to} 1"));
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let rows = ann.history(&format!(
        "TARGETS {to} timestamp=2101-01-01T00:00:00.000Z 10"
    ));
    assert!(rows.is_empty(), "{rows:#?}");
}

fn page_limit(world: &mut dyn World) {
    world.start(&Config { page: 20, ..CONFIG });
    let mut ann = world.connect("ann");
    ann.introduce("ann", crate::person::MODERN);
    ann.send("REGISTER * * :a long password");
    ann.send("CAP END");
    let welcome = ann.until("the end of the welcome", crate::person::ends_welcome);
    assert!(
        welcome
            .iter()
            .any(|l| l.is("005") && l.params.iter().any(|p| p == "CHATHISTORY=20")),
        "{welcome:#?}"
    );
    ann.join("#room");
    let said = Vec::from_iter((0..30).map(|n| ann.say("#room", format!("{n:02}"))));
    let newest = ann.history("LATEST #room * 20");
    assert_eq!(texts(&newest), page(&said, 20, true));
    // More than that gives as many as there may be.
    for limit in ["1000", "65536", "99999999999999999999999"] {
        let newest = ann.history(&format!("LATEST #room * {limit}"));
        assert_eq!(texts(&newest), page(&said, 20, true), "{limit}");
    }
}

fn kept_entries_are_bounded(world: &mut dyn World) {
    world.start(&Config {
        history: 50,
        ..CONFIG
    });
    let mut ann = world.register("ann");
    ann.join("#room");
    for n in 0..2000 {
        ann.send(format_args!("PRIVMSG #room :{n:04}"));
    }
    ann.expect_text("1999");
    // What is in memory does not count: a limit is on what is kept.
    world.restart();
    let mut ann = world.login("ann");
    ann.fence();
    let mut kept = Vec::new();
    let mut page = ann.history("LATEST #room * 100");
    while let Some(first) = page.iter().find(|l| l.is("PRIVMSG")).cloned() {
        kept.splice(0..0, texts(&page).iter().map(|t| (*t).to_owned()));
        page = ann.history(&format!("BEFORE #room {} 100", msgid(&first)));
    }
    assert!(kept.is_sorted(), "{kept:?}");
    assert_eq!(kept.last().map(String::as_str), Some("1999"));
    // A store may delete in larger steps, so that the work is shared by many messages.
    assert!(kept.len() >= 45 && kept.len() <= 700, "{} kept", kept.len());
}

fn event_playback(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    ann.send("TOPIC #room :a topic");
    ann.expect_command("TOPIC");
    bob.say("#room", "a message");
    ann.send("MODE #room +v bob");
    bob.expect_command("MODE");
    ann.send("KICK #room bob :enough");
    ann.expect_command("KICK");
    let page = ann.history("LATEST #room * 50");
    let commands: Vec<_> = page.iter().map(|l| l.command.as_str()).collect();
    let expected = ["JOIN", "JOIN", "TOPIC", "PRIVMSG", "MODE", "KICK"];
    assert_eq!(commands, expected, "{page:#?}");
    let kick = &page[5];
    assert_eq!(
        (kick.nick(), kick.param(1), kick.text()),
        ("ann", "bob", "enough")
    );
    // Without the capability: messages only.
    let without: Vec<_> = crate::person::MODERN
        .iter()
        .copied()
        .filter(|c| *c != "draft/event-playback")
        .collect();
    let mut other = world.login_with("ann", &without);
    let page = other.history("LATEST #room * 50");
    assert_eq!(page.len(), 1, "{page:#?}");
    assert!(page[0].says("a message"));
}

/// Says many things as fast as it goes, so that many share a millisecond.
fn burst(world: &mut dyn World, count: usize) -> (Client, Vec<String>) {
    world.start(&Config { page: 20, ..CONFIG });
    let mut ann = world.register("ann");
    ann.join("#room");
    let said = Vec::from_iter((0..count).map(|n| format!("{n:04}")));
    for text in &said {
        ann.send(format_args!("PRIVMSG #room :{text}"));
    }
    let last = said.last().expect("some").clone();
    ann.expect("the last echo", |l| l.says(&last));
    (ann, said)
}

fn paging_by_time_loses_nothing(world: &mut dyn World) {
    let (mut ann, said) = burst(world, 300);
    let mut seen = Vec::new();
    let mut bound = "timestamp=2000-01-01T00:00:00.000Z".to_owned();
    loop {
        let page = ann.history(&format!("AFTER #room {bound} 20"));
        let Some(last) = page.last() else { break };
        bound = timestamp(last);
        seen.extend(texts(&page).iter().map(|t| (*t).to_owned()));
    }
    assert_eq!(seen, said, "forwards");

    let mut seen = Vec::new();
    let mut bound = "timestamp=2100-01-01T00:00:00.000Z".to_owned();
    loop {
        let page = ann.history(&format!("BEFORE #room {bound} 20"));
        let Some(first) = page.first() else { break };
        bound = timestamp(first);
        seen.splice(0..0, texts(&page).iter().map(|t| (*t).to_owned()));
    }
    assert_eq!(seen, said, "backwards");
}

fn paging_by_msgid_loses_nothing(world: &mut dyn World) {
    let (mut ann, said) = burst(world, 300);
    let mut seen = Vec::new();
    let mut page = ann.history("LATEST #room * 7");
    while let Some(first) = page.first().cloned() {
        seen.splice(0..0, texts(&page).iter().map(|t| (*t).to_owned()));
        page = ann.history(&format!("BEFORE #room {} 7", msgid(&first)));
    }
    assert_eq!(seen, said);
}

fn from_the_store_after_a_restart(world: &mut dyn World) {
    let (_, said) = burst(world, 300);
    world.restart();
    let mut ann = world.login("ann");
    ann.fence();
    let newest = ann.history("LATEST #room * 3");
    assert_eq!(texts(&newest).last(), Some(&"0299"));
    let mut seen = Vec::new();
    let mut bound = "timestamp=2000-01-01T00:00:00.000Z".to_owned();
    loop {
        let page = ann.history(&format!("AFTER #room {bound} 20"));
        let Some(last) = page.last() else { break };
        bound = timestamp(last);
        seen.extend(texts(&page).iter().map(|t| (*t).to_owned()));
    }
    assert_eq!(seen, said);
}

fn bad_requests(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    for request in [
        "",
        "LATEST",
        "LATEST #room",
        "LATEST #room *",
        "LATEST #room * x",
        "LATEST #room * -1",
        "LATEST #room bad=1 10",
        "BEFORE #room * 10",
        "BEFORE #room timestamp=yesterday 10",
        "AFTER #room msgid= 10",
        "BETWEEN #room timestamp=2000-01-01T00:00:00.000Z 10",
        "TARGETS x y 10",
        "SIDEWAYS #room * 10",
        "LATEST #nowhere * 10",
        "LATEST nobody * 10",
    ] {
        let answers = ann.answers(format_args!("CHATHISTORY {request}"));
        let answered = answers
            .iter()
            .any(|l| l.is("FAIL") || l.is("461") || l.is("BATCH"));
        assert!(answered, "{request}: {answers:#?}");
        assert!(texts(&answers).is_empty(), "{request}: {answers:#?}");
    }
    check(&mut ann, "LATEST #room * 1", &page(&said, 1, true));
}

fn markers(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    ann.send("MARKREAD #room");
    assert_eq!(ann.expect_command("MARKREAD").param(1), "*");
    let read = timestamp(&said[5]);
    ann.send(format_args!("MARKREAD #room {read}"));
    assert_eq!(ann.expect_command("MARKREAD").param(1), read);
    // Other devices learn of it; it never goes backwards.
    let mut desk = world.login("ann");
    let joined = desk.until("366", |l| l.is("366"));
    let marker = joined
        .iter()
        .position(|l| l.is("MARKREAD"))
        .expect("between JOIN and 366");
    assert_eq!(joined[marker].param(1), read);
    desk.send("MARKREAD #room timestamp=2000-01-01T00:00:00.000Z");
    assert_eq!(desk.expect_command("MARKREAD").param(1), read);
    let later = timestamp(&said[9]);
    desk.send(format_args!("MARKREAD #room {later}"));
    desk.expect_command("MARKREAD");
    ann.expect("the other device's marker", |l| {
        l.is("MARKREAD") && l.param(1) == later
    });
    for bad in ["MARKREAD", "MARKREAD #room nonsense", "MARKREAD #nowhere *"] {
        let answers = ann.answers(bad);
        assert!(
            answers.iter().any(|l| l.is("FAIL") || l.is("461")),
            "{bad}: {answers:#?}"
        );
    }
}

fn markers_survive(world: &mut dyn World) {
    let (mut ann, said) = ten(world);
    let mut bob = world.register("bob");
    let private = bob.say("ann", "hello");
    for (target, line) in [("#room", &said[5]), ("bob", &private)] {
        ann.send(format_args!("MARKREAD {target} {}", timestamp(line)));
        ann.expect("the marker", |l| l.is("MARKREAD") && l.param(0) == target);
    }
    world.restart();
    let mut ann = world.login("ann");
    ann.fence();
    for (target, line) in [("#room", &said[5]), ("bob", &private)] {
        ann.send(format_args!("MARKREAD {target}"));
        let marker = ann.expect_command("MARKREAD");
        assert_eq!(marker.param(1), timestamp(line));
    }
}

fn no_replay_to_who_can_fetch(world: &mut dyn World) {
    let (ann, _) = ten(world);
    drop(ann);
    let mut ann = world.login("ann");
    ann.expect_none("messages unasked", |l| l.is("PRIVMSG"));
}
