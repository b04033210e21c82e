//! The client's side of SCRAM-SHA-256 (RFC 5802, 7677), written apart from the core's so that they check each other.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Salted passwords already derived: the derivation is slow on purpose, and a run logs in often.
#[derive(Default)]
pub struct Salted(BTreeMap<(String, Vec<u8>, u32), [u8; 32]>);

impl Salted {
    fn get(&mut self, password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
        let key = (password.to_owned(), salt.to_vec(), iterations);
        *self.0.entry(key).or_insert_with(|| {
            let mut out = [0; 32];
            pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut out);
            out
        })
    }

    /// The verifier of a password as REGISTER takes it (RFC 5803).
    pub fn verifier(&mut self, password: &str, salt: &[u8], iterations: u32) -> String {
        let salted = self.get(password, salt, iterations);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key);
        let server_key = mac(&salted, b"Server Key");
        format!(
            "SCRAM-SHA-256${iterations}:{}${}:{}",
            Base64::encode_string(salt),
            Base64::encode_string(&stored_key),
            Base64::encode_string(&server_key)
        )
    }
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// A login in progress.
#[derive(Clone, Debug)]
pub struct Scram {
    first_bare: String,
    nonce: String,
    server_signature: Option<[u8; 32]>,
}

impl Scram {
    /// Starts; the nonce must be printable and without a comma.
    pub fn new(user: &str, nonce: String) -> Self {
        Self {
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            server_signature: None,
        }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The final message in answer to the server's first; `Err` says what was wrong with that.
    pub fn last(
        &mut self,
        salted: &mut Salted,
        password: &str,
        server_first: &str,
    ) -> Result<String, String> {
        let bad = || format!("bad server-first-message {server_first:?}");
        let mut parts = server_first.splitn(3, ',');
        let nonce = parts
            .next()
            .and_then(|p| p.strip_prefix("r="))
            .ok_or_else(bad)?;
        let salt = parts
            .next()
            .and_then(|p| p.strip_prefix("s="))
            .ok_or_else(bad)?;
        let rounds = parts
            .next()
            .and_then(|p| p.strip_prefix("i="))
            .ok_or_else(bad)?;
        let salt = Base64::decode_vec(salt).map_err(|_| bad())?;
        let rounds: u32 = rounds.parse().map_err(|_| bad())?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(format!(
                "the server's nonce {nonce:?} is not mine continued"
            ));
        }
        let key = salted.get(password, &salt, rounds);
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = mac(&key, b"Client Key");
        let signature = mac(&Sha256::digest(client_key), message.as_bytes());
        let mut proof = client_key;
        for (byte, mask) in proof.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        self.server_signature = Some(mac(&mac(&key, b"Server Key"), message.as_bytes()));
        Ok(format!(
            "{without_proof},p={}",
            Base64::encode_string(&proof)
        ))
    }

    /// Checks the server's final message: only who knows the account's ServerKey can send it.
    pub fn verify(&self, server_last: &str) -> Result<(), String> {
        let signature = self.server_signature.map(|s| Base64::encode_string(&s));
        match (server_last.strip_prefix("v="), signature) {
            (Some(theirs), Some(mine)) if theirs == mine => Ok(()),
            _ => Err(format!("bad server-final-message {server_last:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn rfc_7677_example() {
        let mut scram = Scram::new("user", "rOprNGfwEbeRWgbNEkqO".into());
        let last = scram
            .last(
                &mut Salted::default(),
                "pencil",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            )
            .unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        scram
            .verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
            .unwrap();
        assert!(scram.verify("v=").is_err());
    }
}
