//! The rings: a pool of fixed blocks, chained per channel, with entries of any length appended to the newest.
//!
//! Every entry has a position that counts up by one per channel slot and is never used twice; a [`Cursor`] is a position and a hint
//! where it lies, and so stays right whatever happens to the blocks meanwhile. Entries never span blocks.
//!
//! Each block is charged to somebody. When the pool is empty the heaviest payer's oldest block goes (the one asking counts as one
//! heavier already), with everything before it in its chain; of equally heavy payers the one whose oldest block is older. A block
//! that holds its channel's newest entry is passed over as long as that payer has another. So nobody flushes what others have by
//! opening rooms.
//!
//! Costs: reading, rendering and appending within a block take constant time. Opening a block from an empty pool looks at every
//! payer once (there are never more than blocks) and then at most at all blocks of one.

use super::entry::{Draft, Flags, View, length_before};
use super::payers::{Payer, Payers};
use crate::id::{AccountId, Seq};
use crate::memory::Undersized;
use crate::store::Entry;
use crate::tables::{Count, Offset, SLOTS_MAX, Short};

/// No block.
pub(super) const NONE: u32 = u32::MAX;

/// The ring of one channel slot.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Position past the newest entry.
    head: Count,
    /// Place of the newest entry that has one.
    last: Count,
    /// Oldest block.
    first_block: Short,
    /// Newest block.
    last_block: Short,
    /// How many blocks.
    blocks: Offset,
}

impl Log {
    /// Without entries.
    pub const EMPTY: Self = Self {
        head: Count::ZERO,
        last: Count::ZERO,
        first_block: Short::NIL,
        last_block: Short::NIL,
        blocks: Offset::ZERO,
    };

    /// Newest block.
    pub(super) const fn newest(&self) -> u32 {
        self.last_block.get()
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What is known of one block of entries.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Position of its first entry.
    first: u64,
    /// How many entries.
    count: u32,
    /// Bytes in use.
    used: u32,
    /// Whose ring it belongs to.
    log: u32,
    /// Older block of the ring.
    pub(super) older: u32,
    /// Newer block of the ring, or next free block.
    pub(super) newer: u32,
    /// Slot of who pays.
    payer: u32,
    /// The payer's blocks, in the order of their opening.
    charged_before: u32,
    charged_after: u32,
    /// When it was opened: a wrapping count of openings.
    stamp: u32,
}

impl Block {
    /// A free block.
    pub const EMPTY: Self = Self {
        first: 0,
        count: 0,
        used: 0,
        log: NONE,
        older: NONE,
        newer: NONE,
        payer: 0,
        charged_before: NONE,
        charged_after: NONE,
        stamp: 0,
    };

    /// Position past its newest entry.
    const fn end(&self) -> u64 {
        self.first + self.count as u64
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A place between two entries of a ring. It belongs to the log index it came from and stays valid for ever: it is at the head, it
/// has an entry to read, or it is lapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Position of the entry to read next.
    pos: Count,
    /// Block that held this position, or ended at it, when the cursor was made.
    block: Short,
    /// Where in that block.
    offset: Offset,
}

impl Cursor {
    /// Before everything: lapped in every ring.
    pub const NONE: Self = Self {
        pos: Count::ZERO,
        block: Short::NIL,
        offset: Offset::ZERO,
    };

    fn new(pos: u64, block: u32, offset: usize) -> Self {
        Self {
            pos: Count::new(pos),
            block: Short::new(block),
            offset: Offset::new(offset as u64),
        }
    }
}

impl Default for Cursor {
    /// [`Self::NONE`].
    fn default() -> Self {
        Self::NONE
    }
}

/// The entry is longer than a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

/// All rings of a server. See the module.
pub struct History<'a> {
    pub(super) logs: &'a mut [Log],
    pub(super) blocks: &'a mut [Block],
    bytes: &'a mut [u8],
    payers: Payers<'a>,
    block_size: usize,
    per_channel: u32,
    /// Free blocks, linked by `newer`.
    free: u32,
    /// How many blocks were ever opened, wrapping.
    openings: u32,
}

impl<'a> History<'a> {
    /// Rings for as many channels as there are logs, none of which gets more than `per_channel` blocks (at least one). `bytes` are
    /// divided among the blocks. As many payers as blocks, plus one, are all that is ever used; fewer (at least one) do as well.
    pub fn new(
        logs: &'a mut [Log],
        blocks: &'a mut [Block],
        bytes: &'a mut [u8],
        payers: &'a mut [Payer],
        per_channel: u32,
    ) -> Result<Self, Undersized> {
        let too_many = blocks.len().max(logs.len()) > SLOTS_MAX;
        let block_size = bytes.len().checked_div(blocks.len()).unwrap_or(0);
        if block_size == 0 || u32::try_from(block_size).is_err() || too_many {
            return Err(Undersized("history blocks"));
        }
        let payers = match payers.len().min(blocks.len() + 1) {
            0 => return Err(Undersized("history payers")),
            useful => payers.split_at_mut(useful).0,
        };
        logs.fill(Log::EMPTY);
        blocks.fill(Block::EMPTY);
        let mut free = NONE;
        for (index, block) in blocks.iter_mut().enumerate().rev() {
            block.newer = free;
            free = index as u32;
        }
        Ok(Self {
            logs,
            blocks,
            bytes,
            payers: Payers::new(payers),
            block_size,
            per_channel: per_channel.max(1),
            free,
            openings: 0,
        })
    }

    /// Begins a ring after the place `last` (the newest in the store), forgetting what was there.
    pub fn open(&mut self, log: u32, last: Seq) {
        self.close(log);
        self.logs[log as usize].last = last.into();
    }

    /// Forgets a ring; its blocks become free and all cursors into it lapped.
    pub fn close(&mut self, log: u32) {
        while self.logs[log as usize].first_block.get() != NONE {
            self.release_oldest(log);
        }
        let log = &mut self.logs[log as usize];
        log.last = Count::ZERO;
        log.head = Count::new(log.head.get() + 1);
    }

    /// Appends an entry and gives its cursor. Should a block be needed for it, `payer` pays (in a room its founder, in a direct chat
    /// the sender). A transient entry keeps no place of its own, whatever `entry.seq` says. For `target` and `host` see
    /// [`View::from_entry`]. When the entry is too long nothing happened.
    pub fn push(
        &mut self,
        log: u32,
        payer: AccountId,
        entry: &Entry<'_>,
        target: &str,
        host: &str,
        flags: Flags,
    ) -> Result<Cursor, TooLong> {
        let draft = Draft::new(entry, target, host, flags).ok_or(TooLong)?;
        if draft.total > self.block_size {
            return Err(TooLong);
        }
        let last = self.logs[log as usize].newest();
        let block = match self.blocks.get(last as usize) {
            Some(block) if block.used as usize + draft.total <= self.block_size => last,
            _ => self.open_block(log, payer),
        };
        let ring = &mut self.logs[log as usize];
        if !flags.contains(Flags::TRANSIENT) {
            ring.last = entry.seq.into();
        }
        let meta = &mut self.blocks[block as usize];
        let cursor = Cursor::new(ring.head.get(), block, meta.used as usize);
        let start = block as usize * self.block_size + meta.used as usize;
        let space = self.bytes.get_mut(start..start + draft.total);
        space
            .and_then(|space| draft.write(ring.last.seq(), space))
            .ok_or(TooLong)?;
        meta.used += draft.total as u32;
        meta.count += 1;
        ring.head = Count::new(ring.head.get() + 1);
        Ok(cursor)
    }

    /// Just past the newest entry.
    pub fn head(&self, log: u32) -> Cursor {
        let ring = &self.logs[log as usize];
        let used = self
            .blocks
            .get(ring.newest() as usize)
            .map_or(0, |block| block.used);
        Cursor::new(ring.head.get(), ring.newest(), used as usize)
    }

    /// The oldest entry kept; the head when there is none.
    pub fn tail(&self, log: u32) -> Cursor {
        let ring = &self.logs[log as usize];
        Cursor::new(self.tail_pos(ring), ring.first_block.get(), 0)
    }

    /// Place of the newest entry that has one, in memory or not.
    pub fn last_seq(&self, log: u32) -> Seq {
        self.logs[log as usize].last.seq()
    }

    /// Whether there is nothing to read.
    #[inline]
    pub fn at_head(&self, log: u32, cursor: Cursor) -> bool {
        self.logs
            .get(log as usize)
            .is_none_or(|ring| cursor.pos.get() >= ring.head.get())
    }

    /// Whether the next entry to read is gone.
    #[inline]
    pub fn lapped(&self, log: u32, cursor: Cursor) -> bool {
        self.logs
            .get(log as usize)
            .is_some_and(|ring| cursor.pos.get() < self.tail_pos(ring))
    }

    /// The entry at the cursor and the cursor after it; `None` at the head or when lapped.
    #[inline]
    pub fn read(&self, log: u32, cursor: Cursor) -> Option<(View<'_>, Cursor)> {
        let (block, offset) = self.locate(log, cursor)?;
        let (view, total) = View::decode(self.content(block)?.get(offset..)?)?;
        let next = Cursor::new(cursor.pos.get() + 1, block, offset + total);
        Some((view, next))
    }

    /// The entry before the cursor and its cursor; `None` where memory begins, or when lapped.
    pub fn read_back(&self, log: u32, cursor: Cursor) -> Option<(View<'_>, Cursor)> {
        let ring = self.logs.get(log as usize)?;
        if cursor.pos.get() <= self.tail_pos(ring) {
            return None;
        }
        // The hint still belongs to this ring: a block goes only together with all before it, and the entry before is there.
        let mut index = cursor.block.get();
        let mut block = self.blocks.get(index as usize)?;
        let mut end = cursor.offset.get() as usize;
        if block.log == log && block.first == cursor.pos.get() {
            index = block.older;
            block = self.blocks.get(index as usize)?;
            end = block.used as usize;
        }
        if block.log != log || cursor.pos.get() <= block.first || cursor.pos.get() > block.end() {
            return None;
        }
        let content = self.content(index)?;
        let offset = end.checked_sub(length_before(content, end)?)?;
        let (view, _) = View::decode(content.get(offset..end)?)?;
        let before = Cursor::new(cursor.pos.get() - 1, index, offset);
        Some((view, before))
    }

    /// How many blocks an account pays for.
    pub fn charged(&self, account: AccountId) -> u32 {
        let payer = self.payers.find(account);
        payer.map_or(0, |payer| self.payers.all()[payer as usize].weight)
    }

    /// Cursor of a block's first entry.
    pub(super) fn start_of(&self, block: u32) -> Option<Cursor> {
        let pos = self.blocks.get(block as usize)?.first;
        Some(Cursor::new(pos, block, 0))
    }

    fn tail_pos(&self, ring: &Log) -> u64 {
        self.blocks
            .get(ring.first_block.get() as usize)
            .map_or(ring.head.get(), |block| block.first)
    }

    /// The used bytes of a block.
    fn content(&self, block: u32) -> Option<&[u8]> {
        let used = self.blocks.get(block as usize)?.used as usize;
        let start = block as usize * self.block_size;
        self.bytes.get(start..start + used)
    }

    /// Where the entry at a cursor lies.
    ///
    /// A hint made before its block was opened anew for the same ring can only be of the position the block now begins with, because
    /// positions only rise; so at a block's first position the offset is 0 whatever the hint says, and else the hint is right.
    #[inline]
    fn locate(&self, log: u32, cursor: Cursor) -> Option<(u32, usize)> {
        let ring = self.logs.get(log as usize)?;
        if cursor.pos.get() >= ring.head.get() {
            return None;
        }
        if let Some(block) = self.blocks.get(cursor.block.get() as usize)
            && block.log == log
            && block.first < cursor.pos.get()
        {
            if cursor.pos.get() < block.end() {
                return Some((cursor.block.get(), cursor.offset.get() as usize));
            }
            if cursor.pos.get() == block.end() {
                return Some((block.newer, 0));
            }
        }
        // The hinted block begins here, or it is gone: then this is where memory begins, or it is gone as well.
        match self.blocks.get(cursor.block.get() as usize) {
            Some(block) if block.log == log && block.first == cursor.pos.get() => {
                Some((cursor.block.get(), 0))
            }
            _ => (cursor.pos.get() == self.tail_pos(ring)).then_some((ring.first_block.get(), 0)),
        }
    }

    /// A new block at the end of a ring.
    fn open_block(&mut self, log: u32, account: AccountId) -> u32 {
        if self.logs[log as usize].blocks.get() >= u64::from(self.per_channel) {
            self.release_oldest(log);
        } else if self.free == NONE {
            self.evict(account);
        }
        let index = self.free;
        let payer = self.payers.acquire(account);
        let ring = &mut self.logs[log as usize];
        let older = core::mem::replace(&mut ring.last_block, Short::new(index)).get();
        if older == NONE {
            ring.first_block = Short::new(index);
        } else {
            self.blocks[older as usize].newer = index;
        }
        ring.blocks = Offset::new(ring.blocks.get() + 1);
        let paying = self.payers.get(payer);
        paying.weight += 1;
        let charged_before = core::mem::replace(&mut paying.newest, index);
        if charged_before == NONE {
            paying.oldest = index;
        } else {
            self.blocks[charged_before as usize].charged_after = index;
        }
        self.openings = self.openings.wrapping_add(1);
        let block = &mut self.blocks[index as usize];
        self.free = block.newer;
        *block = Block {
            first: self.logs[log as usize].head.get(),
            log,
            older,
            payer,
            charged_before,
            stamp: self.openings,
            ..Block::EMPTY
        };
        index
    }

    /// Frees at least one block of a full pool, on behalf of somebody who asks for one.
    fn evict(&mut self, asking: AccountId) {
        let asking = self.payers.find(asking);
        let weighed = self.payers.all().iter().enumerate();
        let heaviest =
            weighed
                .filter(|(_, payer)| payer.weight > 0)
                .max_by_key(|(index, payer)| {
                    let one_more = u32::from(asking == Some(*index as u32));
                    let oldest = &self.blocks[payer.oldest as usize];
                    let age = self.openings.wrapping_sub(oldest.stamp);
                    (payer.weight + one_more, oldest.newer != NONE, age)
                });
        let Some((_, payer)) = heaviest else { return };
        let mut victim = payer.oldest;
        while victim != NONE && self.blocks[victim as usize].newer == NONE {
            victim = self.blocks[victim as usize].charged_after;
        }
        if victim == NONE {
            victim = payer.oldest;
        }
        let log = self.blocks[victim as usize].log;
        while self.release_oldest(log) != victim {}
    }

    /// Frees the oldest block of a ring (it has one) and gives its index.
    fn release_oldest(&mut self, log: u32) -> u32 {
        let ring = &mut self.logs[log as usize];
        let index = ring.first_block.get();
        let free = Block {
            newer: self.free,
            ..Block::EMPTY
        };
        let block = core::mem::replace(&mut self.blocks[index as usize], free);
        self.free = index;
        ring.first_block = Short::new(block.newer);
        ring.blocks = Offset::new(ring.blocks.get() - 1);
        if block.newer == NONE {
            ring.last_block = Short::NIL;
        } else {
            self.blocks[block.newer as usize].older = NONE;
        }
        let payer = self.payers.get(block.payer);
        payer.weight -= 1;
        if block.charged_before == NONE {
            payer.oldest = block.charged_after;
        } else {
            self.blocks[block.charged_before as usize].charged_after = block.charged_after;
        }
        if block.charged_after == NONE {
            payer.newest = block.charged_before;
        } else {
            self.blocks[block.charged_after as usize].charged_before = block.charged_before;
        }
        self.payers.release(block.payer);
        index
    }

    /// Checks what must hold between the tables.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut free = 0;
        let mut at = self.free;
        while at != NONE {
            free += 1;
            assert_eq!(self.blocks[at as usize].log, NONE);
            at = self.blocks[at as usize].newer;
        }
        let mut chained = 0;
        for (index, ring) in self.logs.iter().enumerate() {
            let (mut at, mut older, mut count) = (ring.first_block.get(), NONE, 0);
            while at != NONE {
                let block = &self.blocks[at as usize];
                assert_eq!((block.log, block.older), (index as u32, older));
                let next = self.blocks.get(block.newer as usize);
                assert_eq!(block.end(), next.map_or(ring.head.get(), |next| next.first));
                (older, at) = (at, block.newer);
                count += 1;
            }
            assert_eq!((ring.newest(), ring.blocks.get()), (older, count));
            assert!(count <= u64::from(self.per_channel));
            chained += count as u32;
        }
        assert_eq!(free + chained as usize, self.blocks.len());
        let mut paid = 0;
        for (index, payer) in self.payers.all().iter().enumerate() {
            let (mut at, mut before, mut count) = (payer.oldest, NONE, 0);
            while at != NONE {
                let block = &self.blocks[at as usize];
                assert_eq!(block.payer, index as u32);
                assert_eq!(block.charged_before, before);
                (before, at) = (at, block.charged_after);
                count += 1;
            }
            assert_eq!((payer.newest, payer.weight), (before, count));
            paid += count;
        }
        assert_eq!(paid, chained);
    }
}
