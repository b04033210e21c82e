//! Memberships and read markers.

use embedded_storage_async::nor_flash::NorFlash;
use serde::{Deserialize, Serialize};

use super::channels::Founded;
use super::keys::{Key, Table};
use super::tree::Write;
use super::{FlashStore, Result, Rows, Stop, encode};
use crate::id::{AccountId, ChannelId, Seq};
use crate::store::{
    DirectRow, Marker, MemberFlags, MemberRecord, MemberRow, MembershipRow, Outcome, TargetRow,
};

/// What is kept of an account in a channel.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Membership {
    pub row: MemberRecord,
    /// Whether it is a row of its own, or there only for the direct chat to be found.
    pub is_row: bool,
    /// In a direct chat, the other account.
    pub peer: AccountId,
}

impl Membership {
    /// Most bytes of one.
    pub(super) const MAX: usize = 40;

    /// Of a direct chat with that account.
    pub(super) fn with(peer: AccountId) -> Self {
        Self {
            peer,
            ..Self::default()
        }
    }

    fn is_joined(&self) -> bool {
        MemberFlags::from_bits_retain(self.row.flags).contains(MemberFlags::JOINED)
    }
}

/// Targets that are looked at for one page.
const TARGETS: usize = 24;

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    pub(super) fn membership(
        &mut self,
        account: AccountId,
        channel: ChannelId,
    ) -> Result<Membership, F> {
        let member = self.get(&Key::member(account, channel))?;
        Ok(member.unwrap_or_default())
    }

    /// The first membership of an account past a channel.
    fn membership_after(
        &mut self,
        account: AccountId,
        after: ChannelId,
    ) -> Result<Option<(ChannelId, Membership)>, F> {
        let Some(next) = after.0.checked_add(1) else {
            return Ok(None);
        };
        let mut key = Key::member(account, ChannelId(next));
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        match self.next(&mut cursor, &mut key)? {
            Some(item) if key.is_of(Table::Member, account.0) => {
                let member = self.small(&item, &key)?;
                Ok(Some((ChannelId(key.second()), member)))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn put_marker(
        &mut self,
        channel: ChannelId,
        account: AccountId,
        read: Marker,
        delivered: Seq,
    ) -> Result<(), F> {
        let old = self.membership(account, channel)?;
        let mut new = old;
        new.is_row = true;
        new.row.delivered = old.row.delivered.max(delivered);
        new.row.read.seq = old.row.read.seq.max(read.seq);
        new.row.read.time = old.row.read.time.max(read.time);
        if old.is_row && new.row == old.row {
            return Ok(());
        }
        let mut bytes = [0; Membership::MAX];
        let value: &[&[u8]] = &[encode(&new, &mut bytes)?];
        let put = Write::Put(Key::member(account, channel), value);
        if old.is_row || !new.peer.is_none() {
            return self.commit(&[put]);
        }
        let channel_key = Key::id(Table::Channel, channel.0);
        let is_there = self.tree.get(&mut self.medium, &channel_key)?;
        if is_there.is_none() {
            return Ok(());
        }
        self.must_grow(0)?;
        let roster = Write::Put(Key::roster(channel, account), &[&[0]]);
        self.commit(&[put, roster])
    }

    pub(super) fn read_members<'b>(
        &mut self,
        channel: ChannelId,
        after: AccountId,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut key = Key::roster(channel, AccountId(after.0.saturating_add(1)));
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_of(Table::Roster, channel.0) {
                break;
            }
            let flags: u8 = self.small(&item, &key)?;
            let account = AccountId(key.second());
            if account <= after
                || !MemberFlags::from_bits_retain(flags).contains(MemberFlags::JOINED)
            {
                continue;
            }
            let Some((record, _)) = self.account(account, 0)? else {
                continue;
            };
            let row = MemberRow {
                account,
                name: record.name,
                display: record.display,
                account_flags: record.flags,
                flags,
            };
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }

    /// What a channel was founded as, in the medium's buffer.
    fn founded(&mut self, channel: ChannelId) -> Result<Option<Founded<'_>>, F> {
        let key = Key::id(Table::Channel, channel.0);
        let Some(item) = self.tree.get(&mut self.medium, &key)? else {
            return Ok(None);
        };
        let end = self.medium.load(&item, key.as_bytes(), 0)?;
        let founded = postcard::from_bytes(&self.medium.buffer[..end]);
        founded.map(Some).map_err(|_| Stop::Damaged)
    }

    pub(super) fn read_memberships<'b>(
        &mut self,
        account: AccountId,
        after: ChannelId,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut last = after;
        while let Some((channel, member)) = self.membership_after(account, last)? {
            last = channel;
            if !member.is_joined() {
                continue;
            }
            let Some(founded) = self.founded(channel)? else {
                continue;
            };
            let row = MembershipRow {
                channel,
                name: founded.name,
                member: member.row,
            };
            if founded.name.is_empty() {
                continue;
            }
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }

    pub(super) fn read_unread<'b>(
        &mut self,
        account: AccountId,
        after: ChannelId,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        let mut place = after;
        while let Some((channel, member)) = self.membership_after(account, place)? {
            place = channel;
            if member.peer.is_none() {
                continue;
            }
            let Some(slot) = self.head(channel)? else {
                continue;
            };
            let (_, last, _) = self.span(slot);
            if last <= member.row.delivered.max(member.row.read.seq) {
                continue;
            }
            let row = DirectRow {
                channel,
                peer: member.peer,
            };
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }

    pub(super) fn read_targets<'b>(
        &mut self,
        account: AccountId,
        (from, to): (u64, u64),
        after: (u64, ChannelId),
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        // The first of those in range, in order; more are left for the next page.
        let mut targets: heapless::Vec<(u64, ChannelId, AccountId), TARGETS> = heapless::Vec::new();
        let mut place = ChannelId::NONE;
        while let Some((channel, member)) = self.membership_after(account, place)? {
            place = channel;
            if member.peer.is_none() && !member.is_joined() {
                continue;
            }
            let Some(slot) = self.head(channel)? else {
                continue;
            };
            let Some(time) = self.message_time(slot) else {
                continue;
            };
            if time <= from || time >= to || (time, channel) <= after {
                continue;
            }
            let target = (time, channel, member.peer);
            let at = targets.partition_point(|other| *other < target);
            if targets.is_full() {
                page.more = true;
                if at < targets.len() {
                    targets.pop();
                }
            }
            // Where it is full and this is the last, it is left out.
            let _ = targets.insert(at, target);
        }
        for (time, channel, peer) in targets {
            // A chat with a removed account has no name to ask for it by.
            let named = if peer.is_none() {
                self.founded(channel)?.map(|founded| founded.name)
            } else {
                self.account(peer, 0)?.map(|(record, _)| record.name)
            };
            if let Some(name) = named.filter(|name| !name.is_empty()) {
                let row = TargetRow {
                    channel,
                    name,
                    time,
                };
                if !page.push(&row) {
                    break;
                }
            }
        }
        Ok(page.outcome())
    }
}
