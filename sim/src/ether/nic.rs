//! A network card: frames that came, and frames to go.

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
    /// How often it refuses the next frame after each.
    slowness: u32,
    /// How often it still does.
    busy: u32,
    mtu: usize,
}

impl Nic {
    /// A card for frames of at most `mtu` bytes (with the Ethernet header), which is busy with each until it was asked `slowness` times.
    pub fn new(mtu: usize, slowness: u32) -> Self {
        Self {
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            slowness,
            busy: 0,
            mtu,
        }
    }

    fn room(&mut self) -> Room<'_> {
        Room {
            sent: &mut self.sent,
            busy: &mut self.busy,
            slowness: self.slowness,
        }
    }
}

/// A frame that came.
pub struct Arrived(Vec<u8>);

/// Room for a frame.
pub struct Room<'a> {
    sent: &'a mut VecDeque<Vec<u8>>,
    busy: &'a mut u32,
    slowness: u32,
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.sent.push_back(frame);
        *self.busy = self.slowness;
        result
    }
}

impl Device for Nic {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Room<'_>)> {
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), self.room()))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        if self.busy > 0 {
            self.busy -= 1;
            return None;
        }
        Some(self.room())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}
