//! SCRAM-SHA-256, the client's side (RFC 5802, RFC 7677), for the simulator, tests, load generators and command-line tools.

use core::fmt;

use hmac::Mac;
use subtle::ConstantTimeEq;

use super::Name;
use super::derive::SaltedPassword;
use super::hash::{finish, keyed, sha256, xor};
use super::scram::{CLIENT_NONCE_MAX, SERVER_NONCE_MAX};
use super::wire::{self, Writer};

/// The GS2 header: no channel binding, no other identity.
const HEADER: &[u8] = b"n,,";

/// Why a login did not go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientError {
    /// The name is empty, too long, or holds a control character.
    Name,
    /// The client's nonce is empty, too long, or not printable ASCII without commas.
    Nonce,
    /// The server's message does not have the form the RFC gives it.
    Malformed,
    /// The server asks for an extension that must be understood.
    Unsupported,
    /// The server's nonce does not begin with the client's, or adds nothing.
    ServerNonce,
    /// The server asks for too few rounds to be safe, or too many to be meant.
    Iterations,
    /// The salted password was derived with another salt or number of rounds.
    OtherSalt,
    /// The server refused, e.g. a wrong password.
    Refused,
    /// The server does not know the password either: it is not the one it says it is.
    WrongServer,
    /// Called in the wrong order.
    Order,
    /// The buffer is too small.
    Buffer,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name is empty, too long or has a control character",
            Self::Nonce => "the client's nonce cannot be used",
            Self::Malformed => "the server sent a malformed SCRAM message",
            Self::Unsupported => "the server asks for an unknown SCRAM extension",
            Self::ServerNonce => "the server sent a wrong nonce",
            Self::Iterations => "the server asks for too few or too many iterations",
            Self::OtherSalt => "the password was derived for another salt",
            Self::Refused => "the server refused the login",
            Self::WrongServer => "the server could not prove that it knows the account",
            Self::Order => "SCRAM steps in the wrong order",
            Self::Buffer => "buffer too small",
        })
    }
}

impl core::error::Error for ClientError {}

enum State {
    Start,
    FirstSent,
    /// Waiting for this ServerSignature.
    ProofSent([u8; 32]),
    Over,
}

/// A login in progress: [`first`](Self::first), then [`respond`](Self::respond), then [`verify`](Self::verify).
pub struct Client {
    name: Name,
    nonce: heapless::String<CLIENT_NONCE_MAX>,
    state: State,
}

/// A server's first message.
struct ServerFirst<'a> {
    nonce: &'a [u8],
    salt: [u8; 16],
    iterations: u32,
}

impl<'a> ServerFirst<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, ClientError> {
        if message.starts_with(b"m=") {
            return Err(ClientError::Unsupported);
        }
        let mut attributes = message.split(|byte| *byte == b',');
        let mut next = |letter| {
            attributes
                .next()
                .and_then(|attribute| wire::value(attribute, letter))
                .ok_or(ClientError::Malformed)
        };
        let nonce = next(b'r')?;
        let salt = wire::base64_exact(next(b's')?).ok_or(ClientError::Malformed)?;
        let iterations = wire::iterations(next(b'i')?).ok_or(ClientError::Malformed)?;
        if !wire::is_nonce(nonce) || nonce.len() > CLIENT_NONCE_MAX + SERVER_NONCE_MAX {
            return Err(ClientError::Malformed);
        }
        if !attributes.all(wire::is_optional) {
            return Err(ClientError::Malformed);
        }
        if !wire::iterations_allowed(iterations) {
            return Err(ClientError::Iterations);
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

impl Client {
    /// A login of that account. `nonce` is new and unpredictable printable ASCII without commas.
    pub fn new(name: &str, nonce: &str) -> Result<Self, ClientError> {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(ClientError::Name);
        }
        if !wire::is_nonce(nonce.as_bytes()) {
            return Err(ClientError::Nonce);
        }
        Ok(Self {
            name: Name::try_from(name).map_err(|_| ClientError::Name)?,
            nonce: heapless::String::try_from(nonce).map_err(|_| ClientError::Nonce)?,
            state: State::Start,
        })
    }

    /// Writes the first message; returns its length.
    pub fn first(&mut self, out: &mut [u8]) -> Result<usize, ClientError> {
        if !matches!(self.state, State::Start) {
            return Err(ClientError::Order);
        }
        let mut writer = Writer::new(out);
        writer
            .bytes(HEADER)
            .bytes(b"n=")
            .name(&self.name)
            .bytes(b",r=")
            .bytes(self.nonce.as_bytes());
        let length = writer.written().ok_or(ClientError::Buffer)?.len();
        self.state = State::FirstSent;
        Ok(length)
    }

    /// Answers the server's first message, deriving the key from the password (slow, as it should be); returns the answer's length.
    pub fn respond(
        &mut self,
        server_first: &[u8],
        password: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ClientError> {
        let first = self.server_first(server_first)?;
        let salted = SaltedPassword::derive(password, &first.salt, first.iterations);
        self.prove(server_first, &first, &salted, out)
    }

    /// Like [`Self::respond`] with a key derived before.
    pub fn respond_salted(
        &mut self,
        server_first: &[u8],
        salted: &SaltedPassword,
        out: &mut [u8],
    ) -> Result<usize, ClientError> {
        let first = self.server_first(server_first)?;
        if first.salt != *salted.salt() || first.iterations != salted.iterations() {
            return Err(ClientError::OtherSalt);
        }
        self.prove(server_first, &first, salted, out)
    }

    fn server_first<'a>(&self, message: &'a [u8]) -> Result<ServerFirst<'a>, ClientError> {
        if !matches!(self.state, State::FirstSent) {
            return Err(ClientError::Order);
        }
        let first = ServerFirst::parse(message)?;
        match first.nonce.strip_prefix(self.nonce.as_bytes()) {
            Some([_, ..]) => Ok(first),
            _ => Err(ClientError::ServerNonce),
        }
    }

    fn prove(
        &mut self,
        server_first: &[u8],
        first: &ServerFirst<'_>,
        salted: &SaltedPassword,
        out: &mut [u8],
    ) -> Result<usize, ClientError> {
        let mut writer = Writer::new(out);
        writer
            .bytes(b"c=")
            .base64(HEADER)
            .bytes(b",r=")
            .bytes(first.nonce);
        let without_proof = writer.written().ok_or(ClientError::Buffer)?;
        let mut escaped = [0; 3 * super::NAME_MAX];
        let mut escape = Writer::new(&mut escaped);
        let name = escape.name(&self.name).written().ok_or(ClientError::Name)?;
        let parts: [&[u8]; 8] = [
            b"n=",
            name,
            b",r=",
            self.nonce.as_bytes(),
            b",",
            server_first,
            b",",
            without_proof,
        ];
        let signature = |key: &[u8; 32]| {
            let mut mac = keyed(key);
            for part in parts {
                mac.update(part);
            }
            finish(mac)
        };
        let client_key = salted.client_key();
        let proof = xor(signature(&sha256(&[&client_key])), &client_key);
        let server_signature = signature(&salted.verifier().server_key);
        writer.bytes(b",p=").base64(&proof);
        let length = writer.written().ok_or(ClientError::Buffer)?.len();
        self.state = State::ProofSent(server_signature);
        Ok(length)
    }

    /// Checks the server's last message. Only after this is it certain that the server knows the account too.
    pub fn verify(&mut self, server_final: &[u8]) -> Result<(), ClientError> {
        let State::ProofSent(expected) = core::mem::replace(&mut self.state, State::Over) else {
            return Err(ClientError::Order);
        };
        let mut attributes = server_final.split(|byte| *byte == b',');
        let result = attributes.next().unwrap_or_default();
        if wire::value(result, b'e').is_some() {
            return Err(ClientError::Refused);
        }
        let signature: [u8; 32] = wire::value(result, b'v')
            .and_then(wire::base64_exact)
            .ok_or(ClientError::Malformed)?;
        if !attributes.all(wire::is_optional) {
            return Err(ClientError::Malformed);
        }
        if signature.ct_eq(&expected).into() {
            Ok(())
        } else {
            Err(ClientError::WrongServer)
        }
    }
}
