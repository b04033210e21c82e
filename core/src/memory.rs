//! All memory of a server, borrowed as slices: one monomorphisation, capacities chosen at run time.

/// How many of everything. Every line says what one costs on a 64-bit computer.
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
    /// Buffers for lines in, replies, and half-sent lines.
    pub buffers: usize,
    /// Size of a buffer: the longest line with its tags, at least 1024 bytes.
    pub buffer_size: usize,
    /// Staging blocks for pages read from the store.
    pub pages: usize,
    /// Size of a staging block, at least `buffer_size`.
    pub page_size: usize,
    /// History blocks.
    pub blocks: usize,
    /// Size of a history block, at least `buffer_size`.
    pub block_size: usize,
}

impl Capacities {
    /// For a host with that many connections.
    pub const fn for_connections(connections: usize) -> Self {
        Self {
            connections,
            accounts: connections + connections / 4 + 64,
            channels: connections + 256,
            members: connections * 8 + 256,
            attachments: connections * 8 + 256,
            watches: connections * 4 + 256,
            bans: 4096,
            requests: 4096,
            appends: 2048,
            handshakes: 256,
            throttles: 8192,
            buffers: 1024,
            buffer_size: 5120,
            pages: 64,
            page_size: 16 * 1024,
            blocks: 4096,
            block_size: 8 * 1024,
        }
    }

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
        buffers: 10,
        buffer_size: 1024,
        pages: 3,
        page_size: 2048,
        blocks: 24,
        block_size: 1024,
    };
}

/// The memory a server borrows.
pub struct Memory<'a> {
    placeholder: core::marker::PhantomData<&'a mut ()>,
}

/// The memory given to [`Server::new`](crate::server::Server::new) is too small to work at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undersized(
    /// Which table.
    pub &'static str,
);

/// Server memory on the heap.
#[cfg(feature = "alloc")]
pub struct Owned {}

#[cfg(feature = "alloc")]
impl Owned {
    /// Allocates for these capacities.
    pub fn new(capacities: &Capacities) -> Self {
        let _ = capacities;
        Self {}
    }

    /// Lends it.
    pub fn borrow(&mut self) -> Memory<'_> {
        Memory {
            placeholder: core::marker::PhantomData,
        }
    }
}
