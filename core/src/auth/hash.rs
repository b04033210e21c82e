//! HMAC-SHA-256 and SHA-256 on plain arrays.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A running HMAC-SHA-256.
pub(super) type HmacSha256 = Hmac<Sha256>;

/// Starts an HMAC.
pub(super) fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Ends an HMAC.
pub(super) fn finish(mac: HmacSha256) -> [u8; 32] {
    mac.finalize().into_bytes().into()
}

/// The HMAC of the concatenated parts.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    finish(mac)
}

/// SHA-256 of the concatenated parts.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// `a` XOR `b`.
pub(super) fn xor(mut a: [u8; 32], b: &[u8; 32]) -> [u8; 32] {
    for (x, y) in a.iter_mut().zip(b) {
        *x ^= y;
    }
    a
}
