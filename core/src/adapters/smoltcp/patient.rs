//! A device that takes its time instead of refusing a frame.

use smoltcp::phy::{Device, DeviceCapabilities};
use smoltcp::time::Instant;

/// How often a device is asked: on a board of 50 MHz about the time that two long frames take at 10 Mbit/s.
const TRIES: usize = 10_000;

/// smoltcp 0.14 forgets a fast retransmission that the device refuses, and stops its retransmission timer. The stream then stalls, and a
/// keep-alive even puts a byte of rubbish into the gap that the peer waits to see filled. Chips that hold one frame refuse all the time.
pub(super) struct Patient<'d, D: ?Sized>(pub &'d mut D);

impl<D: Device + ?Sized> Device for Patient<'_, D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.0.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        for _ in 0..TRIES {
            if self.0.transmit(now).is_some() {
                break;
            }
        }
        self.0.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.capabilities()
    }
}
