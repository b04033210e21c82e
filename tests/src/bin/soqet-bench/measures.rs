//! What is measured, and how.

use std::time::{Duration, Instant};

use memchr::memmem;

use crate::Measure;
use crate::login::{self, join, run_until};
use crate::server::Bench;
use crate::swarm::Swarm;

/// Bytes of every message's text.
const TEXT: usize = 100;
/// How long each run measures.
const RUN: Duration = Duration::from_secs(5);

/// Everything, in the order of the table.
pub const ALL: &[Measure] = &[
    Measure {
        name: "fan-out",
        row: "fan-out, 100 members, 10 senders, 100 B, deliveries/s",
        run: || fan_out(Talk::one_room(100, 10)),
    },
    Measure {
        name: "flood",
        row: "flood (senders fenced by PING only)",
        run: || {
            fan_out(Talk {
                fence: Fence::Ping,
                ..Talk::one_room(100, 10)
            })
        },
    },
    Measure {
        name: "rooms",
        row: "20 channels of 25",
        run: || {
            fan_out(Talk {
                rooms: 20,
                ..Talk::one_room(25, 1)
            })
        },
    },
    Measure {
        name: "tags",
        row: "with message-tags and server-time",
        run: || {
            fan_out(Talk {
                tags: true,
                ..Talk::one_room(100, 10)
            })
        },
    },
    Measure {
        name: "latency",
        row: "latency at 200 msg/s into 100 members, p50 / p99",
        run: latency,
    },
    Measure {
        name: "ping-pong",
        row: "private ping-pong, 50 pairs, round trips/s",
        run: ping_pong,
    },
    Measure {
        name: "idle",
        row: "memory per idle connection at 10,000",
        run: idle,
    },
    Measure {
        name: "connects",
        row: "connects/s up to 10,000",
        run: connects,
    },
    Measure {
        name: "registrations",
        row: "registrations/s",
        run: registrations,
    },
    Measure {
        name: "deaf",
        row: "a member that never reads",
        run: deaf,
    },
];

/// What keeps a sender from running ahead.
#[derive(Clone, Copy, PartialEq)]
enum Fence {
    /// It may be so many messages ahead of what members have received on average.
    Window(u64),
    /// It sends a hundred, then a PING, and goes on at its PONG.
    Ping,
}

/// A conversation at full speed.
#[derive(Clone, Copy)]
struct Talk {
    rooms: usize,
    members: usize,
    senders: usize,
    tags: bool,
    fence: Fence,
}

impl Talk {
    const fn one_room(members: usize, senders: usize) -> Self {
        Self {
            rooms: 1,
            members,
            senders,
            tags: false,
            fence: Fence::Window(1000),
        }
    }
}

/// Keeps count of one sender of one room.
#[derive(Clone, Default)]
struct Sender {
    sent: u64,
    delivered: u64,
    waits_for_pong: bool,
}

/// Rooms full of people; member `m` of room `r` has the number `r * members + m`, senders come first.
struct Rooms {
    talk: Talk,
    swarm: Swarm,
    senders: Vec<Sender>,
    /// For each member and each sender of its room, the number that must come next.
    next: Vec<u32>,
    /// Lines that were out of order, or not understood.
    wrong: u64,
    batch: Vec<u8>,
}

impl Rooms {
    fn open(bench: &mut Bench, talk: Talk) -> Self {
        let address = bench.server().irc;
        let mut swarm = Swarm::new();
        let count = talk.rooms * talk.members;
        login::register(&mut swarm, address, "m", count);
        if talk.tags {
            for number in 0..count {
                swarm.send(number, b"CAP REQ :message-tags server-time\r\n");
            }
            run_until(&mut swarm, "CAP ACK", count, |_, line, _| {
                usize::from(memmem::find(line, b" ACK ").is_some())
            });
        }
        for room in 0..talk.rooms {
            let members = room * talk.members..(room + 1) * talk.members;
            join(&mut swarm, members, &format!("#r{room:02}"));
        }
        // What the joins brought is read before anything counts: each sees its own PONG last.
        for number in 0..count {
            swarm.send(number, b"PING ready\r\n");
        }
        run_until(&mut swarm, "PONG", count, |_, line, _| {
            usize::from(line.ends_with(b"ready"))
        });
        Self {
            talk,
            swarm,
            senders: vec![Sender::default(); talk.rooms * talk.senders],
            next: vec![0; count * talk.senders],
            wrong: 0,
            batch: Vec::new(),
        }
    }

    /// Lets every sender send what its fence allows.
    fn push(&mut self) {
        for index in 0..self.senders.len() {
            let (room, place) = (index / self.talk.senders, index % self.talk.senders);
            let number = room * self.talk.members + place;
            if self.swarm.unsent(number) > 0 {
                continue;
            }
            let sender = &mut self.senders[index];
            let count = match self.talk.fence {
                Fence::Window(window) => {
                    let received = sender.delivered / (self.talk.members as u64 - 1);
                    let room = (window + received).saturating_sub(sender.sent);
                    // In handfuls: a write for each message would measure this client.
                    if room < window / 10 { 0 } else { room }
                }
                Fence::Ping if sender.waits_for_pong => 0,
                Fence::Ping => 100,
            };
            self.batch.clear();
            for _ in 0..count {
                write_message(&mut self.batch, room, place, sender.sent);
                sender.sent += 1;
            }
            if count > 0 && self.talk.fence == Fence::Ping {
                self.batch.extend_from_slice(b"PING fence\r\n");
                sender.waits_for_pong = true;
            }
            if !self.batch.is_empty() {
                self.swarm.send(number, &self.batch);
            }
        }
    }

    /// Reads what has arrived and checks it; gives the number of deliveries.
    fn pull(&mut self, wait: Duration) -> u64 {
        let Talk {
            members, senders, ..
        } = self.talk;
        let mut count = 0;
        self.swarm.turn(wait, |number, line, _| {
            let room = number / members;
            match read_message(line) {
                Some((place, serial)) if place < senders => {
                    let next = &mut self.next[number * senders + place];
                    if *next == serial {
                        *next += 1;
                        self.senders[room * senders + place].delivered += 1;
                        count += 1;
                    } else {
                        self.wrong += 1;
                    }
                }
                _ if line.ends_with(b"fence") => {
                    self.senders[room * senders + number % members].waits_for_pong = false;
                }
                _ => self.wrong += 1,
            }
        });
        count
    }

    fn missing(&self) -> u64 {
        let receivers = self.talk.members as u64 - 1;
        self.senders
            .iter()
            .map(|s| s.sent * receivers - s.delivered)
            .sum()
    }

    /// Talks for a second to warm up, then for as long as is measured, then until everything has arrived. Gives deliveries per
    /// second and the server's processor time for each, in seconds.
    fn talk(&mut self, bench: &mut Bench) -> (f64, f64) {
        let warm = Instant::now() + RUN / 5;
        while Instant::now() < warm {
            self.push();
            self.pull(Duration::from_millis(1));
        }
        let (start, cpu) = (Instant::now(), bench.cpu());
        let mut deliveries = 0;
        while start.elapsed() < RUN {
            self.push();
            deliveries += self.pull(Duration::from_millis(1));
        }
        let (took, cpu) = (start.elapsed().as_secs_f64(), bench.cpu() - cpu);
        (deliveries as f64 / took, cpu / (deliveries as f64).max(1.0))
    }

    /// Reads until everything has arrived; fails when something is lost, repeated or out of order, or somebody was dropped.
    fn settle(&mut self) {
        let deadline = Instant::now() + login::PATIENCE;
        while self.missing() > 0 && Instant::now() < deadline {
            self.pull(Duration::from_millis(100));
        }
        assert_eq!(
            (self.missing(), self.wrong, self.swarm.closed()),
            (0, 0, 0),
            "missing, wrong, disconnected"
        );
    }
}

/// `PRIVMSG #rNN :SS NNNNNNNN xxxx...`, its text a hundred bytes long.
fn write_message(out: &mut Vec<u8>, room: usize, sender: usize, serial: u64) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "PRIVMSG #r{room:02} :{sender:02} {serial:08} ");
    let filler = TEXT - "SS NNNNNNNN ".len();
    out.resize(out.len() + filler, b'x');
    out.extend_from_slice(b"\r\n");
}

/// Sender and serial number of a message, whatever stands before its text.
fn read_message(line: &[u8]) -> Option<(usize, u32)> {
    let (before, text) = line.split_at_checked(line.len().checked_sub(TEXT)?)?;
    if before.last() != Some(&b':') {
        return None;
    }
    let sender = number(text.get(..2)?)?;
    let serial = number(text.get(3..11)?)?;
    Some((sender as usize, serial))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| value.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

fn fan_out(talk: Talk) -> String {
    let mut bench = Bench::start(talk.rooms * talk.members + 100);
    let mut rooms = Rooms::open(&mut bench, talk);
    let (rate, cpu) = rooms.talk(&mut bench);
    rooms.settle();
    format!("{:.2} M ({:.2} us CPU each)", rate / 1e6, cpu * 1e6)
}

fn latency() -> String {
    const EVERY: Duration = Duration::from_millis(5);
    let mut bench = Bench::start(200);
    let mut rooms = Rooms::open(&mut bench, Talk::one_room(100, 10));
    let start = Instant::now();
    let mut sent = Vec::new();
    let mut waits = Vec::new();
    let messages = (2 * RUN.as_millis() / EVERY.as_millis()) as usize;
    while waits.len() < messages * 99 {
        let due = start + EVERY * sent.len() as u32;
        if sent.len() < messages && Instant::now() >= due {
            let mut line = Vec::new();
            let serial = sent.len();
            write_message(&mut line, 0, serial % 10, serial as u64);
            sent.push(Instant::now());
            rooms.swarm.send(serial % 10, &line);
            continue;
        }
        let wait = due.saturating_duration_since(Instant::now()).min(EVERY);
        rooms.swarm.turn(wait, |_, line, _| {
            let (_, serial) = read_message(line).expect("a message");
            waits.push(sent[serial as usize].elapsed());
        });
        assert!(start.elapsed() < login::PATIENCE, "messages are missing");
    }
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("{:.2} / {:.2} ms", at(0.5), at(0.99))
}

fn ping_pong() -> String {
    let mut bench = Bench::start(200);
    let address = bench.server().irc;
    let mut swarm = Swarm::new();
    login::register(&mut swarm, address, "p", 100);
    // The peer of an even one is the odd one after it.
    let lines: Vec<_> = (0..100)
        .map(|n: usize| format!("PRIVMSG p{:02} :{}\r\n", n ^ 1, "x".repeat(TEXT)).into_bytes())
        .collect();
    for number in (0..100).step_by(2) {
        swarm.send(number, &lines[number]);
    }
    let mut hops = 0u64;
    let mut run = |swarm: &mut Swarm, length: Duration| {
        let (start, before) = (Instant::now(), hops);
        while start.elapsed() < length {
            swarm.turn(Duration::from_millis(10), |number, line, answer| {
                if memmem::find(line, b" PRIVMSG ").is_some() {
                    hops += 1;
                    answer.extend_from_slice(&lines[number]);
                }
            });
        }
        (hops - before) as f64 / 2.0 / start.elapsed().as_secs_f64()
    };
    run(&mut swarm, RUN / 5);
    let rate = run(&mut swarm, RUN);
    assert_eq!(swarm.closed(), 0);
    format!("{:.1} k", rate / 1e3)
}

fn idle() -> String {
    const COUNT: usize = 10_000;
    let mut bench = Bench::start(COUNT + 100);
    let address = bench.server().irc;
    let mut swarm = Swarm::new();
    // The first hundred touch what everybody shares.
    login::register(&mut swarm, address, "w", 100);
    let before = bench.memory();
    login::register(&mut swarm, address, "i", COUNT - 100);
    let after = bench.memory();
    let each = after.saturating_sub(before) as f64 / (COUNT - 100) as f64;
    format!("{:.2} KB ({:.0} MB in all)", each / 1e3, after as f64 / 1e6)
}

fn connects() -> String {
    const COUNT: usize = 10_000;
    let mut bench = Bench::start(COUNT + 100);
    let address = bench.server().irc;
    let mut swarm = Swarm::new();
    login::register(&mut swarm, address, "c", COUNT);
    drop(swarm);
    bench.restart();
    let address = bench.server().irc;
    let mut swarm = Swarm::new();
    let start = Instant::now();
    login::log_in(&mut swarm, address, "c", COUNT);
    let rate = COUNT as f64 / start.elapsed().as_secs_f64();
    format!("{rate:.0} (each logs in by SCRAM)")
}

fn registrations() -> String {
    let mut bench = Bench::start(4_100);
    let address = bench.server().irc;
    let measure = |count: usize, prefix: &str, credential: Option<&str>| {
        let mut swarm = Swarm::new();
        let start = Instant::now();
        match credential {
            Some(password) => {
                login::register_with(&mut swarm, address, prefix, count, password);
            }
            None => {
                login::register(&mut swarm, address, prefix, count);
            }
        }
        count as f64 / start.elapsed().as_secs_f64()
    };
    let verifiers = measure(4_000, "v", None);
    let passwords = measure(200, "r", Some("a raw password"));
    format!("{verifiers:.0} by verifier, {passwords:.0} by password")
}

fn deaf() -> String {
    let mut bench = Bench::start(200);
    let mut rooms = Rooms::open(&mut bench, Talk::one_room(100, 10));
    // As long without it, so that what grows is the deaf member's doing.
    rooms.talk(&mut bench);
    rooms.settle();
    let address = bench.server().irc;
    let mut deaf = Swarm::new();
    login::register(&mut deaf, address, "deaf", 1);
    join(&mut deaf, 0..1, "#r00");
    rooms.pull(Duration::from_millis(100));
    rooms.wrong = 0;
    deaf.deafen(0);
    let before = bench.memory();
    let (rate, _) = rooms.talk(&mut bench);
    rooms.settle();
    let grown = bench.memory().saturating_sub(before);
    // It wakes up and is still there.
    let mut other = Swarm::new();
    let number = other.connect(address);
    other.send(number, b"PING x\r\n");
    run_until(&mut other, "the server answers", 1, |_, line, _| {
        usize::from(line.ends_with(b"x"))
    });
    format!(
        "stays; others go on at {:.2} M/s; +{:.1} MB",
        rate / 1e6,
        grown as f64 / 1e6
    )
}
