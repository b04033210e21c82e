//! A client's machine.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::super::scene::Scene;
use super::{FLIGHT_MS, PORT, SERVER, describe};
use crate::client::Manner;
use crate::draw::Draw;
use crate::ether::{Station, Switch, ip_of};

/// Ports that connections go out from.
const FIRST_PORT: u16 = 49_152;

/// See the module.
pub(super) struct Guest {
    pub station: Station,
    /// The connection it is about.
    current: Option<SocketHandle>,
    /// Which is not there yet.
    dialing: bool,
    /// Connections that were left, and are not over yet.
    old: Vec<SocketHandle>,
    port: u16,
    /// How often the server had crashed when the connection was made.
    crashes: u64,
    /// When it last left a connection otherwise than after the server's end.
    left_at: Option<u64>,
    /// When its stack wants to be polled.
    pub next_at: Option<u64>,
}

impl Guest {
    pub fn new(station: Station) -> Self {
        Self {
            station,
            current: None,
            dialing: false,
            old: Vec::new(),
            port: FIRST_PORT,
            crashes: 0,
            left_at: None,
            next_at: None,
        }
    }

    /// A frame came.
    pub fn arrived(&mut self, now: u64, frame: Vec<u8>) {
        self.station.nic.arrived.push_back(frame);
        self.next_at = Some(now);
    }

    fn socket(&mut self) -> Option<&mut Socket<'static>> {
        let handle = self.current?;
        Some(self.station.sockets.get_mut(handle))
    }

    /// Lets its stack do what there is to do.
    pub fn poll(&mut self, scene: &mut Scene, switch: &mut Switch) {
        let now = scene.now;
        loop {
            self.station.poll(now);
            let mut sent = false;
            for frame in self.station.nic.sent.drain(..) {
                sent = true;
                scene.trace.frame(now, self.station.number, &frame);
                switch.send(now, self.station.number, &frame);
            }
            // A full card stops the stack.
            if !sent && self.station.nic.arrived.is_empty() {
                break;
            }
        }
        let sockets = &mut self.station.sockets;
        self.old.retain(|handle| {
            let socket: &Socket<'_> = sockets.get(*handle);
            let over = match socket.state() {
                State::Closed => socket.remote_endpoint().is_none(),
                state => state == State::TimeWait,
            };
            if over {
                sockets.remove(*handle);
            }
            !over
        });
        self.next_at = self.station.poll_at(now).map(|at| at.max(now + 1));
    }

    /// Connects.
    pub fn dial(&mut self, now: u64, (receive, send): (usize, usize)) {
        self.old.extend(self.current.take());
        let handle = self.station.socket(receive, send);
        let Station { iface, sockets, .. } = &mut self.station;
        let socket: &mut Socket<'_> = sockets.get_mut(handle);
        socket.set_keep_alive(Some(Duration::from_secs(5)));
        socket.set_timeout(Some(Duration::from_secs(30)));
        let server = IpAddress::Ipv4(ip_of(SERVER));
        // Neither the port nor the address is 0, and the socket is new.
        let dialed = socket.connect(iface.context(), (server, PORT), self.port);
        debug_assert_eq!(dialed, Ok(()));
        self.port = self.port.checked_add(1).unwrap_or(FIRST_PORT);
        self.current = Some(handle);
        self.dialing = true;
        self.next_at = Some(now);
    }

    pub fn is_dialing(&self) -> bool {
        self.dialing
    }

    /// Whether the connection it dialed has been made or refused.
    pub fn is_through(&mut self) -> bool {
        let waits = [State::SynSent, State::SynReceived];
        self.dialing && self.socket().is_some_and(|s| !waits.contains(&s.state()))
    }

    /// Whether nothing of its earlier connections is on its way.
    pub fn is_forgotten(&self, now: u64) -> bool {
        self.left_at.is_none_or(|at| at + FLIGHT_MS < now)
    }

    /// Its end of its connection.
    pub fn endpoint(&self) -> Option<IpEndpoint> {
        let handle = self.current?;
        let socket: &Socket<'_> = self.station.sockets.get(handle);
        socket.local_endpoint()
    }

    /// Tells the client what came of its wish for a connection.
    pub fn connected(&mut self, scene: &mut Scene, id: usize, alone: bool) {
        self.dialing = false;
        self.crashes = scene.counts.crashes;
        let now = scene.now;
        let made = self.socket().is_some_and(|s| s.state() != State::Closed);
        let words = format!("made {made} alone {alone}");
        scene
            .trace
            .note(now, "through", id as u64, words.as_bytes());
        if let Some(client) = scene.clients.get_mut(id) {
            if made {
                client.connected(now, alone);
            } else {
                client.refused(now);
            }
        }
        if !made {
            self.old.extend(self.current.take());
        }
    }

    /// Whether there is something to read, or the end.
    pub fn has_input(&self) -> bool {
        self.current.is_some_and(|handle| {
            let socket: &Socket<'_> = self.station.sockets.get(handle);
            !self.dialing && (socket.can_recv() || !socket.may_recv())
        })
    }

    /// The client reads, if it does.
    pub fn listen(&mut self, scene: &mut Scene, id: usize, draw: &mut Draw) {
        let now = scene.now;
        let reads = scene.clients.get(id).is_some_and(|c| c.reads_from <= now);
        if !reads || self.dialing {
            return;
        }
        let Some(handle) = self.current else { return };
        let socket: &mut Socket<'_> = self.station.sockets.get_mut(handle);
        while socket.can_recv() {
            let limit = draw.size(1, 4_000);
            let read = socket.recv(|bytes| {
                let bytes = bytes.get(..limit).unwrap_or(bytes);
                let words = bytes.len().to_string();
                scene.trace.note(now, "read", id as u64, words.as_bytes());
                scene.counts.bytes += bytes.len() as u64;
                scene.with_client(id, |client, context| client.read(bytes, context));
                (bytes.len(), ())
            });
            if read.is_err() {
                break;
            }
            self.next_at = Some(now);
        }
        if socket.may_recv() {
            return;
        }
        // The end, or a reset, or the server was silent for too long. An end that was on its way when the server crashed is none: the
        // server does not remember it.
        let ended = socket.is_active() && self.crashes == scene.counts.crashes;
        socket.close();
        self.old.extend(self.current.take());
        self.next_at = Some(now);
        let words = format!("in order {ended}");
        scene.trace.note(now, "ended", id as u64, words.as_bytes());
        if !ended {
            self.left_at = Some(now);
        }
        scene.with_client(id, |client, context| {
            if client.session.is_none() {
                return;
            }
            if ended {
                client.ended(context);
            } else {
                client.broke(now);
            }
        });
    }

    /// The client leaves.
    pub fn leave(&mut self, now: u64, manner: Manner) {
        self.left_at = Some(now);
        self.next_at = Some(now);
        if let Some(socket) = self.socket() {
            match manner {
                Manner::End => socket.close(),
                Manner::Reset | Manner::Vanish => socket.abort(),
            }
        }
        self.old.extend(self.current.take());
    }

    /// Its machine is switched off without a word, and is another one when it is on again.
    pub fn vanish(&mut self, now: u64, station: Station) {
        *self = Self {
            left_at: Some(now),
            // Some machines begin anew, and so with a port that the server knows.
            port: if now.is_multiple_of(2) {
                self.port
            } else {
                FIRST_PORT
            },
            ..Self::new(station)
        };
    }

    /// Hands what the client has to say to its socket. True when the stack has something to do now.
    pub fn say(&mut self, scene: &mut Scene, id: usize) -> bool {
        let now = scene.now;
        if self.dialing {
            return false;
        }
        let session = scene.clients.get_mut(id).and_then(|c| c.session.as_mut());
        let (Some(session), Some(socket)) = (session, self.socket()) else {
            return false;
        };
        if session.output.is_empty() {
            return false;
        }
        let bytes = session.output.make_contiguous();
        match socket.send_slice(bytes) {
            Ok(0) => false,
            Ok(taken) => {
                let sent = bytes.get(..taken).unwrap_or_default();
                scene.trace.note(now, "client", id as u64, sent);
                session.output.drain(..taken);
                true
            }
            // The connection is gone; the system discards what is written.
            Err(_) => {
                session.output.clear();
                false
            }
        }
    }

    /// Whether it is connected and nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.current.is_some_and(|handle| {
            let socket: &Socket<'_> = self.station.sockets.get(handle);
            socket.state() == State::Established
                && socket.send_queue() == 0
                && socket.recv_queue() == 0
        })
    }

    /// What its connection does, in words.
    pub fn describe(&self) -> String {
        self.current.map_or_else(
            || "none".to_owned(),
            |handle| describe(self.station.sockets.get(handle)),
        )
    }
}
