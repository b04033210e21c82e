//! Everything the world leaves to chance comes from here, so that a seed decides it all.

use oorandom::Rand64;

/// A seeded source of decisions.
#[derive(Clone, Debug)]
pub struct Draw(Rand64);

impl Draw {
    /// A source that the seed and a stream number decide.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(Rand64::new((u128::from(stream) << 64) | u128::from(seed)))
    }

    /// Another source, decided by this one.
    pub fn fork(&mut self) -> Self {
        let (high, low) = (self.0.rand_u64(), self.0.rand_u64());
        Self(Rand64::new((u128::from(high) << 64) | u128::from(low)))
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        self.0.rand_range(0..bound)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// As [`Self::between`], for sizes.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.between(low as u64, high as u64) as usize
    }

    /// True that many times in a thousand.
    pub fn chance(&mut self, per_mille: u16) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.rand_u64() as u8;
        }
    }
}
