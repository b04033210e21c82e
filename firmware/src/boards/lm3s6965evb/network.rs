//! The Stellaris Ethernet MAC: frames go word by word through one register, from and to FIFOs.

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use static_cell::ConstStaticCell;

use super::super::mmio::Register;
use super::register;

/// Bytes of the longest frame, without its check sum: the 576 of IP that every host must accept, because RAM is dear and
/// connections have buffers of that order anyway. Longer frames, which no peer of a connection sends, are dropped.
const FRAME: usize = 14 + 576;
/// A frame with the two bytes of length before it and the four of check sum behind, in whole words.
const BUFFER: usize = (2 + FRAME + 4).next_multiple_of(4);

const MAC: usize = 0x4004_8000;

fn interrupt_status() -> Register {
    register(MAC)
}

const RECEIVED: u32 = 1;

fn data() -> Register {
    register(MAC + 0x10)
}

/// Frames that wait to be read.
fn waiting() -> Register {
    register(MAC + 0x34)
}

/// Reads as 1 while a frame is being sent; writing 1 sends.
fn request() -> Register {
    register(MAC + 0x38)
}

static BUFFERS: ConstStaticCell<[[u8; BUFFER]; 2]> = ConstStaticCell::new([[0; BUFFER]; 2]);

/// The network interface.
pub struct Network {
    rx: &'static mut [u8; BUFFER],
    tx: &'static mut [u8; BUFFER],
}

impl Network {
    /// Resets the FIFOs and lets the controller receive.
    pub(super) fn start(address: [u8; 6]) -> Self {
        let [rx, tx] = BUFFERS.take();
        let [a, b, c, d, e, f] = address;
        register(MAC + 0x14).write(u32::from_le_bytes([a, b, c, d]));
        register(MAC + 0x18).write(u32::from_le_bytes([e, f, 0, 0]));
        // Interrupts: received frames only.
        register(MAC + 0x04).write(RECEIVED);
        // Send with padding and check sum, full duplex; TXEN.
        register(MAC + 0x0c).write(0x17);
        // Receive, multicast too, without bad check sums, with an empty FIFO.
        const RECEIVE: u32 = 0b0_1011;
        const EMPTY_FIFO: u32 = 1 << 4;
        register(MAC + 0x08).write(RECEIVE | EMPTY_FIFO);
        register(MAC + 0x08).write(RECEIVE);
        Self { rx, tx }
    }
}

/// A frame that has come.
pub struct RxToken<'a>(&'a mut [u8; BUFFER]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let (words, _) = self.0.as_chunks_mut::<4>();
        words[0] = data().read().to_le_bytes();
        // The length counts itself and the check sum.
        let length = usize::from(u16::from_le_bytes([words[0][0], words[0][1]]));
        for at in 1..length.div_ceil(4) {
            // All of it must be taken, even if it does not fit.
            let word = data().read();
            if let Some(place) = words.get_mut(at) {
                *place = word.to_le_bytes();
            }
        }
        // Not at all rather than cut short.
        f(self.0.get(2..length.saturating_sub(4)).unwrap_or_default())
    }
}

/// Room for a frame to send.
pub struct TxToken<'a>(&'a mut [u8; BUFFER]);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let result = f(&mut self.0[2..2 + length]);
        // The length in front does not count the 14 bytes of header.
        self.0[..2].copy_from_slice(&(length as u16 - 14).to_le_bytes());
        let (words, _) = self.0.as_chunks::<4>();
        for word in &words[..(2 + length).div_ceil(4)] {
            data().write(u32::from_le_bytes(*word));
        }
        request().write(1);
        result
    }
}

impl phy::Device for Network {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        // Acknowledged before looking: a frame that comes in between interrupts again.
        interrupt_status().write(RECEIVED);
        (waiting().read() != 0 && request().read() == 0)
            .then_some((RxToken(self.rx), TxToken(self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        (request().read() == 0).then_some(TxToken(self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}
