//! NOR flash made of the blocks of a memory card, for stores that are written for it.
//!
//! A card writes whole blocks, and one being written when the power fails has any content afterwards; other blocks are assumed to
//! be left alone. So what is acknowledged must never be in a block that is written again: here a written unit is one block, and
//! until its sector is erased no block is written twice. A new record goes into a fresh block, never into the rest of one that
//! holds another (copy on write); the price is that every record takes at least a block.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a block.
pub const BLOCK: usize = 512;
/// Bytes that are erased at once.
pub const SECTOR: usize = 64 * 1024;

/// A medium of blocks of [`BLOCK`] bytes, e.g. an SD card.
#[expect(
    async_fn_in_trait,
    reason = "one executor polls everything; nothing is sent between threads"
)]
pub trait BlockDevice {
    /// Why a block could not be read or written.
    type Error: core::fmt::Debug;

    /// How many blocks there are.
    fn blocks(&self) -> u32;

    /// Reads a block.
    async fn read(&mut self, block: u32, into: &mut [u8; BLOCK]) -> Result<(), Self::Error>;

    /// Writes a block; when this returns, it is on the medium for good.
    async fn write(&mut self, block: u32, from: &[u8; BLOCK]) -> Result<(), Self::Error>;
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error<E> {
    /// The medium failed.
    Medium(E),
    /// The place is not whole blocks or sectors.
    NotAligned,
    /// The place is past the end.
    OutOfBounds,
}

impl<E: core::fmt::Debug> NorFlashError for Error<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Medium(_) => NorFlashErrorKind::Other,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
        }
    }
}

/// Blocks as NOR flash: reads of any bytes, writes of whole blocks, once each between erasures.
///
/// The block read last is kept, since small reads come in runs.
#[derive(Clone, Debug)]
pub struct Blocks<B> {
    device: B,
    kept: Option<u32>,
    buffer: [u8; BLOCK],
}

impl<B: BlockDevice> Blocks<B> {
    /// Over all whole sectors of a device, at most 4 GiB.
    pub const fn new(device: B) -> Self {
        Self {
            device,
            kept: None,
            buffer: [0; BLOCK],
        }
    }

    /// The device.
    pub const fn device(&self) -> &B {
        &self.device
    }

    /// The device.
    pub const fn device_mut(&mut self) -> &mut B {
        &mut self.device
    }

    fn check(&self, offset: u32, length: usize, unit: usize) -> Result<usize, Error<B::Error>> {
        let start = offset as usize;
        if start > self.capacity() || length > self.capacity() - start {
            return Err(Error::OutOfBounds);
        }
        if !start.is_multiple_of(unit) || !length.is_multiple_of(unit) {
            return Err(Error::NotAligned);
        }
        Ok(start)
    }
}

impl<B: BlockDevice> ErrorType for Blocks<B> {
    type Error = Error<B::Error>;
}

impl<B: BlockDevice> ReadNorFlash for Blocks<B> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let mut place = self.check(offset, bytes.len(), 1)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let block = (place / BLOCK) as u32;
            if self.kept != Some(block) {
                self.kept = None;
                self.device
                    .read(block, &mut self.buffer)
                    .await
                    .map_err(Error::Medium)?;
                self.kept = Some(block);
            }
            let within = &self.buffer[place % BLOCK..];
            let length = within.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&within[..length]);
            place += length;
            rest = later;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        let bytes = u64::from(self.device.blocks()) * BLOCK as u64;
        let sectors = bytes.min(u64::from(u32::MAX)) / SECTOR as u64;
        sectors as usize * SECTOR
    }
}

impl<B: BlockDevice> NorFlash for Blocks<B> {
    const WRITE_SIZE: usize = BLOCK;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        let start = self.check(from, to.saturating_sub(from) as usize, SECTOR)?;
        self.kept = None;
        self.buffer.fill(0xff);
        for block in start / BLOCK..to as usize / BLOCK {
            self.device
                .write(block as u32, &self.buffer)
                .await
                .map_err(Error::Medium)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let start = self.check(offset, bytes.len(), BLOCK)?;
        self.kept = None;
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        for (number, block) in (start / BLOCK..).zip(blocks) {
            self.device
                .write(number as u32, block)
                .await
                .map_err(Error::Medium)?;
        }
        Ok(())
    }
}
