//! Sockets: what the operating systems at both ends of each connection do.

use soqet_core::id::ConnId;
use soqet_core::server::{Link as Peer, Protocol, Sent, Server};
use soqet_core::time::Instant;

use super::{Phase, World};
use crate::client::role::Line;
use crate::client::{Context, Manner, Wish};
use crate::draw::Draw;
use crate::pipe::{Pipe, Wire};

/// A connection.
pub(super) struct Link {
    client: usize,
    /// The server's end, while it is open.
    pub conn: Option<ConnId>,
    /// The client's end is open.
    held: bool,
    /// `ready` has named it, and `transmit` has not said `Idle` since.
    pub flagged: bool,
    /// Its server crashed.
    broken: bool,
    inward: Pipe,
    outward: Pipe,
}

impl Link {
    /// The server's machine dies.
    pub fn crash(&mut self, now: u64, draw: &mut Draw) {
        self.conn = None;
        self.flagged = false;
        self.broken = true;
        self.outward.cut(now, draw);
    }
}

/// Client state as a [`Context`] lends it: a macro, since it borrows field by field.
macro_rules! context {
    ($world:ident) => {
        Context {
            now: $world.now,
            oracle: &mut $world.oracle,
            tables: &$world.store.tables,
            salted: &mut $world.salted,
            registered: &mut $world.registered,
            failed_logins: 0,
            gaps: 0,
            page: $world.plan.config.page,
            keep: $world.plan.config.history,
            replay: $world.plan.config.replay,
            reads_fail: $world.plan.faults.refuse_reads > 0,
            crashes: $world.counts.crashes,
            healed: $world.phase != Phase::Chaos,
            rest: $world.phase == Phase::Asking && !$world.plan.scarce,
            trace: &mut $world.trace,
        }
    };
}
pub(super) use context;

impl World {
    /// When something happens next that needs no server.
    pub(super) fn next_without_server(&self) -> Option<u64> {
        let clients = self
            .clients
            .iter()
            .map(|client| client.act_at)
            .chain(self.clients.iter().map(|c| c.reads_from))
            .filter(|at| *at > self.now);
        let due = self.clients.iter().any(|client| client.act_at <= self.now);
        let links = self.links.iter().flat_map(|link| {
            let inward = link.inward.next_at().filter(|_| link.conn.is_some());
            let outward = link.outward.next_at().filter(|_| link.held);
            inward.into_iter().chain(outward)
        });
        let waiting = self.waiting.iter().map(|(at, _)| *at);
        clients
            .chain(links)
            .chain(waiting)
            .chain(due.then_some(self.now))
            .min()
    }

    /// Every client whose turn it is acts.
    pub(super) fn act(&mut self) {
        for id in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(id).filter(|c| c.act_at <= self.now) else {
                continue;
            };
            if self.waiting.iter().any(|(_, waiting)| *waiting == id) {
                client.act_at = self.now + 1_000;
                continue;
            }
            let mut context = context!(self);
            client.act(&mut context);
            let (gaps, failed) = (context.gaps, context.failed_logins);
            self.count(gaps, failed);
            self.grant(id);
            self.flush(id);
        }
    }

    fn count(&mut self, gaps: u64, failed_logins: u64) {
        self.counts.gaps += gaps;
        self.counts.failed_logins += failed_logins;
    }

    /// Does what a client wishes of its operating system.
    fn grant(&mut self, id: usize) {
        let Some(wish) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.take_wish())
        else {
            return;
        };
        self.trace
            .note(self.now, "wish", id as u64, format!("{wish:?}").as_bytes());
        match wish {
            Wish::Connect => {
                let at = self.now
                    + self
                        .draw
                        .between(self.plan.wire.min_ms, self.plan.wire.max_ms);
                self.waiting.push((at, id));
            }
            Wish::Leave(manner) => {
                let link = self
                    .links
                    .iter_mut()
                    .find(|link| link.client == id && link.held);
                if let Some(link) = link {
                    link.held = false;
                    match manner {
                        Manner::End => link.inward.end(self.now),
                        Manner::Reset => link.inward.cut(self.now, &mut self.draw),
                        Manner::Vanish => {}
                    }
                }
            }
        }
        self.forget_links();
    }

    fn forget_links(&mut self) {
        self.links.retain(|link| link.held || link.conn.is_some());
    }

    /// Hands a client's bytes to its socket.
    fn flush(&mut self, id: usize) {
        let Some(session) = self.clients.get_mut(id).and_then(|c| c.session.as_mut()) else {
            return;
        };
        let Some(link) = self
            .links
            .iter_mut()
            .find(|link| link.client == id && link.held)
        else {
            return;
        };
        if link.conn.is_none() {
            // The other end is gone; the system discards what is written.
            session.output.clear();
            return;
        }
        let bytes = session.output.make_contiguous();
        let taken = link.inward.write(self.now, &mut self.draw, bytes);
        if taken > 0 {
            let sent = bytes.get(..taken).unwrap_or_default();
            self.trace.note(self.now, "client", id as u64, sent);
            session.output.drain(..taken);
        }
    }

    /// Whoever waits to be accepted is.
    pub(super) fn accept(&mut self, server: &mut Server<'_>) {
        while let Some(at) = self.waiting.iter().position(|(at, _)| *at <= self.now) {
            let (_, id) = self.waiting.remove(at);
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            let mut address = [0; 16];
            if let Some(last) = address.last_mut() {
                *last = client.role.address;
            }
            let peer = Peer {
                protocol: Protocol::Irc,
                encrypted: client.role.line == Line::Encrypted,
                loopback: client.role.line == Line::Loopback,
                address,
            };
            match server.open(Instant(self.now), peer) {
                Ok(conn) => {
                    self.counts.accepted += 1;
                    let words = format!("{} {conn:?}", client.role.nick);
                    self.trace
                        .note(self.now, "open", id as u64, words.as_bytes());
                    let alone = !self.links.iter().any(|link| link.client == id);
                    client.connected(self.now, alone);
                    let slowest = self.draw.between(1, self.plan.wire.max_ms);
                    let wire = Wire {
                        min_ms: self.draw.between(1, slowest),
                        max_ms: slowest,
                        capacity: self.draw.size(300, self.plan.wire.capacity),
                        ..self.plan.wire
                    };
                    self.links.push(Link {
                        client: id,
                        conn: Some(conn),
                        held: true,
                        flagged: false,
                        broken: false,
                        inward: Pipe::new(wire),
                        outward: Pipe::new(wire),
                    });
                    self.flush(id);
                }
                Err(full) => {
                    self.counts.refused += 1;
                    self.trace
                        .note(self.now, "full", id as u64, full.line().as_bytes());
                    client.refused(self.now);
                }
            }
            self.settle(server);
        }
    }

    /// No server is there to accept anybody.
    pub(super) fn refuse_waiting(&mut self) {
        let now = self.now;
        let (due, later) = self.waiting.drain(..).partition(|(at, _)| *at <= now);
        self.waiting = later;
        let due: Vec<(u64, usize)> = due;
        for (_, id) in due {
            if let Some(client) = self.clients.get_mut(id) {
                client.refused(now);
            }
        }
    }

    /// Bytes and ends that clients sent arrive at the server.
    pub(super) fn deliver_to_server(&mut self, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let now = self.now;
            let Some(link) = self.links.get_mut(index).filter(|link| link.conn.is_some()) else {
                continue;
            };
            if link.inward.advance(now) {
                self.offer(server, index);
            }
        }
        self.forget_links();
    }

    /// Offers what arrived to every connection that takes it.
    pub(super) fn offer_all(&mut self, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else {
                continue;
            };
            if link.inward.unread() > 0 || link.inward.is_finished() {
                self.offer(server, index);
            }
        }
        self.forget_links();
    }

    fn offer(&mut self, server: &mut Server<'_>, index: usize) {
        loop {
            let now = Instant(self.now);
            let Some(link) = self.links.get_mut(index) else {
                return;
            };
            let Some(conn) = link.conn else { return };
            if link.inward.is_finished() {
                self.trace
                    .note(self.now, "close", link.client as u64, b"by the client");
                link.conn = None;
                server.close(now, conn);
                return self.settle(server);
            }
            if link.inward.unread() == 0 || !server.wants_input(conn) {
                return;
            }
            let limit = self.draw.size(1, 2_000);
            let offered = link.inward.peek(limit);
            let length = offered.len();
            let taken = server.receive(now, conn, offered);
            if taken > length {
                return self
                    .oracle
                    .object(format!("receive took {taken} of {length} bytes"));
            }
            self.trace.note(
                self.now,
                "receive",
                link.client as u64,
                offered.get(..taken).unwrap_or_default(),
            );
            link.inward.consume(taken);
            let client = link.client;
            self.settle(server);
            self.flush(client);
            if taken == 0 {
                return;
            }
        }
    }

    /// Sends what the server has for a connection, as far as its socket takes it.
    pub(super) fn pump(&mut self, server: &mut Server<'_>, conn: ConnId) {
        loop {
            let now = Instant(self.now);
            let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn)) else {
                return;
            };
            let mut room = link.outward.room();
            if room > 1 && self.draw.chance(self.plan.short_writes) {
                room = self.draw.size(1, room - 1);
            }
            // Even a full socket is asked for once: the server may want to close it.
            let length = match server.transmit(now, conn, &mut self.buffer) {
                Sent::Bytes(length) => length,
                Sent::Idle => {
                    link.flagged = false;
                    return;
                }
                Sent::Close => {
                    self.trace
                        .note(self.now, "close", link.client as u64, b"by the server");
                    link.outward.end(self.now);
                    link.conn = None;
                    link.flagged = false;
                    server.close(now, conn);
                    return;
                }
            };
            let taken = length.min(room);
            let bytes = self.buffer.get(..taken).unwrap_or_default();
            link.outward.write(self.now, &mut self.draw, bytes);
            self.trace
                .note(self.now, "server", link.client as u64, bytes);
            self.counts.bytes += taken as u64;
            server.sent(now, conn, taken);
            if length == 0 {
                return self.oracle.object("transmit made nothing".to_owned());
            }
            if taken < length && link.outward.room() == 0 {
                return;
            }
        }
    }

    /// Goes on sending where a socket has room again.
    pub(super) fn make_room(&mut self, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else {
                continue;
            };
            if let Some(conn) = link
                .conn
                .filter(|_| link.flagged && link.outward.room() > 0)
            {
                self.pump(server, conn);
                self.settle(server);
            }
        }
        self.forget_links();
    }

    /// Bytes and ends that the server sent arrive, where the client reads.
    pub(super) fn deliver_to_clients(&mut self) {
        for index in 0..self.links.len() {
            let now = self.now;
            let Some(link) = self.links.get_mut(index).filter(|link| link.held) else {
                continue;
            };
            link.outward.advance(now);
            let id = link.client;
            let Some(client) = self.clients.get_mut(id).filter(|c| c.reads_from <= now) else {
                continue;
            };
            let mut context = context!(self);
            while link.outward.unread() > 0 {
                let limit = self.draw.size(1, 4_000);
                let bytes = link.outward.peek(limit);
                let length = bytes.len();
                context
                    .trace
                    .note(now, "read", id as u64, length.to_string().as_bytes());
                client.read(bytes, &mut context);
                link.outward.consume(length);
            }
            if link.outward.is_finished() && client.session.is_some() {
                context.trace.note(now, "ended", id as u64, &[]);
                link.held = false;
                if link.broken {
                    client.broke(now);
                } else {
                    client.ended(&mut context);
                }
            }
            let (gaps, failed) = (context.gaps, context.failed_logins);
            self.count(gaps, failed);
            self.grant_in_place(index, id);
            self.flush(id);
        }
        self.forget_links();
    }

    /// As `grant`, without forgetting links while they are being walked.
    fn grant_in_place(&mut self, index: usize, id: usize) {
        let Some(Wish::Leave(manner)) = self.clients.get_mut(id).and_then(|c| c.take_wish()) else {
            return;
        };
        if let Some(link) = self.links.get_mut(index) {
            link.held = false;
            match manner {
                Manner::End => link.inward.end(self.now),
                Manner::Reset => link.inward.cut(self.now, &mut self.draw),
                Manner::Vanish => {}
            }
        }
    }

    /// Whether nothing is on its way anywhere, and only the clients' own connections are open.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
            && self.store.backlog() == 0
            && self
                .links
                .iter()
                .all(|link| link.held && link.inward.is_empty() && link.outward.is_empty())
    }

    /// What is not quiet, in words.
    pub(super) fn noise(&self) -> String {
        let half_open = self.links.iter().filter(|link| !link.held).count();
        let unread: Vec<_> = self
            .links
            .iter()
            .filter(|link| link.held)
            .filter(|link| !(link.inward.is_empty() && link.outward.is_empty()))
            .map(|link| {
                (
                    link.client,
                    link.inward.unread(),
                    link.outward.unread(),
                    link.flagged,
                )
            })
            .collect();
        format!(
            "{} waiting, store backlog {}, half open {half_open}, unread (client, at server, at client, flagged) {unread:?}",
            self.waiting.len(),
            self.store.backlog(),
        )
    }
}
