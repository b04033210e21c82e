//! A NOR chip: writing clears bits, only erasing sets them, a sector at a time.

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{Counts, Power, PowerLost};
use crate::draw::Draw;

/// Bytes after the one at which power went that may be half written, as a chip programs several at once.
const SMEAR: usize = 16;

/// A chip that writes `WRITE` bytes at once and erases `SECTOR`.
#[derive(Clone, Debug)]
pub struct Nor<const WRITE: usize, const SECTOR: usize> {
    bytes: Vec<u8>,
    /// How often each sector was erased.
    pub wear: Vec<u32>,
    /// What was done to it.
    pub counts: Counts,
    /// Its power.
    pub power: Power,
}

impl<const WRITE: usize, const SECTOR: usize> Nor<WRITE, SECTOR> {
    /// An erased chip.
    pub fn new(sectors: usize, draw: Draw) -> Self {
        Self {
            bytes: vec![0xff; sectors * SECTOR],
            wear: vec![0; sectors],
            counts: Counts::default(),
            power: Power::new(draw),
        }
    }

    /// What is on it, to be damaged.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl<const WRITE: usize, const SECTOR: usize> ErrorType for Nor<WRITE, SECTOR> {
    type Error = PowerLost;
}

impl<const WRITE: usize, const SECTOR: usize> ReadNorFlash for Nor<WRITE, SECTOR> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerLost> {
        self.power.spend(0)?;
        let at = offset as usize;
        bytes.copy_from_slice(&self.bytes[at..at + bytes.len()]);
        self.counts.reads += 1;
        self.counts.read_bytes += bytes.len() as u64;
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const SECTOR: usize> NorFlash for Nor<WRITE, SECTOR> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerLost> {
        let (from, to) = (from as usize, to as usize);
        assert!(from.is_multiple_of(SECTOR) && to.is_multiple_of(SECTOR));
        for at in (from..to).step_by(SECTOR) {
            let sector = &mut self.bytes[at..at + SECTOR];
            self.counts.erases += 1;
            self.wear[at / SECTOR] += 1;
            if self.power.spend(1)? == 0 {
                // Cut short, some bits are set already.
                for byte in sector {
                    *byte |= self.power.draw.below(256) as u8;
                }
                return Err(PowerLost);
            }
            sector.fill(0xff);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerLost> {
        let at = offset as usize;
        assert!(
            at.is_multiple_of(WRITE) && bytes.len().is_multiple_of(WRITE),
            "written at {at}: {} bytes",
            bytes.len()
        );
        let place = &mut self.bytes[at..at + bytes.len()];
        assert!(
            place.iter().all(|byte| *byte == 0xff),
            "written twice at {at}"
        );
        let done = self.power.spend(bytes.len() as u64)? as usize;
        place[..done].copy_from_slice(&bytes[..done]);
        self.counts.writes += 1;
        self.counts.written_bytes += done as u64;
        if done == bytes.len() {
            return Ok(());
        }
        let half = place.iter_mut().zip(bytes).skip(done).take(SMEAR);
        for (byte, wanted) in half {
            *byte = wanted | self.power.draw.below(256) as u8;
        }
        Err(PowerLost)
    }
}
