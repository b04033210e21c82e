//! Channels: rooms and direct chats, topics, modes and bans.

use embedded_storage_async::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

use super::keys::{Key, Table};
use super::members::Membership;
use super::tree::Write;
use super::{Error, FlashStore, Result, Rows, encode};
use crate::id::{AccountId, ChannelId};
use crate::name::eq_folded;
use crate::store::{
    BanRow, Change, ChannelKey, ChannelRecord, MemberFlags, MemberRecord, Operation, Outcome,
    Reason, RoomRow,
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

fn decode<'a, T: Deserialize<'a>, E>(bytes: &'a [u8]) -> core::result::Result<T, Error<E>> {
    postcard::from_bytes(bytes).map_err(|_| Error::Damaged)
}

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    pub(super) async fn on_channels<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        match *operation {
            Operation::FindChannel(key) => match self.find_channel(key).await? {
                Some(channel) => self.load_channel(channel, answer).await,
                None => Ok(Outcome::Channel(None)),
            },
            Operation::CreateChannel {
                key,
                founder,
                time,
                modes,
            } => {
                let channel = match self.find_channel(key).await? {
                    Some(channel) => channel,
                    None => match key {
                        ChannelKey::Id(_) => return Ok(Outcome::Refused(Reason::Failed)),
                        _ => {
                            self.create_channel(key, founder, time, modes, answer)
                                .await?
                        }
                    },
                };
                self.load_channel(channel, answer).await
            }
            Operation::RemoveChannel { channel } => {
                self.remove_channel(channel).await?;
                Ok(Outcome::Done)
            }
            Operation::ReadBans {
                channel,
                after,
                bytes,
            } => {
                let page = Rows::new(answer, bytes);
                self.read_bans(channel, after, page).await
            }
            Operation::ReadRooms { after, bytes } => {
                let page = Rows::new(answer, bytes);
                self.read_rooms(after, page).await
            }
            _ => Ok(Outcome::Refused(Reason::Failed)),
        }
    }

    async fn find_channel(&mut self, key: ChannelKey<'_>) -> Result<Option<ChannelId>, F> {
        match key {
            ChannelKey::Id(id) => Ok(Some(id)),
            ChannelKey::Room(name) => match Key::name(Table::Room, name) {
                Some(key) => self.get(&key).await,
                None => Ok(None),
            },
            ChannelKey::Direct(low, high) => {
                self.get(&Key::pair(Table::Direct, low.0, high.0)).await
            }
        }
    }

    /// Reads what is kept of a channel into `into`, one value behind the other: what it was founded as, topic, modes.
    async fn channel_values(
        &mut self,
        channel: ChannelId,
        into: &mut [u8],
    ) -> Result<Option<[usize; 3]>, F> {
        let mut ends = [0; 3];
        let mut used = 0;
        let tables = [Table::Channel, Table::Topic, Table::Modes];
        for (end, table) in ends.iter_mut().zip(tables) {
            let key = Key::id(table, channel.0);
            match self.tree.get(&mut self.medium, &key).await? {
                Some(item) => {
                    let rest = &mut into[used..];
                    used += self.medium.value(&item, key.as_bytes(), rest).await?.len();
                }
                None if table == Table::Channel => return Ok(None),
                None => {}
            }
            *end = used;
        }
        Ok(Some(ends))
    }

    async fn load_channel<'b>(
        &mut self,
        channel: ChannelId,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        let Some(ends) = self.channel_values(channel, answer).await? else {
            return Ok(Outcome::Channel(None));
        };
        let Some(slot) = self.head(channel).await? else {
            return Err(Error::Damaged);
        };
        let (first, last, last_time) = self.span(slot);
        let members = self.members(channel).await?;
        let bans = self.bans(channel, None).await?.count;
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
    async fn members(&mut self, channel: ChannelId) -> Result<u32, F> {
        let mut count = 0;
        let mut key = Key::id(Table::Roster, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_of(Table::Roster, channel.0) {
                break;
            }
            let flags: u8 = self.small(&item, &key).await?;
            let flags = MemberFlags::from_bits_retain(flags);
            count += u32::from(flags.contains(MemberFlags::JOINED));
        }
        Ok(count)
    }

    async fn create_channel(
        &mut self,
        key: ChannelKey<'_>,
        founder: AccountId,
        time: u64,
        modes: u32,
        scratch: &mut [u8],
    ) -> Result<ChannelId, F> {
        self.must_grow(0)?;
        let id = self.next_id(Table::LastChannel).await?;
        let (name, direct) = match key {
            ChannelKey::Room(name) => (name, (AccountId::NONE, AccountId::NONE)),
            ChannelKey::Direct(low, high) => ("", (low, high)),
            ChannelKey::Id(_) => return Err(Error::Damaged),
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
            let room = Key::name(Table::Room, name).ok_or(Error::Damaged)?;
            self.commit(&[
                Write::Put(channel, &[value]),
                Write::Put(room, &[number]),
                Write::Put(counter, &[number]),
            ])
            .await?;
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
        ])
        .await?;
        Ok(ChannelId(id))
    }

    async fn remove_channel(&mut self, channel: ChannelId) -> Result<(), F> {
        let key = Key::id(Table::Channel, channel.0);
        let Some(item) = self.tree.get(&mut self.medium, &key).await? else {
            return Ok(());
        };
        let end = self.medium.load(&item, key.as_bytes(), 0).await?;
        let founded: Founded<'_> = decode(&self.medium.buffer[..end])?;
        let doomed = Key::id(Table::DoomedChannel, channel.0);
        let (low, high) = founded.direct;
        if founded.name.is_empty() {
            self.commit(&[
                Write::Delete(key),
                Write::Delete(Key::pair(Table::Direct, low.0, high.0)),
                Write::Delete(Key::member(low, channel)),
                Write::Delete(Key::member(high, channel)),
                Write::Put(doomed, &[]),
            ])
            .await?;
        } else {
            let room = Key::name(Table::Room, founded.name).ok_or(Error::Damaged)?;
            self.commit(&[
                Write::Delete(key),
                Write::Delete(room),
                Write::Put(doomed, &[]),
            ])
            .await?;
        }
        self.forget(channel);
        self.purge_channel(channel).await
    }

    /// Removes what is left of a channel that was removed.
    pub(super) async fn purge_channel(&mut self, channel: ChannelId) -> Result<(), F> {
        while let Some((key, _)) = self.first_of(Table::Roster, Some(channel.0)).await? {
            let member = Key::member(AccountId(key.second()), channel);
            self.commit(&[Write::Delete(member), Write::Delete(key)])
                .await?;
        }
        for table in [Table::Topic, Table::Modes, Table::Applied, Table::Ban] {
            while let Some((key, _)) = self.first_of(table, Some(channel.0)).await? {
                self.commit(&[Write::Delete(key)]).await?;
            }
        }
        while let Some((key, item)) = self.first_of(Table::Extent, Some(channel.0)).await? {
            let sector: u16 = self.small(&item, &key).await?;
            self.commit(&[Write::Delete(key)]).await?;
            self.medium.release(sector);
        }
        let doomed = Key::id(Table::DoomedChannel, channel.0);
        self.commit(&[Write::Delete(doomed)]).await
    }

    /// Makes the change that an entry of that place and time brought.
    pub(super) async fn apply(
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
                let mut member = self.membership(account, channel).await?;
                let known = member.is_row;
                member.row.flags = flags;
                member.is_row = member.row != MemberRecord::default();
                let mut bytes = [0; Membership::MAX];
                let value: &[&[u8]] = &[encode(&member, &mut bytes)?];
                let (key, roster) = (Key::member(account, channel), Key::roster(channel, account));
                if member.is_row {
                    let put = Write::Put(key, value);
                    return self
                        .commit(&[put, Write::Put(roster, &[&[flags]]), applied()])
                        .await;
                }
                if !known {
                    return self.commit(&[applied()]).await;
                }
                let left = if member.peer.is_none() {
                    Write::Delete(key)
                } else {
                    Write::Put(key, value)
                };
                self.commit(&[left, Write::Delete(roster), applied()]).await
            }
            Change::Topic { text, by } => {
                let topic = Topic { text, by, time };
                self.put_with(Table::Topic, channel, &topic, applied())
                    .await
            }
            Change::Modes { modes, key, limit } => {
                let modes = Modes { modes, key, limit };
                self.put_with(Table::Modes, channel, &modes, applied())
                    .await
            }
            Change::Ban { mask, by } => {
                let bans = self.bans(channel, Some(mask)).await?;
                if bans.found.is_some() {
                    return self.commit(&[applied()]).await;
                }
                let ban = Ban { mask, by, time };
                let mut bytes = [0; 128];
                let value = encode(&ban, &mut bytes)?;
                let key = Key::pair(Table::Ban, channel.0, bans.last + 1);
                self.commit(&[Write::Put(key, &[value]), applied()]).await
            }
            Change::Unban { mask } => match self.bans(channel, Some(mask)).await?.found {
                Some(key) => self.commit(&[Write::Delete(key), applied()]).await,
                None => self.commit(&[applied()]).await,
            },
        }
    }

    async fn put_with<T: Serialize>(
        &mut self,
        table: Table,
        channel: ChannelId,
        value: &T,
        with: Write<'_>,
    ) -> Result<(), F> {
        let mut bytes = [0; 384];
        let value = encode(value, &mut bytes)?;
        let key = Key::id(table, channel.0);
        self.commit(&[Write::Put(key, &[value]), with]).await
    }

    async fn bans(&mut self, channel: ChannelId, mask: Option<&str>) -> Result<Bans, F> {
        let mut bans = Bans {
            count: 0,
            last: 0,
            found: None,
        };
        let mut key = Key::id(Table::Ban, channel.0);
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_of(Table::Ban, channel.0) {
                break;
            }
            bans.count += 1;
            bans.last = key.second();
            if let Some(mask) = mask {
                let end = self.medium.load(&item, key.as_bytes(), 0).await?;
                let ban: Ban<'_> = decode(&self.medium.buffer[..end])?;
                if eq_folded(ban.mask, mask) {
                    bans.found = Some(key);
                }
            }
        }
        Ok(bans)
    }

    async fn read_bans<'b>(
        &mut self,
        channel: ChannelId,
        after: u32,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut key = Key::pair(Table::Ban, channel.0, after.saturating_add(1));
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_of(Table::Ban, channel.0) {
                break;
            }
            let end = self.medium.load(&item, key.as_bytes(), 0).await?;
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

    async fn read_rooms<'b>(
        &mut self,
        after: ChannelId,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut id = after.0;
        let mut scratch = [0; super::SCRATCH];
        while let Some((key, _)) = self.after(Table::Channel, id).await? {
            id = key.first();
            let channel = ChannelId(id);
            let members = self.members(channel).await?;
            let Some(ends) = self.channel_values(channel, &mut scratch).await? else {
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
) -> core::result::Result<(Founded<'_>, Topic<'_>, Modes<'_>), Error<E>> {
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
