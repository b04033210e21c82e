//! Every entry that was ever committed, in order. Nothing is ever forgotten here.

use std::collections::BTreeMap;

use soqet_core::id::{ChannelId, MsgId, Seq};

use crate::store::{Commit, OwnedEntry};

/// A committed entry.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The entry.
    pub entry: OwnedEntry,
    /// How many commits there were before it, of all channels.
    pub order: u64,
    /// Whether it can be told by its text alone.
    pub marked: bool,
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    channels: BTreeMap<ChannelId, Vec<Noted>>,
    msgids: BTreeMap<MsgId, (ChannelId, Seq)>,
    tokens: BTreeMap<u64, (ChannelId, Seq)>,
    count: u64,
}

impl Ledger {
    /// Notes a commit. `Err` when it breaks the store's promises.
    pub fn add(&mut self, commit: Commit, token: Option<u64>) -> Result<(), String> {
        let Commit { channel, entry } = commit;
        let entries = self.channels.entry(channel).or_default();
        let (seq, msgid) = (entry.seq, entry.msgid);
        if seq.0 != entries.len() as u64 + 1 {
            return Err(format!(
                "channel {}: place {} was given after {} entries",
                channel.0,
                seq.0,
                entries.len()
            ));
        }
        if entries
            .last()
            .is_some_and(|last| last.entry.time > entry.time)
        {
            return Err(format!(
                "channel {}: time runs backwards at place {}",
                channel.0, seq.0
            ));
        }
        entries.push(Noted {
            entry,
            order: self.count,
            marked: token.is_some(),
        });
        self.count += 1;
        if let Some(other) = self.msgids.insert(msgid, (channel, seq)) {
            return Err(format!(
                "{msgid} stands at {other:?} and at {channel:?} {seq:?}"
            ));
        }
        if let Some(token) = token
            && let Some(other) = self.tokens.insert(token, (channel, seq))
        {
            return Err(format!(
                "message {token} stands at {other:?} and at {channel:?} {seq:?}"
            ));
        }
        Ok(())
    }

    /// How many commits there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// An entry by place.
    pub fn entry(&self, channel: ChannelId, seq: Seq) -> Option<&Noted> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.channels.get(&channel)?.get(index)
    }

    /// The place of an identity.
    pub fn by_msgid(&self, msgid: MsgId) -> Option<(ChannelId, Seq)> {
        self.msgids.get(&msgid).copied()
    }

    /// The place of a marked message.
    pub fn by_token(&self, token: u64) -> Option<(ChannelId, Seq)> {
        self.tokens.get(&token).copied()
    }

    /// The last place of a channel.
    pub fn last(&self, channel: ChannelId) -> Seq {
        Seq(self.channels.get(&channel).map_or(0, Vec::len) as u64)
    }

    /// The last place of a channel when there were only so many commits.
    pub fn last_before(&self, channel: ChannelId, order: u64) -> Seq {
        let entries = self.channels.get(&channel).map_or(&[][..], Vec::as_slice);
        Seq(entries.partition_point(|noted| noted.order < order) as u64)
    }

    /// The messages at places past `after` and before `before`.
    pub fn messages(
        &self,
        channel: ChannelId,
        after: Seq,
        before: Seq,
    ) -> impl DoubleEndedIterator<Item = &Noted> {
        let entries = self.channels.get(&channel).map_or(&[][..], Vec::as_slice);
        let end = (before.0.saturating_sub(1) as usize).min(entries.len());
        let start = (after.0 as usize).min(end);
        entries
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .filter(|noted| noted.entry.kind.is_message())
    }
}
