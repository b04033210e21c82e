//! Wall time that never goes backwards, without trusting the clock it is told.

use crate::time::Instant;

/// A jump of more than this is believed only when told again, consistently, later.
const WILD_MS: u64 = 3_600_000;
/// How much later.
const CONFIRM_MS: u64 = 30_000;
/// How far two tellings may differ and still be consistent.
const CONSISTENT_MS: u64 = 5_000;
/// How far ahead time stamps are reserved in the store.
pub(super) const RESERVE_MS: u64 = 3_600_000;
/// 2020-01-01: earlier is no wall clock.
const PLAUSIBLE: u64 = 1_577_836_800_000;

/// The wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Unix milliseconds at the `Instant` zero, as last believed.
    offset: Option<u64>,
    /// An unbelieved offset, and since when it is told.
    doubtful: Option<(u64, Instant)>,
    /// Never show less than this.
    floor: u64,
}

impl Clock {
    pub(super) fn set(&mut self, now: Instant, unix_ms: u64) {
        let offset = unix_ms.saturating_sub(now.0);
        if unix_ms < PLAUSIBLE {
            return;
        }
        match self.offset {
            Some(old) if old.abs_diff(offset) > WILD_MS => match self.doubtful {
                Some((told, since)) if told.abs_diff(offset) <= CONSISTENT_MS => {
                    if now - since >= CONFIRM_MS {
                        self.offset = Some(offset);
                        self.doubtful = None;
                    }
                }
                _ => self.doubtful = Some((offset, now)),
            },
            _ => {
                self.offset = Some(offset);
                self.doubtful = None;
            }
        }
    }

    /// Unix milliseconds now: what was told, or, without a clock, what was reserved before the restart and the time since.
    pub(super) fn unix(&mut self, now: Instant) -> u64 {
        let offset = self.offset.unwrap_or(PLAUSIBLE);
        let unix = offset.saturating_add(now.0);
        self.floor = self.floor.max(unix);
        self.floor
    }

    /// The store remembers that time stamps up to `reserved` may have been given. The last was given within [`RESERVE_MS`] before that:
    /// a clock that is not behind this is believed, else time goes on from there.
    pub(super) fn resume(&mut self, now: Instant, reserved: u64) {
        if self.unix(now).saturating_add(RESERVE_MS) < reserved {
            self.floor = reserved;
            self.offset = Some(reserved.saturating_sub(now.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;

    #[test]
    fn never_goes_back() {
        let mut clock = Clock::default();
        clock.set(Instant(10), T);
        assert_eq!(clock.unix(Instant(20)), T + 10);
        clock.set(Instant(30), T - 1_000);
        assert_eq!(clock.unix(Instant(30)), T + 10);
        assert_eq!(clock.unix(Instant(2_000)), T + 970);
    }

    #[test]
    fn doubts_wild_jumps_until_they_last() {
        let mut clock = Clock::default();
        clock.set(Instant(0), T);
        clock.set(Instant(1_000), T + 9_000_000);
        assert_eq!(clock.unix(Instant(1_000)), T + 1_000);
        clock.set(Instant(2_000), T + 2_000);
        clock.set(Instant(3_000), T + 9_000_000);
        clock.set(Instant(33_000), T + 9_030_000);
        assert_eq!(clock.unix(Instant(33_000)), T + 9_030_000);
    }

    #[test]
    fn goes_on_after_a_restart_without_a_clock() {
        let mut clock = Clock::default();
        clock.resume(Instant(5), T);
        assert_eq!(clock.unix(Instant(5)), T);
        assert_eq!(clock.unix(Instant(8)), T + 3);
    }

    #[test]
    fn trusts_a_good_clock_after_a_quick_restart() {
        let mut clock = Clock::default();
        clock.set(Instant(0), T);
        clock.resume(Instant(5), T + RESERVE_MS / 2);
        assert_eq!(clock.unix(Instant(5)), T + 5);
    }
}
