//! Simulated media for the store on flash: a NOR chip and a memory card that keep the rules of the real ones, count what is done to
//! them, and lose power in the middle of it.

mod card;
mod nor;

pub use card::Card;
pub use nor::Nor;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use soqet_core::adapters::blocks::Blocks;

use crate::draw::Draw;

/// The power is gone: nothing works until it is back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PowerLost;

impl NorFlashError for PowerLost {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// What was done to a medium.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Reads, and their bytes.
    pub reads: u64,
    /// See `reads`.
    pub read_bytes: u64,
    /// Writes, and their bytes.
    pub writes: u64,
    /// See `writes`.
    pub written_bytes: u64,
    /// Sectors erased.
    pub erases: u64,
}

impl Counts {
    /// What was done since.
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            read_bytes: self.read_bytes - earlier.read_bytes,
            writes: self.writes - earlier.writes,
            written_bytes: self.written_bytes - earlier.written_bytes,
            erases: self.erases - earlier.erases,
        }
    }
}

/// The power of a medium, and when it goes.
#[derive(Clone, Debug)]
pub struct Power {
    draw: Draw,
    /// Steps until it goes: bytes of a chip, blocks of a card; an erasure counts as one.
    left: Option<u64>,
    lost: bool,
    used: u64,
}

impl Power {
    fn new(draw: Draw) -> Self {
        Self {
            draw,
            left: None,
            lost: false,
            used: 0,
        }
    }

    /// How many of that many steps are done before the power goes.
    fn spend(&mut self, steps: u64) -> Result<u64, PowerLost> {
        if self.lost {
            return Err(PowerLost);
        }
        let done = match self.left {
            Some(left) if left < steps => {
                self.lost = true;
                left
            }
            _ => steps,
        };
        self.left = self.left.map(|left| left - done);
        self.used += done;
        Ok(done)
    }

    /// Lets it go after so many more steps.
    pub fn cut_after(&mut self, steps: u64) {
        self.left = Some(steps);
    }

    /// Brings it back for good.
    pub fn restore(&mut self) {
        self.left = None;
        self.lost = false;
    }

    /// Whether it is gone.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Steps taken so far.
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// A medium with power that can be cut.
pub trait Powered: NorFlash + Clone {
    /// Its power.
    fn power(&mut self) -> &mut Power;
}

impl<const WRITE: usize, const SECTOR: usize> Powered for Nor<WRITE, SECTOR> {
    fn power(&mut self) -> &mut Power {
        &mut self.power
    }
}

impl Powered for Blocks<Card> {
    fn power(&mut self) -> &mut Power {
        &mut self.device_mut().power
    }
}

/// The result of a future over simulated media, which never keep anybody waiting: it is polled until it is done.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
