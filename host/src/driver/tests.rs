//! The driver with a real server and store, over socket pairs and loopback. Time-outs only end a test that has failed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use soqet_core::config::{Config, Rate};
use soqet_core::memory::{Capacities, Owned};
use soqet_core::server::{Link, Protocol, Server};

use super::{Driver, Listener, OPERATORS, Wakes, operator_link};
use crate::store::{Died, Handle, Sqlite};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

struct Rig {
    wakes: Arc<Wakes>,
    thread: Option<JoinHandle<Result<(), Died>>>,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// A server without flood control for so many connections, with some already connected.
    fn start<const N: usize>(
        connections: usize,
        listeners: Vec<Listener>,
    ) -> (Self, [UnixStream; N]) {
        let folder = tempfile::tempdir().unwrap();
        let wakes = Arc::new(Wakes::default());
        let store = Handle::start(Sqlite::open(folder.path()).unwrap(), {
            let wakes = Arc::clone(&wakes);
            move || wakes.wake()
        })
        .unwrap();
        let pairs = [(); N].map(|()| UnixStream::pair().unwrap());
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let thread = std::thread::spawn({
            let wakes = Arc::clone(&wakes);
            move || {
                let config = Config {
                    flood: Rate {
                        burst: 0,
                        every_ms: 1,
                    },
                    ..Config::DEFAULT
                };
                let capacities = Capacities::for_connections(connections + OPERATORS);
                let mut memory = Owned::new(&capacities);
                let server = Server::new(config, memory.borrow(), [7; 32]).unwrap();
                let mut driver = Driver::new(server, &capacities, store, wakes, listeners);
                for socket in theirs {
                    socket.set_nonblocking(true).unwrap();
                    let link = Link {
                        protocol: Protocol::Irc,
                        ..operator_link()
                    };
                    driver.adopt(OwnedFd::from(socket).into(), link);
                }
                driver.run()
            }
        });
        let rig = Self {
            wakes,
            thread: Some(thread),
            _folder: folder,
        };
        for stream in &ours {
            stream.set_read_timeout(PATIENCE).unwrap();
            stream.set_write_timeout(PATIENCE).unwrap();
        }
        (rig, ours.try_into().unwrap())
    }

    fn stop(mut self) {
        self.wakes.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

/// Reads lines up to and with one that contains `part`.
fn read_to(reader: &mut impl std::io::BufRead, part: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(
            reader.read_line(&mut line).unwrap(),
            0,
            "closed before {part}: {lines:?}"
        );
        let found = line.contains(part);
        lines.push(line);
        if found {
            return lines;
        }
    }
}

#[test]
fn an_end_of_stream_that_comes_with_data_is_not_lost() {
    let (rig, [mut client]) = Rig::start(4, Vec::new());
    client.write_all(b"PING one\r\nPING two\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.contains("one") && text.contains("two"), "{text}");
    rig.stop();
}

#[test]
fn input_arrives_in_any_pieces() {
    let (rig, [mut client]) = Rig::start(4, Vec::new());
    for byte in b"PING piecemeal\r\n" {
        client.write_all(&[*byte]).unwrap();
    }
    read_to(&mut BufReader::new(client), "piecemeal");
    rig.stop();
}

#[test]
fn who_does_not_read_is_held_back_and_loses_nothing() {
    const PINGS: usize = 200_000;
    let (rig, [flood, calm]) = Rig::start(4, Vec::new());
    let writer = std::thread::spawn({
        let mut flood = flood.try_clone().unwrap();
        move || {
            let lines: String = (0..PINGS)
                .map(|n| format!("PING :{n}-{:050}\r\n", 0))
                .collect();
            flood.write_all(lines.as_bytes()).unwrap();
        }
    });
    // Somebody else is served meanwhile, again and again.
    let mut calm = BufReader::new(calm);
    for n in 0..100 {
        calm.get_mut()
            .write_all(format!("PING calm-{n}\r\n").as_bytes())
            .unwrap();
        read_to(&mut calm, &format!("calm-{n}"));
    }
    assert!(!writer.is_finished(), "the buffers are not without bounds");
    let mut flood = BufReader::new(flood);
    for n in 0..PINGS {
        let lines = read_to(&mut flood, "PONG");
        assert!(
            lines.last().unwrap().contains(&format!(":{n}-")),
            "{n}: {lines:?}"
        );
    }
    writer.join().unwrap();
    rig.stop();
}

#[test]
fn one_too_many_is_told_and_the_operator_still_gets_in() {
    let listener = Listener::irc("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("door");
    let operators = Listener::control(UnixListener::bind(&door).unwrap()).unwrap();
    let (rig, []) = Rig::start(2, vec![listener, operators]);
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(PATIENCE).unwrap();
        BufReader::new(stream)
    };
    let served = |client: &mut BufReader<TcpStream>| {
        client.get_mut().write_all(b"PING here\r\n").is_ok()
            && client
                .lines()
                .any(|line| line.is_ok_and(|line| line.contains("here")))
    };
    let (mut one, mut two) = (connect(), connect());
    assert!(served(&mut one) && served(&mut two));
    let mut text = String::new();
    connect().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("ERROR :"), "{text}");
    // But not the operator.
    let mut operator = UnixStream::connect(&door).unwrap();
    operator.set_read_timeout(PATIENCE).unwrap();
    operator.write_all(b"ACCOUNT LIST\r\n").unwrap();
    read_to(&mut BufReader::new(operator), "ACCOUNT END");
    drop(one);
    // The server learns of it in its own time.
    while !served(&mut connect()) {}
    rig.stop();
}

#[test]
fn a_reset_leaves_no_trace() {
    let listener = Listener::irc("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let (rig, [client]) = Rig::start(64, vec![listener]);
    for _ in 0..50 {
        let stream = socket2::Socket::from(TcpStream::connect(address).unwrap());
        (&stream).write_all(b"PING a\r\nPI").unwrap();
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut client = BufReader::new(client);
    client.get_mut().write_all(b"PING still\r\n").unwrap();
    read_to(&mut client, "still");
    rig.stop();
}

#[test]
fn stopping_tells_everybody_and_closes() {
    let listener = Listener::irc("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let (rig, [client]) = Rig::start(4, vec![listener]);
    let mut client = BufReader::new(client);
    client.get_mut().write_all(b"PING up\r\n").unwrap();
    read_to(&mut client, "up");
    rig.stop();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.contains("ERROR :"), "{text}");
    assert!(TcpStream::connect(address).is_err());
}
