//! An ordered map from keys to values: a run, which is sorted once and never changes, and a log of what changed since, whose order is
//! an index of 16 bits a record in RAM. When log or index are full both are merged into a new run and an empty log.
//!
//! The first record of the log's sector names the sectors of the run. It is written last, so it is the moment at which a merge has
//! happened. A commit is some records in one page, valid only with the last of them.

use embedded_storage_async::nor_flash::NorFlash;

use super::keys::{KEY_MAX, Key};
use super::medium::{Medium, PAGE, yield_now};
use super::record::{DELETED, HEADER, Header, Item, MAGIC, MORE};
use super::{Result, Stop};

/// Most sectors of a run.
pub(super) const RUN_SECTORS: usize = 8;
/// Bytes of a page of a run: what a search for a key reads through.
const RUN_PAGE: u32 = 1024;
/// Bytes of the longest value of a log's first record.
const MANIFEST: usize = 11 + 2 * RUN_SECTORS;

/// The kinds of sectors, in their first record's key after [`MAGIC`].
pub(super) const LOG: u8 = b'L';
const RUN: u8 = b'R';
pub(super) const EXTENT: u8 = b'X';

/// A change to the map.
pub(super) enum Write<'w> {
    Put(Key, &'w [&'w [u8]]),
    Delete(Key),
}

impl Write<'_> {
    const fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    const fn value(&self) -> &[&[u8]] {
        match self {
            Self::Put(_, value) => value,
            Self::Delete(_) => &[],
        }
    }

    fn size(&self) -> u32 {
        let value: usize = self.value().iter().map(|part| part.len()).sum();
        (HEADER + self.key().as_bytes().len() + value).next_multiple_of(4) as u32
    }
}

/// A place in the map's order. Any commit makes it invalid.
pub(super) struct Cursor {
    log: u16,
    run: u32,
}

pub(super) struct Tree<const KEYS: usize> {
    epoch: u32,
    log: u16,
    /// Where in the log's sector the next commit goes.
    end: u32,
    /// Records of the log in the order of their keys, the newest of each, as offsets in units of four bytes.
    index: [u16; KEYS],
    count: u16,
    run: [u16; RUN_SECTORS],
    run_sectors: u8,
    run_pages: u16,
}

/// What a log's first record says.
pub(super) struct Manifest {
    epoch: u32,
    sector_size: u32,
    run: [u16; RUN_SECTORS],
    run_sectors: u8,
    run_pages: u16,
}

impl Manifest {
    const KEY: [u8; 9] = {
        let mut key = [LOG; 9];
        let mut i = 0;
        while i < MAGIC.len() {
            key[i] = MAGIC[i];
            i += 1;
        }
        key
    };

    /// Reads it; `None` where there is no valid one.
    pub(super) fn read<F: NorFlash>(
        medium: &mut Medium<F>,
        sector: u16,
    ) -> Result<Option<Self>, F> {
        let at = u32::from(sector) * Medium::<F>::SECTOR;
        let mut key = [0; 9];
        let Some(item) = medium.record(at, at + PAGE, &mut key)? else {
            return Ok(None);
        };
        let mut value = [0; MANIFEST];
        if key != Self::KEY {
            return Ok(None);
        }
        match medium.value(&item, &key, &mut value) {
            Ok(_) => {}
            Err(Stop::Medium(error)) => return Err(Stop::Medium(error)),
            Err(_) => return Ok(None),
        }
        let [
            e0,
            e1,
            e2,
            e3,
            s0,
            s1,
            s2,
            s3,
            p0,
            p1,
            run_sectors,
            list @ ..,
        ] = value;
        let mut run = [0; RUN_SECTORS];
        for (sector, bytes) in run.iter_mut().zip(list.as_chunks().0) {
            *sector = u16::from_le_bytes(*bytes);
        }
        Ok(Some(Self {
            epoch: u32::from_le_bytes([e0, e1, e2, e3]),
            sector_size: u32::from_le_bytes([s0, s1, s2, s3]),
            run,
            run_sectors,
            run_pages: u16::from_le_bytes([p0, p1]),
        }))
    }

    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }
}

impl<const KEYS: usize> Tree<KEYS> {
    pub(super) const fn new() -> Self {
        Self {
            epoch: 0,
            log: 0,
            end: 0,
            index: [0; KEYS],
            count: 0,
            run: [0; RUN_SECTORS],
            run_sectors: 0,
            run_pages: 0,
        }
    }

    pub(super) const fn run_sectors(&self) -> u16 {
        self.run_sectors as u16
    }

    pub(super) const fn log_sector(&self) -> u16 {
        self.log
    }

    /// Whether the next merge is nearer than the last.
    pub(super) fn is_half_full<F: NorFlash>(&self) -> bool {
        usize::from(self.count) > KEYS / 2 || self.end > Medium::<F>::SECTOR / 2
    }

    /// Fails with `Again` unless the log has room for the commits of one operation.
    pub(super) fn must_have_room<F: NorFlash>(&self) -> Result<(), F> {
        let page = self.end.next_multiple_of(PAGE);
        if usize::from(self.count) + 12 > KEYS || page + PAGE > Medium::<F>::SECTOR {
            return Err(Stop::Again);
        }
        Ok(())
    }

    const fn run_pages_of_sector<F: NorFlash>() -> u32 {
        // The first page is the sector's head.
        Medium::<F>::SECTOR / RUN_PAGE - 1
    }

    /// Makes an empty map in sector 0.
    pub(super) async fn format<F: NorFlash>(&mut self, medium: &mut Medium<F>) -> Result<(), F> {
        *self = Self::new();
        medium.take(0);
        medium.erase(0).await?;
        self.begin_log(medium, 0)
    }

    /// Writes the first record of an erased sector, which from then on is the log.
    fn begin_log<F: NorFlash>(&mut self, medium: &mut Medium<F>, sector: u16) -> Result<(), F> {
        let epoch = self.epoch + 1;
        let mut list = [[0; 2]; RUN_SECTORS];
        for (bytes, sector) in list.iter_mut().zip(self.run) {
            *bytes = sector.to_le_bytes();
        }
        let base = u32::from(sector) * Medium::<F>::SECTOR;
        medium.begin(base);
        let value: [&[u8]; 5] = [
            &epoch.to_le_bytes(),
            &Medium::<F>::SECTOR.to_le_bytes(),
            &self.run_pages.to_le_bytes(),
            &[self.run_sectors],
            list.as_flattened(),
        ];
        medium.push_record(&Manifest::KEY, &value, 0)?;
        medium.finish()?;
        self.end = medium.position() - base;
        self.epoch = epoch;
        self.log = sector;
        self.count = 0;
        Ok(())
    }

    /// Bytes that a format writes before anything else is written.
    pub(super) const fn format_size<F: NorFlash>() -> u32 {
        let record = HEADER + 9 + MANIFEST;
        (record as u32).next_multiple_of(Medium::<F>::UNIT)
    }

    /// Begins with what a log's sector says.
    pub(super) fn open<F: NorFlash>(
        &mut self,
        medium: &mut Medium<F>,
        sector: u16,
        manifest: &Manifest,
    ) -> Result<(), F> {
        let sectors = usize::from(manifest.run_sectors);
        if manifest.sector_size != Medium::<F>::SECTOR
            || sectors > RUN_SECTORS
            || u32::from(manifest.run_pages) > sectors as u32 * Self::run_pages_of_sector::<F>()
            || !medium.take(sector)
            || !manifest.run[..sectors].iter().all(|s| medium.take(*s))
        {
            return Err(Stop::Damaged);
        }
        *self = Self {
            epoch: manifest.epoch,
            log: sector,
            end: Self::format_size::<F>(),
            index: [0; KEYS],
            count: 0,
            run: manifest.run,
            run_sectors: manifest.run_sectors,
            run_pages: manifest.run_pages,
        };
        self.check_run(medium)?;
        self.replay(medium)
    }

    /// Whether every record of the run is whole.
    fn check_run<F: NorFlash>(&self, medium: &mut Medium<F>) -> Result<(), F> {
        let mut position = 0;
        let mut key = Key::EMPTY;
        while position < u32::from(self.run_pages) * RUN_PAGE {
            let at = self.run_place::<F>(position);
            let limit = (at + 1).next_multiple_of(RUN_PAGE);
            match medium.record(at, limit, key.fill())? {
                Some(item) if medium.is_whole(&item, key.fill())? => {
                    position += item.header.size();
                }
                None if !position.is_multiple_of(RUN_PAGE) && medium.is_blank(at, RUN_PAGE)? => {
                    position = position.next_multiple_of(RUN_PAGE);
                }
                _ => return Err(Stop::Damaged),
            }
        }
        Ok(())
    }

    /// Finds what is in the log, and where it ends.
    fn replay<F: NorFlash>(&mut self, medium: &mut Medium<F>) -> Result<(), F> {
        let base = u32::from(self.log) * Medium::<F>::SECTOR;
        let mut end = self.end;
        let mut page = 0;
        while page < Medium::<F>::SECTOR {
            let limit = base + page + PAGE;
            let start = base + page.max(self.end);
            let mut at = start;
            let mut batch = (start, 0);
            let mut key = Key::EMPTY;
            while let Some(item) = medium.record(at, limit, key.fill())? {
                if !medium.is_whole(&item, key.fill())? {
                    break;
                }
                at = item.end();
                batch.1 += 1;
                if item.header.flags & MORE == 0 {
                    self.absorb(medium, batch.0, batch.1)?;
                    at = at.next_multiple_of(Medium::<F>::UNIT);
                    batch = (at, 0);
                    end = at - base;
                }
            }
            if batch.1 > 0 || (at < limit && !medium.is_blank(at, PAGE)?) {
                medium.must_be_last(at, limit)?;
            }
            page += PAGE;
        }
        self.end = end;
        // Whatever a cut left is passed over.
        self.find_blank(medium)
    }

    /// Moves the end past anything that is written there.
    fn find_blank<F: NorFlash>(&mut self, medium: &mut Medium<F>) -> Result<(), F> {
        let base = u32::from(self.log) * Medium::<F>::SECTOR;
        while self.end < Medium::<F>::SECTOR && !medium.is_blank(base + self.end, PAGE)? {
            self.end = (self.end + 1).next_multiple_of(PAGE);
        }
        Ok(())
    }

    /// Takes committed records into the index.
    fn absorb<F: NorFlash>(
        &mut self,
        medium: &mut Medium<F>,
        from: u32,
        records: u32,
    ) -> Result<(), F> {
        let base = u32::from(self.log) * Medium::<F>::SECTOR;
        let mut at = from;
        let mut key = Key::EMPTY;
        for _ in 0..records {
            let item = self.key_at(medium, at, &mut key)?;
            let offset = ((at - base) / 4) as u16;
            let (position, found) = self.search_log(medium, &key)?;
            let (position, count) = (usize::from(position), usize::from(self.count));
            if !found {
                if count == KEYS {
                    return Err(Stop::Full);
                }
                self.index.copy_within(position..count, position + 1);
                self.count += 1;
            }
            self.index[position] = offset;
            at = item.end();
        }
        Ok(())
    }

    /// The record there and its key.
    fn key_at<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        at: u32,
        key: &mut Key,
    ) -> Result<Item, F> {
        let item = medium.record(at, at + PAGE, key.fill())?;
        let item = item.ok_or(Stop::Damaged)?;
        key.set_length(item.header.key);
        Ok(item)
    }

    fn log_key<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        position: u16,
        key: &mut Key,
    ) -> Result<Item, F> {
        let offset = self.index.get(usize::from(position)).copied().unwrap_or(0);
        let at = u32::from(self.log) * Medium::<F>::SECTOR + u32::from(offset) * 4;
        self.key_at(medium, at, key)
    }

    /// The first position in the index whose key is not below `key`, and whether it is that key.
    fn search_log<F: NorFlash>(&self, medium: &mut Medium<F>, key: &Key) -> Result<(u16, bool), F> {
        let (mut low, mut high) = (0, self.count);
        let mut other = Key::EMPTY;
        let mut found = false;
        while low < high {
            let middle = low.midpoint(high);
            self.log_key(medium, middle, &mut other)?;
            if other.as_bytes() < key.as_bytes() {
                low = middle + 1;
            } else {
                found = other.as_bytes() == key.as_bytes();
                high = middle;
            }
        }
        Ok((low, found && low < self.count))
    }

    /// Where on the medium a position in the run is: its pages one after another.
    fn run_place<F: NorFlash>(&self, position: u32) -> u32 {
        let page = position / RUN_PAGE;
        let pages = Self::run_pages_of_sector::<F>();
        let sector = self.run.get((page / pages) as usize).copied().unwrap_or(0);
        u32::from(sector) * Medium::<F>::SECTOR
            + (page % pages + 1) * RUN_PAGE
            + position % RUN_PAGE
    }

    /// The record at or after a position of the run, which is moved to it.
    fn run_key<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        position: &mut u32,
        key: &mut Key,
    ) -> Result<Option<Item>, F> {
        while *position < u32::from(self.run_pages) * RUN_PAGE {
            let at = self.run_place::<F>(*position);
            let limit = (at + 1).next_multiple_of(RUN_PAGE);
            if let Some(item) = medium.record(at, limit, key.fill())? {
                key.set_length(item.header.key);
                return Ok(Some(item));
            }
            if position.is_multiple_of(RUN_PAGE) {
                return Err(Stop::Damaged);
            }
            *position = position.next_multiple_of(RUN_PAGE);
        }
        Ok(None)
    }

    /// The position of the first record of the run whose key is not below `key`.
    fn search_run<F: NorFlash>(&self, medium: &mut Medium<F>, key: &Key) -> Result<u32, F> {
        // The last page whose first key is not above `key` is below `low`.
        let (mut low, mut high) = (0, u32::from(self.run_pages));
        let mut other = Key::EMPTY;
        while low < high {
            let middle = low.midpoint(high);
            let mut position = middle * RUN_PAGE;
            self.run_key(medium, &mut position, &mut other)?;
            if other.as_bytes() <= key.as_bytes() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut position = low.saturating_sub(1) * RUN_PAGE;
        while let Some(item) = self.run_key(medium, &mut position, &mut other)? {
            if other.as_bytes() >= key.as_bytes() {
                break;
            }
            position += item.header.size();
        }
        Ok(position)
    }

    /// The value of a key.
    pub(super) fn get<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        key: &Key,
    ) -> Result<Option<Item>, F> {
        let mut other = Key::EMPTY;
        let (position, found) = self.search_log(medium, key)?;
        if found {
            let item = self.log_key(medium, position, &mut other)?;
            return Ok((!item.is_deleted()).then_some(item));
        }
        let mut position = self.search_run(medium, key)?;
        let item = self.run_key(medium, &mut position, &mut other)?;
        Ok(item.filter(|_| other.as_bytes() == key.as_bytes()))
    }

    /// The place before the first key that is not below `key`.
    pub(super) fn seek<F: NorFlash>(&self, medium: &mut Medium<F>, key: &Key) -> Result<Cursor, F> {
        Ok(Cursor {
            log: self.search_log(medium, key)?.0,
            run: self.search_run(medium, key)?,
        })
    }

    /// The next key, into `key`, and where its value is.
    pub(super) fn next<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        cursor: &mut Cursor,
        key: &mut Key,
    ) -> Result<Option<Item>, F> {
        loop {
            let mut other = Key::EMPTY;
            let old = self.run_key(medium, &mut cursor.run, &mut other)?;
            let new = if cursor.log < self.count {
                Some(self.log_key(medium, cursor.log, key)?)
            } else {
                None
            };
            let item = match (new, old) {
                (None, None) => return Ok(None),
                (Some(new), old) if old.is_none() || key.as_bytes() <= other.as_bytes() => {
                    cursor.log += 1;
                    if let Some(old) = old
                        && key.as_bytes() == other.as_bytes()
                    {
                        cursor.run += old.header.size();
                    }
                    new
                }
                (_, Some(old)) => {
                    cursor.run += old.header.size();
                    *key = other;
                    old
                }
                (Some(_), None) => return Err(Stop::Damaged),
            };
            if !item.is_deleted() {
                return Ok(Some(item));
            }
        }
    }

    /// Makes some changes, all or none. They must fit in a page.
    pub(super) fn commit<F: NorFlash>(
        &mut self,
        medium: &mut Medium<F>,
        writes: &[Write<'_>],
    ) -> Result<(), F> {
        let size: u32 = writes.iter().map(Write::size).sum();
        if size > PAGE / 2 {
            return Err(Stop::Full);
        }
        if !self.make_room(medium, size, writes.len())? {
            return Err(Stop::Again);
        }
        let from = u32::from(self.log) * Medium::<F>::SECTOR + self.end;
        medium.begin(from);
        for (number, write) in writes.iter().enumerate() {
            let deleted = matches!(write, Write::Delete(_)) as u8 * DELETED;
            let more = (number + 1 < writes.len()) as u8 * MORE;
            let (key, value) = (write.key().as_bytes(), write.value());
            medium.push_record(key, value, deleted | more)?;
        }
        medium.finish()?;
        self.end += medium.position() - from;
        self.absorb(medium, from, writes.len() as u32)
    }

    /// Moves the end to where so much fits; false when that is not in this log.
    fn make_room<F: NorFlash>(
        &mut self,
        medium: &mut Medium<F>,
        size: u32,
        records: usize,
    ) -> Result<bool, F> {
        if usize::from(self.count) + records > KEYS {
            return Ok(false);
        }
        if self.end % PAGE + size > PAGE {
            self.end = self.end.next_multiple_of(PAGE);
        }
        if self.end.is_multiple_of(PAGE) {
            self.find_blank(medium)?;
        }
        Ok(self.end < Medium::<F>::SECTOR)
    }

    /// Writes everything into a new run and begins a new log.
    pub(super) async fn merge<F: NorFlash>(&mut self, medium: &mut Medium<F>) -> Result<(), F> {
        let mut run = [u16::MAX; RUN_SECTORS];
        let (sectors, pages, log) = match self.write_run(medium, &mut run).await {
            Ok(written) => written,
            Err(error) => {
                // Nothing refers to them.
                run.iter().for_each(|sector| medium.release(*sector));
                return Err(error);
            }
        };
        let (old_run, old_sectors) = (self.run, usize::from(self.run_sectors));
        let old_log = self.log;
        self.run = run;
        self.run_sectors = sectors;
        self.run_pages = pages;
        self.begin_log(medium, log)?;
        for sector in &old_run[..old_sectors] {
            medium.release(*sector);
        }
        // So that it can never be taken for the newest one.
        medium.erase(old_log).await?;
        medium.release(old_log);
        medium.search_from(log);
        Ok(())
    }

    /// Writes everything in order; returns how many sectors and pages it takes, and a sector for the new log.
    async fn write_run<F: NorFlash>(
        &self,
        medium: &mut Medium<F>,
        run: &mut [u16; RUN_SECTORS],
    ) -> Result<(u8, u16, u16), F> {
        let pages_of_sector = Self::run_pages_of_sector::<F>();
        let mut cursor = self.seek(medium, &Key::EMPTY)?;
        let mut key = Key::EMPTY;
        let (mut sectors, mut pages) = (0, 0);
        while let Some(item) = self.next(medium, &mut cursor, &mut key)? {
            let used = medium.position() % RUN_PAGE;
            let fresh = pages == 0 || used == 0 || used + item.header.size() > RUN_PAGE;
            if fresh {
                if pages % pages_of_sector == 0 {
                    if pages > 0 {
                        medium.finish()?;
                    }
                    let slot = run.get_mut(sectors).ok_or(Stop::Full)?;
                    // The buffer holds nothing now; erasing leaves the writer's place alone.
                    medium.prepare().await?;
                    *slot = medium.allocate()?;
                    sectors += 1;
                    let base = u32::from(*slot) * Medium::<F>::SECTOR;
                    medium.begin(base);
                    let mut head = [RUN; 9];
                    head[..8].copy_from_slice(&MAGIC);
                    let epoch = self.epoch.to_le_bytes();
                    medium.push_record(&head, &[&epoch], 0)?;
                    medium.skip_to(base + RUN_PAGE)?;
                } else {
                    let end = medium.position().next_multiple_of(RUN_PAGE);
                    medium.skip_to(end)?;
                }
                pages += 1;
            }
            medium.push_copy(&item, key.as_bytes())?;
            yield_now().await;
        }
        if pages > 0 {
            medium.finish()?;
        }
        medium.prepare().await?;
        Ok((sectors as u8, pages as u16, medium.allocate()?))
    }

    /// Whether a sector's first bytes are those of the store's own, whatever else is in it.
    pub(super) fn is_ours<F: NorFlash>(medium: &mut Medium<F>, sector: u16) -> Result<bool, F> {
        let mut magic = [0; 8];
        let at = u32::from(sector) * Medium::<F>::SECTOR + HEADER as u32;
        medium.read(at, &mut magic)?;
        // Of whatever version.
        Ok(magic[..7] == MAGIC[..7])
    }
}

const _: () = assert!(KEY_MAX <= u8::MAX as usize && size_of::<Header>() == HEADER);
