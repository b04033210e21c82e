//! The server's machine.

use smoltcp::socket::{Socket, tcp};
use smoltcp::wire::IpEndpoint;
use soqet_core::adapters::smoltcp::{Counts, Network, Port, Slot, Work};
use soqet_core::server::{Protocol, Server};
use soqet_core::store::Effect;
use soqet_core::time::Instant;

use super::super::MOST_ROUNDS;
use super::super::scene::Scene;
use super::{PORT, SERVER, describe};
use crate::ether::{Station, Switch, Terrain};

const PORTS: &[Port] = &[Port {
    number: PORT,
    protocol: Protocol::Irc,
}];

/// See the module.
pub(super) struct Host {
    station: Station,
    adapter: Network<'static>,
    counted: Counts,
    /// When the adapter wants to be called.
    pub step_at: Option<u64>,
    work: usize,
}

/// The store, as the adapter sees it.
struct Desk<'s> {
    scene: &'s mut Scene,
    room: usize,
}

impl Work for Desk<'_> {
    fn has_room(&self) -> bool {
        self.scene.store.backlog() < self.room
    }

    fn submit(&mut self, _: Instant, effect: &Effect<'_>) {
        self.scene.submit(effect);
    }
}

impl Host {
    /// A machine that was just switched on.
    pub fn new(scene: &Scene, mut station: Station, terrain: &Terrain) -> Self {
        let capacities = &scene.plan.capacities;
        let (receive, send) = terrain.buffers;
        let slots: Vec<Slot> = (0..capacities.connections + terrain.spare)
            .map(|_| Slot::new(station.socket(receive, send)))
            .collect();
        let scratch = vec![0; capacities.buffer_size];
        let adapter = Network::new(slots, PORTS, scratch, &mut station.sockets);
        Self {
            station,
            adapter,
            counted: Counts::default(),
            step_at: Some(scene.now),
            work: terrain.work,
        }
    }

    /// A frame came.
    pub fn arrived(&mut self, now: u64, frame: Vec<u8>) {
        self.station.nic.arrived.push_back(frame);
        self.step_at = Some(now);
    }

    /// Steps the adapter as long as there is something to do now.
    pub fn run(&mut self, scene: &mut Scene, server: &mut Server<'_>, switch: &mut Switch) {
        for _ in 0..MOST_ROUNDS {
            let now = scene.now;
            if self.step_at.is_none_or(|at| at > now) {
                return;
            }
            let mut desk = Desk {
                scene,
                room: self.work,
            };
            let Station {
                iface,
                nic,
                sockets,
                ..
            } = &mut self.station;
            let next = self
                .adapter
                .step(Instant(now), iface, nic, sockets, server, &mut desk);
            self.step_at = next.map(|at| at.0);
            for frame in nic.sent.drain(..) {
                scene.trace.frame(now, SERVER, &frame);
                switch.send(now, SERVER, &frame);
            }
            if !nic.arrived.is_empty() {
                self.step_at = Some(now);
            }
            let counts = self.adapter.counts();
            scene.counts.accepted += u64::from(counts.opened - self.counted.opened);
            scene.counts.refused += u64::from(counts.refused - self.counted.refused);
            self.counted = counts;
        }
        let why = "the adapter never has nothing to do";
        scene.oracle.object(why.to_owned());
    }

    fn sockets(&self) -> impl Iterator<Item = &tcp::Socket<'static>> {
        // Other crates of a build may bring other kinds of sockets.
        #[allow(unreachable_patterns)]
        self.station
            .sockets
            .iter()
            .filter_map(|(_, socket)| match socket {
                Socket::Tcp(socket) => Some(socket),
                _ => None,
            })
    }

    /// Peers that the server may take for connected.
    pub fn peers(&self) -> impl Iterator<Item = IpEndpoint> {
        self.sockets()
            .filter(|socket| socket.is_active())
            .filter_map(|socket| socket.remote_endpoint())
    }

    /// Whether so many connections are open and have nothing under way, and all other slots listen.
    pub fn is_quiet(&self, connections: usize) -> bool {
        let open = self.sockets().filter(|socket| !socket.is_listening());
        let mut count = 0;
        for socket in open {
            count += 1;
            if socket.state() != tcp::State::Established
                || socket.send_queue() > 0
                || socket.recv_queue() > 0
            {
                return false;
            }
        }
        count == connections
    }

    /// What its sockets do, in words.
    pub fn describe(&self) -> Vec<String> {
        let open = self.sockets().filter(|socket| !socket.is_listening());
        open.map(describe).collect()
    }
}
