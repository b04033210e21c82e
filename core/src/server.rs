//! The server: one state machine that holds all the rules. The caller owns sockets, clock, disk and randomness.
//!
//! The one invariant: after any call that takes `&mut self`, call [`Server::poll`] until `None` and hand the effects to the store,
//! then take every [`Server::ready`] connection and [`Server::transmit`] to it until `Idle`; repeat until both are `None`, then sleep
//! until [`Server::poll_at`] or the next event.

use core::marker::PhantomData;

use crate::config::Config;
use crate::id::{ConnId, Ticket};
use crate::memory::{Memory, Undersized};
use crate::store::{Effect, Outcome};
use crate::time::Instant;

/// What kind of connection was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// What is spoken over it.
    pub protocol: Protocol,
    /// Whether it is encrypted (TLS).
    pub encrypted: bool,
    /// Whether it never leaves this machine.
    pub loopback: bool,
    /// The peer's address; IPv4 mapped into IPv6.
    pub address: [u8; 16],
}

/// What is spoken over a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// IRC lines.
    Irc,
    /// IRC lines from the operator of this machine, who need not log in and may use the owner's commands (`ACCOUNT`).
    Control,
}

/// What `transmit` has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// So many bytes of the buffer are to be sent; report with [`Server::sent`] how many were.
    Bytes(usize),
    /// Nothing to send now.
    Idle,
    /// Everything is sent: close the socket and call [`Server::close`].
    Close,
}

/// There is no room for another connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// All connections are taken. Send [`Full::LINE`] and close.
    Connections,
    /// This address has too many.
    Address,
}

impl Full {
    /// What to tell the peer before closing.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Connections => "ERROR :This server is full, please try again later\r\n",
            Self::Address => {
                "ERROR :Too many connections from your address, please close one first\r\n"
            }
        }
    }
}

/// A chat server. See the module.
pub struct Server<'a> {
    memory: PhantomData<&'a mut ()>,
}

impl<'a> Server<'a> {
    /// A server over borrowed memory. `seed` is all its randomness: it must be unpredictable and new at every start.
    pub fn new(config: Config<'a>, memory: Memory<'a>, seed: [u8; 32]) -> Result<Self, Undersized> {
        let _ = (config, memory, seed);
        Ok(Self {
            memory: PhantomData,
        })
    }

    /// Tells the wall clock, whenever it is known (better). It may be called often; the server's time never goes backwards.
    pub fn set_time(&mut self, _now: Instant, _unix_ms: u64) {}

    /// A connection was accepted.
    pub fn open(&mut self, _now: Instant, _link: Link) -> Result<ConnId, Full> {
        Err(Full::Connections)
    }

    /// Bytes arrived. Returns how many were taken; fewer means back-pressure: offer the rest again when `wants_input` is true.
    pub fn receive(&mut self, _now: Instant, _conn: ConnId, _bytes: &[u8]) -> usize {
        0
    }

    /// Whether the connection takes input now. A host stops reading its socket while this is false and asks again after each round of
    /// the invariant (only of connections it has paused).
    pub fn wants_input(&self, _conn: ConnId) -> bool {
        true
    }

    /// Renders whole lines for a connection into `buffer` (at least `Capacities::buffer_size` long). No other call may come
    /// between this and its [`Self::sent`].
    pub fn transmit(&mut self, _now: Instant, _conn: ConnId, _buffer: &mut [u8]) -> Sent {
        Sent::Idle
    }

    /// The socket took the first `n` bytes of what `transmit` rendered. The rest will be rendered again.
    pub fn sent(&mut self, _now: Instant, _conn: ConnId, _n: usize) {}

    /// The connection is gone (the peer closed, an error, or after [`Sent::Close`]). `reason` is told to others, e.g. "Connection reset".
    pub fn close(&mut self, _now: Instant, _conn: ConnId, _reason: &str) {}

    /// The next connection that has something to send. It is not named again until it has been `Idle` once.
    pub fn ready(&mut self) -> Option<ConnId> {
        None
    }

    /// The next piece of storage work.
    pub fn poll(&mut self, _now: Instant) -> Option<Effect<'_>> {
        None
    }

    /// A store's answer.
    pub fn complete(&mut self, _now: Instant, _ticket: Ticket, _outcome: Outcome<'_>) {}

    /// When `poll` must be called again at the latest, if nothing else happens.
    pub fn poll_at(&self) -> Option<Instant> {
        None
    }

    /// Stop: refuse new work, tell every client, flush markers. Then go on with the invariant until [`Self::is_stopped`].
    pub fn stop(&mut self, _now: Instant, _reason: &str) {}

    /// Whether, after [`Self::stop`], nothing is left to be stored; connections are told `Close` by `transmit`.
    pub fn is_stopped(&self) -> bool {
        true
    }
}
