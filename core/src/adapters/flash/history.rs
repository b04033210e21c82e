//! History: extents, each a sector of one channel's entries in the order of their places.
//!
//! A page of an extent begins with what was true before it ([`PageHead`]), so that a place, a time or a message id is found by looking
//! at the heads and then through one page. An entry's key says what decides about pages of history; its value is the change
//! that it brings and its row as it goes out.

use core::ops::{ControlFlow, RangeInclusive};

use embedded_storage_async::nor_flash::NorFlash;

use super::keys::{Key, Table};
use super::medium::{Medium, PAGE};
use super::record::{HEADER, Header, Item, MAGIC};
use super::tree::{EXTENT, Write};
use super::{FlashStore, Result, Rows, Stop, encode};
use crate::history::select::{Need, Row, Search, Select};
use crate::id::{ChannelId, MsgId, Seq};
use crate::store::{Append, Change, Kind, Outcome, Reason};

/// Where a channel's history ends, and what is needed to go on there.
#[derive(Clone, Copy)]
pub(super) struct Head {
    channel: ChannelId,
    /// When it was used last.
    used: u32,
    /// The oldest place on the medium.
    first: u64,
    now: PageHead,
    /// The newest extent; none when there is no entry.
    sector: Option<u16>,
    /// Where in it the next entry goes, and where the newest begins.
    end: u32,
    newest: u32,
}

impl Head {
    pub(super) const NONE: Self = Self {
        channel: ChannelId::NONE,
        used: 0,
        first: 1,
        now: PageHead::EMPTY,
        sector: None,
        end: 0,
        newest: 0,
    };
}

/// What is true of a channel at some place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct PageHead {
    /// Newest place, and its time.
    last: u64,
    time: u64,
    /// The highest message id.
    msgid: u64,
    /// The newest message's place and time.
    message: u64,
    message_time: u64,
}

impl PageHead {
    const EMPTY: Self = Self {
        last: 0,
        time: 0,
        msgid: 0,
        message: 0,
        message_time: 0,
    };
    const KEY: usize = MAGIC.len() + 1 + 4 + 5 * 8;
    const SIZE: u32 = (HEADER + Self::KEY).next_multiple_of(4) as u32;

    fn key(&self, channel: ChannelId) -> [u8; Self::KEY] {
        let mut key = [EXTENT; Self::KEY];
        key[..8].copy_from_slice(&MAGIC);
        key[9..13].copy_from_slice(&channel.0.to_le_bytes());
        let numbers = [
            self.last,
            self.time,
            self.msgid,
            self.message,
            self.message_time,
        ];
        for (place, number) in key[13..].as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        key
    }

    fn parse(key: &[u8; Self::KEY]) -> Self {
        let mut numbers = [0; 5];
        for (number, bytes) in numbers.iter_mut().zip(key[13..].as_chunks().0) {
            *number = u64::from_le_bytes(*bytes);
        }
        let [last, time, msgid, message, message_time] = numbers;
        Self {
            last,
            time,
            msgid,
            message,
            message_time,
        }
    }

    /// Goes on past an entry.
    fn pass(&mut self, entry: &EntryKey) {
        self.last = entry.seq;
        self.time = entry.time;
        self.msgid = self.msgid.max(entry.msgid);
        if entry.kind.is_message() {
            self.message = entry.seq;
            self.message_time = entry.time;
        }
    }
}

/// An entry's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct EntryKey {
    seq: u64,
    time: u64,
    msgid: u64,
    kind: Kind,
    /// How far before it in its page the entry before it begins, in units of four bytes; 0 when it is the page's first.
    back: u16,
    /// Bytes of the change, at the front of the value.
    change: u16,
}

impl EntryKey {
    const SIZE: usize = 29;

    fn bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.seq.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.msgid.to_le_bytes());
        bytes[24] = self.kind as u8;
        bytes[25..27].copy_from_slice(&self.back.to_le_bytes());
        bytes[27..].copy_from_slice(&self.change.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let ([seq, time, msgid], [kind, b0, b1, c0, c1]) = bytes.as_chunks::<8>() else {
            return None;
        };
        Some(Self {
            seq: u64::from_le_bytes(*seq),
            time: u64::from_le_bytes(*time),
            msgid: u64::from_le_bytes(*msgid),
            kind: Kind::from_number(*kind)?,
            back: u16::from_le_bytes([*b0, *b1]),
            change: u16::from_le_bytes([*c0, *c1]),
        })
    }
}

/// An entry found on the medium.
#[derive(Clone, Copy)]
struct Found {
    item: Item,
    key: EntryKey,
}

/// The entry that was read last, where the next page of the same history probably goes on.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    channel: ChannelId,
    found: Found,
}

/// What tells in whose page to look.
#[derive(Clone, Copy)]
enum Sought {
    Place(u64),
    Time(u64),
    Id(u64),
}

impl Sought {
    /// Whether it lies behind the beginning of a page.
    const fn is_past(self, head: &PageHead) -> bool {
        match self {
            Self::Place(place) => head.last < place,
            Self::Time(time) => head.time < time,
            Self::Id(msgid) => head.msgid < msgid,
        }
    }
}

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    /// The head of a channel, from RAM or else from the medium; `None` when there is no such channel.
    pub(super) fn head(&mut self, channel: ChannelId) -> Result<Option<usize>, F> {
        self.used = self.used.wrapping_add(1);
        let used = self.used;
        let known = self.heads.iter().position(|head| head.channel == channel);
        if let Some(slot) = known.filter(|_| !channel.is_none()) {
            self.heads[slot].used = used;
            return Ok(Some(slot));
        }
        let head = self.load_head(channel)?;
        let key = Key::id(Table::Channel, channel.0);
        // What has history is there: a removal takes both at once as far as is seen.
        if head.sector.is_none() && self.tree.get(&mut self.medium, &key)?.is_none() {
            return Ok(None);
        }
        let slots = self.heads.iter_mut().enumerate();
        let oldest = slots.max_by_key(|(_, head)| used.wrapping_sub(head.used));
        let Some((slot, place)) = oldest else {
            return Err(Stop::Full);
        };
        *place = head;
        place.used = used;
        Ok(Some(slot))
    }

    /// What a channel's record says of its history: first and last place, last time.
    pub(super) fn span(&self, slot: usize) -> (Seq, Seq, u64) {
        let head = &self.heads[slot];
        (
            Seq(self.first_kept(head)),
            Seq(head.now.last),
            head.now.time,
        )
    }

    /// The time of a channel's newest message, when it is still kept.
    pub(super) fn message_time(&self, slot: usize) -> Option<u64> {
        let head = &self.heads[slot];
        let kept = head.now.message >= self.first_kept(head) && head.now.message > 0;
        kept.then_some(head.now.message_time)
    }

    /// The oldest place that is shown: extents go as a whole, so there may be older ones on the medium.
    fn first_kept(&self, head: &Head) -> u64 {
        let least = match self.keep {
            0 => 0,
            keep => (head.now.last + 1).saturating_sub(u64::from(keep)),
        };
        head.first.max(least)
    }

    /// Forgets where a channel's history is.
    pub(super) fn forget(&mut self, channel: ChannelId) {
        for head in self.heads.iter_mut().filter(|h| h.channel == channel) {
            *head = Head::NONE;
        }
        if self.reading.is_some_and(|r| r.channel == channel) {
            self.reading = None;
        }
    }

    fn load_head(&mut self, channel: ChannelId) -> Result<Head, F> {
        let mut head = Head {
            channel,
            ..Head::NONE
        };
        let mut key = Key::id(Table::Extent, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Extent, channel.0) {
                break;
            }
            if head.sector.is_none() {
                head.first = key.place();
            }
            head.sector = Some(self.small(&item, &key)?);
        }
        let Some(sector) = head.sector else {
            return Ok(head);
        };
        // From the last page that has a head back to one that has an entry too: a cut may have come between the two.
        let mut page = Medium::<F>::SECTOR;
        while head.newest == 0 {
            page = page.checked_sub(PAGE).ok_or(Stop::Damaged)?;
            if let Some(now) = self.page_head(channel, sector, page)? {
                self.load_page(&mut head, sector, page, now)?;
            }
        }
        Ok(head)
    }

    /// Takes what a page says into a head that has seen only later pages.
    fn load_page(
        &mut self,
        head: &mut Head,
        sector: u16,
        page: u32,
        now: PageHead,
    ) -> Result<(), F> {
        let base = u32::from(sector) * Medium::<F>::SECTOR;
        let limit = base + page + PAGE;
        let mut at = base + page + PageHead::SIZE;
        let mut now = now;
        while let Some(found) = self.entry(at, limit)? {
            if found.key.seq != now.last + 1 {
                break;
            }
            now.pass(&found.key);
            head.newest = found.item.at - base;
            at = found.item.end().next_multiple_of(Medium::<F>::UNIT);
        }
        if head.end == 0 {
            if head.newest > 0 && at < limit && self.medium.is_blank(at, PAGE)? {
                head.end = at - base;
            } else {
                self.medium.must_be_last(at, limit)?;
                head.end = page + PAGE;
            }
        }
        head.now = now;
        Ok(())
    }

    fn page_head(
        &mut self,
        channel: ChannelId,
        sector: u16,
        page: u32,
    ) -> Result<Option<PageHead>, F> {
        let at = u32::from(sector) * Medium::<F>::SECTOR + page;
        let mut key = [0; PageHead::KEY];
        let Some(item) = self.medium.record(at, at + PAGE, &mut key)? else {
            return Ok(None);
        };
        let head = PageHead::parse(&key);
        let whole = usize::from(item.header.key) == PageHead::KEY
            && key == head.key(channel)
            && self.medium.is_whole(&item, &key)?;
        Ok(whole.then_some(head))
    }

    /// The entry at `at`; `None` where there is none, or one that a cut left behind. Uses the medium's buffer.
    fn entry(&mut self, at: u32, limit: u32) -> Result<Option<Found>, F> {
        let mut bytes = [0; EntryKey::SIZE];
        let Some(item) = self.medium.record(at, limit, &mut bytes)? else {
            return Ok(None);
        };
        let key = EntryKey::parse(&bytes);
        let Some(key) = key.filter(|_| usize::from(item.header.key) == EntryKey::SIZE) else {
            return Ok(None);
        };
        let whole = self.medium.is_whole(&item, &bytes)?;
        Ok(whole.then_some(Found { item, key }))
    }

    /// The last page of a channel behind whose beginning lies what is sought, or else its first: where it is, and its head.
    fn page_of(
        &mut self,
        channel: ChannelId,
        sought: Sought,
    ) -> Result<Option<(u32, PageHead)>, F> {
        let mut key = Key::id(Table::Extent, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        let mut best: Option<(u16, PageHead)> = None;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Extent, channel.0) {
                break;
            }
            let sector: u16 = self.small(&item, &key)?;
            let head = self.page_head(channel, sector, 0)?;
            let head = head.ok_or(Stop::Damaged)?;
            let past = sought.is_past(&head);
            if past || best.is_none() {
                best = Some((sector, head));
            }
            if !past {
                break;
            }
        }
        let Some((sector, mut head)) = best else {
            return Ok(None);
        };
        let (mut found, mut page) = (0, PAGE);
        while page < Medium::<F>::SECTOR {
            if let Some(next) = self.page_head(channel, sector, page)? {
                if !sought.is_past(&next) {
                    break;
                }
                (found, head) = (page, next);
            }
            page += PAGE;
        }
        Ok(Some((
            u32::from(sector) * Medium::<F>::SECTOR + found,
            head,
        )))
    }

    /// The entry at a place that is on the medium.
    fn seek(&mut self, channel: ChannelId, place: u64) -> Result<Found, F> {
        let page = self.page_of(channel, Sought::Place(place))?;
        let (page, head) = page.ok_or(Stop::Damaged)?;
        let mut found = self.first_of_page(page, &head)?;
        while found.key.seq < place {
            found = self.next_in_page(&found)?.ok_or(Stop::Damaged)?;
        }
        if found.key.seq == place {
            Ok(found)
        } else {
            Err(Stop::Damaged)
        }
    }

    fn first_of_page(&mut self, page: u32, head: &PageHead) -> Result<Found, F> {
        let first = self.entry(page + PageHead::SIZE, page + PAGE)?;
        first
            .filter(|found| found.key.seq == head.last + 1)
            .ok_or(Stop::Damaged)
    }

    fn next_in_page(&mut self, found: &Found) -> Result<Option<Found>, F> {
        let limit = (found.item.at + 1).next_multiple_of(PAGE);
        let at = found.item.end().next_multiple_of(Medium::<F>::UNIT);
        let next = self.entry(at, limit)?;
        Ok(next.filter(|next| next.key.seq == found.key.seq + 1))
    }

    /// The entry after this one, when it is known to be on the medium.
    fn step_up(&mut self, channel: ChannelId, found: &Found) -> Result<Found, F> {
        if let Some(next) = self.next_in_page(found)? {
            return Ok(next);
        }
        self.near(channel, found.item.at / PAGE + 1, found, found.key.seq + 1)
    }

    /// The entry before this one, when it is known to be on the medium.
    fn step_down(&mut self, channel: ChannelId, found: &Found) -> Result<Found, F> {
        let before = found.key.seq - 1;
        if found.key.back == 0 {
            return self.near(
                channel,
                (found.item.at / PAGE).wrapping_sub(1),
                found,
                before,
            );
        }
        let at = found.item.at.saturating_sub(u32::from(found.key.back) * 4);
        let limit = (at + 1).next_multiple_of(PAGE);
        let entry = self.entry(at, limit)?;
        entry
            .filter(|entry| entry.key.seq == before)
            .ok_or(Stop::Damaged)
    }

    /// The entry at a place that is probably on that page, when the page is in the same sector as `beside`.
    fn near(
        &mut self,
        channel: ChannelId,
        page: u32,
        beside: &Found,
        place: u64,
    ) -> Result<Found, F> {
        let of_sector = Medium::<F>::SECTOR / PAGE;
        let (sector, within) = (page / of_sector, page % of_sector);
        if sector == beside.item.at / Medium::<F>::SECTOR
            && let Some(head) = self.page_head(channel, sector as u16, within * PAGE)?
            && head.last < place
        {
            let mut found = self.first_of_page(page * PAGE, &head).map(Some);
            while let Ok(Some(entry)) = found {
                if entry.key.seq == place {
                    return Ok(entry);
                }
                found = self.next_in_page(&entry);
            }
        }
        self.seek(channel, place)
    }

    pub(super) fn append(
        &mut self,
        append: &Append<'_>,
        scratch: &mut [u8],
    ) -> Result<Outcome<'static>, F> {
        let Some(slot) = self.head(append.channel)? else {
            return Ok(Outcome::Refused(Reason::Failed));
        };
        if let Some(found) = self.held(slot, append.msgid)? {
            return Ok(Outcome::Stored {
                seq: Seq(found.key.seq),
                time: found.key.time,
            });
        }
        // Once the entry is written nothing may stop this.
        self.must_have_room()?;
        if self.keep != append.keep.max(1) {
            self.put(Key::of(Table::Keep), &append.keep.max(1))?;
            self.keep = append.keep.max(1);
        }
        let change = match append.change {
            Change::None => &[],
            ref change => {
                self.must_grow(0)?;
                encode(change, scratch)?
            }
        };
        let head = &self.heads[slot];
        let mut key = EntryKey {
            seq: head.now.last + 1,
            time: append.time.max(head.now.time),
            msgid: append.msgid.0,
            kind: append.entry.kind,
            back: 0,
            change: change.len() as u16,
        };
        self.write_entry(slot, &mut key, change, append)?;
        if !matches!(append.change, Change::None) {
            self.apply(append.channel, key.seq, key.time, &append.change)?;
        }
        Ok(Outcome::Stored {
            seq: Seq(key.seq),
            time: key.time,
        })
    }

    /// Writes an entry at the end of its channel.
    fn write_entry(
        &mut self,
        slot: usize,
        key: &mut EntryKey,
        change: &[u8],
        append: &Append<'_>,
    ) -> Result<(), F> {
        let entry = &append.entry;
        let mut fixed = [0; 40];
        let start = (
            Seq(key.seq),
            key.time,
            append.msgid,
            entry.kind,
            entry.sender,
        );
        let start = encode(&start, &mut fixed)?;
        let texts = [entry.nick, entry.tags, entry.subject, entry.text];
        let mut lengths = [[0; 5]; 4];
        let [a, b, c, d] = &mut lengths;
        let value: [&[u8]; 10] = [
            change,
            start,
            encode(&texts[0].len(), a)?,
            texts[0].as_bytes(),
            encode(&texts[1].len(), b)?,
            texts[1].as_bytes(),
            encode(&texts[2].len(), c)?,
            texts[2].as_bytes(),
            encode(&texts[3].len(), d)?,
            texts[3].as_bytes(),
        ];
        let length: usize = value.iter().map(|part| part.len()).sum();
        let size = (HEADER + EntryKey::SIZE + length).next_multiple_of(4) as u32;
        if size > PAGE - PageHead::SIZE {
            return Err(Stop::Full);
        }

        let mut head = self.heads[slot];
        let begins_extent = self.find_place(&mut head, size)?;
        let Some(sector) = head.sector else {
            return Err(Stop::Damaged);
        };
        let base = u32::from(sector) * Medium::<F>::SECTOR;
        self.medium.begin(base + head.end);
        if head.end.is_multiple_of(PAGE) {
            let page = head.now.key(head.channel);
            self.medium.push_record(&page, &[], 0)?;
        } else {
            key.back = ((head.end - head.newest) / 4) as u16;
        }
        let at = self.medium.position();
        self.medium.push_record(&key.bytes(), &value, 0)?;
        self.medium.finish()?;
        head.now.pass(key);
        head.newest = at - base;
        head.end = self.medium.position() - base;
        if begins_extent {
            // Until this is written the entry is not there.
            let place = Key::extent(head.channel, Seq(key.seq));
            if let Err(error) = self.put(place, &sector) {
                self.medium.release(sector);
                return Err(error);
            }
        }
        // Making room may have loaded it elsewhere.
        self.forget(head.channel);
        self.heads[slot] = head;
        if begins_extent {
            // What is not done now for want of room is done with the next extent.
            match self.trim(slot) {
                Err(Stop::Again) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Moves the end of a channel to where an entry of that size fits: in the page, in the next that is blank, or in a new extent;
    /// says whether it is in a new one.
    fn find_place(&mut self, head: &mut Head, size: u32) -> Result<bool, F> {
        if let Some(sector) = head.sector {
            let base = u32::from(sector) * Medium::<F>::SECTOR;
            if head.end % PAGE + size > PAGE {
                head.end = head.end.next_multiple_of(PAGE);
            }
            while head.end < Medium::<F>::SECTOR {
                let fresh = head.end.is_multiple_of(PAGE);
                if !fresh || self.medium.is_blank(base + head.end, PAGE)? {
                    return Ok(false);
                }
                head.end += PAGE;
            }
        }
        if self.must_grow(1).is_err() {
            self.trim_all()?;
            self.must_grow(1)?;
        }
        if head.sector.is_none() {
            head.first = head.now.last + 1;
        }
        head.sector = Some(self.medium.allocate()?);
        head.end = 0;
        Ok(true)
    }

    /// Releases the extents of a channel that hold nothing that is kept.
    fn trim(&mut self, slot: usize) -> Result<(), F> {
        loop {
            let head = self.heads[slot];
            let channel = head.channel;
            let mut key = Key::id(Table::Extent, channel.0);
            let mut cursor = self.tree.seek(&mut self.medium, &key)?;
            let Some(item) = self.next(&mut cursor, &mut key)? else {
                return Ok(());
            };
            let oldest = key;
            if !oldest.is_of(Table::Extent, channel.0) {
                return Ok(());
            }
            let sector: u16 = self.small(&item, &oldest)?;
            let second = self.next(&mut cursor, &mut key)?;
            if second.is_none()
                || !key.is_of(Table::Extent, channel.0)
                || key.place() > self.first_kept(&head)
            {
                return Ok(());
            }
            self.must_have_room()?;
            self.commit(&[Write::Delete(oldest)])?;
            self.medium.release(sector);
            self.heads[slot].first = key.place();
            if self.reading.is_some_and(|r| r.channel == channel) {
                self.reading = None;
            }
        }
    }

    /// Releases what is not kept of any channel, after the limit was lowered.
    fn trim_all(&mut self) -> Result<(), F> {
        let mut channel = 0;
        while let Some((key, _)) = self.after(Table::Channel, channel)? {
            channel = key.first();
            if let Some(slot) = self.head(ChannelId(channel))? {
                self.trim(slot)?;
            }
        }
        Ok(())
    }

    /// The entry with that id, if the channel holds it.
    fn held(&mut self, slot: usize, msgid: MsgId) -> Result<Option<Found>, F> {
        let head = self.heads[slot];
        let first = self.first_kept(&head);
        if msgid.0 > head.now.msgid || head.now.last < first {
            return Ok(None);
        }
        // It was the highest when it was stored, and is on this page; or it came late, and is behind it.
        let page = self.page_of(head.channel, Sought::Id(msgid.0))?;
        let (page, before) = page.ok_or(Stop::Damaged)?;
        let mut found = self.first_of_page(page, &before)?;
        loop {
            if found.key.msgid == msgid.0 && found.key.seq >= first {
                return Ok(Some(found));
            }
            if found.key.seq >= head.now.last {
                return Ok(None);
            }
            found = self.step_up(head.channel, &found)?;
        }
    }

    /// The oldest entry kept that is at that time or later.
    fn at_or_after(&mut self, slot: usize, time: u64) -> Result<Option<Seq>, F> {
        let head = self.heads[slot];
        let first = self.first_kept(&head);
        if head.now.last < first || head.now.time < time {
            return Ok(None);
        }
        let page = self.page_of(head.channel, Sought::Time(time))?;
        let (page, before) = page.ok_or(Stop::Damaged)?;
        let mut found = self.first_of_page(page, &before)?;
        while found.key.time < time {
            match self.next_in_page(&found)? {
                Some(next) => found = next,
                None => return Ok(Some(Seq((found.key.seq + 1).max(first)))),
            }
        }
        Ok(Some(Seq(found.key.seq.max(first))))
    }

    pub(super) fn locate(
        &mut self,
        channel: ChannelId,
        select: Select,
    ) -> Result<Option<(Seq, Seq)>, F> {
        let Some(slot) = self.head(channel)? else {
            return Ok(None);
        };
        let mut search = Search::new(select);
        loop {
            match search.need() {
                Need::Place(msgid) => {
                    let found = self.held(slot, msgid)?;
                    search.found(found.map(|found| Seq(found.key.seq)));
                }
                Need::AtOrAfter(time) => search.found(self.at_or_after(slot, time)?),
                Need::Ascend(places) => {
                    self.walk(slot, places, false, &mut search)?;
                    search.walked();
                }
                Need::Descend(places) => {
                    self.walk(slot, places, true, &mut search)?;
                    search.walked();
                }
                Need::Done(page) => return Ok(page),
            }
        }
    }

    fn walk(
        &mut self,
        slot: usize,
        places: RangeInclusive<u64>,
        down: bool,
        search: &mut Search,
    ) -> Result<(), F> {
        let head = self.heads[slot];
        let first = self.first_kept(&head).max(*places.start());
        let last = head.now.last.min(*places.end());
        if first > last {
            return Ok(());
        }
        let mut found = if down && last == head.now.last && head.sector.is_some() {
            let base = u32::from(head.sector.unwrap_or_default()) * Medium::<F>::SECTOR;
            let at = base + head.newest;
            let newest = self.entry(at, (at + 1).next_multiple_of(PAGE))?;
            newest.ok_or(Stop::Damaged)?
        } else {
            let place = if down { last } else { first };
            self.seek(head.channel, place)?
        };
        loop {
            let row = Row {
                seq: Seq(found.key.seq),
                time: found.key.time,
                kind: found.key.kind,
            };
            let end = if down { first } else { last };
            if search.offer(row) == ControlFlow::Break(()) || found.key.seq == end {
                return Ok(());
            }
            found = if down {
                self.step_down(head.channel, &found)?
            } else {
                self.step_up(head.channel, &found)?
            };
        }
    }

    /// Rows go out as they lie on the medium.
    pub(super) fn read_history<'b>(
        &mut self,
        channel: ChannelId,
        first: u64,
        last: u64,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        if let Some(slot) = self.head(channel)? {
            let head = self.heads[slot];
            let first = first.max(self.first_kept(&head));
            let last = last.min(head.now.last);
            let mut found = None;
            let mut place = first;
            while place <= last {
                let next = match (found, self.reading) {
                    (Some(found), _) => self.step_up(channel, &found)?,
                    (None, Some(reading))
                        if reading.channel == channel && reading.found.key.seq + 1 == first =>
                    {
                        self.step_up(channel, &reading.found)?
                    }
                    _ => self.seek(channel, first)?,
                };
                let Some(length) = self.read_row(&next, page.space())? else {
                    page.more = true;
                    break;
                };
                page.used += length;
                place += 1;
                found = Some(next);
                self.reading = Some(Reading {
                    channel,
                    found: next,
                });
            }
        }
        Ok(page.outcome())
    }

    /// Copies an entry's row; `None` when it does not fit.
    fn read_row(&mut self, found: &Found, into: &mut [u8]) -> Result<Option<usize>, F> {
        let Found { item, key } = found;
        let change = usize::from(key.change);
        let length = usize::from(item.header.value).saturating_sub(change);
        let Some(row) = into.get_mut(..length) else {
            return Ok(None);
        };
        let end = self.read_change(item, change)?;
        let at = item.value_at() + end as u32;
        self.medium.read(at, row)?;
        let mut digest = item.header.digest();
        digest.update(&key.bytes());
        digest.update(&self.medium.buffer[..end]);
        digest.update(row);
        if digest.finalize() == item.header.crc {
            Ok(Some(length))
        } else {
            Err(Stop::Damaged)
        }
    }

    /// Reads the change at the front of an entry's value into the medium's buffer.
    fn read_change(&mut self, item: &Item, length: usize) -> Result<usize, F> {
        let part = Item {
            at: item.at,
            header: Header {
                value: length as u16,
                ..item.header
            },
        };
        self.medium.load_part(&part)
    }

    /// Makes the change of a channel's newest entry, if power went before it was made.
    pub(super) fn redo(&mut self, channel: ChannelId, scratch: &mut [u8]) -> Result<(), F> {
        let Some(slot) = self.head(channel)? else {
            return Ok(());
        };
        let head = self.heads[slot];
        let Some(sector) = head.sector else {
            return Ok(());
        };
        let at = u32::from(sector) * Medium::<F>::SECTOR + head.newest;
        let newest = self.entry(at, (at + 1).next_multiple_of(PAGE))?;
        let newest = newest.ok_or(Stop::Damaged)?;
        if newest.key.change == 0 {
            return Ok(());
        }
        let key = Key::id(Table::Applied, channel.0);
        let applied: Option<u64> = self.get(&key)?;
        if applied.is_some_and(|place| place >= newest.key.seq) {
            return Ok(());
        }
        let length = self.read_change(&newest.item, usize::from(newest.key.change))?;
        let bytes = scratch.get_mut(..length).ok_or(Stop::Full)?;
        bytes.copy_from_slice(&self.medium.buffer[..length]);
        let change: Change<'_> = postcard::from_bytes(bytes).map_err(|_| Stop::Damaged)?;
        self.apply(channel, newest.key.seq, newest.key.time, &change)
    }
}
