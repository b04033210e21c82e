//! Ethernet: the server over the adapter that boards use, its clients over stacks of their own, and a switch with every fault between
//! them.

mod guest;
mod host;
mod vandal;

use std::collections::BTreeMap;

use smoltcp::socket::tcp;
use smoltcp::wire::IpAddress;
use soqet_core::server::Server;

use self::guest::Guest;
use self::host::Host;
use self::vandal::Vandal;
use super::network::Network;
use super::scene::Scene;
use crate::client::Wish;
use crate::draw::Draw;
use crate::ether::{Nic, Station, Switch, Terrain, Weather, ip_of};

/// The server's number on the switch.
const SERVER: u16 = 1;
/// The number of who means harm.
const VANDAL: u16 = 50_000;
/// The server's port.
const PORT: u16 = 6667;
/// Longer than any frame is on its way, milliseconds.
const FLIGHT_MS: u64 = 10_000;

/// See the module.
pub(super) struct Ether {
    terrain: Terrain,
    draw: Draw,
    switch: Switch,
    /// The server's machine, while it is on.
    host: Option<Host>,
    /// One for each client.
    guests: Vec<Guest>,
    /// Whose a number is or was.
    owners: BTreeMap<u16, usize>,
    vandal: Option<Vandal>,
    /// When the next cable is cut.
    cut_at: Option<u64>,
    /// Cables to be mended, and when.
    cuts: Vec<(u64, u16)>,
}

impl Ether {
    /// A switch with a station for every client.
    pub fn new(terrain: Terrain, mut draw: Draw, clients: usize) -> Self {
        let mut ether = Self {
            terrain,
            switch: Switch::new(draw.fork()),
            host: None,
            guests: Vec::new(),
            owners: BTreeMap::new(),
            vandal: None,
            cut_at: (terrain.cut_every_ms > 0).then_some(terrain.cut_every_ms),
            cuts: Vec::new(),
            draw,
        };
        for client in 0..clients {
            let number = ether.settle_in(client);
            let station = ether.switch_on(0, number);
            ether.guests.push(Guest::new(station));
        }
        if terrain.harm_every_ms > 0 {
            ether.switch.plug(VANDAL, Weather::FAIR);
            let station = ether.switch_on(0, VANDAL);
            let draw = ether.draw.fork();
            ether.vandal = Some(Vandal::new(station, draw, terrain.harm_every_ms));
        }
        ether
    }

    /// A new number for a client, and its cable.
    fn settle_in(&mut self, client: usize) -> u16 {
        let number = SERVER + 1 + u16::try_from(self.owners.len()).unwrap_or(u16::MAX / 2);
        self.owners.insert(number, client);
        let weather = self.terrain.weather(&mut self.draw);
        self.switch.plug(number, weather);
        number
    }

    fn switch_on(&mut self, now: u64, number: u16) -> Station {
        let slowness = if number == SERVER {
            self.terrain.slowness
        } else {
            0
        };
        let card = Nic::new(self.terrain.mtu, slowness);
        let seed = self.draw.below(u64::MAX);
        Station::new(now, number, card, seed)
    }

    /// Frames that are due arrive at the cards.
    fn carry(&mut self, scene: &mut Scene) {
        let now = scene.now;
        while let Some((to, frame)) = self.switch.arrived(now) {
            if to == SERVER {
                if let Some(vandal) = &mut self.vandal {
                    vandal.overhear(&frame);
                }
                if let Some(host) = &mut self.host {
                    host.arrived(now, frame);
                }
            } else if to == VANDAL {
                if let Some(vandal) = &mut self.vandal {
                    vandal.arrived(scene, &mut self.switch, frame);
                }
            } else if let Some(guest) = self.guests.iter_mut().find(|g| g.station.number == to) {
                guest.arrived(now, frame);
            }
        }
        if let Some(vandal) = &mut self.vandal {
            vandal.strike(scene, &mut self.switch);
        }
    }

    /// Cuts and mends cables.
    fn cut(&mut self, scene: &mut Scene) {
        let now = scene.now;
        let (due, later) = self.cuts.drain(..).partition(|(at, _)| *at <= now);
        self.cuts = later;
        let due: Vec<(u64, u16)> = due;
        for (_, number) in due {
            scene.trace.note(now, "mend", u64::from(number), &[]);
            self.switch.cut(number, false);
        }
        while self.cut_at.is_some_and(|at| at <= now) {
            let every = self.terrain.cut_every_ms;
            self.cut_at = Some(now + self.draw.between(every / 2, every * 2));
            let whose = self.draw.size(0, self.guests.len());
            let number = self.guests.get(whose).map_or(SERVER, |g| g.station.number);
            if self.cuts.iter().all(|(_, cut)| *cut != number) {
                scene.trace.note(now, "cut", u64::from(number), &[]);
                self.switch.cut(number, true);
                let until = now + self.draw.between(10, self.terrain.cut_ms);
                self.cuts.push((until, number));
            }
        }
    }

    /// Lets a client's stack do what there is to do, and the client see what came of it.
    fn attend(&mut self, scene: &mut Scene, id: usize) {
        let Some(guest) = self.guests.get_mut(id) else {
            return;
        };
        guest.poll(scene, &mut self.switch);
        if guest.is_through() {
            let own = guest.endpoint();
            let mut peers = self.host.iter().flat_map(Host::peers);
            let others =
                peers.any(|peer| Some(peer) != own && owner(&self.owners, peer.addr) == Some(id));
            let alone = guest.is_forgotten(scene.now) && !others;
            guest.connected(scene, id, alone);
        }
        guest.listen(scene, id, &mut self.draw);
        let wish = scene.clients.get_mut(id).and_then(|c| c.take_wish());
        if let Some(wish) = wish {
            self.grant(scene, id, wish);
        }
        self.flush(scene, id);
    }
}

/// Whose address that is or was.
fn owner(owners: &BTreeMap<u16, usize>, ip: IpAddress) -> Option<usize> {
    let number = owners
        .keys()
        .find(|number| IpAddress::Ipv4(ip_of(**number)) == ip)?;
    owners.get(number).copied()
}

impl Network for Ether {
    fn next_at(&mut self, _: &Scene) -> Option<u64> {
        let guests = self.guests.iter().filter_map(|guest| guest.next_at);
        let host = self.host.as_ref().and_then(|host| host.step_at);
        let harm = self.vandal.as_ref().map(|vandal| vandal.next_at);
        let cuts = self.cuts.iter().map(|(at, _)| *at).chain(self.cut_at);
        guests
            .chain(host)
            .chain(cuts)
            .chain(harm)
            .chain(self.switch.next_at())
            .min()
    }

    fn is_waiting(&self, client: usize) -> bool {
        self.guests.get(client).is_some_and(Guest::is_dialing)
    }

    fn grant(&mut self, scene: &mut Scene, client: usize, wish: Wish) {
        match wish {
            Wish::Connect => {
                let sizes = (self.draw.size(300, 8_000), self.draw.size(300, 8_000));
                if let Some(guest) = self.guests.get_mut(client) {
                    guest.dial(scene.now, sizes);
                }
            }
            Wish::Leave(crate::client::Manner::Vanish) => {
                // Its machine is switched off, and on again: at the same place or at another.
                let Some(number) = self.guests.get(client).map(|g| g.station.number) else {
                    return;
                };
                let number = if self.draw.chance(500) {
                    self.switch.unplug(number);
                    self.settle_in(client)
                } else {
                    number
                };
                let station = self.switch_on(scene.now, number);
                if let Some(guest) = self.guests.get_mut(client) {
                    guest.vanish(scene.now, station);
                }
            }
            Wish::Leave(manner) => {
                if let Some(guest) = self.guests.get_mut(client) {
                    guest.leave(scene.now, manner);
                }
            }
        }
        if let Some(guest) = self.guests.get_mut(client) {
            guest.poll(scene, &mut self.switch);
        }
    }

    fn flush(&mut self, scene: &mut Scene, client: usize) {
        if let Some(guest) = self.guests.get_mut(client)
            && guest.say(scene, client)
        {
            guest.poll(scene, &mut self.switch);
        }
    }

    fn deliver(&mut self, scene: &mut Scene) {
        self.cut(scene);
        self.carry(scene);
        for id in 0..self.guests.len() {
            let reads = scene.clients.get(id).map_or(0, |client| client.reads_from);
            let due = |guest: &Guest| {
                guest.next_at.is_some_and(|at| at <= scene.now)
                    || (guest.has_input() && reads <= scene.now)
            };
            if self.guests.get(id).is_some_and(due) {
                self.attend(scene, id);
            }
        }
    }

    fn start(&mut self, scene: &mut Scene) {
        let weather = Weather {
            bandwidth: self.terrain.worst.bandwidth * 10,
            ..Weather::FAIR
        };
        self.switch.plug(SERVER, weather);
        let station = self.switch_on(scene.now, SERVER);
        self.host = Some(Host::new(scene, station, &self.terrain));
    }

    fn settle(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        if let Some(host) = &mut self.host {
            host.step_at = Some(scene.now);
            host.run(scene, server, &mut self.switch);
        }
    }

    fn arrive(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        self.carry(scene);
        if let Some(host) = &mut self.host {
            host.run(scene, server, &mut self.switch);
        }
    }

    fn go_on(&mut self, _: &mut Scene, _: &mut Server<'_>) {}

    fn accept(&mut self, _: &mut Scene, _: &mut Server<'_>) {}

    fn offer(&mut self, _: &mut Scene, _: &mut Server<'_>) {}

    fn crash(&mut self, _: &mut Scene) {
        self.host = None;
        self.switch.unplug(SERVER);
    }

    fn refuse(&mut self, _: &mut Scene) {}

    fn heal(&mut self, _: &mut Scene) {
        self.vandal = None;
        self.cut_at = None;
        for (_, number) in self.cuts.drain(..) {
            self.switch.cut(number, false);
        }
        self.terrain.worst = Weather {
            bandwidth: self.terrain.worst.bandwidth,
            ..Weather::FAIR
        };
        for guest in &self.guests {
            self.switch.plug(guest.station.number, self.terrain.worst);
        }
    }

    fn is_quiet(&self, scene: &Scene) -> bool {
        let Some(host) = &self.host else { return false };
        scene.store.backlog() == 0
            && host.is_quiet(self.guests.len())
            && self.guests.iter().all(Guest::is_quiet)
    }

    fn noise(&self, scene: &Scene) -> String {
        let host = self.host.as_ref().map(Host::describe);
        let guests: Vec<String> = self.guests.iter().map(Guest::describe).collect();
        format!(
            "store backlog {}, server {host:?}, clients {guests:?}",
            scene.store.backlog()
        )
    }
}

/// A socket in a few words.
fn describe(socket: &tcp::Socket<'_>) -> String {
    format!(
        "{} in {} out {}",
        socket.state(),
        socket.recv_queue(),
        socket.send_queue()
    )
}
