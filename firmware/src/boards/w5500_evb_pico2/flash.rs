//! What the server keeps, in the flash above the image. The chip runs from that flash: while it is erased or written, by code in RAM
//! and in the boot ROM, nothing else runs, some 50 ms for each 4 KiB erased and a millisecond or so for each page written. Meanwhile
//! the W5500 keeps what frames come.

use embassy_futures::yield_now;
use embassy_rp::flash::{self, Blocking, ERASE_SIZE, Error, READ_SIZE, WRITE_SIZE};
use embassy_rp::peripherals::FLASH;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// Bytes of the chip; memory.x says how much of them is the image's.
const CHIP: usize = 2 << 20;

#[expect(unsafe_code, reason = "a symbol of memory.x")]
unsafe extern "C" {
    static _storage_start: u8;
}

/// Where storage starts on the chip. It goes on to the chip's end.
fn start() -> usize {
    (&raw const _storage_start).addr()
}

/// As the chip counts. What is past its end, the HAL refuses.
fn on_chip(at: u32) -> Result<u32, Error> {
    at.checked_add(start() as u32).ok_or(Error::OutOfBounds)
}

/// The storage.
pub struct Flash(pub(super) flash::Flash<'static, FLASH, Blocking, CHIP>);

impl ErrorType for Flash {
    type Error = Error;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.blocking_read(on_chip(offset)?, bytes)
    }

    fn capacity(&self) -> usize {
        CHIP - start()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        let mut at = from;
        while at < to {
            let next = at.saturating_add(ERASE_SIZE as u32).min(to);
            self.0.blocking_erase(on_chip(at)?, on_chip(next)?)?;
            at = next;
            // That took long: see to the network before the next.
            yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.0.blocking_write(on_chip(offset)?, bytes)
    }
}
