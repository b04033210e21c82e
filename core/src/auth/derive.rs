//! Deriving keys from a password (PBKDF2 with HMAC-SHA-256, RFC 5802 `Hi`), in slices.
//!
//! 4096 rounds take a microcontroller more than half a second; sliced, it serves everybody else in between.

use hmac::Mac;
use subtle::ConstantTimeEq;

use super::hash::{HmacSha256, finish, hmac, keyed, sha256, xor};
use crate::store::Verifier;

/// What PBKDF2 makes of a password: enough to log in, so as secret as the password itself.
#[derive(Clone)]
pub struct SaltedPassword {
    key: [u8; 32],
    salt: [u8; 16],
    iterations: u32,
}

impl SaltedPassword {
    /// Derives in one go. `iterations` is at least 1.
    pub fn derive(password: &[u8], salt: &[u8; 16], iterations: u32) -> Self {
        let mut derivation = Derivation::start(password, salt, iterations);
        derivation.step(u32::MAX);
        Self {
            key: derivation.sum,
            salt: derivation.salt,
            iterations: derivation.iterations,
        }
    }

    /// The salt it was derived with.
    pub fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// The rounds it was derived with.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// ClientKey of RFC 5802: who has it can log in.
    pub(super) fn client_key(&self) -> [u8; 32] {
        hmac(&self.key, &[b"Client Key"])
    }

    /// What a server keeps of it.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            iterations: self.iterations,
            salt: self.salt,
            stored_key: sha256(&[&self.client_key()]),
            server_key: hmac(&self.key, &[b"Server Key"]),
        }
    }
}

/// A derivation under way. The password itself is not kept.
pub struct Derivation {
    /// Keyed with the password; cloned for each round.
    keyed: HmacSha256,
    round: [u8; 32],
    sum: [u8; 32],
    salt: [u8; 16],
    iterations: u32,
    left: u32,
}

const _: () = assert!(size_of::<Derivation>() <= 240);

impl Derivation {
    /// Starts one and does its first round. `iterations` is at least 1 (0 counts as 1).
    pub fn start(password: &[u8], salt: &[u8; 16], iterations: u32) -> Self {
        let keyed = keyed(password);
        let mut mac = keyed.clone();
        mac.update(salt);
        // The number of the output block. One block of 32 bytes is the whole key.
        mac.update(&1u32.to_be_bytes());
        let first = finish(mac);
        let iterations = iterations.max(1);
        Self {
            keyed,
            round: first,
            sum: first,
            salt: *salt,
            iterations,
            left: iterations - 1,
        }
    }

    /// Does at most `budget` more rounds; returns how many it did: 0 once it is done.
    pub fn step(&mut self, budget: u32) -> u32 {
        let rounds = budget.min(self.left);
        for _ in 0..rounds {
            let mut mac = self.keyed.clone();
            mac.update(&self.round);
            self.round = finish(mac);
            self.sum = xor(self.sum, &self.round);
        }
        self.left -= rounds;
        rounds
    }

    /// Whether all rounds are done.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The derived key, once done.
    pub fn salted_password(&self) -> Option<SaltedPassword> {
        self.is_done().then_some(SaltedPassword {
            key: self.sum,
            salt: self.salt,
            iterations: self.iterations,
        })
    }

    /// What a server keeps of the password, once done.
    pub fn verifier(&self) -> Option<Verifier> {
        Some(self.salted_password()?.verifier())
    }

    /// Whether it is done and the password is the one of that verifier. Takes the same time wherever the keys differ.
    pub fn matches(&self, verifier: &Verifier) -> bool {
        let Some(own) = self.verifier() else {
            return false;
        };
        let keys =
            own.stored_key.ct_eq(&verifier.stored_key) & own.server_key.ct_eq(&verifier.server_key);
        own.iterations == verifier.iterations && own.salt == verifier.salt && keys.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;
    use crate::auth::fake_verifier;

    #[test]
    fn makes_the_keys_of_rfc_7677() {
        // StoredKey and ServerKey were computed with Python's hashlib from the RFC's password, salt and rounds.
        let expected = Verifier::parse("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=").unwrap();
        let made = SaltedPassword::derive(b"pencil", &expected.salt, 4096).verifier();
        assert_eq!(made, expected);
    }

    #[test]
    fn tells_right_from_wrong_only_when_done() {
        let verifier = SaltedPassword::derive(b"pencil", &[5; 16], 50).verifier();
        let mut right = Derivation::start(b"pencil", &[5; 16], 50);
        assert_eq!(right.step(20), 20);
        assert!(!right.is_done() && !right.matches(&verifier) && right.verifier().is_none());
        assert_eq!(right.step(100), 29);
        assert_eq!(right.step(100), 0);
        assert!(right.is_done() && right.matches(&verifier));

        let mut wrong = Derivation::start(b"Pencil", &[5; 16], 50);
        wrong.step(49);
        assert!(wrong.is_done() && !wrong.matches(&verifier));
        assert!(!right.matches(&Verifier {
            iterations: 51,
            ..verifier
        }));
        assert!(!right.matches(&Verifier {
            salt: [6; 16],
            ..verifier
        }));
        assert!(!right.matches(&Verifier {
            server_key: [0; 32],
            ..verifier
        }));
        assert!(!right.matches(&Verifier {
            stored_key: [0; 32],
            ..verifier
        }));
    }

    #[test]
    fn nothing_matches_a_fake_or_no_verifier() {
        let fake = fake_verifier(&[1; 32], "nobody", 10);
        let mut derivation = Derivation::start(b"", &fake.salt, fake.iterations);
        derivation.step(10);
        assert!(derivation.is_done() && !derivation.matches(&fake));
        let mut derivation = Derivation::start(b"", &[0; 16], 0);
        derivation.step(10);
        assert!(derivation.is_done() && !derivation.matches(&Verifier::NONE));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_pbkdf2_crate_however_it_is_sliced(
            password in proptest::collection::vec(any::<u8>(), 0..200),
            salt: [u8; 16],
            iterations in 1u32..200,
            slices in proptest::collection::vec(0u32..40, 1..20),
        ) {
            let mut expected = [0; 32];
            pbkdf2::pbkdf2::<hmac::Hmac<Sha256>>(&password, &salt, iterations, &mut expected).unwrap();
            let mut derivation = Derivation::start(&password, &salt, iterations);
            let mut rounds = 1;
            for slice in slices {
                rounds += derivation.step(slice);
            }
            rounds += derivation.step(u32::MAX);
            prop_assert_eq!(rounds, iterations);
            prop_assert_eq!(derivation.salted_password().unwrap().key, expected);
        }
    }
}
