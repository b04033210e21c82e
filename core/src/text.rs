//! Short strings stored in place: names, masks and the like must live in tables without a heap.

use core::{fmt, ops::Deref};

/// The integer that counts a [`Text`]'s bytes.
pub trait Length: Copy + Default + Into<usize> {
    /// Its largest value.
    const MAX: usize;
    /// A length of at most `MAX`.
    fn of(len: usize) -> Self;
}

impl Length for u8 {
    const MAX: usize = u8::MAX as usize;

    fn of(len: usize) -> Self {
        len as Self
    }
}

impl Length for u16 {
    const MAX: usize = u16::MAX as usize;

    fn of(len: usize) -> Self {
        len as Self
    }
}

/// A string of at most `N` bytes of UTF-8. `L` is `u8` up to 255 bytes and `u16` beyond.
#[derive(Clone, Copy)]
pub struct Text<const N: usize, L: Length = u8> {
    len: L,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// The empty string.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; N],
    };
}

impl<const N: usize, L: Length> Text<N, L> {
    /// The whole string, or `None` when it is longer than `N` bytes.
    pub fn new(text: &str) -> Option<Self> {
        let mut new = Self::default();
        new.push_str(text).then_some(new)
    }

    /// As much of the string as fits in `N` bytes, cut between characters.
    pub fn truncated(text: &str) -> Self {
        let mut new = Self::default();
        new.set(text);
        new
    }

    /// Becomes as much of the string as fits in `N` bytes, cut between characters.
    pub fn set(&mut self, text: &str) {
        self.clear();
        self.push_str(start(text, N));
    }

    /// Appends all of `text`, or nothing (and answers false) when it does not fit.
    pub fn push_str(&mut self, text: &str) -> bool {
        const { assert!(N <= L::MAX, "a Text this long needs a wider length") };
        match append(&mut self.bytes, self.len.into(), text) {
            Some(len) => {
                self.len = L::of(len);
                true
            }
            None => false,
        }
    }

    /// Its bytes: cheaper than the `str`, whose UTF-8 is checked anew.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        checked(&self.bytes, self.len.into())
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.len = L::default();
    }

    /// Lower-cases its ASCII letters (`CASEMAPPING=ascii`).
    pub fn make_ascii_lowercase(&mut self) {
        self.bytes.make_ascii_lowercase();
    }
}

impl<const N: usize, L: Length> Default for Text<N, L> {
    fn default() -> Self {
        Self {
            len: L::default(),
            bytes: [0; N],
        }
    }
}

impl<const N: usize, L: Length> Deref for Text<N, L> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize, L: Length> AsRef<str> for Text<N, L> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize, L: Length> PartialEq for Text<N, L> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize, L: Length> Eq for Text<N, L> {}

impl<const N: usize, L: Length> PartialEq<str> for Text<N, L> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize, L: Length> PartialEq<&str> for Text<N, L> {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize, L: Length> fmt::Debug for Text<N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize, L: Length> fmt::Display for Text<N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// Fails when a piece does not fit; the pieces before it stay.
impl<const N: usize, L: Length> fmt::Write for Text<N, L> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.push_str(piece) {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

// Once for all lengths.

/// As much of a string as fits in `max` bytes, cut between characters.
pub(crate) fn start(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
}

/// The first `len` bytes as a string.
fn checked(bytes: &[u8], len: usize) -> &str {
    bytes
        .get(..len)
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Copies a string behind the first `len` bytes; their length together, or `None` when it does not fit.
fn append(bytes: &mut [u8], len: usize, text: &str) -> Option<usize> {
    let end = len.checked_add(text.len())?;
    bytes.get_mut(len..end)?.copy_from_slice(text.as_bytes());
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn is_no_larger_than_its_parts() {
        assert_eq!(size_of::<Text<23>>(), 24);
        assert_eq!(size_of::<Text<300, u16>>(), 302);
    }

    #[test]
    fn refuses_or_cuts_what_is_too_long() {
        assert_eq!(Text::<3>::new("abc").unwrap(), "abc");
        assert_eq!(Text::<3>::new("abcd"), None);
        assert_eq!(Text::<3>::truncated("abcd"), "abc");
        assert_eq!(Text::<4>::truncated("中文"), "中");
        assert_eq!(Text::<0>::truncated("x"), "");
        assert_eq!(Text::<300, u16>::truncated(&"x".repeat(400)).len(), 300);
    }

    #[test]
    fn writes_until_full() {
        let mut text = Text::<5>::default();
        assert!(write!(text, "{}-{}", 12, 3).is_ok());
        assert_eq!(text, "12-3");
        assert!(text.write_str("ab").is_err());
        assert_eq!(text, "12-3");
        text.clear();
        assert!(text.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn truncated_is_the_longest_prefix_that_fits(text: String) {
            let cut = Text::<10>::truncated(&text);
            proptest::prop_assert!(text.starts_with(cut.as_str()));
            let rest = &text[cut.len()..];
            if let Some(next) = rest.chars().next() {
                proptest::prop_assert!(cut.len() + next.len_utf8() > 10);
            }
        }
    }
}
