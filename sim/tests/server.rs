//! One server, driven call by call: what the simulated world meets too seldom, or never, because its host does everything right.

use soqet_core::config::{Config, Rate};
use soqet_core::id::ConnId;
use soqet_core::memory::{Capacities, Owned};
use soqet_core::server::{Link, Protocol, Sent, Server};
use soqet_core::time::Instant;
use soqet_sim::draw::Draw;
use soqet_sim::store::{Faults, Sabotage, Store};

const CONFIG: Config<'static> = Config {
    iterations: 4096,
    derive_budget: 100_000,
    ..Config::DEFAULT
};

/// A server on a store that answers at once, and its clock.
struct Rig<'a> {
    server: Server<'a>,
    store: Store,
    now: u64,
    size: usize,
}

impl<'a> Rig<'a> {
    fn new(memory: &'a mut Owned, capacities: &Capacities, config: Config<'static>) -> Self {
        let mut server = Server::new(config, memory.borrow(), [7; 32]).unwrap();
        server.set_time(Instant(0), 1_800_000_000_000);
        let mut rig = Self {
            server,
            store: Store::new(
                Draw::new(1, 1),
                Faults::default(),
                Sabotage::None,
                1_000_000,
            ),
            now: 0,
            size: capacities.buffer_size,
        };
        rig.settle();
        rig
    }

    /// Does all that can be done without sending anything. Tells whether there was anything to do.
    fn settle(&mut self) -> bool {
        for round in 0..10_000 {
            let mut rest = true;
            while let Some(effect) = self.server.poll(Instant(self.now)) {
                rest = false;
                self.store
                    .submit(self.now, effect.ticket, &effect.operation);
            }
            while self.store.next_at().is_some_and(|at| at <= self.now) {
                rest = false;
                if let Some(due) = self.store.step(self.now) {
                    self.server
                        .complete(Instant(self.now), due.ticket, due.answer.outcome());
                }
            }
            if rest {
                return round > 0;
            }
        }
        panic!("the server and its store never come to rest");
    }

    fn open(&mut self) -> ConnId {
        self.open_as(Protocol::Irc)
    }

    fn open_as(&mut self, protocol: Protocol) -> ConnId {
        self.open_from(protocol, 0)
    }

    /// From another address: the last byte of an IPv4 one.
    fn open_from(&mut self, protocol: Protocol, last: u8) -> ConnId {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, last]);
        let link = Link {
            protocol,
            encrypted: false,
            loopback: true,
            address,
        };
        self.server.open(Instant(self.now), link).unwrap()
    }

    /// Logs in to ann by PASS; what is answered.
    fn pass(&mut self, last: u8, password: &str) -> String {
        let conn = self.open_from(Protocol::Irc, last);
        self.say(
            conn,
            &format!("PASS {password}\r\nNICK ann\r\nUSER u 0 * :r\r\n"),
        );
        // The key is derived in the next `poll`.
        self.settle();
        let heard = self.hear(conn);
        self.server.close(Instant(self.now), conn);
        self.settle();
        heard
    }

    /// Lines arrive; nothing is sent.
    fn say(&mut self, conn: ConnId, lines: &str) {
        let taken = self
            .server
            .receive(Instant(self.now), conn, lines.as_bytes());
        assert_eq!(taken, lines.len());
        self.settle();
    }

    /// All that a connection is sent until there is nothing more.
    fn hear(&mut self, conn: ConnId) -> String {
        let mut buffer = vec![0; self.size];
        let mut heard = String::new();
        loop {
            match self.server.transmit(Instant(self.now), conn, &mut buffer) {
                Sent::Bytes(n) => {
                    self.server.sent(Instant(self.now), conn, n);
                    heard.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
                    self.settle();
                }
                Sent::Close => return heard + "CLOSE\r\n",
                Sent::Idle if self.settle() => {}
                Sent::Idle => return heard,
            }
        }
    }

    fn under_way(&self) -> (usize, usize) {
        let counts = self.server.counts();
        (counts.requests, counts.appends)
    }

    /// A registered account, online.
    fn person(&mut self, name: &str, caps: &str) -> ConnId {
        let conn = self.open();
        self.say(
            conn,
            &format!("CAP REQ :{caps}\r\nNICK {name}\r\nUSER u 0 * :r\r\n"),
        );
        self.hear(conn);
        self.say(conn, "REGISTER * * password1\r\n");
        self.hear(conn);
        self.say(conn, "CAP END\r\n");
        let heard = self.hear(conn);
        assert!(heard.contains(" 001 "), "{heard}");
        conn
    }
}

fn with(capacities: &Capacities, test: impl FnOnce(&mut Rig<'_>)) {
    let mut memory = Owned::new(capacities);
    test(&mut Rig::new(&mut memory, capacities, CONFIG));
}

#[test]
fn who_guesses_from_many_addresses_locks_nobody_out() {
    let capacities = Capacities {
        throttles: 1000,
        ..Capacities::SMALL
    };
    let config = Config {
        login_address_rate: Rate {
            burst: 5,
            every_ms: 3_600_000,
        },
        ..CONFIG
    };
    let mut memory = Owned::new(&capacities);
    let mut rig = Rig::new(&mut memory, &capacities, config);
    rig.person("ann", "batch");
    // Fifty attempts are the account's, all addresses together; then each address has three more.
    let mut tried = 0;
    for last in 1..=40 {
        for _ in 0..5 {
            tried += usize::from(rig.pass(last, "wrong-password").contains("Wrong name"));
        }
    }
    assert_eq!(tried, 50 + 30 * 3);
    // Their right guess comes too late.
    assert!(rig.pass(40, "password1").contains(" 464 ann :Too many"));
    // The owner is let in from elsewhere, as often as it likes, and after a slip too.
    assert!(rig.pass(200, "pasword1").contains("Wrong name"));
    for _ in 0..20 {
        assert!(rig.pass(200, "password1").contains(" 001 ann "));
    }
}

#[test]
fn a_room_told_again_waits_for_no_message_in_it() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "echo-message");
        rig.say(ann, "JOIN #a\r\n");
        rig.hear(ann);
        rig.say(ann, "PRIVMSG #a :one\r\nJOIN #a\r\nPING two\r\n");
        let heard = rig.hear(ann);
        for part in ["JOIN #a", "PRIVMSG #a :one", " 366 ", "PONG"] {
            assert!(heard.contains(part), "{part}: {heard}");
        }
    });
}

#[test]
fn a_connection_may_go_between_transmit_and_sent() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "echo-message labeled-response batch");
        let bob = rig.person("bob", "echo-message");
        for conn in [ann, bob] {
            rig.say(conn, "JOIN #a\r\n");
            rig.hear(conn);
        }
        rig.hear(ann);
        rig.say(ann, "@label=x PRIVMSG #a :one\r\n");
        let mut buffer = [0; 1024];
        assert!(matches!(
            rig.server.transmit(Instant(0), ann, &mut buffer),
            Sent::Bytes(_)
        ));
        rig.server.close(Instant(0), ann);
        rig.settle();
        assert!(rig.hear(bob).contains(":one"));
        assert_eq!(rig.under_way(), (0, 0));
    });
}

#[test]
fn bans_of_several_pages_are_loaded_once() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch");
        rig.say(ann, "JOIN #a\r\n");
        for n in 0..Capacities::SMALL.bans {
            rig.say(ann, &format!("MODE #a +b {n:040}!*@*\r\n"));
            rig.hear(ann);
        }
        // The room goes out of memory when nobody is online, and others take its place.
        rig.server.close(Instant(rig.now), ann);
        rig.settle();
        let bob = rig.person("bob", "batch");
        for n in 0..Capacities::SMALL.channels {
            rig.say(bob, &format!("JOIN #b{n}\r\nPART #b{n}\r\n"));
            rig.hear(bob);
        }
        rig.say(bob, "MODE #a +b\r\n");
        assert!(rig.hear(bob).contains(" 442 "));
        rig.say(bob, "JOIN #a\r\nMODE #a +b\r\n");
        let heard = rig.hear(bob);
        assert_eq!(
            heard.matches(" 367 ").count(),
            Capacities::SMALL.bans,
            "{heard}"
        );
    });
}

#[test]
fn who_is_disabled_between_login_and_welcome_is_not_welcomed() {
    with(&Capacities::SMALL, |rig| {
        let owner = rig.open_as(Protocol::Control);
        let ann = rig.open();
        rig.say(ann, "CAP LS 302\r\nNICK ann\r\nUSER u 0 * :r\r\n");
        rig.say(ann, "REGISTER * * password1\r\n");
        assert!(rig.hear(ann).contains(" 900 "));
        rig.say(owner, "ACCOUNT DISABLE ann\r\n");
        assert!(rig.hear(owner).contains("DISABLE_DONE"));
        rig.say(ann, "CAP END\r\n");
        let heard = rig.hear(ann);
        assert!(
            heard.contains("disabled") && heard.ends_with("CLOSE\r\n") && !heard.contains(" 001 "),
            "{heard}"
        );
    });
}

#[test]
fn a_message_that_would_fit_no_readers_line_is_refused() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "echo-message message-tags server-time account-tag");
        rig.say(ann, "JOIN #a\r\n");
        rig.hear(ann);
        let text = "x".repeat(490);
        rig.say(
            ann,
            &format!("@+t={} PRIVMSG #a :{text}\r\n", "y".repeat(450)),
        );
        assert!(rig.hear(ann).contains(" 417 "));
        rig.say(ann, &format!("PRIVMSG #a :{text}\r\nPING p\r\n"));
        let heard = rig.hear(ann);
        assert!(heard.contains(&text) && heard.contains("PONG"), "{heard}");
    });
}

/// While the store removes a room, somebody looks at it and somebody joins it.
#[test]
fn who_joins_a_room_that_is_being_removed_makes_it_anew() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch");
        let bob = rig.person("bob", "batch");
        rig.say(ann, "JOIN #a\r\nPART #a\r\n");
        rig.hear(ann);
        for conn in [ann, bob] {
            let lines: &[u8] = if conn == ann {
                b"ROOM REMOVE #a\r\n"
            } else {
                b"NAMES #a\r\nJOIN #a\r\n"
            };
            let taken = rig.server.receive(Instant(rig.now), conn, lines);
            assert_eq!(taken, lines.len());
        }
        rig.settle();
        assert!(rig.hear(ann).contains("NOTE ROOM REMOVE_DONE #a"));
        let heard = rig.hear(bob);
        assert!(heard.contains(" 353 bob = #a :~bob"), "{heard}");
        rig.say(bob, "LUSERS\r\nPART #a\r\n");
        assert!(rig.hear(bob).contains(" 254 bob 1 "));
        // Slots are given back: as often as one likes.
        let before = rig.server.counts().channels;
        for _ in 0..3 * Capacities::SMALL.channels {
            rig.say(bob, "ROOM REMOVE #a\r\nJOIN #a\r\nPART #a\r\n");
            let heard = rig.hear(bob);
            assert!(heard.contains("REMOVE_DONE"), "{heard}");
            rig.now += 60_000;
        }
        assert_eq!(rig.server.counts().channels, before);
    });
}

#[test]
fn that_a_message_is_not_stored_is_told_before_later_replies() {
    with(&Capacities::SMALL, |rig| {
        for caps in ["batch", "echo-message labeled-response batch"] {
            let name = format!("p{}", caps.len());
            let ann = rig.person(&name, caps);
            rig.say(ann, "JOIN #a\r\n");
            rig.hear(ann);
            rig.store.set_faults(Faults {
                refuse: 1_000,
                ..Faults::default()
            });
            rig.say(ann, "@label=x PRIVMSG #a :one\r\nPING p\r\n");
            let heard = rig.hear(ann);
            rig.store.set_faults(Faults::default());
            let (told, rest) = heard.split_once("\r\n").unwrap();
            assert!(told.contains("FAIL PRIVMSG NOT_STORED #a"), "{heard}");
            assert!(rest.contains("PONG"), "{heard}");
        }
    });
}

#[test]
fn a_chat_without_a_word_has_an_empty_history() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch draft/chathistory draft/read-marker");
        rig.person("bob", "batch");
        rig.say(ann, "CHATHISTORY LATEST bob * 10\r\n");
        let heard = rig.hear(ann);
        assert!(
            heard.contains("BATCH +h chathistory bob\r\n") && heard.contains("BATCH -h"),
            "{heard}"
        );
        rig.say(ann, "MARKREAD bob\r\n");
        assert!(rig.hear(ann).contains("MARKREAD bob *"));
        rig.say(ann, "CHATHISTORY LATEST nobody * 10\r\n");
        assert!(rig.hear(ann).contains("INVALID_TARGET"));
    });
}

#[test]
fn replies_overtake_no_entry_after_a_gap() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "echo-message");
        let bob = rig.person("bob", "batch");
        rig.say(ann, "JOIN #b\r\n");
        rig.hear(ann);
        for conn in [ann, bob] {
            rig.say(conn, "JOIN #a\r\n");
            rig.hear(conn);
        }
        rig.hear(ann);
        // The ring forgets the first of these, but not ann's own in their middle.
        let long = "x".repeat(300);
        for round in 0..30 {
            if round == 20 {
                rig.say(ann, "PRIVMSG #a :mine\r\n");
            }
            rig.now += 1_000;
            rig.say(bob, &format!("PRIVMSG #a :{long}\r\n"));
            rig.hear(bob);
        }
        rig.say(ann, "PRIVMSG #b :before the answer\r\nPING z\r\n");
        let heard = rig.hear(ann);
        assert_eq!(heard.matches(" 366 ann #a ").count(), 1, "{heard}");
        assert!(heard.contains("PRIVMSG #a :mine"), "{heard}");
        let place = |part: &str| heard.find(part).unwrap_or_else(|| panic!("{part}: {heard}"));
        assert!(place("PRIVMSG #b :before") < place("PONG"), "{heard}");
    });
}
