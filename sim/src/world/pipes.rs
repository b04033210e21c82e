//! Byte pipes: what the operating systems at both ends of each connection do, and nothing below. Cheap, and what goes wrong over them is
//! not the network's fault.

use soqet_core::id::ConnId;
use soqet_core::server::{Link as Peer, Protocol, Sent, Server};
use soqet_core::time::Instant;

use super::MOST_ROUNDS;
use super::network::Network;
use super::scene::Scene;
use crate::client::role::Line;
use crate::client::{Manner, Wish};
use crate::draw::Draw;
use crate::pipe::{Pipe, Wire};

/// A connection.
struct Link {
    client: usize,
    /// The server's end, while it is open.
    conn: Option<ConnId>,
    /// The client's end is open.
    held: bool,
    /// `ready` has named it, and `transmit` has not said `Idle` since.
    flagged: bool,
    /// Its server crashed.
    broken: bool,
    inward: Pipe,
    outward: Pipe,
}

impl Link {
    /// The server's machine dies.
    fn crash(&mut self, now: u64, draw: &mut Draw) {
        self.conn = None;
        self.flagged = false;
        self.broken = true;
        self.outward.cut(now, draw);
    }
}

/// See the module.
pub(super) struct Pipes {
    links: Vec<Link>,
    /// Who waits to be accepted, and until when.
    waiting: Vec<(u64, usize)>,
    buffer: Vec<u8>,
}

impl Pipes {
    /// No connection yet; lines are rendered into a buffer of that size.
    pub fn new(buffer_size: usize) -> Self {
        Self {
            links: Vec::new(),
            waiting: Vec::new(),
            buffer: vec![0; buffer_size],
        }
    }

    fn forget_links(&mut self) {
        self.links.retain(|link| link.held || link.conn.is_some());
    }

    fn name(&mut self, scene: &mut Scene, conn: ConnId) {
        match self.links.iter_mut().find(|link| link.conn == Some(conn)) {
            Some(link) => link.flagged = true,
            None => scene
                .oracle
                .object(format!("ready names {conn:?}, which is closed")),
        }
    }

    fn offer_one(&mut self, scene: &mut Scene, server: &mut Server<'_>, index: usize) {
        loop {
            let now = Instant(scene.now);
            let Some(link) = self.links.get_mut(index) else {
                return;
            };
            let Some(conn) = link.conn else { return };
            if link.inward.is_finished() {
                scene
                    .trace
                    .note(scene.now, "close", link.client as u64, b"by the client");
                link.conn = None;
                server.close(now, conn);
                return self.settle(scene, server);
            }
            if link.inward.unread() == 0 || !server.wants_input(conn) {
                return;
            }
            let limit = scene.draw.size(1, 2_000);
            let offered = link.inward.peek(limit);
            let length = offered.len();
            let taken = server.receive(now, conn, offered);
            if taken > length {
                return scene
                    .oracle
                    .object(format!("receive took {taken} of {length} bytes"));
            }
            scene.trace.note(
                scene.now,
                "receive",
                link.client as u64,
                offered.get(..taken).unwrap_or_default(),
            );
            link.inward.consume(taken);
            let client = link.client;
            self.settle(scene, server);
            self.flush(scene, client);
            if taken == 0 {
                return;
            }
        }
    }

    /// Sends what the server has for a connection, as far as its socket takes it.
    fn pump(&mut self, scene: &mut Scene, server: &mut Server<'_>, conn: ConnId) {
        loop {
            let now = Instant(scene.now);
            let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn)) else {
                return;
            };
            let mut room = link.outward.room();
            if room > 1 && scene.draw.chance(scene.plan.short_writes) {
                room = scene.draw.size(1, room - 1);
            }
            // Even a full socket is asked for once: the server may want to close it.
            let length = match server.transmit(now, conn, &mut self.buffer) {
                Sent::Bytes(length) => length,
                Sent::Idle => {
                    link.flagged = false;
                    return;
                }
                Sent::Close => {
                    scene
                        .trace
                        .note(scene.now, "close", link.client as u64, b"by the server");
                    link.outward.end(scene.now);
                    link.conn = None;
                    link.flagged = false;
                    server.close(now, conn);
                    return;
                }
            };
            let taken = length.min(room);
            let bytes = self.buffer.get(..taken).unwrap_or_default();
            link.outward.write(scene.now, &mut scene.draw, bytes);
            scene
                .trace
                .note(scene.now, "server", link.client as u64, bytes);
            scene.counts.bytes += taken as u64;
            server.sent(now, conn, taken);
            if length == 0 {
                return scene.oracle.object("transmit made nothing".to_owned());
            }
            if taken < length && link.outward.room() == 0 {
                return;
            }
        }
    }

    /// A client is done with its end.
    fn leave(&mut self, scene: &mut Scene, index: usize, manner: Manner) {
        if let Some(link) = self.links.get_mut(index) {
            link.held = false;
            match manner {
                Manner::End => link.inward.end(scene.now),
                Manner::Reset => link.inward.cut(scene.now, &mut scene.draw),
                Manner::Vanish => {}
            }
        }
    }
}

impl Network for Pipes {
    fn next_at(&mut self, _: &Scene) -> Option<u64> {
        let links = self.links.iter().flat_map(|link| {
            let inward = link.inward.next_at().filter(|_| link.conn.is_some());
            let outward = link.outward.next_at().filter(|_| link.held);
            inward.into_iter().chain(outward)
        });
        let waiting = self.waiting.iter().map(|(at, _)| *at);
        links.chain(waiting).min()
    }

    fn is_waiting(&self, client: usize) -> bool {
        self.waiting.iter().any(|(_, waiting)| *waiting == client)
    }

    fn grant(&mut self, scene: &mut Scene, client: usize, wish: Wish) {
        match wish {
            Wish::Connect => {
                let wire = scene.plan.wire;
                let at = scene.now + scene.draw.between(wire.min_ms, wire.max_ms);
                self.waiting.push((at, client));
            }
            Wish::Leave(manner) => {
                let mut links = self.links.iter();
                let held = links.position(|link| link.client == client && link.held);
                if let Some(index) = held {
                    self.leave(scene, index, manner);
                }
            }
        }
        self.forget_links();
    }

    fn flush(&mut self, scene: &mut Scene, id: usize) {
        let Some(session) = scene.clients.get_mut(id).and_then(|c| c.session.as_mut()) else {
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
        let taken = link.inward.write(scene.now, &mut scene.draw, bytes);
        if taken > 0 {
            let sent = bytes.get(..taken).unwrap_or_default();
            scene.trace.note(scene.now, "client", id as u64, sent);
            session.output.drain(..taken);
        }
    }

    fn deliver(&mut self, scene: &mut Scene) {
        for index in 0..self.links.len() {
            let now = scene.now;
            let Some(link) = self.links.get_mut(index).filter(|link| link.held) else {
                continue;
            };
            link.outward.advance(now);
            let id = link.client;
            if scene.clients.get(id).is_none_or(|c| c.reads_from > now) {
                continue;
            }
            while link.outward.unread() > 0 {
                let limit = scene.draw.size(1, 4_000);
                let bytes = link.outward.peek(limit);
                let length = bytes.len();
                let words = length.to_string();
                scene.trace.note(now, "read", id as u64, words.as_bytes());
                scene.with_client(id, |client, context| client.read(bytes, context));
                link.outward.consume(length);
            }
            let finished = link.outward.is_finished();
            scene.with_client(id, |client, context| {
                if finished && client.session.is_some() {
                    context.trace.note(now, "ended", id as u64, &[]);
                    link.held = false;
                    if link.broken {
                        client.broke(now);
                    } else {
                        client.ended(context);
                    }
                }
            });
            // Not by `grant`, which forgets links while they are being walked.
            let client = scene.clients.get_mut(id);
            if let Some(Wish::Leave(manner)) = client.and_then(|c| c.take_wish()) {
                self.leave(scene, index, manner);
            }
            self.flush(scene, id);
        }
        self.forget_links();
    }

    fn start(&mut self, _: &mut Scene) {}

    fn settle(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        for _ in 0..MOST_ROUNDS {
            let mut rest = true;
            while let Some(effect) = server.poll(Instant(scene.now)) {
                rest = false;
                scene.submit(&effect);
            }
            while let Some(conn) = server.ready() {
                rest = false;
                self.name(scene, conn);
                self.pump(scene, server, conn);
            }
            if rest {
                return;
            }
        }
        let why = "the server never runs out of effects and output";
        scene.oracle.object(why.to_owned());
    }

    fn arrive(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let now = scene.now;
            let Some(link) = self.links.get_mut(index).filter(|link| link.conn.is_some()) else {
                continue;
            };
            if link.inward.advance(now) {
                self.offer_one(scene, server, index);
            }
        }
        self.forget_links();
    }

    fn go_on(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else {
                continue;
            };
            if let Some(conn) = link
                .conn
                .filter(|_| link.flagged && link.outward.room() > 0)
            {
                self.pump(scene, server, conn);
                self.settle(scene, server);
            }
        }
        self.forget_links();
    }

    fn accept(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        while let Some(at) = self.waiting.iter().position(|(at, _)| *at <= scene.now) {
            let (_, id) = self.waiting.remove(at);
            let Some(client) = scene.clients.get_mut(id) else {
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
            match server.open(Instant(scene.now), peer) {
                Ok(conn) => {
                    scene.counts.accepted += 1;
                    let words = format!("{} {conn:?}", client.role.nick);
                    scene
                        .trace
                        .note(scene.now, "open", id as u64, words.as_bytes());
                    let alone = !self.links.iter().any(|link| link.client == id);
                    client.connected(scene.now, alone);
                    let slowest = scene.draw.between(1, scene.plan.wire.max_ms);
                    let wire = Wire {
                        min_ms: scene.draw.between(1, slowest),
                        max_ms: slowest,
                        capacity: scene.draw.size(300, scene.plan.wire.capacity),
                        ..scene.plan.wire
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
                    self.flush(scene, id);
                }
                Err(full) => {
                    scene.counts.refused += 1;
                    scene
                        .trace
                        .note(scene.now, "full", id as u64, full.line().as_bytes());
                    client.refused(scene.now);
                }
            }
            self.settle(scene, server);
        }
    }

    fn offer(&mut self, scene: &mut Scene, server: &mut Server<'_>) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else {
                continue;
            };
            if link.inward.unread() > 0 || link.inward.is_finished() {
                self.offer_one(scene, server, index);
            }
        }
        self.forget_links();
    }

    fn crash(&mut self, scene: &mut Scene) {
        for link in &mut self.links {
            link.crash(scene.now, &mut scene.draw);
        }
        // Who waits to be accepted is refused.
        for (at, _) in &mut self.waiting {
            *at = (*at).max(scene.now);
        }
    }

    fn refuse(&mut self, scene: &mut Scene) {
        let now = scene.now;
        let (due, later) = self.waiting.drain(..).partition(|(at, _)| *at <= now);
        self.waiting = later;
        let due: Vec<(u64, usize)> = due;
        for (_, id) in due {
            if let Some(client) = scene.clients.get_mut(id) {
                client.refused(now);
            }
        }
    }

    fn heal(&mut self, scene: &mut Scene) {
        scene.plan.short_writes = 0;
    }

    fn is_quiet(&self, scene: &Scene) -> bool {
        self.waiting.is_empty()
            && scene.store.backlog() == 0
            && self
                .links
                .iter()
                .all(|link| link.held && link.inward.is_empty() && link.outward.is_empty())
    }

    fn noise(&self, scene: &Scene) -> String {
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
            scene.store.backlog(),
        )
    }
}
