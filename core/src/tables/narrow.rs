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
    fn numbers_are_kept_or_the_highest() {
        for value in [0, 1, 255, 256, (1 << 40) - 1] {
            assert_eq!(Packed::<5>::new(value).get(), value);
        }
        assert_eq!(Packed::<5>::new(1 << 40).get(), (1 << 40) - 1);
        assert_eq!(Packed::<8>::new(u64::MAX).get(), u64::MAX);
    }
}
