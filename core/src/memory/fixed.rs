//! Server memory of a size known at compile time, for a `static`: nothing of it lies in flash, and a sum that is too large fails the
//! build.
//!
//! ```
//! use soqet_core::memory::{Capacities, fits};
//!
//! const CAPACITIES: Capacities = Capacities::SMALL;
//! type ServerMemory = soqet_core::fixed_memory!(CAPACITIES);
//! const _: () = fits(&CAPACITIES, 128 * 1024);
//!
//! // On a board: `static MEMORY: ConstStaticCell<ServerMemory> = ConstStaticCell::new(ServerMemory::new());`, and `MEMORY.take()`.
//! let memory = &mut const { ServerMemory::new() };
//! let server = soqet_core::server::Server::new(soqet_core::config::Config::DEFAULT, memory.borrow(&CAPACITIES), [0; 32]);
//! assert!(server.is_ok());
//! ```

use heapless::Vec;

use super::{Capacities, Memory};
use crate::auth::throttle::Throttle;
use crate::history::{Block, Log, Payer};
use crate::server::{
    Account, Append, Attachment, Ban, Channel, Conn, Credential, Member, Request, Watch,
};
use crate::tables::{Cell, Slot, Timer};

/// Server memory for capacities known at compile time. Name it with [`fixed_memory!`](crate::fixed_memory); what one of everything
/// costs is told by [`costs`](super::costs).
pub struct Fixed<
    const CONNECTIONS: usize,
    const ACCOUNTS: usize,
    const CHANNELS: usize,
    const MEMBERS: usize,
    const ATTACHMENTS: usize,
    const WATCHES: usize,
    const BANS: usize,
    const REQUESTS: usize,
    const APPENDS: usize,
    const HANDSHAKES: usize,
    const THROTTLES: usize,
    const LINES: usize,
    const LINE: usize,
    const BODIES: usize,
    const BODY: usize,
    const REPLIES: usize,
    const BUFFER: usize,
    const PAGES: usize,
    const PAGE: usize,
    const BLOCKS: usize,
    const BLOCK: usize,
> {
    conns: Vec<Slot<Conn>, CONNECTIONS>,
    addresses: Vec<[Cell; 2], CONNECTIONS>,
    timers: Vec<Timer, CONNECTIONS>,
    accounts: Vec<Slot<Account>, ACCOUNTS>,
    account_names: Vec<[Cell; 2], ACCOUNTS>,
    account_ids: Vec<[Cell; 2], ACCOUNTS>,
    channels: Vec<Slot<Channel>, CHANNELS>,
    channel_keys: Vec<[Cell; 2], CHANNELS>,
    channel_ids: Vec<[Cell; 2], CHANNELS>,
    members: Vec<Slot<Member>, MEMBERS>,
    attachments: Vec<Slot<Attachment>, ATTACHMENTS>,
    bans: Vec<Slot<Ban>, BANS>,
    watches: Vec<Slot<Watch>, WATCHES>,
    watch_names: Vec<[Cell; 2], WATCHES>,
    requests: Vec<Slot<Request>, REQUESTS>,
    request_index: Vec<[Cell; 2], REQUESTS>,
    appends: Vec<Slot<Append>, APPENDS>,
    credentials: Vec<Slot<Credential>, HANDSHAKES>,
    throttles: Vec<Throttle, THROTTLES>,
    lines: [[u8; LINE]; LINES],
    bodies: [[u8; BODY]; BODIES],
    replies: [[u8; BUFFER]; REPLIES],
    pages: [[u8; PAGE]; PAGES],
    logs: Vec<Log, CHANNELS>,
    blocks: Vec<Block, BLOCKS>,
    payers: Vec<Payer, BLOCKS>,
    history: [[u8; BLOCK]; BLOCKS],
}

/// The type of [`Fixed`] memory for constant [`Capacities`].
#[macro_export]
macro_rules! fixed_memory {
    ($c:expr) => {
        $crate::memory::Fixed<
            { $c.connections },
            { $c.accounts },
            { $c.channels },
            { $c.members },
            { $c.attachments },
            { $c.watches },
            { $c.bans },
            { $c.requests },
            { $c.appends },
            { $c.handshakes },
            { $c.throttles },
            { $c.lines },
            { $c.line_size },
            { $c.bodies },
            { $c.body_size() },
            { $c.replies },
            { $c.buffer_size },
            { $c.pages },
            { $c.page_size },
            { $c.blocks },
            { $c.block_size },
        >
    };
}

impl<
    const CONNECTIONS: usize,
    const ACCOUNTS: usize,
    const CHANNELS: usize,
    const MEMBERS: usize,
    const ATTACHMENTS: usize,
    const WATCHES: usize,
    const BANS: usize,
    const REQUESTS: usize,
    const APPENDS: usize,
    const HANDSHAKES: usize,
    const THROTTLES: usize,
    const LINES: usize,
    const LINE: usize,
    const BODIES: usize,
    const BODY: usize,
    const REPLIES: usize,
    const BUFFER: usize,
    const PAGES: usize,
    const PAGE: usize,
    const BLOCKS: usize,
    const BLOCK: usize,
>
    Fixed<
        CONNECTIONS,
        ACCOUNTS,
        CHANNELS,
        MEMBERS,
        ATTACHMENTS,
        WATCHES,
        BANS,
        REQUESTS,
        APPENDS,
        HANDSHAKES,
        THROTTLES,
        LINES,
        LINE,
        BODIES,
        BODY,
        REPLIES,
        BUFFER,
        PAGES,
        PAGE,
        BLOCKS,
        BLOCK,
    >
{
    /// Unused memory. The tables are filled when it is lent, so that a `static` of it is all zero (or not even that).
    #[expect(
        clippy::new_without_default,
        reason = "it belongs into a static, never on a stack"
    )]
    pub const fn new() -> Self {
        Self {
            conns: Vec::new(),
            addresses: Vec::new(),
            timers: Vec::new(),
            accounts: Vec::new(),
            account_names: Vec::new(),
            account_ids: Vec::new(),
            channels: Vec::new(),
            channel_keys: Vec::new(),
            channel_ids: Vec::new(),
            members: Vec::new(),
            attachments: Vec::new(),
            bans: Vec::new(),
            watches: Vec::new(),
            watch_names: Vec::new(),
            requests: Vec::new(),
            request_index: Vec::new(),
            appends: Vec::new(),
            credentials: Vec::new(),
            throttles: Vec::new(),
            lines: [[0; LINE]; LINES],
            bodies: [[0; BODY]; BODIES],
            replies: [[0; BUFFER]; REPLIES],
            pages: [[0; PAGE]; PAGES],
            logs: Vec::new(),
            blocks: Vec::new(),
            payers: Vec::new(),
            history: [[0; BLOCK]; BLOCKS],
        }
    }

    /// Lends it to one server. `capacities` are those it was named with.
    pub fn borrow(&mut self, capacities: &Capacities) -> Memory<'_> {
        Memory {
            conns: filled(&mut self.conns),
            addresses: filled(&mut self.addresses).as_flattened_mut(),
            timers: filled(&mut self.timers),
            accounts: filled(&mut self.accounts),
            account_names: filled(&mut self.account_names).as_flattened_mut(),
            account_ids: filled(&mut self.account_ids).as_flattened_mut(),
            channels: filled(&mut self.channels),
            channel_keys: filled(&mut self.channel_keys).as_flattened_mut(),
            channel_ids: filled(&mut self.channel_ids).as_flattened_mut(),
            members: filled(&mut self.members),
            attachments: filled(&mut self.attachments),
            bans: filled(&mut self.bans),
            watches: filled(&mut self.watches),
            watch_names: filled(&mut self.watch_names).as_flattened_mut(),
            requests: filled(&mut self.requests),
            request_index: filled(&mut self.request_index).as_flattened_mut(),
            appends: filled(&mut self.appends),
            credentials: filled(&mut self.credentials),
            throttles: filled(&mut self.throttles),
            lines: self.lines.as_flattened_mut(),
            bodies: self.bodies.as_flattened_mut(),
            replies: self.replies.as_flattened_mut(),
            pages: self.pages.as_flattened_mut(),
            logs: filled(&mut self.logs),
            blocks: filled(&mut self.blocks),
            payers: filled(&mut self.payers),
            history: self.history.as_flattened_mut(),
            sizes: capacities.sizes(),
        }
    }
}

/// One after the other, in place: a whole table would not fit on a stack.
fn filled<T: Default, const N: usize>(table: &mut Vec<T, N>) -> &mut [T] {
    table.clear();
    while table.push(T::default()).is_ok() {}
    table
}
