//! What only a host can suffer: signals, full disks, strange files where its database should be, no descriptors left; and what
//! its operator does from the command line.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use rustix::process::Signal;
use soqet_core::config::{Config, Rate};
use soqet_tests::host::{HostWorld, Server, binary};
use soqet_tests::person::{MODERN, password, texts};
use soqet_tests::{Client, World};

const CONFIG: Config<'static> = Config {
    iterations: 4096,
    flood: Rate {
        burst: 0,
        every_ms: 1,
    },
    ..Config::DEFAULT
};

fn started() -> HostWorld {
    let mut world = HostWorld::new();
    world.start(&CONFIG);
    world
}

fn as_world(world: &mut HostWorld) -> &mut dyn World {
    world
}

/// Starts the server from a shell that sets limits first.
fn resume_limited(world: &mut HostWorld, limits: &str) {
    let serve = world.serve();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" \"$@\""))
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(world.folder.path());
    let log = world.folder.path().join("log");
    world.server = Some(Server::spawn(shell, &log).expect("soqet serve"));
}

/// Expects the server not to start; gives what it says.
fn refused(world: &HostWorld) -> String {
    match Server::spawn(world.serve(), &world.folder.path().join("log")) {
        Ok(_) => panic!("it started"),
        Err(said) => said,
    }
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run soqet");
    let mut stdin = child.stdin.take().expect("piped");
    // What is refused at once may not be waited with: then nobody reads.
    if let Err(error) = stdin.write_all(input.as_bytes()) {
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::BrokenPipe,
            "write its input"
        );
    }
    drop(stdin);
    child.wait_with_output().expect("wait for soqet")
}

fn account(world: &HostWorld, words: &[&str], input: &str) -> Output {
    let mut command = world.soqet();
    command
        .arg("account")
        .args(words)
        .arg("--config")
        .arg(world.folder.path().join("soqet.toml"))
        .arg("--data")
        .arg(world.data());
    run(&mut command, input)
}

fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn sigterm_tells_clients_flushes_and_ends_well() {
    let mut world = started();
    let mut ann = as_world(&mut world).register("ann");
    ann.join("#room");
    let mut stranger = as_world(&mut world).connect("stranger");
    for n in 0..50 {
        ann.send(format_args!("PRIVMSG #room :{n}"));
    }
    world.running().signal(Signal::TERM);
    let (status, _) = world.running().wait();
    assert_eq!(status.code(), Some(0), "{status}");
    let last = ann.expect_closed();
    assert!(last.iter().any(|l| l.is("ERROR")), "{last:#?}");
    let last_stranger = stranger.expect_closed();
    assert!(
        last_stranger.iter().any(|l| l.is("ERROR")),
        "{last_stranger:#?}"
    );
    let echoed: Vec<_> = texts(&last).iter().map(|t| (*t).to_owned()).collect();
    world.resume();
    let mut ann = as_world(&mut world).login("ann");
    ann.fence();
    let history = ann.history("LATEST #room * 100");
    let kept = texts(&history);
    for text in &echoed {
        assert!(kept.contains(&text.as_str()), "{text} was echoed");
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing_acknowledged() {
    let mut world = HostWorld::new();
    world.configure(&CONFIG);
    let data = world.data();
    fs::create_dir_all(&data).expect("make the folder");
    // A disk of 3 MiB that only the server sees, and that goes with it.
    let probe = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none"])
        .arg(&data)
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a small disk needs root and unshare");
        return;
    }
    let serve = world.serve();
    let mut small = Command::new("unshare");
    small
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=3m none \"$0\" && exec \"$@\"")
        .arg(&data)
        .arg(serve.get_program())
        .args(serve.get_args())
        .current_dir(world.folder.path());
    let log = world.folder.path().join("log");
    world.server = Some(Server::spawn(small, &log).expect("soqet serve"));

    let mut ann = as_world(&mut world).register("ann");
    ann.join("#room");
    let filler = "x".repeat(350);
    let mut echoed = 0;
    let refusal = loop {
        ann.send(format_args!("PRIVMSG #room :{echoed} {filler}"));
        let line = ann.expect("an echo or a refusal", |l| {
            l.is("PRIVMSG") || l.is("FAIL") || l.command.starts_with('4')
        });
        if !line.is("PRIVMSG") {
            break line;
        }
        echoed += 1;
        assert!(echoed < 20_000, "the disk does not fill");
    };
    assert!(refusal.is("FAIL"), "{refusal}");
    assert!(echoed > 10, "{echoed} before the disk was full: {refusal}");
    // It still serves what needs no disk.
    ann.fence();
    let is_last = |text: &&str| text.starts_with(&format!("{} ", echoed - 1));
    let page = ann.history("LATEST #room * 5");
    assert!(texts(&page).last().is_some_and(is_last), "{page:#?}");

    // With room again it goes on, and everything is there.
    let pid = world.running().pid().to_string();
    let more = Command::new("nsenter")
        .args([
            "--target",
            &pid,
            "--mount",
            "mount",
            "-o",
            "remount,size=64m",
        ])
        .arg(&data)
        .status();
    assert!(more.expect("run nsenter").success(), "remount");
    ann.say("#room", "room again");
    let mut all = Vec::new();
    let mut page = ann.history("LATEST #room * 100");
    while let Some(first) = page.iter().find(|l| l.is("PRIVMSG")).cloned() {
        all.splice(0..0, texts(&page).iter().map(|t| (*t).to_owned()));
        let id = first.tag("msgid").expect("a msgid");
        page = ann.history(&format!("BEFORE #room msgid={id} 100"));
    }
    assert_eq!(all.pop().as_deref(), Some("room again"));
    assert_eq!(
        all.len(),
        echoed,
        "every echoed message, and none that was refused"
    );
    assert!(!world.log().contains("panicked"));
}

#[test]
fn strange_databases_are_refused_and_left_alone() {
    // No database at all; the beginning of one, torn; somebody else's.
    let foreign = {
        let folder = soqet_tests::host::TempDir::new();
        let path = folder.path().join("foreign.db");
        let connection = Connection::open(&path).expect("make a database");
        connection
            .execute_batch("CREATE TABLE account (id INTEGER, theirs TEXT); INSERT INTO account VALUES (1, 'x');")
            .expect("fill it");
        drop(connection);
        fs::read(path).expect("read it")
    };
    for (what, content) in [
        (
            "rubbish",
            b"this is no database at all, but a text\n".repeat(100),
        ),
        ("another program's", foreign),
    ] {
        let world = HostWorld::new();
        world.configure(&CONFIG);
        fs::create_dir_all(world.data()).expect("make the folder");
        let path = world.data().join("soqet.db");
        fs::write(&path, &content).expect("write the file");
        let said = refused(&world);
        assert!(said.contains("soqet.db"), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(
            fs::read(&path).expect("read the file") == content,
            "{what} was changed"
        );
    }
}

#[test]
fn a_damaged_database_is_refused_and_left_alone() {
    let mut world = started();
    let mut ann = as_world(&mut world).register("ann");
    ann.join("#room");
    for n in 0..200 {
        ann.say("#room", n);
    }
    world.running().stop();
    world.server = None;
    let path = world.data().join("soqet.db");
    let mut content = fs::read(&path).expect("read the database");
    let length = content.len();
    // The first page stays, so that it still looks like ours.
    content[4096..length.min(5 * 4096)].fill(0xa5);
    fs::write(&path, &content).expect("damage it");
    let said = refused(&world);
    assert!(
        said.contains("soqet.db") && said.contains("damaged"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    assert!(fs::read(&path).expect("read it again") == content);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let mut world = started();
    let mut ann = as_world(&mut world).register("ann");
    let said = refused(&world);
    assert!(said.contains("already running"), "{said}");
    ann.fence();
}

#[test]
fn what_is_refused_leaves_no_folder_behind() {
    let world = HostWorld::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").to_string();
    for (words, input, part) in [
        (&["--irc", &*port][..], "", "Another program listens there"),
        (
            &["account", "add", "ann", "--password-stdin"],
            "short\n",
            "too short",
        ),
        (
            &["account", "add", "1st", "--password-stdin"],
            "a long password\n",
            "a nick is 1 to 23",
        ),
        (&["account", "list"], "", "no data folder"),
    ] {
        let mut soqet = world.soqet();
        soqet.args(words);
        let output = run(&mut soqet, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(part),
            "{words:?}: {said}"
        );
    }
    // A value of the environment is blamed on the environment.
    let mut soqet = world.soqet();
    soqet.env("SOQET_IRC", "localhost");
    let said = run(&mut soqet, "").stderr;
    assert!(String::from_utf8_lossy(&said).contains("variable SOQET_IRC"));
    assert_eq!(
        fs::read_dir(world.folder.path())
            .expect("its entries")
            .count(),
        0
    );
}

#[test]
fn no_descriptors_left() {
    let mut world = started();
    as_world(&mut world).register("ann").join("#room");
    world.running().stop();
    resume_limited(&mut world, "ulimit -n 64");
    let mut ann = as_world(&mut world).login("ann");
    ann.fence();
    // More than it can take. Each is served, told so in words, or left in the queue; nobody else notices.
    let mut others: Vec<Client> = (0..100)
        .filter_map(|_| world.dial(None).ok())
        .map(|wire| Client::new("other", wire))
        .collect();
    ann.say("#room", "still here");
    assert!(others.len() > 60);
    // One that was told so.
    let told = others.iter_mut().any(|other| {
        other
            .poll(std::time::Duration::from_millis(20))
            .is_some_and(|l| l.is("ERROR"))
    });
    assert!(told, "the one too many is told");
    drop(others);
    // They are gone, so there is room.
    loop {
        let mut bob = as_world(&mut world).connect("bob");
        bob.send("PING room");
        match bob.poll(soqet_tests::world::PATIENCE) {
            Some(line) if line.is("PONG") => break,
            _ => ann.say("#room", "not yet"),
        };
    }
    assert!(!world.log().contains("panicked"));
}

#[test]
fn accounts_from_the_command_line() {
    let mut world = started();
    // On a running server.
    stdout(&account(
        &world,
        &[
            "add",
            "ann",
            "--password-stdin",
            "--owner",
            "--title",
            "captain",
        ],
        "a password of hers\n",
    ));
    let mut ann = as_world(&mut world).connect("ann");
    ann.introduce("ann", MODERN);
    ann.scram("ann", "a password of hers");
    ann.expect_command("903");
    ann.send("CAP END");
    ann.welcomed();
    ann.join("#room");
    let shown = stdout(&account(&world, &["show", "ann"], ""));
    for part in ["ann", "captain", "owner", "#room"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    stdout(&account(&world, &["disable", "ann"], ""));
    ann.expect_closed();
    // On a stopped one.
    world.running().stop();
    world.server = None;
    assert_eq!(
        stdout(&account(&world, &["enable", "ANN"], "")),
        "ann can log in again.\n"
    );
    stdout(&account(
        &world,
        &["passwd", "ann", "--password-stdin"],
        "another password\n",
    ));
    assert_eq!(
        stdout(&account(
            &world,
            &["title", "ann", "first mate", "cook"],
            "",
        )),
        "The titles of ann are now first mate,cook.\n"
    );
    assert_eq!(
        stdout(&account(&world, &["list", "x"], "")),
        "No account's name begins with x.\n"
    );
    stdout(&account(
        &world,
        &["add", "bob", "--password-stdin"],
        "a password of his\n",
    ));
    let listed = stdout(&account(&world, &["list", "--json"], ""));
    for part in ["\"ann\"", "\"bob\"", "\"first mate\"", "\"cook\""] {
        assert!(listed.contains(part), "{part} in\n{listed}");
    }
    stdout(&account(&world, &["remove", "bob", "--yes"], ""));
    for (words, input) in [
        (&["show", "bob"][..], ""),
        (&["remove", "bob", "--yes"], ""),
        (&["add", "ann", "--password-stdin"], "a long password\n"),
        (&["add", "1nvalid", "--password-stdin"], "a long password\n"),
        (&["add", "carol", "--password-stdin"], "\n"),
        (&["remove", "ann"], "no\n"),
    ] {
        let output = account(&world, words, input);
        assert!(!output.status.success(), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.starts_with("soqet:") && !said.contains("panicked"),
            "{words:?}: {said}"
        );
    }
    // And all of it holds when the server runs again.
    world.resume();
    let mut ann = as_world(&mut world).connect("ann");
    ann.introduce("ann", MODERN);
    ann.scram("ann", "another password");
    ann.expect_command("903");
}

#[test]
fn what_the_file_says_cannot_be_changed_over_irc() {
    let mut world = started();
    let mut ann = as_world(&mut world).register("ann");
    ann.send("CONFIG SET history.page 5");
    let refused = ann.expect_command("FAIL");
    assert!(
        refused.raw.contains("CONFIG FIXED history.page"),
        "{refused}"
    );
}

#[test]
fn the_log_tells_no_secrets() {
    let mut world = HostWorld::new();
    world.configure(&CONFIG);
    let mut serve = world.serve();
    serve.args(["--log", "trace"]);
    let log = world.folder.path().join("log");
    world.server = Some(Server::spawn(serve, &log).expect("soqet serve"));
    let mut ann = as_world(&mut world).register("ann");
    ann.join("#room");
    ann.say("#room", "the secret text");
    let mut other = as_world(&mut world).connect("ann");
    other.introduce("ann", MODERN);
    other.plain("ann", "a secret guess");
    other.expect_command("904");
    other.plain("ann", &password("ann"));
    other.expect_command("903");
    ann.send("ACCOUNT PASSWD * :the secret password");
    ann.expect_command("NOTE");
    world.running().stop();
    let log = world.log();
    assert!(!log.is_empty(), "it logs");
    let plain = soqet_tests::scram::encode(format!("\0ann\0{}", password("ann")).as_bytes());
    for secret in ["secret", password("ann").as_str(), plain.as_str(), ",p="] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[test]
fn the_database_is_readable_with_ordinary_tools() {
    let mut world = started();
    let mut ann = as_world(&mut world).register("ann");
    ann.join("#room");
    ann.say("#room", "for the archive");
    world.running().stop();
    let connection = Connection::open(world.data().join("soqet.db")).expect("open the database");
    let found: (String, String, String) = connection
        .query_row(
            "SELECT channel.name, message.nick, message.text FROM message JOIN channel ON channel.id = message.channel
             WHERE message.kind = 'privmsg'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("the message");
    assert_eq!(
        (found.0.as_str(), found.1.as_str(), found.2.as_str()),
        ("#room", "ann", "for the archive")
    );
}

#[test]
fn the_environment_and_the_options_are_heard() {
    let world = HostWorld::new();
    let data = world.folder.path().join("from the environment");
    let mut serve = world.soqet();
    serve
        .env("SOQET_DATA", &data)
        .env("SOQET_IRC", "127.0.0.1:0");
    let server = Server::spawn(serve, &world.folder.path().join("log")).expect("soqet");
    assert_ne!(server.irc.port(), 0);
    assert!(data.join("soqet.db").exists());
    drop(server);
    let mut nonsense = Command::new(binary());
    nonsense.args(["serve", "--irc", "nonsense"]);
    let output = run(&mut nonsense, "");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--irc"));
}
