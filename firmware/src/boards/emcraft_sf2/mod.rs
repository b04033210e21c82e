//! Emcraft's SmartFusion2 kit as QEMU's `emcraft-sf2` emulates it: Cortex-M3 at 142 MHz, Ethernet with DMA, 16 MiB of SPI NOR
//! flash. Never run on silicon. UG0331 describes the registers.

mod flash;
mod network;

use cortex_m::interrupt::InterruptNumber;

use super::{Board, emulator, mmio::Register};
use crate::{clock, log};
pub use flash::Flash;
pub use network::Network;

/// SysTick's reference: the core's 142 MHz by 32.
const SYSTICK_HZ: u32 = 142_000_000 / 32;

/// The Ethernet controller's interrupt.
#[derive(Clone, Copy)]
struct Ethernet;

#[expect(unsafe_code, reason = "UG0331: EMAC_INT is number 12")]
unsafe impl InterruptNumber for Ethernet {
    fn number(self) -> u16 {
        12
    }
}

/// The board.
pub struct EmcraftSf2 {
    told: emulator::Told,
    /// Until when sleeps are short; see [`Board::sleep`].
    alert_until: u64,
}

impl Board for EmcraftSf2 {
    const NAME: &'static str = "emcraft-sf2";

    type Network = Network;
    type Storage = Flash;

    fn start() -> (Self, Network, Flash) {
        let core = cortex_m::Peripherals::take().unwrap_or_else(|| panic!("started twice"));
        log::start(print);
        clock::start(core.SYST, SYSTICK_HZ, true);
        let board = Self {
            told: emulator::take(),
            alert_until: 0,
        };
        let network = Network::start(board.hardware_address());
        (board, network, Flash::start())
    }

    fn hardware_address(&self) -> [u8; 6] {
        // Locally administered.
        *b"\x02soQet"
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

    // QEMU's user network looks at the host's sockets only when QEMU's main loop wakes up. Nothing this controller does wakes it,
    // but timers do: without one, what a new connection says first would wait for up to half a second.
    fn sleep(&mut self, until: u64) {
        let now = clock::now();
        let until = if now < self.alert_until {
            until.min(now + 1_000)
        } else {
            until
        };
        if clock::sleep(until, Ethernet) {
            self.alert_until = clock::now() + 20_000;
        }
    }

    // The emulator has no watchdog here.
    fn feed_watchdog(&mut self) {}
}

/// Writes to UART 0, a 16550.
fn print(bytes: &[u8]) {
    const EMPTY: u32 = 1 << 5;
    #[expect(
        unsafe_code,
        reason = "UG0331: MMUART_0's data and line status registers"
    )]
    let (data, status) = unsafe { (Register::at(0x4000_0000), Register::at(0x4000_0014)) };
    for byte in bytes {
        while status.read() & EMPTY == 0 {}
        data.write(u32::from(*byte));
    }
}
