//! Storage work and its answers in owned form, since they wait while virtual time passes.

use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{
    AccountChange, AccountRecord, Append, Change, ChannelKey, ChannelRecord, Entry, Kind, Marker,
    MemberRecord, Operation, Outcome, Reason, Selector, Settings, Verifier,
};

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its id; none before it is created.
    pub id: AccountId,
    /// Name as first spelled.
    pub name: String,
    /// Display name.
    pub display: String,
    /// Titles.
    pub titles: String,
    /// `AccountFlags` bits.
    pub flags: u8,
    /// SCRAM verifier.
    pub verifier: Verifier,
    /// Unix milliseconds.
    pub created: u64,
}

impl Account {
    fn owned(record: &AccountRecord<'_>) -> Self {
        Self {
            id: record.id,
            name: record.name.to_owned(),
            display: record.display.to_owned(),
            titles: record.titles.to_owned(),
            flags: record.flags,
            verifier: record.verifier,
            created: record.created,
        }
    }

    /// As the core reads it.
    pub fn record(&self) -> AccountRecord<'_> {
        AccountRecord {
            id: self.id,
            name: &self.name,
            display: &self.display,
            titles: &self.titles,
            flags: self.flags,
            verifier: self.verifier,
            created: self.created,
        }
    }
}

/// A change of one thing of an account.
#[derive(Clone, Debug)]
pub enum OwnedAccountChange {
    /// Its password.
    Verifier(Verifier),
    /// Its display name.
    Display(String),
    /// Its titles.
    Titles(String),
    /// Its flags.
    Flags(u8),
}

/// How a channel is found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// By id.
    Id(ChannelId),
    /// A room by name.
    Room(String),
    /// A direct chat.
    Direct(AccountId, AccountId),
}

impl Key {
    fn owned(key: &ChannelKey<'_>) -> Self {
        match *key {
            ChannelKey::Id(id) => Self::Id(id),
            ChannelKey::Room(name) => Self::Room(name.to_owned()),
            ChannelKey::Direct(a, b) => Self::Direct(a, b),
        }
    }
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedEntry {
    /// Place.
    pub seq: Seq,
    /// Unix milliseconds.
    pub time: u64,
    /// Identity.
    pub msgid: MsgId,
    /// What kind.
    pub kind: Kind,
    /// Who sent it.
    pub sender: AccountId,
    /// The sender's name then.
    pub nick: String,
    /// Client-only tags.
    pub tags: String,
    /// Depends on the kind.
    pub subject: String,
    /// The text.
    pub text: String,
}

impl OwnedEntry {
    fn owned(entry: &Entry<'_>) -> Self {
        Self {
            seq: entry.seq,
            time: entry.time,
            msgid: entry.msgid,
            kind: entry.kind,
            sender: entry.sender,
            nick: entry.nick.to_owned(),
            tags: entry.tags.to_owned(),
            subject: entry.subject.to_owned(),
            text: entry.text.to_owned(),
        }
    }

    /// As the core reads it.
    pub fn borrow(&self) -> Entry<'_> {
        Entry {
            seq: self.seq,
            time: self.time,
            msgid: self.msgid,
            kind: self.kind,
            sender: self.sender,
            nick: &self.nick,
            tags: &self.tags,
            subject: &self.subject,
            text: &self.text,
        }
    }
}

/// The change of state an entry brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedChange {
    /// None.
    None,
    /// A membership.
    Member {
        /// Whose.
        account: AccountId,
        /// `MemberFlags` bits.
        flags: u8,
    },
    /// The topic.
    Topic {
        /// Text.
        text: String,
        /// Who set it.
        by: String,
    },
    /// The modes.
    Modes {
        /// `RoomModes` bits.
        modes: u32,
        /// Key.
        key: String,
        /// Member limit.
        limit: u32,
    },
    /// A ban.
    Ban {
        /// Mask.
        mask: String,
        /// Who set it.
        by: String,
    },
    /// A ban less.
    Unban {
        /// Mask.
        mask: String,
    },
}

impl OwnedChange {
    fn owned(change: &Change<'_>) -> Self {
        match *change {
            Change::None => Self::None,
            Change::Member { account, flags } => Self::Member { account, flags },
            Change::Topic { text, by } => Self::Topic {
                text: text.to_owned(),
                by: by.to_owned(),
            },
            Change::Modes { modes, key, limit } => Self::Modes {
                modes,
                key: key.to_owned(),
                limit,
            },
            Change::Ban { mask, by } => Self::Ban {
                mask: mask.to_owned(),
                by: by.to_owned(),
            },
            Change::Unban { mask } => Self::Unban {
                mask: mask.to_owned(),
            },
        }
    }
}

/// An entry on its way into the store.
#[derive(Clone, Debug)]
pub struct OwnedAppend {
    /// Where it goes.
    pub channel: ChannelId,
    /// The server's Unix time, milliseconds.
    pub time: u64,
    /// Identity.
    pub msgid: MsgId,
    /// What it says.
    pub entry: OwnedEntry,
    /// What it changes.
    pub change: OwnedChange,
    /// How many entries the channel keeps.
    pub keep: u32,
}

impl OwnedAppend {
    fn owned(append: &Append<'_>) -> Self {
        Self {
            channel: append.channel,
            time: append.time,
            msgid: append.msgid,
            entry: OwnedEntry::owned(&append.entry),
            change: OwnedChange::owned(&append.change),
            keep: append.keep,
        }
    }
}

/// What is to be done; see [`Operation`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the operation of the same name")]
pub enum Work {
    LoadSettings,
    PutSettings(Settings),
    PutConfig(String, String),
    FindAccount(String),
    LoadAccount(AccountId),
    CreateAccount(Account),
    ChangeAccount(AccountId, OwnedAccountChange),
    RemoveAccount(AccountId),
    ReadAccounts {
        prefix: String,
        after: String,
        bytes: usize,
    },
    FindGuest,
    FindChannel(Key),
    CreateChannel {
        key: Key,
        founder: AccountId,
        time: u64,
        modes: u32,
    },
    RemoveChannel(ChannelId),
    ReadBans {
        channel: ChannelId,
        after: u32,
        bytes: usize,
    },
    ReadRooms {
        after: ChannelId,
        bytes: usize,
    },
    FindMember(ChannelId, AccountId),
    ReadMembers {
        channel: ChannelId,
        after: AccountId,
        bytes: usize,
    },
    ReadMemberships {
        account: AccountId,
        after: ChannelId,
        bytes: usize,
    },
    ReadUnreadDirects {
        account: AccountId,
        after: ChannelId,
        bytes: usize,
    },
    PutMarker {
        channel: ChannelId,
        account: AccountId,
        read: Marker,
        delivered: Seq,
    },
    Append(OwnedAppend),
    Locate {
        channel: ChannelId,
        selector: Selector,
        limit: u16,
        events: bool,
        last: Seq,
    },
    ReadHistory {
        channel: ChannelId,
        first: Seq,
        last: Seq,
        bytes: usize,
    },
    ReadTargets {
        account: AccountId,
        from: u64,
        to: u64,
        after: (u64, ChannelId),
        bytes: usize,
    },
}

/// Writes in one lane are executed and answered in the order they were given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// The server's settings.
    Settings,
    /// One account.
    Account(AccountId),
    /// One channel.
    Channel(ChannelId),
}

impl Work {
    /// Takes an operation over from the core.
    pub fn owned(operation: &Operation<'_>) -> Self {
        match *operation {
            Operation::LoadSettings => Self::LoadSettings,
            Operation::PutSettings(settings) => Self::PutSettings(settings),
            Operation::PutConfig { name, value } => {
                Self::PutConfig(name.to_owned(), value.to_owned())
            }
            Operation::FindAccount { name } => Self::FindAccount(name.to_owned()),
            Operation::LoadAccount { account } => Self::LoadAccount(account),
            Operation::CreateAccount(ref record) => Self::CreateAccount(Account::owned(record)),
            Operation::ChangeAccount { account, change } => Self::ChangeAccount(
                account,
                match change {
                    AccountChange::Verifier(verifier) => OwnedAccountChange::Verifier(verifier),
                    AccountChange::Display(text) => OwnedAccountChange::Display(text.to_owned()),
                    AccountChange::Titles(text) => OwnedAccountChange::Titles(text.to_owned()),
                    AccountChange::Flags(flags) => OwnedAccountChange::Flags(flags),
                },
            ),
            Operation::RemoveAccount { account } => Self::RemoveAccount(account),
            Operation::ReadAccounts {
                prefix,
                after,
                bytes,
            } => Self::ReadAccounts {
                prefix: prefix.to_owned(),
                after: after.to_owned(),
                bytes,
            },
            Operation::FindGuest => Self::FindGuest,
            Operation::FindChannel(ref key) => Self::FindChannel(Key::owned(key)),
            Operation::CreateChannel {
                ref key,
                founder,
                time,
                modes,
            } => Self::CreateChannel {
                key: Key::owned(key),
                founder,
                time,
                modes,
            },
            Operation::RemoveChannel { channel } => Self::RemoveChannel(channel),
            Operation::ReadBans {
                channel,
                after,
                bytes,
            } => Self::ReadBans {
                channel,
                after,
                bytes,
            },
            Operation::ReadRooms { after, bytes } => Self::ReadRooms { after, bytes },
            Operation::FindMember { channel, account } => Self::FindMember(channel, account),
            Operation::ReadMembers {
                channel,
                after,
                bytes,
            } => Self::ReadMembers {
                channel,
                after,
                bytes,
            },
            Operation::ReadMemberships {
                account,
                after,
                bytes,
            } => Self::ReadMemberships {
                account,
                after,
                bytes,
            },
            Operation::ReadUnreadDirects {
                account,
                after,
                bytes,
            } => Self::ReadUnreadDirects {
                account,
                after,
                bytes,
            },
            Operation::PutMarker {
                channel,
                account,
                read,
                delivered,
            } => Self::PutMarker {
                channel,
                account,
                read,
                delivered,
            },
            Operation::Append(ref append) => Self::Append(OwnedAppend::owned(append)),
            Operation::Locate {
                channel,
                selector,
                limit,
                events,
                last,
            } => Self::Locate {
                channel,
                selector,
                limit,
                events,
                last,
            },
            Operation::ReadHistory {
                channel,
                first,
                last,
                bytes,
            } => Self::ReadHistory {
                channel,
                first,
                last,
                bytes,
            },
            Operation::ReadTargets {
                account,
                from,
                to,
                after,
                bytes,
            } => Self::ReadTargets {
                account,
                from,
                to,
                after,
                bytes,
            },
        }
    }

    /// The lane of a write that must keep its order; `None` for reads and for what names nothing that exists yet.
    pub fn lane(&self) -> Option<Lane> {
        match *self {
            Self::PutSettings(_) | Self::PutConfig(..) => Some(Lane::Settings),
            Self::ChangeAccount(account, _) | Self::RemoveAccount(account) => {
                Some(Lane::Account(account))
            }
            Self::Append(OwnedAppend { channel, .. })
            | Self::RemoveChannel(channel)
            | Self::PutMarker { channel, .. } => Some(Lane::Channel(channel)),
            _ => None,
        }
    }

    /// Whether it changes the store.
    pub fn is_write(&self) -> bool {
        self.lane().is_some() || matches!(self, Self::CreateAccount(_) | Self::CreateChannel { .. })
    }
}

/// An answer that waits to be given.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the outcome of the same name")]
pub enum Answer {
    Stored { seq: Seq, time: u64 },
    Done,
    Created(AccountId),
    Refused(Reason),
    Unknown,
    Settings(Option<Settings>),
    Account(Option<Account>),
    Channel(Option<ChannelRow>),
    Member(Option<MemberRecord>),
    Page { rows: Vec<u8>, more: bool },
    Bounds(Option<(Seq, Seq)>),
}

impl Answer {
    /// Keeps what another store answered.
    pub fn owned(outcome: &Outcome<'_>) -> Self {
        match *outcome {
            Outcome::Stored { seq, time } => Self::Stored { seq, time },
            Outcome::Done => Self::Done,
            Outcome::Created(id) => Self::Created(id),
            Outcome::Refused(reason) => Self::Refused(reason),
            Outcome::Unknown => Self::Unknown,
            Outcome::Settings(settings) => Self::Settings(settings),
            Outcome::Account(ref record) => Self::Account(record.as_ref().map(Account::owned)),
            Outcome::Channel(ref record) => Self::Channel(record.as_ref().map(ChannelRow::owned)),
            Outcome::Member(member) => Self::Member(member),
            Outcome::Page { rows, more } => Self::Page {
                rows: rows.to_vec(),
                more,
            },
            Outcome::Bounds(bounds) => Self::Bounds(bounds),
        }
    }

    /// As the core takes it.
    pub fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Stored { seq, time } => Outcome::Stored {
                seq: *seq,
                time: *time,
            },
            Self::Done => Outcome::Done,
            Self::Created(id) => Outcome::Created(*id),
            Self::Refused(reason) => Outcome::Refused(*reason),
            Self::Unknown => Outcome::Unknown,
            Self::Settings(settings) => Outcome::Settings(*settings),
            Self::Account(account) => Outcome::Account(account.as_ref().map(Account::record)),
            Self::Channel(row) => Outcome::Channel(row.as_ref().map(ChannelRow::record)),
            Self::Member(member) => Outcome::Member(*member),
            Self::Page { rows, more } => Outcome::Page { rows, more: *more },
            Self::Bounds(bounds) => Outcome::Bounds(*bounds),
        }
    }
}

/// What a channel's record holds besides its entries, members and bans.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelRow {
    /// Its id.
    pub id: ChannelId,
    /// A room's name as first spelled; empty for a direct chat.
    pub name: String,
    /// The two accounts of a direct chat.
    pub direct: (AccountId, AccountId),
    /// A room's founder.
    pub founder: AccountId,
    /// Unix milliseconds.
    pub created: u64,
    /// Topic.
    pub topic: String,
    /// Who set it.
    pub topic_by: String,
    /// When, Unix milliseconds.
    pub topic_time: u64,
    /// `RoomModes` bits.
    pub modes: u32,
    /// Key.
    pub key: String,
    /// Member limit.
    pub limit: u32,
    /// How many have joined.
    pub members: u32,
    /// How many bans.
    pub bans: u32,
    /// Oldest place kept.
    pub first: Seq,
    /// Newest place.
    pub last: Seq,
    /// Time of the newest, Unix milliseconds.
    pub last_time: u64,
}

impl ChannelRow {
    fn owned(record: &ChannelRecord<'_>) -> Self {
        Self {
            id: record.id,
            name: record.name.to_owned(),
            direct: record.direct,
            founder: record.founder,
            created: record.created,
            topic: record.topic.to_owned(),
            topic_by: record.topic_by.to_owned(),
            topic_time: record.topic_time,
            modes: record.modes,
            key: record.key.to_owned(),
            limit: record.limit,
            members: record.members,
            bans: record.bans,
            first: record.first,
            last: record.last,
            last_time: record.last_time,
        }
    }

    fn record(&self) -> ChannelRecord<'_> {
        ChannelRecord {
            id: self.id,
            name: &self.name,
            direct: self.direct,
            founder: self.founder,
            created: self.created,
            topic: &self.topic,
            topic_by: &self.topic_by,
            topic_time: self.topic_time,
            modes: self.modes,
            key: &self.key,
            limit: self.limit,
            members: self.members,
            bans: self.bans,
            first: self.first,
            last: self.last,
            last_time: self.last_time,
        }
    }
}
