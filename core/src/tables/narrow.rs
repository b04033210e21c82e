//! Numbers as narrow as a table may keep them. A slot is in several lists and names several others, and there are hundreds of slots:
//! on a board with 64 KiB these numbers are most of what they cost. With the feature `small` a table has no more than 254 slots.

#[cfg(feature = "small")]
mod width {
    pub type Slot = u8;
    pub type Generation = u16;
    pub type Tally = u16;
    pub const COUNT: usize = 5;
    pub const TIME: usize = 6;
    pub const OFFSET: usize = 2;
}

#[cfg(not(feature = "small"))]
mod width {
    pub type Slot = u32;
    pub type Generation = u32;
    pub type Tally = u32;
    pub const COUNT: usize = 8;
    pub const TIME: usize = 8;
    pub const OFFSET: usize = 4;
}

use crate::id::Seq;

/// How often a slot was used, modulo its width.
pub(crate) type Generation = width::Generation;

/// A count of slots.
pub(crate) type Tally = width::Tally;

/// Most slots of a table: the two highest numbers mean "none" and "not in the list".
pub const SLOTS_MAX: usize = width::Slot::MAX as usize - 1;

/// Number of a slot, or [`NIL`](super::NIL), or one less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Short(width::Slot);

impl Short {
    pub(crate) const NIL: Self = Self::new(super::NIL);

    #[inline]
    pub(crate) const fn new(slot: u32) -> Self {
        Self(slot as width::Slot)
    }

    #[inline]
    #[allow(clippy::unnecessary_cast, reason = "of the narrow width it is one")]
    pub(crate) const fn get(self) -> u32 {
        // The two highest numbers stay the two highest.
        (self.0.wrapping_add(2) as u32).wrapping_sub(2)
    }
}

impl core::fmt::Debug for Short {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

/// A number of `N` bytes, without alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed<const N: usize>([u8; N]);

/// Places in a channel, positions in a ring, changes of presence, milliseconds since the start: 2^40 last a board for decades.
pub(crate) type Count = Packed<{ width::COUNT }>;
/// Unix time in milliseconds.
pub(crate) type Time = Packed<{ width::TIME }>;
/// Places in a block of bytes.
pub(crate) type Offset = Packed<{ width::OFFSET }>;

impl<const N: usize> Packed<N> {
    pub(crate) const ZERO: Self = Self([0; N]);

    /// Keeps the lowest bytes of a number. One that needs more becomes the highest there is.
    #[inline]
    pub(crate) fn new(value: u64) -> Self {
        let mut short = [0xff; N];
        if N == 8 || value >> (8 * N) == 0 {
            short.copy_from_slice(&value.to_le_bytes()[..N]);
        }
        Self(short)
    }

    #[inline]
    pub(crate) fn get(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.0);
        u64::from_le_bytes(bytes)
    }
}

impl Count {
    /// As a place in a channel.
    #[inline]
    pub(crate) fn seq(self) -> Seq {
        Seq(self.get())
    }
}

impl From<Seq> for Count {
    fn from(seq: Seq) -> Self {
        Self::new(seq.0)
    }
}

/// A place near another one: a small server keeps two bytes of it, for it is never 32,768 places away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Near(Packed<{ if cfg!(feature = "small") { 2 } else { 8 } }>);

impl Near {
    /// How far away it may be.
    pub(crate) const REACH: u64 = if cfg!(feature = "small") {
        1 << 14
    } else {
        1 << 62
    };

    #[inline]
    pub(crate) fn new(seq: Seq) -> Self {
        Self(Packed::new(if cfg!(feature = "small") {
            seq.0 & 0xffff
        } else {
            seq.0
        }))
    }

    #[inline]
    pub(crate) fn seq(self, near: Seq) -> Seq {
        if cfg!(feature = "small") {
            let ahead = (self.0.get() as u16).wrapping_sub(near.0 as u16) as i16;
            Seq(near.0.saturating_add_signed(ahead.into()))
        } else {
            Seq(self.0.get())
        }
    }
}

impl<const N: usize> Default for Packed<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const N: usize> core::fmt::Debug for Packed<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::NIL;

    #[test]
    fn slots_keep_their_number() {
        for slot in [0, 1, 127, 128, SLOTS_MAX as u32 - 1, NIL, NIL - 1] {
            assert_eq!(Short::new(slot).get(), slot);
        }
    }

    #[test]
    fn near_places_are_found_again() {
        for (seq, near) in [(0, 0), (5, 9), (9, 5), (70_000, 65_530), (65_530, 70_000)] {
            assert_eq!(Near::new(Seq(seq)).seq(Seq(near)), Seq(seq));
        }
    }

    #[test]
    fn numbers_are_kept_or_the_highest() {
        for value in [0, 1, 255, 256, (1 << 40) - 1] {
            assert_eq!(Packed::<5>::new(value).get(), value);
        }
        assert_eq!(Packed::<5>::new(1 << 40).get(), (1 << 40) - 1);
        assert_eq!(Packed::<8>::new(u64::MAX).get(), u64::MAX);
    }
}
