//! Who has not logged in can do nothing but log in, register, PING and QUIT.

use super::CONFIG;
use crate::person::{MODERN, texts};
use crate::world::World;

super::scenarios![nothing_works, ping_and_quit_work];

/// Every command with arguments that would do something.
const COMMANDS: &[&str] = &[
    "ACCOUNT LIST",
    "ACCOUNT ADD eve :a long password",
    "ACCOUNT OWNER eve",
    "ACCOUNT PASSWD * :a long password",
    "ACCOUNT PASSWD owner :a long password",
    "ACCOUNT REMOVE owner",
    "AWAY :gone",
    "CHATHISTORY LATEST #room * 10",
    "CHATHISTORY TARGETS timestamp=2000-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z 10",
    "INFO",
    "INVITE eve #room",
    "ISON owner",
    "JOIN #new",
    "JOIN #room",
    "KICK #room owner",
    "LIST",
    "LUSERS",
    "MARKREAD #room timestamp=2100-01-01T00:00:00.000Z",
    "MARKREAD #room",
    "MODE #room +o eve",
    "MODE #room",
    "MONITOR + owner",
    "MONITOR S",
    "MOTD",
    "NAMES #room",
    "NOTICE #room :hello",
    "NOTICE owner :hello",
    "PART #room",
    "PRIVMSG #room :hello",
    "PRIVMSG owner :hello",
    "SETNAME :Eve",
    "@+typing=active TAGMSG #room",
    "TIME",
    "TOPIC #room :mine",
    "TOPIC #room",
    "USERHOST owner",
    "VERSION",
    "WHO #room",
    "WHO *",
    "WHOIS owner",
    "NOSUCHCOMMAND",
];

fn nothing_works(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut owner = world.register("owner");
    owner.join("#room");
    owner.send("TOPIC #room :the secret topic");
    owner.expect_command("TOPIC");
    owner.say("#room", "the secret message");
    owner.fence();

    // In every state short of being logged in: fresh, with CAP, with NICK and USER, after a failed login.
    for state in 0..4 {
        let mut eve = world.connect("eve");
        match state {
            0 => {}
            1 => {
                eve.offered();
                eve.send("CAP REQ :message-tags echo-message standard-replies batch");
                eve.expect_command("CAP");
            }
            2 => {
                eve.introduce("eve", MODERN);
                eve.send("CAP END");
            }
            _ => {
                eve.introduce("owner", MODERN);
                eve.plain("owner", "a wrong guess");
                eve.expect_command("904");
                eve.send("CAP END");
            }
        }
        eve.fence();
        for command in COMMANDS {
            let answers = eve.answers(command);
            assert!(!answers.is_empty(), "state {state}: {command} is ignored");
            for line in &answers {
                let refusal = line.is("FAIL")
                    || line.is("451")
                    || line.is("421")
                    || line.is("NOTICE") && line.param(0) != "#room"
                    || line.is("NOTE");
                assert!(refusal, "state {state}: {command} -> {line}");
                assert!(!line.raw.contains("secret"), "{command} -> {line}");
            }
        }
        eve.send("QUIT");
        eve.expect_closed();
    }

    // Nobody noticed a thing, and nothing is different.
    let seen = owner.fence();
    assert!(seen.is_empty(), "{seen:#?}");
    let history = owner.history("LATEST #room * 50");
    assert_eq!(texts(&history), ["the secret message"]);
    let names = owner.ask("NAMES #room", "366");
    assert!(names[0].text().trim() == "~@owner", "{}", names[0]);
    world.login("owner");
}

fn ping_and_quit_work(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut eve = world.connect("eve");
    eve.send("PING :are you there");
    assert_eq!(eve.expect_command("PONG").text(), "are you there");
    eve.send("PONG :yes");
    eve.send("QUIT :bye");
    let last = eve.expect_closed();
    assert!(last.iter().any(|l| l.is("ERROR")), "{last:#?}");
}
