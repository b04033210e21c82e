//! Questions and small writes to the store, and who waits for them. The same question asked twice is sent once.

use super::Server;
use super::channel::Shape;
use super::conn::Memo;
use super::job;
use super::login::Progress;
use crate::config::{Setting, VALUE_MAX};
use crate::id::{AccountId, ChannelId, Handle, Ticket, TicketKind};
use crate::name::{DISPLAY_MAX, Nick, RoomName, TITLES_MAX};
use crate::store::{
    AccountChange, AccountFlags, AccountRecord, BanRow, ChannelKey, ChannelRecord, Effect, Marker,
    Operation, Outcome, Reason, Settings, Verifier, next_row,
};
use crate::tables::{self, List, NIL, linked};
use crate::text::Text;
use crate::time::Instant;

/// Longest pause between two tries of a request the store did not know the end of, milliseconds.
const RETRY_MAX_MS: u64 = 5_000;
/// Bytes asked for when bans are loaded: one small page at a time.
const BAN_PAGE: usize = 1_024;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) enum What {
    #[default]
    LoadSettings,
    PutSettings(Settings),
    /// Whether there is any account.
    AnyAccount,
    FindAccount(Nick),
    LoadAccount(AccountId),
    CreateAccount(Handle),
    ChangeAccount(AccountId, Change),
    RemoveAccount(AccountId),
    FindGuest,
    /// A room that an account to be removed is still in.
    FirstRoom(AccountId),
    FindRoom(RoomName),
    LoadChannel(ChannelId),
    FindDirect(AccountId, AccountId),
    CreateRoom {
        name: RoomName,
        founder: AccountId,
        modes: u32,
    },
    CreateDirect(AccountId, AccountId),
    RemoveRoom(ChannelId),
    Bans {
        channel: ChannelId,
        after: u32,
    },
    FindMember(ChannelId, AccountId),
    PutMarker(Handle),
    PutConfig(Setting, Text<VALUE_MAX>),
    /// A page (into that staging block), or bounds, for the job of a connection.
    Page {
        conn: Handle,
        page: u32,
    },
    Unread {
        conn: Handle,
    },
}

/// A change of an account.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Change {
    Verifier(Verifier),
    Display(Text<DISPLAY_MAX>),
    Titles(Text<TITLES_MAX>),
    Flags(AccountFlags),
}

/// Slot of a request.
#[derive(Default)]
pub struct Request {
    what: What,
    issued: bool,
    retry_at: Option<Instant>,
    tries: u8,
    hash: u32,
    time: u64,
    waiters: List<2>,
    queue: tables::Link,
}

linked!(Request { 0: queue });

impl Server<'_> {
    // ---- asking

    /// Has connection `c` wait for an answer. False (and the connection is stalled) when there is no slot.
    pub(super) fn ask(&mut self, c: u32, what: What) -> bool {
        match self.request(what) {
            Some(r) => {
                self.stop_waiting(c);
                self.requests[r].waiters.push_back(&mut self.conns, c);
                self.conns[c].waiting_on = Some(self.requests.handle(r));
                true
            }
            None => {
                self.stalled.push_back(&mut self.conns, c);
                false
            }
        }
    }

    /// Puts a request on its way, or finds the same one there. `None` when there is no slot.
    pub(super) fn request(&mut self, what: What) -> Option<u32> {
        let hash = self.request_hash(&what);
        if let Some(hash) = hash
            && let Some(r) = self
                .request_index
                .find(hash, |r| self.requests[r].what == what)
        {
            return Some(r);
        }
        let (r, request) = self.requests.insert()?;
        request.what = what;
        request.hash = hash.unwrap_or(0);
        if let Some(hash) = hash {
            self.request_index.insert(hash, r);
        }
        self.request_queue.push_back(&mut self.requests, r);
        Some(r)
    }

    /// Hash of a question that may be shared; writes are not.
    fn request_hash(&self, what: &What) -> Option<u32> {
        let (kind, name, a, b): (u8, &[u8], u32, u32) = match what {
            What::FindAccount(name) => (b'a', name.as_bytes(), 0, 0),
            What::LoadAccount(id) => (b'i', &[], id.0, 0),
            What::FindRoom(name) => (b'r', name.as_bytes(), 0, 0),
            What::LoadChannel(id) => (b'c', &[], id.0, 0),
            What::FindDirect(a, b) => (b'd', &[], a.0, b.0),
            What::CreateDirect(a, b) => (b'D', &[], a.0, b.0),
            What::CreateRoom { name, founder, .. } => (b'R', name.as_bytes(), founder.0, 0),
            What::Bans { channel, after } => (b'b', &[], channel.0, *after),
            What::FindMember(ch, a) => (b'm', &[], ch.0, a.0),
            _ => return None,
        };
        let hash = self.hash(&[&[kind], name, &a.to_le_bytes(), &b.to_le_bytes()]);
        Some(hash as u32)
    }

    pub(super) fn stop_waiting(&mut self, c: u32) {
        if let Some(handle) = self.conns[c].waiting_on.take()
            && let Some(r) = self.requests.resolve(handle)
        {
            self.requests[r].waiters.remove(&mut self.conns, c);
        }
    }

    // ---- handing to the store

    /// The next effect: requests first, then appends.
    pub(super) fn next_effect(&mut self) -> Option<Effect<'_>> {
        while let Some(r) = self.request_queue.pop_front(&mut self.requests) {
            if self.is_obsolete(r) {
                let created = matches!(self.requests[r].what, What::CreateAccount(_));
                self.finish_request(r);
                if created && self.accounts_exist == Some(false) {
                    // Whether an earlier try of it made the first account is not known.
                    self.first_account_pending = false;
                    self.accounts_exist = None;
                    self.request(What::AnyAccount);
                }
                continue;
            }
            self.requests[r].issued = true;
            self.requests[r].time = self.unix();
            return Some(self.request_effect(r));
        }
        self.next_append()
    }

    /// Whether nobody is left who wanted it.
    fn is_obsolete(&self, r: u32) -> bool {
        match self.requests[r].what {
            What::CreateAccount(credential) => self.credentials.resolve(credential).is_none(),
            What::PutMarker(member) => self.members.resolve(member).is_none(),
            What::Page { conn, .. } | What::Unread { conn } => self.conns.resolve(conn).is_none(),
            _ => false,
        }
    }

    fn request_effect(&self, r: u32) -> Effect<'_> {
        let request = &self.requests[r];
        let operation = match &request.what {
            What::LoadSettings => Operation::LoadSettings,
            What::PutSettings(settings) => Operation::PutSettings(*settings),
            What::AnyAccount => Operation::ReadAccounts {
                prefix: "",
                after: "",
                bytes: 256,
            },
            What::FirstRoom(account) => Operation::ReadMemberships {
                account: *account,
                after: ChannelId::NONE,
                bytes: 128,
            },
            What::FindAccount(name) => Operation::FindAccount { name },
            What::LoadAccount(account) => Operation::LoadAccount { account: *account },
            What::CreateAccount(credential) => {
                let (name, display, verifier, flags) = self.new_account(*credential);
                Operation::CreateAccount(AccountRecord {
                    id: AccountId::NONE,
                    name,
                    display,
                    titles: "",
                    flags: flags.bits(),
                    verifier,
                    created: request.time,
                })
            }
            What::ChangeAccount(account, change) => Operation::ChangeAccount {
                account: *account,
                change: match change {
                    Change::Verifier(verifier) => AccountChange::Verifier(*verifier),
                    Change::Display(display) => AccountChange::Display(display),
                    Change::Titles(titles) => AccountChange::Titles(titles),
                    Change::Flags(flags) => AccountChange::Flags(flags.bits()),
                },
            },
            What::RemoveAccount(account) => Operation::RemoveAccount { account: *account },
            What::FindGuest => Operation::FindGuest,
            What::FindRoom(name) => Operation::FindChannel(ChannelKey::Room(name)),
            What::LoadChannel(id) => Operation::FindChannel(ChannelKey::Id(*id)),
            What::FindDirect(a, b) => Operation::FindChannel(ChannelKey::Direct(*a, *b)),
            What::CreateRoom {
                name,
                founder,
                modes,
            } => Operation::CreateChannel {
                key: ChannelKey::Room(name),
                founder: *founder,
                time: request.time,
                modes: *modes,
            },
            What::CreateDirect(a, b) => Operation::CreateChannel {
                key: ChannelKey::Direct(*a, *b),
                founder: AccountId::NONE,
                time: request.time,
                modes: 0,
            },
            What::RemoveRoom(channel) => Operation::RemoveChannel { channel: *channel },
            What::Bans { channel, after } => Operation::ReadBans {
                channel: *channel,
                after: *after,
                bytes: BAN_PAGE,
            },
            What::FindMember(channel, account) => Operation::FindMember {
                channel: *channel,
                account: *account,
            },
            What::PutMarker(member) => {
                let m = self.members.resolve(*member).unwrap_or(0);
                let member = &self.members[m];
                Operation::PutMarker {
                    channel: self.channels[member.channel.get()].id,
                    account: self.accounts[member.account.get()].id,
                    read: member.read(),
                    delivered: member.delivered.seq(),
                }
            }
            What::PutConfig(setting, value) => Operation::PutConfig {
                name: setting.name(),
                value,
            },
            What::Page { conn, .. } => self.page_operation(self.conns.resolve(*conn).unwrap_or(0)),
            What::Unread { conn } => {
                let c = self.conns.resolve(*conn).unwrap_or(0);
                Operation::ReadUnreadDirects {
                    account: self.account_id(c),
                    after: self.conns[c].directs_after,
                    bytes: 64,
                }
            }
        };
        Effect {
            ticket: Ticket(TicketKind::Request, self.requests.handle(r)),
            operation,
        }
    }

    // ---- answers

    pub(super) fn request_done(&mut self, r: u32, outcome: Outcome<'_>) {
        if !self.requests[r].issued {
            return;
        }
        if matches!(outcome, Outcome::Unknown) {
            return self.retry_request(r);
        }
        let what = self.requests[r].what;
        match (what, outcome) {
            (What::LoadSettings, Outcome::Settings(settings)) => self.settings_loaded(settings),
            (What::LoadSettings, _) => return self.retry_request(r),
            (What::PutSettings(settings), Outcome::Done) => {
                self.time_asked = false;
                let first = self.settings.is_none();
                self.settings = Some(settings);
                if first {
                    self.wake_everybody();
                }
            }
            (What::PutSettings(_), _) => return self.retry_request(r),

            (What::FindAccount(name), Outcome::Account(account)) => {
                self.account_found(r, &name, account.as_ref());
            }
            (What::LoadAccount(id), Outcome::Account(account)) => match account {
                Some(record) => {
                    let Some(a) = self.install_account(&record) else {
                        return self.retry_request(r);
                    };
                    self.remove_lone_guest(a);
                }
                None => self.memo_for_waiters(r, Memo::Absent(job::key(&[&id.0.to_le_bytes()]))),
            },
            (What::CreateAccount(credential), Outcome::Created(id)) => {
                self.account_created(self.requests[r].time, credential, id)
            }
            (What::CreateAccount(credential), Outcome::Refused(reason)) => {
                self.account_refused(credential, reason)
            }
            (What::ChangeAccount(id, change), Outcome::Done) => {
                self.account_changed(id, change);
                self.memo_for_waiters(r, Memo::Done);
            }
            (What::RemoveAccount(id), Outcome::Done) => {
                self.account_removed(id);
                self.memo_for_waiters(r, Memo::Done);
            }
            (What::RemoveAccount(id), _) => self.removal_refused(id),
            (What::AnyAccount, Outcome::Page { rows, more }) => {
                let mut rows = rows;
                let mut any = more;
                while let Some(row) = next_row::<crate::store::AccountRow<'_>>(&mut rows) {
                    any |=
                        !AccountFlags::from_bits_truncate(row.flags).contains(AccountFlags::GUEST);
                }
                self.accounts_exist = Some(any);
                self.unstall_all();
            }
            (What::AnyAccount, _) => return self.retry_request(r),
            (What::FirstRoom(id), outcome) => self.room_to_leave(id, outcome),
            (What::FindGuest, Outcome::Account(guest)) => self.guest_found(guest.as_ref()),

            (What::FindRoom(name), Outcome::Channel(None)) => {
                self.memo_for_waiters(r, Memo::Absent(job::key(&[name.as_bytes()])));
            }
            (What::LoadChannel(id), Outcome::Channel(None)) => {
                self.nothing_to_leave(id);
                self.memo_for_waiters(
                    r,
                    Memo::Absent(job::key(&[b"channel", &id.0.to_le_bytes()])),
                );
            }
            (What::FindDirect(a, b), Outcome::Channel(None)) => {
                self.memo_for_waiters(
                    r,
                    Memo::Absent(job::key(&[&a.0.to_le_bytes(), &b.0.to_le_bytes()])),
                );
            }
            (
                What::FindRoom(_)
                | What::LoadChannel(_)
                | What::FindDirect(..)
                | What::CreateRoom { .. }
                | What::CreateDirect(..),
                Outcome::Channel(Some(record)),
            ) => {
                if !self.channel_found(r, &record) {
                    return;
                }
            }
            (What::RemoveRoom(id), outcome) => {
                let removed = matches!(outcome, Outcome::Done);
                self.room_removed(id, removed);
                let memo = match outcome {
                    Outcome::Done => Memo::Done,
                    Outcome::Refused(reason) => Memo::Refused(reason),
                    _ => Memo::Refused(Reason::Failed),
                };
                self.memo_for_waiters(r, memo);
            }
            (What::Bans { channel, after }, Outcome::Page { rows, more }) => {
                if !self.bans_loaded(channel, after, rows, more) {
                    self.memo_for_waiters(r, Memo::Refused(Reason::Full));
                }
            }
            (What::FindMember(channel, account), Outcome::Member(member)) => {
                let memo = match member {
                    Some(member) => {
                        self.member_found(channel, account, &member);
                        Memo::Member {
                            channel,
                            account,
                            flags: member.flags,
                            read: member.read,
                        }
                    }
                    None => Memo::Member {
                        channel,
                        account,
                        flags: 0,
                        read: Marker::default(),
                    },
                };
                self.memo_for_waiters(r, memo);
            }
            (What::PutConfig(setting, value), Outcome::Done) => {
                // Allowed when it was asked for, so it is now.
                let _ = self.config.change(setting, &value);
                if setting.is_rate() {
                    // What was counted was counted by another measure.
                    self.throttles.clear();
                    self.wake_everybody();
                }
                self.memo_for_waiters(r, Memo::Done);
            }
            (What::PutMarker(member), outcome) => {
                let stored = matches!(outcome, Outcome::Done);
                self.memo_for_waiters(
                    r,
                    if stored {
                        Memo::Done
                    } else {
                        Memo::Refused(Reason::Failed)
                    },
                );
                if let Some(m) = self.members.resolve(member) {
                    self.marker_saved(m, stored);
                }
            }
            (What::Page { conn, page }, outcome) => self.page_loaded(conn, page, outcome),
            (What::Unread { conn }, outcome) => self.unread_found(conn, outcome),
            (What::ChangeAccount(_, Change::Flags(flags)), Outcome::Refused(reason)) => {
                if flags.contains(AccountFlags::OWNER) && self.accounts_exist == Some(false) {
                    self.first_account_pending = false;
                }
                self.memo_for_waiters(r, Memo::Refused(reason));
            }
            // A write refused, or a read that failed for good.
            (_, Outcome::Refused(reason)) => self.memo_for_waiters(r, Memo::Refused(reason)),
            // An answer of another kind than was asked: the store is broken; as if it had failed.
            _ => self.memo_for_waiters(r, Memo::Refused(Reason::Failed)),
        }
        self.finish_request(r);
    }

    /// Ends a request: who waited runs again.
    fn finish_request(&mut self, r: u32) {
        while let Some(c) = self.requests[r].waiters.pop_front(&mut self.conns) {
            self.conns[c].waiting_on = None;
            self.make_runnable(c);
        }
        let hash = self.requests[r].hash;
        self.request_index.remove(hash, r);
        self.request_queue.remove(&mut self.requests, r);
        if let What::Page { conn, page } = self.requests[r].what
            && page != NIL
            && self
                .conns
                .resolve(conn)
                .is_none_or(|c| self.conns[c].page != page)
        {
            self.pages.give(page);
        }
        self.requests.remove(r);
        self.unstall();
    }

    fn retry_request(&mut self, r: u32) {
        let request = &mut self.requests[r];
        request.issued = false;
        request.tries = request.tries.saturating_add(1);
        let at = self.now + retry_pause(request.tries);
        request.retry_at = Some(at);
        self.retry_at = Some(self.retry_at.map_or(at, |old| old.min(at)));
    }

    /// Puts the requests whose retry is due back into the queue. Returns when the next one is.
    pub(super) fn retry_requests(&mut self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for r in 0..self.requests.high_water() {
            if !self.requests.in_use(r) {
                continue;
            }
            match self.requests[r].retry_at {
                Some(at) if at <= self.now => {
                    self.requests[r].retry_at = None;
                    self.request_queue.push_back(&mut self.requests, r);
                }
                Some(at) => next = Some(next.map_or(at, |n| n.min(at))),
                None => {}
            }
        }
        next
    }

    fn memo_for_waiters(&mut self, r: u32, memo: Memo) {
        let mut next = self.requests[r].waiters.front();
        while let Some(c) = next {
            self.conns[c].memo = memo;
            next = List::<2>::next(&self.conns, c);
        }
    }

    /// Tells an account to those who asked for it: who is logging in gets the verifier.
    fn account_found(&mut self, r: u32, name: &Nick, record: Option<&AccountRecord<'_>>) {
        let mut wanted = false;
        let mut next = self.requests[r].waiters.front();
        while let Some(c) = next {
            next = List::<2>::next(&self.conns, c);
            let k = self.conns[c].credential;
            if k != NIL && self.credentials[k].asks() {
                self.credentials[k].progress = match record {
                    // Read before the account changed: good for nothing.
                    _ if self.credentials[k].stale => Progress::NoAccount,
                    Some(record) => {
                        self.credentials[k].verifier = Some(record.verifier);
                        Progress::Known {
                            account: record.id,
                            flags: AccountFlags::from_bits_truncate(record.flags),
                        }
                    }
                    None => Progress::NoAccount,
                };
            } else if record.is_none() {
                self.conns[c].memo = Memo::Absent(job::key(&[name.as_bytes()]));
            }
            wanted = true;
        }
        if let Some(record) = record
            && wanted
            && self.install_account(record).is_none()
        {
            self.memo_for_waiters(r, Memo::Refused(Reason::Full));
        }
    }

    /// Brings a channel and then its bans into memory. False when the request goes on.
    fn channel_found(&mut self, r: u32, record: &ChannelRecord<'_>) -> bool {
        if !record.direct.0.is_none() {
            for id in [record.direct.0, record.direct.1] {
                if self.account_by_id(id).is_none() {
                    // The accounts must come first: those who wait ask for them and then again.
                    let memo = Memo::Absent(job::key(&[b"account of", &id.0.to_le_bytes()]));
                    self.memo_for_waiters(r, memo);
                    self.finish_request(r);
                    return false;
                }
            }
        }
        match self.install_channel(record) {
            Some(ch) if !self.channels[ch].bans_loaded => {
                // Who waited runs again, finds the bans missing and waits for them.
                self.ask_for_bans(ch);
            }
            Some(_) => {}
            None => {
                self.memo_for_waiters(r, Memo::Refused(Reason::Full));
                self.pause_removals();
            }
        }
        true
    }

    /// Asks for the bans of a room that are not in memory yet; `None` when there is no slot.
    fn ask_for_bans(&mut self, ch: u32) -> Option<u32> {
        let what = self.bans_missing(ch);
        self.request(what)
    }

    pub(super) fn bans_missing(&self, ch: u32) -> What {
        What::Bans {
            channel: self.channels[ch].id,
            after: self.channels[ch].bans_after,
        }
    }

    /// Takes a page of bans. False when one finds no slot: the room is closed until there is, for it could be anybody's.
    fn bans_loaded(&mut self, channel: ChannelId, after: u32, rows: &[u8], more: bool) -> bool {
        let Some(ch) = self.channel_by_id(channel) else {
            return true;
        };
        if self.channels[ch].bans_loaded || self.channels[ch].bans_after != after {
            return true;
        }
        let mut rows = rows;
        while let Some(row) = next_row::<BanRow<'_>>(&mut rows) {
            if !self.install_ban(ch, row.mask, row.by, row.time) {
                return false;
            }
            self.channels[ch].bans_after = row.id;
        }
        if more && self.channels[ch].bans_after > after {
            self.ask_for_bans(ch);
        } else {
            self.channels[ch].bans_loaded = true;
        }
        true
    }

    fn member_found(
        &mut self,
        channel: ChannelId,
        account: AccountId,
        record: &crate::store::MemberRecord,
    ) {
        if let Some(ch) = self.channel_by_id(channel)
            && let Some(a) = self.account_by_id(account)
            && let Some(m) = self.member_of(a, ch)
        {
            // A direct chat's membership made in a hurry learns its markers.
            let member = &mut self.members[m];
            if record.read.seq > member.read().seq {
                member.set_read(record.read);
            }
            member.delivered = (member.delivered.seq().max(record.delivered)).into();
        }
    }

    fn settings_loaded(&mut self, settings: Option<Settings>) {
        let now = self.now;
        use chacha20::rand_core::Rng;
        let settings = match settings {
            Some(settings) => {
                self.clock.resume(now, settings.time_reserved);
                settings
            }
            None => {
                let mut secret = [0; 32];
                self.rng.fill_bytes(&mut secret);
                Settings {
                    secret,
                    time_reserved: 0,
                }
            }
        };
        let unix = self.unix();
        self.time_asked = true;
        let time_reserved = unix.saturating_add(super::clock::RESERVE_MS);
        self.request(What::PutSettings(Settings {
            time_reserved,
            ..settings
        }));
    }

    /// Makes everybody run: who came before the settings were known, or waited for a rate that is another now.
    fn wake_everybody(&mut self) {
        for c in 0..self.conns.high_water() {
            if self.conns.in_use(c) {
                self.make_runnable(c);
            }
        }
    }

    /// Whether a channel's shape is a room of that founder.
    pub(super) fn founder(&self, ch: u32) -> AccountId {
        match self.channels[ch].shape {
            Shape::Room { founder, .. } => founder,
            Shape::Direct { .. } => AccountId::NONE,
        }
    }
}

/// Milliseconds until the next try: doubling from 50.
pub(super) fn retry_pause(tries: u8) -> u64 {
    (25_u64 << tries.min(8)).min(RETRY_MAX_MS)
}
