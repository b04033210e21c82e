//! The SPI NOR flash, a Spansion S25FL128: 16 MiB, erased by 64 KiB, written by up to 256 bytes within a page, bits only from one to
//! zero.

use embassy_futures::yield_now;
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};

use super::super::mmio::Register;

const CAPACITY: usize = 16 << 20;
const SECTOR: usize = 64 << 10;
const PAGE: usize = 256;

#[derive(Clone, Copy)]
enum At {
    Control = 0x00,
    FrameSize = 0x04,
    Receive = 0x10,
    Send = 0x14,
}

/// Master, 32-deep FIFOs, chip select held for the whole transfer, on.
const CONTROL: u32 = 1 << 29 | 1 << 26 | 1 << 1 | 1;
const CONTROL_RESET: u32 = 1 << 31;
/// Position of the number of bytes of a transfer, 16 bits.
const COUNT: u32 = 8;

fn register(at: At) -> Register {
    #[expect(unsafe_code, reason = "UG0331: registers of SPI 0, without DMA")]
    unsafe {
        Register::at(0x4000_1000 + at as usize)
    }
}

const WRITE_ENABLE: u8 = 0x06;
const READ_STATUS: u8 = 0x05;
const BUSY: u8 = 1;
const READ: u8 = 0x03;
const PROGRAM: u8 = 0x02;
const ERASE: u8 = 0xd8;

/// The flash.
pub struct Flash(());

impl Flash {
    pub(super) fn start() -> Self {
        register(At::Control).write(CONTROL_RESET);
        register(At::Control).write(0);
        register(At::FrameSize).write(8);
        Self(())
    }

    /// A transfer: the first `length` bytes of `command` and `send` go out, then `receive` comes in.
    fn transfer<'a>(
        &mut self,
        command: [u8; 4],
        length: usize,
        send: &[u8],
        receive: impl IntoIterator<Item = &'a mut u8, IntoIter: ExactSizeIterator>,
    ) {
        let receive = receive.into_iter();
        let count = length + send.len() + receive.len();
        register(At::Control).write(CONTROL | (count as u32) << COUNT);
        for byte in command[..length].iter().chain(send) {
            exchange(*byte);
        }
        for byte in receive {
            *byte = exchange(0);
        }
        register(At::Control).write(0);
    }

    /// Each write and erasure must be allowed anew.
    fn write_enable(&mut self) {
        self.transfer([WRITE_ENABLE, 0, 0, 0], 1, &[], []);
    }

    async fn ready(&mut self) {
        loop {
            let mut status = [0];
            self.transfer([READ_STATUS, 0, 0, 0], 1, &[], &mut status);
            if status[0] & BUSY == 0 {
                return;
            }
            yield_now().await;
        }
    }
}

/// Sends a byte and gives the one that comes meanwhile.
fn exchange(byte: u8) -> u8 {
    register(At::Send).write(u32::from(byte));
    register(At::Receive).read() as u8
}

fn command(code: u8, offset: u32) -> [u8; 4] {
    let [_, high, middle, low] = offset.to_be_bytes();
    [code, high, middle, low]
}

fn check(offset: u32, length: usize, unit: usize) -> Result<(), NorFlashErrorKind> {
    let offset = offset as usize;
    if offset > CAPACITY || length > CAPACITY - offset {
        Err(NorFlashErrorKind::OutOfBounds)
    } else if offset.is_multiple_of(unit) && length.is_multiple_of(unit) {
        Ok(())
    } else {
        Err(NorFlashErrorKind::NotAligned)
    }
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, mut offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        check(offset, bytes.len(), 1)?;
        // A transfer counts its bytes with 16 bits.
        for chunk in bytes.chunks_mut(SECTOR / 2) {
            let length = chunk.len() as u32;
            self.transfer(command(READ, offset), 4, &[], chunk);
            offset += length;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        check(from, to.saturating_sub(from) as usize, SECTOR)?;
        for sector in (from..to).step_by(SECTOR) {
            self.write_enable();
            self.transfer(command(ERASE, sector), 4, &[], []);
            self.ready().await;
        }
        Ok(())
    }

    async fn write(&mut self, mut offset: u32, mut bytes: &[u8]) -> Result<(), Self::Error> {
        check(offset, bytes.len(), 1)?;
        while !bytes.is_empty() {
            let page_left = PAGE - offset as usize % PAGE;
            let (now, later) = bytes.split_at(page_left.min(bytes.len()));
            self.write_enable();
            self.transfer(command(PROGRAM, offset), 4, now, []);
            self.ready().await;
            offset += now.len() as u32;
            bytes = later;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}
