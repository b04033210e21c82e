//! Login arithmetic: passwords, SCRAM-SHA-256 (both sides), PLAIN, and the rates that guessing is held to.
//!
//! Pure and stateless but for small values the caller keeps: nothing here knows accounts, connections or IRC lines. The server
//! stores a [`Verifier`] and never a password; an account that does not exist gets a [`fake_verifier`], so that to a stranger a
//! wrong name looks like a wrong password.

pub mod client;
pub mod derive;
mod hash;
pub mod sasl;
pub mod scram;
pub mod throttle;
pub mod verifier;
mod wire;

use core::fmt;

use crate::store::Verifier;

pub use derive::{Derivation, SaltedPassword};

/// Longest account name in a login message, bytes. No account's name is longer.
pub const NAME_MAX: usize = 64;
/// Fewest characters of a new password.
pub const PASSWORD_MIN: usize = 8;
/// Longest password, bytes of UTF-8.
pub const PASSWORD_MAX: usize = 200;
/// Fewest PBKDF2 rounds accepted (RFC 7677 section 4).
pub const ITERATIONS_MIN: u32 = 4096;
/// Most PBKDF2 rounds accepted: more would only make logging in slow.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// An account name as a login message gives it: not empty, not folded, otherwise unchecked.
pub type Name = heapless::String<NAME_MAX>;

/// The verifier of an account that does not exist, or that has no password: always the same for one name and secret, with a salt that
/// looks like any other and keys that nothing hashes to. `iterations` is the server's setting, so that it does not stand out.
pub fn fake_verifier(secret: &[u8; 32], folded_name: &str, iterations: u32) -> Verifier {
    let part = |label: &[u8]| hash::hmac(secret, &[label, b"\0", folded_name.as_bytes()]);
    let mut salt = [0; 16];
    for (byte, random) in salt.iter_mut().zip(part(b"soqet salt")) {
        *byte = random;
    }
    Verifier {
        iterations,
        salt,
        stored_key: part(b"soqet stored key"),
        server_key: part(b"soqet server key"),
    }
}

/// Why a password cannot be chosen. Its text is for the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordError {
    /// There is none.
    Empty,
    /// Fewer than [`PASSWORD_MIN`] characters.
    TooShort,
    /// More than [`PASSWORD_MAX`] bytes.
    TooLong,
    /// A control character, which many keyboards cannot type and many clients drop.
    Control,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("The password is empty"),
            Self::TooShort => write!(
                f,
                "The password is too short: it needs at least {PASSWORD_MIN} characters"
            ),
            Self::TooLong => write!(
                f,
                "The password is too long: it may have at most {PASSWORD_MAX} bytes"
            ),
            Self::Control => f.write_str("The password contains a control character"),
        }
    }
}

impl core::error::Error for PasswordError {}

/// Whether a password may be chosen for an account. (A login only asks whether it is empty or too long.)
pub fn check_password(password: &str) -> Result<(), PasswordError> {
    if password.is_empty() {
        Err(PasswordError::Empty)
    } else if password.len() > PASSWORD_MAX {
        Err(PasswordError::TooLong)
    } else if password.chars().any(char::is_control) {
        Err(PasswordError::Control)
    } else if password.chars().count() < PASSWORD_MIN {
        Err(PasswordError::TooShort)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fakes_are_stable_and_differ_by_name_and_secret() {
        let fake = fake_verifier(&[7; 32], "ann", 4096);
        assert_eq!(fake, fake_verifier(&[7; 32], "ann", 4096));
        assert_eq!(fake.iterations, 4096);
        for other in [
            fake_verifier(&[7; 32], "anna", 4096),
            fake_verifier(&[8; 32], "ann", 4096),
        ] {
            assert_ne!(fake.salt, other.salt);
            assert_ne!(fake.stored_key, other.stored_key);
            assert_ne!(fake.server_key, other.server_key);
        }
        assert_ne!(fake.stored_key, fake.server_key);
    }

    #[test]
    fn passwords_are_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(check_password(""), Err(PasswordError::Empty));
        assert_eq!(check_password("1234567"), Err(PasswordError::TooShort));
        assert_eq!(
            check_password("密码密码密码密"),
            Err(PasswordError::TooShort)
        );
        assert_eq!(check_password("密码密码密码密码"), Ok(()));
        assert_eq!(
            check_password("with a\ttab in it"),
            Err(PasswordError::Control)
        );
        assert_eq!(check_password(&"x".repeat(PASSWORD_MAX)), Ok(()));
        assert_eq!(
            check_password(&"x".repeat(PASSWORD_MAX + 1)),
            Err(PasswordError::TooLong)
        );
        assert!(PasswordError::TooShort.to_string().contains('8'));
    }
}
