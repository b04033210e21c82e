//! An [`Operation`] that owns its texts, in one buffer, so that it can wait in a thread's queue.

use soqet_core::store::{
    AccountChange, AccountRecord, Append, Change, ChannelKey, Entry, Operation,
};

/// The most texts an operation has: four of an entry, two of its change.
const TEXTS: usize = 6;

/// An operation with its texts copied.
#[derive(Debug)]
pub struct Packed {
    /// The operation with all texts empty.
    skeleton: Operation<'static>,
    texts: Box<str>,
    /// Where in `texts` each one ends, in the order in which `map` visits them.
    ends: [usize; TEXTS],
}

impl Packed {
    /// Copies an operation.
    pub fn new(operation: &Operation<'_>) -> Self {
        let mut length = 0;
        map(operation, &mut |text| {
            length += text.len();
            ""
        });
        let mut texts = String::with_capacity(length);
        let mut ends = [0; TEXTS];
        let mut free = ends.iter_mut();
        let skeleton = map(operation, &mut |text| {
            texts.push_str(text);
            if let Some(end) = free.next() {
                *end = texts.len();
            }
            ""
        });
        Self {
            skeleton,
            texts: texts.into_boxed_str(),
            ends,
        }
    }

    /// The operation.
    pub fn operation(&self) -> Operation<'_> {
        let mut start = 0;
        let mut ends = self.ends.iter();
        map(&self.skeleton, &mut |_| {
            let end = ends.next().copied().unwrap_or(start);
            let text = self.texts.get(start..end).unwrap_or_default();
            start = end;
            text
        })
    }
}

/// The operation with each text replaced by what `f` gives for it, always visited in the same order.
fn map<'b>(operation: &Operation<'_>, f: &mut impl FnMut(&str) -> &'b str) -> Operation<'b> {
    use Operation as O;
    match *operation {
        O::LoadSettings => O::LoadSettings,
        O::PutSettings(settings) => O::PutSettings(settings),
        O::FindAccount { name } => O::FindAccount { name: f(name) },
        O::LoadAccount { account } => O::LoadAccount { account },
        O::CreateAccount(ref record) => O::CreateAccount(AccountRecord {
            id: record.id,
            name: f(record.name),
            display: f(record.display),
            titles: f(record.titles),
            flags: record.flags,
            verifier: record.verifier,
            created: record.created,
        }),
        O::ChangeAccount { account, change } => O::ChangeAccount {
            account,
            change: match change {
                AccountChange::Verifier(verifier) => AccountChange::Verifier(verifier),
                AccountChange::Display(text) => AccountChange::Display(f(text)),
                AccountChange::Titles(text) => AccountChange::Titles(f(text)),
                AccountChange::Flags(flags) => AccountChange::Flags(flags),
            },
        },
        O::RemoveAccount { account } => O::RemoveAccount { account },
        O::ReadAccounts {
            prefix,
            after,
            bytes,
        } => O::ReadAccounts {
            prefix: f(prefix),
            after: f(after),
            bytes,
        },
        O::FindGuest => O::FindGuest,
        O::FindChannel(key) => O::FindChannel(map_key(key, f)),
        O::CreateChannel {
            key,
            founder,
            time,
            modes,
        } => O::CreateChannel {
            key: map_key(key, f),
            founder,
            time,
            modes,
        },
        O::RemoveChannel { channel } => O::RemoveChannel { channel },
        O::ReadBans {
            channel,
            after,
            bytes,
        } => O::ReadBans {
            channel,
            after,
            bytes,
        },
        O::ReadRooms { after, bytes } => O::ReadRooms { after, bytes },
        O::FindMember { channel, account } => O::FindMember { channel, account },
        O::ReadMembers {
            channel,
            after,
            bytes,
        } => O::ReadMembers {
            channel,
            after,
            bytes,
        },
        O::ReadMemberships {
            account,
            after,
            bytes,
        } => O::ReadMemberships {
            account,
            after,
            bytes,
        },
        O::ReadUnreadDirects {
            account,
            after,
            bytes,
        } => O::ReadUnreadDirects {
            account,
            after,
            bytes,
        },
        O::PutMarker {
            channel,
            account,
            read,
            delivered,
        } => O::PutMarker {
            channel,
            account,
            read,
            delivered,
        },
        O::Append(ref append) => O::Append(map_append(append, f)),
        O::Locate {
            channel,
            selector,
            limit,
            events,
            last,
        } => O::Locate {
            channel,
            selector,
            limit,
            events,
            last,
        },
        O::ReadHistory {
            channel,
            first,
            last,
            bytes,
        } => O::ReadHistory {
            channel,
            first,
            last,
            bytes,
        },
        O::ReadTargets {
            account,
            from,
            to,
            after,
            bytes,
        } => O::ReadTargets {
            account,
            from,
            to,
            after,
            bytes,
        },
    }
}

fn map_key<'b>(key: ChannelKey<'_>, f: &mut impl FnMut(&str) -> &'b str) -> ChannelKey<'b> {
    match key {
        ChannelKey::Id(id) => ChannelKey::Id(id),
        ChannelKey::Room(name) => ChannelKey::Room(f(name)),
        ChannelKey::Direct(low, high) => ChannelKey::Direct(low, high),
    }
}

fn map_append<'b>(append: &Append<'_>, f: &mut impl FnMut(&str) -> &'b str) -> Append<'b> {
    let entry = &append.entry;
    Append {
        channel: append.channel,
        time: append.time,
        msgid: append.msgid,
        entry: Entry {
            seq: entry.seq,
            time: entry.time,
            msgid: entry.msgid,
            kind: entry.kind,
            sender: entry.sender,
            nick: f(entry.nick),
            tags: f(entry.tags),
            subject: f(entry.subject),
            text: f(entry.text),
        },
        change: match append.change {
            Change::None => Change::None,
            Change::Member { account, flags } => Change::Member { account, flags },
            Change::Topic { text, by } => Change::Topic {
                text: f(text),
                by: f(by),
            },
            Change::Modes { modes, key, limit } => Change::Modes {
                modes,
                key: f(key),
                limit,
            },
            Change::Ban { mask, by } => Change::Ban {
                mask: f(mask),
                by: f(by),
            },
            Change::Unban { mask } => Change::Unban { mask: f(mask) },
        },
        keep: append.keep,
    }
}

#[cfg(test)]
mod tests {
    use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
    use soqet_core::store::{Kind, Verifier};

    use super::*;

    #[test]
    fn an_operation_comes_out_as_it_went_in() {
        let append = |change| {
            Operation::Append(Append {
                channel: ChannelId(7),
                time: 8,
                msgid: MsgId(9),
                entry: Entry {
                    seq: Seq(1),
                    time: 2,
                    msgid: MsgId(9),
                    kind: Kind::Topic,
                    sender: AccountId(3),
                    nick: "nick",
                    tags: "",
                    subject: "主题",
                    text: "text",
                },
                change,
                keep: 10,
            })
        };
        let operations = [
            append(Change::Topic {
                text: "new",
                by: "bob",
            }),
            append(Change::Ban {
                mask: "*!*@*",
                by: "",
            }),
            append(Change::Unban { mask: "m" }),
            append(Change::Modes {
                modes: 1,
                key: "k",
                limit: 2,
            }),
            Operation::CreateAccount(AccountRecord {
                id: AccountId::NONE,
                name: "Ann",
                display: "安",
                titles: "a,b",
                flags: 1,
                verifier: Verifier::NONE,
                created: 5,
            }),
            Operation::ReadAccounts {
                prefix: "a",
                after: "ab",
                bytes: 100,
            },
            Operation::FindChannel(ChannelKey::Room("#x")),
        ];
        for operation in operations {
            let packed = Packed::new(&operation);
            assert_eq!(
                format!("{operation:?}"),
                format!("{:?}", packed.operation())
            );
        }
    }
}
