//! A network cable with a board at one end and a test at the other: every frame is a datagram.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use super::Network;

/// Longer than any frame.
const FRAME: usize = 2048;

/// The test's end of a cable, as smoltcp takes it.
pub struct Cable {
    socket: UdpSocket,
    board: u16,
}

impl Cable {
    /// A cable, and what its other end is for the emulator.
    pub fn new() -> io::Result<(Self, Network)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let peer = socket.local_addr()?.port();
        // Free now; that another program takes it before QEMU does is unlikely, and would be told.
        let board = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok((Self { socket, board }, Network::Cable { board, peer }))
    }
}

/// A frame that came.
pub struct RxToken(Vec<u8>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame.
pub struct TxToken<'a>(&'a Cable);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        // Before QEMU runs nobody receives: lost, as on a cable that is not plugged in.
        let _ = self
            .0
            .socket
            .send_to(&frame, (Ipv4Addr::LOCALHOST, self.0.board));
        result
    }
}

impl Device for Cable {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    /// Waits a little for a frame, so that polling needs no sleep.
    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let mut frame = vec![0; FRAME];
        let length = self.socket.recv(&mut frame).ok()?;
        frame.truncate(length);
        Some((RxToken(frame), TxToken(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        Some(TxToken(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
