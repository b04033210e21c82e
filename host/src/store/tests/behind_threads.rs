//! What threads add: groups, order, and an end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use soqet_core::id::{ChannelId, Seq};
use soqet_core::store::{Operation, Outcome};

use super::rig::*;
use crate::store::{Handle, Sqlite};

#[test]
fn answers_of_a_channel_come_in_order() {
    const CHANNELS: usize = 5;
    const EACH: usize = 400;
    let mut store = Direct::new();
    let channels: Vec<_> = (0..CHANNELS)
        .map(|n| room(&mut store, &format!("#{n}")))
        .collect();
    store.sqlite.take().unwrap().close().unwrap();

    let (mut handle, woken) = start(&store.folder);
    for n in 0..CHANNELS * EACH {
        let made = message(channels[n % CHANNELS], n as u64, 0);
        handle.request(n as u64, &Operation::Append(made));
    }
    let mut answered = [0; CHANNELS];
    while handle.pending() > 0 {
        woken.recv().unwrap();
        handle
            .drain(|ticket, outcome| {
                let Outcome::Stored { seq, .. } = outcome else {
                    panic!("{outcome:?}")
                };
                let ticket = usize::try_from(ticket).unwrap();
                let count = &mut answered[ticket % CHANNELS];
                assert_eq!(ticket / CHANNELS, *count);
                *count += 1;
                assert_eq!(seq.0, *count as u64);
            })
            .unwrap();
    }
    assert_eq!(answered, [EACH; CHANNELS]);
    handle.stop().unwrap();
}

#[test]
fn stopping_finishes_what_was_submitted() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    store.sqlite.take().unwrap().close().unwrap();
    let (mut handle, _woken) = start(&store.folder);
    for msgid in 1..=1000 {
        handle.request(msgid, &Operation::Append(message(a, msgid, 0)));
    }
    handle.stop().unwrap();
    // The log is emptied.
    let names: Vec<_> = std::fs::read_dir(store.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    store.sqlite = Some(Sqlite::open(store.folder.path()).unwrap());
    look(&mut store, a, |record| assert_eq!(record.last, Seq(1000)));
}

#[test]
fn reads_do_not_wait_for_writes_yet_see_what_was_answered() {
    let mut store = Threaded::new();
    let a = room(&mut store, "#a");
    for msgid in 1..=100 {
        append(&mut store, &message(a, msgid, 0));
        look(&mut store, a, |record| assert_eq!(record.last, Seq(msgid)));
    }
}

#[test]
fn a_panic_is_not_silent() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(folder.path()).unwrap();
    let (wake, woken) = channel();
    let first = AtomicBool::new(true);
    let wake = move || {
        assert!(
            !first.swap(false, Ordering::Relaxed),
            "a deliberate panic of a test"
        );
        wake.send(()).unwrap();
    };
    let mut handle = Handle::start(sqlite, wake).unwrap();
    let channel = ChannelId(1);
    handle.request(1_u64, &Operation::RemoveChannel { channel });
    woken.recv().unwrap();
    let died = handle.drain(|_, _| {}).unwrap_err();
    assert!(died.to_string().contains("store-write"), "{died}");
    let stopped = handle.stop().unwrap_err();
    assert!(stopped.to_string().contains("deliberate"), "{stopped}");
}
