//! SASL: SCRAM-SHA-256 (RFC 5802, RFC 7677) and PLAIN (RFC 4616) over AUTHENTICATE (IRCv3 sasl).

use base64ct::{Base64, Encoding};
use chacha20::rand_core::Rng;

use super::super::Server;
use super::super::input::Flow;
use super::super::request::What;
use crate::auth::fake_verifier;
use crate::auth::sasl::{ChunkError, Plain};
use crate::auth::scram::{self, ClientFirst, Handshake};
use crate::id::AccountId;
use crate::irc::message::Message;
use crate::irc::numeric::*;
use crate::name::{self, Nick};
use crate::store::{AccountFlags, Verifier};
use crate::tables::NIL;

use super::{Method, Progress, Work};

/// Longest SASL message that is read.
const MESSAGE_MAX: usize = if cfg!(feature = "small") { 320 } else { 768 };

impl Server<'_> {
    pub(in crate::server) fn authenticate(&mut self, c: u32, message: &Message<'_>) -> Flow {
        let Some(param) = message.param(0).filter(|param| !param.is_empty()) else {
            self.numeric(
                c,
                ERR_NEEDMOREPARAMS,
                format_args!("AUTHENTICATE :Name a mechanism, such as SCRAM-SHA-256"),
            );
            return Flow::Done;
        };
        if self.conns[c].account != NIL {
            self.numeric(
                c,
                ERR_SASLALREADY,
                format_args!(":You have already logged in"),
            );
            return Flow::Done;
        }
        if param == "*" {
            self.release_credential(c);
            self.numeric(c, ERR_SASLABORTED, format_args!(":The login was aborted"));
            return Flow::Done;
        }
        match self.method(c) {
            Method::Scram | Method::Proved | Method::Plain => {
                let k = self.conns[c].credential;
                self.credentials[k].since = self.now;
                self.sasl_data(c, param)
            }
            _ => self.sasl_begin(c, param),
        }
    }

    pub(in crate::server) fn sasl_begin(&mut self, c: u32, mechanism: &str) -> Flow {
        // A password of PASS gives way to it.
        self.release_credential(c);
        let raw = self.takes_raw(c);
        let method = if mechanism.eq_ignore_ascii_case("SCRAM-SHA-256") {
            Method::Scram
        } else if mechanism.eq_ignore_ascii_case("PLAIN") && raw {
            Method::Plain
        } else {
            let mechanisms = if raw {
                "SCRAM-SHA-256,PLAIN"
            } else {
                "SCRAM-SHA-256"
            };
            self.numeric(
                c,
                RPL_SASLMECHS,
                format_args!("{mechanisms} :are the mechanisms to log in with here"),
            );
            let why = if mechanism.eq_ignore_ascii_case("PLAIN") {
                "PLAIN shows the password to everybody on the way; set up SCRAM-SHA-256 in your client"
            } else {
                "This server does not know that mechanism; set up SCRAM-SHA-256 in your client"
            };
            return self.fail_login(c, format_args!("{why}"));
        };
        if !self.take_credential(c, method) {
            // A login takes its slot for a moment only; who has no time for it is told when it is over.
            self.stalled.push_back(&mut self.conns, c);
            return Flow::Wait;
        }
        self.reply(c, format_args!("AUTHENTICATE +"));
        Flow::Done
    }

    pub(in crate::server) fn sasl_data(&mut self, c: u32, chunk: &str) -> Flow {
        let k = self.conns[c].credential;
        let credential = &mut self.credentials[k];
        if credential.message.is_none() {
            let Some(buffer) = credential.buffer.or_else(|| self.bodies.take()) else {
                self.stalled.push_back(&mut self.conns, c);
                return Flow::Wait;
            };
            credential.buffer = Some(buffer);
            let bytes = self.bodies.get_mut(buffer);
            match credential.assembler.push(bytes, chunk) {
                Ok(None) => return Flow::Done,
                Ok(Some(len)) => credential.message = Some(len as u16),
                Err(ChunkError::TooLong) => {
                    self.release_credential(c);
                    self.numeric(
                        c,
                        ERR_SASLTOOLONG,
                        format_args!(":Your client sent a SASL message that is too long"),
                    );
                    return Flow::Done;
                }
                Err(ChunkError::Malformed) => {
                    return self.fail_login(
                        c,
                        format_args!("Your client sent a SASL message that is not base64"),
                    );
                }
            }
        }
        // The message is read from a copy, so that everything can change meanwhile.
        let mut copy = [0; MESSAGE_MAX];
        let len = usize::from(self.credentials[k].message.unwrap_or(0));
        let buffer = self.credentials[k]
            .buffer
            .map_or(&[][..], |buffer| self.bodies.get(buffer));
        let (Some(from), Some(to)) = (buffer.get(..len), copy.get_mut(..len)) else {
            self.release_credential(c);
            self.numeric(
                c,
                ERR_SASLTOOLONG,
                format_args!(":Your client sent a SASL message that is too long"),
            );
            return Flow::Done;
        };
        to.copy_from_slice(from);
        let flow = match self.credentials[k].method {
            Method::Plain => self.sasl_plain(c, &copy[..len]),
            Method::Proved => self.sasl_proved(c, len),
            _ if matches!(self.credentials[k].work, Work::Handshake(_)) => {
                self.scram_final(c, &copy[..len])
            }
            _ => self.scram_first(c, &copy[..len]),
        };
        copy.fill(0);
        let k = self.conns[c].credential;
        if flow == Flow::Done && k != NIL {
            self.credentials[k].message = None;
            if let Some(buffer) = self.credentials[k].buffer.take() {
                self.bodies.get_mut(buffer).fill(0);
                self.bodies.give(buffer);
            }
        }
        flow
    }

    /// Has the account looked up under a name. `Ok` when it is known (or known not to be there).
    pub(in crate::server) fn look_up(
        &mut self,
        c: u32,
        spelled: &str,
    ) -> Result<Option<(AccountId, Verifier)>, Flow> {
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Idle => {
                let Some(folded) = name::fold::<{ name::NICK_MAX }>(spelled) else {
                    // Nobody's, as everybody can tell by its length: nothing is derived for it.
                    return Err(self.fail_login(c, format_args!("Wrong name or password")));
                };
                if let Err(wait) = self.charge_login(c, &folded) {
                    let seconds = wait.div_ceil(1_000);
                    return Err(self.fail_login(
                        c,
                        format_args!("Too many attempts to log in; try again in {seconds} s"),
                    ));
                }
                self.credentials[k].name = folded;
                self.credentials[k].progress = Progress::Asked;
                if !self.ask(c, What::FindAccount(folded)) {
                    // No slot: the attempt is not to be charged twice.
                    self.credentials[k].progress = Progress::Idle;
                    self.refund_login(c, &folded);
                }
                Err(Flow::Wait)
            }
            Progress::Asked => {
                // The store failed.
                Err(self.fail_login(
                    c,
                    format_args!("The server could not read its storage, please try again"),
                ))
            }
            Progress::Known { account, flags } if !flags.contains(AccountFlags::GUEST) => Ok(self
                .credentials[k]
                .verifier
                .map(|verifier| (account, verifier))),
            _ => Ok(None),
        }
    }

    /// The verifier of an account, or one that no password matches.
    pub(in crate::server) fn verifier_or_fake(
        &mut self,
        c: u32,
        found: Option<(AccountId, Verifier)>,
        spelled: &str,
    ) -> (AccountId, Verifier) {
        let k = self.conns[c].credential;
        let secret = self.settings.map_or([0; 32], |settings| settings.secret);
        let folded: Nick = name::fold(spelled).unwrap_or_default();
        let (account, verifier) = found.unwrap_or_else(|| {
            (
                AccountId::NONE,
                fake_verifier(&secret, &folded, self.config.iterations),
            )
        });
        self.credentials[k].account = account;
        (account, verifier)
    }

    #[inline(never)] // Its stack is no other step's.
    pub(in crate::server) fn scram_first(&mut self, c: u32, message: &[u8]) -> Flow {
        let first = match ClientFirst::parse(message) {
            Ok(first) => first,
            Err(error) => return self.fail_login(c, format_args!("{error}")),
        };
        let found = match self.look_up(c, &first.name) {
            Ok(found) => found,
            Err(flow) => return flow,
        };
        let (_, verifier) = self.verifier_or_fake(c, found, &first.name);
        let mut random = [0; 18];
        self.rng.fill_bytes(&mut random);
        let mut out = [0; 300];
        let begun = Handshake::begin(&first, &verifier, &scram::server_nonce(&random), &mut out);
        let (handshake, len) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.fail_login(c, format_args!("{error}")),
        };
        let k = self.conns[c].credential;
        self.credentials[k].work = Work::Handshake(handshake);
        self.credentials[k].progress = Progress::Idle;
        self.send_sasl(c, &out[..len])
    }

    pub(in crate::server) fn send_sasl(&mut self, c: u32, message: &[u8]) -> Flow {
        let mut text = [0; 400];
        match Base64::encode(message, &mut text) {
            Ok(text) => self.reply(c, format_args!("AUTHENTICATE {text}")),
            Err(_) => {
                return self.fail_login(c, format_args!("The login's parameters are too long"));
            }
        }
        Flow::Done
    }

    #[inline(never)]
    pub(in crate::server) fn scram_final(&mut self, c: u32, message: &[u8]) -> Flow {
        let k = self.conns[c].credential;
        let Work::Handshake(handshake) = core::mem::take(&mut self.credentials[k].work) else {
            return self.fail_login(
                c,
                format_args!("Your client sent a SCRAM message out of order"),
            );
        };
        let mut out = [0; 64];
        match handshake.finish(message, &mut out) {
            Ok(len) if !self.credentials[k].account.is_none() => {
                let folded = self.credentials[k].name;
                self.refund_login(c, &folded);
                self.credentials[k].method = Method::Proved;
                self.send_sasl(c, &out[..len])
            }
            Ok(_) => self.fail_login(c, format_args!("Wrong name or password")),
            Err(error) => self.fail_login(c, format_args!("{error}")),
        }
    }

    pub(in crate::server) fn sasl_proved(&mut self, c: u32, len: usize) -> Flow {
        if len > 0 {
            return self.fail_login(c, format_args!("Your client sent more than the login needs; it should end it with AUTHENTICATE +"));
        }
        let k = self.conns[c].credential;
        let account = self.credentials[k].account;
        self.log_in(c, account)
    }

    #[inline(never)]
    pub(in crate::server) fn sasl_plain(&mut self, c: u32, message: &[u8]) -> Flow {
        match Plain::parse(message) {
            Ok(plain) => match self.check_raw(c, plain.name, plain.password) {
                Ok(account) => self.log_in(c, account),
                Err(flow) => flow,
            },
            Err(error) => self.fail_login(c, format_args!("{error}")),
        }
    }

    /// Checks a raw password, in slices. `Ok` with the account it belongs to.
    pub(in crate::server) fn check_raw(
        &mut self,
        c: u32,
        spelled: &str,
        password: &str,
    ) -> Result<AccountId, Flow> {
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Created(account) => return Ok(account),
            Progress::Derived => {
                let credential = &self.credentials[k];
                let matches = match (&credential.work, &credential.verifier) {
                    (Work::Derivation(derivation), Some(verifier)) => derivation.matches(verifier),
                    _ => false,
                };
                let (account, folded) = (credential.account, credential.name);
                if !matches || account.is_none() {
                    return Err(self.fail_login(c, format_args!("Wrong name or password")));
                }
                self.refund_login(c, &folded);
                // From here on the key need not be derived again.
                self.credentials[k].progress = Progress::Created(account);
                return Ok(account);
            }
            _ => {}
        }
        let found = self.look_up(c, spelled)?;
        let (_, verifier) = self.verifier_or_fake(c, found, spelled);
        self.credentials[k].verifier = Some(verifier);
        self.start_deriving(c, password.as_bytes(), &verifier.salt, verifier.iterations);
        Err(Flow::Wait)
    }
}
