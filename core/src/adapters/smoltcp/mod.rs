//! The server over smoltcp's TCP sockets: a few sockets ([`Slot`]s), each of which listens, serves one connection, and listens again.
//!
//! It owns neither clock, nor interface, nor sockets, nor store. The caller adds the sockets to its set (where its DHCP and other sockets
//! may be, too), calls [`Network::step`] after every event (a frame, a store's answer, a deadline) and again when that tells.
//!
//! The device should have room for the next frame soon, whatever the caller does: see `patient.rs` for why it is waited for.
//!
//! What is promised:
//!
//! - A step does bounded work; what is left makes it ask to be called again at once.
//! - Received bytes stay in the socket until the server takes them: then TCP's window holds the peer back.
//! - Output is rendered when a socket has room for the next line. A peer that does not read costs its two buffers and nothing else.
//! - Who comes while the server is full is told so, as long as a socket is left (give the server fewer connections than there are sockets).
//! - A peer that vanishes is noticed [`TIMEOUT_MS`] after its last sign of life, or after the first line since then that it does not
//!   acknowledge; one that does not read the last line has [`CLOSE_MS`] for it.
//! - A slot listens again at once when the peer has ended its side and has everything: there is no TIME-WAIT of ten seconds.
//! - Connections that a peer only half opens last [`HALF_OPEN_MS`], and while no slot listens the oldest goes after [`CROWDED_MS`]. So a
//!   flood of them keeps newcomers out (they are refused and may try again) while it lasts and that long after; connections that are open
//!   go on.
//!
//! A connection costs smoltcp's socket (336 bytes on a board), a [`Slot`] (32), and two buffers. The send buffer holds what the peer has
//! not acknowledged yet. Hosts acknowledge late (up to 40 ms), so twelve members of a room get at most so many messages of 200 bytes a
//! second each (`sim/tests/smoltcp/measure.rs`, cables of 1, 10, 50 ms):
//!
//! | receive + send | 1 ms | 10 ms | 50 ms |
//! |---|---|---|---|
//! | 256 + 512 | 44 | 31 | 14 |
//! | 512 + 1024 | 114 | 83 | 35 |
//! | 512 + 2048 | 1785 | 190 | 35 |
//!
//! With less than the longest line (`Capacities::buffer_size`) to send from, long lines go out in parts, each of which needs one of the
//! server's reply buffers meanwhile; when there is none, the connection is closed: 512 is the least that makes sense. smoltcp itself needs
//! a neighbour cache of as many entries as there are sockets (`iface-neighbor-cache-count-16`; its default is 8).

mod patient;
mod slot;

use managed::ManagedSlice;
use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;

pub use self::slot::Slot;

use self::patient::Patient;
use self::slot::State;
use crate::server::{Protocol, Server};
use crate::store::Effect;
use crate::time::Instant;

/// After this long without a sign of life a peer is given up, milliseconds.
pub const TIMEOUT_MS: u64 = 30_000;
/// How often an idle peer is asked for one, milliseconds. Never turn it off: smoltcp 0.14 can lose a window update and then stall for ever.
pub const KEEP_ALIVE_MS: u64 = 5_000;
/// How long a peer may take to read the last lines and to close, milliseconds.
pub const CLOSE_MS: u64 = 5_000;
/// How long the last acknowledgement may take to go out, milliseconds.
const LAST_ACK_MS: u64 = 50;
/// How long a peer may take to answer our SYN, milliseconds.
pub const HALF_OPEN_MS: u64 = 5_000;
/// As [`HALF_OPEN_MS`], while no slot listens, milliseconds.
pub const CROWDED_MS: u64 = 250;

/// Frames taken in one step.
const FRAMES: usize = 32;
/// Rounds of sending in one step, in each of which a socket sends one segment.
const SENDS: usize = 8;
/// Rounds of the server's invariant in one step.
const ROUNDS: usize = 32;
/// Effects taken in one round.
const EFFECTS: usize = 64;

/// A port to listen on. With several, each has a slot that listens as long as there are enough of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its number, not 0.
    pub number: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// Where the server's storage work goes.
pub trait Work {
    /// Whether there is room for another piece. While there is not, the server runs nothing: received lines and timers wait.
    fn has_room(&self) -> bool;
    /// Takes a piece, to be answered later by [`Server::complete`].
    fn submit(&mut self, now: Instant, effect: &Effect<'_>);
}

/// What was counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Connections opened.
    pub opened: u32,
    /// Connections told that there is no room.
    pub refused: u32,
    /// Half-open connections given up.
    pub expired: u32,
}

/// Serves a [`Server`] over smoltcp. See the module.
pub struct Network<'a> {
    slots: ManagedSlice<'a, Slot>,
    ports: &'a [Port],
    scratch: ManagedSlice<'a, u8>,
    counts: Counts,
}

impl<'a> Network<'a> {
    /// Over these sockets of the set, listening on these ports (at most 255, the first before the others). `scratch` must be at least
    /// `Capacities::buffer_size` long.
    ///
    /// # Panics
    /// A slot's handle is not that of a TCP socket of the set.
    pub fn new(
        slots: impl Into<ManagedSlice<'a, Slot>>,
        ports: &'a [Port],
        scratch: impl Into<ManagedSlice<'a, u8>>,
        sockets: &mut SocketSet<'_>,
    ) -> Self {
        let (slots, scratch) = (slots.into(), scratch.into());
        for slot in slots.iter() {
            slot.prepare(sockets.get_mut(slot.handle));
        }
        Self {
            slots,
            ports,
            scratch,
            counts: Counts::default(),
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Does what there is to do: frames in, lines to the server, its work to the store, its lines out, frames out. Tells when to call again
    /// at the latest, if nothing happens until then: a frame, an answer from the store (after [`Server::complete`]), or room in the store.
    /// What it tells may be past: then again at once.
    pub fn step(
        &mut self,
        now: Instant,
        iface: &mut Interface,
        device: &mut (impl Device + ?Sized),
        sockets: &mut SocketSet<'_>,
        server: &mut Server<'_>,
        work: &mut impl Work,
    ) -> Option<Instant> {
        let time = smoltcp::time::Instant::from_millis(i64::try_from(now.0).unwrap_or(i64::MAX));
        let mut more = ingress(time, iface, device, sockets);
        for slot in self.slots.iter_mut() {
            let socket = sockets.get_mut(slot.handle);
            slot.look(now, socket, server, self.ports, &mut self.counts);
        }
        more |= self.settle(now, sockets, server, work);
        more |= egress(time, iface, device, sockets);
        // Sending is when smoltcp finds that a peer is silent for too long.
        let open = &*sockets;
        more |= self
            .slots
            .iter()
            .any(|slot| slot.is_dead(open.get(slot.handle)));
        let own = self.listen(now, sockets);
        if more {
            return Some(now);
        }
        let network = iface
            .poll_at(time, sockets)
            .map(|at| Instant(u64::try_from(at.total_millis()).unwrap_or(0)));
        let server = server.poll_at().filter(|_| work.has_room());
        [own, network, server].into_iter().flatten().min()
    }

    /// The server's invariant: storage work, then output, until there is neither. True when there is more to do.
    fn settle(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        server: &mut Server<'_>,
        work: &mut impl Work,
    ) -> bool {
        // Whose socket has room again.
        for slot in self.slots.iter_mut() {
            slot.resume(now, sockets.get_mut(slot.handle), server, &mut self.scratch);
        }
        for _ in 0..ROUNDS {
            let mut rest = true;
            for _ in 0..EFFECTS {
                if !work.has_room() {
                    break;
                }
                let Some(effect) = server.poll(now) else {
                    break;
                };
                rest = false;
                work.submit(now, &effect);
            }
            // Each is named once until its socket is full or it has no more, but what others do may wake it again.
            for _ in 0..self.slots.len() {
                let Some(conn) = server.ready() else { break };
                rest = false;
                if let Some(slot) = self.slots.iter_mut().find(|slot| slot.serves(conn)) {
                    slot.named(now, sockets.get_mut(slot.handle), server, &mut self.scratch);
                }
            }
            if rest {
                let sockets = &*sockets;
                let mut slots = self.slots.iter();
                return slots.any(|slot| slot.has_input(sockets.get(slot.handle), server));
            }
        }
        true
    }

    /// Lets free slots listen. Tells when the next is free, if only time is needed for it.
    fn listen(&mut self, now: Instant, sockets: &mut SocketSet<'_>) -> Option<Instant> {
        let mut next = None;
        let mut oldest: Option<(Instant, usize)> = None;
        for index in 0..self.slots.len() {
            let handle = self.slots[index].handle;
            match self.slots[index].free_at(now, sockets.get_mut(handle)) {
                Some(at) if at <= now => {
                    if let State::Waiting { since: Some(_) } = self.slots[index].state {
                        self.counts.expired = self.counts.expired.wrapping_add(1);
                    }
                    let port = self.neediest(sockets);
                    self.slots[index].listen(sockets.get_mut(handle), port, self.ports);
                }
                Some(at) => {
                    next = Some(next.map_or(at, |next: Instant| next.min(at)));
                    if let State::Waiting { since: Some(since) } = self.slots[index].state
                        && oldest.is_none_or(|(first, _)| since < first)
                    {
                        oldest = Some((since, index));
                    }
                }
                None => {}
            }
        }
        let port = self.neediest(sockets);
        if self.listeners(sockets, port) > 0 {
            return next;
        }
        let index = match (self.spare(sockets), oldest) {
            (Some(index), _) => index,
            (None, Some((since, index))) => {
                let at = since + CROWDED_MS;
                if at > now {
                    return next.map(|next| next.min(at));
                }
                self.counts.expired = self.counts.expired.wrapping_add(1);
                index
            }
            (None, None) => return next,
        };
        let handle = self.slots[index].handle;
        self.slots[index].listen(sockets.get_mut(handle), port, self.ports);
        next
    }

    /// How many slots listen on a port.
    fn listeners(&self, sockets: &SocketSet<'_>, port: u8) -> usize {
        let slots = self.slots.iter();
        slots
            .filter(|slot| slot.port == port && is_listening(sockets, slot))
            .count()
    }

    /// The port with the fewest slots that listen.
    fn neediest(&self, sockets: &SocketSet<'_>) -> u8 {
        (0..self.ports.len().min(255) as u8)
            .min_by_key(|port| self.listeners(sockets, *port))
            .unwrap_or(0)
    }

    /// A slot that listens on a port where another does, too.
    fn spare(&self, sockets: &SocketSet<'_>) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| is_listening(sockets, slot) && self.listeners(sockets, slot.port) > 1)
    }
}

fn is_listening(sockets: &SocketSet<'_>, slot: &Slot) -> bool {
    sockets.get::<tcp::Socket<'_>>(slot.handle).is_listening()
}

/// Takes frames from the device; true when there may be more.
fn ingress(
    time: smoltcp::time::Instant,
    iface: &mut Interface,
    device: &mut (impl Device + ?Sized),
    sockets: &mut SocketSet<'_>,
) -> bool {
    iface.poll_maintenance(time);
    for _ in 0..FRAMES {
        if iface.poll_ingress_single(time, device, sockets) == PollIngressSingleResult::None {
            return false;
        }
    }
    true
}

/// Gives the device what the sockets have to send; true when there may be more.
fn egress(
    time: smoltcp::time::Instant,
    iface: &mut Interface,
    device: &mut (impl Device + ?Sized),
    sockets: &mut SocketSet<'_>,
) -> bool {
    let mut device = Patient(device);
    for _ in 0..SENDS {
        if iface.poll_egress(time, &mut device, sockets) == PollResult::None {
            return false;
        }
    }
    true
}
