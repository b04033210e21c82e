//! What the simulated medium holds: it survives a crash. Every operation is executed here, at once and as a whole.

use std::collections::{BTreeMap, VecDeque};

use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{
    AccountFlags, AccountRow, BanRow, DirectRow, MemberFlags, MemberRecord, MemberRow,
    MembershipRow, PageWriter, Reason, RoomRow, Settings, TargetRow,
};

use super::locate;
use super::work::{
    Account, Answer, ChannelRow, Key, OwnedAccountChange, OwnedAppend, OwnedChange, OwnedEntry,
    Work,
};
use crate::line::fold;

/// A ban.
#[derive(Clone, Debug)]
pub struct Ban {
    id: u32,
    mask: String,
    by: String,
    time: u64,
}

/// A channel with all that belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// Its record.
    pub row: ChannelRow,
    /// The entries kept, in order.
    pub entries: VecDeque<OwnedEntry>,
    /// Memberships and markers.
    pub members: BTreeMap<AccountId, MemberRecord>,
    bans: Vec<Ban>,
    next_ban: u32,
    by_msgid: BTreeMap<MsgId, Seq>,
}

impl Channel {
    /// The entry at that place, if it is still kept.
    pub fn entry(&self, seq: Seq) -> Option<&OwnedEntry> {
        let offset = seq.0.checked_sub(self.row.first.0)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Where the entry of that identity stands.
    pub fn place(&self, msgid: MsgId) -> Option<Seq> {
        self.by_msgid.get(&msgid).copied()
    }

    /// Who has joined.
    pub fn joined(&self) -> impl Iterator<Item = AccountId> {
        self.members
            .iter()
            .filter(|(_, member)| is_joined(member))
            .map(|(account, _)| *account)
    }

    fn apply(&mut self, change: &OwnedChange, time: u64) {
        match change {
            OwnedChange::None => {}
            OwnedChange::Member { account, flags } => {
                let member = self.members.entry(*account).or_default();
                member.flags = *flags;
                if *flags == 0 && *member == MemberRecord::default() {
                    self.members.remove(account);
                }
                self.row.members = self.joined().count() as u32;
            }
            OwnedChange::Topic { text, by } => {
                self.row.topic.clone_from(text);
                self.row.topic_by.clone_from(by);
                self.row.topic_time = time;
            }
            OwnedChange::Modes { modes, key, limit } => {
                self.row.modes = *modes;
                self.row.key.clone_from(key);
                self.row.limit = *limit;
            }
            OwnedChange::Ban { mask, by } => {
                if !self.bans.iter().any(|ban| fold(&ban.mask) == fold(mask)) {
                    self.next_ban += 1;
                    self.bans.push(Ban {
                        id: self.next_ban,
                        mask: mask.clone(),
                        by: by.clone(),
                        time,
                    });
                }
            }
            OwnedChange::Unban { mask } => self.bans.retain(|ban| fold(&ban.mask) != fold(mask)),
        }
        self.row.bans = self.bans.len() as u32;
    }

    /// Takes the newest entry away, as a medium would that lied about having written it.
    pub fn forget_newest(&mut self) {
        if let Some(entry) = self.entries.pop_back() {
            self.by_msgid.remove(&entry.msgid);
            self.row.last = Seq(self.row.last.0 - 1);
        }
    }
}

fn is_joined(member: &MemberRecord) -> bool {
    MemberFlags::from_bits_retain(member.flags).contains(MemberFlags::JOINED)
}

/// An entry that became durable.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Where.
    pub channel: ChannelId,
    /// The entry with its place and time.
    pub entry: OwnedEntry,
}

/// The durable part of a store.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    settings: Option<Settings>,
    config: BTreeMap<String, String>,
    accounts: BTreeMap<AccountId, Account>,
    names: BTreeMap<String, AccountId>,
    channels: BTreeMap<ChannelId, Channel>,
    rooms: BTreeMap<String, ChannelId>,
    directs: BTreeMap<(AccountId, AccountId), ChannelId>,
    last_account: u32,
    last_channel: u32,
    slack: usize,
    duplicates: bool,
}

impl Tables {
    /// Empty ones. A channel may hold `slack` entries past its limit before the oldest go. With `duplicates` a repeated entry is
    /// stored again, against the contract, to see whether the oracle notices.
    pub fn new(slack: usize, duplicates: bool) -> Self {
        Self {
            slack,
            duplicates,
            ..Self::default()
        }
    }

    /// The channel of that id.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id)
    }

    /// As [`Self::channel`], to break it.
    pub fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(&id)
    }

    /// All channels, by id.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }

    /// The room of that name.
    pub fn room(&self, name: &str) -> Option<&Channel> {
        self.channels.get(self.rooms.get(&fold(name))?)
    }

    /// The direct chat of two accounts.
    pub fn direct(&self, a: &str, b: &str) -> Option<&Channel> {
        let (a, b) = (self.account(a)?.id, self.account(b)?.id);
        self.channels.get(self.directs.get(&(a.min(b), a.max(b)))?)
    }

    /// The account of that name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(self.names.get(&fold(name))?)
    }

    /// The name of an account.
    pub fn name(&self, id: AccountId) -> &str {
        self.accounts
            .get(&id)
            .map_or("", |account| account.name.as_str())
    }

    /// Executes a piece of work. An entry newly stored is added to `commits`.
    pub fn execute(&mut self, work: &Work, commits: &mut Vec<Commit>) -> Answer {
        match work {
            Work::LoadSettings => Answer::Settings(self.settings),
            Work::PutSettings(settings) => {
                self.settings = Some(*settings);
                Answer::Done
            }
            Work::PutConfig(name, value) => {
                self.config.insert(name.clone(), value.clone());
                Answer::Done
            }
            Work::FindAccount(name) => Answer::Account(self.account(name).cloned()),
            Work::LoadAccount(id) => Answer::Account(self.accounts.get(id).cloned()),
            Work::CreateAccount(account) => self.create_account(account),
            Work::ChangeAccount(id, change) => self.change_account(*id, change),
            Work::RemoveAccount(id) => self.remove_account(*id),
            Work::FindGuest => Answer::Account(
                self.accounts
                    .values()
                    .find(|account| {
                        AccountFlags::from_bits_retain(account.flags).contains(AccountFlags::GUEST)
                    })
                    .cloned(),
            ),
            Work::FindChannel(key) => {
                Answer::Channel(self.find(key).map(|channel| channel.row.clone()))
            }
            Work::CreateChannel {
                key,
                founder,
                time,
                modes,
            } => self.create_channel(key, *founder, *time, *modes),
            Work::RemoveChannel(id) => {
                if let Some(channel) = self.channels.remove(id) {
                    self.rooms.remove(&fold(&channel.row.name));
                    self.directs.remove(&channel.row.direct);
                }
                Answer::Done
            }
            Work::FindMember(channel, account) => Answer::Member(
                self.channels
                    .get(channel)
                    .and_then(|channel| channel.members.get(account))
                    .copied(),
            ),
            Work::PutMarker {
                channel,
                account,
                read,
                delivered,
            } => {
                if let Some(channel) = self.channels.get_mut(channel) {
                    let member = channel.members.entry(*account).or_default();
                    member.delivered = member.delivered.max(*delivered);
                    member.read.seq = member.read.seq.max(read.seq);
                    member.read.time = member.read.time.max(read.time);
                }
                Answer::Done
            }
            Work::Append(append) => self.append(append, commits),
            Work::Locate {
                channel,
                selector,
                limit,
                events,
                last,
            } => Answer::Bounds(
                self.channels
                    .get(channel)
                    .and_then(|channel| locate::locate(channel, *selector, *limit, *events, *last)),
            ),
            Work::ReadAccounts { .. }
            | Work::ReadBans { .. }
            | Work::ReadRooms { .. }
            | Work::ReadMembers { .. }
            | Work::ReadMemberships { .. }
            | Work::ReadUnreadDirects { .. }
            | Work::ReadHistory { .. }
            | Work::ReadTargets { .. } => self.read_page(work),
        }
    }

    /// The channel of that key.
    pub fn find(&self, key: &Key) -> Option<&Channel> {
        let id = match key {
            Key::Id(id) => id,
            Key::Room(name) => self.rooms.get(&fold(name))?,
            Key::Direct(a, b) => self.directs.get(&(*a, *b))?,
        };
        self.channels.get(id)
    }

    fn create_account(&mut self, account: &Account) -> Answer {
        if self.names.contains_key(&fold(&account.name)) {
            return Answer::Refused(Reason::Exists);
        }
        self.last_account += 1;
        let id = AccountId(self.last_account);
        self.names.insert(fold(&account.name), id);
        self.accounts.insert(
            id,
            Account {
                id,
                ..account.clone()
            },
        );
        Answer::Created(id)
    }

    fn change_account(&mut self, id: AccountId, change: &OwnedAccountChange) -> Answer {
        if let Some(account) = self.accounts.get_mut(&id) {
            match change {
                OwnedAccountChange::Verifier(verifier) => account.verifier = *verifier,
                OwnedAccountChange::Display(text) => account.display.clone_from(text),
                OwnedAccountChange::Titles(text) => account.titles.clone_from(text),
                OwnedAccountChange::Flags(flags) => account.flags = *flags,
            }
        }
        Answer::Done
    }

    fn remove_account(&mut self, id: AccountId) -> Answer {
        if let Some(account) = self.accounts.remove(&id) {
            self.names.remove(&fold(&account.name));
            for channel in self.channels.values_mut() {
                channel.members.remove(&id);
                channel.row.members = channel.joined().count() as u32;
            }
        }
        Answer::Done
    }

    fn create_channel(&mut self, key: &Key, founder: AccountId, time: u64, modes: u32) -> Answer {
        if let Some(channel) = self.find(key) {
            return Answer::Channel(Some(channel.row.clone()));
        }
        self.last_channel += 1;
        let id = ChannelId(self.last_channel);
        let mut row = ChannelRow {
            id,
            founder,
            created: time,
            modes,
            first: Seq(1),
            ..ChannelRow::default()
        };
        match key {
            Key::Id(_) => return Answer::Refused(Reason::Failed),
            Key::Room(name) => {
                self.rooms.insert(fold(name), id);
                row.name.clone_from(name);
            }
            Key::Direct(a, b) => {
                self.directs.insert((*a, *b), id);
                row.direct = (*a, *b);
            }
        }
        self.channels.insert(
            id,
            Channel {
                row: row.clone(),
                ..Channel::default()
            },
        );
        Answer::Channel(Some(row))
    }

    fn append(&mut self, append: &OwnedAppend, commits: &mut Vec<Commit>) -> Answer {
        let Some(channel) = self.channels.get_mut(&append.channel) else {
            return Answer::Refused(Reason::Failed);
        };
        if !self.duplicates
            && let Some(entry) = channel
                .place(append.msgid)
                .and_then(|seq| channel.entry(seq))
        {
            return Answer::Stored {
                seq: entry.seq,
                time: entry.time,
            };
        }
        let seq = Seq(channel.row.last.0 + 1);
        let time = append.time.max(channel.row.last_time);
        let entry = OwnedEntry {
            seq,
            time,
            msgid: append.msgid,
            ..append.entry.clone()
        };
        channel.row.last = seq;
        channel.row.last_time = time;
        channel.by_msgid.insert(append.msgid, seq);
        channel.entries.push_back(entry.clone());
        channel.apply(&append.change, time);
        let keep = append.keep.max(1) as usize;
        if channel.entries.len() > keep + self.slack {
            while channel.entries.len() > keep {
                if let Some(gone) = channel.entries.pop_front() {
                    channel.by_msgid.remove(&gone.msgid);
                    channel.row.first = Seq(gone.seq.0 + 1);
                }
            }
        }
        commits.push(Commit {
            channel: append.channel,
            entry,
        });
        Answer::Stored { seq, time }
    }

    fn read_page(&self, work: &Work) -> Answer {
        match work {
            Work::ReadAccounts {
                prefix,
                after,
                bytes,
            } => page(
                *bytes,
                self.names
                    .iter()
                    .filter(|(name, _)| name.starts_with(prefix) && *name > after)
                    .filter_map(|(_, id)| self.accounts.get(id))
                    .map(|account| AccountRow {
                        id: account.id,
                        name: &account.name,
                        display: &account.display,
                        titles: &account.titles,
                        flags: account.flags,
                        created: account.created,
                    }),
            ),
            Work::ReadBans {
                channel,
                after,
                bytes,
            } => page(
                *bytes,
                self.channels
                    .get(channel)
                    .into_iter()
                    .flat_map(|channel| &channel.bans)
                    .filter(|ban| ban.id > *after)
                    .map(|ban| BanRow {
                        id: ban.id,
                        mask: &ban.mask,
                        by: &ban.by,
                        time: ban.time,
                    }),
            ),
            Work::ReadRooms { after, bytes } => page(
                *bytes,
                self.channels
                    .values()
                    .filter(|channel| channel.row.id > *after && !channel.row.name.is_empty())
                    .map(|channel| RoomRow {
                        id: channel.row.id,
                        name: &channel.row.name,
                        topic: &channel.row.topic,
                        modes: channel.row.modes,
                        members: channel.row.members,
                    }),
            ),
            Work::ReadMembers {
                channel,
                after,
                bytes,
            } => page(
                *bytes,
                self.channels
                    .get(channel)
                    .into_iter()
                    .flat_map(|channel| &channel.members)
                    .filter(|(account, member)| **account > *after && is_joined(member))
                    .filter_map(|(account, member)| {
                        self.accounts.get(account).map(|account| MemberRow {
                            account: account.id,
                            name: &account.name,
                            display: &account.display,
                            account_flags: account.flags,
                            flags: member.flags,
                        })
                    }),
            ),
            Work::ReadMemberships {
                account,
                after,
                bytes,
            } => page(
                *bytes,
                self.channels
                    .values()
                    .filter(|channel| channel.row.id > *after && !channel.row.name.is_empty())
                    .filter_map(|channel| {
                        let member = channel.members.get(account)?;
                        is_joined(member).then_some(MembershipRow {
                            channel: channel.row.id,
                            name: &channel.row.name,
                            member: *member,
                        })
                    }),
            ),
            Work::ReadUnreadDirects {
                account,
                after,
                bytes,
            } => page(
                *bytes,
                self.directs_of(*account)
                    .filter(|(channel, _)| {
                        let member = channel.members.get(account).copied().unwrap_or_default();
                        channel.row.id > *after
                            && channel.row.last > member.delivered
                            && channel.row.last > member.read.seq
                    })
                    .map(|(channel, peer)| DirectRow {
                        channel: channel.row.id,
                        peer,
                    }),
            ),
            Work::ReadHistory {
                channel,
                first,
                last,
                bytes,
            } => page(
                *bytes,
                self.channels
                    .get(channel)
                    .into_iter()
                    .flat_map(|channel| &channel.entries)
                    .filter(|entry| (*first..=*last).contains(&entry.seq))
                    .map(OwnedEntry::borrow),
            ),
            Work::ReadTargets {
                account,
                from,
                to,
                after,
                bytes,
            } => {
                let rooms = self
                    .channels
                    .values()
                    .filter(|channel| !channel.row.name.is_empty())
                    .filter(|channel| channel.members.get(account).is_some_and(is_joined))
                    .map(|channel| (channel, channel.row.name.as_str()));
                // A chat with a removed account has no name to ask for it by.
                let directs = self
                    .directs_of(*account)
                    .map(|(channel, peer)| (channel, self.name(peer)))
                    .filter(|(_, name)| !name.is_empty());
                let mut rows: Vec<TargetRow<'_>> = rooms
                    .chain(directs)
                    .filter_map(|(channel, name)| {
                        let latest = channel.entries.iter().rev().find(|e| e.kind.is_message())?;
                        Some(TargetRow {
                            channel: channel.row.id,
                            name,
                            time: latest.time,
                        })
                    })
                    .filter(|row| row.time > *from && row.time < *to)
                    .filter(|row| (row.time, row.channel) > *after)
                    .collect();
                rows.sort_by_key(|row| (row.time, row.channel));
                page(*bytes, rows.into_iter())
            }
            _ => Answer::Refused(Reason::Failed),
        }
    }

    /// The direct chats of an account in order of id, each with whom.
    fn directs_of(&self, account: AccountId) -> impl Iterator<Item = (&Channel, AccountId)> {
        self.channels.values().filter_map(move |channel| {
            let (a, b) = channel.row.direct;
            if a.is_none() || (a != account && b != account) {
                return None;
            }
            Some((channel, if a == account { b } else { a }))
        })
    }
}

/// As many rows as fit, and whether there are more.
fn page<T: serde::Serialize>(bytes: usize, rows: impl Iterator<Item = T>) -> Answer {
    let mut buffer = vec![0; bytes];
    let mut writer = PageWriter::new(&mut buffer);
    let mut more = false;
    for row in rows {
        if !writer.push(&row) {
            more = true;
            break;
        }
    }
    let rows = writer.rows().to_vec();
    Answer::Page { rows, more }
}
