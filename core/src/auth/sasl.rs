//! SASL on IRC (IRCv3 sasl): messages cut into chunks of 400 base64 characters, and the mechanism PLAIN (RFC 4616).

use core::fmt;

use base64ct::{Base64, Encoding};

use super::{NAME_MAX, PASSWORD_MAX};

/// Characters of a full chunk: another follows it.
pub const CHUNK: usize = 400;
/// Bytes that a full chunk carries.
const CHUNK_BYTES: usize = CHUNK / 4 * 3;

/// Why a chunk was refused. The message it belonged to is then forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkError {
    /// The chunk exceeds [`CHUNK`], or the message the buffer (numeric 905).
    TooLong,
    /// It is not base64.
    Malformed,
}

/// Puts the chunks of one AUTHENTICATE message together. The caller keeps the buffer and hands in the same one each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Assembler {
    /// Bytes in the buffer.
    used: u16,
    /// The base64 ended with padding: only an empty chunk may follow.
    ended: bool,
}

impl Assembler {
    /// Takes the next chunk; `+` is an empty one. Returns the length of the message in the buffer when this was its last chunk, and is
    /// then ready for the next message, as it is after an error.
    pub fn push(&mut self, buffer: &mut [u8], chunk: &str) -> Result<Option<usize>, ChunkError> {
        let before = core::mem::take(self);
        let used = usize::from(before.used);
        if chunk == "+" {
            return Ok(Some(used));
        }
        if chunk.len() > CHUNK {
            return Err(ChunkError::TooLong);
        }
        if chunk.is_empty() || before.ended {
            return Err(ChunkError::Malformed);
        }
        let mut bytes = [0; CHUNK_BYTES];
        let bytes = Base64::decode(chunk, &mut bytes).map_err(|_| ChunkError::Malformed)?;
        let end = used.saturating_add(bytes.len());
        buffer
            .get_mut(used..end)
            .ok_or(ChunkError::TooLong)?
            .copy_from_slice(bytes);
        if chunk.len() < CHUNK {
            return Ok(Some(end));
        }
        *self = Self {
            used: u16::try_from(end).map_err(|_| ChunkError::TooLong)?,
            ended: bytes.len() < CHUNK_BYTES,
        };
        Ok(None)
    }

    /// Whether chunks of a message have arrived and its end has not.
    pub fn is_partial(&self) -> bool {
        *self != Self::default()
    }
}

/// Cuts a message in base64 into the parameters of its AUTHENTICATE lines.
pub fn chunks(base64: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(base64);
    core::iter::from_fn(move || {
        let text = rest.take()?;
        match text.split_at_checked(CHUNK) {
            Some((chunk, after)) => {
                rest = Some(after);
                Some(chunk)
            }
            None if text.is_empty() => Some("+"),
            None => Some(text),
        }
    })
}

/// A PLAIN message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Account name, not folded, otherwise unchecked; 1 to [`NAME_MAX`] bytes.
    pub name: &'a str,
    /// Password, 1 to [`PASSWORD_MAX`] bytes.
    pub password: &'a str,
}

/// Never the password.
impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a PLAIN message was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlainError {
    /// It is not three UTF-8 strings between NULs.
    Malformed,
    /// The name or the password is empty.
    Empty,
    /// The name or the password is too long to be anybody's.
    TooLong,
    /// The identity to act as is another than the one that logs in.
    Identity,
}

impl fmt::Display for PlainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "Your client sent a PLAIN message that is not a name and a password",
            Self::Empty => "The name or the password is empty",
            Self::TooLong => "The name or the password is too long to be anybody's",
            Self::Identity => {
                "Nobody can log in as one account and act as another; leave the authorization identity empty"
            }
        })
    }
}

impl core::error::Error for PlainError {}

impl<'a> Plain<'a> {
    /// Longest message, bytes: what an [`Assembler`]'s buffer needs to hold.
    pub const MAX: usize = NAME_MAX + 1 + NAME_MAX + 1 + PASSWORD_MAX;

    /// Reads `authzid NUL authcid NUL password`.
    pub fn parse(message: &'a [u8]) -> Result<Self, PlainError> {
        let message = core::str::from_utf8(message).map_err(|_| PlainError::Malformed)?;
        let (identity, rest) = message.split_once('\0').ok_or(PlainError::Malformed)?;
        let (name, password) = rest.split_once('\0').ok_or(PlainError::Malformed)?;
        if password.contains('\0') {
            return Err(PlainError::Malformed);
        }
        if name.is_empty() || password.is_empty() {
            return Err(PlainError::Empty);
        }
        if name.len() > NAME_MAX || password.len() > PASSWORD_MAX {
            return Err(PlainError::TooLong);
        }
        if !identity.is_empty() && !identity.eq_ignore_ascii_case(name) {
            return Err(PlainError::Identity);
        }
        Ok(Self { name, password })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_reads_what_it_should() {
        let plain = |bytes: &'static [u8]| Plain::parse(bytes).map(|p| (p.name, p.password));
        assert_eq!(
            plain(b"\0tim\0tanstaaftanstaaf"),
            Ok(("tim", "tanstaaftanstaaf"))
        );
        assert_eq!(plain(b"Tim\0tim\0secret"), Ok(("tim", "secret")));
        assert_eq!(plain("\0tim\0密码".as_bytes()), Ok(("tim", "密码")));
        assert_eq!(plain(b"kurt\0tim\0secret"), Err(PlainError::Identity));
        assert_eq!(plain(b"\0\0secret"), Err(PlainError::Empty));
        assert_eq!(plain(b"tim\0\0secret"), Err(PlainError::Empty));
        assert_eq!(plain(b"\0tim\0"), Err(PlainError::Empty));
        for wrong in [
            b"" as &[u8],
            b"tim",
            b"\0tim",
            b"\0tim\0a\0b",
            b"\0tim\0\xff",
        ] {
            assert_eq!(Plain::parse(wrong), Err(PlainError::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn plain_is_bounded_and_hides_the_password() {
        let message = |name: usize, password: usize| {
            format!("{n}\0{n}\0{}", "p".repeat(password), n = "n".repeat(name))
        };
        let longest = message(NAME_MAX, PASSWORD_MAX);
        assert_eq!(longest.len(), Plain::MAX);
        let plain = Plain::parse(longest.as_bytes()).unwrap();
        assert!(!format!("{plain:?}").contains("ppp"));
        for (name, password) in [(NAME_MAX + 1, 1), (1, PASSWORD_MAX + 1)] {
            let message = message(name, password);
            assert_eq!(Plain::parse(message.as_bytes()), Err(PlainError::TooLong));
        }
    }

    #[test]
    fn chunks_of_exactly_400_wait_for_more() {
        let mut buffer = [0; 700];
        let mut assembler = Assembler::default();
        let full = "QUJD".repeat(100);
        assert_eq!(assembler.push(&mut buffer, &full), Ok(None));
        assert!(assembler.is_partial());
        assert_eq!(assembler.push(&mut buffer, &full), Ok(None));
        assert_eq!(assembler.push(&mut buffer, "QQ=="), Ok(Some(601)));
        assert_eq!(
            buffer[..601],
            *"ABC"
                .repeat(200)
                .into_bytes()
                .iter()
                .chain(b"A")
                .copied()
                .collect::<Vec<_>>()
        );
        assert!(!assembler.is_partial());

        // 299 bytes: padding at the end of a full chunk.
        let padded = format!("{}QUI=", "QUJD".repeat(99));
        assert_eq!(assembler.push(&mut buffer, &padded), Ok(None));
        assert_eq!(assembler.push(&mut buffer, "+"), Ok(Some(299)));
        assert_eq!(assembler.push(&mut buffer, &padded), Ok(None));
        assert_eq!(
            assembler.push(&mut buffer, "QUJD"),
            Err(ChunkError::Malformed)
        );
        assert_eq!(assembler.push(&mut buffer, "+"), Ok(Some(0)));
    }

    #[test]
    fn refuses_rubbish_and_too_much_and_starts_afresh() {
        let mut buffer = [0; 310];
        let mut assembler = Assembler::default();
        let full = "QUJD".repeat(100);
        for (chunk, error) in [
            (full.clone() + "Q", ChunkError::TooLong),
            (full.clone(), ChunkError::TooLong),
            (String::new(), ChunkError::Malformed),
            ("QQ".into(), ChunkError::Malformed),
            ("QUJ".into(), ChunkError::Malformed),
            ("QR==".into(), ChunkError::Malformed),
            ("Q===".into(), ChunkError::Malformed),
            ("====".into(), ChunkError::Malformed),
            ("QUJ-".into(), ChunkError::Malformed),
            ("QU D".into(), ChunkError::Malformed),
            ("QQ==QUJD".into(), ChunkError::Malformed),
            ("QUJDQUJDQUJDQUJD".into(), ChunkError::TooLong),
            ("é".into(), ChunkError::Malformed),
        ] {
            assert_eq!(assembler.push(&mut buffer, &full), Ok(None));
            assert_eq!(assembler.push(&mut buffer, &chunk), Err(error), "{chunk}");
            assert!(!assembler.is_partial());
        }
        assert_eq!(assembler.push(&mut [], "QUJD"), Err(ChunkError::TooLong));
        assert_eq!(assembler.push(&mut [], "+"), Ok(Some(0)));
    }

    proptest! {
        #[test]
        fn what_is_cut_comes_together(message in proptest::collection::vec(any::<u8>(), 0..1000)) {
            let mut text = vec![0; 2000];
            let text = Base64::encode(&message, &mut text).unwrap();
            let (mut buffer, mut assembler) = (vec![0; 1000], Assembler::default());
            let mut whole = None;
            for chunk in chunks(text) {
                prop_assert!(whole.is_none() && (1..=CHUNK).contains(&chunk.len()));
                whole = assembler.push(&mut buffer, chunk).unwrap();
            }
            prop_assert_eq!(&buffer[..whole.unwrap()], &message);
        }

        #[test]
        fn never_panics(chunks in proptest::collection::vec("([A-Za-z0-9+/]{4}){99,101}|[A-Za-z0-9+/=]{0,8}|\\PC{0,8}", 0..6), size in 0usize..700) {
            let (mut buffer, mut assembler) = (vec![0; size], Assembler::default());
            for chunk in chunks {
                if let Ok(Some(length)) = assembler.push(&mut buffer, &chunk) {
                    prop_assert!(length <= size);
                    let _ = Plain::parse(&buffer[..length]);
                }
            }
        }

        #[test]
        fn plain_never_panics(message in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..40)) {
            let _ = Plain::parse(&message);
        }
    }
}
