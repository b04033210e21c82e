//! PASS, NICK, USER and CAP END: the password of who knows no SASL, the guest, and advice for who has no account.

use super::super::Server;
use super::super::input::Flow;
use super::super::request::What;
use crate::auth::{self};
use crate::config::Registration;
use crate::irc::numeric::*;
use crate::name::{self};
use crate::tables::NIL;

use super::{Method, Progress};

impl Server<'_> {
    /// Keeps the password of PASS until the name is known.
    pub(in crate::server) fn keep_pass(&mut self, c: u32, password: &str) -> Flow {
        if !self.takes_raw(c) {
            self.fail(c, "PASS", format_args!("RAW_PASSWORD_REFUSED :A password is taken in the clear on TLS and on this machine only; use SASL SCRAM-SHA-256"));
            return Flow::Done;
        }
        if password.is_empty() || password.len() > auth::PASSWORD_MAX {
            self.numeric(
                c,
                ERR_PASSWDMISMATCH,
                format_args!(":The password is empty or too long"),
            );
            return Flow::Done;
        }
        let Some(buffer) = self.bodies.take() else {
            self.stalled.push_back(&mut self.conns, c);
            return Flow::Wait;
        };
        if !self.take_credential(c, Method::Pass) {
            self.bodies.give(buffer);
            self.fail(
                c,
                "PASS",
                format_args!(
                    "TEMPORARILY_UNAVAILABLE :Too many logins are in progress, please try again"
                ),
            );
            return Flow::Done;
        }
        self.bodies.get_mut(buffer)[..password.len()].copy_from_slice(password.as_bytes());
        let k = self.conns[c].credential;
        self.credentials[k].buffer = Some(buffer);
        self.credentials[k].message = Some(password.len() as u16);
        Flow::Done
    }

    /// After NICK, USER and CAP END: goes as far as possible.
    pub(in crate::server) fn proceed(&mut self, c: u32) -> Flow {
        let conn = &self.conns[c];
        if conn.is_welcomed() || conn.negotiating || conn.nick.is_empty() || !conn.has_user {
            return Flow::Done;
        }
        if conn.account != NIL {
            self.welcome(c);
            return Flow::Done;
        }
        let k = conn.credential;
        if k != NIL && self.credentials[k].method == Method::Pass {
            return self.log_in_with_pass(c);
        }
        if self.config.guests && (k == NIL || self.credentials[k].method == Method::Guest) {
            return self.guest_in(c);
        }
        if !conn.advised {
            self.conns[c].advised = true;
            self.advise(c);
        }
        Flow::Done
    }

    /// Says how to log in or get an account.
    pub(in crate::server) fn advise(&mut self, c: u32) {
        let plain = if self.takes_raw(c) { " or PLAIN" } else { "" };
        self.notice(
            c,
            format_args!(
                "You need to log in. Set up SASL (SCRAM-SHA-256{plain}) in your client and connect again."
            ),
        );
        match (self.config.registration, self.takes_raw(c)) {
            (Registration::Closed, _) => {
                self.notice(c, format_args!("No account yet? The owner of this server can make one for you."));
            }
            (Registration::Open, true) => {
                self.notice(c, format_args!("No account yet? Type /quote REGISTER * * <password> to register your nick."));
            }
            (Registration::Invite(_), true) => {
                self.notice(c, format_args!("No account yet? With an invitation type /quote REGISTER * <invitation> <password>"));
            }
            (_, false) => self.notice(c, format_args!(
                "No account yet? Register over TLS or on the server's own machine: in the clear no password is taken."
            )),
        }
    }

    pub(in crate::server) fn log_in_with_pass(&mut self, c: u32) -> Flow {
        let k = self.conns[c].credential;
        let mut copy = [0; auth::PASSWORD_MAX];
        let len = usize::from(self.credentials[k].message.unwrap_or(0)).min(copy.len());
        if let Some(buffer) = self.credentials[k].buffer {
            copy[..len].copy_from_slice(&self.bodies.get(buffer)[..len]);
        }
        let text = core::str::from_utf8(&copy[..len]).unwrap_or_default();
        let nick = self.conns[c].nick;
        let (name, password) = match text.split_once(':') {
            Some((name, password)) if name::check_nick(name).is_ok() => (name, password),
            _ => (&*nick, text),
        };
        let checked = self.check_raw(c, name, password);
        copy.fill(0);
        match checked {
            Ok(account) => self.log_in(c, account),
            Err(flow) => flow,
        }
    }

    pub(in crate::server) fn guest_in(&mut self, c: u32) -> Flow {
        let k = self.conns[c].credential;
        if k == NIL {
            if !self.take_credential(c, Method::Guest) {
                self.stalled.push_back(&mut self.conns, c);
                return Flow::Wait;
            }
            let k = self.conns[c].credential;
            self.credentials[k].name = self.conns[c].nick;
            let handle = self.credentials.handle(k);
            if self.ask(c, What::CreateAccount(handle)) {
                self.credentials[k].progress = Progress::Creating;
            } else {
                self.release_credential(c);
            }
            return Flow::Wait;
        }
        match self.credentials[k].progress {
            Progress::Created(account) => self.log_in(c, account),
            Progress::Refused(_) => {
                let nick = self.conns[c].nick;
                self.release_credential(c);
                self.conns[c].nick.clear();
                self.numeric(
                    c,
                    ERR_NICKNAMEINUSE,
                    format_args!(
                        "{nick} :That nick is registered or in use; log in to it or choose another"
                    ),
                );
                Flow::Done
            }
            _ => Flow::Wait,
        }
    }
}
