//! One socket and what it is doing.

use core::net::IpAddr;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, Socket};
use smoltcp::time::Duration;

use super::{CLOSE_MS, Counts, HALF_OPEN_MS, KEEP_ALIVE_MS, LAST_ACK_MS, Port, TIMEOUT_MS};
use crate::id::ConnId;
use crate::server::{Link, Protocol, Sent, Server};
use crate::time::Instant;

/// What a peer means by ending its stream.
const QUIT: &[u8] = b"QUIT :Connection closed\r\n";

/// A socket that serves one connection after the other.
#[derive(Debug)]
pub struct Slot {
    pub(super) handle: SocketHandle,
    /// Index of the port it listens on or was reached at.
    pub(super) port: u8,
    pub(super) state: State,
}

/// What a slot does.
#[derive(Debug)]
pub(super) enum State {
    /// Listens, or has answered a SYN at that time.
    Waiting { since: Option<Instant> },
    /// Serves.
    Open(Open),
    /// The server is done with it; the peer may read what is left until then.
    Closing { until: Instant },
}

/// A connection.
#[derive(Debug)]
pub(super) struct Open {
    conn: ConnId,
    /// Bytes that must be free before rendering makes sense; 0 when the server has nothing for it.
    need: u16,
    /// The last line received has no end yet.
    partial: bool,
    /// How much of [`QUIT`] the server has taken, after the end of the peer's stream.
    quit: u8,
}

impl Slot {
    /// A slot over a TCP socket that the caller has put into its set. The send buffer should take a line of 100 bytes at least.
    pub const fn new(handle: SocketHandle) -> Self {
        Self {
            handle,
            port: 0,
            state: State::Waiting { since: None },
        }
    }

    pub(super) fn prepare(&self, socket: &mut Socket<'_>) {
        socket.abort();
        socket.set_keep_alive(Some(Duration::from_millis(KEEP_ALIVE_MS)));
        socket.set_timeout(Some(Duration::from_millis(TIMEOUT_MS)));
        // A pass writes all there is, so that there is nothing to gain by waiting for more.
        socket.set_nagle_enabled(false);
    }

    pub(super) fn serves(&self, conn: ConnId) -> bool {
        matches!(&self.state, State::Open(open) if open.conn == conn)
    }

    /// Sees what the network did to the socket, and hands what came to the server.
    pub(super) fn look(
        &mut self,
        now: Instant,
        socket: &mut Socket<'_>,
        server: &mut Server<'_>,
        ports: &[Port],
        counts: &mut Counts,
    ) {
        match &mut self.state {
            State::Waiting { since } => match socket.state() {
                tcp::State::SynReceived => {
                    since.get_or_insert(now);
                }
                tcp::State::Established | tcp::State::CloseWait => {
                    self.accept(now, socket, server, ports, counts);
                }
                _ => *since = None,
            },
            State::Open(_) => {}
            State::Closing { .. } => {
                // Or a peer that still sends would never come to its end.
                while socket
                    .recv(|bytes| (bytes.len(), bytes.len()))
                    .is_ok_and(|n| n > 0)
                {}
            }
        }
        self.receive(now, socket, server);
    }

    fn accept(
        &mut self,
        now: Instant,
        socket: &mut Socket<'_>,
        server: &mut Server<'_>,
        ports: &[Port],
        counts: &mut Counts,
    ) {
        let address = match socket.remote_endpoint().map(|remote| remote.addr.into()) {
            Some(IpAddr::V4(four)) => four.to_ipv6_mapped(),
            Some(IpAddr::V6(six)) => six,
            None => return,
        };
        let port = ports.get(usize::from(self.port));
        let link = Link {
            protocol: port.map_or(Protocol::Irc, |port| port.protocol),
            encrypted: false,
            loopback: false,
            address: address.octets(),
        };
        match server.open(now, link) {
            Ok(conn) => {
                counts.opened = counts.opened.wrapping_add(1);
                self.state = State::Open(Open {
                    conn,
                    need: 0,
                    partial: false,
                    quit: 0,
                });
            }
            Err(full) => {
                counts.refused = counts.refused.wrapping_add(1);
                // It fits: nothing else was sent before.
                let _ = socket.send_slice(full.line().as_bytes());
                self.finish(now, socket);
            }
        }
    }

    /// Hands what came to the server, as far as it takes it.
    fn receive(&mut self, now: Instant, socket: &mut Socket<'_>, server: &mut Server<'_>) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        while socket.can_recv() && server.wants_input(open.conn) {
            let taken = socket.recv(|bytes| {
                let taken = server.receive(now, open.conn, bytes);
                if let Some(last) = taken.checked_sub(1).and_then(|last| bytes.get(last)) {
                    open.partial = *last != b'\n';
                }
                (taken, taken)
            });
            if taken.is_ok_and(|taken| taken == 0) {
                break;
            }
        }
        if !socket.is_active() {
            // A reset, a timeout, or the interface's address is another one now.
            server.close(now, open.conn);
            self.state = State::Closing { until: now };
        } else if !socket.may_recv() {
            // The peer sends no more, but may still read, and the server may not have come to all of its lines yet. So it leaves the way
            // others do: after them. Half a line is nobody's wish, though.
            if open.partial {
                server.close(now, open.conn);
                return self.finish(now, socket);
            }
            let rest = QUIT.get(usize::from(open.quit)..).unwrap_or_default();
            if !rest.is_empty() && server.wants_input(open.conn) {
                open.quit += server.receive(now, open.conn, rest) as u8;
            }
        }
    }

    /// Whether there is input that the server would take now.
    pub(super) fn has_input(&self, socket: &Socket<'_>, server: &Server<'_>) -> bool {
        match &self.state {
            State::Open(open) => {
                let quits = !socket.may_recv() && usize::from(open.quit) < QUIT.len();
                (socket.can_recv() || quits) && server.wants_input(open.conn)
            }
            State::Waiting { .. } | State::Closing { .. } => false,
        }
    }

    /// Whether its connection is gone and the server does not know yet.
    pub(super) fn is_dead(&self, socket: &Socket<'_>) -> bool {
        matches!(self.state, State::Open(_)) && !socket.is_active()
    }

    /// The server has something to send, or wants to close.
    pub(super) fn named(
        &mut self,
        now: Instant,
        socket: &mut Socket<'_>,
        server: &mut Server<'_>,
        scratch: &mut [u8],
    ) {
        if let State::Open(open) = &mut self.state {
            open.need = 1;
            self.transmit(now, socket, server, scratch);
        }
    }

    /// Goes on where the socket was full.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        socket: &mut Socket<'_>,
        server: &mut Server<'_>,
        scratch: &mut [u8],
    ) {
        if let State::Open(open) = &self.state
            && open.need > 0
            && free(socket) >= usize::from(open.need)
        {
            self.transmit(now, socket, server, scratch);
        }
    }

    fn transmit(
        &mut self,
        now: Instant,
        socket: &mut Socket<'_>,
        server: &mut Server<'_>,
        scratch: &mut [u8],
    ) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        loop {
            // Where a whole rendering fits it needs no copy.
            let size = scratch.len();
            let direct = socket.send(|room| {
                if room.len() < size {
                    return (0, None);
                }
                let sent = server.transmit(now, open.conn, room);
                (if let Sent::Bytes(n) = sent { n } else { 0 }, Some(sent))
            });
            let in_place = matches!(direct, Ok(Some(_)));
            let sent = match direct {
                Ok(Some(sent)) => sent,
                // Even a full socket is asked for: the server may want to close it.
                _ => server.transmit(now, open.conn, scratch),
            };
            match sent {
                Sent::Bytes(n) if in_place => server.sent(now, open.conn, n),
                Sent::Bytes(n) => {
                    let lines = scratch.get(..n).unwrap_or_default();
                    let (fit, need) = cut(lines, free(socket), socket.send_capacity());
                    let taken = socket
                        .send_slice(lines.get(..fit).unwrap_or_default())
                        .unwrap_or(0);
                    server.sent(now, open.conn, taken);
                    if taken < n {
                        open.need = need;
                        return;
                    }
                }
                Sent::Idle => {
                    open.need = 0;
                    return;
                }
                Sent::Close => {
                    server.close(now, open.conn);
                    return self.finish(now, socket);
                }
            }
        }
    }

    /// The server is done: what is in the socket is still sent, then its end.
    fn finish(&mut self, now: Instant, socket: &mut Socket<'_>) {
        socket.close();
        self.state = State::Closing {
            until: now + CLOSE_MS,
        };
    }

    /// When the slot may listen (anew), if that only takes time.
    pub(super) fn free_at(&mut self, now: Instant, socket: &mut Socket<'_>) -> Option<Instant> {
        match &mut self.state {
            State::Waiting { since: Some(since) } => Some(*since + HALF_OPEN_MS),
            // The set is new, or a handshake was broken off.
            State::Waiting { since: None } => (!socket.is_listening()).then_some(now),
            State::Open(_) => None,
            State::Closing { until } => match socket.state() {
                // Once nobody needs to be told of a reset.
                tcp::State::Closed if socket.remote_endpoint().is_none() => Some(now),
                tcp::State::Closed => Some(*until + LAST_ACK_MS),
                // The peer has everything and has ended its side. All that is left is to acknowledge that.
                tcp::State::TimeWait => {
                    *until = (*until).min(now + LAST_ACK_MS);
                    Some(*until)
                }
                _ if *until <= now => {
                    socket.abort();
                    Some(now + LAST_ACK_MS)
                }
                _ => Some(*until),
            },
        }
    }

    /// Listens, whatever it was doing. Nobody is told: not even by a reset.
    pub(super) fn listen(&mut self, socket: &mut Socket<'_>, port: u8, ports: &[Port]) {
        socket.abort();
        self.port = port;
        self.state = State::Waiting { since: None };
        if let Some(port) = ports.get(usize::from(port)) {
            // A closed socket can listen on any port but 0, which is not one.
            let _ = socket.listen(port.number);
        }
    }
}

/// Bytes the socket takes now.
fn free(socket: &Socket<'_>) -> usize {
    socket.send_capacity() - socket.send_queue()
}

/// How much of these lines to send into that room: whole lines, unless the socket never holds the first. And how much room the next needs.
fn cut(lines: &[u8], room: usize, capacity: usize) -> (usize, u16) {
    if lines.len() <= room {
        return (lines.len(), 1);
    }
    let end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').map(|n| n + 1);
    let whole = lines.get(..room).unwrap_or_default();
    let mut fit = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |n| n + 1);
    let first = end(lines).unwrap_or(lines.len());
    if fit == 0 && first > capacity {
        fit = room;
    }
    let rest = lines.get(fit..).unwrap_or_default();
    let next = end(rest).unwrap_or(rest.len()).min(capacity).max(1);
    (fit, u16::try_from(next).unwrap_or(u16::MAX))
}
