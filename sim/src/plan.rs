//! What a seed decides before the world begins: sizes, limits, faults and who takes part.

use soqet_core::config::{Config, Rate, Registration};
use soqet_core::memory::Capacities;

use crate::client::role::{Behaviour, Line, Mechanism, Paging, Profile, Role};
use crate::draw::Draw;
use crate::pipe::Wire;
use crate::store::Faults;

/// Everything decided beforehand.
#[derive(Debug)]
pub struct Plan {
    /// The server's configuration.
    pub config: Config<'static>,
    /// The server's tables.
    pub capacities: Capacities,
    /// Whether the tables are too small for everybody: then only safety is judged, not that all comes to rest.
    pub scarce: bool,
    /// How unkind the store is until all heals.
    pub faults: Faults,
    /// Entries past the limit a channel may hold in the store.
    pub slack: usize,
    /// Who takes part.
    pub roles: Vec<Role>,
    /// The slowest wire; each connection draws its own up to it.
    pub wire: Wire,
    /// How many times in a thousand a socket takes fewer bytes than it could.
    pub short_writes: u16,
    /// How long the faults last, milliseconds.
    pub chaos_ms: u64,
    /// About how long a server lives until it crashes, milliseconds; `None`: it never does.
    pub life_ms: Option<u64>,
    /// How far the wall clock may be off after a restart, milliseconds.
    pub skew_ms: u64,
    /// Milliseconds after a start until the server learns the wall time.
    pub clockless_ms: u64,
}

const NAMES: [&str; 10] = [
    "ann", "Bob", "cleo", "dora", "Emil", "fay", "gus", "hua", "ivo", "joy",
];
const ROOMS: [&str; 4] = ["#a", "#Beta", "#c", "#deck"];

impl Plan {
    /// The plan of a seed.
    pub fn draw(draw: &mut Draw) -> Self {
        let accounts = draw.size(2, 9);
        let rooms = draw.size(1, ROOMS.len());
        let people: Vec<String> = NAMES
            .iter()
            .take(accounts)
            .map(ToString::to_string)
            .collect();
        let config = config(draw);
        let mut roles = Vec::new();
        for name in &people {
            let devices = draw.size(1, 3).saturating_sub(draw.size(0, 2)).max(1);
            for _ in 0..devices {
                roles.push(role(draw, name, &people, rooms, devices == 1, &config));
            }
        }
        let scarce = draw.chance(120);
        let calm = draw.chance(100);
        Self {
            capacities: capacities(draw, accounts, roles.len(), rooms, scarce),
            config,
            scarce,
            faults: if calm { Faults::HEALED } else { faults(draw) },
            slack: draw.size(0, 40),
            roles,
            wire: Wire {
                min_ms: 1,
                max_ms: draw.between(1, 400),
                capacity: draw.size(300, 20_000),
                piece: draw.size(1, 1500),
            },
            short_writes: *draw.pick(&[0, 0, 50, 500]).unwrap_or(&0),
            chaos_ms: draw.between(10_000, 90_000),
            life_ms: (!calm && draw.chance(700)).then(|| draw.between(2_000, 40_000)),
            skew_ms: *draw.pick(&[0, 100, 60_000, 86_400_000]).unwrap_or(&0),
            clockless_ms: if draw.chance(150) {
                draw.between(1, 8_000)
            } else {
                0
            },
        }
    }

    /// For a network that everybody can listen to, without TLS: nobody sends a password.
    pub fn without_secrets(&mut self) {
        for role in &mut self.roles {
            role.mechanism = Mechanism::Scram;
            role.line = Line::Open;
        }
    }
}

fn config(draw: &mut Draw) -> Config<'static> {
    Config {
        server_name: "sim.example",
        network: "Simulated",
        registration: Registration::Open,
        iterations: 4096,
        derive_budget: 4096,
        history: draw.between(80, 600) as u32,
        replay: draw.between(5, 60) as u16,
        page: draw.between(3, 60) as u16,
        appends_per_connection: draw.between(1, 8) as u16,
        flood: Rate {
            burst: draw.between(5, 60) as u16,
            every_ms: draw.between(10, 200) as u32,
        },
        register_rate: Rate {
            burst: 40,
            every_ms: 3_000,
        },
        login_rate: Rate {
            burst: 5,
            every_ms: 3_000,
        },
        login_address_rate: Rate {
            burst: 50,
            every_ms: 1_000,
        },
        ping_ms: draw.between(15_000, 60_000) as u32,
        login_ms: draw.between(20_000, 60_000) as u32,
        ..Config::DEFAULT
    }
}

fn role(
    draw: &mut Draw,
    name: &str,
    people: &[String],
    rooms: usize,
    sole: bool,
    config: &Config<'_>,
) -> Role {
    let profile = *draw
        .pick(&[
            Profile::Modern,
            Profile::Modern,
            Profile::Modern,
            Profile::Tagged,
            Profile::Bare,
        ])
        .unwrap_or(&Profile::Modern);
    let behaviour = *draw
        .pick(&[
            Behaviour::Chatter,
            Behaviour::Chatter,
            Behaviour::Chatter,
            Behaviour::Lurker,
            Behaviour::Stalled,
            Behaviour::Flapper,
            Behaviour::Rubbish,
        ])
        .unwrap_or(&Behaviour::Chatter);
    let mechanism = if draw.chance(150) {
        Mechanism::Plain
    } else {
        Mechanism::Scram
    };
    let line = match (mechanism, draw.below(3)) {
        (_, 0) => Line::Loopback,
        (Mechanism::Scram, 1) => Line::Open,
        _ => Line::Encrypted,
    };
    let mut liked: Vec<String> = ROOMS
        .iter()
        .take(rooms)
        .map(|room| crate::line::fold(room))
        .collect();
    liked.retain(|_| draw.chance(850));
    Role {
        nick: name.to_owned(),
        password: format!("the password of {name}"),
        profile,
        behaviour,
        mechanism,
        line,
        address: draw.between(1, 4) as u8,
        echo: profile == Profile::Modern || (profile == Profile::Tagged && draw.chance(500)),
        labels: profile == Profile::Modern && draw.chance(800),
        events: profile == Profile::Modern && draw.chance(300),
        paging: if draw.chance(500) {
            Paging::Id
        } else {
            Paging::Time
        },
        page: draw.between(1, 50) as u16,
        rooms: liked,
        people: people.to_vec(),
        pace_ms: match behaviour {
            Behaviour::Chatter => draw.between(50, 1_500),
            _ => draw.between(200, 3_000),
        },
        sole,
        iterations: config.iterations,
    }
}

fn faults(draw: &mut Draw) -> Faults {
    let mut chance = |most: u64| {
        if draw.chance(400) {
            0
        } else {
            draw.between(1, most) as u16
        }
    };
    let (slow, refuse, lose_after, lose_before) = (chance(50), chance(60), chance(80), chance(80));
    let (refuse_reads, stall) = (chance(5), chance(4));
    Faults {
        commit_ms: draw.between(0, 60),
        answer_ms: draw.between(0, 30),
        slow,
        refuse,
        refuse_reads,
        lose_after,
        lose_before,
        stall,
    }
}

fn capacities(
    draw: &mut Draw,
    accounts: usize,
    clients: usize,
    rooms: usize,
    scarce: bool,
) -> Capacities {
    if draw.chance(150) && !scarce {
        return Capacities::for_connections(clients + 20);
    }
    let directs = accounts * (accounts + 1) / 2;
    let mut most = |least: usize| {
        if scarce {
            least / 2 + 1
        } else {
            least + draw.size(0, 8)
        }
    };
    let (account_room, channels) = (most(accounts + 4), most(rooms + directs + 4));
    let members = most(accounts * rooms + directs * 2 + 8);
    let attachments = most(clients * (rooms + accounts) + 8);
    let watches = most(clients * accounts + 8);
    let mut capacities = Capacities {
        connections: clients + draw.size(2, 6),
        accounts: account_room,
        channels,
        members,
        attachments,
        watches,
        bans: draw.size(4, 32),
        requests: draw.size(12, 40),
        appends: draw.size(4, 40),
        handshakes: draw.size(2, 8),
        throttles: draw.size(32, 64),
        lines: clients + draw.size(6, 20),
        pages: draw.size(2, 8),
        page_size: draw.size(2048, 6000),
        blocks: draw.size(16, 64),
        block_size: draw.size(1024, 4096),
        ..Capacities::SMALL
    };
    capacities.bodies = capacities.appends + capacities.handshakes;
    capacities.replies = capacities.lines;
    capacities
}
