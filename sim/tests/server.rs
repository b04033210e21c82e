//! One server, driven call by call: what the simulated world meets too seldom, or never, because its host does everything right.

use soqet_core::config::{Config, Rate};
use soqet_core::id::ConnId;
use soqet_core::memory::{Capacities, Owned};
use soqet_core::server::{Link, Protocol, Sent, Server};
use soqet_core::store::{Operation, Outcome};
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

    /// Lines arrive while others are still under way.
    fn meanwhile(&mut self, conn: ConnId, lines: &str) {
        let taken = self
            .server
            .receive(Instant(self.now), conn, lines.as_bytes());
        assert_eq!(taken, lines.len());
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

/// A server that lets guests in.
fn with_guests(test: impl FnOnce(&mut Rig<'_>)) {
    let capacities = Capacities::SMALL;
    let config = Config {
        guests: true,
        ..CONFIG
    };
    let mut memory = Owned::new(&capacities);
    test(&mut Rig::new(&mut memory, &capacities, config));
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
        let place = |part: &str| {
            heard
                .find(part)
                .unwrap_or_else(|| panic!("{part}: {heard}"))
        };
        assert!(place("PRIVMSG #b :before") < place("PONG"), "{heard}");
    });
}

#[test]
fn two_devices_that_join_at_once_are_one_member() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch");
        let bob = rig.person("bob", "batch");
        let other = rig.open();
        rig.say(other, "PASS password1\r\nNICK ann\r\nUSER u 0 * :r\r\n");
        rig.settle();
        assert!(rig.hear(other).contains(" 001 "));
        rig.say(bob, "JOIN #a\r\nMODE #a +l 2\r\n");
        for conn in [ann, other] {
            rig.meanwhile(conn, "JOIN #a\r\n");
        }
        rig.settle();
        let heard = rig.hear(bob);
        assert_eq!(
            heard.matches(":ann!ann@soqet.local JOIN").count(),
            1,
            "{heard}"
        );
        for conn in [ann, other] {
            let heard = rig.hear(conn);
            assert!(heard.contains(" 366 ann #a "), "{heard}");
        }
        // One counted, so one more may come when she goes.
        rig.say(ann, "PART #a\r\n");
        let eve = rig.person("eve", "batch");
        rig.say(eve, "JOIN #a\r\n");
        let heard = rig.hear(eve);
        assert!(heard.contains(" 366 eve #a "), "{heard}");
    });
}

#[test]
fn who_joins_while_being_invited_is_in() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch");
        let bob = rig.person("bob", "batch");
        rig.say(ann, "JOIN #a\r\n");
        rig.hear(ann);
        rig.meanwhile(bob, "JOIN #a\r\n");
        rig.meanwhile(ann, "INVITE bob #a\r\n");
        rig.settle();
        assert!(rig.hear(ann).contains(" 443 ann bob #a "));
        rig.say(bob, "PRIVMSG #a :here\r\n");
        let heard = rig.hear(bob);
        assert!(!heard.contains(" 404 "), "{heard}");
        assert!(rig.hear(ann).contains("PRIVMSG #a :here"));
    });
}

#[test]
fn a_ban_for_which_memory_has_no_slot_counts_all_the_same() {
    let capacities = Capacities {
        bans: 1,
        ..Capacities::SMALL
    };
    with(&capacities, |rig| {
        let people = ["ann", "bob"].map(|name| rig.person(name, "batch"));
        let eve = rig.person("eve", "batch");
        for (conn, room) in people.into_iter().zip(["#a", "#b"]) {
            rig.say(conn, &format!("JOIN {room}\r\n"));
            rig.hear(conn);
        }
        for (conn, room) in people.into_iter().zip(["#a", "#b"]) {
            rig.meanwhile(conn, &format!("MODE {room} +b eve\r\n"));
        }
        rig.settle();
        for room in ["#a", "#b"] {
            rig.say(eve, &format!("JOIN {room}\r\n"));
            let heard = rig.hear(eve);
            assert!(!heard.contains(" 366 "), "{heard}");
        }
    });
}

#[test]
fn a_guest_gone_before_its_account_is_made_leaves_nothing() {
    with_guests(|rig| {
        let gus = rig.open();
        rig.meanwhile(gus, "NICK gus\r\nUSER u 0 * :r\r\n");
        while let Some(effect) = rig.server.poll(Instant(rig.now)) {
            rig.store.submit(rig.now, effect.ticket, &effect.operation);
        }
        rig.server.close(Instant(rig.now), gus);
        rig.settle();
        // The name is free, and who takes it is the first, and so the owner.
        let gus = rig.person("gus", "batch");
        rig.say(gus, "ACCOUNT LIST\r\n");
        let heard = rig.hear(gus);
        assert!(heard.contains("ENTRY gus owner "), "{heard}");
    });
}

#[test]
fn a_guest_gone_while_it_joins_leaves_the_room() {
    with_guests(|rig| {
        let bob = rig.person("bob", "batch");
        rig.say(bob, "JOIN #a\r\n");
        rig.hear(bob);
        let gus = rig.open();
        rig.say(gus, "NICK gus\r\nUSER u 0 * :r\r\n");
        rig.hear(gus);
        rig.meanwhile(gus, "JOIN #a\r\n");
        // The store does not know whether it has stored the joining, and is asked again later.
        let mut asked = false;
        while !asked {
            while let Some(effect) = rig.server.poll(Instant(rig.now)) {
                let ticket = effect.ticket;
                if matches!(effect.operation, Operation::Append(_)) {
                    asked = true;
                    rig.server
                        .complete(Instant(rig.now), ticket, Outcome::Unknown);
                } else {
                    rig.store.submit(rig.now, ticket, &effect.operation);
                }
            }
            while let Some(due) = rig.store.step(rig.now) {
                rig.server
                    .complete(Instant(rig.now), due.ticket, due.answer.outcome());
            }
        }
        rig.server.close(Instant(rig.now), gus);
        rig.settle();
        rig.now += 1_000;
        rig.settle();
        let heard = rig.hear(bob);
        for part in ["gus@soqet.local JOIN", "gus@soqet.local PART"] {
            assert!(heard.contains(part), "{part}: {heard}");
        }
    });
}

#[test]
fn of_guests_that_register_at_once_one_is_the_owner() {
    with_guests(|rig| {
        let guests = ["gus", "guy"].map(|name| {
            let conn = rig.open();
            rig.say(conn, &format!("NICK {name}\r\nUSER u 0 * :r\r\n"));
            rig.hear(conn);
            conn
        });
        for conn in guests {
            rig.meanwhile(conn, "REGISTER * * password1\r\n");
        }
        rig.settle();
        // Who waited for the first tries again a little later.
        rig.now += 1_000;
        rig.settle();
        let mut owners = 0;
        for conn in guests {
            let heard = rig.hear(conn);
            assert!(heard.contains("REGISTER SUCCESS"), "{heard}");
            rig.say(conn, "ACCOUNT LIST\r\n");
            owners += usize::from(rig.hear(conn).contains("NOTE ACCOUNT END"));
        }
        assert_eq!(owners, 1);
    });
}

#[test]
fn a_registration_that_waits_for_the_first_is_not_given_up() {
    let capacities = Capacities {
        handshakes: 3,
        ..Capacities::SMALL
    };
    with(&capacities, |rig| {
        let key = format!("{}=", "A".repeat(43));
        let verifier = format!("SCRAM-SHA-256$4096:{}==${key}:{key}", "A".repeat(22));
        let people = ["ann", "bob", "eve", "dan"].map(|name| {
            let conn = rig.open();
            let register = format!("NICK {name}\r\nREGISTER * * {verifier}\r\n");
            rig.meanwhile(conn, &register);
            conn
        });
        rig.settle();
        let heard = people.map(|conn| rig.hear(conn));
        let refused = heard
            .each_ref()
            .map(|heard| heard.contains("FAIL REGISTER"));
        assert_eq!(refused, [false, false, false, true], "{heard:?}");
        rig.now += 1_000;
        rig.settle();
        assert!((heard[2].clone() + &rig.hear(people[2])).contains("REGISTER SUCCESS"));
    });
}

#[test]
fn a_rate_set_too_low_by_mistake_can_be_set_right() {
    with(&Capacities::SMALL, |rig| {
        let ann = rig.person("ann", "batch");
        let operator = rig.open_as(Protocol::Control);
        let set = |rig: &mut Rig<'_>, name: &str, value: &str| {
            rig.say(operator, &format!("CONFIG SET {name} {value}\r\n"));
            let heard = rig.hear(operator);
            assert!(heard.contains(&format!("SET_DONE {name} ")), "{heard}");
        };
        set(rig, "limits.login", "2/86400000");
        for _ in 0..2 {
            rig.pass(1, "wrong-password");
        }
        assert!(rig.pass(1, "password1").contains("Too many"));
        set(rig, "limits.flood", "2/86400000");
        rig.say(ann, "PING 1\r\nPING 2\r\nPING 3\r\n");
        let heard = rig.hear(ann);
        assert!(!heard.contains("PONG soqet.local :3"), "{heard}");
        set(rig, "limits.flood", "60/100");
        set(rig, "limits.login", "5/30000");
        // The first line more shows a clock that ran ahead.
        rig.now += 1_000;
        rig.settle();
        let heard = rig.hear(ann);
        assert!(heard.contains("PONG soqet.local :3"), "{heard}");
        assert!(rig.pass(1, "password1").contains(" 001 "));
    });
}

#[test]
fn a_setting_of_two_words_needs_no_colon_and_one_too_long_is_refused() {
    with(&Capacities::SMALL, |rig| {
        let operator = rig.open_as(Protocol::Control);
        let long = "0".repeat(70) + "7";
        for (line, answer) in [
            (
                "accounts.registration invite open-sesame",
                "is invite open-sesame from now on",
            ),
            ("accounts.registration invite open sesame", "INVALID_VALUE"),
            (&*format!("history.page {long}"), "INVALID_VALUE"),
            ("history.page", "INVALID_VALUE"),
        ] {
            rig.say(operator, &format!("CONFIG SET {line}\r\n"));
            let heard = rig.hear(operator);
            assert!(heard.contains(answer), "{heard}");
        }
    });
}

#[test]
fn more_appends_than_can_be_counted_are_refused() {
    let capacities = Capacities {
        appends: 65_536,
        ..Capacities::SMALL
    };
    let mut memory = Owned::new(&capacities);
    assert!(Server::new(CONFIG, memory.borrow(), [7; 32]).is_err());
}
