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

use crate::history::Select;
use crate::id::{AccountId, ChannelId};
use crate::store::{Operation, Outcome, Reason, Settings};

use history::{Head, Reading};
use keys::{Key, Table};
use medium::{Medium, yield_now};
use record::Item;
use tree::{Manifest, Tree, Write};

pub use job::Job;

/// Bytes that [`FlashStore::execute`] and [`FlashStore::open`] need at least to work in.
pub const SCRATCH: usize = 512;

/// Rows that are removed before others may work.
const STEP: usize = 12;

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

/// Why the work on an operation stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop<E> {
    Medium(E),
    Damaged,
    Full,
    /// Room must be made first, by a merge or by erasing a sector; then it is begun again.
    Again,
}

impl<E> From<Stop<E>> for Error<E> {
    fn from(stop: Stop<E>) -> Self {
        match stop {
            Stop::Medium(error) => Self::Medium(error),
            Stop::Damaged => Self::Damaged,
            Stop::Full | Stop::Again => Self::Full,
        }
    }
}

type Result<T, F> = core::result::Result<T, Stop<<F as ErrorType>::Error>>;
/// As [`Result`], with what callers see.
type Opening<T, F> = core::result::Result<T, Error<<F as ErrorType>::Error>>;

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
    pub async fn open(&mut self, scratch: &mut [u8]) -> Opening<Opened, F> {
        Ok(self.load(true, scratch).await?)
    }

    /// Makes an empty store, whatever is on the medium.
    pub async fn format(&mut self) -> Opening<(), F> {
        self.medium.reset();
        // All that would show a store goes first.
        for sector in (0..self.medium.sectors()).rev() {
            if Tree::<KEYS>::is_ours(&mut self.medium, sector)? {
                self.medium.erase(sector).await?;
            }
        }
        Ok(self.tree.format(&mut self.medium).await?)
    }

    /// Reads what is on the medium; where there is nothing of ours, makes a store if it may.
    async fn load(&mut self, may_format: bool, scratch: &mut [u8]) -> Result<Opened, F> {
        self.medium.reset();
        self.heads = [Head::NONE; HEADS];
        self.reading = None;
        let survey = self.survey()?;
        let opened = match survey.newest {
            Some((sector, manifest)) => {
                if let Some(older) = survey.older {
                    self.medium.erase(older).await?;
                }
                self.tree.open(&mut self.medium, sector, &manifest)?;
                Opened::Found
            }
            None if survey.ours || !may_format => return Err(Stop::Damaged),
            None if self.medium.sectors() < 8 => return Err(Stop::Full),
            None => {
                self.tree.format(&mut self.medium).await?;
                Opened::Formatted
            }
        };
        self.medium.search_from(self.tree.log_sector());
        self.take_extents()?;
        self.keep = self.get(&Key::of(Table::Keep))?.unwrap_or(0);
        while let Err(stop) = self.finish_begun(scratch) {
            self.make_room(stop).await?;
        }
        self.stale = false;
        Ok(opened)
    }

    /// Looks at every sector.
    fn survey(&mut self) -> Result<Survey, F> {
        let mut survey = Survey {
            newest: None,
            older: None,
            ours: false,
        };
        for sector in 0..self.medium.sectors() {
            if !Tree::<KEYS>::is_ours(&mut self.medium, sector)? {
                continue;
            }
            let Some(manifest) = Manifest::read(&mut self.medium, sector)? else {
                survey.ours |= sector > 0 || !self.is_half_formatted()?;
                continue;
            };
            let newer = match &survey.newest {
                Some((_, other)) => other.epoch() < manifest.epoch(),
                None => true,
            };
            if newer {
                let older = survey.newest.replace((sector, manifest));
                survey.older = older.map(|(sector, _)| sector).or(survey.older);
            } else {
                survey.older = Some(sector);
            }
        }
        Ok(survey)
    }

    /// Whether sector 0 has nothing after its first record.
    fn is_half_formatted(&mut self) -> Result<bool, F> {
        let from = Tree::<KEYS>::format_size::<F>();
        self.medium.is_blank(from, Medium::<F>::SECTOR)
    }

    /// Marks the sectors that hold history.
    fn take_extents(&mut self) -> Result<(), F> {
        let mut key = Key::of(Table::Extent);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_in(Table::Extent) {
                break;
            }
            let sector: u16 = self.small(&item, &key)?;
            if !self.medium.take(sector) {
                return Err(Stop::Damaged);
            }
        }
        Ok(())
    }

    /// Finishes what was begun when the power went.
    fn finish_begun(&mut self, scratch: &mut [u8]) -> Result<(), F> {
        while let Some((key, _)) = self.first_of(Table::DoomedAccount, None)? {
            self.purge_account(AccountId(key.first()))?;
        }
        while let Some((key, _)) = self.first_of(Table::DoomedChannel, None)? {
            self.purge_channel(ChannelId(key.first()))?;
        }
        let mut id = 0;
        while let Some((key, _)) = self.after(Table::Channel, id)? {
            id = key.first();
            self.redo(ChannelId(id), scratch)?;
        }
        Ok(())
    }

    /// Does what an operation that stopped is waiting for, or fails as it did.
    async fn make_room(&mut self, stop: Stop<F::Error>) -> Result<(), F> {
        if !matches!(stop, Stop::Again) {
            return Err(stop);
        }
        yield_now().await;
        if self.tree.must_have_room::<F>().is_err() {
            self.tree.merge(&mut self.medium).await?;
        }
        self.medium.prepare().await?;
        Ok(())
    }

    /// Does an operation; `answer` has at least [`SCRATCH`] bytes, and for a page what the operation says, else it gets fewer rows.
    /// When dropped before its end, it may or may not have been done.
    pub async fn execute<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Outcome<'b> {
        if self.stale && self.load(false, answer).await.is_err() {
            return Outcome::Unknown;
        }
        // If this is dropped on the way.
        self.stale = true;
        let written = loop {
            match self.write(operation, answer) {
                Ok(written) => break Ok(written),
                Err(stop) => {
                    if let Err(stop) = self.make_room(stop).await {
                        break Err(stop);
                    }
                }
            }
        };
        let result = match written {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => self.read(operation, answer),
            Err(stop) => Err(stop),
        };
        self.stale = matches!(result, Err(Stop::Medium(_)));
        match result {
            Ok(outcome) => outcome,
            Err(Stop::Full | Stop::Again) => Outcome::Refused(Reason::Full),
            Err(Stop::Damaged) => Outcome::Refused(Reason::Failed),
            Err(Stop::Medium(_)) => Outcome::Unknown,
        }
    }

    /// Does what an operation writes, and gives the outcome, where that is not to be read. May be begun again when it stops.
    fn write(
        &mut self,
        operation: &Operation<'_>,
        scratch: &mut [u8],
    ) -> Result<Option<Outcome<'static>>, F> {
        let mut outcome = Outcome::Done;
        match *operation {
            Operation::PutSettings(settings) => {
                self.put(Key::of(Table::Settings), &settings)?;
            }
            Operation::PutConfig { name, value } => match Key::name(Table::Config, name) {
                Some(key) => {
                    self.must_grow(0)?;
                    self.commit(&[Write::Put(key, &[value.as_bytes()])])?;
                }
                None => outcome = Outcome::Refused(Reason::Failed),
            },
            Operation::CreateAccount(ref record) => {
                outcome = self.create_account(record, scratch)?;
            }
            Operation::ChangeAccount { account, change } => {
                self.change_account(account, change, scratch)?;
            }
            Operation::RemoveAccount { account } => self.remove_account(account)?,
            Operation::CreateChannel {
                key,
                founder,
                time,
                modes,
            } => {
                if self.find_channel(key)?.is_none() {
                    self.create_channel(key, founder, time, modes, scratch)?;
                }
                return Ok(None);
            }
            Operation::RemoveChannel { channel } => self.remove_channel(channel)?,
            Operation::PutMarker {
                channel,
                account,
                read,
                delivered,
            } => self.put_marker(channel, account, read, delivered)?,
            Operation::Append(ref append) => outcome = self.append(append, scratch)?,
            _ => return Ok(None),
        }
        Ok(Some(outcome))
    }

    /// Gives the outcome of an operation that reads.
    fn read<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        match *operation {
            Operation::LoadSettings => {
                let settings: Option<Settings> = self.get(&Key::of(Table::Settings))?;
                Ok(Outcome::Settings(settings))
            }
            Operation::FindAccount { name } => {
                let id = self.account_of(name)?;
                self.load_account(id, answer)
            }
            Operation::LoadAccount { account } => self.load_account(Some(account), answer),
            Operation::FindGuest => {
                let guest = self.find_guest()?;
                self.load_account(guest, answer)
            }
            Operation::ReadAccounts {
                prefix,
                after,
                bytes,
            } => self.read_accounts(prefix, after, Rows::new(answer, bytes)),
            Operation::FindChannel(key) | Operation::CreateChannel { key, .. } => {
                match self.find_channel(key)? {
                    Some(channel) => self.load_channel(channel, answer),
                    None => Ok(Outcome::Channel(None)),
                }
            }
            Operation::ReadBans {
                channel,
                after,
                bytes,
            } => self.read_bans(channel, after, Rows::new(answer, bytes)),
            Operation::ReadRooms { after, bytes } => {
                self.read_rooms(after, Rows::new(answer, bytes))
            }
            Operation::FindMember { channel, account } => {
                let member = self.membership(account, channel)?;
                Ok(Outcome::Member(member.is_row.then_some(member.row)))
            }
            Operation::ReadMembers {
                channel,
                after,
                bytes,
            } => self.read_members(channel, after, Rows::new(answer, bytes)),
            Operation::ReadMemberships {
                account,
                after,
                bytes,
            } => self.read_memberships(account, after, Rows::new(answer, bytes)),
            Operation::ReadUnreadDirects {
                account,
                after,
                bytes,
            } => self.read_unread(account, after, Rows::new(answer, bytes)),
            Operation::ReadTargets {
                account,
                from,
                to,
                after,
                bytes,
            } => self.read_targets(account, (from, to), after, Rows::new(answer, bytes)),
            Operation::Locate {
                channel,
                selector,
                limit,
                events,
                last,
            } => {
                let select = Select {
                    selector,
                    limit,
                    events,
                    last,
                };
                self.locate(channel, select).map(Outcome::Bounds)
            }
            Operation::ReadHistory {
                channel,
                first,
                last,
                bytes,
            } => self.read_history(channel, first.0, last.0, Rows::new(answer, bytes)),
            _ => Ok(Outcome::Refused(Reason::Failed)),
        }
    }

    /// The first of the settings that were kept by `PutConfig` after this name, in order of their names: name (in lower case) and
    /// value. `buffer` has at least [`SCRATCH`] bytes.
    pub fn config<'b>(
        &mut self,
        after: &str,
        buffer: &'b mut [u8],
    ) -> Opening<Option<(&'b str, &'b str)>, F> {
        let mut key = Key::name(Table::Config, after).ok_or(Stop::Full)?;
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_in(Table::Config) {
                break;
            }
            if key.tail() == after.as_bytes() {
                continue;
            }
            let (name, rest) = buffer
                .split_at_mut_checked(key.tail().len())
                .ok_or(Stop::Full)?;
            name.copy_from_slice(key.tail());
            let value = self.medium.value(&item, key.as_bytes(), rest)?;
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
        self.stale = matches!(result, Err(Stop::Medium(_)));
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
            return Err(Stop::Full);
        }
        Ok(())
    }

    fn next(&mut self, cursor: &mut tree::Cursor, key: &mut Key) -> Result<Option<Item>, F> {
        self.tree.next(&mut self.medium, cursor, key)
    }

    /// The first key of a table, or of those with that first id.
    fn first_of(&mut self, table: Table, id: Option<u32>) -> Result<Option<(Key, Item)>, F> {
        let mut key = id.map_or(Key::of(table), |id| Key::id(table, id));
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        let item = self.next(&mut cursor, &mut key)?;
        let wanted = key.is_in(table) && id.is_none_or(|id| key.first() == id);
        Ok(item.filter(|_| wanted).map(|item| (key, item)))
    }

    /// The first key of a table of single ids past an id.
    fn after(&mut self, table: Table, id: u32) -> Result<Option<(Key, Item)>, F> {
        let Some(next) = id.checked_add(1) else {
            return Ok(None);
        };
        let mut key = Key::id(table, next);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        let item = self.next(&mut cursor, &mut key)?;
        Ok(item.filter(|_| key.is_in(table)).map(|item| (key, item)))
    }

    /// A value of at most some 130 bytes that borrows nothing.
    fn small<T: for<'a> Deserialize<'a>>(&mut self, item: &Item, key: &Key) -> Result<T, F> {
        let mut bytes = [0; 64];
        let value = self.medium.value(item, key.as_bytes(), &mut bytes)?;
        postcard::from_bytes(value).map_err(|_| Stop::Damaged)
    }

    fn get<T: for<'a> Deserialize<'a>>(&mut self, key: &Key) -> Result<Option<T>, F> {
        match self.tree.get(&mut self.medium, key)? {
            Some(item) => self.small(&item, key).map(Some),
            None => Ok(None),
        }
    }

    fn put<T: Serialize>(&mut self, key: Key, value: &T) -> Result<(), F> {
        let mut bytes = [0; 64];
        let value = encode(value, &mut bytes)?;
        self.commit(&[Write::Put(key, &[value])])
    }

    /// Fails with `Again` before anything is written when there may not be room for all that one operation commits.
    fn must_have_room(&self) -> Result<(), F> {
        self.tree.must_have_room::<F>()
    }

    fn commit(&mut self, writes: &[Write<'_>]) -> Result<(), F> {
        self.tree.commit(&mut self.medium, writes)
    }

    /// The id after the last one given by that counter.
    fn next_id(&mut self, counter: Table) -> Result<u32, F> {
        let last: Option<u32> = self.get(&Key::of(counter))?;
        last.unwrap_or(0).checked_add(1).ok_or(Stop::Full)
    }
}

fn encode<'b, T: Serialize, E>(
    value: &T,
    into: &'b mut [u8],
) -> core::result::Result<&'b [u8], Stop<E>> {
    postcard::to_slice(value, into)
        .map(|bytes| &*bytes)
        .map_err(|_| Stop::Full)
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

/// What a look at every sector found.
struct Survey {
    newest: Option<(u16, Manifest)>,
    /// A log that a merge has replaced, but not yet erased.
    older: Option<u16>,
    /// Whether there is anything of a store besides what a format that was cut short leaves.
    ours: bool,
}
