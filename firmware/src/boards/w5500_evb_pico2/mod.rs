//! WIZnet's W5500-EVB-Pico2: an RP2350 (of it one Cortex-M33, at 150 MHz) with 2 MiB of flash, and a W5500 for Ethernet on SPI 0.
//! Built, but never run on the board. embassy-rp is its HAL; the RP2350 data sheet describes what is done by registers here. The log
//! comes out of GP0 at 115,200 bits a second.

mod flash;
mod network;

use cortex_m::peripheral::NVIC;
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::pac::{self, Interrupt};
use embassy_rp::peripherals::TRNG;
use embassy_rp::spi::{self, Spi};
use embassy_rp::trng::{self, Trng};
use embassy_rp::uart::{self, UartTx};
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{bind_interrupts, otp};
use embassy_time::Duration;
use sha2::{Digest, Sha256};

use super::Board;
use crate::{clock, log};
pub use flash::Flash;
pub use network::Network;

/// What the HAL makes of the crystal.
const CORE_HZ: u32 = 150_000_000;
/// The crystal, by which peripherals that count time are clocked.
const CRYSTAL_MHZ: u32 = 12;
/// What the W5500 promises to keep up with, in bits a second.
const SPI_HZ: u32 = 33_300_000;
/// How long the watchdog waits to be fed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The W5500's interrupt comes in by this pin, low when there is something.
const INTERRUPT_PIN: usize = 21;

bind_interrupts!(
    /// The HAL wants this for [`Trng`], which is used without interrupts.
    struct Unused {
        TRNG_IRQ => trng::InterruptHandler<TRNG>;
    }
);

/// The board.
pub struct W5500EvbPico2 {
    random: Trng<'static, TRNG>,
    watchdog: Watchdog,
}

impl Board for W5500EvbPico2 {
    const NAME: &'static str = "w5500-evb-pico2";

    type Network = Network;
    type Storage = Flash;

    fn start() -> (Self, Network, Flash) {
        // It only fails on other chips.
        let _ = embassy_rp::install_core0_stack_guard();
        let core = cortex_m::Peripherals::take().unwrap_or_else(|| panic!("started twice"));
        let chip = embassy_rp::init(Default::default());
        // The HAL has handlers for these; here interrupts only end a sleep.
        NVIC::mask(Interrupt::IO_IRQ_BANK0);
        // The default is 115,200 bits a second, eight bits, no parity. The UART goes on without its driver.
        let _ = UartTx::new_blocking(chip.UART0, chip.PIN_0, uart::Config::default());
        log::start(print);
        // SysTick by the microsecond: at the core's speed a period would be over while a sector is erased, and time be lost.
        pac::TICKS
            .proc0_cycles()
            .write(|divider| divider.0 = CRYSTAL_MHZ);
        pac::TICKS
            .proc0_ctrl()
            .write(|control| control.set_enable(true));
        clock::start(core.SYST, 1_000_000, true);
        let mut board = Self {
            random: Trng::new(chip.TRNG, Unused, trng::Config::default()),
            watchdog: Watchdog::new(chip.WATCHDOG),
        };
        board.watchdog.start(PATIENCE);

        let mut config = spi::Config::default();
        config.frequency = SPI_HZ;
        let spi = Spi::new_blocking(chip.SPI0, chip.PIN_18, chip.PIN_19, chip.PIN_16, config);
        let select = Output::new(chip.PIN_17, Level::High);
        let reset = Output::new(chip.PIN_20, Level::High);
        let network = Network::start(spi, select, reset, board.hardware_address());
        // The pin stays as it is only while its driver is not dropped.
        core::mem::forget(Input::new(chip.PIN_21, Pull::Up));
        pac::IO_BANK0
            .int_proc(0)
            .inte(INTERRUPT_PIN / 8)
            .modify(|pins| pins.set_level_low(INTERRUPT_PIN % 8, true));
        let storage = Flash(embassy_rp::flash::Flash::new_blocking(chip.FLASH));
        (board, network, storage)
    }

    fn hardware_address(&self) -> [u8; 6] {
        // Neither the board nor the W5500 comes with one, but each RP2350 with a number of its own, drawn at random.
        let Ok(number) = otp::get_chipid() else {
            defmt::panic!("the chip's number cannot be read");
        };
        let [a, b, c, d, e, ..] = number.to_le_bytes();
        const LOCALLY_ADMINISTERED: u8 = 0x02;
        [LOCALLY_ADMINISTERED, a, b, c, d, e]
    }

    fn seed(&mut self) -> [u8; 32] {
        // More than is needed, as not every bit of the generator need be a surprise.
        let mut raw = [0; 96];
        self.random.blocking_fill_bytes(&mut raw);
        Sha256::digest(raw).into()
    }

    fn unix_ms(&mut self) -> Option<u64> {
        None
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn sleep(&mut self, until: u64) {
        clock::sleep(until, Interrupt::IO_IRQ_BANK0);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed(PATIENCE);
    }
}

fn print(bytes: &[u8]) {
    for byte in bytes {
        while pac::UART0.uartfr().read().txff() {}
        pac::UART0.uartdr().write(|word| word.set_data(*byte));
    }
}
