//! A server over smoltcp and its peers, on a switch.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::IpAddress;
use soqet_core::adapters::smoltcp::{Network, Port, Slot, Work};
use soqet_core::config::{Config, Rate};
use soqet_core::memory::{Capacities, Owned};
use soqet_core::server::{Protocol, Server};
use soqet_core::store::Effect;
use soqet_core::time::Instant;
use soqet_sim::draw::Draw;
use soqet_sim::ether::{Nic, Station, Switch, Weather, ip_of};
use soqet_sim::store::{Faults, Sabotage, Store};

pub const SERVER: u16 = 1;
const PORT: u16 = 6667;
pub const SOCKETS: usize = 14;
const PORTS: [Port; 1] = [Port {
    number: PORT,
    protocol: Protocol::Irc,
}];

const CONFIG: Config<'static> = Config {
    guests: true,
    iterations: 4096,
    flood: Rate {
        burst: 0,
        every_ms: 1,
    },
    ..Config::DEFAULT
};

/// A store that is asked between the steps.
pub struct Desk(Store);

impl Work for Desk {
    fn has_room(&self) -> bool {
        true
    }

    fn submit(&mut self, now: Instant, effect: &Effect<'_>) {
        self.0.submit(now.0, effect.ticket, &effect.operation);
    }
}

/// A server, its peers, and the time.
pub struct Bench<'a> {
    pub now: u64,
    pub switch: Switch,
    pub station: Station,
    pub network: Network<'a>,
    pub server: Server<'a>,
    desk: Desk,
    pub step_at: u64,
    /// The port that peers connect to.
    pub target: u16,
    pub peers: Vec<Peer>,
}

/// A client's host, its socket, and what it has read.
pub struct Peer {
    pub station: Station,
    pub socket: SocketHandle,
    pub read: String,
    pub reads: bool,
    /// It sends its SYN and never acknowledges anything.
    pub mute: bool,
}

/// Runs a test with a server of so many connections over 14 sockets with these buffers.
pub fn with(connections: usize, buffers: (usize, usize), test: impl FnOnce(&mut Bench<'_>)) {
    with_ports(connections, buffers, &PORTS, test);
}

/// As [`with`], listening on these ports.
pub fn with_ports(
    connections: usize,
    buffers: (usize, usize),
    ports: &[Port],
    test: impl FnOnce(&mut Bench<'_>),
) {
    let capacities = Capacities {
        connections,
        accounts: 20,
        attachments: 200,
        ..Capacities::SMALL
    };
    let mut memory = Owned::new(&capacities);
    let server = Server::new(CONFIG, memory.borrow(), [7; 32]).unwrap();
    let mut station = Station::new(0, SERVER, Nic::new(1514, 3), 1);
    let slots: Vec<Slot> = (0..SOCKETS)
        .map(|_| Slot::new(station.socket(buffers.0, buffers.1)))
        .collect();
    let scratch = vec![0; capacities.buffer_size];
    let network = Network::new(slots, ports, scratch, &mut station.sockets);
    let mut switch = Switch::new(Draw::new(1, 2));
    switch.plug(SERVER, Weather::FAIR);
    let store = Store::new(
        Draw::new(1, 1),
        Faults::default(),
        Sabotage::None,
        1_000_000,
    );
    let mut bench = Bench {
        now: 0,
        switch,
        station,
        network,
        server,
        desk: Desk(store),
        step_at: 0,
        peers: Vec::new(),
        target: PORT,
    };
    bench.server.set_time(Instant(0), 1_800_000_000_000);
    test(&mut bench);
}

impl Bench<'_> {
    /// A client's host that connects. Its index.
    pub fn connect(&mut self, weather: Weather) -> usize {
        self.connect_with(weather, 2_000)
    }

    /// As [`Self::connect`], with a receive buffer of that size.
    pub fn connect_with(&mut self, weather: Weather, receive: usize) -> usize {
        let number = 2 + self.peers.len() as u16;
        let mut station = Station::new(self.now, number, Nic::new(1514, 0), u64::from(number));
        let socket = station.socket(receive, 2_000);
        self.switch.plug(number, weather);
        self.peers.push(Peer {
            station,
            socket,
            read: String::new(),
            reads: true,
            mute: false,
        });
        let index = self.peers.len() - 1;
        self.dial(index, 50_000);
        index
    }

    /// A host connects (again), from that port.
    pub fn dial(&mut self, index: usize, port: u16) {
        let peer = &mut self.peers[index];
        let Station { iface, sockets, .. } = &mut peer.station;
        let socket: &mut Socket<'_> = sockets.get_mut(peer.socket);
        let server = IpAddress::Ipv4(ip_of(SERVER));
        socket
            .connect(iface.context(), (server, self.target), port)
            .unwrap();
    }

    pub fn socket(&mut self, index: usize) -> &mut Socket<'static> {
        let peer = &mut self.peers[index];
        peer.station.sockets.get_mut(peer.socket)
    }

    pub fn say(&mut self, index: usize, text: &str) {
        assert!(self.try_say(index, text), "of {index} at {}", self.now);
    }

    /// Says something if its socket takes all of it.
    pub fn try_say(&mut self, index: usize, text: &str) -> bool {
        let socket = self.socket(index);
        let fits = socket.send_capacity() - socket.send_queue() >= text.len();
        fits && socket.send_slice(text.as_bytes()) == Ok(text.len())
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            while let Some((to, frame)) = self.switch.arrived(self.now) {
                if to == SERVER {
                    self.station.nic.arrived.push_back(frame);
                    self.step_at = self.now;
                } else if let Some(peer) = self.peers.iter_mut().find(|p| p.station.number == to) {
                    peer.station.nic.arrived.push_back(frame);
                }
            }
            while self.desk.0.next_at().is_some_and(|at| at <= self.now) {
                if let Some(due) = self.desk.0.step(self.now) {
                    let outcome = due.answer.outcome();
                    self.server.complete(Instant(self.now), due.ticket, outcome);
                    self.step_at = self.now;
                }
            }
            self.serve();
            for peer in &mut self.peers {
                peer.act(self.now, &mut self.switch);
            }
            let peers = self
                .peers
                .iter_mut()
                .filter_map(|p| p.station.poll_at(self.now));
            let next = peers
                .chain(self.switch.next_at())
                .chain(self.desk.0.next_at());
            self.now = next
                .chain([self.step_at])
                .min()
                .unwrap_or(end)
                .clamp(self.now + 1, end);
        }
    }

    /// Steps the server until it has nothing to do.
    fn serve(&mut self) {
        let mut steps = 0;
        while self.step_at <= self.now {
            let Station {
                iface,
                nic,
                sockets,
                ..
            } = &mut self.station;
            let next = self.network.step(
                Instant(self.now),
                iface,
                nic,
                sockets,
                &mut self.server,
                &mut self.desk,
            );
            for frame in self.station.nic.sent.drain(..) {
                self.switch.send(self.now, SERVER, &frame);
            }
            self.step_at = next.map_or(u64::MAX, |at| at.0);
            if !self.station.nic.arrived.is_empty() {
                self.step_at = self.now;
            }
            steps += 1;
            assert!(
                steps < 1_000,
                "the server does not come to rest at {}",
                self.now
            );
        }
    }

    /// Lets time pass until a peer has read that.
    pub fn hear(&mut self, index: usize, what: &str) {
        for _ in 0..1_000 {
            if self.peers[index].read.contains(what) {
                return;
            }
            self.pass(10);
        }
        panic!(
            "{index} was not told {what:?} but {:?}",
            self.peers[index].read
        );
    }

    pub fn listening(&self) -> usize {
        self.count(State::Listen)
    }

    /// How many listen on a port.
    pub fn listening_on(&self, port: u16) -> usize {
        let sockets = self.station.sockets.iter();
        sockets
            .filter(|(_, socket)| matches!(socket, smoltcp::socket::Socket::Tcp(socket) if socket.is_listening() && socket.listen_endpoint().port == port))
            .count()
    }

    pub fn count(&self, state: State) -> usize {
        self.station
            .sockets
            .iter()
            .filter(|(_, socket)| {
                matches!(socket, smoltcp::socket::Socket::Tcp(socket) if socket.state() == state)
            })
            .count()
    }
}

impl Peer {
    fn act(&mut self, now: u64, switch: &mut Switch) {
        loop {
            self.station.poll(now);
            let socket: &mut Socket<'_> = self.station.sockets.get_mut(self.socket);
            let mut read = false;
            while self.reads && socket.can_recv() {
                let got =
                    socket.recv(|bytes| (bytes.len(), String::from_utf8_lossy(bytes).into_owned()));
                self.read.push_str(&got.unwrap());
                read = true;
            }
            let sent = self.station.nic.sent.len();
            for frame in self.station.nic.sent.drain(..) {
                // Address resolution goes on: 8 0 is IPv4.
                let syn = frame.get(12..14) == Some(&[8, 0])
                    && frame.get(47).is_some_and(|flags| *flags == 2);
                let resolves = frame.get(12..14) != Some(&[8, 0]);
                if !self.mute || syn || resolves {
                    switch.send(now, self.station.number, &frame);
                }
            }
            if !read && sent == 0 {
                return;
            }
        }
    }
}
