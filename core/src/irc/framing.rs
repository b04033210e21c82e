//! Finds lines in what arrives. A line ends with LF, before which one CR is dropped.
//!
//! A line longer than the limit is never kept nor cut: the caller answers 417 once, and takes its bytes out of the stream with
//! [`skip`] up to its end, however late that comes. So a peer that never sends an end of line costs no memory.

use super::message::{BODY_MAX, TAGS_MAX};

/// Longest line of a client with its tags and CR LF, bytes.
pub const LINE_MAX: usize = 1 + TAGS_MAX + 1 + BODY_MAX + 2;

/// What is in front of the bytes that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan<'a> {
    /// A line.
    Line {
        /// Without its CR LF.
        line: &'a [u8],
        /// How many bytes to take out, with its CR LF.
        used: usize,
    },
    /// Not yet a whole line.
    More,
    /// A line longer than the limit: answer 417, then [`skip`] from here on.
    TooLong,
}

/// Looks for a line of at most `limit` bytes with its end of line.
pub fn scan(bytes: &[u8], limit: usize) -> Scan<'_> {
    let window = bytes.get(..limit).unwrap_or(bytes);
    match window.iter().position(|&b| b == b'\n') {
        Some(end) => {
            let line = window.get(..end).unwrap_or_default();
            Scan::Line {
                line: line.strip_suffix(b"\r").unwrap_or(line),
                used: end + 1,
            }
        }
        None if bytes.len() >= limit => Scan::TooLong,
        None => Scan::More,
    }
}

/// How many bytes of a line that is too long to take out, and whether that was all of it.
pub fn skip(bytes: &[u8]) -> (usize, bool) {
    match bytes.iter().position(|&b| b == b'\n') {
        Some(end) => (end + 1, true),
        None => (bytes.len(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |line, used| Scan::Line { line, used };
        assert_eq!(scan(b"ab\r\ncd", 512), line(&b"ab"[..], 4));
        assert_eq!(scan(b"ab\ncd\n", 512), line(&b"ab"[..], 3));
        assert_eq!(scan(b"\n", 512), line(&b""[..], 1));
        assert_eq!(scan(b"\r\r\n", 512), line(&b"\r"[..], 3));
        assert_eq!(scan(b"", 512), Scan::More);
        assert_eq!(scan(b"ab\r", 512), Scan::More);
    }

    #[test]
    fn limit() {
        assert!(matches!(scan(b"ab\r\n", 4), Scan::Line { .. }));
        assert_eq!(scan(b"abc\r\n", 4), Scan::TooLong);
        assert_eq!(scan(b"abcd", 4), Scan::TooLong);
        assert_eq!(scan(b"abc", 4), Scan::More);
        assert_eq!(LINE_MAX, 4096 + 512);
        assert_eq!(skip(b"xyz"), (3, false));
        assert_eq!(skip(b"xy\nz"), (3, true));
    }

    proptest::proptest! {
        #[test]
        fn every_byte_belongs_to_one_line(stream in "[ab\r\n]{0,60}", limit in 1usize..12) {
            let mut rest = stream.as_bytes();
            let mut lines = Vec::new();
            loop {
                match scan(rest, limit) {
                    Scan::Line { line, used } => {
                        proptest::prop_assert!(used <= limit);
                        lines.push(line.len());
                        rest = &rest[used..];
                    }
                    Scan::TooLong => {
                        let (used, ended) = skip(rest);
                        proptest::prop_assert!(used >= limit);
                        if ended { lines.push(used); }
                        rest = &rest[used..];
                    }
                    Scan::More => break,
                }
            }
            proptest::prop_assert_eq!(lines.len(), stream.matches('\n').count());
            proptest::prop_assert!(!rest.contains(&b'\n'));
        }
    }
}
