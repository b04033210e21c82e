//! A store on NOR flash, or on a memory card through [`blocks`](super::blocks), for a chip with a few KiB of RAM.
//!
//! The medium is an array of sectors, each one of four things: the log, part of the run, part of a channel's history, or free.
//!
//! - What is not history (accounts, channels, memberships, markers, bans, settings) is an ordered map of keys and values: a sorted
//!   run and a log of changes that is merged into it now and then (`tree`).
//! - History is kept channel by channel: an extent is a sector that holds entries of one channel only, in the order of their places
//!   (`history`). Which sector that is, is in the map. So old history goes by releasing sectors, and no message is ever copied.
//!
//! What was acknowledged survives a loss of power at any moment: every commit is one write of records with checksums at the end of
//! something, and what is rewritten is rewritten elsewhere first. An entry brings its change of state with it; where power went
//! between the entry and its change, the change is made at the next start.

mod accounts;
mod channels;
mod history;
mod job;
mod keys;
mod medium;
mod members;
mod record;
mod tree;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash};
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, ChannelId};
use crate::store::{Operation, Outcome, Reason, Settings};

use history::{Head, Reading};
use keys::{Key, Table};
use medium::Medium;
use record::Item;
use tree::{Manifest, Tree, Write};

pub use job::Job;

/// Bytes that [`FlashStore::execute`] and [`FlashStore::open`] need at least to work in.
pub const SCRATCH: usize = 512;

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error<E> {
    /// The medium could not be read or written.
    Medium(E),
    /// There is a store on the medium, but not all of it can be read. It was left as it is.
    Damaged,
    /// The medium is too small or full.
    Full,
}

type Result<T, F> = core::result::Result<T, Error<<F as ErrorType>::Error>>;

/// What [`FlashStore::open`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// Nothing of ours: a new store was made.
    Formatted,
    /// A store.
    Found,
}

/// How much of the medium is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Bytes of a sector.
    pub sector: u32,
    /// How many there are.
    pub sectors: u16,
    /// How many hold nothing.
    pub free: u16,
}

/// The store. `KEYS` is how many changes of state it takes before it merges them (two bytes each), `HEADS` of how many channels it
/// remembers where their history ends (some 80 bytes each).
pub struct FlashStore<F, const KEYS: usize = 384, const HEADS: usize = 6> {
    medium: Medium<F>,
    tree: Tree<KEYS>,
    heads: [Head; HEADS],
    /// Rises with every use of a head.
    used: u32,
    /// How many entries a channel keeps; 0 when that was never said.
    keep: u32,
    reading: Option<Reading>,
    /// Whether what is in RAM may differ from what is on the medium, as a write failed.
    stale: bool,
}

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    /// A store that is still to be opened.
    pub const fn new(flash: F) -> Self {
        Self {
            medium: Medium::new(flash),
            tree: Tree::new(),
            heads: [Head::NONE; HEADS],
            used: 0,
            keep: 0,
            reading: None,
            stale: true,
        }
    }

    /// Finds the store on the medium, or makes one where there is nothing of ours. A damaged store is left as it is.
    /// `scratch` has at least [`SCRATCH`] bytes.
    pub async fn open(&mut self, scratch: &mut [u8]) -> Result<Opened, F> {
        let (newest, ours) = self.survey().await?;
        let opened = match newest {
            Some((sector, manifest)) => {
                self.tree.open(&mut self.medium, sector, &manifest).await?;
                Opened::Found
            }
            None => {
                if ours {
                    return Err(Error::Damaged);
                }
                self.medium.reset();
                if self.medium.sectors() < 8 {
                    return Err(Error::Full);
                }
                self.tree.format(&mut self.medium).await?;
                Opened::Formatted
            }
        };
        self.medium.search_from(self.tree.log_sector());
        self.recover(scratch).await?;
        self.stale = false;
        Ok(opened)
    }

    /// Makes an empty store, whatever is on the medium.
    pub async fn format(&mut self) -> Result<(), F> {
        self.medium.reset();
        // All that would show a store goes first.
        for sector in (0..self.medium.sectors()).rev() {
            if Tree::<KEYS>::is_ours(&mut self.medium, sector).await? {
                self.medium.erase(sector).await?;
            }
        }
        self.tree.format(&mut self.medium).await
    }

    /// Looks at every sector: the newest log, and whether there is anything of a store besides what a format that was cut short
    /// leaves. Older logs are erased.
    async fn survey(&mut self) -> Result<(Option<(u16, Manifest)>, bool), F> {
        self.medium.reset();
        self.heads = [Head::NONE; HEADS];
        self.reading = None;
        let mut newest: Option<(u16, Manifest)> = None;
        let mut ours = false;
        for sector in 0..self.medium.sectors() {
            if !Tree::<KEYS>::is_ours(&mut self.medium, sector).await? {
                continue;
            }
            let Some(manifest) = Manifest::read(&mut self.medium, sector).await? else {
                ours |= sector > 0 || !self.is_half_formatted().await?;
                continue;
            };
            let older = match newest.take() {
                Some(other) if other.1.epoch() > manifest.epoch() => {
                    newest = Some(other);
                    Some(sector)
                }
                other => {
                    newest = Some((sector, manifest));
                    other.map(|(sector, _)| sector)
                }
            };
            if let Some(older) = older {
                self.medium.erase(older).await?;
            }
        }
        Ok((newest, ours))
    }

    /// Whether sector 0 has nothing after its first record.
    async fn is_half_formatted(&mut self) -> Result<bool, F> {
        let from = Tree::<KEYS>::format_size::<F>();
        self.medium.is_blank(from, Medium::<F>::SECTOR).await
    }

    /// Finds what of the medium is in use, and finishes what was begun.
    async fn recover(&mut self, scratch: &mut [u8]) -> Result<(), F> {
        let mut key = Key::of(Table::Extent);
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_in(Table::Extent) {
                break;
            }
            let sector: u16 = self.small(&item, &key).await?;
            if !self.medium.take(sector) {
                return Err(Error::Damaged);
            }
        }
        self.keep = self.get(&Key::of(Table::Keep)).await?.unwrap_or(0);
        for table in [Table::DoomedAccount, Table::DoomedChannel] {
            while let Some((key, _)) = self.first_of(table, None).await? {
                if table == Table::DoomedAccount {
                    self.purge_account(AccountId(key.first())).await?;
                } else {
                    self.purge_channel(ChannelId(key.first())).await?;
                }
            }
        }
        let mut id = 0;
        while let Some((key, _)) = self.after(Table::Channel, id).await? {
            id = key.first();
            self.redo(ChannelId(id), scratch).await?;
        }
        Ok(())
    }

    /// Does an operation; `answer` has at least [`SCRATCH`] bytes, and for a page what the operation says, else it gets fewer rows.
    pub async fn execute<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Outcome<'b> {
        if self.stale && !self.reopen(answer).await {
            return Outcome::Unknown;
        }
        // If this is dropped on the way.
        self.stale = true;
        let result = self.perform(operation, answer).await;
        self.stale = matches!(result, Err(Error::Medium(_)));
        match result {
            Ok(outcome) => outcome,
            Err(Error::Full) => Outcome::Refused(Reason::Full),
            Err(Error::Damaged) => Outcome::Refused(Reason::Failed),
            Err(Error::Medium(_)) => Outcome::Unknown,
        }
    }

    /// Reads anew what is on the medium, which has a store.
    async fn reopen(&mut self, scratch: &mut [u8]) -> bool {
        let Ok((Some((sector, manifest)), _)) = self.survey().await else {
            return false;
        };
        let opened = self.tree.open(&mut self.medium, sector, &manifest).await;
        if opened.is_err() || self.recover(scratch).await.is_err() {
            return false;
        }
        self.stale = false;
        true
    }

    async fn perform<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        match *operation {
            Operation::LoadSettings => {
                let settings: Option<Settings> = self.get(&Key::of(Table::Settings)).await?;
                Ok(Outcome::Settings(settings))
            }
            Operation::PutSettings(settings) => {
                self.put(Key::of(Table::Settings), &settings).await?;
                Ok(Outcome::Done)
            }
            Operation::PutConfig { name, value } => {
                let Some(key) = Key::name(Table::Config, name) else {
                    return Ok(Outcome::Refused(Reason::Failed));
                };
                self.must_grow(0)?;
                self.commit(&[Write::Put(key, &[value.as_bytes()])]).await?;
                Ok(Outcome::Done)
            }
            Operation::FindAccount { .. }
            | Operation::LoadAccount { .. }
            | Operation::CreateAccount(_)
            | Operation::ChangeAccount { .. }
            | Operation::RemoveAccount { .. }
            | Operation::ReadAccounts { .. }
            | Operation::FindGuest => self.on_accounts(operation, answer).await,
            Operation::FindChannel(_)
            | Operation::CreateChannel { .. }
            | Operation::RemoveChannel { .. }
            | Operation::ReadBans { .. }
            | Operation::ReadRooms { .. } => self.on_channels(operation, answer).await,
            Operation::FindMember { .. }
            | Operation::ReadMembers { .. }
            | Operation::ReadMemberships { .. }
            | Operation::ReadUnreadDirects { .. }
            | Operation::PutMarker { .. }
            | Operation::ReadTargets { .. } => self.on_members(operation, answer).await,
            Operation::Append(_) | Operation::Locate { .. } | Operation::ReadHistory { .. } => {
                self.on_history(operation, answer).await
            }
        }
    }

    /// The first of the settings that were kept by `PutConfig` after this name, in order of their names: name (in lower case) and
    /// value. `buffer` has at least [`SCRATCH`] bytes.
    pub async fn config<'b>(
        &mut self,
        after: &str,
        buffer: &'b mut [u8],
    ) -> Result<Option<(&'b str, &'b str)>, F> {
        let mut key = Key::name(Table::Config, after).ok_or(Error::Full)?;
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_in(Table::Config) {
                break;
            }
            if key.tail() == after.as_bytes() {
                continue;
            }
            let (name, rest) = buffer
                .split_at_mut_checked(key.tail().len())
                .ok_or(Error::Full)?;
            name.copy_from_slice(key.tail());
            let value = self.medium.value(&item, key.as_bytes(), rest).await?;
            return match (core::str::from_utf8(name), core::str::from_utf8(value)) {
                (Ok(name), Ok(value)) => Ok(Some((name, value))),
                _ => Err(Error::Damaged),
            };
        }
        Ok(None)
    }

    /// Does a piece of the work that would else keep a later operation waiting, while there is nothing to do; false when there is
    /// none left. May be dropped at any time.
    pub async fn tidy(&mut self) -> bool {
        if self.stale {
            return false;
        }
        // If this is dropped on the way.
        self.stale = true;
        let result = if self.tree.is_half_full::<F>() {
            self.tree.merge(&mut self.medium).await.map(|()| true)
        } else {
            self.medium.prepare().await
        };
        self.stale = matches!(result, Err(Error::Medium(_)));
        result.unwrap_or(false)
    }

    /// How much of the medium is in use.
    pub fn usage(&self) -> Usage {
        Usage {
            sector: Medium::<F>::SECTOR,
            sectors: self.medium.sectors(),
            free: self.medium.free(),
        }
    }

    /// The medium.
    pub fn flash(&mut self) -> &mut F {
        self.medium.flash()
    }

    /// Gives the medium back.
    pub fn into_flash(self) -> F {
        self.medium.into_flash()
    }

    /// Fails with `Full` unless there is room for more than is there now: what is removed must find room even then.
    fn must_grow(&self, sectors: u16) -> Result<(), F> {
        let reserve = self.tree.run_sectors() + 4;
        if self.medium.free() < reserve + sectors
            || usize::from(self.tree.run_sectors()) + 2 > tree::RUN_SECTORS
        {
            return Err(Error::Full);
        }
        Ok(())
    }

    async fn next(&mut self, cursor: &mut tree::Cursor, key: &mut Key) -> Result<Option<Item>, F> {
        self.tree.next(&mut self.medium, cursor, key).await
    }

    /// The first key of a table, or of those with that first id.
    async fn first_of(&mut self, table: Table, id: Option<u32>) -> Result<Option<(Key, Item)>, F> {
        let mut key = id.map_or(Key::of(table), |id| Key::id(table, id));
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        let item = self.next(&mut cursor, &mut key).await?;
        let wanted = key.is_in(table) && id.is_none_or(|id| key.first() == id);
        Ok(item.filter(|_| wanted).map(|item| (key, item)))
    }

    /// The first key of a table of single ids past an id.
    async fn after(&mut self, table: Table, id: u32) -> Result<Option<(Key, Item)>, F> {
        let Some(next) = id.checked_add(1) else {
            return Ok(None);
        };
        let mut key = Key::id(table, next);
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        let item = self.next(&mut cursor, &mut key).await?;
        Ok(item.filter(|_| key.is_in(table)).map(|item| (key, item)))
    }

    /// A value of at most some 130 bytes that borrows nothing.
    async fn small<T: for<'a> Deserialize<'a>>(&mut self, item: &Item, key: &Key) -> Result<T, F> {
        let mut bytes = [0; 64];
        let value = self.medium.value(item, key.as_bytes(), &mut bytes).await?;
        postcard::from_bytes(value).map_err(|_| Error::Damaged)
    }

    async fn get<T: for<'a> Deserialize<'a>>(&mut self, key: &Key) -> Result<Option<T>, F> {
        match self.tree.get(&mut self.medium, key).await? {
            Some(item) => self.small(&item, key).await.map(Some),
            None => Ok(None),
        }
    }

    async fn put<T: Serialize>(&mut self, key: Key, value: &T) -> Result<(), F> {
        let mut bytes = [0; 64];
        let value = encode(value, &mut bytes)?;
        self.commit(&[Write::Put(key, &[value])]).await
    }

    async fn commit(&mut self, writes: &[Write<'_>]) -> Result<(), F> {
        self.tree.commit(&mut self.medium, writes).await
    }

    /// The id after the last one given by that counter.
    async fn next_id(&mut self, counter: Table) -> Result<u32, F> {
        let last: Option<u32> = self.get(&Key::of(counter)).await?;
        last.unwrap_or(0).checked_add(1).ok_or(Error::Full)
    }
}

fn encode<'b, T: Serialize, E>(
    value: &T,
    into: &'b mut [u8],
) -> core::result::Result<&'b [u8], Error<E>> {
    postcard::to_slice(value, into)
        .map(|bytes| &*bytes)
        .map_err(|_| Error::Full)
}

/// A page on its way: as many rows as fit in `bytes`, but always one where the buffer allows it.
struct Rows<'b> {
    buffer: &'b mut [u8],
    used: usize,
    bytes: usize,
    /// Whether there are rows that did not fit.
    more: bool,
}

impl<'b> Rows<'b> {
    const fn new(buffer: &'b mut [u8], bytes: usize) -> Self {
        Self {
            buffer,
            used: 0,
            bytes,
            more: false,
        }
    }

    /// Where the next row goes.
    fn space(&mut self) -> &mut [u8] {
        let end = if self.used == 0 {
            self.buffer.len()
        } else {
            self.bytes.clamp(self.used, self.buffer.len())
        };
        &mut self.buffer[self.used..end]
    }

    /// Adds a row; false when it does not fit.
    fn push<T: Serialize>(&mut self, row: &T) -> bool {
        match postcard::to_slice(row, self.space()) {
            Ok(row) => {
                self.used += row.len();
                true
            }
            Err(_) => {
                self.more = true;
                false
            }
        }
    }

    fn outcome(self) -> Outcome<'b> {
        let Self {
            buffer, used, more, ..
        } = self;
        Outcome::Page {
            rows: &buffer[..used],
            more,
        }
    }
}
