//! A connection: what is known of one peer. Idle it holds no buffer.

use super::Protocol;
use super::job::Job;
use crate::id::{AccountId, ChannelId, Handle};
use crate::irc::caps::Caps;
use crate::name::Nick;
use crate::store::{DirectRow, Marker};
use crate::tables::{self, Count, List, NIL, linked};

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// Has not logged in: may log in, register, PING and QUIT.
    #[default]
    Login,
    /// Was welcomed; its account's memberships are being loaded.
    Loading,
    /// Is being told, one by one, of direct chats it missed something of (only clients that cannot fetch history).
    Directs,
    /// Chats.
    Online,
}

/// What a look-up for the command in hand has brought, so that running the command again finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Memo {
    #[default]
    None,
    /// No such account, channel or member (a hash of what was sought).
    Absent(u64),
    /// The membership of an account that is not online, or is none any more and keeps its marker.
    Member {
        channel: ChannelId,
        account: AccountId,
        flags: u8,
        read: Marker,
    },
    /// The write that the command wanted is stored.
    Done,
    /// The write that the command wanted was refused.
    Refused(crate::store::Reason),
}

/// A buffer's bytes that are still to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub buffer: u32,
    pub start: u16,
    pub end: u16,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            buffer: NIL,
            start: 0,
            end: 0,
        }
    }
}

impl Pending {
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Slot of a connection.
pub struct Conn {
    pub(super) protocol: Protocol,
    pub(super) encrypted: bool,
    pub(super) loopback: bool,
    pub(super) phase: Phase,
    /// CAP LS or REQ was seen and CAP END not yet.
    pub(super) negotiating: bool,
    /// CAP LS 302 was seen.
    pub(super) cap302: bool,
    pub(super) has_user: bool,
    /// Was told how to get an account.
    pub(super) advised: bool,
    /// Rest of a line that is too long is being dropped.
    pub(super) dropping: bool,
    pub(super) away: bool,
    pub(super) pinged: bool,
    /// Close once everything is sent.
    pub(super) closing: bool,
    /// A direct chat got something while `phase` was `Directs`.
    pub(super) late_direct: bool,
    /// The command in hand waits for an append of its own.
    pub(super) awaiting: bool,
    /// The line in hand has a label and no answer of it was sent yet.
    pub(super) labelled: bool,
    /// `ready` has named it, and `transmit` has not said `Idle` since.
    pub(super) sending: bool,
    /// Somebody who shares a room changed presence.
    pub(super) presence_dirty: bool,
    pub(super) directs_after: ChannelId,
    /// Whom it wrote to last and was told to be away.
    pub(super) told_away: Option<AccountId>,
    /// The direct chat it is being told of.
    pub(super) direct: Option<DirectRow>,
    pub(super) caps: Caps,
    pub(super) address: [u8; 16],
    pub(super) nick: Nick,
    /// Slot of the account logged in to.
    pub(super) account: u32,
    /// Slot of the login in progress.
    pub(super) credential: u32,

    /// Received bytes: a buffer, its fill, and the length of the line in hand with its end (0: none complete).
    pub(super) input: u32,
    pub(super) filled: u16,
    pub(super) line: u16,
    /// Targets of the line in hand that are done.
    pub(super) progress: u16,
    /// The answer to the line in hand goes into a batch that is open.
    pub(super) batch: bool,
    pub(super) memo: Memo,

    pub(super) reply: Pending,
    pub(super) tail: Pending,
    pub(super) job: Job,
    /// A page is on its way for the job (into that block).
    pub(super) page_asked: bool,
    pub(super) page_awaited: u32,
    /// The staging block that is its own: the job's, until the lines from it are sent.
    pub(super) page: u32,

    pub(super) members_of: Attachments,
    pub(super) watches: List<0>,
    pub(super) watch_dirty: List<1>,
    pub(super) watch_count: u16,
    /// Messages waiting for the store or for their echo to be sent.
    /// How often it was found holding a buffer that others need, without going on.
    pub(super) stuck: u8,
    pub(super) appends: List<2>,
    pub(super) append_count: u16,
    /// Of these, those the store has not answered.
    pub(super) unstored: u16,
    /// Attachments whose own newest entry is not sent yet: replies wait for them.
    pub(super) owed: u16,
    /// Stamp of the last presence change told.
    pub(super) presence_seen: u64,

    /// Flood control: when the next line is free of charge (GCRA, milliseconds).
    pub(super) flood_at: Count,
    pub(super) heard: Count,
    pub(super) opened: Count,
    /// The request it waits for.
    pub(super) waiting_on: Option<Handle>,

    pub(super) runnable: tables::Link,
    pub(super) ready: tables::Link,
    pub(super) waiting: tables::Link,
    pub(super) of_account: tables::Link,
    pub(super) stalled: tables::Link,
    pub(super) holding: tables::Link,
}

/// A connection's cursors: all, those with something to send, and those whose room is to be introduced.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attachments {
    pub all: List<0>,
    pub dirty: List<2>,
    pub intros: List<3>,
}

linked!(Conn {
    0: runnable,
    1: ready,
    2: waiting,
    3: of_account,
    4: stalled,
    5: holding
});

impl Default for Conn {
    fn default() -> Self {
        Self {
            protocol: Protocol::Irc,
            encrypted: false,
            loopback: false,
            phase: Phase::Login,
            negotiating: false,
            cap302: false,
            has_user: false,
            advised: false,
            dropping: false,
            away: false,
            pinged: false,
            closing: false,
            late_direct: false,
            awaiting: false,
            labelled: false,
            sending: false,
            presence_dirty: false,
            directs_after: ChannelId::NONE,
            told_away: None,
            direct: None,
            caps: Caps::empty(),
            address: [0; 16],
            nick: Nick::default(),
            account: NIL,
            credential: NIL,
            input: NIL,
            filled: 0,
            line: 0,
            progress: 0,
            batch: false,
            memo: Memo::None,
            reply: Pending::default(),
            tail: Pending::default(),
            job: Job::NONE,
            page_asked: false,
            page_awaited: NIL,
            page: NIL,
            members_of: Attachments::default(),
            watches: List::default(),
            watch_dirty: List::default(),
            watch_count: 0,
            stuck: 0,
            appends: List::default(),
            append_count: 0,
            unstored: 0,
            owed: 0,
            presence_seen: 0,
            flood_at: Count::ZERO,
            heard: Count::ZERO,
            opened: Count::ZERO,
            waiting_on: None,
            runnable: tables::Link::default(),
            ready: tables::Link::default(),
            waiting: tables::Link::default(),
            of_account: tables::Link::default(),
            stalled: tables::Link::default(),
            holding: tables::Link::default(),
        }
    }
}

impl Conn {
    /// Whether raw passwords may pass: encrypted, or never on a wire.
    pub(super) const fn is_private(&self) -> bool {
        self.encrypted || self.loopback
    }

    /// Whether no answer is begun, into which a line of another kind would fall.
    pub(super) const fn is_between_answers(&self) -> bool {
        !self.labelled && !self.batch && !self.job.is_active()
    }

    /// Whether it has logged in and been welcomed.
    pub(super) const fn is_welcomed(&self) -> bool {
        !matches!(self.phase, Phase::Login)
    }
}
