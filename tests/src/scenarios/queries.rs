//! What clients ask: the welcome, WHO, WHOX, WHOIS, NAMES, LIST, ISON, USERHOST, LUSERS and the rest.

use soqet_core::config::Config;

use super::CONFIG;
use crate::line::Line;
use crate::person::{MODERN, password};
use crate::world::World;

super::scenarios![
    welcome,
    who,
    whox,
    whois,
    names_of_a_large_room,
    list,
    ison_and_userhost,
    the_small_ones,
    motd,
    too_few_parameters,
];

fn find<'l>(lines: &'l [Line], numeric: &str) -> &'l Line {
    lines
        .iter()
        .find(|l| l.is(numeric))
        .unwrap_or_else(|| panic!("no {numeric} in {lines:#?}"))
}

fn welcome(world: &mut dyn World) {
    world.start(&Config {
        network: "TestNet",
        server_name: "chat.example",
        ..CONFIG
    });
    world.register("ann");
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    ann.scram("ann", &password("ann"));
    ann.send("CAP END");
    let lines = ann.until("the end of the welcome", crate::person::ends_welcome);
    let numerics: Vec<_> = lines
        .iter()
        .filter(|l| ["001", "002", "003", "004", "005", "251"].contains(&l.command.as_str()))
        .collect();
    assert!(numerics.is_sorted_by_key(|l| &l.command), "{lines:#?}");
    for line in &numerics {
        assert_eq!(
            (line.source.as_str(), line.param(0)),
            ("chat.example", "ann")
        );
    }
    let tokens: Vec<&str> = lines
        .iter()
        .filter(|l| l.is("005"))
        .flat_map(|l| l.params[1..l.params.len() - 1].iter().map(String::as_str))
        .collect();
    for token in [
        "NETWORK=TestNet",
        "CASEMAPPING=ascii",
        "PREFIX=(qov)~@+",
        "CHANTYPES=#",
        "UTF8ONLY",
        "WHOX",
        "NICKLEN=23",
    ] {
        assert!(tokens.contains(&token), "{token} is missing in {tokens:?}");
    }
    for key in [
        "CHANMODES=",
        "CHANNELLEN=",
        "TOPICLEN=",
        "MONITOR=",
        "CHATHISTORY=",
        "MSGREFTYPES=",
    ] {
        assert!(
            tokens.iter().any(|t| t.starts_with(key)),
            "{key} is missing in {tokens:?}"
        );
    }
    assert!(
        lines
            .iter()
            .filter(|l| l.is("005"))
            .all(|l| l.params.len() <= 15)
    );
}

fn who(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    bob.send("AWAY :x");
    bob.expect_command("306");
    let lines = ann.ask("WHO #room", "315");
    let mut rows: Vec<_> = lines
        .iter()
        .filter(|l| l.is("352"))
        .map(|l| (l.param(1), l.param(5), l.param(6)))
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [("#room", "ann", "H*~@"), ("#room", "bob", "G")]);
    let lines = ann.ask("WHO bob", "315");
    assert_eq!(find(&lines, "352").param(5), "bob");
    let lines = ann.ask("WHO nobody", "315");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

fn whox(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    let lines = ann.ask("WHO #room %tcnfar,42", "315");
    let mut rows: Vec<_> = lines
        .iter()
        .filter(|l| l.is("354"))
        .map(|l| l.params[1..].join(" "))
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        ["42 #room ann H*~@ ann ann", "42 #room bob H bob bob"]
    );
}

fn whois(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    bob.join("#room");
    ann.join("#room");
    let lines = ann.ask("WHOIS bob", "318");
    assert_eq!(find(&lines, "311").param(1), "bob");
    assert_eq!(find(&lines, "330").param(2), "bob");
    assert!(find(&lines, "319").text().contains("~@#room"));
    ann.send("WHOIS nobody");
    ann.expect_command("401");
    ann.expect_command("318");
    ann.send("WHOIS");
    ann.expect("no nick given", |l| l.is("431") || l.is("461"));
}

fn names_of_a_large_room(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut people: Vec<_> = (0..35)
        .map(|n| world.register(&format!("member-with-a-name{n:02}")))
        .collect();
    for person in &mut people {
        person.join("#room");
    }
    let lines = people[0].ask("NAMES #room", "366");
    let mut names: Vec<_> = lines
        .iter()
        .filter(|l| l.is("353"))
        .flat_map(|l| l.text().split_ascii_whitespace())
        .map(|name| name.trim_start_matches(['~', '@', '+']))
        .collect();
    assert_eq!(names.len(), 35);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 35, "each once");
    assert!(
        lines.iter().all(|l| l.raw.len() <= 510),
        "in lines of 512 bytes"
    );
}

fn list(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#one");
    ann.join("#two");
    ann.send("TOPIC #two :the second");
    ann.expect_command("TOPIC");
    let mut bob = world.register("bob");
    bob.join("#two");
    let lines = bob.ask("LIST", "323");
    let mut rooms: Vec<_> = lines
        .iter()
        .filter(|l| l.is("322"))
        .map(|l| (l.param(1), l.param(2), l.text()))
        .collect();
    rooms.sort_unstable();
    assert_eq!(rooms, [("#one", "1", ""), ("#two", "2", "the second")]);
    // After a restart too, when nobody is in them.
    world.restart();
    let mut bob = world.login("bob");
    let lines = bob.ask("LIST", "323");
    assert_eq!(lines.iter().filter(|l| l.is("322")).count(), 2);
}

fn ison_and_userhost(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    let lines = ann.ask("ISON bob nobody ann", "303");
    let mut online: Vec<_> = lines[0].text().split_ascii_whitespace().collect();
    online.sort_unstable();
    assert_eq!(online, ["ann", "bob"]);
    bob.send("AWAY :x");
    bob.expect_command("306");
    let lines = ann.ask("USERHOST bob ann nobody", "302");
    let hosts = lines[0].text();
    assert!(
        hosts.contains("bob=-") && hosts.contains("ann=+"),
        "{hosts}"
    );
}

fn the_small_ones(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let _bob = world.register("bob");
    ann.join("#room");
    ann.say("bob", "a private chat is nobody else's business");
    let lusers = ann.ask("LUSERS", "266");
    assert_eq!(lusers[0].command, "251");
    assert_eq!(find(&lusers, "254").param(1), "1");
    let answers = ann.answers("MONITOR ? bob");
    assert!(
        answers
            .iter()
            .any(|l| l.standard("FAIL", "MONITOR", "UNKNOWN_SUBCOMMAND")),
        "{answers:#?}"
    );
    assert!(
        find(&ann.ask("VERSION", "351"), "351")
            .param(1)
            .starts_with("soqet")
    );
    ann.ask("TIME", "391");
    assert!(ann.ask("INFO", "374").len() > 1);
    assert_eq!(ann.ask("PING a:b", "PONG")[0].text(), "a:b");
    ann.send("NOSUCHCOMMAND x");
    assert_eq!(ann.expect_command("421").param(1), "NOSUCHCOMMAND");
}

fn motd(world: &mut dyn World) {
    world.start(&Config {
        motd: "first line\nsecond line",
        ..CONFIG
    });
    let mut ann = world.register("ann");
    let lines = ann.ask("MOTD", "376");
    let motd: Vec<_> = lines
        .iter()
        .filter(|l| l.is("372"))
        .map(Line::text)
        .collect();
    assert_eq!(motd.len(), 2);
    assert!(motd[0].contains("first line") && motd[1].contains("second line"));
}

fn too_few_parameters(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    for command in [
        "JOIN",
        "PART",
        "TOPIC",
        "KICK",
        "KICK #room",
        "INVITE",
        "INVITE bob",
        "MODE",
        "NICK",
        "PRIVMSG",
        "TAGMSG",
        "WHOIS",
        "MONITOR",
        "MARKREAD",
        "SETNAME",
        "CHATHISTORY",
        "ACCOUNT",
        "CAP",
        "AUTHENTICATE",
        "PING",
    ] {
        let answers = ann.answers(command);
        assert!(
            answers
                .iter()
                .any(|l| l.is("FAIL") || l.command.len() == 3 && l.command.starts_with(['4', '9'])),
            "{command}: {answers:#?}"
        );
    }
}
