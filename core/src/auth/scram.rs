//! SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), without channel binding.
//!
//! Messages are not kept: the proof and the answer to it are HMACs over all of them, so two running HMACs take each message as it comes
//! or goes. What else is needed to check the last message is kept as fingerprints.

use core::fmt;

use base64ct::{Base64, Encoding};
use hmac::Mac;
use subtle::ConstantTimeEq;

use super::hash::{HmacSha256, finish, keyed, sha256, xor};
use super::wire::{self, Writer};
use super::{NAME_MAX, Name};
use crate::store::Verifier;

/// Longest nonce taken from a client, bytes.
pub const CLIENT_NONCE_MAX: usize = 128;
/// Longest nonce of a server, bytes.
pub const SERVER_NONCE_MAX: usize = 64;
/// Longest message the server writes, bytes.
pub const SERVER_MESSAGE_MAX: usize = 2 + CLIENT_NONCE_MAX + SERVER_NONCE_MAX + 3 + 24 + 3 + 10;
/// Longest GS2 header, bytes: `n,a=<name>,` with every byte of the name escaped.
const GS2_MAX: usize = 2 + 2 + 3 * NAME_MAX + 1;

/// Why a message was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScramError {
    /// It does not have the form the RFC gives it, or a part of it is too long.
    Malformed,
    /// It asks for channel binding or an extension that must be understood.
    Unsupported,
    /// The identity to act as is another than the one that logs in.
    Identity,
    /// The nonce is not the one of this handshake.
    WrongNonce,
    /// The header repeated is not the one it began with: somebody may have changed it on the way.
    WrongChannelBinding,
    /// The password is wrong.
    WrongProof,
    /// The buffer for the answer is too small ([`SERVER_MESSAGE_MAX`] is enough).
    Buffer,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "Your client sent a SCRAM message that cannot be read",
            Self::Unsupported => {
                "Channel binding and extensions of SCRAM are not supported; turn them off in your client"
            }
            Self::Identity => {
                "Nobody can log in as one account and act as another; leave the authorization identity empty"
            }
            Self::WrongNonce => {
                "Your client answered another login than this one (its SCRAM nonce differs); please try again"
            }
            Self::WrongChannelBinding => {
                "Your client contradicts itself about channel binding; somebody may have changed its messages"
            }
            Self::WrongProof => "Wrong name or password",
            Self::Buffer => "The login's parameters are too long",
        })
    }
}

impl core::error::Error for ScramError {}

/// A client's first message.
#[derive(Clone, Debug)]
pub struct ClientFirst<'a> {
    /// Who wants to log in.
    pub name: Name,
    gs2_header: &'a [u8],
    bare: &'a [u8],
    nonce: &'a [u8],
}

impl<'a> ClientFirst<'a> {
    /// Reads `n,,n=<name>,r=<nonce>` and its variants.
    pub fn parse(message: &'a [u8]) -> Result<Self, ScramError> {
        let mut commas = message
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b',');
        let first = commas.next().ok_or(ScramError::Malformed)?.0;
        let second = commas.next().ok_or(ScramError::Malformed)?.0;
        let (gs2_header, bare) = message
            .split_at_checked(second + 1)
            .ok_or(ScramError::Malformed)?;
        match message.get(..first) {
            // `y`: the client could bind and believes the server cannot, which is so.
            Some(b"n" | b"y") => {}
            Some([b'p', b'=', ..]) => return Err(ScramError::Unsupported),
            _ => return Err(ScramError::Malformed),
        }
        let identity = match message.get(first + 1..second) {
            Some([]) => None,
            Some(authzid) => Some(
                wire::value(authzid, b'a')
                    .and_then(wire::name)
                    .ok_or(ScramError::Malformed)?,
            ),
            None => return Err(ScramError::Malformed),
        };

        let mut attributes = bare.split(|byte| *byte == b',');
        let user = attributes.next().unwrap_or_default();
        if user.starts_with(b"m=") {
            return Err(ScramError::Unsupported);
        }
        let name = wire::value(user, b'n')
            .and_then(wire::name)
            .ok_or(ScramError::Malformed)?;
        let nonce = attributes
            .next()
            .and_then(|attribute| wire::value(attribute, b'r'))
            .filter(|nonce| wire::is_nonce(nonce) && nonce.len() <= CLIENT_NONCE_MAX)
            .ok_or(ScramError::Malformed)?;
        optional_only(attributes)?;
        if identity.is_some_and(|identity| !identity.eq_ignore_ascii_case(&name)) {
            return Err(ScramError::Identity);
        }
        Ok(Self {
            name,
            gs2_header,
            bare,
            nonce,
        })
    }
}

/// Extensions may be ignored, but for those that say they must not.
fn optional_only<'a>(mut attributes: impl Iterator<Item = &'a [u8]>) -> Result<(), ScramError> {
    attributes.try_for_each(|attribute| {
        if attribute.starts_with(b"m=") {
            Err(ScramError::Unsupported)
        } else if wire::is_optional(attribute) {
            Ok(())
        } else {
            Err(ScramError::Malformed)
        }
    })
}

/// A server nonce from 18 random bytes.
pub fn server_nonce(random: &[u8; 18]) -> [u8; 24] {
    let mut nonce = [b'A'; 24];
    // 18 bytes are 24 characters, so this cannot fail.
    let _ = Base64::encode(random, &mut nonce);
    nonce
}

/// A handshake between the server's first message and the client's last.
pub struct Handshake {
    /// HMAC of the messages with StoredKey: what a right proof hides ClientKey with.
    client_signature: HmacSha256,
    /// HMAC of the messages with ServerKey: the server's own proof.
    server_signature: HmacSha256,
    stored_key: [u8; 32],
    nonce: [u8; 16],
    gs2_header: [u8; 16],
}

const _: () = assert!(size_of::<Handshake>() <= 352);

/// Enough of a hash to recognise what one has seen. A client that forged it would only fool itself: the proof covers the real one.
fn fingerprint(parts: &[&[u8]]) -> [u8; 16] {
    let mut short = [0; 16];
    for (byte, hashed) in short.iter_mut().zip(sha256(parts)) {
        *byte = hashed;
    }
    short
}

impl Handshake {
    /// Answers the client's first message: writes the server's into `out`, with its length.
    ///
    /// `verifier` is the account's, or a [`fake_verifier`](super::fake_verifier) where there is none. `server_nonce` is new and
    /// unpredictable: see [`server_nonce`].
    pub fn begin(
        first: &ClientFirst<'_>,
        verifier: &Verifier,
        server_nonce: &[u8],
        out: &mut [u8],
    ) -> Result<(Self, usize), ScramError> {
        if !wire::is_nonce(server_nonce) || server_nonce.len() > SERVER_NONCE_MAX {
            return Err(ScramError::Malformed);
        }
        let mut writer = Writer::new(out);
        writer
            .bytes(b"r=")
            .bytes(first.nonce)
            .bytes(server_nonce)
            .bytes(b",s=")
            .base64(&verifier.salt)
            .bytes(b",i=")
            .number(verifier.iterations);
        let message = writer.written().ok_or(ScramError::Buffer)?;
        let mut handshake = Self {
            client_signature: keyed(&verifier.stored_key),
            server_signature: keyed(&verifier.server_key),
            stored_key: verifier.stored_key,
            nonce: fingerprint(&[first.nonce, server_nonce]),
            gs2_header: fingerprint(&[first.gs2_header]),
        };
        for part in [first.bare, b",", message, b","] {
            handshake.update(part);
        }
        Ok((handshake, message.len()))
    }

    fn update(&mut self, part: &[u8]) {
        self.client_signature.update(part);
        self.server_signature.update(part);
    }

    /// Checks the client's last message; if it proves the password, writes the server's last one into `out`, with its length. The
    /// handshake is over either way. An `out` of 46 bytes is enough.
    pub fn finish(mut self, message: &[u8], out: &mut [u8]) -> Result<usize, ScramError> {
        let proof_at = message
            .iter()
            .rposition(|byte| *byte == b',')
            .ok_or(ScramError::Malformed)?;
        let (without_proof, proof) = message
            .split_at_checked(proof_at)
            .ok_or(ScramError::Malformed)?;
        let proof: [u8; 32] = proof
            .get(1..)
            .and_then(|attribute| wire::value(attribute, b'p'))
            .and_then(wire::base64_exact)
            .ok_or(ScramError::Malformed)?;

        let mut attributes = without_proof.split(|byte| *byte == b',');
        let binding = attributes
            .next()
            .and_then(|attribute| wire::value(attribute, b'c'))
            .ok_or(ScramError::Malformed)?;
        let nonce = attributes
            .next()
            .and_then(|attribute| wire::value(attribute, b'r'))
            .ok_or(ScramError::Malformed)?;
        optional_only(attributes)?;
        let mut header = [0; GS2_MAX];
        let header = match Base64::decode(binding, &mut header) {
            Ok(header) => header,
            Err(base64ct::Error::InvalidLength) => return Err(ScramError::WrongChannelBinding),
            Err(base64ct::Error::InvalidEncoding) => return Err(ScramError::Malformed),
        };
        if fingerprint(&[header]) != self.gs2_header {
            return Err(ScramError::WrongChannelBinding);
        }
        if fingerprint(&[nonce]) != self.nonce {
            return Err(ScramError::WrongNonce);
        }

        self.update(without_proof);
        let client_key = xor(finish(self.client_signature), &proof);
        if !bool::from(sha256(&[&client_key]).ct_eq(&self.stored_key)) {
            return Err(ScramError::WrongProof);
        }
        let mut writer = Writer::new(out);
        writer.bytes(b"v=").base64(&finish(self.server_signature));
        Ok(writer.written().ok_or(ScramError::Buffer)?.len())
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
