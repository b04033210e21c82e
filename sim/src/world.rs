//! The event loop: one server, many clients, one store, on virtual time. Nothing happens that the seed did not decide.
//!
//! First come the faults, then all heals, and then the run must come to rest with everybody seeing the same.

mod network;
mod verdict;

use std::collections::BTreeSet;

use soqet_core::id::ConnId;
use soqet_core::memory::Owned;
use soqet_core::server::Server;
use soqet_core::time::Instant;

use crate::client::Client;
use crate::client::scram::Salted;
use crate::draw::Draw;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::store::{Sabotage, Store};
use crate::trace::Trace;

use network::Link;

/// Unix time at the beginning of every world, milliseconds.
const EPOCH: u64 = 1_795_369_414_000;
/// How long it may take until all are at rest, virtual milliseconds.
const PATIENCE_MS: u64 = 20 * 60_000;
/// Rounds at one and the same moment after which it is not believed that the moment ever ends.
const MOST_ROUNDS: u32 = 20_000;

/// How a run can be varied from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many of the last events to keep in words.
    pub trace: usize,
    /// How the store breaks its contract.
    pub sabotage: Sabotage,
}

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Faults happen.
    Chaos,
    /// They are over, and all must come to rest.
    Healing,
    /// All is at rest, and everybody asks for everything.
    Asking,
    /// The end.
    Done,
}

/// Why a server's life ended.
enum End {
    Crash,
    Done,
}

/// What was counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused.
    pub refused: u64,
    /// Crashes.
    pub crashes: u64,
    /// Gaps clients were told of.
    pub gaps: u64,
    /// Logins that failed in spite of the right password.
    pub failed_logins: u64,
    /// Bytes clients were sent.
    pub bytes: u64,
}

/// Everything but the server itself.
pub struct World {
    plan: Plan,
    draw: Draw,
    now: u64,
    phase: Phase,
    heal_at: u64,
    crash_at: u64,
    crash_after: Option<u64>,
    skew: i64,
    time_told_at: u64,
    woken_at: u64,
    quiet_since: Option<u64>,
    last_words_by: u64,
    store: Store,
    clients: Vec<Client>,
    waiting: Vec<(u64, usize)>,
    links: Vec<Link>,
    oracle: Oracle,
    salted: Salted,
    registered: BTreeSet<String>,
    counts: Counts,
    buffer: Vec<u8>,
    /// What happened.
    pub trace: Trace,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, options: Options) -> Self {
        let mut draw = Draw::new(seed, 1);
        let plan = Plan::draw(&mut draw);
        let clients = plan
            .roles
            .iter()
            .map(|role| Client::new(role.clone(), draw.fork(), draw.between(0, 3_000)))
            .collect();
        let store = Store::new(draw.fork(), plan.faults, options.sabotage, plan.slack);
        let mut trace = Trace::new(options.trace);
        trace.words(0, format!("{plan:?}"));
        Self {
            heal_at: plan.chaos_ms,
            buffer: vec![0; plan.capacities.buffer_size],
            plan,
            draw,
            now: 0,
            phase: Phase::Chaos,
            crash_at: u64::MAX,
            crash_after: None,
            skew: 0,
            time_told_at: u64::MAX,
            woken_at: 0,
            quiet_since: None,
            last_words_by: 0,
            store,
            clients,
            waiting: Vec::new(),
            links: Vec::new(),
            oracle: Oracle::default(),
            salted: Salted::default(),
            registered: BTreeSet::new(),
            counts: Counts::default(),
            trace,
        }
    }

    /// Runs to the end, or to the first objection.
    pub fn run(&mut self) {
        while self.phase != Phase::Done && self.oracle.failure().is_none() {
            let mut seed = [0; 32];
            self.draw.fill(&mut seed);
            self.begin_life();
            let mut memory = Owned::new(&self.plan.capacities);
            match Server::new(self.plan.config, memory.borrow(), seed) {
                Ok(mut server) => match self.live(&mut server) {
                    End::Crash => self.crash(),
                    End::Done => return,
                },
                Err(why) => self.oracle.object(format!("the plan is bad: {why:?}")),
            }
        }
    }

    /// The first objection.
    pub fn failure(&self) -> Option<&str> {
        self.oracle.failure()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Virtual time, milliseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Messages meant, acknowledged, failed.
    pub fn messages(&self) -> (u64, u64, u64) {
        self.oracle.counts()
    }

    /// Entries committed.
    pub fn commits(&self) -> u64 {
        self.oracle.ledger.count()
    }

    fn begin_life(&mut self) {
        let life = self.plan.life_ms.filter(|_| self.phase == Phase::Chaos);
        self.crash_at = u64::MAX;
        self.crash_after = None;
        if let Some(life) = life {
            self.crash_at = self.now + self.draw.between(life / 4, life * 2);
            if self.draw.chance(500) {
                // Between a commit and its answer.
                let work = self.store.executed() + self.draw.between(20, 2_000);
                self.crash_after = Some(work);
            }
        }
        let skew = self.plan.skew_ms;
        self.skew = self.draw.between(0, 2 * skew) as i64 - skew as i64;
        self.time_told_at = self.now + self.plan.clockless_ms;
    }

    fn wall(&self) -> u64 {
        (EPOCH + self.now).saturating_add_signed(self.skew)
    }

    /// The power goes, and comes back after a while.
    fn crash(&mut self) {
        self.counts.crashes += 1;
        self.trace.note(self.now, "crash", self.counts.crashes, &[]);
        self.store.crash(self.now);
        self.take_commits();
        self.oracle.verify_store(&self.store.tables);
        for link in &mut self.links {
            link.crash(self.now, &mut self.draw);
        }
        let pause = self.draw.between(5, 3_000);
        let back_at = self.now + pause;
        // Who waits to be accepted is refused.
        for (at, _) in &mut self.waiting {
            *at = (*at).max(self.now);
        }
        while self.now < back_at && self.oracle.failure().is_none() {
            let next = self.next_without_server().unwrap_or(back_at).min(back_at);
            self.now = self.now.max(next);
            self.refuse_waiting();
            self.deliver_to_clients();
            self.act();
        }
    }

    fn live(&mut self, server: &mut Server<'_>) -> End {
        self.trace.note(self.now, "start", self.skew as u64, &[]);
        let mut rounds = 0;
        let mut moment = self.now;
        self.settle(server);
        loop {
            if self.oracle.failure().is_some() {
                return End::Done;
            }
            let wake = server.poll_at().map(|at| at.0.max(self.woken_at + 1));
            let next = [
                self.next_without_server(),
                self.store.next_at(),
                wake,
                Some(self.crash_at),
                Some(self.time_told_at),
                (self.phase == Phase::Chaos).then_some(self.heal_at),
            ];
            let next = next.into_iter().flatten().min().unwrap_or(self.now + 1);
            self.now = self.now.max(next);
            if self.now > moment {
                (moment, rounds) = (self.now, 0);
            }
            rounds += 1;
            if rounds > MOST_ROUNDS {
                self.oracle
                    .object(format!("the moment {moment} does not end; wake {wake:?}"));
            }
            if self.now >= self.crash_at {
                return End::Crash;
            }
            if self.now >= self.time_told_at {
                self.time_told_at = u64::MAX;
                let wall = self.wall();
                server.set_time(Instant(self.now), wall);
                self.settle(server);
            }
            if wake.is_some_and(|at| at <= self.now) {
                self.woken_at = self.now;
                self.settle(server);
            }
            // What happens at the same moment happens in any order.
            let first = self.draw.below(4);
            for turn in 0..4 {
                match (first + turn) % 4 {
                    0 => {
                        if self.answer(server) {
                            return End::Crash;
                        }
                    }
                    1 => self.deliver_to_server(server),
                    2 => {
                        self.deliver_to_clients();
                        self.make_room(server);
                    }
                    _ => {
                        self.act();
                        self.accept(server);
                    }
                }
            }
            self.offer_all(server);
            self.advance_phase();
            if self.phase == Phase::Done {
                return End::Done;
            }
        }
    }

    /// The store does what is due. True when the power goes between a commit and its answer.
    fn answer(&mut self, server: &mut Server<'_>) -> bool {
        while self.store.next_at().is_some_and(|at| at <= self.now) {
            let due = self.store.step(self.now);
            self.take_commits();
            if self
                .crash_after
                .is_some_and(|work| self.store.executed() >= work)
            {
                return true;
            }
            if let Some(due) = due {
                let words = format!("{:?} {:?}", due.ticket, due.answer);
                self.trace.note(self.now, "answer", 0, words.as_bytes());
                server.complete(Instant(self.now), due.ticket, due.answer.outcome());
                self.settle(server);
            }
        }
        false
    }

    fn take_commits(&mut self) {
        for commit in self.store.commits.drain(..) {
            let words = format!(
                "{} {} {:?} {} {}",
                commit.entry.seq.0,
                commit.entry.msgid,
                commit.entry.kind,
                commit.entry.nick,
                commit.entry.text
            );
            let channel = u64::from(commit.channel.0);
            self.trace
                .note(self.now, "commit", channel, words.as_bytes());
            self.oracle.committed(commit, &self.store.tables);
        }
    }

    /// The one invariant of the core: after a call, storage work, then output, until there is neither.
    fn settle(&mut self, server: &mut Server<'_>) {
        for _ in 0..MOST_ROUNDS {
            let mut rest = true;
            while let Some(effect) = server.poll(Instant(self.now)) {
                rest = false;
                let words = format!("{:?} {:?}", effect.ticket, effect.operation);
                self.trace.note(self.now, "effect", 0, words.as_bytes());
                self.store
                    .submit(self.now, effect.ticket, &effect.operation);
            }
            while let Some(conn) = server.ready() {
                rest = false;
                self.name(conn);
                self.pump(server, conn);
            }
            if rest {
                return;
            }
        }
        self.oracle
            .object("the server never runs out of effects and output".to_owned());
    }

    fn name(&mut self, conn: ConnId) {
        match self.links.iter_mut().find(|link| link.conn == Some(conn)) {
            Some(link) => link.flagged = true,
            None => self
                .oracle
                .object(format!("ready names {conn:?}, which is closed")),
        }
    }
}
