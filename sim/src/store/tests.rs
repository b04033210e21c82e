//! The store keeps the contract of `soqet_core::store` under every fault.

use std::collections::BTreeMap;

use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{Append, Change, ChannelKey, Entry, Kind, Operation};

use super::*;

const FAULTS: Faults = Faults {
    commit_ms: 40,
    answer_ms: 20,
    slow: 50,
    refuse: 100,
    refuse_reads: 0,
    lose_after: 150,
    lose_before: 150,
    stall: 5,
};

fn append(channel: ChannelId, n: u64) -> Operation<'static> {
    let msgid = MsgId(n);
    Operation::Append(Append {
        channel,
        time: 1_000 + n % 7,
        msgid,
        entry: Entry {
            seq: Seq::NONE,
            time: 0,
            msgid,
            kind: Kind::Privmsg,
            sender: AccountId(1),
            nick: "ann",
            tags: "",
            subject: "",
            text: "text",
        },
        change: Change::None,
        keep: 10_000,
    })
}

fn channel(store: &mut Store<u64>, name: &str) -> ChannelId {
    let make = Operation::CreateChannel {
        key: ChannelKey::Room(name),
        founder: AccountId(1),
        time: 0,
        modes: 0,
    };
    let answer = store
        .tables
        .execute(&Work::owned(&make), &mut store.commits);
    match answer {
        Answer::Channel(Some(row)) => row.id,
        other => panic!("{other:?}"),
    }
}

/// Repeats what was answered `Unknown` until it is certain; crashes now and then.
#[test]
fn answers_are_honest_places_contiguous_and_repeats_harmless() {
    for seed in 0..100 {
        let mut draw = Draw::new(seed, 7);
        let mut store: Store<u64> = Store::new(draw.fork(), FAULTS, Sabotage::None, 0);
        let rooms = [channel(&mut store, "#a"), channel(&mut store, "#b")];
        let room = |n: u64| rooms[(n % 2) as usize];
        let (mut now, mut next) = (0, 0);
        let mut open: Vec<u64> = Vec::new();
        let mut stored: BTreeMap<u64, Seq> = BTreeMap::new();
        let mut refused: Vec<u64> = Vec::new();
        while next < 200 || !open.is_empty() {
            if next < 200 && draw.chance(400) {
                next += 1;
                store.submit(now, next, &append(room(next), next));
                open.push(next);
            }
            while let Some(at) = store.next_at().filter(|at| *at <= now) {
                assert!(at <= now);
                let Some(due) = store.step(now) else { continue };
                match due.answer {
                    Answer::Stored { seq, .. } => {
                        open.retain(|n| *n != due.ticket);
                        stored.insert(due.ticket, seq);
                    }
                    Answer::Refused(_) => {
                        open.retain(|n| *n != due.ticket);
                        refused.push(due.ticket);
                    }
                    Answer::Unknown => {
                        store.submit(now, due.ticket, &append(room(due.ticket), due.ticket));
                    }
                    other => panic!("{other:?}"),
                }
            }
            if draw.chance(3) {
                store.crash(now);
                // Whoever asked is gone too; what was answered must be there, what was not may be.
                open.clear();
            }
            now += 1;
        }
        for id in rooms {
            let channel = store.tables.channel(id).expect("it was made");
            let places: Vec<u64> = channel.entries.iter().map(|entry| entry.seq.0).collect();
            let expected: Vec<u64> = (1..=channel.row.last.0).collect();
            assert_eq!(places, expected, "seed {seed}");
            assert!(channel.entries.iter().is_sorted_by_key(|entry| entry.time));
        }
        for (n, seq) in &stored {
            let channel = store.tables.channel(room(*n)).expect("it was made");
            assert_eq!(channel.place(MsgId(*n)), Some(*seq), "seed {seed}");
        }
        for n in &refused {
            let channel = store.tables.channel(room(*n)).expect("it was made");
            assert_eq!(channel.place(MsgId(*n)), None, "seed {seed}");
        }
    }
}

/// Appends to one channel that are all certain at once are answered in the order they were given.
#[test]
fn one_channel_keeps_its_order_and_two_do_not() {
    let slow = Faults {
        refuse: 0,
        lose_after: 0,
        lose_before: 0,
        stall: 0,
        ..FAULTS
    };
    let mut overtaken = false;
    for seed in 0..20 {
        let mut store: Store<u64> = Store::new(Draw::new(seed, 7), slow, Sabotage::None, 0);
        let rooms = [channel(&mut store, "#a"), channel(&mut store, "#b")];
        for n in 0..60 {
            store.submit(0, n, &append(rooms[(n % 2) as usize], n));
        }
        let mut answered = Vec::new();
        while let Some(at) = store.next_at() {
            answered.extend(store.step(at).map(|due| due.ticket));
        }
        for parity in [0, 1] {
            assert!(answered.iter().filter(|n| **n % 2 == parity).is_sorted());
        }
        overtaken |= !answered.is_sorted();
    }
    assert!(overtaken);
}
