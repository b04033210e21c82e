//! The medium as the store uses it: sectors that are taken and released, checked reads, and one writer with a small buffer.

use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::NorFlash;

use super::record::{HEADER, Header, Item};
use super::{Result, Stop};

/// Most sectors that are used; a larger medium is used in part.
pub(super) const MAX_SECTORS: usize = 1024;
/// Bytes of a page of the log and of history.
pub(super) const PAGE: u32 = 4096;
/// Bytes of the buffer: records pass through it on their way to the medium, and values are looked at in it.
pub(super) const BUFFER: usize = 512;

/// Bytes of a key that are read along with the header.
const SHORT: usize = 16;

pub(super) struct Medium<F> {
    flash: F,
    taken: [u32; MAX_SECTORS / 32],
    free: u16,
    /// Where the search for a free sector goes on, so that all are worn alike.
    next: u16,
    /// A free sector that is erased already.
    clean: Option<u16>,
    /// Where the buffer belongs, and how many of its bytes are waiting to be written.
    at: u32,
    fill: usize,
    pub buffer: [u8; BUFFER],
}

impl<F: NorFlash> Medium<F> {
    /// Bytes of a sector, what is erased at once.
    pub(super) const SECTOR: u32 = {
        assert!(F::READ_SIZE == 1, "the store reads single bytes");
        assert!(
            F::WRITE_SIZE <= BUFFER && BUFFER.is_multiple_of(F::WRITE_SIZE),
            "the store writes at most 512 bytes at once"
        );
        let least = 16 * 1024;
        let sector = if F::ERASE_SIZE > least {
            F::ERASE_SIZE
        } else {
            least
        };
        assert!(sector.is_multiple_of(F::ERASE_SIZE) && sector <= 256 * 1024);
        sector as u32
    };
    /// A commit begins at a multiple of this.
    pub(super) const UNIT: u32 = if F::WRITE_SIZE > 4 {
        F::WRITE_SIZE as u32
    } else {
        4
    };

    pub(super) const fn new(flash: F) -> Self {
        Self {
            flash,
            taken: [0; MAX_SECTORS / 32],
            free: 0,
            next: 0,
            clean: None,
            at: 0,
            fill: 0,
            buffer: [0; BUFFER],
        }
    }

    pub(super) fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    pub(super) fn into_flash(self) -> F {
        self.flash
    }

    pub(super) fn sectors(&self) -> u16 {
        (self.flash.capacity() / Self::SECTOR as usize).min(MAX_SECTORS) as u16
    }

    /// Forgets what is taken and what was about to be written.
    pub(super) fn reset(&mut self) {
        self.taken = [0; MAX_SECTORS / 32];
        self.free = self.sectors();
        self.clean = None;
        self.fill = 0;
    }

    pub(super) const fn free(&self) -> u16 {
        self.free
    }

    fn bit(&mut self, sector: u16) -> Option<(&mut u32, u32)> {
        let word = self.taken.get_mut(usize::from(sector / 32))?;
        Some((word, 1 << (sector % 32)))
    }

    /// Marks a sector; false when there is no such sector or it was taken already.
    pub(super) fn take(&mut self, sector: u16) -> bool {
        if sector >= self.sectors() {
            return false;
        }
        match self.bit(sector) {
            Some((word, bit)) if *word & bit == 0 => {
                *word |= bit;
                self.free -= 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn release(&mut self, sector: u16) {
        if let Some((word, bit)) = self.bit(sector)
            && *word & bit != 0
        {
            *word &= !bit;
            self.free += 1;
        }
    }

    /// Begins the search for free sectors there.
    pub(super) fn search_from(&mut self, sector: u16) {
        self.next = sector;
    }

    /// A free sector that is erased already; else [`Self::prepare`] must come first.
    pub(super) fn allocate(&mut self) -> Result<u16, F> {
        match self.clean.take() {
            Some(sector) if self.take(sector) => Ok(sector),
            _ if self.free == 0 => Err(Stop::Full),
            _ => Err(Stop::Again),
        }
    }

    fn pick(&mut self) -> Result<u16, F> {
        let sectors = self.sectors();
        for _ in 0..sectors {
            let sector = self.next % sectors;
            self.next = sector + 1;
            if self.take(sector) {
                return Ok(sector);
            }
        }
        Err(Stop::Full)
    }

    /// Erases a free sector for the next who needs one. False when that is not necessary.
    pub(super) async fn prepare(&mut self) -> Result<bool, F> {
        if self.clean.is_some() || self.free == 0 {
            return Ok(false);
        }
        let sector = self.pick()?;
        self.erase(sector).await?;
        self.release(sector);
        self.clean = Some(sector);
        Ok(true)
    }

    pub(super) async fn erase(&mut self, sector: u16) -> Result<(), F> {
        let from = u32::from(sector) * Self::SECTOR;
        let mut at = from;
        while at < from + Self::SECTOR {
            let next = at + F::ERASE_SIZE as u32;
            self.flash.erase(at, next).await.map_err(Stop::Medium)?;
            at = next;
        }
        Ok(())
    }

    pub(super) fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), F> {
        spin(self.flash.read(at, into)).map_err(Stop::Medium)
    }

    /// Whether nothing is written from `at` to the end of its page.
    pub(super) fn is_blank(&mut self, at: u32, page: u32) -> Result<bool, F> {
        let end = (at + 1).next_multiple_of(page);
        let mut chunk = [0; 64];
        let mut at = at;
        while at < end {
            let part = &mut chunk[..((end - at) as usize).min(64)];
            spin(self.flash.read(at, part)).map_err(Stop::Medium)?;
            if part.iter().any(|byte| *byte != 0xff) {
                return Ok(false);
            }
            at += part.len() as u32;
        }
        Ok(true)
    }

    /// The record at `at`, where its key fits in `key` and the record in the space before `end`. `None` where there is none; its
    /// checksum is not looked at.
    pub(super) fn record(&mut self, at: u32, end: u32, key: &mut [u8]) -> Result<Option<Item>, F> {
        // Most keys are short, and each access costs more than a few bytes.
        let mut start = [0; HEADER + SHORT];
        let length = start.len().min(end.saturating_sub(at) as usize);
        let start = &mut start[..length];
        self.read(at, start)?;
        let Some((head, start)) = start.split_first_chunk() else {
            return Ok(None);
        };
        let Some(header) = Header::read(*head) else {
            return Ok(None);
        };
        let Some(key) = key.get_mut(..usize::from(header.key)) else {
            return Ok(None);
        };
        if header.key == 0 || at + header.size() > end {
            return Ok(None);
        }
        let known = key.len().min(start.len());
        key[..known].copy_from_slice(&start[..known]);
        if known < key.len() {
            self.read(at + (HEADER + known) as u32, &mut key[known..])?;
        }
        Ok(Some(Item { at, header }))
    }

    /// Whether the record's checksum is right. Uses the buffer.
    pub(super) fn is_whole(&mut self, item: &Item, key: &[u8]) -> Result<bool, F> {
        let mut digest = item.header.digest();
        digest.update(&key[..usize::from(item.header.key).min(key.len())]);
        let (mut at, mut rest) = (item.value_at(), usize::from(item.header.value));
        while rest > 0 {
            let part = &mut self.buffer[..rest.min(BUFFER)];
            spin(self.flash.read(at, part)).map_err(Stop::Medium)?;
            digest.update(part);
            at += part.len() as u32;
            rest -= part.len();
        }
        Ok(digest.finalize() == item.header.crc)
    }

    /// Fails when there is a whole record after `at`, where none can be read: a cut leaves nothing behind it. Uses the buffer.
    pub(super) fn must_be_last(&mut self, at: u32, end: u32) -> Result<(), F> {
        let mut key = [0; 64];
        let mut at = at + 4;
        while at < end {
            if let Some(item) = self.record(at, end, &mut key)?
                && self.is_whole(&item, &key)?
            {
                return Err(Stop::Damaged);
            }
            at += 4;
        }
        Ok(())
    }

    /// Reads a record's value to the front of `into`, and checks it. `Full` when it is longer than `into`.
    pub(super) fn value<'b>(
        &mut self,
        item: &Item,
        key: &[u8],
        into: &'b mut [u8],
    ) -> Result<&'b [u8], F> {
        let value = into
            .get_mut(..usize::from(item.header.value))
            .ok_or(Stop::Full)?;
        self.read(item.value_at(), value)?;
        check(&item.header, key, value)?;
        Ok(value)
    }

    /// As [`Self::value`], into the buffer from `from` on; returns where the value ends there.
    pub(super) fn load(&mut self, item: &Item, key: &[u8], from: usize) -> Result<usize, F> {
        let end = from + usize::from(item.header.value);
        let value = self.buffer.get_mut(from..end).ok_or(Stop::Full)?;
        let read = spin(self.flash.read(item.value_at(), value));
        read.map_err(Stop::Medium)?;
        check(&item.header, key, value)?;
        Ok(end)
    }

    /// As [`Self::load`] at the front of the buffer, of a part of a value, which cannot be checked.
    pub(super) fn load_part(&mut self, part: &Item) -> Result<usize, F> {
        let end = usize::from(part.header.value);
        let value = self.buffer.get_mut(..end).ok_or(Stop::Full)?;
        let read = spin(self.flash.read(part.value_at(), value));
        read.map_err(Stop::Medium)?;
        Ok(end)
    }

    /// Begins to write at a multiple of the unit.
    pub(super) fn begin(&mut self, at: u32) {
        self.at = at;
        self.fill = 0;
    }

    /// Where the writer is.
    pub(super) const fn position(&self) -> u32 {
        self.at + self.fill as u32
    }

    fn flush(&mut self) -> Result<(), F> {
        let bytes = &self.buffer[..self.fill];
        let written = spin(self.flash.write(self.at, bytes));
        written.map_err(Stop::Medium)?;
        self.at += self.fill as u32;
        self.fill = 0;
        Ok(())
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), F> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = &mut self.buffer[self.fill..];
            let length = space.len().min(rest.len());
            let (now, later) = rest.split_at(length);
            space[..length].copy_from_slice(now);
            self.fill += length;
            rest = later;
            if self.fill == BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Leaves everything up to `position` as it is when erased.
    pub(super) fn skip_to(&mut self, position: u32) -> Result<(), F> {
        while self.position() < position {
            self.push(&[0xff])?;
        }
        Ok(())
    }

    /// Writes a whole record.
    pub(super) fn push_record(&mut self, key: &[u8], value: &[&[u8]], flags: u8) -> Result<(), F> {
        let header = Header::new(key, value, flags);
        let end = self.position() + header.size();
        self.push(&header.bytes())?;
        self.push(key)?;
        for part in value {
            self.push(part)?;
        }
        self.skip_to(end)
    }

    /// Copies a whole record, and checks it.
    pub(super) fn push_copy(&mut self, item: &Item, key: &[u8]) -> Result<(), F> {
        let end = self.position() + item.header.size();
        self.push(&item.header.bytes())?;
        self.push(key)?;
        let mut digest = item.header.digest();
        digest.update(key);
        let (mut at, mut rest) = (item.value_at(), usize::from(item.header.value));
        while rest > 0 {
            let space = &mut self.buffer[self.fill..];
            let part_length = space.len().min(rest);
            let part = &mut space[..part_length];
            let read = spin(self.flash.read(at, part));
            read.map_err(Stop::Medium)?;
            digest.update(part);
            self.fill += part_length;
            at += part_length as u32;
            rest -= part_length;
            if self.fill == BUFFER {
                self.flush()?;
            }
        }
        if digest.finalize() != item.header.crc {
            return Err(Stop::Damaged);
        }
        self.skip_to(end)
    }

    /// Writes what waits; when this returns, all is on the medium.
    pub(super) fn finish(&mut self) -> Result<(), F> {
        let end = self.position().next_multiple_of(Self::UNIT);
        self.skip_to(end)?;
        if self.fill > 0 {
            self.flush()?;
        }
        Ok(())
    }
}

/// Waits in place for what takes microseconds, or of a card some milliseconds.
fn spin<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

/// Lets others work in between.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn check<E>(header: &Header, key: &[u8], value: &[u8]) -> core::result::Result<(), Stop<E>> {
    let mut digest = header.digest();
    digest.update(key);
    digest.update(value);
    if digest.finalize() == header.crc {
        Ok(())
    } else {
        Err(Stop::Damaged)
    }
}
