//! Channels in memory, the memberships of accounts online, and the cursors of their connections.

use crate::history::Cursor;
use crate::id::{AccountId, ChannelId, Handle, MsgId, Seq};
use crate::irc::mode::RoomModes;
use crate::name::{KEY_MAX, MASK_MAX, Nick, RoomName};
use crate::store::{Kind, Marker, MemberFlags, Reason};
use crate::tables::{self, Count, List, Near, Short, Tally, Time, linked};
use crate::text::Text;
use crate::time::Instant;

/// What kind of channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Room {
        name: RoomName,
        founder: AccountId,
        created: Time,
        modes: RoomModes,
        key: Text<KEY_MAX>,
        limit: u32,
        /// Members, online or not.
        members: u32,
    },
    Direct {
        /// Lower id first; both the same in a chat with oneself.
        accounts: [AccountId; 2],
        names: [Nick; 2],
    },
}

/// Slot of a channel.
pub struct Channel {
    pub(super) id: ChannelId,
    pub(super) shape: Shape,
    /// Published entries: the newest's place and time, and the oldest the store keeps.
    pub(super) last: Count,
    pub(super) last_time: Time,
    pub(super) first: Count,
    /// Changes with every join, part and change of a flag, so that a page of members read before is known to be stale.
    pub(super) roster: u32,
    /// A pending change of modes or bans: later entries wait for it.
    pub(super) held: bool,
    /// Changes of memberships on their way through the store: who they are about waits, and joins count for the limit.
    pub(super) changing: u16,
    /// Connections using it in a command or job just now.
    pub(super) pins: Tally,
    /// Every attachment knows that there is something new.
    pub(super) flagged: bool,
    pub(super) bans_count: u16,
    /// Bans are being loaded, until then nobody joins; so far up to that id.
    pub(super) bans_loaded: bool,
    pub(super) bans_after: u32,
    pub(super) members: List<1>,
    pub(super) attachments: List<1>,
    pub(super) bans: List<0>,
    pub(super) appends: List<1>,
    /// Entries pending in it.
    pub(super) pending: u16,
    pub(super) idle: tables::Link,
}

linked!(Channel { 0: idle });

impl Default for Channel {
    fn default() -> Self {
        Self {
            id: ChannelId::NONE,
            shape: Shape::Direct {
                accounts: [AccountId::NONE; 2],
                names: [Nick::default(); 2],
            },
            last: Count::ZERO,
            last_time: Time::ZERO,
            first: Seq(1).into(),
            roster: 0,
            held: false,
            changing: 0,
            pins: 0,
            flagged: false,
            bans_count: 0,
            bans_loaded: true,
            bans_after: 0,
            members: List::default(),
            attachments: List::default(),
            bans: List::default(),
            appends: List::default(),
            pending: 0,
            idle: tables::Link::default(),
        }
    }
}

impl Channel {
    /// The room's name, or for a direct chat the name of whom `account` talks to.
    pub(super) fn name_for(&self, account: AccountId) -> &str {
        match &self.shape {
            Shape::Room { name, .. } => name,
            Shape::Direct { accounts, names } => {
                &names[usize::from(accounts[0] == account && accounts[1] != account)]
            }
        }
    }

    pub(super) const fn is_room(&self) -> bool {
        matches!(self.shape, Shape::Room { .. })
    }

    pub(super) const fn modes(&self) -> RoomModes {
        match &self.shape {
            Shape::Room { modes, .. } => *modes,
            Shape::Direct { .. } => RoomModes::empty(),
        }
    }
}

/// Membership of an account that is online (or whose markers are still to be written).
pub struct Member {
    pub(super) account: Short,
    pub(super) channel: Short,
    pub(super) flags: MemberFlags,
    pub(super) read: (Count, Time),
    pub(super) delivered: Count,
    /// Its markers are known (a direct chat's membership can be made before they are read).
    pub(super) known: bool,
    /// Stored values differ.
    pub(super) unsaved: bool,
    /// A write of the markers is on its way.
    pub(super) saving: bool,
    pub(super) in_account: tables::Link,
    pub(super) in_channel: tables::Link,
    pub(super) dirty: tables::Link,
}

linked!(Member {
    0: in_account,
    1: in_channel,
    2: dirty
});

impl Default for Member {
    fn default() -> Self {
        Self {
            account: Short::NIL,
            channel: Short::NIL,
            flags: MemberFlags::empty(),
            read: (Count::ZERO, Time::ZERO),
            delivered: Count::ZERO,
            known: false,
            unsaved: false,
            saving: false,
            in_account: tables::Link::default(),
            in_channel: tables::Link::default(),
            dirty: tables::Link::default(),
        }
    }
}

impl Member {
    /// How far its account has read.
    pub(super) fn read(&self) -> Marker {
        Marker {
            seq: self.read.0.seq(),
            time: self.read.1.get(),
        }
    }

    pub(super) fn set_read(&mut self, read: Marker) {
        self.read = (read.seq.into(), Time::new(read.time));
    }
}

/// A connection's cursor into a channel.
pub struct Attachment {
    pub(super) conn: Short,
    pub(super) channel: Short,
    pub(super) member: Short,
    pub(super) cursor: Cursor,
    /// Newest place sent.
    seen: Count,
    /// Newest place of an entry of this very connection; replies wait until it is sent.
    own: Near,
    /// Something was missed: say so when the room is introduced again.
    pub(super) gap: bool,
    /// The account has left: to be taken away once that place is sent.
    has_left: bool,
    until: Near,
    /// It joined again at that place before its leaving was sent: to be introduced then.
    is_back: bool,
    again: Near,
    pub(super) in_conn: tables::Link,
    pub(super) in_channel: tables::Link,
    pub(super) dirty: tables::Link,
    pub(super) intro: tables::Link,
}

linked!(Attachment {
    0: in_conn,
    1: in_channel,
    2: dirty,
    3: intro
});

impl Default for Attachment {
    fn default() -> Self {
        Self {
            conn: Short::NIL,
            channel: Short::NIL,
            member: Short::NIL,
            cursor: Cursor::NONE,
            seen: Count::ZERO,
            own: Near::default(),
            gap: false,
            has_left: false,
            until: Near::default(),
            is_back: false,
            again: Near::default(),
            in_conn: tables::Link::default(),
            in_channel: tables::Link::default(),
            dirty: tables::Link::default(),
            intro: tables::Link::default(),
        }
    }
}

impl Attachment {
    pub(super) fn seen(&self) -> Seq {
        self.seen.seq()
    }

    /// Begins at a place, without entries of its own before.
    pub(super) fn begin(&mut self, seen: Seq) {
        self.seen = seen.into();
        self.disown();
    }

    pub(super) fn set_seen(&mut self, seen: Seq) {
        let own = self.own();
        self.seen = seen.into();
        if seen.0.saturating_sub(own.0) > Near::REACH {
            self.disown();
        } else {
            self.own = Near::new(own);
        }
    }

    fn own(&self) -> Seq {
        self.own.seq(self.seen())
    }

    /// Whether an entry of its own is still to be sent.
    pub(super) fn owes(&self) -> bool {
        self.own() > self.seen()
    }

    pub(super) fn set_own(&mut self, own: Seq) {
        self.own = Near::new(self.own().max(own));
    }

    /// Forgets its own entries: they are further back than anything is taken back.
    pub(super) fn disown(&mut self) {
        self.own = Near::new(Seq(self.seen().0.saturating_sub(Near::REACH / 2)));
    }

    pub(super) fn until(&self) -> Option<Seq> {
        self.has_left.then(|| self.until.seq(self.seen()))
    }

    /// The account leaves at a place (or has left before).
    pub(super) fn leave(&mut self, seq: Seq) {
        if !self.has_left {
            self.until = Near::new(seq);
            self.has_left = true;
        }
        self.is_back = false;
    }

    /// Where the account joined again since; none if it did not.
    pub(super) fn again(&self) -> Seq {
        if self.is_back {
            self.again.seq(self.seen())
        } else {
            Seq::NONE
        }
    }

    pub(super) fn return_at(&mut self, seq: Seq) {
        self.again = Near::new(seq);
        self.is_back = true;
    }

    /// The account is a member as if it had never left.
    pub(super) fn stay(&mut self) {
        self.has_left = false;
        self.is_back = false;
    }
}

/// A ban of a room in memory.
#[derive(Default)]
pub struct Ban {
    pub(super) mask: Text<MASK_MAX>,
    pub(super) by: Nick,
    pub(super) time: Time,
    pub(super) in_channel: tables::Link,
}

linked!(Ban { 0: in_channel });

/// A watched name (MONITOR).
#[derive(Default)]
pub struct Watch {
    pub(super) conn: u32,
    /// Folded.
    pub(super) name: Nick,
    pub(super) reported: Reported,
    pub(super) in_conn: tables::Link,
    pub(super) dirty: tables::Link,
}

linked!(Watch {
    0: in_conn,
    1: dirty
});

/// What a watcher was last told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Reported {
    #[default]
    Nothing,
    Offline,
    Here,
    Away,
}

/// What an entry will change, once stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Effect {
    #[default]
    None,
    /// A membership, and the marker it begins with.
    Member {
        account: AccountId,
        flags: MemberFlags,
        read: Marker,
    },
    Topic,
    Modes {
        modes: RoomModes,
        key: Text<KEY_MAX>,
        limit: u32,
    },
    Ban(Text<MASK_MAX>),
    Unban(Text<MASK_MAX>),
}

/// How far an append has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stage {
    /// To be handed to the store.
    #[default]
    Queued,
    Issued,
    /// The store did not know; ask again then.
    Retry(Instant),
    /// Stored, but an earlier place is not known yet.
    Held {
        seq: Seq,
        time: u64,
    },
    /// Published; kept until the sender's echo is sent.
    Echo(Seq),
    /// Published, but the sender's client wants no echo: its label is to be acknowledged.
    Acknowledge,
    /// Not stored: to be told.
    Failed(Reason),
}

/// An entry between its sender and the store.
#[derive(Default)]
pub struct Append {
    pub(super) conn: Option<Handle>,
    pub(super) sender: AccountId,
    pub(super) channel: u32,
    pub(super) kind: Option<Kind>,
    pub(super) msgid: MsgId,
    pub(super) stage: Stage,
    pub(super) tries: u8,
    /// The entry as postcard, in the pool of bodies.
    pub(super) body: u32,
    pub(super) body_len: u16,
    /// The connection's command in hand waits for it.
    pub(super) awaited: bool,
    pub(super) label: Text<64>,
    pub(super) effect: Effect,
    pub(super) guest: bool,
    pub(super) queue: tables::Link,
    pub(super) in_channel: tables::Link,
    pub(super) in_conn: tables::Link,
}

linked!(Append {
    0: queue,
    1: in_channel,
    2: in_conn
});
