//! The synchronous serial interface (a PL022) and the card's chip select beside it, pin D0.

use super::super::sd::Bus;
use super::{CORE_HZ, GPIO_D, register};

const SSI: usize = 0x4000_8000;
const DATA: usize = SSI + 8;
const STATUS: usize = SSI + 0xc;
const RECEIVED: u32 = 1 << 2;
/// Entries of each FIFO.
const DEPTH: usize = 8;

/// The bus the SD card is on.
pub struct Ssi(());

impl Ssi {
    pub(super) fn start() -> Self {
        // D0 is an output, digital, high.
        register(GPIO_D + 0x400).write(1);
        register(GPIO_D + 0x51c).write(1);
        let mut bus = Self(());
        bus.select(false);
        register(SSI + 4).write(0);
        register(SSI).write(7);
        bus.set_speed(400_000);
        register(SSI + 4).write(1 << 1);
        bus
    }
}

impl Bus for Ssi {
    fn select(&mut self, selected: bool) {
        // The address's bits 2 to 9 say which pins are written.
        register(GPIO_D + (1 << 2)).write(u32::from(!selected));
    }

    fn set_speed(&mut self, hz: u32) {
        // An even number from 2 to 254.
        register(SSI + 0x10).write(CORE_HZ.div_ceil(hz).next_multiple_of(2).clamp(2, 254));
    }

    fn exchange(&mut self, byte: u8) -> u8 {
        register(DATA).write(u32::from(byte));
        while register(STATUS).read() & RECEIVED == 0 {}
        register(DATA).read() as u8
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(DEPTH) {
            for _ in 0..chunk.len() {
                register(DATA).write(0xff);
            }
            for byte in chunk {
                while register(STATUS).read() & RECEIVED == 0 {}
                *byte = register(DATA).read() as u8;
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(DEPTH) {
            for byte in chunk {
                register(DATA).write(u32::from(*byte));
            }
            for _ in 0..chunk.len() {
                while register(STATUS).read() & RECEIVED == 0 {}
                register(DATA).read();
            }
        }
    }
}
