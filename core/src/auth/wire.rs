//! What SCRAM messages (RFC 5802 section 7) are made of: attributes between commas, numbers, base64, escaped names.

use base64ct::{Base64, Encoding};

use super::{ITERATIONS_MAX, ITERATIONS_MIN, Name};

/// Writes into a buffer from its start. What does not fit is dropped whole, and remembered.
pub(super) struct Writer<'a> {
    buffer: &'a mut [u8],
    used: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            used: 0,
            overflow: false,
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.used.saturating_add(bytes.len());
        match self.buffer.get_mut(self.used..end) {
            Some(place) if !self.overflow => {
                place.copy_from_slice(bytes);
                self.used = end;
            }
            _ => self.overflow = true,
        }
        self
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        let rest = self.buffer.get_mut(self.used..).unwrap_or_default();
        match Base64::encode(bytes, rest) {
            Ok(text) if !self.overflow => self.used += text.len(),
            _ => self.overflow = true,
        }
        self
    }

    pub(super) fn number(&mut self, number: u32) -> &mut Self {
        let (mut digits, mut rest, mut count) = ([b'0'; 10], number, 0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        self.bytes(digits.get(10 - count..).unwrap_or_default())
    }

    /// A `saslname`: `,` and `=` escaped.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        for byte in name.bytes() {
            match byte {
                b',' => self.bytes(b"=2C"),
                b'=' => self.bytes(b"=3D"),
                other => self.bytes(&[other]),
            };
        }
        self
    }

    /// What was written, unless something did not fit.
    pub(super) fn written(&self) -> Option<&[u8]> {
        if self.overflow {
            return None;
        }
        self.buffer.get(..self.used)
    }
}

/// Decodes strict base64 of exactly `N` bytes.
pub(super) fn base64_exact<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = Base64::decode(text, &mut bytes).ok()?.len();
    (length == N).then_some(bytes)
}

/// The value of an attribute `<letter>=<value>`.
pub(super) fn value(attribute: &[u8], letter: u8) -> Option<&[u8]> {
    match attribute {
        [first, b'=', value @ ..] if *first == letter => Some(value),
        _ => None,
    }
}

/// Whether it has the form of an attribute that may be ignored: a letter other than `m`, `=` and a value.
pub(super) fn is_optional(attribute: &[u8]) -> bool {
    matches!(attribute, [letter, b'=', _, ..] if letter.is_ascii_alphabetic() && *letter != b'm')
}

/// Whether it can be a nonce: printable ASCII, no comma, not empty.
pub(super) fn is_nonce(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b',')
}

/// Reads a number of rounds: decimal, no sign, no leading zero. `None` where it is none; it may be out of range.
pub(super) fn iterations(digits: &[u8]) -> Option<u32> {
    if !matches!(digits, [b'1'..=b'9', ..]) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Too many digits for 32 bits are a number all the same, only far too large.
    Some(
        core::str::from_utf8(digits)
            .ok()?
            .parse()
            .unwrap_or(u32::MAX),
    )
}

/// Whether so many rounds are accepted.
pub(super) fn iterations_allowed(iterations: u32) -> bool {
    (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
}

/// Reads a `saslname`. `None` for one that is empty, too long, badly escaped, no UTF-8, or holds a control character.
/// The caller has split at the commas.
pub(super) fn name(escaped: &[u8]) -> Option<Name> {
    let escaped = core::str::from_utf8(escaped).ok()?;
    let mut name = Name::new();
    let mut rest = escaped;
    while let Some((plain, escape)) = rest.split_once('=') {
        name.push_str(plain).ok()?;
        let (character, after) = match escape {
            _ if escape.starts_with("2C") => (',', escape.get(2..)?),
            _ if escape.starts_with("3D") => ('=', escape.get(2..)?),
            _ => return None,
        };
        name.push(character).ok()?;
        rest = after;
    }
    name.push_str(rest).ok()?;
    (!name.is_empty() && !name.chars().any(char::is_control)).then_some(name)
}
