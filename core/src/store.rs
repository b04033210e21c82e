//! The border to storage: what the core asks of a store, and what a store answers.
//!
//! A store executes each [`Operation`] and answers with one [`Outcome`] under the same ticket. Operations of different channels
//! may be answered in any order. What a store promises:
//!
//! - **Contiguous places.** Entries of one channel get `Seq` 1, 2, 3, ... without a hole, in commit order; `time` never decreases
//!   within a channel: it is the larger of `Append::time` and the channel's last.
//! - **Idempotence.** An `Append` whose `msgid` the channel already holds is answered with the place it has.
//! - **Durability.** `Stored`, `Done`, `Created` and `Channel` after a write mean committed to the medium.
//! - **Honesty.** `Refused` means certainly not stored; where that is not certain the answer is `Unknown`, and the core asks again.
//! - **Atomicity.** The entry and the `Change` of one `Append` are stored both or not at all.
//!
//! Pages of rows and [`Settings`] travel as postcard: enums are only appended to.

pub mod packed;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, ChannelId, MsgId, Seq, Ticket};

/// A piece of storage work. The borrowed fields are valid until the next call into the server.
#[derive(Clone, Debug)]
pub struct Effect<'a> {
    /// To be handed back with the outcome.
    pub ticket: Ticket,
    /// What to do.
    pub operation: Operation<'a>,
}

/// What a store is asked to do. Names are folded to lower case (ASCII); their first spelling is in the records.
#[derive(Clone, Debug)]
pub enum Operation<'a> {
    /// Read the server's own settings. Answer: `Settings`.
    LoadSettings,
    /// Write the server's own settings. Answer: `Done`.
    PutSettings(Settings),

    /// Keep an owner's value of a setting, in place of an earlier one; whoever starts the server gives it back with
    /// [`Config::restore`](crate::config::Config::restore). Answer: `Done`.
    PutConfig {
        /// Name of the setting, at most 32 bytes.
        name: &'a str,
        /// Its value, at most [`VALUE_MAX`](crate::config::VALUE_MAX) bytes.
        value: &'a str,
    },

    /// Answer: `Account`.
    FindAccount {
        /// Folded name.
        name: &'a str,
    },
    /// Answer: `Account`.
    LoadAccount {
        /// Whose.
        account: AccountId,
    },
    /// Write a new account (its id is none). Answer: `Created`, or `Refused(Exists)` when the folded name is taken.
    CreateAccount(AccountRecord<'a>),
    /// Change one thing of an account. Answer: `Done`, also when there is no such account.
    ChangeAccount {
        /// Whose.
        account: AccountId,
        /// What.
        change: AccountChange<'a>,
    },
    /// Remove an account with its memberships and markers; its messages stay. Answer: `Done`, also when there was none.
    RemoveAccount {
        /// Whose.
        account: AccountId,
    },
    /// A page of [`AccountRow`]s with `row.name > after` (folded), in order of folded name, that start with `prefix`.
    ReadAccounts {
        /// Folded prefix, may be empty.
        prefix: &'a str,
        /// Folded name to go on after, may be empty.
        after: &'a str,
        /// Page size in bytes.
        bytes: usize,
    },
    /// The guest account with the lowest id, if any: guests left over from a crash are swept. Answer: `Account`.
    FindGuest,

    /// Answer: `Channel`.
    FindChannel(ChannelKey<'a>),
    /// Make a channel, or find it when it exists already. Answer: `Channel(Some)`.
    CreateChannel {
        /// A room (spelled as its founder did) or a direct chat, never an id.
        key: ChannelKey<'a>,
        /// The room's founder; none for a direct chat.
        founder: AccountId,
        /// Unix time, milliseconds.
        time: u64,
        /// A room's first modes.
        modes: u32,
    },
    /// Remove a room that nobody is in, with its history and what is kept of memberships. Answer: `Done`, also when there was none.
    RemoveChannel {
        /// Which.
        channel: ChannelId,
    },
    /// A page of [`BanRow`]s of a room in order of `id`, with `id > after`.
    ReadBans {
        /// Which room.
        channel: ChannelId,
        /// Id to go on after; 0 from the start.
        after: u32,
        /// Page size in bytes.
        bytes: usize,
    },
    /// A page of [`RoomRow`]s in order of id, `id > after`.
    ReadRooms {
        /// Id to go on after.
        after: ChannelId,
        /// Page size in bytes.
        bytes: usize,
    },

    /// Answer: `Member`.
    FindMember {
        /// Which channel.
        channel: ChannelId,
        /// Whose membership.
        account: AccountId,
    },
    /// A page of [`MemberRow`]s of a room: accounts with the flag `JOINED`, in order of id, `account > after`.
    ReadMembers {
        /// Which room.
        channel: ChannelId,
        /// Id to go on after.
        after: AccountId,
        /// Page size in bytes.
        bytes: usize,
    },
    /// A page of [`MembershipRow`]s: the rooms an account has joined, in order of id, `channel > after`.
    ReadMemberships {
        /// Whose.
        account: AccountId,
        /// Id to go on after.
        after: ChannelId,
        /// Page size in bytes.
        bytes: usize,
    },
    /// A page of [`DirectRow`]s: the direct chats of an account whose last entry is past both its `delivered` and its `read`
    /// place, in order of id, `channel > after`.
    ReadUnreadDirects {
        /// Whose.
        account: AccountId,
        /// Id to go on after.
        after: ChannelId,
        /// Page size in bytes.
        bytes: usize,
    },
    /// Write what an account has read and been given of a channel; makes the membership row (without flags) when there is
    /// none, and never moves a place backwards. Answer: `Done`.
    PutMarker {
        /// Which channel.
        channel: ChannelId,
        /// Whose.
        account: AccountId,
        /// Read marker (draft/read-marker).
        read: Marker,
        /// Last place delivered to a client that cannot fetch history itself.
        delivered: Seq,
    },

    /// Store an entry at the end of its channel. Answer: `Stored`, `Refused` or `Unknown`.
    Append(Append<'a>),
    /// The place and time bounds of a history page; see [`Select`](crate::history::Select). Answer: `Bounds`.
    Locate {
        /// Which channel.
        channel: ChannelId,
        /// What was asked for.
        selector: Selector,
        /// At most so many messages.
        limit: u16,
        /// Whether entries other than messages count and show (draft/event-playback).
        events: bool,
        /// Entries past this place are not yet published and must not be seen.
        last: Seq,
    },
    /// A page of [`Entry`]s in ascending order: `first..=last`, from the front, as many as fit in `bytes` (at least one).
    ReadHistory {
        /// Which channel.
        channel: ChannelId,
        /// First place.
        first: Seq,
        /// Last place.
        last: Seq,
        /// Page size in bytes.
        bytes: usize,
    },
    /// A page of [`TargetRow`]s: the channels the account is in whose latest message is at `from < time < to` (Unix milliseconds),
    /// in order of that time, then of id; (time, channel) > `after`.
    ReadTargets {
        /// Whose.
        account: AccountId,
        /// Lower bound, exclusive.
        from: u64,
        /// Upper bound, exclusive.
        to: u64,
        /// Where to go on after.
        after: (u64, ChannelId),
        /// Page size in bytes.
        bytes: usize,
    },
}

/// What can change of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountChange<'a> {
    /// Its password.
    Verifier(Verifier),
    /// Its display name.
    Display(&'a str),
    /// Its titles.
    Titles(&'a str),
    /// Its flags.
    Flags(u8),
}

/// How a channel is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelKey<'a> {
    /// By its id.
    Id(ChannelId),
    /// A room by name: folded for `FindChannel`, as its founder spelled it for `CreateChannel`. With its `#`.
    Room(&'a str),
    /// A direct chat by its two accounts, the lower id first; both are the same in a chat with oneself.
    Direct(AccountId, AccountId),
}

/// An entry on its way into the store.
#[derive(Clone, Debug)]
pub struct Append<'a> {
    /// Where it goes.
    pub channel: ChannelId,
    /// The server's Unix time now, milliseconds.
    pub time: u64,
    /// Identity of the entry, for retries.
    pub msgid: MsgId,
    /// What it says. Its `seq` and `time` are not yet known and zero.
    pub entry: Entry<'a>,
    /// The change of state it brings.
    pub change: Change<'a>,
    /// How many entries the channel keeps at most; older ones may be deleted.
    pub keep: u32,
}

/// The change of state that an entry brings to its channel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Change<'a> {
    /// None: a message.
    None,
    /// Write a membership; its row goes when `flags` is empty and nothing was ever delivered or read (a left room keeps its markers).
    Member {
        /// Whose.
        account: AccountId,
        /// `MemberFlags` bits.
        flags: u8,
    },
    /// Write the room's topic.
    Topic {
        /// Text, may be empty.
        text: &'a str,
        /// Name of who set it.
        by: &'a str,
    },
    /// Write the room's modes.
    Modes {
        /// `RoomModes` bits.
        modes: u32,
        /// Key; empty for none.
        key: &'a str,
        /// Member limit; 0 for none.
        limit: u32,
    },
    /// Add a ban; nothing when the folded mask is there.
    Ban {
        /// Mask.
        mask: &'a str,
        /// Name of who set it.
        by: &'a str,
    },
    /// Remove a ban by its folded mask.
    Unban {
        /// Mask.
        mask: &'a str,
    },
}

/// What kind of entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// A message.
    Privmsg = 0,
    /// A notice.
    Notice = 1,
    /// A message of tags only.
    Tagmsg = 2,
    /// Somebody joined. `text`: display name.
    Join = 3,
    /// Somebody left. `text`: reason.
    Part = 4,
    /// Somebody was removed. `subject`: who; `text`: reason.
    Kick = 5,
    /// The topic was changed. `text`: the topic.
    Topic = 6,
    /// A mode was changed. `subject`: the whole change, e.g. `+o bob`.
    Mode = 7,
    /// An account was invited to a room; not shown in history. `subject`: who.
    Invite = 8,
}

impl Kind {
    /// All kinds in order of their number.
    pub const ALL: [Self; 9] = [
        Self::Privmsg,
        Self::Notice,
        Self::Tagmsg,
        Self::Join,
        Self::Part,
        Self::Kick,
        Self::Topic,
        Self::Mode,
        Self::Invite,
    ];

    /// The kind of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether history limits count it and clients without draft/event-playback see it: PRIVMSG and NOTICE.
    pub const fn is_message(self) -> bool {
        matches!(self, Self::Privmsg | Self::Notice)
    }

    /// The IRC command.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Privmsg => "PRIVMSG",
            Self::Notice => "NOTICE",
            Self::Tagmsg => "TAGMSG",
            Self::Join => "JOIN",
            Self::Part => "PART",
            Self::Kick => "KICK",
            Self::Topic => "TOPIC",
            Self::Mode => "MODE",
            Self::Invite => "INVITE",
        }
    }
}

/// An entry of a channel's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Place in the channel.
    pub seq: Seq,
    /// Unix time, milliseconds.
    pub time: u64,
    /// Identity.
    pub msgid: MsgId,
    /// What kind.
    pub kind: Kind,
    /// Who sent it (the id may by now be a removed account's).
    pub sender: AccountId,
    /// The sender's name when it was sent.
    pub nick: &'a str,
    /// Client-only tags in wire form, without `@`, e.g. `+draft/reply=abc;+typing=done`.
    pub tags: &'a str,
    /// Depends on the kind, see there.
    pub subject: &'a str,
    /// The text.
    pub text: &'a str,
}

/// What part of a history is asked for (IRCv3 draft/chathistory).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selector {
    /// The newest; with a bound only what is after it.
    Latest(Option<Bound>),
    /// The newest before the bound.
    Before(Bound),
    /// The oldest after the bound.
    After(Bound),
    /// Half before, half after, the one at the bound included.
    Around(Bound),
    /// From the first bound towards the second, both excluded. The first may be the later one: then the newest are taken.
    Between(Bound, Bound),
}

/// A point in a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// By Unix time, milliseconds.
    Time(u64),
    /// By message id. An unknown id selects by the time it carries (its upper 42 bits).
    Id(MsgId),
    /// By place (the core's own replays).
    Seq(Seq),
}

/// How far somebody has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marker {
    /// Last place read; 0 for none.
    pub seq: Seq,
    /// The time the client gave, Unix milliseconds, at most the channel's last; 0 for none.
    pub time: u64,
}

/// The server's own settings: what it must remember that is no configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Secret behind fake salts, so that a restart does not tell which accounts are unknown.
    pub secret: [u8; 32],
    /// No time stamp past this was ever given; Unix milliseconds. Reserved ahead.
    pub time_reserved: u64,
}

bitflags::bitflags! {
    /// Standing of an account.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct AccountFlags: u8 {
        /// Administers the server.
        const OWNER = 1;
        /// May not log in.
        const DISABLED = 2;
        /// Has no credentials and ends with its last connection.
        const GUEST = 4;
    }
}

bitflags::bitflags! {
    /// Standing of an account in a room.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MemberFlags: u8 {
        /// Is a member, online or not.
        const JOINED = 1;
        /// May speak in a moderated room (`+v`).
        const VOICE = 2;
        /// Operator (`+o`).
        const OPERATOR = 4;
        /// Founder (`+q`).
        const FOUNDER = 8;
        /// May join once in spite of `+i`, `+k` and `+l`.
        const INVITED = 16;
    }
}

/// An account as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountRecord<'a> {
    /// None for one to be created.
    pub id: AccountId,
    /// Its name (nick) as first spelled.
    pub name: &'a str,
    /// Display name in any script, may be empty.
    pub display: &'a str,
    /// Titles, separated by commas, may be empty.
    pub titles: &'a str,
    /// `AccountFlags` bits: owner, disabled, guest.
    pub flags: u8,
    /// SCRAM verifier; guests have none (zero iterations).
    pub verifier: Verifier,
    /// When it was created, Unix milliseconds.
    pub created: u64,
}

/// What the server keeps of a password (RFC 5802): enough to verify, not to log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verifier {
    /// PBKDF2 rounds; zero where nobody can log in.
    pub iterations: u32,
    /// Salt.
    pub salt: [u8; 16],
    /// StoredKey of RFC 5802.
    pub stored_key: [u8; 32],
    /// ServerKey of RFC 5802.
    pub server_key: [u8; 32],
}

impl Verifier {
    /// Of an account nobody can log in to with a password.
    pub const NONE: Self = Self {
        iterations: 0,
        salt: [0; 16],
        stored_key: [0; 32],
        server_key: [0; 32],
    };
}

/// A channel as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelRecord<'a> {
    /// Its id.
    pub id: ChannelId,
    /// A room's name as its founder spelled it; empty for a direct chat.
    pub name: &'a str,
    /// The two accounts of a direct chat, lower id first; none for a room.
    pub direct: (AccountId, AccountId),
    /// A room's founder.
    pub founder: AccountId,
    /// When it was created, Unix milliseconds.
    pub created: u64,
    /// Topic, may be empty.
    pub topic: &'a str,
    /// Who set the topic, and when (Unix milliseconds).
    pub topic_by: &'a str,
    /// When the topic was set.
    pub topic_time: u64,
    /// `RoomModes` bits.
    pub modes: u32,
    /// Key, may be empty.
    pub key: &'a str,
    /// Member limit; 0 for none.
    pub limit: u32,
    /// How many have the flag `JOINED`.
    pub members: u32,
    /// How many bans it has.
    pub bans: u32,
    /// Place of the oldest entry still kept (1 when nothing was deleted, also when empty).
    pub first: Seq,
    /// Place of the newest entry; 0 when empty.
    pub last: Seq,
    /// Time of the newest entry.
    pub last_time: u64,
}

/// A membership as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MemberRecord {
    /// `MemberFlags` bits.
    pub flags: u8,
    /// Read marker.
    pub read: Marker,
    /// Last place delivered to a client that cannot fetch history itself.
    pub delivered: Seq,
}

/// Row of `ReadAccounts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountRow<'a> {
    /// Whose.
    pub id: AccountId,
    /// Name.
    pub name: &'a str,
    /// Display name.
    pub display: &'a str,
    /// Titles.
    pub titles: &'a str,
    /// Account flags.
    pub flags: u8,
    /// When it was created, Unix milliseconds.
    pub created: u64,
}

/// Row of `ReadRooms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomRow<'a> {
    /// Which room.
    pub id: ChannelId,
    /// Name.
    pub name: &'a str,
    /// Topic.
    pub topic: &'a str,
    /// Room modes.
    pub modes: u32,
    /// Members.
    pub members: u32,
}

/// Row of `ReadMembers`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberRow<'a> {
    /// Whose.
    pub account: AccountId,
    /// Account name.
    pub name: &'a str,
    /// Display name.
    pub display: &'a str,
    /// Account flags.
    pub account_flags: u8,
    /// Member flags.
    pub flags: u8,
}

/// Row of `ReadMemberships`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MembershipRow<'a> {
    /// Which room.
    pub channel: ChannelId,
    /// Its name.
    pub name: &'a str,
    /// The membership.
    pub member: MemberRecord,
}

/// Row of `ReadUnreadDirects`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DirectRow {
    /// Which direct chat.
    pub channel: ChannelId,
    /// With whom.
    pub peer: AccountId,
}

/// Row of `ReadTargets`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetRow<'a> {
    /// Which channel.
    pub channel: ChannelId,
    /// Room name, or the peer's account name.
    pub name: &'a str,
    /// Time of the latest message.
    pub time: u64,
}

/// Row of `ReadBans`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BanRow<'a> {
    /// Its id in the store, counted from 1.
    pub id: u32,
    /// Mask.
    pub mask: &'a str,
    /// Who set it.
    pub by: &'a str,
    /// When, Unix milliseconds.
    pub time: u64,
}

/// A store's answer.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The entry was stored.
    Stored {
        /// Its place.
        seq: Seq,
        /// Its time, Unix milliseconds.
        time: u64,
    },
    /// The write was stored.
    Done,
    /// The account was created.
    Created(AccountId),
    /// Certainly not stored (or, of a read: it failed for good).
    Refused(Reason),
    /// Not known whether it was stored (or, of a read: it failed for now); the core asks again.
    Unknown,
    /// `None` on an empty store.
    Settings(Option<Settings>),
    /// `None` when there is none.
    Account(Option<AccountRecord<'a>>),
    /// `None` when there is none.
    Channel(Option<ChannelRecord<'a>>),
    /// `None` when there is none.
    Member(Option<MemberRecord>),
    /// A page of rows, made with [`PageWriter`].
    Page {
        /// The rows.
        rows: &'a [u8],
        /// Whether there are more after them.
        more: bool,
    },
    /// A history page's bounds, `None` when it is empty.
    Bounds(Option<(Seq, Seq)>),
}

/// Why a store refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The name is taken.
    Exists,
    /// There is no more room.
    Full,
    /// The medium failed.
    Failed,
}

/// Writes rows of one type one after another, as many as fit.
pub struct PageWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> PageWriter<'a> {
    /// A page over a buffer.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Adds a row; false, and nothing written, when it does not fit.
    pub fn push<T: Serialize>(&mut self, row: &T) -> bool {
        match self
            .buffer
            .get_mut(self.used..)
            .map(|rest| postcard::to_slice(row, rest))
        {
            Some(Ok(written)) => {
                self.used += written.len();
                true
            }
            _ => false,
        }
    }

    /// The rows so far.
    pub fn rows(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
}

/// Takes the next row off a page; `None` at its end or where it is damaged.
pub fn next_row<'a, T: Deserialize<'a>>(page: &mut &'a [u8]) -> Option<T> {
    if page.is_empty() {
        return None;
    }
    let (row, rest) = postcard::take_from_bytes(page).ok()?;
    *page = rest;
    Some(row)
}
