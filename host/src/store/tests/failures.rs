//! What is answered when a write fails: the truth.

use soqet_core::id::{AccountId, ChannelId, Seq};
use soqet_core::store::{Change, Kind, Operation, Reason};

use super::rig::*;
use crate::store::Answer;

/// A join of an account that does not exist, which the tables do not allow.
fn impossible(channel: ChannelId, msgid: u64) -> Operation<'static> {
    let change = Change::Member {
        account: AccountId(99),
        flags: 1,
    };
    Operation::Append(event(channel, msgid, Kind::Join, change))
}

fn stored_at(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Stored { seq, .. } => Some(seq.0),
        _ => None,
    }
}

#[test]
fn an_entry_and_its_change_are_stored_both_or_not_at_all() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    append(&mut store, &message(a, 1, 1));
    let answer = store.execute(&impossible(a, 2));
    assert!(matches!(answer, Answer::Refused(Reason::Failed)));
    look(&mut store, a, |record| {
        assert_eq!(
            (record.last, record.last_time, record.members),
            (Seq(1), 1, 0)
        );
    });
    assert_eq!(store.number("SELECT count(*) FROM message"), 1);
    assert_eq!(append(&mut store, &message(a, 3, 2)), (2, 2));
}

#[test]
fn one_operation_that_fails_does_not_take_others_with_it() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    let message = |msgid| Operation::Append(message(a, msgid, 1));
    let group = [
        message(1),
        impossible(a, 2),
        message(3),
        impossible(a, 4),
        message(5),
    ];
    let answers = store.sqlite().execute_all(&group);
    let places: Vec<_> = answers.iter().map(stored_at).collect();
    assert_eq!(places, [Some(1), None, Some(2), None, Some(3)]);
    assert!(matches!(answers[1], Answer::Refused(Reason::Failed)));
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    let limit = |store: &mut Direct, pages: i64| {
        let connection = store.sqlite().writer.connection();
        connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .unwrap();
    };
    let pages = store.number("PRAGMA page_count");
    limit(&mut store, pages + 8);
    let text = "x".repeat(1000);
    let mut acknowledged = 0;
    let mut refused = 0;
    for group in 0..40 {
        let operations: Vec<_> = (0..16)
            .map(|n| {
                let mut made = message(a, group * 16 + n, 1);
                made.entry.text = &text;
                Operation::Append(made)
            })
            .collect();
        for answer in store.sqlite().execute_all(&operations) {
            match answer {
                Answer::Stored { seq, .. } => {
                    acknowledged += 1;
                    assert_eq!(seq.0, acknowledged);
                }
                Answer::Refused(Reason::Full) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(
        acknowledged > 0 && refused > 500,
        "{acknowledged} {refused}"
    );
    // What was refused is not there, what was acknowledged is, and reading goes on.
    let kept = store.number("SELECT count(*) FROM message");
    assert_eq!(kept, i64::try_from(acknowledged).unwrap());
    limit(&mut store, 1 << 30);
    store.reopen();
    let (seq, _) = append(&mut store, &message(a, 10_000, 2));
    assert_eq!(seq, acknowledged + 1);
}

#[test]
fn a_commit_that_fails_is_not_called_refused() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    // Puts the check of foreign keys off to the commit, which then fails.
    let connection = store.sqlite().writer.connection();
    connection
        .pragma_update(None, "defer_foreign_keys", true)
        .unwrap();
    let answer = store.execute(&impossible(a, 1));
    assert!(matches!(answer, Answer::Unknown), "{answer:?}");
    assert_eq!(append(&mut store, &message(a, 2, 2)), (1, 2));
}

#[test]
fn somebody_elses_lock_is_waited_for() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    let writer = store.sqlite().writer.connection();
    writer.busy_timeout(std::time::Duration::ZERO).unwrap();
    let tool = rusqlite::Connection::open(store.folder.path().join("soqet.db")).unwrap();
    tool.execute_batch("BEGIN IMMEDIATE").unwrap();
    let group = [1, 2].map(|msgid| Operation::Append(message(a, msgid, 1)));
    let answers = store.sqlite().execute_all(&group);
    assert!(matches!(answers[..], [Answer::Unknown, Answer::Unknown]));
    look(&mut store, a, |record| assert_eq!(record.last, Seq(0)));
    tool.execute_batch("COMMIT").unwrap();
    assert_eq!(append(&mut store, &message(a, 1, 1)), (1, 1));
}

#[test]
fn counts_are_those_of_the_rows() {
    let mut store = Direct::new();
    let people: Vec<_> = (0..5)
        .map(|n| account(&mut store, &format!("p{n}")))
        .collect();
    let rooms = ["#a", "#b"].map(|name| room(&mut store, name));
    let mut msgid = 0;
    // Every way of coming and going, in a fixed disorder.
    for step in 0..200_usize {
        msgid += 1;
        let (person, place) = (people[step * 7 % 5], rooms[step * 5 % 2]);
        let flags = [1, 0, 9, 16, 5, 0, 1][step * 3 % 7];
        set_member(&mut store, place, person, flags, msgid);
        msgid += 1;
        let mask = ["A!*@*", "a!*@*", "b!*@*"][step % 3];
        let change = if step % 4 == 0 {
            Change::Unban { mask }
        } else {
            Change::Ban { mask, by: "" }
        };
        append(&mut store, &event(place, msgid, Kind::Mode, change));
        if step == 150 {
            let account = people[1];
            store.execute(&Operation::RemoveAccount { account });
            break;
        }
    }
    let wrong = "SELECT count(*) FROM channel AS c WHERE
        members <> (SELECT count(*) FROM member WHERE channel = c.id AND flags & 1)
        OR bans <> (SELECT count(*) FROM ban WHERE channel = c.id)";
    assert_eq!(store.number(wrong), 0);
    assert!(store.number("SELECT sum(members) FROM channel") > 0);
    assert!(store.number("SELECT sum(bans) FROM channel") > 0);
}
