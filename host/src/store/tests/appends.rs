//! Places, times, retries, and what is kept.

use proptest::prelude::*;
use soqet_core::id::{ChannelId, MsgId, Seq};
use soqet_core::store::{Append, Bound, Change, Entry, Kind, Operation, Selector, next_row};

use super::rig::*;
use crate::store::Answer;
use crate::store::writes::SLACK;

of_sqlite!(a_lowered_limit_is_reached_step_by_step);
promises!(
    places_are_contiguous_and_times_never_decrease,
    a_retry_gets_the_place_it_has,
    a_retry_does_not_change_again,
    an_entry_comes_back_as_it_went_in,
    old_entries_go,
    bounds_are_found,
);

fn places_are_contiguous_and_times_never_decrease(store: &mut dyn Store) {
    let (a, b) = (room(store, "#a"), room(store, "#b"));
    assert_eq!(append(store, &message(a, 1, 100)), (1, 100));
    assert_eq!(append(store, &message(b, 2, 50)), (1, 50));
    assert_eq!(append(store, &message(a, 3, 90)), (2, 100));
    store.reopen();
    assert_eq!(append(store, &message(a, 4, 80)), (3, 100));
    assert_eq!(append(store, &message(a, 5, 101)), (4, 101));
    assert_eq!(append(store, &message(b, 6, 60)), (2, 60));
    look(store, a, |record| {
        assert_eq!((record.first, record.last), (Seq(1), Seq(4)));
        assert_eq!(record.last_time, 101);
    });
}

fn a_retry_gets_the_place_it_has(store: &mut dyn Store) {
    let (a, b) = (room(store, "#a"), room(store, "#b"));
    append(store, &message(a, 1, 100));
    append(store, &message(a, 2, 200));
    assert_eq!(append(store, &message(a, 1, 300)), (1, 100));
    store.reopen();
    assert_eq!(append(store, &message(a, 2, 300)), (2, 200));
    // Another channel's entry of that id is another entry.
    assert_eq!(append(store, &message(b, 2, 300)), (1, 300));
    assert_eq!(append(store, &message(a, 3, 150)), (3, 200));
}

fn a_retry_does_not_change_again(store: &mut dyn Store) {
    let a = room(store, "#a");
    let topic = |msgid, text| event(a, msgid, Kind::Topic, Change::Topic { text, by: "ann" });
    append(store, &topic(1, "old"));
    append(store, &topic(2, "new"));
    assert_eq!(append(store, &topic(1, "old")), (1, 5000));
    look(store, a, |record| assert_eq!(record.topic, "new"));
}

/// Reads a channel's whole history.
fn history<T>(
    store: &mut dyn Store,
    channel: ChannelId,
    mut f: impl FnMut(Entry<'_>) -> T,
) -> Vec<T> {
    let answer = store.execute(&Operation::ReadHistory {
        channel,
        first: Seq(1),
        last: Seq(u64::MAX),
        bytes: 1 << 20,
    });
    let (found, more) = rows(&answer, |rest| next_row::<Entry<'_>>(rest).map(&mut f));
    assert!(!more);
    found
}

fn an_entry_comes_back_as_it_went_in(store: &mut dyn Store) {
    let a = room(store, "#a");
    for (kind, place) in Kind::ALL.into_iter().zip(1..) {
        let msgid = (5 << 22) + place;
        let mut made = message(a, msgid, 5);
        made.entry = Entry {
            kind,
            tags: "+draft/reply=abc",
            subject: "主题 ' \" \\",
            text: "a\u{1}b\u{7f}\u{10ffff}",
            ..made.entry
        };
        append(store, &made);
    }
    store.reopen();
    let mut place = 0;
    history(store, a, |found| {
        place += 1;
        let mut expected = message(a, (5 << 22) + place, 5).entry;
        expected.seq = Seq(place);
        expected.time = 5;
        expected.kind = Kind::ALL[usize::try_from(place).unwrap() - 1];
        expected.tags = "+draft/reply=abc";
        expected.subject = "主题 ' \" \\";
        expected.text = "a\u{1}b\u{7f}\u{10ffff}";
        assert_eq!(found, expected);
    });
    assert_eq!(place, 9);
}

fn old_entries_go(store: &mut dyn Store) {
    let a = room(store, "#a");
    for place in 1..=300 {
        let mut made = message(a, place, place);
        made.keep = 10;
        append(store, &made);
        let first = look(store, a, |record| record.first.0);
        assert!(place - first < 10 + SLACK && (first == 1 || place - first >= 9));
        if place % 50 == 0 {
            let kept = history(store, a, |entry| entry.seq.0);
            assert_eq!(kept, (first..=place).collect::<Vec<_>>());
        }
    }
    // What is gone is not found by its id, which tells its time all the same.
    let bounds = store.execute(&Operation::Locate {
        channel: a,
        selector: Selector::After(Bound::Id(MsgId(1))),
        limit: 2,
        events: false,
        last: Seq(300),
    });
    let first = look(store, a, |record| record.first);
    assert!(matches!(bounds, Answer::Bounds(Some((f, l))) if f == first && l.0 == f.0 + 1));
}

fn append_keeping(store: &mut dyn Store, made: &Append<'_>, keep: u32) {
    append(
        store,
        &Append {
            keep,
            ..made.clone()
        },
    );
}

fn a_lowered_limit_is_reached_step_by_step(store: &mut dyn Store) {
    let a = room(store, "#a");
    for place in 1..=1500 {
        append_keeping(store, &message(a, place, place), 10_000);
    }
    append_keeping(store, &message(a, 1501, 1501), 0);
    let first = look(store, a, |record| record.first.0);
    assert_eq!(first, 1025);
    append_keeping(store, &message(a, 1502, 1502), 0);
    assert_eq!(history(store, a, |entry| entry.seq.0), [1502]);
    assert_eq!(look(store, a, |record| record.first.0), 1502);
}

fn bounds_are_found(store: &mut dyn Store) {
    let a = room(store, "#a");
    // Places 1 to 20 at 10, 20, 30, ...; every third a join.
    for place in 1..=20 {
        let kind = if place % 3 == 0 {
            Kind::Join
        } else {
            Kind::Privmsg
        };
        let mut made = message(a, (place * 10) << 22, place * 10);
        made.entry.kind = kind;
        append(store, &made);
    }
    let id = |place: u64| Bound::Id(MsgId((place * 10) << 22));
    let unknown = Bound::Id(MsgId(((10 * 10) << 22) + 7));
    for (selector, limit, events, last, expected) in [
        (Selector::Latest(None), 3, true, 20, Some((18, 20))),
        (Selector::Latest(None), 3, false, 20, Some((17, 20))),
        (Selector::Latest(None), 3, true, 15, Some((13, 15))),
        (Selector::Before(id(10)), 2, true, 20, Some((8, 9))),
        (Selector::Before(id(10)), 2, false, 20, Some((7, 8))),
        (Selector::After(id(10)), 2, true, 20, Some((11, 12))),
        (Selector::After(id(10)), 2, false, 20, Some((11, 13))),
        (
            Selector::After(Bound::Time(100)),
            2,
            true,
            20,
            Some((11, 12)),
        ),
        (
            Selector::After(Bound::Time(99)),
            2,
            true,
            20,
            Some((10, 11)),
        ),
        (Selector::After(unknown), 1, true, 20, Some((11, 11))),
        (
            Selector::Before(Bound::Seq(Seq(3))),
            9,
            true,
            20,
            Some((1, 2)),
        ),
        (Selector::Before(Bound::Time(10)), 9, true, 20, None),
        (Selector::After(Bound::Time(u64::MAX)), 9, true, 20, None),
        (Selector::After(id(15)), 9, true, 15, None),
        (Selector::Between(id(2), id(5)), 9, true, 20, Some((3, 4))),
        (Selector::Around(id(10)), 3, true, 20, Some((9, 11))),
    ] {
        let answer = store.execute(&Operation::Locate {
            channel: a,
            selector,
            limit,
            events,
            last: Seq(last),
        });
        let Answer::Bounds(found) = answer else {
            panic!("{answer:?}")
        };
        let found = found.map(|(first, last)| (first.0, last.0));
        assert_eq!(found, expected, "{selector:?} {limit} {events} {last}");
    }
    let nowhere = store.execute(&Operation::Locate {
        channel: ChannelId(99),
        selector: Selector::Latest(Some(Bound::Time(0))),
        limit: 5,
        events: true,
        last: Seq(20),
    });
    assert!(matches!(nowhere, Answer::Bounds(None)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any run of appends and retries, in groups, with crashes' reopening, is what a list would be.
    #[test]
    fn a_channel_is_a_list(steps in prop::collection::vec((0usize..3, 1u64..60, 0u64..100, 0u8..12), 1..120)) {
        let mut store = Direct::new();
        let channels = ["#a", "#b", "#c"].map(|name| room(&mut store, name));
        let mut model: [Vec<(u64, u64)>; 3] = Default::default();
        let mut group = Vec::new();
        let mut expected = Vec::new();
        for (at, msgid, time, then) in steps {
            group.push(Operation::Append(message(channels[at], msgid, time)));
            let list = &mut model[at];
            let place = list.iter().position(|(id, _)| *id == msgid).unwrap_or_else(|| {
                let last = list.last().map_or(0, |(_, time)| *time);
                list.push((msgid, time.max(last)));
                list.len() - 1
            });
            expected.push((place as u64 + 1, list[place].1));
            if then < 3 {
                let answers = store.sqlite().execute_all(&group);
                group.clear();
                for (answer, (seq, time)) in answers.iter().zip(expected.drain(..)) {
                    let Answer::Stored { seq: s, time: t } = answer else {
                        panic!("{answer:?}")
                    };
                    prop_assert_eq!((s.0, *t), (seq, time));
                }
            }
            if then == 0 {
                store.reopen();
            }
        }
        store.sqlite().execute_all(&group);
        for (channel, list) in channels.into_iter().zip(model) {
            let found = history(&mut store, channel, |entry| (entry.msgid.0, entry.time));
            prop_assert_eq!(found, list);
        }
    }
}
