//! The server under test: a release build with throttles off, on a core of its own.

use std::fs;

use rustix::thread::{CpuSet, sched_setaffinity};
use soqet_core::config::{Config, Rate};
use soqet_tests::World;
use soqet_tests::host::{HostWorld, Server, toml};

const UNLIMITED: Rate = Rate {
    burst: 0,
    every_ms: 1,
};

/// Throttles off, as for the peers; everything else is the default.
const CONFIG: Config<'static> = Config {
    flood: UNLIMITED,
    register_rate: UNLIMITED,
    login_rate: UNLIMITED,
    login_address_rate: UNLIMITED,
    ..Config::DEFAULT
};

/// Runs this process, and what it starts from now on, on one core. Without that core it runs where it may.
pub fn pin_self(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        eprintln!("core {core} cannot be taken: figures are less steady");
    }
}

/// A server with an empty store.
pub struct Bench {
    world: HostWorld,
}

impl Bench {
    /// Starts one for so many connections.
    pub fn start(connections: usize) -> Self {
        let mut world = HostWorld::new();
        let path = world.folder.path().join("soqet.toml");
        let text = format!(
            "max-connections = {connections}\nlog = \"warn\"\n{}",
            toml(&CONFIG)
        );
        fs::write(path, text).expect("write soqet.toml");
        pin_self(0);
        world.resume();
        pin_self(1);
        Self { world }
    }

    /// The running server.
    pub fn server(&mut self) -> &mut Server {
        self.world.running()
    }

    /// Stops it in order and starts it again.
    pub fn restart(&mut self) {
        pin_self(0);
        self.world.restart();
        pin_self(1);
    }

    /// Memory it has in use, bytes (VmRSS).
    pub fn memory(&mut self) -> u64 {
        let pid = self.server().pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok());
        kib.expect("VmRSS") * 1024
    }

    /// Processor time it has used, seconds (user and system; /proc/PID/stat counts hundredths).
    pub fn cpu(&mut self) -> f64 {
        let pid = self.server().pid();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("read its stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        ticks as f64 / 100.0
    }
}
