//! An [`Operation`] apart from its texts, so that it can wait or cross threads while the server goes on.

use super::{AccountChange, AccountRecord, Append, Change, ChannelKey, Entry, Operation};

/// The most texts an operation has: four of an entry, two of its change.
const TEXTS: usize = 6;

/// An operation whose texts are kept by its owner, all in one piece.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The operation with all texts empty.
    skeleton: Operation<'static>,
    /// Where each text ends, in the order in which `map` visits them.
    ends: [usize; TEXTS],
}

impl Packed {
    /// Bytes of all texts of an operation.
    pub fn length(operation: &Operation<'_>) -> usize {
        let mut length = 0;
        map(operation, &mut |text| {
            length += text.len();
            ""
        });
        length
    }

    /// Takes an operation and writes its texts to the front of `texts`; `None` when they do not fit.
    pub fn new(operation: &Operation<'_>, texts: &mut [u8]) -> Option<Self> {
        let mut ends = [0; TEXTS];
        let mut free = ends.iter_mut();
        let mut used = 0;
        let mut fits = true;
        let skeleton = map(operation, &mut |text| {
            let end = used + text.len();
            match (texts.get_mut(used..end), free.next()) {
                (Some(place), Some(noted)) => {
                    place.copy_from_slice(text.as_bytes());
                    *noted = end;
                    used = end;
                }
                _ => fits = false,
            }
            ""
        });
        fits.then_some(Self { skeleton, ends })
    }

    /// The operation, with the same `texts`.
    pub fn operation<'t>(&self, texts: &'t [u8]) -> Operation<'t> {
        let mut start = 0;
        let mut ends = self.ends.iter();
        map(&self.skeleton, &mut |_| {
            let end = ends.next().copied().unwrap_or(start);
            let text = texts.get(start..end).unwrap_or_default();
            start = end;
            core::str::from_utf8(text).unwrap_or_default()
        })
    }
}

/// What gives a text in place of one. One `map` serves all: it is long.
type Visit<'f, 'b> = &'f mut dyn FnMut(&str) -> &'b str;

/// The operation with each text replaced by what `f` gives for it, always visited in the same order.
fn map<'b>(operation: &Operation<'_>, f: Visit<'_, 'b>) -> Operation<'b> {
    use Operation as O;
    match *operation {
        O::LoadSettings => O::LoadSettings,
        O::PutSettings(settings) => O::PutSettings(settings),
        O::PutConfig { name, value } => O::PutConfig {
            name: f(name),
            value: f(value),
        },
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

fn map_key<'b>(key: ChannelKey<'_>, f: Visit<'_, 'b>) -> ChannelKey<'b> {
    match key {
        ChannelKey::Id(id) => ChannelKey::Id(id),
        ChannelKey::Room(name) => ChannelKey::Room(f(name)),
        ChannelKey::Direct(low, high) => ChannelKey::Direct(low, high),
    }
}

fn map_append<'b>(append: &Append<'_>, f: Visit<'_, 'b>) -> Append<'b> {
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
    use super::*;
    use crate::id::{AccountId, ChannelId, MsgId, Seq};
    use crate::store::{Kind, Verifier};

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
            let length = Packed::length(&operation);
            let mut texts = [0; 100];
            let packed = Packed::new(&operation, &mut texts[..length]).unwrap();
            assert_eq!(
                format!("{operation:?}"),
                format!("{:?}", packed.operation(&texts))
            );
            assert!(Packed::new(&operation, &mut texts[..length - 1]).is_none());
        }
    }
}
