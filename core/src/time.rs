//! Monotonic time as an argument. Wall time is plain `u64` Unix milliseconds.

use core::ops::{Add, Sub};

/// A point on the caller's monotonic clock, in milliseconds since any fixed moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Instant(pub u64);

impl Add<u64> for Instant {
    type Output = Self;

    /// That many milliseconds later.
    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Sub for Instant {
    type Output = u64;

    /// Milliseconds since `earlier`; zero when `earlier` is later.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
