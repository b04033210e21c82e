//! REGISTER (IRCv3 draft/account-registration), and the creation of accounts.

use chacha20::rand_core::Rng;

use super::super::Server;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::request::{Change, What};
use crate::auth::{self};
use crate::config::Registration;
use crate::id::{AccountId, Handle};
use crate::irc::message::Message;
use crate::irc::numeric::RPL_LOGGEDIN;
use crate::name::{self, Nick};
use crate::store::{AccountFlags, AccountRecord, Reason, Verifier};
use crate::tables::NIL;
use crate::text::Text;

use super::{Method, Progress};

impl Server<'_> {
    pub(in crate::server) fn register(&mut self, c: u32, message: &Message<'_>) -> Flow {
        let (Some(account), Some(email), Some(password)) =
            (message.param(0), message.param(1), message.param(2))
        else {
            self.fail(c, "REGISTER", format_args!("NEED_MORE_PARAMS :REGISTER needs an account (or *), an e-mail (or *) and a password"));
            return Flow::Done;
        };
        let k = self.conns[c].credential;
        if k != NIL && self.credentials[k].method == Method::Register {
            return self.registering(c);
        }
        let own = self.conns[c].account;
        if own != NIL && !(self.is_guest(own) && self.conns[c].is_welcomed()) {
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
            self.fail(
                c,
                "REGISTER",
                format_args!("BAD_ACCOUNT_NAME * :{error}: {}", name::NICK_RULE),
            );
            return Flow::Done;
        }
        match self.config.registration {
            Registration::Open => {}
            Registration::Invite(code) if &*code == email => {}
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
        if let Err(wait) = self
            .throttles
            .take(self.now, key, self.config.register_rate)
        {
            let seconds = wait.div_ceil(1_000);
            self.fail(c, "REGISTER", format_args!(
                "TEMPORARILY_UNAVAILABLE {spelled} :Too many registrations from your address; try again in {seconds} s"
            ));
            return Flow::Done;
        }
        if !self.take_credential(c, Method::Register) {
            self.fail(c, "REGISTER", format_args!("TEMPORARILY_UNAVAILABLE {spelled} :Too many logins are in progress, please try again"));
            return Flow::Done;
        }
        let k = self.conns[c].credential;
        self.credentials[k].name = spelled;
        match verifier {
            Some(verifier) => {
                self.credentials[k].verifier = Some(verifier);
                self.credentials[k].progress = Progress::Derived;
                self.registering(c)
            }
            None => {
                let salt = self.new_salt();
                self.start_deriving(c, password.as_bytes(), &salt, self.config.iterations);
                Flow::Wait
            }
        }
    }

    /// Checks a new password, raw or as a verifier; `None` for a raw one that is to be derived. Says what is wrong.
    pub(in crate::server) fn new_password(
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

    pub(in crate::server) fn registering(&mut self, c: u32) -> Flow {
        let k = self.conns[c].credential;
        if self.conns[c].account != NIL {
            return self.keep_guest(c);
        }
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
                self.log_in(c, account)
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
                let why = crate::server::reply::reason_text(reason);
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

    /// Whether a connection must wait, because it is not known yet whether its account will be the first, and so the owner's.
    fn waits_for_first(&mut self, c: u32) -> bool {
        let waits = self.accounts_exist.is_none()
            || (self.accounts_exist == Some(false) && self.first_account_pending);
        if waits {
            self.stalled.push_back(&mut self.conns, c);
        }
        waits
    }

    /// Has the account of a credential created.
    pub(in crate::server) fn create_account(&mut self, c: u32) -> Flow {
        if self.waits_for_first(c) {
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

    pub(in crate::server) fn new_salt(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.rng.fill_bytes(&mut salt);
        salt
    }

    /// A guest registers: its account gets the password and stays.
    fn keep_guest(&mut self, c: u32) -> Flow {
        let (k, a) = (self.conns[c].credential, self.conns[c].account);
        let (id, name) = (self.accounts[a].id, self.accounts[a].name);
        let verifier = self.credentials[k]
            .verifier
            .or_else(|| self.credentials[k].derived());
        let memo = core::mem::take(&mut self.conns[c].memo);
        match (memo, verifier) {
            (Memo::None, Some(verifier)) if self.conns[c].progress == 0 => {
                self.ask(c, What::ChangeAccount(id, Change::Verifier(verifier)));
                Flow::Wait
            }
            (Memo::None | Memo::Done, Some(_))
                if self.conns[c].progress == 0 || memo == Memo::None =>
            {
                // The password is stored; only now is the account no guest's any more.
                self.conns[c].progress = 1;
                if self.waits_for_first(c) {
                    return Flow::Wait;
                }
                let first = self.accounts_exist == Some(false);
                let mut flags = self.accounts[a].flags - AccountFlags::GUEST;
                flags.set(AccountFlags::OWNER, first);
                if self.ask(c, What::ChangeAccount(id, Change::Flags(flags))) {
                    self.first_account_pending = first;
                }
                Flow::Wait
            }
            (Memo::Done, _) => {
                self.accounts_exist = Some(true);
                self.release_credential(c);
                let server = self.config.server_name;
                self.reply(
                    c,
                    format_args!(":{server} REGISTER SUCCESS {name} :Your account is registered"),
                );
                self.numeric(
                    c,
                    RPL_LOGGEDIN,
                    format_args!("{name}!{name}@{server} {name} :You are now logged in as {name}"),
                );
                Flow::Done
            }
            _ => {
                self.release_credential(c);
                self.fail(c, "REGISTER", format_args!(
                    "TEMPORARILY_UNAVAILABLE {name} :The server could not store it, please try again"
                ));
                Flow::Done
            }
        }
    }

    /// What the new account of a credential is to be.
    pub(in crate::server) fn new_account(
        &self,
        credential: Handle,
    ) -> (&str, &str, Verifier, AccountFlags) {
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

    pub(in crate::server) fn account_created(
        &mut self,
        created: u64,
        credential: Handle,
        account: AccountId,
    ) {
        let Some(k) = self.credentials.resolve(credential) else {
            if core::mem::take(&mut self.first_account_pending) {
                self.accounts_exist = Some(true);
            }
            // If it is a guest's, it goes.
            self.request(What::LoadAccount(account));
            return;
        };
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

    pub(in crate::server) fn account_refused(&mut self, credential: Handle, reason: Reason) {
        self.first_account_pending = false;
        if reason == Reason::Exists {
            // The next one is not the first.
            self.accounts_exist = Some(true);
        }
        if let Some(k) = self.credentials.resolve(credential) {
            self.credentials[k].progress = Progress::Refused(reason);
        }
        self.unstall_all();
    }
}
