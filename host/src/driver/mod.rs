//! The event loop: one task on one thread owns the core and all sockets. Every pass accepts, reads what woke, hands the store's answers
//! to the core and its new work to the store, then writes to whoever has output.
//!
//! A pass is bounded: after so many writes it looks at reads again, or a burst to thousands of members would stall everybody else.
//! A connection owns no buffer. Output is rendered into one shared buffer and written at once; only when the socket is full does the
//! driver wait for it. Input is read into another; what the core does not take yet is kept, and the socket is not read until it has.

mod connection;
mod listen;
#[cfg(test)]
mod tests;
mod wakes;

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant as StdInstant, SystemTime};

use async_io::Timer;
use soqet_core::id::ConnId;
use soqet_core::memory::Capacities;
use soqet_core::server::{Full, Link, Protocol, Server};
use soqet_core::time::Instant;
use tracing::{debug, error, info, warn};

use crate::store::{Died, Handle};

use connection::Connection;
pub use listen::{Listener, operator_link};
pub use wakes::Wakes;

/// Writes in one pass.
const WRITES: usize = 256;
/// Connections read in one pass.
const READS: usize = 256;
/// Connections accepted from one listener in one pass.
const ACCEPTS: usize = 64;
/// Bytes read at once, and what a connection under back-pressure has kept for it at most.
const INPUT: usize = 4 * 1024;
/// Bytes written at once.
const OUTPUT: usize = 16 * 1024;
/// How long clients may take to read the last lines when the server stops.
const DRAIN_MS: u64 = 5_000;
/// How long to wait when not even the spare descriptor lets a connection be accepted.
const ACCEPT_PAUSE_MS: u64 = 1_000;
/// How often the log repeats that connections are turned away.
const COMPLAIN_MS: u64 = 60_000;

/// Connections that only the operator may take, so that a full server can still be told whom to disable.
pub const OPERATORS: usize = 2;

/// Drives a [`Server`] with sockets, a store and the clock.
pub struct Driver<'a> {
    server: Server<'a>,
    store: Handle,
    wakes: Arc<Wakes>,
    listeners: Vec<Listener>,
    /// Indexed by [`ConnId::index`].
    connections: Vec<Option<Connection>>,
    open: usize,
    /// How many may be open when a client comes.
    clients: usize,
    /// Slots that were woken and not yet looked at.
    woken: VecDeque<u32>,
    /// Connections that the core named and that are neither idle nor blocked yet.
    writing: VecDeque<ConnId>,
    /// Whether the next to write comes from `writing`, not from the core.
    backlog_next: bool,
    /// Connections the core takes no input from for now.
    paused: Vec<ConnId>,
    input: Box<[u8]>,
    output: Box<[u8]>,
    started: StdInstant,
    timer: Timer,
    /// What the timer is set to.
    timer_at: Option<Instant>,
    spare: listen::Spare,
    /// Nothing is accepted before.
    accept_at: Option<Instant>,
    complained: Option<Instant>,
    /// Set while stopping: when to give up on clients that do not read.
    deadline: Option<Instant>,
}

impl<'a> Driver<'a> {
    /// A driver of a server of these capacities, of whose connections [`OPERATORS`] are not for clients. `wakes` must be what `store` wakes.
    pub fn new(
        server: Server<'a>,
        capacities: &Capacities,
        store: Handle,
        wakes: Arc<Wakes>,
        listeners: Vec<Listener>,
    ) -> Self {
        Self {
            server,
            store,
            wakes,
            listeners,
            connections: Vec::new(),
            open: 0,
            clients: capacities.connections.saturating_sub(OPERATORS),
            woken: VecDeque::new(),
            writing: VecDeque::new(),
            backlog_next: false,
            paused: Vec::new(),
            input: vec![0; INPUT].into(),
            output: vec![0; OUTPUT.max(capacities.buffer_size)].into(),
            started: StdInstant::now(),
            timer: Timer::never(),
            timer_at: None,
            spare: listen::Spare::new(),
            accept_at: None,
            complained: None,
            deadline: None,
        }
    }

    /// Takes in a connected, non-blocking socket that no listener accepted.
    pub fn adopt(&mut self, socket: socket2::Socket, link: Link) {
        let now = self.now();
        self.tell_time(now);
        self.take_in(now, socket, link, "this process");
    }

    /// Serves until [`Wakes::stop`] is called, all work is stored and all clients are told, then stops the store.
    ///
    /// # Errors
    /// The store has failed.
    pub fn run(mut self) -> Result<(), Died> {
        async_io::block_on(std::future::poll_fn(|cx| self.pass(cx)))?;
        self.store.stop()
    }

    /// One round of everything that can be done without waiting.
    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Died>> {
        self.wakes.set_task(cx.waker());
        let now = self.now();
        self.tell_time(now);
        if self.wakes.is_stopping() && self.deadline.is_none() {
            info!(connections = self.open, "stopping");
            self.listeners.clear();
            self.server.stop(now, "The server is shutting down");
            self.deadline = Some(now + DRAIN_MS);
        }

        let mut more = self.accept(now, cx);
        more |= self.read_woken(now);
        let server = &mut self.server;
        self.store
            .drain(|ticket, outcome| server.complete(now, ticket, outcome))?;
        let mut writes = WRITES;
        loop {
            self.submit(now);
            if !self.write_ready(now, &mut writes) {
                break;
            }
        }
        more |= writes == 0;
        // What resumes feeds the core: its work is for the next pass.
        more |= self.resume(now);

        if let Some(deadline) = self.deadline {
            let rest = self.open;
            if rest == 0 && self.server.is_stopped() {
                info!("every client was told");
                return Poll::Ready(Ok(()));
            }
            if now >= deadline {
                warn!(
                    connections = rest,
                    "some clients did not read the last lines in time"
                );
                return Poll::Ready(Ok(()));
            }
        }
        more |= self.wait_until(now, cx);
        if more {
            // Not at once: the reactor looks at sockets first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn tell_time(&mut self, now: Instant) {
        // A clock before 1970 is no clock; the core then goes by what it remembers.
        if let Ok(unix) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            let millis = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
            self.server.set_time(now, millis);
        }
    }

    /// Hands the core's storage work to the store.
    fn submit(&mut self, now: Instant) {
        while let Some(effect) = self.server.poll(now) {
            self.store.submit(&effect);
        }
    }

    /// Sets the timer to the next thing that time alone brings. True when that is now.
    fn wait_until(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let next = [self.server.poll_at(), self.accept_at, self.deadline]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else { return false };
        if next <= now {
            return true;
        }
        // A timer that fires too early costs one pass; setting it anew costs more than that, and deadlines mostly move away.
        if self.timer_at.is_none_or(|at| at <= now || at > next) {
            self.timer
                .set_at(self.started + Duration::from_millis(next.0));
            self.timer_at = Some(next);
        }
        if Pin::new(&mut self.timer).poll(cx).is_ready() {
            self.timer_at = None;
            return true;
        }
        false
    }

    /// Accepts waiting connections; true when there may be more.
    fn accept(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        if let Some(at) = self.accept_at {
            if now < at {
                return false;
            }
            self.accept_at = None;
            self.listeners.iter_mut().for_each(|l| l.more = true);
        }
        let mut more = false;
        for index in 0..self.listeners.len() {
            more |= self.accept_from(index, now, cx);
        }
        more
    }

    fn accept_from(&mut self, index: usize, now: Instant, cx: &mut Context<'_>) -> bool {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.listeners.get_mut(index) else {
                return false;
            };
            if !listener.more {
                match listener.socket.poll_readable(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(_) => listener.more = true,
                }
            }
            match listener.accept() {
                Ok((socket, link)) => {
                    self.take_in(now, socket, link, "a client");
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    listener.more = false;
                }
                Err(error) if listen::is_exhausted(&error) => {
                    let told = self.spare.turn_away(listener, Full::Connections.line());
                    self.complain(now, &format!("connections are turned away: {error}"));
                    if !told {
                        self.accept_at = Some(now + ACCEPT_PAUSE_MS);
                        return false;
                    }
                }
                // The peer was gone before we came; the next may be fine.
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    self.complain(now, &format!("accepting a connection failed: {error}"));
                    self.accept_at = Some(now + ACCEPT_PAUSE_MS);
                    return false;
                }
            }
        }
        true
    }

    fn take_in(&mut self, now: Instant, socket: socket2::Socket, link: Link, what: &str) {
        let opened = if link.protocol == Protocol::Irc && self.open >= self.clients {
            Err(Full::Connections)
        } else {
            self.server.open(now, link)
        };
        let id = match opened {
            Ok(id) => id,
            Err(full) => {
                listen::turn_away(&socket, full.line());
                if full == Full::Connections {
                    self.complain(
                        now,
                        "connections are turned away: max-connections is reached",
                    );
                }
                debug!(peer = %Peer(&link), ?full, "turned away");
                return;
            }
        };
        let slot = id.index();
        let waker = self.wakes.slot(u32::try_from(slot).unwrap_or(u32::MAX));
        let connection = match Connection::new(id, socket, waker) {
            Ok(connection) => connection,
            Err(error) => {
                error!(%error, "a connection could not be watched");
                self.server.close(now, id);
                return;
            }
        };
        debug!(connection = ?id, peer = %Peer(&link), "{what} connected");
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.connections.get_mut(slot) {
            *place = Some(connection);
            self.open += 1;
        }
        // The first look waits for its input.
        self.woken.extend(u32::try_from(slot));
    }

    /// Says once a minute that connections cannot be taken in.
    fn complain(&mut self, now: Instant, text: &str) {
        if self.complained.is_none_or(|at| now - at >= COMPLAIN_MS) {
            self.complained = Some(now);
            warn!("{text}");
        }
    }
}

/// A link's peer, for logs.
struct Peer<'a>(&'a Link);

impl std::fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.protocol {
            Protocol::Control => f.write_str("the operator"),
            _ => write!(
                f,
                "{}",
                std::net::Ipv6Addr::from(self.0.address).to_canonical()
            ),
        }
    }
}
