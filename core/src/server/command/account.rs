//! ACCOUNT: the owner's (and the machine's operator's) administration of accounts, and everybody's change of their own password.

use super::super::Server;
use super::super::account::{Account, Removal};
use super::super::append::Draft;
use super::super::channel::Effect as Brings;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::job::Task;
use super::super::login::{Method, Progress};
use super::super::request::{Change, What};
use super::Found;
use crate::id::{AccountId, ChannelId};
use crate::irc::message::Message;
use crate::name::{self, Nick};
use crate::store::{
    AccountFlags, AccountRecord, Kind, Marker, MemberFlags, MembershipRow, Outcome, Reason,
    Verifier, next_row,
};
use crate::tables::NIL;
use crate::text::{self, Text};

/// How long a removal rests when the store refuses a step of it, milliseconds.
const REMOVAL_PAUSE_MS: u64 = 5_000;

impl Server<'_> {
    pub(super) fn account(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let mut subcommand: Text<16> = Text::truncated(m.param(0).unwrap_or_default());
        subcommand.make_ascii_lowercase();
        let name = m.param(1).unwrap_or_default();
        let own = self.conns[c].account != NIL
            && (name == "*" || name::eq_folded(name, &self.accounts[self.conns[c].account].name));
        let guest = own && self.is_guest(self.conns[c].account);
        let own_password = own && &*subcommand == "passwd";
        if own_password && guest {
            self.fail(
                c,
                "ACCOUNT",
                format_args!("GUEST :You are a guest; get an account with REGISTER * * <password>"),
            );
            return Flow::Done;
        }
        if !self.is_owner(c) && !own_password {
            self.fail(
                c,
                "ACCOUNT",
                format_args!("NOT_OWNER :Only an owner of this server may do that"),
            );
            return Flow::Done;
        }
        match &*subcommand {
            "list" => {
                let prefix = name::fold(name).unwrap_or_default();
                self.once(c, Task::Accounts { prefix })
            }
            "show" => match self.account_named(c, name) {
                Ok(a) => {
                    let account = self.accounts[a].id;
                    self.once(c, Task::Rooms { account })
                }
                Err(flow) => flow,
            },
            "add" => self.account_add(c, name, m.param(2).unwrap_or_default()),
            "passwd" => {
                let name: Nick = if own {
                    self.accounts[self.conns[c].account].name
                } else {
                    Text::truncated(name)
                };
                self.account_passwd(c, &name, m.param(2).unwrap_or_default())
            }
            "title" => {
                let titles = m.param(2).unwrap_or_default();
                if let Err(error) = name::check_titles(titles) {
                    self.fail(
                        c,
                        "ACCOUNT",
                        format_args!("INVALID_TITLES {} :{error}", Text::<32>::truncated(name)),
                    );
                    return Flow::Done;
                }
                self.account_change(c, "TITLE", name, &|_| {
                    Change::Titles(Text::truncated(titles))
                })
            }
            "disable" | "disown" if own => {
                self.fail(
                    c,
                    "ACCOUNT",
                    format_args!(
                        "OWN_ACCOUNT {name} :You cannot {subcommand} the account you are using"
                    ),
                );
                Flow::Done
            }
            "disable" => self.account_change(c, "DISABLE", name, &|account| {
                Change::Flags(account.flags | AccountFlags::DISABLED)
            }),
            "enable" => self.account_change(c, "ENABLE", name, &|account| {
                Change::Flags(account.flags - AccountFlags::DISABLED)
            }),
            "owner" => self.account_change(c, "OWNER", name, &|account| {
                Change::Flags(account.flags | AccountFlags::OWNER)
            }),
            "disown" => self.account_change(c, "DISOWN", name, &|account| {
                Change::Flags(account.flags - AccountFlags::OWNER)
            }),
            "remove" => self.account_remove(c, name),
            _ => {
                self.fail(c, "ACCOUNT", format_args!(
                    "UNKNOWN_SUBCOMMAND :Use LIST, SHOW, ADD, PASSWD, TITLE, DISABLE, ENABLE, OWNER, DISOWN or REMOVE"
                ));
                Flow::Done
            }
        }
    }

    /// An account by name; says what is wrong.
    fn account_named(&mut self, c: u32, name: &str) -> Result<u32, Flow> {
        let shown = text::start(if name.is_empty() { "*" } else { name }, 32);
        match self.find_account(c, name) {
            Found::Is(a) => Ok(a),
            Found::Wait => Err(Flow::Wait),
            Found::Absent => {
                self.fail(
                    c,
                    "ACCOUNT",
                    format_args!("NO_SUCH_ACCOUNT {shown} :There is no such account"),
                );
                Err(Flow::Done)
            }
            Found::Failed(reason) => {
                self.refused(c, "ACCOUNT", shown, reason);
                Err(Flow::Done)
            }
        }
    }

    /// Says what has changed. An account whose titles changed is in memory.
    fn done(&mut self, c: u32, subcommand: &str, name: &str) -> Flow {
        let server = self.config.server_name;
        let titles = name::fold::<{ name::NICK_MAX }>(name)
            .and_then(|folded| self.account_by_name(&folded))
            .map(|a| self.accounts[a].titles)
            .unwrap_or_default();
        let (before, after, titles) = match subcommand {
            "ADD" => ("Account ", " is added", ""),
            "PASSWD" => ("The password of ", " is changed", ""),
            "TITLE" if titles.is_empty() => ("", " has no titles now", ""),
            "TITLE" => ("The titles of ", " are now ", &*titles),
            "DISABLE" => ("", " is disabled and cannot log in", ""),
            "ENABLE" => ("", " can log in again", ""),
            "OWNER" => ("", " is an owner of this server", ""),
            "DISOWN" => ("", " is no owner of this server any more", ""),
            _ => ("Account ", " is removed; its messages stay", ""),
        };
        self.reply(
            c,
            format_args!(
                ":{server} NOTE ACCOUNT {subcommand}_DONE {name} :{before}{name}{after}{titles}"
            ),
        );
        Flow::Done
    }

    fn account_change(
        &mut self,
        c: u32,
        subcommand: &str,
        name: &str,
        change: &dyn Fn(&Account) -> Change,
    ) -> Flow {
        let a = match self.account_named(c, name) {
            Ok(a) => a,
            Err(flow) => return flow,
        };
        let spelled = self.accounts[a].name;
        match self.conns[c].memo {
            Memo::Done => self.done(c, subcommand, &spelled),
            Memo::Refused(reason) => {
                self.refused(c, "ACCOUNT", &spelled, reason);
                Flow::Done
            }
            _ => {
                let change = change(&self.accounts[a]);
                let id = self.accounts[a].id;
                self.ask(c, What::ChangeAccount(id, change));
                Flow::Wait
            }
        }
    }

    fn account_passwd(&mut self, c: u32, name: &str, password: &str) -> Flow {
        let k = self.conns[c].credential;
        let deriving = k != NIL && self.credentials[k].method == Method::Register;
        let memo = self.conns[c].memo;
        if matches!(memo, Memo::Done | Memo::Refused(_)) {
            self.release_credential(c);
            return self.account_change(c, "PASSWD", name, &|_| Change::Verifier(Verifier::NONE));
        }
        let verifier = if deriving {
            self.credentials[k].derived()
        } else {
            match self.new_password(c, "ACCOUNT", name, password) {
                Ok(verifier) => verifier,
                Err(()) => return Flow::Done,
            }
        };
        match verifier {
            Some(verifier) => {
                self.account_change(c, "PASSWD", name, &|_| Change::Verifier(verifier))
            }
            None => self.derive_new(c, password),
        }
    }

    fn account_add(&mut self, c: u32, name: &str, password: &str) -> Flow {
        let shown = text::start(if name.is_empty() { "*" } else { name }, 32);
        let k = self.conns[c].credential;
        if k == NIL || self.credentials[k].method != Method::Register {
            if let Err(error) = name::check_nick(name) {
                self.fail(
                    c,
                    "ACCOUNT",
                    format_args!("BAD_ACCOUNT_NAME * :{error}: {}", name::NICK_RULE),
                );
                return Flow::Done;
            }
            let verifier = match self.new_password(c, "ACCOUNT", name, password) {
                Ok(verifier) => verifier,
                Err(()) => return Flow::Done,
            };
            if !self.take_credential(c, Method::Register) {
                self.fail(c, "ACCOUNT", format_args!("TEMPORARILY_UNAVAILABLE {shown} :Too many logins are in progress, please try again"));
                return Flow::Done;
            }
            let k = self.conns[c].credential;
            self.credentials[k].name_it(name, verifier);
            self.credentials[k].progress = Progress::Derived;
            if verifier.is_none() {
                return self.derive_new(c, password);
            }
        }
        let k = self.conns[c].credential;
        match self.credentials[k].progress {
            Progress::Idle | Progress::Derived => self.create_account(c),
            Progress::Created(_) => {
                self.release_credential(c);
                self.done(c, "ADD", shown)
            }
            Progress::Refused(Reason::Exists) => {
                self.release_credential(c);
                self.fail(
                    c,
                    "ACCOUNT",
                    format_args!("ACCOUNT_EXISTS {shown} :That name is registered already"),
                );
                Flow::Done
            }
            Progress::Refused(reason) => {
                self.release_credential(c);
                self.refused(c, "ACCOUNT", shown, reason);
                Flow::Done
            }
            _ => Flow::Wait,
        }
    }

    fn account_remove(&mut self, c: u32, name: &str) -> Flow {
        let shown = text::start(if name.is_empty() { "*" } else { name }, 32);
        if self.conns[c].progress > 0 {
            let folded: Nick = name::fold(name).unwrap_or_default();
            if self
                .account_by_name(&folded)
                .is_some_and(|a| self.accounts[a].removal != Removal::None)
            {
                self.stalled.push_back(&mut self.conns, c);
                return Flow::Wait;
            }
            return self.done(c, "REMOVE", shown);
        }
        let a = match self.account_named(c, name) {
            Ok(a) => a,
            Err(flow) => return flow,
        };
        if a == self.conns[c].account {
            self.fail(
                c,
                "ACCOUNT",
                format_args!("OWN_ACCOUNT {shown} :You cannot remove the account you are using"),
            );
            return Flow::Done;
        }
        self.conns[c].progress = 1;
        self.close_account(a, "Your account was removed");
        self.begin_removal(a);
        self.stalled.push_back(&mut self.conns, c);
        Flow::Wait
    }

    // ---- what a stored change does

    pub(in super::super) fn account_changed(&mut self, id: AccountId, change: Change) {
        let Some(a) = self.account_by_id(id) else {
            return;
        };
        match change {
            Change::Verifier(_) => self.cancel_logins(id),
            Change::Display(display) => {
                self.accounts[a].display = display;
                self.display_changed(a);
            }
            Change::Titles(titles) => self.accounts[a].titles = titles,
            Change::Flags(flags) => {
                self.accounts[a].flags = flags;
                if flags.contains(AccountFlags::OWNER) {
                    self.accounts_exist = Some(true);
                    self.first_account_pending = false;
                }
                if flags.contains(AccountFlags::DISABLED) {
                    self.cancel_logins(id);
                    self.close_account(a, "Your account was disabled");
                }
            }
        }
    }

    /// Ends the logins in progress to an account whose credentials changed.
    fn cancel_logins(&mut self, id: AccountId) {
        let Some(name) = self.account_by_id(id).map(|a| self.accounts[a].name) else {
            return;
        };
        for k in 0..self.credentials.high_water() {
            if self.credentials.in_use(k) && self.credentials[k].is_for(id, &name) {
                self.credentials[k].forget_account();
            }
        }
    }

    // ---- removal: leave every room in order, then go

    /// Begins to remove an account, online or not; a guest when its last connection is gone.
    pub(in super::super) fn begin_removal(&mut self, a: u32) {
        if self.accounts[a].removal != Removal::None {
            return;
        }
        self.accounts[a].removal = Removal::Next;
        self.pin_account(a);
        self.removals.push_back(&mut self.accounts, a);
        let id = self.accounts[a].id;
        self.cancel_logins(id);
    }

    /// Takes each removal a step further.
    pub(in super::super) fn go_on_removing(&mut self) {
        let mut next = self.removals.front();
        while let Some(a) = next {
            next = crate::tables::List::<1>::next(&self.accounts, a);
            let id = self.accounts[a].id;
            let removal = self.accounts[a].removal;
            match removal {
                Removal::Next
                    if self.accounts[a].online == 0
                        && !self.is_changing_anywhere(id)
                        && self.request(What::FirstRoom(id)).is_some() =>
                {
                    self.accounts[a].removal = Removal::Asked;
                }
                Removal::Leave(channel) => match self.channel_by_id(channel) {
                    None => {
                        if self.request(What::LoadChannel(channel)).is_none() {
                            return;
                        }
                    }
                    Some(ch) => {
                        let draft = Draft {
                            kind: Kind::Part,
                            tags: "",
                            subject: "",
                            text: "Gone for good",
                            brings: Brings::Member {
                                account: id,
                                flags: MemberFlags::empty(),
                                read: Marker::default(),
                            },
                            label: "",
                            awaited: false,
                        };
                        if self.append(NIL, a, ch, draft) {
                            self.accounts[a].removal = Removal::Leaving;
                        }
                    }
                },
                Removal::Last if self.request(What::RemoveAccount(id)).is_some() => {
                    self.accounts[a].removal = Removal::Asked;
                }
                _ => {}
            }
        }
    }

    /// The next room that an account to be removed must leave, or that there is none.
    pub(in super::super) fn room_to_leave(&mut self, id: AccountId, outcome: Outcome<'_>) {
        let Some(a) = self.account_by_id(id) else {
            return;
        };
        self.accounts[a].removal = match outcome {
            Outcome::Page { mut rows, .. } => match next_row::<MembershipRow<'_>>(&mut rows) {
                Some(row) => Removal::Leave(row.channel),
                None => Removal::Last,
            },
            _ => Removal::Next,
        };
        if self.accounts[a].removal == Removal::Next {
            self.pause_removals();
        }
    }

    /// A room that was to be left is gone.
    pub(in super::super) fn nothing_to_leave(&mut self, channel: ChannelId) {
        let mut next = self.removals.front();
        while let Some(a) = next {
            next = crate::tables::List::<1>::next(&self.accounts, a);
            if self.accounts[a].removal == Removal::Leave(channel) {
                self.accounts[a].removal = Removal::Next;
            }
        }
    }

    /// The store refused a step of a removal: it is tried again, but not at once.
    pub(in super::super) fn pause_removals(&mut self) {
        self.removal_at = Some(self.now + REMOVAL_PAUSE_MS);
    }

    /// The store would not remove an account.
    pub(in super::super) fn removal_refused(&mut self, id: AccountId) {
        if let Some(a) = self.account_by_id(id) {
            self.accounts[a].removal = Removal::Last;
            self.pause_removals();
        }
    }

    pub(in super::super) fn account_removed(&mut self, id: AccountId) {
        if let Some(a) = self.account_by_id(id) {
            self.removals.remove(&mut self.accounts, a);
            self.accounts[a].removal = Removal::None;
            self.unpin_account(a);
            if self.accounts[a].online == 0 && self.accounts[a].pins == 0 {
                self.forget_account(a);
            } else {
                // Whoever still looks at it lets it go; by then its name may be another's.
                self.unname_account(a);
            }
        }
        self.unstall_all();
    }

    // ---- guests left over from a crash

    pub(in super::super) fn sweep_guests(&mut self) {
        if !self.guests_swept && self.settings.is_some() && self.request(What::FindGuest).is_some()
        {
            self.guests_swept = true;
        }
    }

    pub(in super::super) fn guest_found(&mut self, guest: Option<&AccountRecord<'_>>) {
        let Some(record) = guest else { return };
        // A guest of now: the sweep is over. Else once more after this one.
        if let Some(a) = self.install_account(record) {
            self.guests_swept = !self.remove_lone_guest(a);
        }
    }

    /// Begins to remove a guest whose connection is gone. Whether it was one.
    pub(in super::super) fn remove_lone_guest(&mut self, a: u32) -> bool {
        let account = &self.accounts[a];
        let alone = account.online == 0 && account.pins == 0;
        if alone && account.flags.contains(AccountFlags::GUEST) {
            self.begin_removal(a);
            return true;
        }
        false
    }

    /// Derives the key of a new password for the command in hand.
    fn derive_new(&mut self, c: u32, password: &str) -> Flow {
        let k = self.conns[c].credential;
        if (k == NIL || self.credentials[k].method != Method::Register)
            && !self.take_credential(c, Method::Register)
        {
            self.fail(
                c,
                "ACCOUNT",
                format_args!(
                    "TEMPORARILY_UNAVAILABLE * :Too many logins are in progress, please try again"
                ),
            );
            return Flow::Done;
        }
        let salt = self.new_salt();
        self.start_deriving(c, password.as_bytes(), &salt, self.config.iterations);
        Flow::Wait
    }
}
