//! SCRAM-SHA-256 from the client's side (RFC 5802, RFC 7677), written apart from the core's so that the two check each other,
//! and in single steps so that a scenario can do each of them wrongly.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What a password becomes with a salt and a number of rounds: SaltedPassword of RFC 5802.
pub type Salted = [u8; 32];

/// HMAC-SHA-256.
pub fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// SHA-256.
pub fn hash(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Hi() of RFC 5802.
pub fn salted(password: &str, salt: &[u8], iterations: u32) -> Salted {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations)
}

/// The verifier that REGISTER takes in place of a password, in the form of RFC 5803.
pub fn verifier(salted: &Salted, salt: &[u8], iterations: u32) -> String {
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        encode(salt),
        encode(&hash(&hmac(salted, b"Client Key"))),
        encode(&hmac(salted, b"Server Key")),
    )
}

/// Base64 with padding.
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Base64 with padding, of what a server sent.
pub fn decode(text: &str) -> Vec<u8> {
    Base64::decode_vec(text).unwrap_or_else(|_| panic!("not base64: {text}"))
}

/// What the server says first, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFirst {
    /// As it came.
    pub raw: String,
    /// Both nonces.
    pub nonce: String,
    /// The account's salt.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
}

impl ServerFirst {
    /// Takes it apart.
    pub fn parse(raw: &str) -> Self {
        let mut fields = raw.split(',');
        let mut field = |key: &str| {
            let field = fields.next().and_then(|f| f.strip_prefix(key));
            field
                .unwrap_or_else(|| panic!("no {key} in {raw}"))
                .to_owned()
        };
        Self {
            nonce: field("r="),
            salt: decode(&field("s=")),
            iterations: field("i=").parse().expect("a number of rounds"),
            raw: raw.to_owned(),
        }
    }
}

/// The client's side of one login.
pub struct Scram {
    bare: String,
}

impl Scram {
    /// A login of that account with that nonce.
    pub fn new(account: &str, nonce: &str) -> Self {
        Self {
            bare: format!("n={account},r={nonce}"),
        }
    }

    /// client-first-message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// client-final-message, and the server's signature that must follow.
    pub fn last(&self, first: &ServerFirst, salted: &Salted) -> (String, [u8; 32]) {
        let without_proof = format!("c=biws,r={}", first.nonce);
        let auth = format!("{},{},{without_proof}", self.bare, first.raw);
        let client_key = hmac(salted, b"Client Key");
        let mut proof = hmac(&hash(&client_key), auth.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(p, k)| *p ^= k);
        let signature = hmac(&hmac(salted, b"Server Key"), auth.as_bytes());
        (format!("{without_proof},p={}", encode(&proof)), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let scram = Scram::new("user", "rOprNGfwEbeRWgbNEkqO");
        let first = ServerFirst::parse(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        );
        let salted = salted("pencil", &first.salt, first.iterations);
        let (last, signature) = scram.last(&first, &salted);
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            encode(&signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
