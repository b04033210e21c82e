//! Keys of what is kept besides history: a number for the table, then what it is ordered by, big-endian.

use crate::id::{AccountId, ChannelId, Seq};
use crate::name::ROOM_MAX;

/// Longest key.
pub(super) const KEY_MAX: usize = 1 + ROOM_MAX;

/// The tables; each says what its keys and values are. Values are postcard where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Table {
    /// Nothing: `Settings`.
    Settings = 1,
    /// Nothing: the last account id given.
    LastAccount = 2,
    /// Nothing: the last channel id given.
    LastChannel = 3,
    /// Nothing: how many entries a channel keeps.
    Keep = 4,
    /// Account or channel: nothing. It is being removed.
    DoomedAccount = 5,
    DoomedChannel = 6,
    /// Name of a setting: its value, as text.
    Config = 7,
    /// Account: `AccountRecord`.
    Account = 16,
    /// Folded name: account.
    Name = 17,
    /// Channel: `Founded`.
    Channel = 18,
    /// Folded name: channel.
    Room = 19,
    /// Two accounts: channel.
    Direct = 20,
    /// Channel: `Topic`.
    Topic = 21,
    /// Channel: `Modes`.
    Modes = 22,
    /// Channel: place of the last entry whose change was applied.
    Applied = 23,
    /// Account, channel: `Membership`.
    Member = 24,
    /// Channel, account: member flags; one for each `Member` of a room.
    Roster = 25,
    /// Channel, number: `Ban`.
    Ban = 26,
    /// Channel, first place: sector.
    Extent = 27,
}

/// A key.
#[derive(Clone, Copy)]
pub(super) struct Key {
    length: u8,
    bytes: [u8; KEY_MAX],
}

impl Key {
    pub(super) const EMPTY: Self = Self {
        length: 0,
        bytes: [0; KEY_MAX],
    };

    /// The table's key of nothing: also the first of the table.
    pub(super) const fn of(table: Table) -> Self {
        let mut key = Self::EMPTY;
        key.bytes[0] = table as u8;
        key.length = 1;
        key
    }

    fn with(mut self, part: &[u8]) -> Self {
        let from = usize::from(self.length);
        if let Some(place) = self.bytes.get_mut(from..from + part.len()) {
            place.copy_from_slice(part);
            self.length += part.len() as u8;
        }
        self
    }

    /// By an account's or a channel's id.
    pub(super) fn id(table: Table, id: u32) -> Self {
        Self::of(table).with(&id.to_be_bytes())
    }

    /// By two ids.
    pub(super) fn pair(table: Table, first: u32, second: u32) -> Self {
        Self::id(table, first).with(&second.to_be_bytes())
    }

    /// By a name, which is folded here; `None` when it is too long to be one.
    pub(super) fn name(table: Table, name: &str) -> Option<Self> {
        if name.len() >= KEY_MAX {
            return None;
        }
        let mut key = Self::of(table).with(name.as_bytes());
        key.bytes[1..].make_ascii_lowercase();
        Some(key)
    }

    pub(super) fn member(account: AccountId, channel: ChannelId) -> Self {
        Self::pair(Table::Member, account.0, channel.0)
    }

    pub(super) fn roster(channel: ChannelId, account: AccountId) -> Self {
        Self::pair(Table::Roster, channel.0, account.0)
    }

    pub(super) fn extent(channel: ChannelId, first: Seq) -> Self {
        Self::id(Table::Extent, channel.0).with(&first.0.to_be_bytes())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length).min(KEY_MAX)]
    }

    /// All its bytes, to be filled from the medium, and then how many it has.
    pub(super) fn fill(&mut self) -> &mut [u8; KEY_MAX] {
        &mut self.bytes
    }

    pub(super) fn set_length(&mut self, length: u8) {
        self.length = length;
    }

    pub(super) fn is_in(&self, table: Table) -> bool {
        self.bytes[0] == table as u8
    }

    /// Whether it is of that table and first id.
    pub(super) fn is_of(&self, table: Table, id: u32) -> bool {
        self.is_in(table) && self.first() == id
    }

    /// The first id.
    pub(super) fn first(&self) -> u32 {
        self.number(1)
    }

    /// The second id.
    pub(super) fn second(&self) -> u32 {
        self.number(5)
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = self
            .as_bytes()
            .get(at..)
            .and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The place in a key of `Extent`.
    pub(super) fn place(&self) -> u64 {
        u64::from(self.number(5)) << 32 | u64::from(self.number(9))
    }

    /// The bytes after the table's number: a folded name.
    pub(super) fn tail(&self) -> &[u8] {
        self.as_bytes().get(1..).unwrap_or_default()
    }
}
