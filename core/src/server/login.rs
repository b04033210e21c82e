//! Until an account is logged in to: SASL (SCRAM-SHA-256 and PLAIN), PASS, REGISTER, guests; and what follows a login.

use core::fmt;

use base64ct::{Base64, Encoding};
use rand_chacha::rand_core::Rng;

use super::account::Loaded;
use super::conn::{Memo, Phase};
use super::input::Flow;
use super::job::{self, Job, Task};
use super::request::What;
use super::{Protocol, Server};
use crate::auth::derive::Derivation;
use crate::auth::sasl::{Assembler, ChunkError, Plain};
use crate::auth::scram::{self, ClientFirst, Handshake};
use crate::auth::{self, fake_verifier};
use crate::config::{Rate, Registration};
use crate::id::{AccountId, Handle};
use crate::irc::caps::Policy;
use crate::irc::message::Message;
use crate::irc::numeric::*;
use crate::name::{self, Nick};
use crate::store::{
    AccountFlags, AccountRecord, DirectRow, MemberFlags, MemberRecord, MembershipRow, Outcome,
    Reason, Verifier, next_row,
};
use crate::tables::{List, NIL};
use crate::text::Text;
use crate::time::Instant;

/// Longest time between two messages of a login, milliseconds.
const EXPIRE_MS: u64 = 60_000;

/// How far a login has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Progress {
    #[default]
    Idle,
    /// The store was asked for the account.
    Asked,
    NoAccount,
    Known {
        account: AccountId,
        flags: AccountFlags,
        verifier: Verifier,
    },
    /// A key is being derived, a slice each `poll`.
    Deriving,
    Derived,
    Creating,
    Created(AccountId),
    Refused(Reason),
}

/// What is being done with the credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Method {
    #[default]
    None,
    Scram,
    /// SCRAM, and the proof was right: the client's empty answer is awaited.
    Proved,
    Plain,
    Pass,
    Register,
    Guest,
}

/// Slot of a login in progress.
#[derive(Default)]
pub struct Credential {
    conn: u32,
    pub(super) method: Method,
    pub(super) progress: Progress,
    since: Instant,
    name: Nick,
    assembler: Assembler,
    /// Bytes of a SASL message, or the password of PASS.
    buffer: Option<u32>,
    /// Length of the complete message in it.
    message: Option<u16>,
    handshake: Option<Handshake>,
    derivation: Option<Derivation>,
    account: AccountId,
    verifier: Option<Verifier>,
}

impl Credential {
    pub(super) const fn asks(&self) -> bool {
        matches!(self.progress, Progress::Asked)
    }

    /// Names an account to be created; its verifier, unless that is to be derived.
    pub(super) fn name_it(&mut self, name: &str, verifier: Option<Verifier>) {
        self.name = Text::truncated(name);
        self.verifier = verifier;
    }

    /// The verifier derived.
    pub(super) fn derived(&self) -> Option<Verifier> {
        self.derivation.as_ref().and_then(Derivation::verifier)
    }

    /// Whether it is a login to that account.
    pub(super) fn is_for(&self, id: AccountId) -> bool {
        self.account == id
            || matches!(self.progress, Progress::Known { account, .. } if account == id)
    }

    /// Makes a login fail at its end: what it was to prove is no longer true.
    pub(super) fn forget_account(&mut self) {
        self.account = AccountId::NONE;
        if matches!(self.progress, Progress::Known { .. }) {
            self.progress = Progress::NoAccount;
        }
    }
}

impl Server<'_> {
    /// Whether raw passwords are taken from a connection.
    pub(super) fn takes_raw(&self, c: u32) -> bool {
        self.conns[c].is_private() && !self.config.no_raw_passwords
    }

    pub(super) fn policy(&self, c: u32) -> Policy<'_> {
        Policy {
            raw_passwords: self.takes_raw(c),
            registration: self.config.registration,
            iterations: self.config.iterations,
        }
    }

    // ---- credentials

    /// Takes a slot for a login. The slots are shared fairly: when all are taken, an expired one goes, or one of an address that has several.
    pub(super) fn take_credential(&mut self, now: Instant, c: u32, method: Method) -> bool {
        self.release_credential(c);
        if self.credentials.is_full()
            && let Some(old) = self.dispensable(now)
        {
            let conn = self.credentials[old].conn;
            self.release_credential(conn);
            if self.reserve_reply(conn) {
                self.numeric(
                    conn,
                    ERR_SASLFAIL,
                    format_args!(":Too many logins are in progress, please try again"),
                );
            }
        }
        let credential = Credential {
            conn: c,
            method,
            since: now,
            ..Credential::default()
        };
        match self.credentials.insert(credential) {
            Some(k) => {
                self.conns[c].credential = k;
                true
            }
            None => false,
        }
    }

    fn dispensable(&self, now: Instant) -> Option<u32> {
        let used = || (0..self.credentials.high_water()).filter(|k| self.credentials.in_use(*k));
        let idle = |k: &u32| matches!(self.credentials[*k].progress, Progress::Idle);
        if let Some(expired) = used()
            .filter(idle)
            .find(|k| now - self.credentials[*k].since > EXPIRE_MS)
        {
            return Some(expired);
        }
        let address = |k: u32| self.conns[self.credentials[k].conn].address;
        let count = |k: u32| used().filter(|other| address(*other) == address(k)).count();
        used()
            .filter(idle)
            .map(|k| (count(k), k))
            .max()
            .filter(|(n, _)| *n > 1)
            .map(|(_, k)| k)
    }

    pub(super) fn release_credential(&mut self, c: u32) {
        let k = core::mem::replace(&mut self.conns[c].credential, NIL);
        if k == NIL {
            return;
        }
        if let Some(buffer) = self.credentials[k].buffer {
            self.bodies.get_mut(buffer).fill(0);
            self.bodies.give(buffer);
        }
        if matches!(self.credentials[k].progress, Progress::Deriving) {
            self.conns[c].awaiting = false;
        }
        self.credentials.remove(k);
        self.unstall();
    }

    pub(super) fn is_deriving(&self) -> bool {
        (0..self.credentials.high_water()).any(|k| {
            self.credentials.in_use(k) && matches!(self.credentials[k].progress, Progress::Deriving)
        })
    }

    /// Derives a slice of the keys that are to be derived; a connection whose key is there runs on.
    pub(super) fn derive(&mut self) {
        let mut budget = self.config.derive_budget.max(1);
        for k in 0..self.credentials.high_water() {
            if budget == 0 {
                return;
            }
            if !self.credentials.in_use(k)
                || !matches!(self.credentials[k].progress, Progress::Deriving)
            {
                continue;
            }
            let c = self.credentials[k].conn;
            if let Some(derivation) = &mut self.credentials[k].derivation {
                budget = budget.saturating_sub(derivation.step(budget));
                if !derivation.is_done() {
                    continue;
                }
            }
            self.credentials[k].progress = Progress::Derived;
            self.conns[c].awaiting = false;
            self.make_runnable(c);
        }
    }

    pub(super) fn start_deriving(
        &mut self,
        c: u32,
        password: &[u8],
        salt: &[u8; 16],
        iterations: u32,
    ) {
        let k = self.conns[c].credential;
        self.credentials[k].derivation = Some(Derivation::start(password, salt, iterations));
        self.credentials[k].progress = Progress::Deriving;
        self.conns[c].awaiting = true;
    }

    // ---- rates

    fn rate_keys(&self, c: u32, folded: &str) -> [(u64, Rate); 3] {
        let address = self.conns[c].address;
        let per_address = self.config.login_address_rate;
        let everywhere = Rate {
            burst: per_address.burst.saturating_mul(10),
            ..per_address
        };
        [
            (
                self.hash(&[b"login", folded.as_bytes(), &address]),
                self.config.login_rate,
            ),
            (self.hash(&[b"login from", &address]), per_address),
            (self.hash(&[b"login to", folded.as_bytes()]), everywhere),
        ]
    }

    /// Charges an attempt to log in; milliseconds to wait if there were too many. A success gives it back.
    fn charge_login(&mut self, now: Instant, c: u32, folded: &str) -> Result<(), u64> {
        let keys = self.rate_keys(c, folded);
        for (key, rate) in keys {
            self.throttles.peek(now, key, rate)?;
        }
        for (key, rate) in keys {
            self.throttles.charge(now, key, rate);
        }
        Ok(())
    }

    fn refund_login(&mut self, now: Instant, c: u32, folded: &str) {
        for (key, rate) in self.rate_keys(c, folded) {
            self.throttles.refund(now, key, rate);
        }
    }

    // ---- SASL

    pub(super) fn authenticate(&mut self, now: Instant, c: u32, message: &Message<'_>) -> Flow {
        let Some(param) = message.param(0).filter(|param| !param.is_empty()) else {
            self.numeric(
                c,
                ERR_NEEDMOREPARAMS,
                format_args!("AUTHENTICATE :Not enough parameters"),
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
        let k = self.conns[c].credential;
        let method = if k == NIL {
            Method::None
        } else {
            self.credentials[k].method
        };
        match method {
            Method::Scram | Method::Proved | Method::Plain => {
                self.credentials[k].since = now;
                self.sasl_data(now, c, param)
            }
            _ => self.sasl_begin(now, c, param),
        }
    }

    fn sasl_begin(&mut self, now: Instant, c: u32, mechanism: &str) -> Flow {
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
            return self.sasl_fail(
                c,
                format_args!("That mechanism is not available on this connection"),
            );
        };
        if !self.take_credential(now, c, method) {
            return self.sasl_fail(
                c,
                format_args!("Too many logins are in progress, please try again"),
            );
        }
        self.reply(c, format_args!("AUTHENTICATE +"));
        Flow::Done
    }

    fn sasl_fail(&mut self, c: u32, why: fmt::Arguments<'_>) -> Flow {
        self.release_credential(c);
        self.numeric(c, ERR_SASLFAIL, format_args!(":{why}"));
        Flow::Done
    }

    fn sasl_data(&mut self, now: Instant, c: u32, chunk: &str) -> Flow {
        let k = self.conns[c].credential;
        if self.credentials[k].message.is_none() {
            let buffer = match self.credentials[k].buffer.or_else(|| self.bodies.take()) {
                Some(buffer) => buffer,
                None => {
                    self.stalled.push_back(&mut self.conns, c);
                    return Flow::Wait;
                }
            };
            self.credentials[k].buffer = Some(buffer);
            let mut assembler = self.credentials[k].assembler;
            let taken = assembler.push(self.bodies.get_mut(buffer), chunk);
            self.credentials[k].assembler = assembler;
            match taken {
                Ok(None) => return Flow::Done,
                Ok(Some(len)) => self.credentials[k].message = Some(len as u16),
                Err(ChunkError::TooLong) => {
                    self.release_credential(c);
                    self.numeric(
                        c,
                        ERR_SASLTOOLONG,
                        format_args!(":That SASL message is too long"),
                    );
                    return Flow::Done;
                }
                Err(ChunkError::Malformed) => {
                    return self.sasl_fail(c, format_args!("That SASL message is not base64"));
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
                format_args!(":That SASL message is too long"),
            );
            return Flow::Done;
        };
        to.copy_from_slice(from);
        let flow = match self.credentials[k].method {
            Method::Plain => self.sasl_plain(now, c, &copy[..len]),
            Method::Proved => self.sasl_proved(now, c, len),
            _ if self.credentials[k].handshake.is_some() => self.scram_final(now, c, &copy[..len]),
            _ => self.scram_first(now, c, &copy[..len]),
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
    fn look_up(
        &mut self,
        now: Instant,
        c: u32,
        spelled: &str,
    ) -> Result<Option<(AccountId, Verifier)>, Flow> {
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Idle => {
                let Some(folded) = name::fold::<{ name::NICK_MAX }>(spelled) else {
                    return Ok(None);
                };
                if let Err(wait) = self.charge_login(now, c, &folded) {
                    let seconds = wait.div_ceil(1_000);
                    return Err(self.sasl_fail(
                        c,
                        format_args!("Too many attempts to log in; try again in {seconds} s"),
                    ));
                }
                self.credentials[k].name = folded;
                self.credentials[k].progress = Progress::Asked;
                if !self.ask(c, What::FindAccount(folded)) {
                    // No slot: the attempt is not to be charged twice.
                    self.credentials[k].progress = Progress::Idle;
                    self.refund_login(now, c, &folded);
                }
                Err(Flow::Wait)
            }
            Progress::Asked => {
                // The store failed.
                Err(self.sasl_fail(
                    c,
                    format_args!("The server could not read its storage, please try again"),
                ))
            }
            Progress::Known {
                account,
                flags,
                verifier,
            } if !flags.intersects(AccountFlags::DISABLED | AccountFlags::GUEST) => {
                Ok(Some((account, verifier)))
            }
            _ => Ok(None),
        }
    }

    /// The verifier of an account, or one that no password matches.
    fn verifier_or_fake(
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

    fn scram_first(&mut self, now: Instant, c: u32, message: &[u8]) -> Flow {
        let first = match ClientFirst::parse(message) {
            Ok(first) => first,
            Err(error) => return self.sasl_fail(c, format_args!("{error}")),
        };
        let found = match self.look_up(now, c, &first.name) {
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
            Err(error) => return self.sasl_fail(c, format_args!("{error}")),
        };
        let k = self.conns[c].credential;
        self.credentials[k].handshake = Some(handshake);
        self.credentials[k].progress = Progress::Idle;
        self.send_sasl(c, &out[..len])
    }

    fn send_sasl(&mut self, c: u32, message: &[u8]) -> Flow {
        let mut text = [0; 400];
        match Base64::encode(message, &mut text) {
            Ok(text) => self.reply(c, format_args!("AUTHENTICATE {text}")),
            Err(_) => {
                return self.sasl_fail(c, format_args!("The login's parameters are too long"));
            }
        }
        Flow::Done
    }

    fn scram_final(&mut self, now: Instant, c: u32, message: &[u8]) -> Flow {
        let k = self.conns[c].credential;
        let Some(handshake) = self.credentials[k].handshake.take() else {
            return self.sasl_fail(c, format_args!("That message is out of order"));
        };
        let mut out = [0; 64];
        match handshake.finish(message, &mut out) {
            Ok(len) if !self.credentials[k].account.is_none() => {
                let folded = self.credentials[k].name;
                self.refund_login(now, c, &folded);
                self.credentials[k].method = Method::Proved;
                self.send_sasl(c, &out[..len])
            }
            Ok(_) => self.sasl_fail(c, format_args!("Wrong name or password")),
            Err(error) => self.sasl_fail(c, format_args!("{error}")),
        }
    }

    fn sasl_proved(&mut self, now: Instant, c: u32, len: usize) -> Flow {
        if len > 0 {
            return self.sasl_fail(c, format_args!("An empty message was expected"));
        }
        let k = self.conns[c].credential;
        let account = self.credentials[k].account;
        self.log_in(now, c, account)
    }

    fn sasl_plain(&mut self, now: Instant, c: u32, message: &[u8]) -> Flow {
        match Plain::parse(message) {
            Ok(plain) => match self.check_raw(now, c, plain.name, plain.password) {
                Ok(account) => self.log_in(now, c, account),
                Err(flow) => flow,
            },
            Err(_) => self.sasl_fail(c, format_args!("A name and a password are needed")),
        }
    }

    /// Checks a raw password, in slices. `Ok` with the account it belongs to.
    fn check_raw(
        &mut self,
        now: Instant,
        c: u32,
        spelled: &str,
        password: &str,
    ) -> Result<AccountId, Flow> {
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Created(account) => return Ok(account),
            Progress::Derived => {
                let credential = &self.credentials[k];
                let matches = credential
                    .derivation
                    .as_ref()
                    .zip(credential.verifier.as_ref())
                    .is_some_and(|(derivation, verifier)| derivation.matches(verifier));
                let (account, folded) = (credential.account, credential.name);
                if !matches || account.is_none() {
                    return Err(self.sasl_fail(c, format_args!("Wrong name or password")));
                }
                self.refund_login(now, c, &folded);
                // From here on the key need not be derived again.
                self.credentials[k].progress = Progress::Created(account);
                return Ok(account);
            }
            _ => {}
        }
        let found = self.look_up(now, c, spelled)?;
        let (_, verifier) = self.verifier_or_fake(c, found, spelled);
        self.credentials[k].verifier = Some(verifier);
        self.start_deriving(c, password.as_bytes(), &verifier.salt, verifier.iterations);
        Err(Flow::Wait)
    }

    /// The credential was right: the account is entered into, if it still may be.
    fn log_in(&mut self, now: Instant, c: u32, account: AccountId) -> Flow {
        let Some(a) = self.account_by_id(account) else {
            if core::mem::take(&mut self.conns[c].memo) != Memo::None {
                return self.sasl_fail(c, format_args!("That account is gone"));
            }
            self.ask(c, What::LoadAccount(account));
            return Flow::Wait;
        };
        if self.accounts[a].flags.contains(AccountFlags::DISABLED) {
            return self.sasl_fail(c, format_args!("Wrong name or password"));
        }
        let method = self.conns[c].credential;
        let guest = method != NIL && self.credentials[method].method == Method::Guest;
        self.release_credential(c);
        self.conns[c].memo = Memo::None;
        self.pin_account(a);
        self.conns[c].account = a;
        self.conns[c].presence_seen = self.stamp;
        let (nick, server) = (self.accounts[a].name, self.config.server_name);
        if !guest {
            let old = self.nick_copy(c);
            self.reply(c, format_args!(":{server} {RPL_LOGGEDIN:03} {old} {nick}!{nick}@{server} {nick} :You are now logged in as {nick}"));
            self.numeric(
                c,
                RPL_SASLSUCCESS,
                format_args!(":The login was successful"),
            );
        }
        self.welcome(now, c);
        Flow::Done
    }

    // ---- PASS, NICK, USER, CAP END

    /// Keeps the password of PASS until the name is known.
    pub(super) fn keep_pass(&mut self, now: Instant, c: u32, password: &str) -> Flow {
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
        if !self.take_credential(now, c, Method::Pass) {
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
    pub(super) fn proceed(&mut self, now: Instant, c: u32) -> Flow {
        let conn = &self.conns[c];
        if conn.is_welcomed() || conn.negotiating || conn.nick.is_empty() || !conn.has_user {
            return Flow::Done;
        }
        if conn.account != NIL {
            self.welcome(now, c);
            return Flow::Done;
        }
        let k = conn.credential;
        if k != NIL && self.credentials[k].method == Method::Pass {
            return self.log_in_with_pass(now, c);
        }
        if self.config.guests && (k == NIL || self.credentials[k].method == Method::Guest) {
            return self.guest_in(now, c);
        }
        if !conn.advised {
            self.conns[c].advised = true;
            self.advise(c);
        }
        Flow::Done
    }

    /// Says how to log in or get an account.
    fn advise(&mut self, c: u32) {
        self.notice(
            c,
            format_args!(
                "You need to log in. Set up SASL (SCRAM-SHA-256) in your client and connect again."
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

    fn log_in_with_pass(&mut self, now: Instant, c: u32) -> Flow {
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
        let checked = self.check_raw(now, c, name, password);
        copy.fill(0);
        match checked {
            Ok(account) => self.log_in(now, c, account),
            Err(Flow::Wait) => Flow::Wait,
            Err(Flow::Done) => {
                self.numeric(
                    c,
                    ERR_PASSWDMISMATCH,
                    format_args!(":Wrong name or password"),
                );
                Flow::Done
            }
        }
    }

    // ---- REGISTER (IRCv3 draft/account-registration)

    pub(super) fn register(&mut self, now: Instant, c: u32, message: &Message<'_>) -> Flow {
        let (Some(account), Some(email), Some(password)) =
            (message.param(0), message.param(1), message.param(2))
        else {
            self.fail(c, "REGISTER", format_args!("NEED_MORE_PARAMS :REGISTER needs an account (or *), an e-mail (or *) and a password"));
            return Flow::Done;
        };
        let k = self.conns[c].credential;
        if k != NIL && self.credentials[k].method == Method::Register {
            return self.registering(now, c);
        }
        if self.conns[c].account != NIL {
            self.fail(
                c,
                "REGISTER",
                format_args!(
                    "ALREADY_AUTHENTICATED :You already have an account and are logged in to it"
                ),
            );
            return Flow::Done;
        }
        let nick = self.conns[c].nick;
        let spelled = match account {
            "*" if nick.is_empty() => {
                self.fail(
                    c,
                    "REGISTER",
                    format_args!("NEED_NICK * :Choose a nick first: it is your account's name"),
                );
                return Flow::Done;
            }
            "*" => nick,
            name => Text::truncated(name),
        };
        let shown = Text::<64>::truncated(account);
        if !nick.is_empty() && !name::eq_folded(&nick, &spelled) {
            self.fail(
                c,
                "REGISTER",
                format_args!(
                    "ACCOUNT_NAME_MUST_BE_NICK {shown} :An account has the name of the nick"
                ),
            );
            return Flow::Done;
        }
        if account != "*"
            && let Err(error) = name::check_nick(account)
        {
            self.fail(c, "REGISTER", format_args!("BAD_ACCOUNT_NAME * :{error}"));
            return Flow::Done;
        }
        match self.config.registration {
            Registration::Open => {}
            Registration::Invite(code) if code == email => {}
            Registration::Invite(_) => {
                self.fail(c, "REGISTER", format_args!("INVITE_REQUIRED {spelled} :Registration needs an invitation, in place of the e-mail"));
                return Flow::Done;
            }
            Registration::Closed => {
                self.fail(
                    c,
                    "REGISTER",
                    format_args!(
                        "REGISTRATION_CLOSED {spelled} :Ask the owner of this server for an account"
                    ),
                );
                return Flow::Done;
            }
        }
        let verifier = match self.new_password(c, "REGISTER", &spelled, password) {
            Ok(verifier) => verifier,
            Err(()) => return Flow::Done,
        };
        let key = self.hash(&[b"register", &self.conns[c].address]);
        if let Err(wait) = self.throttles.take(now, key, self.config.register_rate) {
            let seconds = wait.div_ceil(1_000);
            self.fail(c, "REGISTER", format_args!(
                "TEMPORARILY_UNAVAILABLE {spelled} :Too many registrations from your address; try again in {seconds} s"
            ));
            return Flow::Done;
        }
        if !self.take_credential(now, c, Method::Register) {
            self.fail(c, "REGISTER", format_args!("TEMPORARILY_UNAVAILABLE {spelled} :Too many logins are in progress, please try again"));
            return Flow::Done;
        }
        let k = self.conns[c].credential;
        self.credentials[k].name = spelled;
        match verifier {
            Some(verifier) => {
                self.credentials[k].verifier = Some(verifier);
                self.registering(now, c)
            }
            None => {
                let salt = self.new_salt();
                self.start_deriving(c, password.as_bytes(), &salt, self.config.iterations);
                Flow::Wait
            }
        }
    }

    /// Checks a new password, raw or as a verifier; `None` for a raw one that is to be derived. Says what is wrong.
    pub(super) fn new_password(
        &mut self,
        c: u32,
        command: &str,
        name: &str,
        password: &str,
    ) -> Result<Option<Verifier>, ()> {
        if password.starts_with("SCRAM-SHA-256$") {
            return match Verifier::parse(password) {
                Ok(verifier) if verifier.iterations == self.config.iterations => Ok(Some(verifier)),
                Ok(_) => {
                    let iterations = self.config.iterations;
                    self.fail(c, command, format_args!("UNACCEPTABLE_PASSWORD {name} :A verifier must have {iterations} iterations here"));
                    Err(())
                }
                Err(error) => {
                    self.fail(
                        c,
                        command,
                        format_args!("UNACCEPTABLE_PASSWORD {name} :{error}"),
                    );
                    Err(())
                }
            };
        }
        if !self.takes_raw(c) {
            self.fail(c, command, format_args!(
                "RAW_PASSWORD_REFUSED {name} :A password is taken in the clear on TLS and on this machine only"
            ));
            return Err(());
        }
        match auth::check_password(password) {
            Ok(()) => Ok(None),
            Err(error) => {
                self.fail(c, command, format_args!("WEAK_PASSWORD {name} :{error}"));
                Err(())
            }
        }
    }

    fn registering(&mut self, now: Instant, c: u32) -> Flow {
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Idle | Progress::Derived => self.create_account(c),
            Progress::Created(account) => {
                let spelled = self.credentials[k].name;
                if self.conns[c].nick.is_empty() {
                    self.conns[c].nick = spelled;
                }
                if self.account_by_id(account).is_some() {
                    let server = self.config.server_name;
                    self.reply(
                        c,
                        format_args!(
                            ":{server} REGISTER SUCCESS {spelled} :Your account is registered"
                        ),
                    );
                }
                self.log_in(now, c, account)
            }
            Progress::Refused(Reason::Exists) => {
                let spelled = self.credentials[k].name;
                self.release_credential(c);
                self.fail(c, "REGISTER", format_args!("ACCOUNT_EXISTS {spelled} :That name is registered already; log in, or choose another nick"));
                Flow::Done
            }
            Progress::Refused(reason) => {
                let spelled = self.credentials[k].name;
                self.release_credential(c);
                let why = super::reply::reason_text(reason);
                self.fail(
                    c,
                    "REGISTER",
                    format_args!("TEMPORARILY_UNAVAILABLE {spelled} :{why}"),
                );
                Flow::Done
            }
            _ => Flow::Wait,
        }
    }

    /// Has the account of a credential created.
    pub(super) fn create_account(&mut self, c: u32) -> Flow {
        if self.accounts_exist.is_none()
            || (self.accounts_exist == Some(false) && self.first_account_pending)
        {
            // Whether it is the first, and so the owner's, is not known yet.
            self.stalled.push_back(&mut self.conns, c);
            return Flow::Wait;
        }
        let k = self.conns[c].credential;
        if self.credentials[k].verifier.is_none() {
            self.credentials[k].verifier = self.credentials[k].derived();
        }
        let handle = self.credentials.handle(k);
        if self.ask(c, What::CreateAccount(handle)) {
            self.credentials[k].progress = Progress::Creating;
            self.first_account_pending = self.accounts_exist == Some(false);
        }
        Flow::Wait
    }

    pub(super) fn new_salt(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.rng.fill_bytes(&mut salt);
        salt
    }

    /// What the new account of a credential is to be.
    pub(super) fn new_account(&self, credential: Handle) -> (&str, &str, Verifier, AccountFlags) {
        let Some(k) = self.credentials.resolve(credential) else {
            return ("", "", Verifier::NONE, AccountFlags::empty());
        };
        let credential = &self.credentials[k];
        let flags = match credential.method {
            Method::Guest => AccountFlags::GUEST,
            _ if self.accounts_exist == Some(false) => AccountFlags::OWNER,
            _ => AccountFlags::empty(),
        };
        (
            &credential.name,
            "",
            credential.verifier.unwrap_or(Verifier::NONE),
            flags,
        )
    }

    pub(super) fn account_created(&mut self, now: Instant, credential: Handle, account: AccountId) {
        let Some(k) = self.credentials.resolve(credential) else {
            self.accounts_exist = Some(true);
            self.first_account_pending = false;
            return;
        };
        let created = self.clock.unix(now);
        let (name, _, verifier, flags) = self.new_account(credential);
        let name: Nick = Text::truncated(name);
        let record = AccountRecord {
            id: account,
            name: &name,
            display: "",
            titles: "",
            flags: flags.bits(),
            verifier,
            created,
        };
        self.install_account(&record);
        if !flags.contains(AccountFlags::GUEST) {
            self.accounts_exist = Some(true);
            self.first_account_pending = false;
        }
        self.credentials[k].progress = Progress::Created(account);
        self.unstall_all();
    }

    pub(super) fn account_refused(&mut self, credential: Handle, reason: Reason) {
        self.first_account_pending = false;
        if let Some(k) = self.credentials.resolve(credential) {
            self.credentials[k].progress = Progress::Refused(reason);
        }
        self.unstall_all();
    }

    // ---- guests

    fn guest_in(&mut self, now: Instant, c: u32) -> Flow {
        let k = self.conns[c].credential;
        if k == NIL {
            if !self.take_credential(now, c, Method::Guest) {
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
            Progress::Created(account) => self.log_in(now, c, account),
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

    // ---- after the login

    /// Welcomes a connection that is logged in and has said everything.
    fn welcome(&mut self, now: Instant, c: u32) {
        let conn = &self.conns[c];
        if conn.negotiating || conn.nick.is_empty() || !conn.has_user || conn.is_welcomed() {
            return;
        }
        let a = conn.account;
        self.conns[c].nick = self.accounts[a].name;
        self.conns[c].phase = Phase::Loading;
        self.accounts[a].conns.push_back(&mut self.conns, c);
        self.accounts[a].online += 1;
        self.accounts[a].active = now;
        if self.accounts[a].online == 1 {
            self.accounts[a].away.clear();
        }
        self.timers.set(c, now + u64::from(self.config.ping_ms));
        self.conns[c].heard = now;
        self.start_job(c, Job::new(Task::Welcome));
    }

    /// A welcomed connection enters its account's rooms, once these are in memory. False while it must wait.
    pub(super) fn enter(&mut self, c: u32) -> bool {
        let a = self.conns[c].account;
        match self.accounts[a].loaded {
            Loaded::No => {
                self.accounts[a].loaded = Loaded::By(c);
                self.conns[c].job = Job {
                    wants: true,
                    ..Job::new(Task::Memberships)
                };
                self.ask_for_page(c);
                false
            }
            Loaded::By(other) if other != c => false,
            Loaded::By(_) | Loaded::Yes => {
                // Not by the count: a second device may have come while the memberships of the first were loaded.
                let first = !core::mem::replace(&mut self.accounts[a].announced, true);
                self.accounts[a].loaded = Loaded::Yes;
                let mut next = self.accounts[a].members.front();
                while let Some(m) = next {
                    next = List::<0>::next(&self.members, m);
                    let room = self.channels[self.members[m].channel].is_room();
                    if room && self.members[m].flags.contains(MemberFlags::JOINED) {
                        match self.attach(c, m, None) {
                            Some(t) => self.introduce(t),
                            None => self.close_with_error(
                                c,
                                "The server has no room for all your channels now",
                            ),
                        }
                    }
                }
                self.conns[c].phase = if self.fetches_history(c) {
                    Phase::Online
                } else {
                    Phase::Directs
                };
                if first || self.accounts[a].away_conns > 0 {
                    self.presence_changed(a);
                }
                true
            }
        }
    }

    /// Goes on bringing the rooms of an account into memory.
    pub(super) fn load_memberships(&mut self, c: u32) {
        let a = self.conns[c].account;
        loop {
            if self.conns[c].page_asked {
                return;
            }
            let mut job = self.conns[c].job;
            let (row, at) = match self.membership_row(&mut job) {
                Ok(row) => row,
                Err(end) => {
                    self.conns[c].job = job;
                    self.release_page(c, job.page);
                    if !end {
                        self.ask_for_page(c);
                        return;
                    }
                    if job.failed {
                        self.accounts[a].loaded = Loaded::No;
                        self.close_with_error(
                            c,
                            "The server could not read its storage; please connect again",
                        );
                    } else {
                        self.accounts[a].loaded = Loaded::Yes;
                    }
                    self.end_job(c);
                    self.wake_account(a);
                    return;
                }
            };
            match self.channel_by_id(row.0) {
                Some(ch) => {
                    if self.install_member(a, ch, &row.1).is_none() {
                        self.accounts[a].loaded = Loaded::No;
                        self.end_job(c);
                        self.close_with_error(
                            c,
                            "The server has no room for all your channels now",
                        );
                        self.wake_account(a);
                        return;
                    }
                }
                None => match core::mem::take(&mut self.conns[c].memo) {
                    Memo::None => {
                        self.ask(c, What::LoadChannel(row.0));
                        return;
                    }
                    Memo::Refused(_) => {
                        self.accounts[a].loaded = Loaded::No;
                        self.end_job(c);
                        self.close_with_error(
                            c,
                            "The server has no room for all your channels now",
                        );
                        self.wake_account(a);
                        return;
                    }
                    // The room is gone.
                    _ => {}
                },
            }
            self.conns[c].memo = Memo::None;
            (job.at, job.after) = (at, u64::from(row.0.0));
            self.conns[c].job = job;
        }
    }

    /// The next row of memberships; `Err(true)` at the end, `Err(false)` when a page must come.
    fn membership_row(
        &self,
        job: &mut Job,
    ) -> Result<((crate::id::ChannelId, MemberRecord), u16), bool> {
        match self.row::<MembershipRow<'_>>(job) {
            job::Row::Is(row, at) => Ok(((row.channel, row.member), at)),
            job::Row::Page => Err(false),
            job::Row::End => Err(true),
        }
    }

    // ---- direct chats missed, for clients that cannot ask

    /// Goes on with the direct chats that a client must be told of. False while it must wait.
    pub(super) fn next_direct(&mut self, c: u32) -> bool {
        let Some(DirectRow { channel, peer }) = self.conns[c].direct else {
            if !self.conns[c].page_asked {
                let conn = self.conns.handle(c);
                match self.request(What::Unread { conn }) {
                    Some(_) => self.conns[c].page_asked = true,
                    None => self.stalled.push_back(&mut self.conns, c),
                }
            }
            return false;
        };
        let memo = core::mem::take(&mut self.conns[c].memo);
        if self.account_by_id(peer).is_none() {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::LoadAccount(peer));
            return false;
        }
        let Some(ch) = self.channel_by_id(channel) else {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::LoadChannel(channel));
            return false;
        };
        let a = self.conns[c].account;
        let id = self.accounts[a].id;
        let Some(m) = self.install_member(a, ch, &MemberRecord::default()) else {
            self.skip_direct(c);
            return true;
        };
        if !matches!(memo, Memo::Member { channel: found, account, .. } if found == channel && account == id)
        {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::FindMember(channel, id));
            return false;
        }
        if self.attachment_of(c, ch).is_none()
            && let Some(t) = self.attach(c, m, None)
        {
            self.introduce(t);
        }
        self.skip_direct(c);
        true
    }

    fn skip_direct(&mut self, c: u32) {
        if let Some(row) = self.conns[c].direct.take() {
            self.conns[c].directs_after = row.channel;
        }
    }

    pub(super) fn unread_found(&mut self, conn: Handle, outcome: Outcome<'_>) {
        let Some(c) = self.conns.resolve(conn) else {
            return;
        };
        self.conns[c].page_asked = false;
        let row = match outcome {
            Outcome::Page { mut rows, .. } => next_row::<DirectRow>(&mut rows),
            _ => None,
        };
        match row {
            Some(row) => self.conns[c].direct = Some(row),
            None if core::mem::take(&mut self.conns[c].late_direct) => {
                self.conns[c].directs_after = crate::id::ChannelId::NONE;
            }
            None => self.conns[c].phase = Phase::Online,
        }
        self.make_runnable(c);
    }

    /// Whether a command may be used before logging in.
    pub(super) fn may_before_login(&self, c: u32, message: &Message<'_>) -> bool {
        const ALLOWED: [&str; 9] = [
            "CAP",
            "NICK",
            "USER",
            "PASS",
            "AUTHENTICATE",
            "REGISTER",
            "PING",
            "PONG",
            "QUIT",
        ];
        self.conns[c].is_welcomed()
            || ALLOWED.iter().any(|command| message.is(command))
            || (self.conns[c].protocol == Protocol::Control && message.is("ACCOUNT"))
    }
}

/// Longest SASL message that is read.
const MESSAGE_MAX: usize = 768;
