//! The event loop: one server, many clients, one store, on virtual time. Nothing happens that the seed did not decide.
//!
//! First come the faults, then all heals, and then the run must come to rest with everybody seeing the same.

mod ether;
mod network;
mod pipes;
mod scene;
mod verdict;

use std::collections::BTreeSet;

use soqet_core::memory::Owned;
use soqet_core::server::Server;
use soqet_core::time::Instant;

use crate::client::Client;
use crate::client::scram::Salted;
use crate::draw::Draw;
use crate::ether::Terrain;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::store::{Sabotage, Store};
use crate::trace::Trace;

use ether::Ether;
use network::Network;
use pipes::Pipes;
use scene::Scene;

/// Unix time at the beginning of every world, milliseconds.
const EPOCH: u64 = 1_795_369_414_000;
/// How long it may take until all are at rest, virtual milliseconds.
const PATIENCE_MS: u64 = 20 * 60_000;
/// Rounds at one and the same moment after which it is not believed that the moment ever ends.
const MOST_ROUNDS: u32 = 20_000;

/// What joins clients and server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Net {
    /// Byte pipes: connections that keep what TCP promises.
    #[default]
    Pipes,
    /// smoltcp at both ends, over an Ethernet with faults of its own.
    Smoltcp,
}

/// How a run can be varied from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What joins clients and server.
    pub net: Net,
    /// How many of the last events to keep in words.
    pub trace: usize,
    /// Whether to keep all frames.
    pub frames: bool,
    /// How the store breaks its contract.
    pub sabotage: Sabotage,
    /// Whether the store of a board, on simulated flash, does all that the store does and gives its answers.
    pub flash: bool,
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
    scene: Scene,
    network: Box<dyn Network>,
    heal_at: u64,
    crash_at: u64,
    crash_after: Option<u64>,
    skew: i64,
    time_told_at: u64,
    woken_at: u64,
    quiet_since: Option<u64>,
    last_words_by: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, options: Options) -> Self {
        let mut draw = Draw::new(seed, 1);
        let mut plan = Plan::draw(&mut draw);
        let terrain = (options.net == Net::Smoltcp).then(|| {
            plan.without_secrets();
            Terrain::draw(&mut draw)
        });
        let clients = plan
            .roles
            .iter()
            .map(|role| Client::new(role.clone(), draw.fork(), draw.between(0, 3_000)))
            .collect();
        let slack = if options.flash { 0 } else { plan.slack };
        let mut store = Store::new(draw.fork(), plan.faults, options.sabotage, slack);
        if options.flash {
            store.on_flash(draw.fork());
        }
        let mut trace = Trace::new(options.trace);
        if options.frames {
            trace.keep_frames();
        }
        trace.words(0, format!("{plan:?}"));
        let network: Box<dyn Network> = match terrain {
            None => Box::new(Pipes::new(plan.capacities.buffer_size)),
            Some(terrain) => {
                trace.words(0, format!("{terrain:?}"));
                Box::new(Ether::new(terrain, draw.fork(), plan.roles.len()))
            }
        };
        Self {
            heal_at: plan.chaos_ms,
            network,
            scene: Scene {
                plan,
                draw,
                now: 0,
                phase: Phase::Chaos,
                store,
                clients,
                oracle: Oracle::default(),
                salted: Salted::default(),
                registered: BTreeSet::new(),
                counts: Counts::default(),
                trace,
            },
            crash_at: u64::MAX,
            crash_after: None,
            skew: 0,
            time_told_at: u64::MAX,
            woken_at: 0,
            quiet_since: None,
            last_words_by: 0,
        }
    }

    /// Runs to the end, or to the first objection.
    pub fn run(&mut self) {
        while self.scene.phase != Phase::Done && self.scene.oracle.failure().is_none() {
            let mut seed = [0; 32];
            self.scene.draw.fill(&mut seed);
            self.begin_life();
            let mut memory = Owned::new(&self.scene.plan.capacities);
            match Server::new(self.scene.plan.config, memory.borrow(), seed) {
                Ok(mut server) => match self.live(&mut server) {
                    End::Crash => self.crash(),
                    End::Done => return,
                },
                Err(why) => self
                    .scene
                    .oracle
                    .object(format!("the plan is bad: {why:?}")),
            }
        }
    }

    /// The first objection.
    pub fn failure(&self) -> Option<&str> {
        self.scene.oracle.failure()
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.scene.trace
    }

    /// As [`Self::trace`], to keep.
    pub fn into_trace(self) -> Trace {
        self.scene.trace
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.scene.counts
    }

    /// Virtual time, milliseconds.
    pub fn now(&self) -> u64 {
        self.scene.now
    }

    /// Messages meant, acknowledged, failed.
    pub fn messages(&self) -> (u64, u64, u64) {
        self.scene.oracle.counts()
    }

    /// Entries committed.
    pub fn commits(&self) -> u64 {
        self.scene.oracle.ledger.count()
    }

    fn begin_life(&mut self) {
        let life = self
            .scene
            .plan
            .life_ms
            .filter(|_| self.scene.phase == Phase::Chaos);
        self.crash_at = u64::MAX;
        self.crash_after = None;
        if let Some(life) = life {
            self.crash_at = self.scene.now + self.scene.draw.between(life / 4, life * 2);
            if self.scene.draw.chance(500) {
                // Between a commit and its answer.
                let work = self.scene.store.executed() + self.scene.draw.between(20, 2_000);
                self.crash_after = Some(work);
            }
        }
        let skew = self.scene.plan.skew_ms;
        self.skew = self.scene.draw.between(0, 2 * skew) as i64 - skew as i64;
        self.time_told_at = self.scene.now + self.scene.plan.clockless_ms;
        self.network.start(&mut self.scene);
    }

    fn wall(&self) -> u64 {
        (EPOCH + self.scene.now).saturating_add_signed(self.skew)
    }

    /// The power goes, and comes back after a while.
    fn crash(&mut self) {
        self.scene.counts.crashes += 1;
        self.scene
            .trace
            .note(self.scene.now, "crash", self.scene.counts.crashes, &[]);
        self.scene.store.crash(self.scene.now);
        self.scene.take_commits();
        self.scene.oracle.verify_store(&self.scene.store.tables);
        self.network.crash(&mut self.scene);
        let pause = self.scene.draw.between(5, 3_000);
        let back_at = self.scene.now + pause;
        while self.scene.now < back_at && self.scene.oracle.failure().is_none() {
            let next = self.next_without_server().unwrap_or(back_at).min(back_at);
            self.scene.now = self.scene.now.max(next);
            self.network.refuse(&mut self.scene);
            self.network.deliver(&mut self.scene);
            self.act();
        }
    }

    fn live(&mut self, server: &mut Server<'_>) -> End {
        self.scene
            .trace
            .note(self.scene.now, "start", self.skew as u64, &[]);
        let mut rounds = 0;
        let mut moment = self.scene.now;
        self.network.settle(&mut self.scene, server);
        loop {
            if self.scene.oracle.failure().is_some() {
                return End::Done;
            }
            let wake = server.poll_at().map(|at| at.0.max(self.woken_at + 1));
            let next = [
                self.next_without_server(),
                self.scene.store.next_at(),
                wake,
                Some(self.crash_at),
                Some(self.time_told_at),
                (self.scene.phase == Phase::Chaos).then_some(self.heal_at),
            ];
            let next = next
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(self.scene.now + 1);
            self.scene.now = self.scene.now.max(next);
            if self.scene.now > moment {
                (moment, rounds) = (self.scene.now, 0);
            }
            rounds += 1;
            if rounds > MOST_ROUNDS {
                self.scene
                    .oracle
                    .object(format!("the moment {moment} does not end; wake {wake:?}"));
            }
            if self.scene.now >= self.crash_at {
                return End::Crash;
            }
            if self.scene.now >= self.time_told_at {
                self.time_told_at = u64::MAX;
                let wall = self.wall();
                server.set_time(Instant(self.scene.now), wall);
                self.network.settle(&mut self.scene, server);
            }
            if wake.is_some_and(|at| at <= self.scene.now) {
                self.woken_at = self.scene.now;
                self.network.settle(&mut self.scene, server);
            }
            // What happens at the same moment happens in any order.
            let first = self.scene.draw.below(4);
            for turn in 0..4 {
                match (first + turn) % 4 {
                    0 => {
                        if self.answer(server) {
                            return End::Crash;
                        }
                    }
                    1 => self.network.arrive(&mut self.scene, server),
                    2 => {
                        self.network.deliver(&mut self.scene);
                        self.network.go_on(&mut self.scene, server);
                    }
                    _ => {
                        self.act();
                        self.network.accept(&mut self.scene, server);
                    }
                }
            }
            self.network.offer(&mut self.scene, server);
            self.advance_phase();
            if self.scene.phase == Phase::Done {
                return End::Done;
            }
        }
    }

    /// The store does what is due. True when the power goes between a commit and its answer.
    fn answer(&mut self, server: &mut Server<'_>) -> bool {
        while self
            .scene
            .store
            .next_at()
            .is_some_and(|at| at <= self.scene.now)
        {
            let due = self.scene.store.step(self.scene.now);
            self.scene.take_commits();
            if self
                .crash_after
                .is_some_and(|work| self.scene.store.executed() >= work)
            {
                return true;
            }
            if let Some(due) = due {
                let words = format!("{:?} {:?}", due.ticket, due.answer);
                self.scene
                    .trace
                    .note(self.scene.now, "answer", 0, words.as_bytes());
                server.complete(Instant(self.scene.now), due.ticket, due.answer.outcome());
                self.network.settle(&mut self.scene, server);
            }
        }
        false
    }

    /// When something happens next that needs no server.
    fn next_without_server(&mut self) -> Option<u64> {
        let (now, clients) = (self.scene.now, &self.scene.clients);
        let due = clients.iter().any(|client| client.act_at <= now);
        let acts = clients
            .iter()
            .flat_map(|client| [client.act_at, client.reads_from])
            .filter(|at| *at > now);
        let acts = acts.chain(due.then_some(now)).min();
        let network = self.network.next_at(&self.scene);
        [acts, network].into_iter().flatten().min()
    }

    /// Every client whose turn it is acts.
    fn act(&mut self) {
        for id in 0..self.scene.clients.len() {
            let (scene, network) = (&mut self.scene, &mut self.network);
            let Some(client) = scene.clients.get_mut(id).filter(|c| c.act_at <= scene.now) else {
                continue;
            };
            if network.is_waiting(id) {
                client.act_at = scene.now + 1_000;
                continue;
            }
            let wish = scene.with_client(id, |client, context| {
                client.act(context);
                client.take_wish()
            });
            if let Some(wish) = wish.flatten() {
                let words = format!("{wish:?}");
                scene
                    .trace
                    .note(scene.now, "wish", id as u64, words.as_bytes());
                network.grant(scene, id, wish);
            }
            network.flush(scene, id);
        }
    }
}
