//! Until an account is logged in to, and what follows: the logins in progress, how often one may try, and the step inside.

mod enter;
mod nick;
mod register;
mod sasl;

use core::fmt;

use super::Server;
use super::account::Removal;
use super::conn::Memo;
use super::input::Flow;
use super::request::What;
use crate::auth::derive::Derivation;
use crate::auth::sasl::Assembler;
use crate::auth::scram::Handshake;
use crate::config::Rate;
use crate::config::RawPasswords;
use crate::id::AccountId;
use crate::irc::caps::Policy;
use crate::irc::numeric::*;
use crate::name::{self, Nick};
use crate::store::{AccountFlags, Reason, Verifier};
use crate::tables::NIL;
use crate::text::Text;
use crate::time::Instant;

/// Longest time between two messages of a login, milliseconds.
const EXPIRE_MS: u64 = 60_000;
/// The same, while others wait for a slot and this one's address has several, milliseconds.
const SHARE_MS: u64 = 3_000;

/// How often an address may try an account whose attempts others have used up. So rarely that having many addresses helps little.
const SPARE_RATE: Rate = Rate {
    burst: 3,
    every_ms: 3_600_000,
};

/// How far a login has come.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) enum Progress {
    #[default]
    Idle,
    /// The store was asked for the account.
    Asked,
    NoAccount,
    /// Its verifier is in the credential.
    Known {
        account: AccountId,
        flags: AccountFlags,
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
pub(in crate::server) enum Method {
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

/// What is under way: a login is one or the other.
#[derive(Default)]
pub(in crate::server) enum Work {
    #[default]
    None,
    Handshake(Handshake),
    Derivation(Derivation),
}

/// Slot of a login in progress.
#[derive(Default)]
pub struct Credential {
    conn: u32,
    pub(in crate::server) method: Method,
    pub(in crate::server) progress: Progress,
    /// The account it is for has changed since the store was asked.
    pub(in crate::server) stale: bool,
    since: Instant,
    name: Nick,
    assembler: Assembler,
    /// Bytes of a SASL message, or the password of PASS.
    buffer: Option<u32>,
    /// Length of the complete message in it.
    message: Option<u16>,
    work: Work,
    account: AccountId,
    pub(in crate::server) verifier: Option<Verifier>,
}

impl Credential {
    pub(in crate::server) const fn asks(&self) -> bool {
        matches!(self.progress, Progress::Asked)
    }

    /// Names an account to be created; its verifier, unless that is to be derived.
    pub(in crate::server) fn name_it(&mut self, name: &str, verifier: Option<Verifier>) {
        self.name = Text::truncated(name);
        self.verifier = verifier;
    }

    /// The verifier derived.
    pub(in crate::server) fn derived(&self) -> Option<Verifier> {
        match &self.work {
            Work::Derivation(derivation) => derivation.verifier(),
            _ => None,
        }
    }

    /// Whether it is a login to that account.
    pub(in crate::server) fn is_for(&self, id: AccountId, folded: &str) -> bool {
        self.account == id
            || matches!(self.progress, Progress::Known { account, .. } if account == id)
            || (self.asks() && name::eq_folded(&self.name, folded))
    }

    /// Makes a login fail at its end: what it was to prove is no longer true.
    pub(in crate::server) fn forget_account(&mut self) {
        self.stale = self.asks();
        self.account = AccountId::NONE;
        if matches!(self.progress, Progress::Known { .. }) {
            self.progress = Progress::NoAccount;
        }
    }
}

impl Server<'_> {
    /// Whether raw passwords are taken from a connection.
    pub(in crate::server) fn takes_raw(&self, c: u32) -> bool {
        match self.config.raw_passwords {
            RawPasswords::Never => false,
            RawPasswords::Private => self.conns[c].is_private(),
            RawPasswords::Everywhere => true,
        }
    }

    pub(in crate::server) fn policy(&self, c: u32) -> Policy {
        Policy {
            raw_passwords: self.takes_raw(c),
            registration: self.config.registration,
            iterations: self.config.iterations,
        }
    }

    // ---- credentials

    /// Takes a slot for a login. The slots are shared fairly: when all are taken, an expired one goes, or a slow one of an
    /// address that has several.
    pub(in crate::server) fn take_credential(&mut self, c: u32, method: Method) -> bool {
        self.release_credential(c);
        if self.credentials.is_full()
            && let Some(old) = self.dispensable()
        {
            let conn = self.credentials[old].conn;
            self.reserve_reply(conn);
            self.fail_login(
                conn,
                format_args!("Too many logins are in progress, please try again"),
            );
        }
        let Some((k, credential)) = self.credentials.insert() else {
            return false;
        };
        credential.conn = c;
        credential.method = method;
        credential.since = self.now;
        self.conns[c].credential = k;
        true
    }

    /// What the credential of a connection is for.
    fn method(&self, c: u32) -> Method {
        match self.conns[c].credential {
            NIL => Method::None,
            k => self.credentials[k].method,
        }
    }

    /// Ends a login that failed and says why, in the words of what the client tried.
    pub(in crate::server) fn fail_login(&mut self, c: u32, why: fmt::Arguments<'_>) -> Flow {
        let method = self.method(c);
        self.release_credential(c);
        match method {
            Method::Pass => self.numeric(c, ERR_PASSWDMISMATCH, format_args!(":{why}")),
            Method::Register => {
                let nick = self.nick_copy(c);
                self.fail(
                    c,
                    "REGISTER",
                    format_args!("TEMPORARILY_UNAVAILABLE {nick} :{why}"),
                );
            }
            Method::Guest => self.notice(c, why),
            Method::None | Method::Scram | Method::Proved | Method::Plain => {
                self.numeric(c, ERR_SASLFAIL, format_args!(":{why}"));
            }
        }
        Flow::Done
    }

    pub(in crate::server) fn dispensable(&self) -> Option<u32> {
        let used = || (0..self.credentials.high_water()).filter(|k| self.credentials.in_use(*k));
        let idle = |k: &u32| matches!(self.credentials[*k].progress, Progress::Idle);
        if let Some(expired) = used()
            .filter(idle)
            .find(|k| self.now - self.credentials[*k].since > EXPIRE_MS)
        {
            return Some(expired);
        }
        let address = |k: u32| self.conns[self.credentials[k].conn].address;
        let count = |k: u32| used().filter(|other| address(*other) == address(k)).count();
        used()
            .filter(idle)
            .filter(|k| self.now - self.credentials[*k].since > SHARE_MS)
            .map(|k| (count(k), k))
            .max()
            .filter(|(n, _)| *n > 1)
            .map(|(_, k)| k)
    }

    pub(in crate::server) fn release_credential(&mut self, c: u32) {
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

    pub(in crate::server) fn is_deriving(&self) -> bool {
        (0..self.credentials.high_water()).any(|k| {
            self.credentials.in_use(k) && matches!(self.credentials[k].progress, Progress::Deriving)
        })
    }

    /// Derives a slice of the keys that are to be derived; a connection whose key is there runs on.
    pub(in crate::server) fn derive(&mut self) {
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
            if let Work::Derivation(derivation) = &mut self.credentials[k].work {
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

    pub(in crate::server) fn start_deriving(
        &mut self,
        c: u32,
        password: &[u8],
        salt: &[u8; 16],
        iterations: u32,
    ) {
        let k = self.conns[c].credential;
        self.credentials[k].work = Work::Derivation(Derivation::start(password, salt, iterations));
        self.credentials[k].progress = Progress::Deriving;
        self.conns[c].awaiting = true;
    }

    // ---- rates

    /// What an attempt to log in is charged to: account and address, address, account, and what an address may try when the account's are used up.
    fn rate_keys(&self, c: u32, folded: &str) -> [(u64, Rate); 4] {
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
            (
                self.hash(&[b"spare login", folded.as_bytes(), &address]),
                SPARE_RATE,
            ),
        ]
    }

    /// Charges an attempt to log in; milliseconds to wait if there were too many. A success gives it back.
    ///
    /// Many addresses together may use up what an account allows. Its owner, at an address of its own, still has a few attempts there.
    pub(in crate::server) fn charge_login(&mut self, c: u32, folded: &str) -> Result<(), u64> {
        let now = self.now;
        let [here, from, to, spare] = self.rate_keys(c, folded);
        for (key, rate) in [here, from] {
            self.throttles.peek(now, key, rate)?;
        }
        if let Err(wait) = self.throttles.peek(now, to.0, to.1) {
            self.throttles
                .take(now, spare.0, spare.1)
                .map_err(|_| wait)?;
        }
        for (key, rate) in [here, from, to] {
            self.throttles.charge(now, key, rate);
        }
        Ok(())
    }

    pub(in crate::server) fn refund_login(&mut self, c: u32, folded: &str) {
        for (key, rate) in self.rate_keys(c, folded) {
            self.throttles.refund(self.now, key, rate);
        }
    }

    /// The credential was right: the account is entered into, if it still may be.
    pub(in crate::server) fn log_in(&mut self, c: u32, account: AccountId) -> Flow {
        let Some(a) = self.account_by_id(account) else {
            if core::mem::take(&mut self.conns[c].memo) != Memo::None {
                return self.fail_login(c, format_args!("That account is gone"));
            }
            self.ask(c, What::LoadAccount(account));
            return Flow::Wait;
        };
        if self.accounts[a].removal != Removal::None {
            return self.fail_login(c, format_args!("Wrong name or password"));
        }
        if self.accounts[a].flags.contains(AccountFlags::DISABLED) {
            return self.fail_login(
                c,
                format_args!("That account is disabled; ask the owner of this server"),
            );
        }
        let method = self.method(c);
        self.release_credential(c);
        self.conns[c].memo = Memo::None;
        self.pin_account(a);
        self.conns[c].account = a;
        self.conns[c].presence_seen = self.stamp;
        let (nick, server) = (self.accounts[a].name, self.config.server_name);
        if method != Method::Guest {
            let old = self.nick_copy(c);
            self.reply(c, format_args!(":{server} {RPL_LOGGEDIN:03} {old} {nick}!{nick}@{server} {nick} :You are now logged in as {nick}"));
        }
        if matches!(method, Method::Proved | Method::Plain) {
            self.numeric(
                c,
                RPL_SASLSUCCESS,
                format_args!(":The login was successful"),
            );
        }
        self.welcome(c);
        Flow::Done
    }
}
