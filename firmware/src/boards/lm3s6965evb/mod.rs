//! Luminary Micro's (now TI's) LM3S6965 evaluation board as QEMU's `lm3s6965evb` emulates it: Cortex-M3 at 50 MHz, Ethernet behind a
//! FIFO, an SD card. Never run on silicon. The LM3S6965 data sheet describes the registers.

mod network;
mod ssi;

use cortex_m::interrupt::InterruptNumber;
use soqet_core::adapters::blocks::Blocks;

use super::sd::Card;
use super::{Board, emulator, mmio::Register};
use crate::{clock, log};
pub use network::Network;
use ssi::Ssi;

const CORE_HZ: u32 = 50_000_000;
/// The watchdog barks after so many ticks of the core, and resets after as many more.
const WATCHDOG: u32 = 10 * CORE_HZ;

/// The Ethernet controller's interrupt.
#[derive(Clone, Copy)]
struct Ethernet;

#[expect(unsafe_code, reason = "data sheet, interrupts: Ethernet is number 42")]
unsafe impl InterruptNumber for Ethernet {
    fn number(self) -> u16 {
        42
    }
}

/// A peripheral's register; none of those used here starts DMA.
fn register(address: usize) -> Register {
    #[expect(unsafe_code, reason = "the chip has no DMA")]
    unsafe {
        Register::at(address)
    }
}

const SYSTEM: usize = 0x400f_e000;
const WATCHDOG_LOAD: usize = 0x4000_0000;
const GPIO_A: usize = 0x4000_4000;
const GPIO_D: usize = 0x4000_7000;
const UART: usize = 0x4000_c000;

/// The board.
pub struct Lm3s6965Evb {
    told: emulator::Told,
}

impl Board for Lm3s6965Evb {
    const NAME: &'static str = "lm3s6965evb";

    type Network = Network;
    type Storage = Blocks<Card<Ssi>>;

    fn start() -> (Self, Network, Self::Storage) {
        let core = cortex_m::Peripherals::take().unwrap_or_else(|| panic!("started twice"));
        start_clocks();
        start_uart();
        log::start(print);
        clock::start(core.SYST, CORE_HZ, false);
        start_watchdog();
        let board = Self {
            told: emulator::take(),
        };
        let network = Network::start(board.hardware_address());
        let mut card = Card::new(Ssi::start());
        match card.start() {
            Ok(()) => (board, network, Blocks::new(card)),
            Err(error) => defmt::panic!("no SD card: {}", error),
        }
    }

    fn hardware_address(&self) -> [u8; 6] {
        // The data sheet keeps it in two words that user programs write once, three bytes in each.
        let [a, b, c, _] = register(SYSTEM + 0x1e0).read().to_le_bytes();
        let [d, e, f, _] = register(SYSTEM + 0x1e4).read().to_le_bytes();
        [a, b, c, d, e, f]
    }

    fn seed(&mut self) -> [u8; 32] {
        core::mem::take(&mut self.told.seed)
    }

    fn unix_ms(&mut self) -> Option<u64> {
        Some(self.told.unix_ms + clock::now() / 1000)
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn sleep(&mut self, until: u64) {
        clock::sleep(until, Ethernet);
    }

    fn feed_watchdog(&mut self) {
        register(WATCHDOG_LOAD).write(WATCHDOG);
    }
}

/// The core by the PLL at 200 MHz / 4, and what is used of the peripherals on.
fn start_clocks() {
    let control = register(SYSTEM + 0x60);
    let status = register(SYSTEM + 0x50);
    const BYPASS: u32 = 1 << 11;
    const CRYSTAL_8_MHZ: u32 = 0xe << 6;
    const DIVIDE_BY_4: u32 = 3 << 23 | 1 << 22;
    const PLL_LOCKED: u32 = 1 << 6;
    control.write(CRYSTAL_8_MHZ | BYPASS);
    while status.read() & PLL_LOCKED == 0 {}
    control.write(CRYSTAL_8_MHZ | DIVIDE_BY_4);
    const GATE_WATCHDOG: u32 = 1 << 3;
    const GATE_UART_SSI: u32 = 1 | 1 << 4;
    const GATE_GPIO_ETHERNET: u32 = 1 | 1 << 3 | 1 << 28 | 1 << 30;
    register(SYSTEM + 0x100).write(GATE_WATCHDOG);
    register(SYSTEM + 0x104).write(GATE_UART_SSI);
    register(SYSTEM + 0x108).write(GATE_GPIO_ETHERNET);
    // Pins A0, A1 for the UART and A2, A4, A5 for SSI; A3 would be SSI's own chip select, which the card's is not.
    register(GPIO_A + 0x420).write(0b11_0111);
    register(GPIO_A + 0x51c).write(0b11_0111);
}

/// UART 0 at 115,200 bits a second.
fn start_uart() {
    register(UART + 0x24).write(CORE_HZ / (16 * 115_200));
    register(UART + 0x28).write((CORE_HZ / 16 * 64 / 115_200) % 64);
    const EIGHT_BITS_WITH_FIFO: u32 = 0x70;
    register(UART + 0x2c).write(EIGHT_BITS_WITH_FIFO);
    register(UART + 0x30).write(0x301);
}

fn print(bytes: &[u8]) {
    const FULL: u32 = 1 << 5;
    for byte in bytes {
        while register(UART + 0x18).read() & FULL != 0 {}
        register(UART).write(u32::from(*byte));
    }
}

fn start_watchdog() {
    register(WATCHDOG_LOAD).write(WATCHDOG);
    register(WATCHDOG_LOAD + 8).write(0b11);
}
