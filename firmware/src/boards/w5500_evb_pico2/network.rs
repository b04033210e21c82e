//! The W5500 as a plain Ethernet interface: its socket 0 passes frames on as they are (MACRAW), and smoltcp does the rest. The W5500
//! data sheet describes the registers.

use embassy_rp::gpio::Output;
use embassy_rp::peripherals::SPI0;
use embassy_rp::spi::{self, Spi};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use static_cell::ConstStaticCell;
use w5500_ll::net::Eui48Addr;
use w5500_ll::spi::{AccessMode, vdm_header};
use w5500_ll::{
    BufferSize, Protocol, Registers, SOCKETS, Sn, SocketCommand, SocketInterrupt,
    SocketInterruptMask, SocketMode, SocketStatus, VERSION,
};

use super::CORE_HZ;

/// Bytes of the longest frame, without its check sum.
const FRAME: usize = 14 + 1500;
/// The one socket of the W5500 that can pass frames on.
const RAW: Sn = Sn::Sn0;

static BUFFERS: ConstStaticCell<[[u8; FRAME]; 2]> = ConstStaticCell::new([[0; FRAME]; 2]);

/// The W5500's registers and buffers over SPI.
struct Chip {
    spi: Spi<'static, SPI0, spi::Blocking>,
    select: Output<'static>,
}

impl Registers for Chip {
    type Error = spi::Error;

    fn read(&mut self, address: u16, block: u8, data: &mut [u8]) -> Result<(), spi::Error> {
        let header = vdm_header(address, block, AccessMode::Read);
        self.select.set_low();
        let done = self.spi.blocking_write(&header);
        let done = done.and_then(|()| self.spi.blocking_read(data));
        self.select.set_high();
        done
    }

    fn write(&mut self, address: u16, block: u8, data: &[u8]) -> Result<(), spi::Error> {
        let header = vdm_header(address, block, AccessMode::Write);
        self.select.set_low();
        let done = self.spi.blocking_write(&header);
        let done = done.and_then(|()| self.spi.blocking_write(data));
        self.select.set_high();
        done
    }
}

/// What SPI gives. It cannot fail: there is no kind of [`spi::Error`].
fn sure<T>(result: Result<T, spi::Error>) -> T {
    result.unwrap_or_else(|_| defmt::panic!("SPI"))
}

impl Chip {
    /// Gives a command and waits until it is taken.
    fn command(&mut self, command: SocketCommand) {
        sure(self.set_sn_cr(RAW, command));
        while sure(self.sn_cr(RAW)) != 0 {}
    }

    /// (Re)opens the socket, with empty buffers.
    fn open(&mut self) {
        self.command(SocketCommand::Close);
        // No filter of addresses: the chip's own would keep multicast out as well, and a switch sends hardly anything that is not for
        // this board. smoltcp drops the rest.
        let mode = SocketMode::DEFAULT.set_protocol(Protocol::Macraw);
        sure(self.set_sn_mr(RAW, mode));
        self.command(SocketCommand::Open);
        while sure(self.sn_sr(RAW)) != Ok(SocketStatus::Macraw) {}
    }

    /// Reads a counter that the chip may be changing between the two bytes: until it reads the same twice.
    fn counter(&mut self, read: fn(&mut Self, Sn) -> Result<u16, spi::Error>) -> u16 {
        let mut last = sure(read(self, RAW));
        loop {
            let next = sure(read(self, RAW));
            if next == last {
                return next;
            }
            last = next;
        }
    }

    fn has_room(&mut self) -> bool {
        usize::from(self.counter(Self::sn_tx_fsr)) >= FRAME
    }

    /// Reads the next frame that fits, if there is any. Gives its length.
    fn take(&mut self, frame: &mut [u8; FRAME]) -> Option<usize> {
        loop {
            let waiting = self.counter(Self::sn_rx_rsr);
            if waiting == 0 {
                return None;
            }
            let at = sure(self.sn_rx_rd(RAW));
            let mut header = [0; 2];
            sure(self.sn_rx_buf(RAW, at, &mut header));
            // It counts itself.
            let length = u16::from_be_bytes(header);
            if length < 2 || length > waiting {
                // That is no frame's beginning: begin afresh.
                self.open();
                return None;
            }
            let frame = frame.get_mut(..usize::from(length) - 2);
            let taken = frame.map(|frame| {
                sure(self.sn_rx_buf(RAW, at.wrapping_add(2), frame));
                frame.len()
            });
            sure(self.set_sn_rx_rd(RAW, at.wrapping_add(length)));
            self.command(SocketCommand::Recv);
            if taken.is_some() {
                return taken;
            }
        }
    }

    fn send(&mut self, frame: &[u8]) {
        let at = sure(self.sn_tx_wr(RAW));
        sure(self.set_sn_tx_buf(RAW, at, frame));
        sure(self.set_sn_tx_wr(RAW, at.wrapping_add(frame.len() as u16)));
        self.command(SocketCommand::Send);
    }
}

/// The network interface.
pub struct Network {
    chip: Chip,
    rx: &'static mut [u8; FRAME],
    tx: &'static mut [u8; FRAME],
}

impl Network {
    /// Resets the W5500 and lets it receive. Panics if there is none.
    pub(super) fn start(
        spi: Spi<'static, SPI0, spi::Blocking>,
        select: Output<'static>,
        mut reset: Output<'static>,
        address: [u8; 6],
    ) -> Self {
        // At least half a millisecond, and one more until its clock is stable.
        reset.set_low();
        cortex_m::asm::delay(CORE_HZ / 1000);
        reset.set_high();
        cortex_m::asm::delay(CORE_HZ / 1000 * 2);
        // The pin stays as it is only while its driver is not dropped.
        core::mem::forget(reset);

        let mut chip = Chip { spi, select };
        let version = sure(chip.version());
        defmt::assert!(version == VERSION, "no W5500");
        sure(chip.set_shar(&Eui48Addr { octets: address }));
        // All of the buffers' 16 + 16 KiB is the one socket's.
        for socket in SOCKETS {
            let size = if socket == RAW {
                BufferSize::KB16
            } else {
                BufferSize::KB0
            };
            sure(chip.set_sn_rxbuf_size(socket, size));
            sure(chip.set_sn_txbuf_size(socket, size));
        }
        // Interrupts: received frames only.
        let interrupts = SocketInterruptMask::DEFAULT
            .mask_con()
            .mask_discon()
            .mask_timeout()
            .mask_sendok();
        sure(chip.set_sn_imr(RAW, interrupts));
        sure(chip.set_simr(RAW.bitmask()));
        chip.open();
        let [rx, tx] = BUFFERS.take();
        Self { chip, rx, tx }
    }
}

/// A frame that has come.
pub struct RxToken<'a>(&'a [u8]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to send.
pub struct TxToken<'a> {
    chip: &'a mut Chip,
    frame: &'a mut [u8; FRAME],
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let frame = &mut self.frame[..length];
        let result = f(frame);
        self.chip.send(frame);
        result
    }
}

impl phy::Device for Network {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let Self { chip, rx, tx } = self;
        // Acknowledged before looking: a frame that comes in between interrupts again.
        sure(chip.set_sn_ir(RAW, SocketInterrupt::RECV_MASK));
        if !chip.has_room() {
            return None;
        }
        let length = chip.take(rx)?;
        Some((RxToken(&rx[..length]), TxToken { chip, frame: tx }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let Self { chip, tx, .. } = self;
        chip.has_room().then_some(TxToken { chip, frame: tx })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}
