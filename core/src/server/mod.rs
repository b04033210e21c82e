//! The server: one state machine that holds all the rules. The caller owns sockets, clock, disk and randomness.
//!
//! The one invariant: after any call that takes `&mut self`, call [`Server::poll`] until `None` and hand the effects to the store,
//! then take every [`Server::ready`] connection and [`Server::transmit`] to it until `Idle`; repeat until both are `None`, then sleep
//! until [`Server::poll_at`] or the next event.
//!
//! How it works inside, in the order in which a message passes:
//!
//! | module | what it does |
//! |---|---|
//! | `input` | bytes become lines; a line runs when nothing before it is unfinished, and runs *again* after what it waited for |
//! | `login` | until an account is logged in to |
//! | `command` | a function a command; those that need the store ask through `request` and are run again |
//! | `append` | entries on their way through the store |
//! | `publish` | stored entries enter the ring in the order of their places |
//! | `attach` | which channels, members and cursors are in memory |
//! | `output` | what a connection is to be sent, rendered when its socket has room, and taken back when it had less |
//! | `job` | long answers, a line at a time |
//! | `presence` | who sees whom come, go and be away |

mod account;
mod append;
mod attach;
mod channel;
mod clock;
mod command;
mod conn;
mod input;
mod job;
mod login;
mod maintain;
mod output;
mod presence;
mod publish;
mod reply;
mod request;

use core::hash::Hasher;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;

pub use self::account::Account;
pub use self::channel::{Append, Attachment, Ban, Channel, Member, Watch};
pub use self::conn::Conn;
pub use self::login::Credential;
pub use self::request::Request;

use self::clock::Clock;
use crate::auth::throttle::Throttles;
use crate::config::Config;
use crate::history::History;
use crate::id::{ConnId, Ticket};
use crate::memory::{Memory, Undersized};
use crate::store::{Effect, Outcome, Settings};
use crate::tables::{Buffers, Count, Index, List, Pool, Timers};
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
    /// All connections are taken. Send [`Full::line`] and close.
    Connections,
    /// This address has too many.
    Address,
    /// The server is stopping.
    Stopping,
}

impl Full {
    /// What to tell the peer before closing.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Connections => "ERROR :This server is full, please try again later\r\n",
            Self::Address => {
                "ERROR :Too many connections from your address, please close one first\r\n"
            }
            Self::Stopping => "ERROR :This server is stopping\r\n",
        }
    }
}

/// A chat server. See the module.
///
/// In this order: what is used most has the shortest offsets, and so the shortest instructions.
#[repr(C)]
pub struct Server<'a> {
    conns: Pool<'a, Conn>,
    accounts: Pool<'a, Account>,
    channels: Pool<'a, Channel>,
    credentials: Pool<'a, Credential>,
    attachments: Pool<'a, Attachment>,
    members: Pool<'a, Member>,
    appends: Pool<'a, Append>,
    requests: Pool<'a, Request>,
    replies: Buffers<'a>,
    config: Config<'a>,
    watches: Pool<'a, Watch>,
    bans: Pool<'a, Ban>,

    /// Wait for a slot, buffer or page of which there were none.
    stalled: List<4>,
    runnable: List<0>,
    ready: List<1>,
    /// Hold a page, the oldest first.
    holders: List<5>,
    bodies: Buffers<'a>,
    lines: Buffers<'a>,
    pages: Buffers<'a>,
    timers: Timers<'a>,
    clock: Clock,
    /// `None` until the store has told them.
    settings: Option<Settings>,
    stopping: bool,

    /// Connections from elsewhere, by address.
    addresses: Index<'a>,
    account_names: Index<'a>,
    account_ids: Index<'a>,
    /// All accounts in memory in the order of their last change of presence.
    by_stamp: List<0>,
    /// Accounts whose slot may be reused, the longest unused first.
    idle_accounts: List<1>,
    stamp: u64,
    /// The time of the call that is being worked on.
    now: Instant,

    /// Rooms by folded name, direct chats by their accounts.
    channel_keys: Index<'a>,
    channel_ids: Index<'a>,
    /// Channels whose slot may be reused, the longest unused first.
    idle_channels: List<0>,
    /// Members with markers to be stored.
    dirty_members: List<2>,
    /// When they are, unless the account goes offline before.
    save_at: Option<Instant>,
    watch_names: Index<'a>,

    request_index: Index<'a>,
    request_queue: List<0>,
    append_queue: List<0>,
    /// When the earliest retry of a request or append is due.
    retry_at: Option<Instant>,
    throttles: Throttles<'a>,
    history: History<'a>,

    last_msgid: u64,
    /// Whether there is any account: the first to register becomes the owner. `None` until the store has told.
    accounts_exist: Option<bool>,
    /// The first account is being created.
    first_account_pending: bool,
    time_asked: bool,
    guests_swept: bool,
    /// Accounts being removed.
    removals: List<1>,
    /// When they go on, after the store refused a step.
    removal_at: Option<Instant>,
    /// When all who are stalled try again.
    sweep_at: Option<Instant>,
    /// When those who hold a buffer that others need are looked at.
    relief_at: Option<Instant>,
    /// Connections that were welcomed.
    welcomed: usize,
    /// Channels in memory that are rooms.
    rooms: usize,
    /// Label of the line that is being run, whose buffer is lent.
    running_label: Option<(u32, crate::text::Text<64>)>,
    hash_key: [u8; 16],
    rng: ChaCha8Rng,
    flight: output::Flight,
}

impl<'a> Server<'a> {
    /// A server over borrowed memory. `seed` is all its randomness: it must be unpredictable and new at every start.
    pub fn new(config: Config<'a>, memory: Memory<'a>, seed: [u8; 32]) -> Result<Self, Undersized> {
        memory.check()?;
        let mut rng = ChaCha8Rng::from_seed(seed);
        let mut hash_key = [0; 16];
        rng.fill_bytes(&mut hash_key);
        let mut server = Self {
            config,
            rng,
            hash_key,
            clock: Clock::default(),
            settings: None,
            stopping: false,
            conns: Pool::new(memory.conns),
            addresses: Index::new(memory.addresses),
            runnable: List::default(),
            ready: List::default(),
            stalled: List::default(),
            holders: List::default(),
            timers: Timers::new(memory.timers),
            accounts: Pool::new(memory.accounts),
            account_names: Index::new(memory.account_names),
            account_ids: Index::new(memory.account_ids),
            by_stamp: List::default(),
            idle_accounts: List::default(),
            stamp: 0,
            now: Instant(0),
            channels: Pool::new(memory.channels),
            channel_keys: Index::new(memory.channel_keys),
            channel_ids: Index::new(memory.channel_ids),
            idle_channels: List::default(),
            members: Pool::new(memory.members),
            dirty_members: List::default(),
            save_at: None,
            attachments: Pool::new(memory.attachments),
            bans: Pool::new(memory.bans),
            watches: Pool::new(memory.watches),
            watch_names: Index::new(memory.watch_names),
            requests: Pool::new(memory.requests),
            request_index: Index::new(memory.request_index),
            request_queue: List::default(),
            appends: Pool::new(memory.appends),
            append_queue: List::default(),
            retry_at: None,
            credentials: Pool::new(memory.credentials),
            throttles: Throttles::new(memory.throttles),
            lines: Buffers::new(memory.lines, memory.sizes.line_size),
            replies: Buffers::new(memory.replies, memory.sizes.buffer_size),
            bodies: Buffers::new(memory.bodies, memory.sizes.body_size),
            pages: Buffers::new(memory.pages, memory.sizes.page_size),
            history: History::new(
                memory.logs,
                memory.blocks,
                memory.history,
                memory.payers,
                memory.sizes.blocks_per_channel as u32,
            )?,
            flight: output::Flight::default(),
            last_msgid: 0,
            accounts_exist: None,
            first_account_pending: false,
            removals: List::default(),
            removal_at: None,
            sweep_at: None,
            relief_at: None,
            welcomed: 0,
            rooms: 0,
            running_label: None,
            time_asked: false,
            guests_swept: false,
        };
        server.request(request::What::LoadSettings);
        server.request(request::What::AnyAccount);
        Ok(server)
    }

    /// Tells the wall clock, whenever it is known (better). It may be called often; the server's time never goes backwards, and wild
    /// jumps are refused.
    pub fn set_time(&mut self, now: Instant, unix_ms: u64) {
        self.clock.set(now, unix_ms);
    }

    /// A connection was accepted.
    pub fn open(&mut self, now: Instant, link: Link) -> Result<ConnId, Full> {
        if self.stopping {
            return Err(Full::Stopping);
        }
        let link = Link {
            address: maintain::network_of(link.address),
            ..link
        };
        if self.is_crowded(&link) {
            return Err(Full::Address);
        }
        let Some((c, conn)) = self.conns.insert() else {
            return Err(Full::Connections);
        };
        conn.protocol = link.protocol;
        conn.encrypted = link.encrypted;
        conn.loopback = link.loopback;
        conn.address = link.address;
        conn.heard = Count::new(now.0);
        conn.opened = conn.heard;
        self.enter_address(c);
        self.timers.set(c, now + u64::from(self.config.login_ms));
        Ok(ConnId(self.conns.handle(c)))
    }

    /// Bytes arrived. Returns how many were taken; fewer means back-pressure: offer the rest again when [`Self::wants_input`] is true.
    pub fn receive(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        self.now = now;
        match self.conns.resolve(conn.0) {
            Some(c) => self.take_input(c, bytes),
            None => bytes.len(),
        }
    }

    /// Whether the connection takes input now. A host stops reading its socket while this is false and asks again after each round of
    /// the invariant (only of connections it has paused).
    pub fn wants_input(&self, conn: ConnId) -> bool {
        self.conns
            .resolve(conn.0)
            .is_none_or(|c| self.has_input_room(c))
    }

    /// Renders whole lines for a connection into `buffer` (at least `Capacities::buffer_size` long). No other call may come
    /// between this and its [`Self::sent`].
    pub fn transmit(&mut self, now: Instant, conn: ConnId, buffer: &mut [u8]) -> Sent {
        self.now = now;
        match self.conns.resolve(conn.0) {
            Some(c) => self.render(c, buffer),
            None => Sent::Close,
        }
    }

    /// The socket took the first `n` bytes of what `transmit` rendered. The rest will be rendered again.
    pub fn sent(&mut self, now: Instant, conn: ConnId, n: usize) {
        self.now = now;
        if let Some(c) = self.conns.resolve(conn.0) {
            self.commit(c, n);
        }
    }

    /// The connection is gone: the peer closed, an error, or after [`Sent::Close`].
    pub fn close(&mut self, now: Instant, conn: ConnId) {
        self.now = now;
        if let Some(c) = self.conns.resolve(conn.0) {
            self.drop_conn(c);
        }
    }

    /// The next connection that has something to send. It is not named again until it has been `Idle` once, except when it is to be
    /// closed: `transmit` then, even if its socket takes nothing.
    pub fn ready(&mut self) -> Option<ConnId> {
        let c = self.ready.pop_front(&mut self.conns)?;
        self.conns[c].sending = true;
        Some(ConnId(self.conns.handle(c)))
    }

    /// The next piece of storage work.
    pub fn poll(&mut self, now: Instant) -> Option<Effect<'_>> {
        self.now = now;
        self.maintain();
        self.next_effect()
    }

    /// A store's answer.
    pub fn complete(&mut self, now: Instant, ticket: Ticket, outcome: Outcome<'_>) {
        self.now = now;
        match ticket.0 {
            crate::id::TicketKind::Request => {
                if let Some(r) = self.requests.resolve(ticket.1) {
                    self.request_done(r, outcome);
                }
            }
            crate::id::TicketKind::Append => {
                if let Some(a) = self.appends.resolve(ticket.1) {
                    self.append_done(a, outcome);
                }
            }
        }
    }

    /// When `poll` must be called again at the latest, if nothing else happens.
    pub fn poll_at(&self) -> Option<Instant> {
        if !self.runnable.is_empty() || self.is_deriving() {
            return Some(Instant(0));
        }
        [
            self.timers.next(),
            self.retry_at,
            self.save_at,
            self.removal_at,
            self.sweep_at,
            self.relief_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Stop: refuse new work, tell every client, flush markers. Then go on with the invariant until [`Self::is_stopped`].
    pub fn stop(&mut self, now: Instant, reason: &str) {
        self.stopping = true;
        for c in 0..self.conns.high_water() {
            if self.conns.in_use(c) {
                self.close_with_error(c, reason);
            }
        }
        self.save_at = Some(now);
    }

    /// Whether, after [`Self::stop`], nothing is left to be stored.
    pub fn is_stopped(&self) -> bool {
        self.stopping
            && self.requests.len() == 0
            && self.dirty_members.is_empty()
            && !self.appends_unstored()
    }

    /// Numbers for the operator.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.conns.len(),
            accounts: self.accounts.len(),
            channels: self.channels.len(),
            attachments: self.attachments.len(),
            requests: self.requests.len(),
            appends: self.appends.len(),
            lines_free: self.lines.available(),
            replies_free: self.replies.available(),
            pages_free: self.pages.available(),
        }
    }

    /// Unix milliseconds now.
    fn unix(&mut self) -> u64 {
        self.clock.unix(self.now)
    }

    /// Hash of what strangers choose.
    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        for part in parts {
            hasher.write(part);
            hasher.write(&[0xff]);
        }
        hasher.finish()
    }
}

/// How full the tables are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Counts {
    pub connections: usize,
    pub accounts: usize,
    pub channels: usize,
    pub attachments: usize,
    pub requests: usize,
    pub appends: usize,
    pub lines_free: usize,
    pub replies_free: usize,
    pub pages_free: usize,
}
