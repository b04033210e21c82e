//! An account in memory: pinned while online, else kept as long as its slot is not needed.

use crate::id::{AccountId, ChannelId};
use crate::name::{AWAY_MAX, DISPLAY_MAX, Nick, TITLES_MAX};
use crate::store::AccountFlags;
use crate::tables::{self, Count, List, Short, Tally, Time, linked};
use crate::text::Text;

/// Whether an account's memberships are in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Loaded {
    #[default]
    No,
    /// By the connection in that slot.
    By(Short),
    Yes,
}

/// How far the removal of an account has come: it leaves one room after another, and then goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Removal {
    #[default]
    None,
    /// The next room is to be found.
    Next,
    /// The store was asked.
    Asked,
    Leave(ChannelId),
    /// Its leaving is on its way.
    Leaving,
    /// It is in no room any more.
    Last,
}

/// Slot of an account.
#[derive(Default)]
pub struct Account {
    pub(super) id: AccountId,
    pub(super) name: Nick,
    pub(super) display: Text<DISPLAY_MAX>,
    pub(super) titles: Text<TITLES_MAX>,
    pub(super) away: Text<AWAY_MAX>,
    pub(super) flags: AccountFlags,
    pub(super) created: Time,
    pub(super) loaded: Loaded,
    pub(super) removal: Removal,
    /// Welcomed connections.
    pub(super) conns: List<3>,
    pub(super) online: Tally,
    /// Others were told, or are being told, that it is online.
    pub(super) announced: bool,
    /// Of these, how many are away.
    pub(super) away_conns: Tally,
    /// Holds the slot although nobody is online: half-done removals and markers still to be written.
    pub(super) pins: Tally,
    pub(super) members: List<0>,
    /// Stamps of the last change of presence and of display name, told to those who share a room.
    pub(super) presence_stamp: Count,
    pub(super) display_stamp: Count,
    /// Last sign of life.
    pub(super) active: Count,
    pub(super) by_stamp: tables::Link,
    pub(super) idle: tables::Link,
}

linked!(Account {
    0: by_stamp,
    1: idle
});

impl Account {
    /// Whether others see it away: offline, or every device away.
    pub(super) const fn is_away(&self) -> bool {
        self.online == 0 || self.away_conns == self.online
    }

    /// The text with which it is away.
    pub(super) fn away_text(&self) -> &str {
        match (self.online, self.away.is_empty()) {
            (0, _) => "Offline; messages are kept",
            (_, true) => "Away",
            (_, false) => &self.away,
        }
    }
}
