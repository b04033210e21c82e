//! All memory of a server, borrowed as slices: one monomorphisation, capacities chosen at run time.

mod fixed;

use core::fmt;

pub use self::fixed::Fixed;

use crate::auth::throttle::Throttle;
use crate::history::{Block, Log, Payer};
use crate::server::{
    Account, Append, Attachment, Ban, Channel, Conn, Credential, Member, Request, Watch,
};
use crate::tables::{Cell, SLOTS_MAX, Slot, Timer};

/// How many of everything. What one costs is the size of its slot: see [`bytes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacities {
    /// Connections, logged in or not.
    pub connections: usize,
    /// Accounts in memory: those online and those just being looked at.
    pub accounts: usize,
    /// Channels in memory: rooms with somebody online, direct chats in use.
    pub channels: usize,
    /// Memberships of online accounts.
    pub members: usize,
    /// Cursors: one for each connection in each channel.
    pub attachments: usize,
    /// Watched names (MONITOR).
    pub watches: usize,
    /// Bans of channels in memory.
    pub bans: usize,
    /// Store requests in flight, other than appends.
    pub requests: usize,
    /// Messages waiting for the store.
    pub appends: usize,
    /// Logins in progress.
    pub handshakes: usize,
    /// Rates being limited.
    pub throttles: usize,
    /// Buffers for lines that arrive, or wait for the store.
    pub lines: usize,
    /// Buffers for entries on their way to the store and for messages of logins: more than there are handshakes.
    pub bodies: usize,
    /// Size of a line buffer: the longest line taken, with its tags, at least 640 bytes.
    pub line_size: usize,
    /// Buffers for replies and half-sent lines.
    pub replies: usize,
    /// Size of such a buffer: the longest line sent, with its tags, at least 960 bytes and no less than `line_size`.
    pub buffer_size: usize,
    /// Staging blocks for pages read from the store.
    pub pages: usize,
    /// Size of a staging block: the longest row, at least `line_size` + 128.
    pub page_size: usize,
    /// History blocks.
    pub blocks: usize,
    /// Size of a history block, at least `buffer_size`.
    pub block_size: usize,
}

impl Capacities {
    /// For a host with that many connections.
    pub const fn for_connections(connections: usize) -> Self {
        const fn slots(count: usize) -> usize {
            if count < SLOTS_MAX { count } else { SLOTS_MAX }
        }
        Self {
            connections: slots(connections),
            accounts: slots(connections + connections / 4 + 64),
            channels: slots(connections + 256),
            members: slots(connections * 8 + 256),
            attachments: slots(connections * 8 + 256),
            watches: slots(connections * 4 + 256),
            bans: slots(4096),
            requests: slots(4096),
            appends: slots(2048),
            handshakes: slots(256),
            throttles: 8192,
            lines: 1024,
            bodies: slots(2048) + slots(256),
            line_size: 5120,
            replies: 1024,
            buffer_size: 5120,
            pages: 64,
            page_size: 16 * 1024,
            blocks: slots(4096),
            block_size: 8 * 1024,
        }
    }

    /// For a microcontroller with 64 KiB of RAM and the feature `small`: twelve people in eight rooms and some private chats, one
    /// more connection than people, and history in flash. What each line costs is in docs/memory.md.
    pub const BOARD: Self = Self {
        connections: 13,
        accounts: 15,
        channels: 14,
        members: 104,
        attachments: 104,
        watches: 24,
        bans: 6,
        requests: 8,
        appends: 6,
        handshakes: 2,
        throttles: 16,
        lines: 3,
        bodies: 3,
        line_size: 640,
        replies: 4,
        buffer_size: 960,
        pages: 2,
        page_size: 768,
        blocks: 5,
        block_size: 960,
    };

    /// Few of everything, for tests that run into limits.
    pub const SMALL: Self = Self {
        connections: 14,
        accounts: 20,
        channels: 16,
        members: 128,
        attachments: 160,
        watches: 64,
        bans: 32,
        requests: 24,
        appends: 8,
        handshakes: 3,
        throttles: 32,
        lines: 10,
        bodies: 11,
        line_size: 1024,
        replies: 10,
        buffer_size: 1024,
        pages: 3,
        page_size: 2048,
        blocks: 24,
        block_size: 1024,
    };
}

/// The memory given to [`Server::new`](crate::server::Server::new) is too small to work at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undersized(
    /// Which table.
    pub &'static str,
);

impl fmt::Display for Undersized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's memory is too small: {}", self.0)
    }
}

impl core::error::Error for Undersized {}

/// What a table costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Its name in [`Memory`].
    pub table: &'static str,
    /// Bytes that one costs.
    pub each: usize,
    /// How many.
    pub count: usize,
}

/// Bytes that all tables take together, for these capacities.
pub const fn bytes(capacities: &Capacities) -> usize {
    let costs = costs(capacities);
    let (mut sum, mut i) = (0, 0);
    while i < costs.len() {
        sum += costs[i].each * costs[i].count;
        i += 1;
    }
    sum
}

/// Fails the build, when used in a constant, if tables and server take more than `budget` bytes.
pub const fn fits(capacities: &Capacities, budget: usize) {
    assert!(
        bytes(capacities) + size_of::<crate::server::Server<'_>>() <= budget,
        "the server's memory is larger than its budget: reduce the capacities"
    );
}

/// Sizes that the slices alone do not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// See [`Capacities::line_size`].
    pub line_size: usize,
    /// See [`Capacities::body_size`].
    pub body_size: usize,
    /// See [`Capacities::buffer_size`].
    pub buffer_size: usize,
    /// See [`Capacities::page_size`].
    pub page_size: usize,
    /// History blocks a channel may have.
    pub blocks_per_channel: usize,
}

#[cfg(feature = "alloc")]
fn fresh<T: Default>(count: usize) -> alloc::vec::Vec<T> {
    core::iter::repeat_with(T::default).take(count).collect()
}

/// Bytes that the system gives zeroed, and that cost nothing until they are used.
#[cfg(feature = "alloc")]
fn zeroed(count: usize) -> alloc::vec::Vec<u8> {
    alloc::vec![0; count]
}

/// Declares [`Memory`] and [`Owned`] from one list of tables: name, type, how it is made on a heap, and how many for given
/// [`Capacities`].
macro_rules! memory {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $make:ident |$c:ident| $count:expr;)*) => {
        /// The memory a server borrows.
        pub struct Memory<'a> {
            $($(#[$doc])* pub $name: &'a mut [$type],)*
            /// Sizes.
            pub sizes: Sizes,
        }

        /// Server memory on the heap.
        #[cfg(feature = "alloc")]
        pub struct Owned {
            $($name: alloc::vec::Vec<$type>,)*
            sizes: Sizes,
        }

        #[cfg(feature = "alloc")]
        impl Owned {
            /// Allocates for these capacities.
            pub fn new(capacities: &Capacities) -> Self {
                Self {
                    $($name: { let $c = capacities; $make($count) },)*
                    sizes: capacities.sizes(),
                }
            }

            /// Lends it.
            pub fn borrow(&mut self) -> Memory<'_> {
                Memory { $($name: &mut self.$name,)* sizes: self.sizes }
            }
        }

        /// What each table costs, for these capacities.
        pub const fn costs(capacities: &Capacities) -> [Cost; [$(stringify!($name)),*].len()] {
            [$(Cost {
                table: stringify!($name),
                each: size_of::<$type>(),
                count: { let $c = capacities; $count },
            }),*]
        }
    };
}

memory! {
    /// Connections.
    conns: Slot<Conn> = fresh |c| c.connections;
    /// Their addresses.
    addresses: Cell = fresh |c| c.connections * 2;
    /// Their deadlines.
    timers: Timer = fresh |c| c.connections;
    /// Accounts.
    accounts: Slot<Account> = fresh |c| c.accounts;
    /// Accounts by name.
    account_names: Cell = fresh |c| c.accounts * 2;
    /// Accounts by id.
    account_ids: Cell = fresh |c| c.accounts * 2;
    /// Channels.
    channels: Slot<Channel> = fresh |c| c.channels;
    /// Channels by name or accounts.
    channel_keys: Cell = fresh |c| c.channels * 2;
    /// Channels by id.
    channel_ids: Cell = fresh |c| c.channels * 2;
    /// Memberships.
    members: Slot<Member> = fresh |c| c.members;
    /// Cursors.
    attachments: Slot<Attachment> = fresh |c| c.attachments;
    /// Bans.
    bans: Slot<Ban> = fresh |c| c.bans;
    /// Watched names.
    watches: Slot<Watch> = fresh |c| c.watches;
    /// Watches by name.
    watch_names: Cell = fresh |c| c.watches * 2;
    /// Store requests.
    requests: Slot<Request> = fresh |c| c.requests;
    /// Requests by what they ask.
    request_index: Cell = fresh |c| c.requests * 2;
    /// Entries on their way through the store.
    appends: Slot<Append> = fresh |c| c.appends;
    /// Logins in progress.
    credentials: Slot<Credential> = fresh |c| c.handshakes;
    /// Rates.
    throttles: Throttle = fresh |c| c.throttles;
    /// Line buffers.
    lines: u8 = zeroed |c| c.lines * c.line_size;
    /// Reply buffers.
    replies: u8 = zeroed |c| c.replies * c.buffer_size;
    /// Bodies of entries, SASL messages.
    bodies: u8 = zeroed |c| c.bodies * c.body_size();
    /// Staging blocks.
    pages: u8 = zeroed |c| c.pages * c.page_size;
    /// Rings.
    logs: Log = fresh |c| c.channels;
    /// History blocks.
    blocks: Block = fresh |c| c.blocks;
    /// Who pays for blocks.
    payers: Payer = fresh |c| c.blocks;
    /// Bytes of the blocks.
    history: u8 = zeroed |c| c.blocks * c.block_size;
}

impl Capacities {
    /// Size of a buffer for an entry on its way to the store: a line and what is kept beside it.
    pub const fn body_size(&self) -> usize {
        self.line_size + 96
    }

    /// The sizes that go with these capacities.
    pub const fn sizes(&self) -> Sizes {
        Sizes {
            line_size: self.line_size,
            body_size: self.body_size(),
            buffer_size: self.buffer_size,
            page_size: self.page_size,
            blocks_per_channel: if self.blocks / 4 > 1 {
                self.blocks / 4
            } else {
                1
            },
        }
    }
}

impl Memory<'_> {
    fn longest_table(&self) -> usize {
        [
            self.conns.len(),
            self.accounts.len(),
            self.channels.len(),
            self.members.len(),
            self.attachments.len(),
            self.bans.len(),
            self.watches.len(),
            self.requests.len(),
            self.appends.len(),
            self.credentials.len(),
        ]
        .into_iter()
        .max()
        .unwrap_or(0)
    }

    /// Whether a server can work at all with this.
    pub(crate) fn check(&self) -> Result<(), Undersized> {
        let Sizes {
            line_size,
            body_size,
            buffer_size,
            page_size,
            ..
        } = self.sizes;
        let block_size = self
            .history
            .len()
            .checked_div(self.blocks.len())
            .unwrap_or(0);
        let wrong = if self.conns.is_empty() {
            "connections"
        } else if self.longest_table() > SLOTS_MAX {
            "too large: a table"
        } else if self.appends.len() > usize::from(u16::MAX) {
            "appends: at most 65535"
        } else if self.accounts.len() < 3 {
            "accounts: at least 3"
        } else if self.channels.len() < 2 {
            "channels: at least 2"
        } else if self.members.len() < 2 {
            "members: at least 2"
        } else if self.attachments.len() < 2 {
            "attachments: at least 2"
        } else if self.requests.len() < 4 {
            "requests: at least 4"
        } else if self.appends.is_empty() {
            "appends"
        } else if self.credentials.is_empty() {
            "handshakes"
        } else if self.throttles.is_empty() {
            "throttles"
        } else if line_size < 640 {
            "line_size: at least 640"
        } else if buffer_size < line_size.max(960) {
            "buffer_size: at least 960 and line_size"
        } else if buffer_size > 32 * 1024 || page_size > 32 * 1024 {
            "buffer_size and page_size: at most 32768"
        } else if self.lines.len() < 2 * line_size || self.replies.len() < 2 * buffer_size {
            "lines and replies: at least 2"
        } else if self.bodies.len() < (self.credentials.len() + 1) * body_size {
            "bodies: more than handshakes"
        } else if page_size < body_size + 32 {
            "page_size: at least line_size + 128"
        } else if self.pages.len() < page_size {
            "pages"
        } else if self.logs.len() < self.channels.len() {
            "logs: as many as channels"
        } else if self.timers.len() < self.conns.len() {
            "timers: as many as connections"
        } else if block_size < buffer_size {
            "block_size: at least buffer_size"
        } else {
            return Ok(());
        };
        Err(Undersized(wrong))
    }
}

#[cfg(all(test, feature = "small"))]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_what_a_board_costs() {
        let page = include_str!("../../docs/memory.md");
        let board = Capacities::BOARD;
        let row = |name: &str| {
            page.lines()
                .find(|line| line.starts_with(&format!("| {name} |")))
        };
        for Cost { table, each, count } in costs(&board) {
            let expected = format!("| {table} | {each} | {count} | {} |", each * count);
            assert_eq!(row(table), Some(&*expected));
        }
        let expected = format!("| together | | | {} |", bytes(&board));
        assert_eq!(row("together"), Some(&*expected));
    }
}
