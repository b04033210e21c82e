//! The text form of a verifier, RFC 5803: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.
//!
//! With it one registers without ever sending the password, and it moves accounts between servers.

use core::fmt;

use super::wire::{self, Writer};
use super::{ITERATIONS_MAX, ITERATIONS_MIN};
use crate::store::Verifier;

/// Longest text form, bytes: the scheme, ten digits, a salt, two keys, separators.
pub const TEXT_MAX: usize = 13 + 1 + 10 + 1 + 24 + 1 + 44 + 1 + 44;
const SCHEME: &str = "SCRAM-SHA-256";

/// The text form of a verifier.
pub type Text = heapless::String<TEXT_MAX>;

/// Why a text is no verifier this server takes. Its text is for the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifierError {
    /// Another scheme than SCRAM-SHA-256, or none: most likely a plain password.
    Scheme,
    /// Its parts are not where they should be.
    Form,
    /// The rounds are no number, or outside [`ITERATIONS_MIN`]`..=`[`ITERATIONS_MAX`].
    Iterations,
    /// The salt is not base64 of 16 bytes.
    Salt,
    /// A key is not base64 of 32 bytes.
    Key,
}

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "The verifier does not begin with {SCHEME}$"),
            Self::Form => write!(
                f,
                "The verifier does not have the form {SCHEME}$<iterations>:<salt>$<StoredKey>:<ServerKey>"
            ),
            Self::Iterations => write!(
                f,
                "The verifier's iterations must be a number from {ITERATIONS_MIN} to {ITERATIONS_MAX}"
            ),
            Self::Salt => f.write_str("The verifier's salt must be base64 of 16 bytes"),
            Self::Key => f.write_str("The verifier's keys must be base64 of 32 bytes each"),
        }
    }
}

impl core::error::Error for VerifierError {}

impl Verifier {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, VerifierError> {
        let rest = text
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix('$'))
            .ok_or(VerifierError::Scheme)?;
        let (info, keys) = rest.split_once('$').ok_or(VerifierError::Form)?;
        let (iterations, salt) = info.split_once(':').ok_or(VerifierError::Form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError::Form)?;
        let key = |text: &str| wire::base64_exact(text.as_bytes()).ok_or(VerifierError::Key);
        Ok(Self {
            iterations: wire::iterations(iterations.as_bytes())
                .filter(|iterations| wire::iterations_allowed(*iterations))
                .ok_or(VerifierError::Iterations)?,
            salt: wire::base64_exact(salt.as_bytes()).ok_or(VerifierError::Salt)?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// The text form.
    pub fn to_text(&self) -> Text {
        let mut buffer = [0; TEXT_MAX];
        let mut writer = Writer::new(&mut buffer);
        writer
            .bytes(SCHEME.as_bytes())
            .bytes(b"$")
            .number(self.iterations)
            .bytes(b":")
            .base64(&self.salt)
            .bytes(b"$")
            .base64(&self.stored_key)
            .bytes(b":")
            .base64(&self.server_key);
        let text = core::str::from_utf8(writer.written().unwrap_or_default()).unwrap_or_default();
        Text::try_from(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The verifier of RFC 7677's example (user `user`, password `pencil`), as PostgreSQL would also write it.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn reads_and_writes_the_example() {
        let verifier = Verifier::parse(PENCIL).unwrap();
        assert_eq!(verifier.iterations, 4096);
        assert_eq!(verifier.to_text(), PENCIL);
    }

    #[test]
    fn says_what_is_wrong() {
        for (from, to, error) in [
            ("SCRAM-SHA-256$", "", VerifierError::Scheme),
            ("SCRAM-SHA-256$", "SCRAM-SHA-1$", VerifierError::Scheme),
            (
                "SCRAM-SHA-256$",
                "SCRAM-SHA-256-PLUS$",
                VerifierError::Scheme,
            ),
            ("==$", "==", VerifierError::Form),
            ("4096:", "4096", VerifierError::Form),
            ("4qY=:", "4qY=", VerifierError::Form),
            ("4096", "4095", VerifierError::Iterations),
            ("4096", "1000001", VerifierError::Iterations),
            ("4096", "99999999999", VerifierError::Iterations),
            ("4096", "04096", VerifierError::Iterations),
            ("4096", "+4096", VerifierError::Iterations),
            ("4096", "", VerifierError::Iterations),
            ("W22Z", "", VerifierError::Salt),
            ("gQ==", "gQ", VerifierError::Salt),
            ("gQ==", "gR==", VerifierError::Salt),
            ("W22Z", "W2-Z", VerifierError::Salt),
            ("W22Z", "W22ZW22Z", VerifierError::Salt),
            ("WG5d", "", VerifierError::Key),
            ("l2dU=", "l2dU=\n", VerifierError::Key),
            ("l2dU=", "l2dU=:", VerifierError::Key),
            ("l2dU=", "", VerifierError::Key),
        ] {
            let text = PENCIL.replace(from, to);
            assert_ne!(text, PENCIL);
            assert_eq!(Verifier::parse(&text), Err(error), "{text}");
        }
        assert_eq!(Verifier::parse(""), Err(VerifierError::Scheme));
        assert!(VerifierError::Iterations.to_string().contains("4096"));
    }

    proptest! {
        #[test]
        fn round_trips(iterations in ITERATIONS_MIN..=ITERATIONS_MAX, salt: [u8; 16], stored_key: [u8; 32], server_key: [u8; 32]) {
            let verifier = Verifier { iterations, salt, stored_key, server_key };
            prop_assert_eq!(Verifier::parse(&verifier.to_text()), Ok(verifier));
        }

        #[test]
        fn the_longest_text_fits(iterations: u32) {
            let verifier = Verifier { iterations, ..Verifier::NONE };
            prop_assert!(verifier.to_text().ends_with("AAA="));
        }

        #[test]
        fn never_panics(text: String, tail in "SCRAM-SHA-256\\$[0-9$:A-Za-z+/=]{0,160}") {
            let _ = Verifier::parse(&text);
            if let Ok(verifier) = Verifier::parse(&tail) {
                let written = verifier.to_text();
                prop_assert_eq!(written.as_str(), tail.as_str());
            }
        }
    }
}
