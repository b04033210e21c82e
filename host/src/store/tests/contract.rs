//! Settings, accounts, channels, memberships.

use soqet_core::id::{AccountId, ChannelId, Seq};
use soqet_core::store::{
    AccountChange, AccountFlags, AccountRecord, BanRow, Change, ChannelKey, Kind, Marker,
    MemberRecord, Operation, Outcome, Reason, Settings, Verifier, next_row,
};

use super::rig::*;
use crate::store::Answer;

promises!(
    settings_last,
    an_account_is_found_by_name_and_id,
    a_name_is_given_once,
    creating_the_same_account_again_finds_it,
    one_thing_of_an_account_changes,
    ids_are_never_given_twice,
    the_first_guest_is_found,
    a_room_is_made_once,
    direct_chats_are_told_apart,
    a_removed_room_leaves_nothing,
    a_removed_account_leaves_its_messages,
    a_membership_row_goes_when_nothing_is_in_it,
    markers_never_move_back,
    topic_modes_and_bans_are_kept,
);

fn settings_last(store: &mut dyn Store) {
    let answer = store.execute(&Operation::LoadSettings);
    assert!(matches!(answer, Answer::Settings(None)));
    for number in [7, 8] {
        let settings = Settings {
            secret: [number; 32],
            time_reserved: 1 << 41,
        };
        let answer = store.execute(&Operation::PutSettings(settings));
        assert!(matches!(answer, Answer::Done));
        store.reopen();
        let answer = store.execute(&Operation::LoadSettings);
        assert!(matches!(answer, Answer::Settings(Some(s)) if s == settings));
    }
}

fn load(store: &mut dyn Store, operation: &Operation<'_>, f: impl FnOnce(AccountRecord<'_>)) {
    match store.execute(operation).outcome() {
        Outcome::Account(Some(record)) => f(record),
        other => panic!("{other:?}"),
    }
}

fn an_account_is_found_by_name_and_id(store: &mut dyn Store) {
    let made = AccountRecord {
        display: "安",
        titles: "cook,sailor",
        flags: 3,
        created: u64::from(u32::MAX) * 2,
        ..record("Ann[]")
    };
    let Answer::Created(id) = store.execute(&Operation::CreateAccount(made)) else {
        panic!()
    };
    let expected = AccountRecord { id, ..made };
    store.reopen();
    load(store, &Operation::FindAccount { name: "ann[]" }, |found| {
        assert_eq!(found, expected);
    });
    load(store, &Operation::LoadAccount { account: id }, |found| {
        assert_eq!(found, expected);
    });
    for none in [
        Operation::FindAccount { name: "an" },
        Operation::LoadAccount {
            account: AccountId(id.0 + 1),
        },
    ] {
        assert!(matches!(store.execute(&none), Answer::Account(None)));
    }
}

fn a_name_is_given_once(store: &mut dyn Store) {
    account(store, "Ann");
    let other = AccountRecord {
        verifier: Verifier::NONE,
        ..record("aNN")
    };
    let answer = store.execute(&Operation::CreateAccount(other));
    assert!(matches!(answer, Answer::Refused(Reason::Exists)));
}

fn creating_the_same_account_again_finds_it(store: &mut dyn Store) {
    let id = account(store, "Ann");
    assert_eq!(account(store, "Ann"), id);
    let guest = AccountRecord {
        verifier: Verifier::NONE,
        ..record("guest")
    };
    let answer = store.execute(&Operation::CreateAccount(guest));
    assert!(matches!(answer, Answer::Created(_)));
    // Nothing proves that these are the same.
    let answer = store.execute(&Operation::CreateAccount(guest));
    assert!(matches!(answer, Answer::Refused(Reason::Exists)));
}

fn one_thing_of_an_account_changes(store: &mut dyn Store) {
    let id = account(store, "Ann");
    let mut expected = AccountRecord {
        id,
        ..record("Ann")
    };
    let verifier = Verifier {
        iterations: 5000,
        salt: [9; 16],
        stored_key: [8; 32],
        server_key: [7; 32],
    };
    for change in [
        AccountChange::Verifier(verifier),
        AccountChange::Display("Ann the First"),
        AccountChange::Titles("cook"),
        AccountChange::Flags(2),
    ] {
        match change {
            AccountChange::Verifier(v) => expected.verifier = v,
            AccountChange::Display(text) => expected.display = text,
            AccountChange::Titles(text) => expected.titles = text,
            AccountChange::Flags(flags) => expected.flags = flags,
        }
        for account in [id, AccountId(99)] {
            let answer = store.execute(&Operation::ChangeAccount { account, change });
            assert!(matches!(answer, Answer::Done));
        }
        load(store, &Operation::LoadAccount { account: id }, |found| {
            assert_eq!(found, expected);
        });
    }
    let none = store.execute(&Operation::LoadAccount {
        account: AccountId(99),
    });
    assert!(matches!(none, Answer::Account(None)));
}

fn ids_are_never_given_twice(store: &mut dyn Store) {
    let first = account(store, "ann");
    let old = room(store, "#old");
    for _ in 0..2 {
        let answer = store.execute(&Operation::RemoveAccount { account: first });
        assert!(matches!(answer, Answer::Done));
        let answer = store.execute(&Operation::RemoveChannel { channel: old });
        assert!(matches!(answer, Answer::Done));
    }
    store.reopen();
    assert!(account(store, "ann") > first);
    assert!(room(store, "#old") > old);
}

fn the_first_guest_is_found(store: &mut dyn Store) {
    account(store, "ann");
    assert!(matches!(
        store.execute(&Operation::FindGuest),
        Answer::Account(None)
    ));
    let mut guests = Vec::new();
    for name in ["g2", "g1"] {
        let guest = AccountRecord {
            flags: AccountFlags::GUEST.bits(),
            verifier: Verifier::NONE,
            ..record(name)
        };
        match store.execute(&Operation::CreateAccount(guest)) {
            Answer::Created(id) => guests.push(id),
            other => panic!("{other:?}"),
        }
    }
    for guest in guests {
        load(store, &Operation::FindGuest, |found| {
            assert_eq!(found.id, guest);
        });
        store.execute(&Operation::RemoveAccount { account: guest });
    }
    assert!(matches!(
        store.execute(&Operation::FindGuest),
        Answer::Account(None)
    ));
}

fn a_room_is_made_once(store: &mut dyn Store) {
    let made = store.execute(&Operation::CreateChannel {
        key: ChannelKey::Room("#Kitchen"),
        founder: AccountId(4),
        time: 77,
        modes: 5,
    });
    let id = with_channel(&made, |record| {
        assert_eq!((record.name, record.created), ("#Kitchen", 77));
        assert_eq!((record.founder, record.modes), (AccountId(4), 5));
        assert_eq!(record.direct, (AccountId::NONE, AccountId::NONE));
        assert_eq!((record.first, record.last), (Seq(1), Seq::NONE));
        record.id
    });
    assert_eq!(room(store, "#KITCHEN"), id);
    store.reopen();
    let found = store.execute(&Operation::FindChannel(ChannelKey::Room("#kitchen")));
    with_channel(&found, |record| {
        assert_eq!((record.id, record.name), (id, "#Kitchen"));
        assert_eq!((record.founder, record.modes), (AccountId(4), 5));
    });
    for key in [
        ChannelKey::Room("#kitche"),
        ChannelKey::Id(ChannelId(id.0 + 1)),
        ChannelKey::Direct(AccountId(1), AccountId(2)),
    ] {
        let none = store.execute(&Operation::FindChannel(key));
        assert!(matches!(none, Answer::Channel(None)));
    }
}

fn direct_chats_are_told_apart(store: &mut dyn Store) {
    let pairs = [(1, 2), (1, 3), (2, 3), (2, 2)].map(|(a, b)| (AccountId(a), AccountId(b)));
    let ids = pairs.map(|(a, b)| channel_of(store, ChannelKey::Direct(a, b)));
    for (pair, id) in pairs.into_iter().zip(ids) {
        let again = channel_of(store, ChannelKey::Direct(pair.0, pair.1));
        assert_eq!(again, id);
        look(store, id, |record| {
            assert_eq!((record.direct, record.name), (pair, ""));
        });
    }
}

fn a_removed_room_leaves_nothing(store: &mut dyn Store) {
    let ann = account(store, "ann");
    let (old, other) = (room(store, "#old"), room(store, "#other"));
    for channel in [old, other] {
        set_member(store, channel, ann, 1, 1);
        let change = Change::Ban {
            mask: "x!*@*",
            by: "ann",
        };
        append(store, &event(channel, 2, Kind::Mode, change));
    }
    store.execute(&Operation::RemoveChannel { channel: old });
    let answer = store.execute(&Operation::FindChannel(ChannelKey::Id(old)));
    assert!(matches!(answer, Answer::Channel(None)));
    assert_eq!(member(store, old, ann), None);
    let refused = store.execute(&Operation::Append(message(old, 3, 6000)));
    assert!(matches!(refused, Answer::Refused(_)));
    look(store, other, |record| {
        assert_eq!((record.members, record.bans, record.last), (1, 1, Seq(2)));
    });
    let fresh = room(store, "#old");
    look(store, fresh, |record| {
        assert_eq!((record.members, record.bans, record.last), (0, 0, Seq(0)));
    });
}

fn a_removed_account_leaves_its_messages(store: &mut dyn Store) {
    let (ann, bob) = (account(store, "ann"), account(store, "bob"));
    let kitchen = room(store, "#kitchen");
    set_member(store, kitchen, ann, 1, 1);
    set_member(store, kitchen, bob, 1, 2);
    append(store, &message(kitchen, 3, 6000));
    store.execute(&Operation::RemoveAccount { account: ann });
    look(store, kitchen, |record| {
        assert_eq!((record.members, record.last), (1, Seq(3)));
    });
    assert_eq!(member(store, kitchen, ann), None);
    assert!(member(store, kitchen, bob).is_some());
    let history = store.execute(&Operation::ReadHistory {
        channel: kitchen,
        first: Seq(1),
        last: Seq(9),
        bytes: 4096,
    });
    let (senders, _) = rows(&history, |rest| {
        next_row::<soqet_core::store::Entry<'_>>(rest).map(|entry| entry.nick.to_owned())
    });
    assert_eq!(senders, ["ann", "ann", "ann"]);
}

fn a_membership_row_goes_when_nothing_is_in_it(store: &mut dyn Store) {
    let (ann, bob) = (account(store, "ann"), account(store, "bob"));
    let kitchen = room(store, "#kitchen");
    set_member(store, kitchen, ann, 1, 1);
    set_member(store, kitchen, bob, 1 | 8, 2);
    look(store, kitchen, |record| assert_eq!(record.members, 2));
    store.execute(&Operation::PutMarker {
        channel: kitchen,
        account: bob,
        read: Marker::default(),
        delivered: Seq(1),
    });
    for (id, msgid) in [(ann, 3), (bob, 4)] {
        set_member(store, kitchen, id, 0, msgid);
    }
    assert_eq!(member(store, kitchen, ann), None);
    let left = MemberRecord {
        delivered: Seq(1),
        ..MemberRecord::default()
    };
    assert_eq!(member(store, kitchen, bob), Some(left));
    look(store, kitchen, |record| assert_eq!(record.members, 0));
    // An invitation is no membership.
    set_member(store, kitchen, ann, 16, 5);
    look(store, kitchen, |record| assert_eq!(record.members, 0));
    set_member(store, kitchen, bob, 1, 6);
    look(store, kitchen, |record| assert_eq!(record.members, 1));
    assert_eq!(
        member(store, kitchen, bob),
        Some(MemberRecord { flags: 1, ..left })
    );
}

fn markers_never_move_back(store: &mut dyn Store) {
    let ann = account(store, "ann");
    let kitchen = room(store, "#kitchen");
    let marker = |seq, time| Marker {
        seq: Seq(seq),
        time,
    };
    for (read, delivered, expected, expected_delivered) in [
        (marker(5, 500), 3, marker(5, 500), 3),
        (marker(4, 400), 7, marker(5, 500), 7),
        (marker(5, 510), 2, marker(5, 510), 7),
        (marker(0, 0), 0, marker(5, 510), 7),
        (marker(6, 600), 8, marker(6, 600), 8),
    ] {
        let answer = store.execute(&Operation::PutMarker {
            channel: kitchen,
            account: ann,
            read,
            delivered: Seq(delivered),
        });
        assert!(matches!(answer, Answer::Done));
        let expected = MemberRecord {
            flags: 0,
            read: expected,
            delivered: Seq(expected_delivered),
        };
        assert_eq!(member(store, kitchen, ann), Some(expected));
    }
    store.reopen();
    assert_eq!(
        member(store, kitchen, ann).map(|m| m.read),
        Some(marker(6, 600))
    );
}

fn topic_modes_and_bans_are_kept(store: &mut dyn Store) {
    let kitchen = room(store, "#kitchen");
    let ban = |mask, by| Change::Ban { mask, by };
    let changes = [
        Change::Topic {
            text: "汤",
            by: "ann",
        },
        Change::Modes {
            modes: 9,
            key: "sesame",
            limit: 30,
        },
        ban("Bob!*@*", "ann"),
        ban("bOB!*@*", "eve"),
        ban("eve!*@*", "ann"),
        Change::Unban { mask: "EVE!*@*" },
        Change::Unban { mask: "eve!*@*" },
    ];
    for (change, msgid) in changes.into_iter().zip(1..) {
        append(store, &event(kitchen, msgid, Kind::Mode, change));
    }
    store.reopen();
    look(store, kitchen, |record| {
        assert_eq!((record.topic, record.topic_by), ("汤", "ann"));
        assert_eq!((record.topic_time, record.modes), (5000, 9));
        assert_eq!((record.key, record.limit, record.bans), ("sesame", 30, 1));
        assert_eq!((record.last, record.last_time), (Seq(7), 5000));
    });
    let answer = store.execute(&Operation::ReadBans {
        channel: kitchen,
        after: 0,
        bytes: 4096,
    });
    let (bans, more) = rows(&answer, |rest| {
        next_row::<BanRow<'_>>(rest).map(|ban| (ban.mask.to_owned(), ban.by.to_owned(), ban.time))
    });
    assert_eq!(bans, [("Bob!*@*".to_owned(), "ann".to_owned(), 5000)]);
    assert!(!more);
}
