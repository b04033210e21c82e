//! Rates of attempts: a bounded table of token buckets.
//!
//! Each bucket is kept as one time, when it will be full again (GCRA, the form of ITU-T I.371); a bucket that is full needs no entry. Keys
//! are hashes with a secret seed, made by the caller from an account, an address or both, so nobody can aim at an entry.

use crate::config::Rate;
use crate::time::Instant;

/// Entries in which a key may lie.
const PROBES: usize = 8;

/// One bucket that is not full. A default one is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Throttle {
    /// When the bucket is full again, milliseconds of the caller's clock; past for a free entry.
    full_at: u64,
    /// Lower half of the key; the upper one chooses the place.
    tag: u32,
    /// Milliseconds before `full_at` at which the bucket is no longer empty.
    tolerance: u32,
}

const _: () = assert!(size_of::<Throttle>() == 16);

impl Throttle {
    fn is_free(&self, now: Instant) -> bool {
        self.full_at <= now.0
    }

    fn is_blocking(&self, now: Instant) -> bool {
        self.full_at.saturating_sub(now.0) > u64::from(self.tolerance)
    }
}

/// Milliseconds that one attempt costs.
fn cost(rate: Rate) -> u64 {
    u64::from(rate.every_ms.max(1))
}

/// Milliseconds a bucket may lack and still allow an attempt; `None` when there is no limit.
fn tolerance(rate: Rate) -> Option<u64> {
    let others = rate.burst.checked_sub(1)?;
    Some(u64::from(others) * cost(rate))
}

/// A table of buckets. When there is no place left, the bucket that is nearest to full is forgotten, one that still blocks last.
pub struct Throttles<'a> {
    entries: &'a mut [Throttle],
}

impl<'a> Throttles<'a> {
    /// A table over that memory. An empty one limits nothing.
    pub fn new(entries: &'a mut [Throttle]) -> Self {
        Self { entries }
    }

    /// Forgets everything, as after a change of the rates: a bucket is not to be full again only when a far slower rate had filled it.
    pub fn clear(&mut self) {
        self.entries.fill(Throttle::default());
    }

    /// Whether an attempt is allowed now; if not, in how many milliseconds (at least 1). It costs nothing: see [`Self::charge`].
    pub fn peek(&self, now: Instant, key: u64, rate: Rate) -> Result<(), u64> {
        let Some(tolerance) = tolerance(rate) else {
            return Ok(());
        };
        let lacking = self
            .find(now, key)
            .map_or(0, |entry| entry.full_at.saturating_sub(now.0));
        match lacking.saturating_sub(tolerance) {
            0 => Ok(()),
            wait => Err(wait),
        }
    }

    /// Takes an attempt from the bucket, also when it is empty: then the wait grows.
    pub fn charge(&mut self, now: Instant, key: u64, rate: Rate) {
        let Some(tolerance) = tolerance(rate) else {
            return;
        };
        if let Some(entry) = self.find_or_make(now, key) {
            entry.full_at = entry.full_at.max(now.0).saturating_add(cost(rate));
            entry.tolerance = u32::try_from(tolerance).unwrap_or(u32::MAX);
        }
    }

    /// Gives one attempt back, e.g. of a login that succeeded. A full bucket stays full.
    pub fn refund(&mut self, now: Instant, key: u64, rate: Rate) {
        if tolerance(rate).is_none() {
            return;
        }
        if let Some(index) = self.index(now, key)
            && let Some(entry) = self.entries.get_mut(index)
        {
            entry.full_at = entry.full_at.saturating_sub(cost(rate));
        }
    }

    /// [`Self::peek`], and if allowed [`Self::charge`].
    pub fn take(&mut self, now: Instant, key: u64, rate: Rate) -> Result<(), u64> {
        self.peek(now, key, rate)?;
        self.charge(now, key, rate);
        Ok(())
    }

    /// The places where a key may lie.
    fn places(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let length = self.entries.len();
        // Scales the key's upper half to the table's length without a division.
        let start = (((key >> 32) * length as u64) >> 32) as usize;
        (start..start + PROBES.min(length)).map(move |place| {
            if place < length {
                place
            } else {
                place - length
            }
        })
    }

    fn index(&self, now: Instant, key: u64) -> Option<usize> {
        self.places(key).find(|place| {
            self.entries
                .get(*place)
                .is_some_and(|entry| entry.tag == key as u32 && !entry.is_free(now))
        })
    }

    fn find(&self, now: Instant, key: u64) -> Option<&Throttle> {
        self.entries.get(self.index(now, key)?)
    }

    fn find_or_make(&mut self, now: Instant, key: u64) -> Option<&mut Throttle> {
        if let Some(index) = self.index(now, key) {
            return self.entries.get_mut(index);
        }
        // A free entry is one that has been full for a while, so it is the least of all.
        let place = self.places(key).min_by_key(|place| {
            self.entries
                .get(*place)
                .map(|entry| (entry.is_blocking(now), entry.full_at))
        })?;
        let entry = self.entries.get_mut(place)?;
        *entry = Throttle {
            tag: key as u32,
            ..Throttle::default()
        };
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every_ms: 100,
    };

    #[test]
    fn allows_a_burst_and_then_one_at_a_time() {
        let mut memory = [Throttle::default(); 16];
        let mut throttles = Throttles::new(&mut memory);
        let start = Instant(1_000_000);
        for _ in 0..3 {
            assert_eq!(throttles.take(start, 1, RATE), Ok(()));
        }
        assert_eq!(throttles.take(start, 1, RATE), Err(100));
        assert_eq!(throttles.take(start + 60, 1, RATE), Err(40));
        assert_eq!(throttles.take(start + 60, 2, RATE), Ok(()));
        assert_eq!(throttles.take(start + 100, 1, RATE), Ok(()));
        assert_eq!(throttles.take(start + 100, 1, RATE), Err(100));
        // Full again after as long as was charged, and never fuller.
        for _ in 0..3 {
            assert_eq!(throttles.take(start + 100_000, 1, RATE), Ok(()));
        }
        assert_eq!(throttles.peek(start + 100_000, 1, RATE), Err(100));
    }

    #[test]
    fn gives_back_but_not_more_than_was_taken() {
        let mut memory = [Throttle::default(); 16];
        let mut throttles = Throttles::new(&mut memory);
        let now = Instant(0);
        throttles.refund(now, 1, RATE);
        for _ in 0..3 {
            assert_eq!(throttles.take(now, 1, RATE), Ok(()));
        }
        throttles.refund(now, 1, RATE);
        assert_eq!(throttles.take(now, 1, RATE), Ok(()));
        assert_eq!(throttles.take(now, 1, RATE), Err(100));
        for _ in 0..9 {
            throttles.refund(now, 1, RATE);
        }
        for _ in 0..3 {
            assert_eq!(throttles.take(now, 1, RATE), Ok(()));
        }
        assert_eq!(throttles.take(now, 1, RATE), Err(100));
    }

    #[test]
    fn charges_without_leave_make_the_wait_grow() {
        let mut memory = [Throttle::default(); 16];
        let mut throttles = Throttles::new(&mut memory);
        for _ in 0..5 {
            throttles.charge(Instant(0), 1, RATE);
        }
        assert_eq!(throttles.peek(Instant(0), 1, RATE), Err(300));
    }

    #[test]
    fn no_limit_and_no_memory_limit_nothing() {
        let unlimited = Rate { burst: 0, ..RATE };
        let mut memory = [Throttle::default(); 2];
        let mut throttles = Throttles::new(&mut memory);
        for _ in 0..100 {
            assert_eq!(throttles.take(Instant(5), 1, unlimited), Ok(()));
        }
        throttles.refund(Instant(5), 1, unlimited);
        assert_eq!(memory, [Throttle::default(); 2]);

        let mut none = Throttles::new(&mut []);
        for _ in 0..100 {
            assert_eq!(none.take(Instant(5), 1, RATE), Ok(()));
        }
        none.refund(Instant(5), 1, RATE);
    }

    #[test]
    fn who_is_blocked_stays_so_while_strangers_flood_the_table() {
        let mut memory = [Throttle::default(); 20];
        let mut throttles = Throttles::new(&mut memory);
        let guilty = 0x1234_5678_9abc_def0;
        for _ in 0..3 {
            throttles.charge(Instant(0), guilty, RATE);
        }
        // Others who charge once with a slower rate: full again later, but not blocked.
        let slow = Rate {
            burst: 2,
            every_ms: 5_000,
        };
        for stranger in 1..10_000u64 {
            throttles.charge(
                Instant(0),
                stranger.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                slow,
            );
        }
        assert_eq!(throttles.peek(Instant(99), guilty, RATE), Err(1));
        assert_eq!(throttles.peek(Instant(100), guilty, RATE), Ok(()));
    }

    #[test]
    fn the_nearest_to_full_goes_first() {
        let mut memory = [Throttle::default(); 2];
        let mut throttles = Throttles::new(&mut memory);
        throttles.charge(Instant(0), 1, RATE);
        throttles.charge(Instant(0), 2, RATE);
        throttles.charge(Instant(0), 2, RATE);
        throttles.charge(Instant(0), 3, RATE);
        assert!(throttles.find(Instant(0), 1).is_none());
        assert!(throttles.find(Instant(0), 2).is_some());
        assert!(throttles.find(Instant(0), 3).is_some());
        // All block: one of them has to go, the one that would be let in first.
        for key in [2, 2, 3, 3] {
            throttles.charge(Instant(0), key, RATE);
        }
        throttles.charge(Instant(0), 4, RATE);
        assert!(throttles.find(Instant(0), 2).is_some());
        assert!(throttles.find(Instant(0), 3).is_none());
        assert!(throttles.find(Instant(0), 4).is_some());
    }

    #[test]
    fn extreme_numbers_do_no_harm() {
        let mut memory = [Throttle::default(); 3];
        let mut throttles = Throttles::new(&mut memory);
        let rate = Rate {
            burst: u16::MAX,
            every_ms: u32::MAX,
        };
        for key in [0, u64::MAX] {
            assert_eq!(throttles.take(Instant(0), key, rate), Ok(()));
            throttles.charge(Instant(u64::MAX - 1), key, rate);
            assert_eq!(throttles.peek(Instant(u64::MAX - 1), key, rate), Ok(()));
            throttles.refund(Instant(7), key, rate);
        }
        let none = Rate {
            burst: 1,
            every_ms: 0,
        };
        assert_eq!(throttles.take(Instant(0), 5, none), Ok(()));
        assert_eq!(throttles.take(Instant(0), 5, none), Err(1));
    }

    proptest! {
        /// Against a plain token bucket per key, in a table where every key has its place.
        #[test]
        fn behaves_as_token_buckets_do(steps in proptest::collection::vec((0u64..4, 0u64..250), 1..200)) {
            let mut memory = [Throttle::default(); 8];
            let mut throttles = Throttles::new(&mut memory);
            // Tokens in milliseconds' worth, and when they were counted.
            let mut model: HashMap<u64, (u64, u64)> = HashMap::new();
            let mut now = 10;
            for (key, pause) in steps {
                now += pause;
                let (tokens, at) = model.entry(key).or_insert((300, now));
                *tokens = (*tokens + now - *at).min(300);
                *at = now;
                let expected = if *tokens >= 100 {
                    *tokens -= 100;
                    Ok(())
                } else {
                    Err(100 - *tokens)
                };
                prop_assert_eq!(throttles.take(Instant(now), key, RATE), expected);
            }
        }
    }
}
