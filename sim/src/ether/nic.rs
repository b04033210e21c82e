//! A network card: frames that came, and a few that wait to go.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Nic {
    /// Frames not looked at yet.
    pub arrived: VecDeque<Vec<u8>>,
    /// Frames on their way to the switch.
    pub sent: VecDeque<Vec<u8>>,
    /// How many of these there may be: like a small chip, it takes nothing in either while it cannot answer.
    depth: usize,
    mtu: usize,
}

impl Nic {
    /// A card that holds `depth` frames to be sent, each of at most `mtu` bytes (with the Ethernet header).
    pub fn new(depth: usize, mtu: usize) -> Self {
        Self {
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            depth,
            mtu,
        }
    }
}

/// A frame that came.
pub struct Arrived(Vec<u8>);

/// Room for a frame.
pub struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Nic {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Room<'_>)> {
        if self.sent.len() >= self.depth {
            return None;
        }
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.sent.len() < self.depth).then_some(Room(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}
