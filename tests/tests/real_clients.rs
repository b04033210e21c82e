//! Two people with WeeChat and one with irssi, each in a terminal, do what the README tells: register, log in, chat in a room
//! and privately, leave, come back and find what they missed, in order, once.
//!
//! With `SOQET_SCREENS` set to a folder, the screens are kept there.

use std::path::{Path, PathBuf};

use soqet_core::config::Config;
use soqet_tests::host::HostWorld;
use soqet_tests::terminal::{Terminal, draw};
use soqet_tests::world::World;

/// Somebody at a terminal.
struct Person {
    name: &'static str,
    home: PathBuf,
    address: String,
    terminal: Terminal,
}

fn password(name: &str) -> String {
    format!("correct-horse-{name}")
}

impl Person {
    fn weechat(name: &'static str, world: &mut HostWorld) -> Self {
        let home = world.folder.path().join(name);
        let irc = world.running().irc;
        let person = Self {
            name,
            terminal: Self::open_weechat(name, &home),
            home,
            address: format!("{}/{}", irc.ip(), irc.port()),
        };
        let t = &person.terminal;
        // Lines typed as fast as here it takes for pasted, and asks.
        t.enter("/set weechat.look.paste_max_lines -1");
        t.wait_for("paste_max_lines = -1");
        // As in the README.
        t.enter(&format!(
            "/server add soqet {} -notls -nicks={name}",
            person.address
        ));
        t.wait_for("server added: soqet");
        t.enter("/connect soqet");
        t.wait_for("REGISTER");
        t.enter(&format!(
            "/quote -server soqet REGISTER * * {}",
            password(name)
        ));
        t.wait_for("Welcome");
        for (option, value) in [
            ("sasl_mechanism", "scram-sha-256"),
            ("sasl_username", name),
            ("sasl_password", &password(name)),
        ] {
            t.enter(&format!("/set irc.server.soqet.{option} {value}"));
            t.wait_for(option);
        }
        t.enter("/save");
        person
    }

    fn open_weechat(name: &str, home: &Path) -> Terminal {
        let terminal = Terminal::open(name, &format!("exec weechat --dir {}", home.display()));
        terminal.wait_for("WeeChat");
        terminal
    }

    fn irssi(name: &'static str, world: &mut HostWorld) -> Self {
        let home = world.folder.path().join(name);
        let irc = world.running().irc;
        let person = Self {
            name,
            terminal: Self::open_irssi(name, &home),
            home,
            address: format!("{} {}", irc.ip(), irc.port()),
        };
        let t = &person.terminal;
        t.enter(&format!("/network add -nick {name} soqet"));
        t.wait_for("Network soqet saved");
        t.enter(&format!("/server add -network soqet {}", person.address));
        t.wait_for("saved");
        t.enter("/connect soqet");
        t.wait_for("REGISTER");
        t.enter(&format!("/quote REGISTER * * {}", password(name)));
        t.wait_for("Welcome");
        t.enter(&format!(
            "/network add -sasl_mechanism PLAIN -sasl_username {name} -sasl_password {} soqet",
            password(name)
        ));
        t.enter("/save");
        person
    }

    fn open_irssi(name: &str, home: &Path) -> Terminal {
        let terminal = Terminal::open(name, &format!("exec irssi --home={}", home.display()));
        terminal.wait_for("Irssi");
        terminal
    }

    fn enter(&self, line: &str) {
        self.terminal.enter(line);
    }

    fn sees(&self, text: &str) {
        self.terminal.wait_for(text);
    }

    /// Keeps the screen where the caller of the test wants it.
    fn keep(&self, file: &str, title: &str) {
        if let Some(folder) = std::env::var_os("SOQET_SCREENS") {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder).expect("make the folder of screens");
            let write = |extension: &str, text: &str| {
                std::fs::write(folder.join(format!("{file}.{extension}")), text)
                    .expect("write a screen");
            };
            write("txt", &self.terminal.screen());
            write("svg", &draw(&self.terminal.coloured(), title));
        }
    }
}

fn installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Each text once, and in this order.
fn assert_in_order(screen: &str, texts: &[&str]) {
    let mut after = 0;
    for text in texts {
        assert_eq!(screen.matches(text).count(), 1, "{text} once in\n{screen}");
        let place = screen.find(text).expect("just counted");
        assert!(place >= after, "{text} out of order in\n{screen}");
        after = place;
    }
}

#[test]
fn real_clients_chat_leave_and_find_what_they_missed() {
    for program in ["tmux", "weechat", "irssi"] {
        if !installed(program) {
            eprintln!(
                "SKIPPED: {program} is not installed (apt-get install tmux weechat-curses irssi)"
            );
            return;
        }
    }
    let mut world = HostWorld::new();
    world.start(&Config {
        network: "soQet",
        motd: "Welcome aboard.",
        ..Config::DEFAULT
    });
    let ann = Person::weechat("ann", &mut world);
    let bob = Person::weechat("bob", &mut world);
    let carol = Person::irssi("carol", &mut world);

    // In a room.
    ann.enter("/join -server soqet #lounge");
    ann.sees("#lounge");
    ann.enter("/topic Tea at four");
    bob.enter("/join -server soqet #lounge");
    bob.sees("Tea at four");
    carol.enter("/join #lounge");
    carol.sees("Tea at four");
    ann.sees("carol");
    ann.enter("Hello everybody, this is WeeChat");
    for person in [&bob, &carol] {
        person.sees("Hello everybody, this is WeeChat");
    }
    carol.enter("Hello ann, hello bob, this is irssi");
    for person in [&ann, &bob] {
        person.sees("Hello ann, hello bob, this is irssi");
    }
    bob.enter("大家好");
    for person in [&ann, &carol] {
        person.sees("大家好");
    }

    // Privately.
    ann.enter("/query -server soqet bob Just between us");
    bob.enter("/query -server soqet ann");
    bob.sees("Just between us");
    bob.enter("It is");
    ann.sees("It is");
    ann.enter("/query -server soqet carol");
    carol.enter("/msg ann A word from irssi");
    ann.sees("A word from irssi");

    // Bob leaves and is written to.
    bob.enter("/quit");
    let Person {
        name,
        home,
        address,
        terminal,
    } = bob;
    terminal.wait_end();
    ann.enter("/buffer irc.soqet.#lounge");
    ann.sees("大家好");
    for n in 1..=3 {
        ann.enter(&format!("room message {n}"));
        carol.sees(&format!("room message {n}"));
        carol.enter(&format!("irssi answers {n}"));
        ann.sees(&format!("irssi answers {n}"));
    }
    for n in 1..=3 {
        ann.enter(&format!("/msg -server soqet bob private message {n}"));
    }
    carol.enter("/msg bob and one from carol");
    ann.keep("weechat-room", "WeeChat in a room of soQet");
    carol.keep("irssi-room", "irssi in a room of soQet");

    // He returns: logged in by SCRAM now, and nothing is missing.
    let bob = Person {
        name,
        terminal: Person::open_weechat(name, &home),
        home,
        address,
    };
    bob.enter("/connect soqet");
    // The list of buffers shows the room as soon as he is in it again.
    bob.sees("#lounge");
    bob.enter("/buffer irc.soqet.#lounge");
    bob.sees("irssi answers 3");
    let screen = bob.terminal.screen();
    let missed = [
        "room message 1",
        "irssi answers 1",
        "room message 2",
        "irssi answers 2",
        "room message 3",
        "irssi answers 3",
    ];
    assert_in_order(&screen, &missed);
    bob.keep(
        "weechat-back",
        "Back in WeeChat: what was missed, in order, once",
    );
    bob.enter("/query -server soqet ann");
    bob.sees("private message 3");
    let screen = bob.terminal.screen();
    assert_in_order(
        &screen,
        &[
            "private message 1",
            "private message 2",
            "private message 3",
        ],
    );
    bob.keep("weechat-private", "A private chat kept while bob was away");
    bob.enter("/query -server soqet carol");
    bob.sees("and one from carol");

    // And he is really back.
    bob.enter("/buffer irc.soqet.#lounge");
    bob.enter("I am back");
    for person in [&ann, &carol] {
        person.sees("I am back");
    }

    // The same with irssi, which logs in by PLAIN.
    carol.enter("/disconnect soqet");
    carol.enter("/window 1");
    carol.sees("Connection lost");
    for n in 1..=3 {
        ann.enter(&format!("without carol {n}"));
        bob.sees(&format!("without carol {n}"));
    }
    carol.enter("/connect soqet");
    carol.sees("SASL authentication succeeded");
    carol.enter("/window 2");
    carol.sees("without carol 3");
    assert_in_order(
        &carol.terminal.screen(),
        &["without carol 1", "without carol 2", "without carol 3"],
    );
    carol.enter("I am back too");
    for person in [&ann, &bob] {
        person.sees("I am back too");
    }
}
