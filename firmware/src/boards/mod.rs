//! What the server needs of a chip: the [`Board`] trait, and the boards that have it. docs/porting.md tells how to add one.

pub mod emcraft_sf2;
pub mod emulator;
pub mod lm3s6965evb;
mod mmio;
pub mod sd;
#[cfg(feature = "w5500-evb-pico2")]
pub mod w5500_evb_pico2;

use embedded_storage_async::nor_flash::NorFlash;
use smoltcp::phy::Device;

/// A board. One task runs on it, without interrupt handlers of its own: devices are polled, and an interrupt only ends a sleep.
pub trait Board: Sized {
    /// How people call it.
    const NAME: &'static str;

    /// Its network interface.
    type Network: Device;
    /// Its storage that keeps what it holds without power. Waits for it must yield, so that the network is served meanwhile.
    type Storage: NorFlash;

    /// Brings up clock, log, network interface and storage. Called once, first of all.
    fn start() -> (Self, Self::Network, Self::Storage);

    /// Its Ethernet address.
    fn hardware_address(&self) -> [u8; 6];

    /// All randomness there will be: unpredictable, and new at every start.
    fn seed(&mut self) -> [u8; 32];

    /// The wall clock in Unix milliseconds, if it has one.
    fn unix_ms(&mut self) -> Option<u64>;

    /// Microseconds since the start.
    fn now(&self) -> u64;

    /// Sleeps until `until` (of [`Self::now`]), or until the network interface has something to do. May return early.
    fn sleep(&mut self, until: u64);

    /// Tells the watchdog, if there is one, that all is well. Called at least once a second.
    fn feed_watchdog(&mut self);
}
