//! Channels: rooms and direct chats, topics, modes and bans.

use embedded_storage_async::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

use super::keys::{Key, Table};
use super::members::Membership;
use super::tree::Write;
use super::{FlashStore, Result, Rows, STEP, Stop, encode};
use crate::id::{AccountId, ChannelId};
use crate::name::eq_folded;
use crate::store::{
    BanRow, Change, ChannelKey, ChannelRecord, MemberFlags, MemberRecord, Outcome, RoomRow,
};

/// What a channel is from its beginning on.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Founded<'a> {
    pub name: &'a str,
    pub direct: (AccountId, AccountId),
    founder: AccountId,
    created: u64,
    modes: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct Topic<'a> {
    text: &'a str,
    by: &'a str,
    time: u64,
}

#[derive(Serialize, Deserialize)]
struct Modes<'a> {
    modes: u32,
    key: &'a str,
    limit: u32,
}

#[derive(Serialize, Deserialize)]
struct Ban<'a> {
    mask: &'a str,
    by: &'a str,
    time: u64,
}

fn decode<'a, T: Deserialize<'a>, E>(bytes: &'a [u8]) -> core::result::Result<T, Stop<E>> {
    postcard::from_bytes(bytes).map_err(|_| Stop::Damaged)
}

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    pub(super) fn find_channel(&mut self, key: ChannelKey<'_>) -> Result<Option<ChannelId>, F> {
        match key {
            ChannelKey::Id(id) => Ok(Some(id)),
            ChannelKey::Room(name) => match Key::name(Table::Room, name) {
                Some(key) => self.get(&key),
                None => Ok(None),
            },
            ChannelKey::Direct(low, high) => self.get(&Key::pair(Table::Direct, low.0, high.0)),
        }
    }

    /// Reads what is kept of a channel into `into`, one value behind the other: what it was founded as, topic, modes.
    fn channel_values(
        &mut self,
        channel: ChannelId,
        into: &mut [u8],
    ) -> Result<Option<[usize; 3]>, F> {
        let mut ends = [0; 3];
        let mut used = 0;
        let tables = [Table::Channel, Table::Topic, Table::Modes];
        for (end, table) in ends.iter_mut().zip(tables) {
            let key = Key::id(table, channel.0);
            match self.tree.get(&mut self.medium, &key)? {
                Some(item) => {
                    let rest = &mut into[used..];
                    used += self.medium.value(&item, key.as_bytes(), rest)?.len();
                }
                None if table == Table::Channel => return Ok(None),
                None => {}
            }
            *end = used;
        }
        Ok(Some(ends))
    }

    pub(super) fn load_channel<'b>(
        &mut self,
        channel: ChannelId,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        let Some(ends) = self.channel_values(channel, answer)? else {
            return Ok(Outcome::Channel(None));
        };
        let Some(slot) = self.head(channel)? else {
            return Err(Stop::Damaged);
        };
        let (first, last, last_time) = self.span(slot);
        let members = self.members(channel)?;
        let bans = self.bans(channel, None)?.count;
        let (founded, topic, modes) = parts(answer, ends)?;
        Ok(Outcome::Channel(Some(ChannelRecord {
            id: channel,
            name: founded.name,
            direct: founded.direct,
            founder: founded.founder,
            created: founded.created,
            topic: topic.text,
            topic_by: topic.by,
            topic_time: topic.time,
            modes: modes.modes,
            key: modes.key,
            limit: modes.limit,
            members,
            bans,
            first,
            last,
            last_time,
        })))
    }

    /// How many have joined.
    fn members(&mut self, channel: ChannelId) -> Result<u32, F> {
        let mut count = 0;
        let mut key = Key::id(Table::Roster, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Roster, channel.0) {
                break;
            }
            let flags: u8 = self.small(&item, &key)?;
            let flags = MemberFlags::from_bits_retain(flags);
            count += u32::from(flags.contains(MemberFlags::JOINED));
        }
        Ok(count)
    }

    pub(super) fn create_channel(
        &mut self,
        key: ChannelKey<'_>,
        founder: AccountId,
        time: u64,
        modes: u32,
        scratch: &mut [u8],
    ) -> Result<ChannelId, F> {
        self.must_grow(0)?;
        let id = self.next_id(Table::LastChannel)?;
        let (name, direct) = match key {
            ChannelKey::Room(name) => (name, (AccountId::NONE, AccountId::NONE)),
            ChannelKey::Direct(low, high) => ("", (low, high)),
            ChannelKey::Id(_) => return Err(Stop::Damaged),
        };
        let founded = Founded {
            name,
            direct,
            founder,
            created: time,
            modes,
        };
        let value = encode(&founded, scratch)?;
        let mut number = [0; 5];
        let number = encode(&id, &mut number)?;
        let channel = Key::id(Table::Channel, id);
        let counter = Key::of(Table::LastChannel);
        let ChannelKey::Direct(low, high) = key else {
            // The name is too long to be one; nobody else has it.
            let room = Key::name(Table::Room, name).ok_or(Stop::Damaged)?;
            self.commit(&[
                Write::Put(channel, &[value]),
                Write::Put(room, &[number]),
                Write::Put(counter, &[number]),
            ])?;
            return Ok(ChannelId(id));
        };
        // Each side finds the chat among its memberships, where no row is until something is in it.
        let (mut one, mut other) = ([0; Membership::MAX], [0; Membership::MAX]);
        let one = encode(&Membership::with(high), &mut one)?;
        let other = encode(&Membership::with(low), &mut other)?;
        self.commit(&[
            Write::Put(channel, &[value]),
            Write::Put(Key::pair(Table::Direct, low.0, high.0), &[number]),
            Write::Put(counter, &[number]),
            Write::Put(Key::member(low, ChannelId(id)), &[one]),
            Write::Put(Key::member(high, ChannelId(id)), &[other]),
        ])?;
        Ok(ChannelId(id))
    }

    pub(super) fn remove_channel(&mut self, channel: ChannelId) -> Result<(), F> {
        let key = Key::id(Table::Channel, channel.0);
        let doomed = Key::id(Table::DoomedChannel, channel.0);
        if let Some(item) = self.tree.get(&mut self.medium, &key)? {
            let end = self.medium.load(&item, key.as_bytes(), 0)?;
            let founded: Founded<'_> = decode(&self.medium.buffer[..end])?;
            let (low, high) = founded.direct;
            if founded.name.is_empty() {
                self.commit(&[
                    Write::Delete(key),
                    Write::Delete(Key::pair(Table::Direct, low.0, high.0)),
                    Write::Delete(Key::member(low, channel)),
                    Write::Delete(Key::member(high, channel)),
                    Write::Put(doomed, &[]),
                ])?;
            } else {
                let room = Key::name(Table::Room, founded.name).ok_or(Stop::Damaged)?;
                self.commit(&[
                    Write::Delete(key),
                    Write::Delete(room),
                    Write::Put(doomed, &[]),
                ])?;
            }
            self.forget(channel);
        } else if self.tree.get(&mut self.medium, &doomed)?.is_none() {
            return Ok(());
        }
        self.purge_channel(channel)
    }

    /// Removes what is left of a channel that was removed. Stops now and then, to be begun again.
    pub(super) fn purge_channel(&mut self, channel: ChannelId) -> Result<(), F> {
        const TABLES: [Table; 6] = [
            Table::Roster,
            Table::Topic,
            Table::Modes,
            Table::Applied,
            Table::Ban,
            Table::Extent,
        ];
        let mut tables = TABLES.into_iter().peekable();
        for _ in 0..STEP {
            self.must_have_room()?;
            let Some(table) = tables.peek().copied() else {
                let doomed = Key::id(Table::DoomedChannel, channel.0);
                return self.commit(&[Write::Delete(doomed)]);
            };
            match self.first_of(table, Some(channel.0))? {
                None => {
                    tables.next();
                }
                Some((key, _)) if table == Table::Roster => {
                    let member = Key::member(AccountId(key.second()), channel);
                    self.commit(&[Write::Delete(member), Write::Delete(key)])?;
                }
                Some((key, item)) if table == Table::Extent => {
                    let sector: u16 = self.small(&item, &key)?;
                    self.commit(&[Write::Delete(key)])?;
                    self.medium.release(sector);
                }
                Some((key, _)) => self.commit(&[Write::Delete(key)])?,
            }
        }
        Err(Stop::Again)
    }

    /// Makes the change that an entry of that place and time brought.
    pub(super) fn apply(
        &mut self,
        channel: ChannelId,
        place: u64,
        time: u64,
        change: &Change<'_>,
    ) -> Result<(), F> {
        let mut applied = [0; 10];
        let applied = [encode(&place, &mut applied)?];
        let applied = || Write::Put(Key::id(Table::Applied, channel.0), &applied);
        // Topics are the longest: 300 bytes, a name and a time.
        match *change {
            Change::None => Ok(()),
            Change::Member { account, flags } => {
                let mut member = self.membership(account, channel)?;
                let known = member.is_row;
                member.row.flags = flags;
                member.is_row = member.row != MemberRecord::default();
                let mut bytes = [0; Membership::MAX];
                let value: &[&[u8]] = &[encode(&member, &mut bytes)?];
                let (key, roster) = (Key::member(account, channel), Key::roster(channel, account));
                if member.is_row {
                    let put = Write::Put(key, value);
                    return self.commit(&[put, Write::Put(roster, &[&[flags]]), applied()]);
                }
                if !known {
                    return self.commit(&[applied()]);
                }
                let left = if member.peer.is_none() {
                    Write::Delete(key)
                } else {
                    Write::Put(key, value)
                };
                self.commit(&[left, Write::Delete(roster), applied()])
            }
            Change::Topic { text, by } => {
                let topic = Topic { text, by, time };
                self.put_with(Table::Topic, channel, &topic, applied())
            }
            Change::Modes { modes, key, limit } => {
                let modes = Modes { modes, key, limit };
                self.put_with(Table::Modes, channel, &modes, applied())
            }
            Change::Ban { mask, by } => {
                let bans = self.bans(channel, Some(mask))?;
                if bans.found.is_some() {
                    return self.commit(&[applied()]);
                }
                let ban = Ban { mask, by, time };
                let mut bytes = [0; 128];
                let value = encode(&ban, &mut bytes)?;
                let key = Key::pair(Table::Ban, channel.0, bans.last + 1);
                self.commit(&[Write::Put(key, &[value]), applied()])
            }
            Change::Unban { mask } => match self.bans(channel, Some(mask))?.found {
                Some(key) => self.commit(&[Write::Delete(key), applied()]),
                None => self.commit(&[applied()]),
            },
        }
    }

    fn put_with<T: Serialize>(
        &mut self,
        table: Table,
        channel: ChannelId,
        value: &T,
        with: Write<'_>,
    ) -> Result<(), F> {
        let mut bytes = [0; 384];
        let value = encode(value, &mut bytes)?;
        let key = Key::id(table, channel.0);
        self.commit(&[Write::Put(key, &[value]), with])
    }

    fn bans(&mut self, channel: ChannelId, mask: Option<&str>) -> Result<Bans, F> {
        let mut bans = Bans {
            count: 0,
            last: 0,
            found: None,
        };
        let mut key = Key::id(Table::Ban, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Ban, channel.0) {
                break;
            }
            bans.count += 1;
            bans.last = key.second();
            if let Some(mask) = mask {
                let end = self.medium.load(&item, key.as_bytes(), 0)?;
                let ban: Ban<'_> = decode(&self.medium.buffer[..end])?;
                if eq_folded(ban.mask, mask) {
                    bans.found = Some(key);
                }
            }
        }
        Ok(bans)
    }

    pub(super) fn read_bans<'b>(
        &mut self,
        channel: ChannelId,
        after: u32,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut key = Key::pair(Table::Ban, channel.0, after.saturating_add(1));
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Ban, channel.0) {
                break;
            }
            let end = self.medium.load(&item, key.as_bytes(), 0)?;
            let ban: Ban<'_> = decode(&self.medium.buffer[..end])?;
            let row = BanRow {
                id: key.second(),
                mask: ban.mask,
                by: ban.by,
                time: ban.time,
            };
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }

    pub(super) fn read_rooms<'b>(
        &mut self,
        after: ChannelId,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut id = after.0;
        let mut scratch = [0; super::SCRATCH];
        while let Some((key, _)) = self.after(Table::Channel, id)? {
            id = key.first();
            let channel = ChannelId(id);
            let members = self.members(channel)?;
            let Some(ends) = self.channel_values(channel, &mut scratch)? else {
                continue;
            };
            let (founded, topic, modes) = parts(&scratch, ends)?;
            if founded.name.is_empty() {
                continue;
            }
            let row = RoomRow {
                id: channel,
                name: founded.name,
                topic: topic.text,
                modes: modes.modes,
                members,
            };
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }
}

/// A room's bans.
struct Bans {
    count: u32,
    last: u32,
    /// The one with the mask asked for.
    found: Option<Key>,
}

/// The values that `channel_values` read.
fn parts<E>(
    bytes: &[u8],
    [founded, topic, modes]: [usize; 3],
) -> core::result::Result<(Founded<'_>, Topic<'_>, Modes<'_>), Stop<E>> {
    let whole: Founded<'_> = decode(&bytes[..founded])?;
    let topic_bytes = &bytes[founded..topic];
    let modes_bytes = &bytes[topic..modes];
    Ok((
        whole,
        if topic_bytes.is_empty() {
            Topic::default()
        } else {
            decode(topic_bytes)?
        },
        if modes_bytes.is_empty() {
            Modes {
                modes: whole.modes,
                key: "",
                limit: 0,
            }
        } else {
            decode(modes_bytes)?
        },
    ))
}
