//! Lists in pages: the same list whatever the size of the page.

use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{
    AccountRow, BanRow, Change, ChannelKey, DirectRow, Entry, Kind, Marker, MemberRow,
    MembershipRow, Operation, RoomRow, TargetRow, next_row,
};

use super::rig::*;
use crate::store::Answer;

promises!(
    accounts_by_prefix,
    rooms_members_and_memberships,
    bans_in_order,
    unread_directs,
    targets_by_their_latest_message,
    history_in_pages,
    an_empty_list_is_an_empty_page,
);

/// From pages of about one row each to a single one.
const SIZES: [usize; 4] = [0, 24, 100, 4096];

fn accounts_by_prefix(store: &mut dyn Store) {
    let names = ["Bob", "ann", "Anna", "bo", "anton", "Zoe", "an", "b"];
    for name in names {
        account(store, name);
    }
    for bytes in SIZES {
        for (prefix, expected) in [
            (
                "",
                &["an", "ann", "anna", "anton", "b", "bo", "bob", "zoe"][..],
            ),
            ("ann", &["ann", "anna"]),
            ("b", &["b", "bo", "bob"]),
            ("c", &[]),
        ] {
            let found = list_accounts(store, prefix, "", bytes);
            assert_eq!(found, expected, "{prefix} {bytes}");
        }
        assert_eq!(list_accounts(store, "an", "anna", bytes), ["anton"]);
        assert_eq!(list_accounts(store, "an", "b", bytes), [""; 0]);
    }
}

fn list_accounts(store: &mut dyn Store, prefix: &str, after: &str, bytes: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = after.to_owned();
    loop {
        let answer = store.execute(&Operation::ReadAccounts {
            prefix,
            after: &after,
            bytes,
        });
        let (page, more) = rows(&answer, |rest| {
            next_row::<AccountRow<'_>>(rest).map(|row| row.name.to_ascii_lowercase())
        });
        found.extend(page);
        if !more {
            return found;
        }
        after = found.last().unwrap().clone();
    }
}

fn rooms_members_and_memberships(store: &mut dyn Store) {
    let people: Vec<_> = (0..12).map(|n| account(store, &format!("p{n}"))).collect();
    let rooms: Vec<_> = (0..9).map(|n| room(store, &format!("#r{n}"))).collect();
    channel_of(store, ChannelKey::Direct(people[0], people[1]));
    // Person p is in room r when p is not less than r; a few are only invited.
    for (r, room) in rooms.iter().enumerate() {
        for (p, person) in people.iter().enumerate() {
            let flags = match p.cmp(&r) {
                std::cmp::Ordering::Less => 16,
                std::cmp::Ordering::Equal => 1 | 8,
                std::cmp::Ordering::Greater => 1,
            };
            set_member(store, *room, *person, flags, (r * 100 + p) as u64);
        }
    }
    for bytes in SIZES {
        let found = all(
            store,
            (ChannelId::NONE, 0),
            |(after, _)| Operation::ReadRooms { after, bytes },
            |row: RoomKey| (row.0, row.1),
        );
        let expected: Vec<_> = rooms
            .iter()
            .zip(0..9)
            .map(|(id, n)| (*id, 12 - n))
            .collect();
        assert_eq!(found, expected);

        let found = all(
            store,
            AccountId::NONE,
            |after| Operation::ReadMembers {
                channel: rooms[7],
                after,
                bytes,
            },
            |row: MemberKey| row.0,
        );
        assert_eq!(found, people[7..]);

        let found = all(
            store,
            (ChannelId::NONE, String::new()),
            |(after, _)| Operation::ReadMemberships {
                account: people[3],
                after,
                bytes,
            },
            |row: MembershipKey| (row.0, row.1),
        );
        let expected: Vec<_> = (0..=3).map(|n| (rooms[n], format!("#r{n}"))).collect();
        assert_eq!(found, expected);
    }
    let answer = store.execute(&Operation::ReadMembers {
        channel: rooms[7],
        after: people[6],
        bytes: 4096,
    });
    let (first, _) = rows(&answer, |rest| {
        next_row::<MemberRow<'_>>(rest).map(|row| (row.name.to_owned(), row.flags))
    });
    assert_eq!(first[0], ("p7".to_owned(), 9));
    assert_eq!(first.len(), 5);
}

/// What of a row goes on; rows themselves borrow from their page.
#[derive(serde::Deserialize)]
#[serde(from = "RoomRow")]
struct RoomKey(ChannelId, u32);

impl From<RoomRow<'_>> for RoomKey {
    fn from(row: RoomRow<'_>) -> Self {
        Self(row.id, row.members)
    }
}

#[derive(serde::Deserialize)]
#[serde(from = "MemberRow")]
struct MemberKey(AccountId);

impl From<MemberRow<'_>> for MemberKey {
    fn from(row: MemberRow<'_>) -> Self {
        Self(row.account)
    }
}

#[derive(serde::Deserialize)]
#[serde(from = "MembershipRow")]
struct MembershipKey(ChannelId, String);

impl From<MembershipRow<'_>> for MembershipKey {
    fn from(row: MembershipRow<'_>) -> Self {
        Self(row.channel, row.name.to_owned())
    }
}

#[derive(serde::Deserialize)]
#[serde(from = "BanRow")]
struct BanKey(u32);

impl From<BanRow<'_>> for BanKey {
    fn from(row: BanRow<'_>) -> Self {
        Self(row.id)
    }
}

#[derive(serde::Deserialize)]
#[serde(from = "TargetRow")]
struct TargetKey(u64, ChannelId, String);

impl From<TargetRow<'_>> for TargetKey {
    fn from(row: TargetRow<'_>) -> Self {
        Self(row.time, row.channel, row.name.to_owned())
    }
}

fn bans_in_order(store: &mut dyn Store) {
    let (a, b) = (room(store, "#a"), room(store, "#b"));
    let masks: Vec<_> = (0..20).map(|n| format!("m{n}!*@*")).collect();
    for (mask, msgid) in masks.iter().zip(1..) {
        for channel in [a, b] {
            let change = Change::Ban { mask, by: "ann" };
            append(store, &event(channel, msgid, Kind::Mode, change));
        }
    }
    for bytes in SIZES {
        let found = all(
            store,
            0,
            |after| Operation::ReadBans {
                channel: a,
                after,
                bytes,
            },
            |row: BanKey| row.0,
        );
        assert_eq!(found.len(), 20);
        assert!(found.is_sorted());
    }
}

fn unread_directs(store: &mut dyn Store) {
    let people: Vec<_> = (0..6).map(|n| account(store, &format!("p{n}"))).collect();
    let me = people[2];
    let chats: Vec<_> = people
        .iter()
        .map(|peer| channel_of(store, ChannelKey::Direct(me.min(*peer), me.max(*peer))))
        .collect();
    let others = channel_of(store, ChannelKey::Direct(people[0], people[1]));
    append(store, &message(others, 1, 1));
    // Of five chats with two messages: nothing seen, one read, both read, both delivered, one delivered. The sixth is empty.
    for (chat, (read, delivered)) in chats.iter().zip([(0, 0), (1, 0), (2, 0), (0, 2), (0, 1)]) {
        append(store, &message(*chat, 1, 1));
        append(store, &message(*chat, 2, 1));
        if read + delivered > 0 {
            store.execute(&Operation::PutMarker {
                channel: *chat,
                account: me,
                read: Marker {
                    seq: Seq(read),
                    time: 1,
                },
                delivered: Seq(delivered),
            });
        }
    }
    for bytes in SIZES {
        let found = all(
            store,
            (ChannelId::NONE, AccountId::NONE),
            |(after, _)| Operation::ReadUnreadDirects {
                account: me,
                after,
                bytes,
            },
            |row: DirectRow| (row.channel, row.peer),
        );
        let expected = [0, 1, 4].map(|n| (chats[n], people[n]));
        assert_eq!(found, expected);
    }
}

fn targets_by_their_latest_message(store: &mut dyn Store) {
    let (me, bob, eve) = (
        account(store, "me"),
        account(store, "Bob"),
        account(store, "eve"),
    );
    let (a, b, left, quiet) = (
        room(store, "#A"),
        room(store, "#b"),
        room(store, "#left"),
        room(store, "#quiet"),
    );
    let with_bob = channel_of(store, ChannelKey::Direct(me, bob));
    let with_eve = channel_of(store, ChannelKey::Direct(me, eve));
    let with_me = channel_of(store, ChannelKey::Direct(me, me));
    let gone = account(store, "gone");
    let with_gone = channel_of(store, ChannelKey::Direct(me, gone));
    for (channel, msgid) in [a, b, left, quiet].into_iter().zip(1..) {
        let change = Change::Member {
            account: me,
            flags: 1,
        };
        append(store, &event(channel, msgid, Kind::Join, change));
    }
    // Rooms' times start at their joins', 5000.
    let spoken = [
        (a, 5010),
        (b, 5005),
        (left, 5006),
        (with_bob, 5005),
        (with_eve, 4000),
        (with_me, 5007),
        (with_gone, 5008),
    ];
    for ((channel, time), msgid) in spoken.into_iter().zip(10..) {
        append(store, &message(channel, msgid, time));
    }
    set_member(store, left, me, 0, 30);
    store.execute(&Operation::RemoveAccount { account: gone });
    // Neither an event nor a message of tags makes a channel's latest message.
    append(store, &event(b, 31, Kind::Tagmsg, Change::None));

    let mut check = |from, to, expected: &[(u64, ChannelId, &str)]| {
        for bytes in SIZES {
            let found = all(
                store,
                (0, ChannelId::NONE, String::new()),
                |(time, channel, _)| Operation::ReadTargets {
                    account: me,
                    from,
                    to,
                    after: (time, channel),
                    bytes,
                },
                |row: TargetKey| (row.0, row.1, row.2),
            );
            let found: Vec<_> = found.iter().map(|(t, c, n)| (*t, *c, n.as_str())).collect();
            assert_eq!(found, expected, "{from} {to} {bytes}");
        }
    };
    let eve = (4000, with_eve, "eve");
    let (room_b, bob) = ((5005, b, "#b"), (5005, with_bob, "Bob"));
    let (myself, room_a) = ((5007, with_me, "me"), (5010, a, "#A"));
    check(0, u64::MAX, &[eve, room_b, bob, myself, room_a]);
    check(4000, 5010, &[room_b, bob, myself]);
    check(3999, 5005, &[eve]);
    check(6000, 100, &[]);

    // A latest message that made room for events is none.
    for msgid in 100..300 {
        let mut made = event(a, msgid, Kind::Join, Change::None);
        made.keep = 5;
        append(store, &made);
    }
    let answer = store.execute(&Operation::ReadTargets {
        account: me,
        from: 5009,
        to: u64::MAX,
        after: (0, ChannelId::NONE),
        bytes: 4096,
    });
    let (found, _) = rows(&answer, |rest| {
        next_row::<TargetRow<'_>>(rest).map(|row| row.channel)
    });
    assert_eq!(found, []);
}

fn history_in_pages(store: &mut dyn Store) {
    let a = room(store, "#a");
    let texts: Vec<_> = (0..40).map(|n| "x".repeat(n * n)).collect();
    for (text, msgid) in texts.iter().zip(1..) {
        let mut made = message(a, msgid, msgid);
        made.entry.text = text;
        append(store, &made);
    }
    for bytes in SIZES {
        let mut next = 5;
        loop {
            let answer = store.execute(&Operation::ReadHistory {
                channel: a,
                first: Seq(next),
                last: Seq(38),
                bytes,
            });
            let (found, more) = rows(&answer, |rest| {
                next_row::<Entry<'_>>(rest).map(|entry| {
                    let place = usize::try_from(entry.seq.0).unwrap();
                    assert_eq!(entry.text, texts[place - 1]);
                    assert_eq!(entry.msgid, MsgId(entry.seq.0));
                    entry.seq.0
                })
            });
            let Answer::Page { rows, .. } = answer else {
                panic!()
            };
            assert!(rows.len() <= bytes || found.len() == 1);
            for seq in found {
                assert_eq!(seq, next);
                next += 1;
            }
            if !more {
                break;
            }
        }
        assert_eq!(next, 39);
    }
}

fn an_empty_list_is_an_empty_page(store: &mut dyn Store) {
    let (channel, account, bytes) = (ChannelId(7), AccountId(7), 64);
    for operation in [
        Operation::ReadAccounts {
            prefix: "",
            after: "",
            bytes,
        },
        Operation::ReadBans {
            channel,
            after: 0,
            bytes,
        },
        Operation::ReadRooms {
            after: channel,
            bytes,
        },
        Operation::ReadMembers {
            channel,
            after: account,
            bytes,
        },
        Operation::ReadMemberships {
            account,
            after: channel,
            bytes,
        },
        Operation::ReadUnreadDirects {
            account,
            after: channel,
            bytes,
        },
        Operation::ReadHistory {
            channel,
            first: Seq(1),
            last: Seq(9),
            bytes,
        },
        Operation::ReadTargets {
            account,
            from: 0,
            to: 9,
            after: (0, channel),
            bytes,
        },
    ] {
        let answer = store.execute(&operation);
        assert!(
            matches!(&answer, Answer::Page { rows, more: false } if rows.is_empty()),
            "{operation:?} {answer:?}"
        );
    }
}
