//! kill -9 at any moment while messages flow: what was echoed is in the history, once; accounts, rooms, members and markers
//! are there.

use super::CONFIG;
use crate::client::Client;
use crate::world::World;

super::scenarios![killed_dozens_of_times, killed_between_few_messages];

/// All texts of `#room`'s history, oldest first.
fn whole_history(client: &mut Client) -> Vec<String> {
    let mut all = Vec::new();
    let mut page = client.history("LATEST #room * 100");
    while let Some(first) = page.first().cloned() {
        let texts = crate::person::texts(&page);
        all.splice(0..0, texts.iter().map(|t| (*t).to_owned()));
        let id = first.tag("msgid").expect("a msgid");
        page = client.history(&format!("BEFORE #room msgid={id} 100"));
    }
    all
}

fn killed_dozens_of_times(world: &mut dyn World) {
    kill(world, 36, 60);
}

/// As many as a small server keeps in memory, so that nobody falls behind.
fn killed_between_few_messages(world: &mut dyn World) {
    kill(world, 12, 5);
}

/// Kills the server that often, each time while two people send that many messages.
fn kill(world: &mut dyn World, kills: usize, messages: usize) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    ann.send("TOPIC #room :survives");
    ann.expect_command("TOPIC");
    bob.join("#room");
    ann.send("MODE #room +v bob");
    bob.expect_command("MODE");

    let mut echoed: Vec<String> = Vec::new();
    let mut marker = "*".to_owned();
    for kill in 0..kills {
        // Both send without pause; each kill comes after another number of echoes, with others on their way.
        for n in 0..messages {
            ann.send(format_args!("PRIVMSG #room :ann {kill} {n}"));
            bob.send(format_args!("PRIVMSG #room :bob {kill} {n}"));
        }
        let wanted = 1 + kill * 7 % (messages * 8 / 9);
        for (client, name) in [(&mut ann, "ann"), (&mut bob, "bob")] {
            for _ in 0..wanted {
                let line = client.expect("an echo", |l| l.is("PRIVMSG") && l.nick() == name);
                echoed.push(line.text().to_owned());
                if name == "ann" {
                    marker = format!("timestamp={}", line.tag("time").expect("a time"));
                }
            }
        }
        ann.send(format_args!("MARKREAD #room {marker}"));
        let confirmed = ann.expect_command("MARKREAD");
        assert_eq!(confirmed.param(1), marker);
        let newcomer = format!("new{kill}");
        if kill % 6 == 0 {
            world.register(&newcomer).join("#room");
        }
        world.crash();
        // What had arrived before the end was a receipt, too.
        for (client, name) in [(&mut ann, "ann"), (&mut bob, "bob")] {
            let rest = client.expect_closed();
            let own = rest.iter().filter(|l| l.is("PRIVMSG") && l.nick() == name);
            echoed.extend(own.map(|l| l.text().to_owned()));
        }
        ann = world.login("ann");
        bob = world.login("bob");
        let back = ann.fence();
        assert!(
            back.iter().any(|l| l.is("332") && l.text() == "survives"),
            "{back:#?}"
        );
        let names = ann.ask("NAMES #room", "366");
        let names: String = names
            .iter()
            .filter(|l| l.is("353"))
            .map(|l| format!("{} ", l.text()))
            .collect();
        for name in ["~@ann", "+bob"] {
            assert!(names.split(' ').any(|n| n == name), "{names}");
        }
        if kill % 6 == 0 {
            assert!(names.split(' ').any(|n| n == newcomer), "{names}");
            world.login(&newcomer);
        }
        ann.send("MARKREAD #room");
        assert_eq!(ann.expect_command("MARKREAD").param(1), marker);
        check(&whole_history(&mut ann), &echoed);
    }
}

/// Every echoed text is there, none twice, and each sender's in order.
fn check(history: &[String], echoed: &[String]) {
    let mut sorted: Vec<_> = history.iter().collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None, "twice in the history");
    for text in echoed {
        assert!(
            sorted.binary_search(&text).is_ok(),
            "{text} was echoed and is not in the history"
        );
    }
    for sender in ["ann ", "bob "] {
        let own: Vec<(usize, usize)> = history
            .iter()
            .filter_map(|text| {
                let (kill, n) = text.strip_prefix(sender)?.split_once(' ')?;
                Some((kill.parse().ok()?, n.parse().ok()?))
            })
            .collect();
        assert!(own.is_sorted(), "{sender}: out of order");
    }
}
