//! Stores to test, and short ways to ask them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};

use serde::Deserialize;
use soqet_core::adapters::flash::{FlashStore, SCRATCH};
use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{
    AccountRecord, Append, Change, ChannelKey, ChannelRecord, Entry, Kind, MemberRecord, Operation,
    Outcome, Verifier, next_row,
};
use soqet_sim::draw::Draw;
use soqet_sim::media::{Nor, ready};
use tempfile::TempDir;

use crate::store::{Answer, Handle, Sqlite};

/// A store under test.
pub trait Store {
    /// Does an operation and waits for the answer.
    fn execute(&mut self, operation: &Operation<'_>) -> Answer;
    /// Closes it and opens it again.
    fn reopen(&mut self);
}

/// SQLite without threads.
pub struct Direct {
    pub folder: TempDir,
    pub sqlite: Option<Sqlite>,
}

impl Direct {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Some(Sqlite::open(folder.path()).unwrap());
        Self { folder, sqlite }
    }

    pub fn sqlite(&mut self) -> &mut Sqlite {
        self.sqlite.as_mut().unwrap()
    }

    /// A number from the database, as the sqlite3 tool would show it.
    pub fn number(&mut self, sql: &str) -> i64 {
        let reader = &self.sqlite().reader;
        reader
            .connection()
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }
}

impl Store for Direct {
    fn execute(&mut self, operation: &Operation<'_>) -> Answer {
        self.sqlite().execute(operation)
    }

    fn reopen(&mut self) {
        self.sqlite.take().unwrap().close().unwrap();
        self.sqlite = Some(Sqlite::open(self.folder.path()).unwrap());
    }
}

/// SQLite behind its threads.
pub struct Threaded {
    folder: TempDir,
    handle: Option<Handle<u64>>,
    woken: Receiver<()>,
    next: u64,
}

impl Threaded {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (handle, woken) = start(&folder);
        Self {
            folder,
            handle: Some(handle),
            woken,
            next: 0,
        }
    }
}

pub fn start(folder: &TempDir) -> (Handle<u64>, Receiver<()>) {
    let (wake, woken) = channel();
    let sqlite = Sqlite::open(folder.path()).unwrap();
    let handle = Handle::start(sqlite, move || {
        // The test may have ended.
        let _ = wake.send(());
    })
    .unwrap();
    (handle, woken)
}

impl Store for Threaded {
    fn execute(&mut self, operation: &Operation<'_>) -> Answer {
        let handle = self.handle.as_mut().unwrap();
        self.next += 1;
        handle.request(self.next, operation);
        let mut answer = None;
        while answer.is_none() {
            self.woken.recv().unwrap();
            handle
                .drain(|ticket, outcome| {
                    assert_eq!(ticket, self.next);
                    answer = Some(own(&outcome));
                })
                .unwrap();
        }
        assert_eq!(handle.pending(), 0);
        answer.unwrap()
    }

    fn reopen(&mut self) {
        self.handle.take().unwrap().stop().unwrap();
        let (handle, woken) = start(&self.folder);
        (self.handle, self.woken) = (Some(handle), woken);
    }
}

/// The store of a microcontroller, on a simulated chip.
pub struct Flash(Option<FlashStore<Chip>>);

type Chip = Nor<4, 16384>;

impl Flash {
    pub fn new() -> Self {
        let mut flash = Self(None);
        flash.open(Nor::new(64, Draw::new(1, 1)));
        flash
    }

    fn open(&mut self, chip: Chip) {
        let store = self.0.insert(FlashStore::new(chip));
        ready(store.open(&mut [0; SCRATCH])).unwrap();
    }
}

impl Store for Flash {
    fn execute(&mut self, operation: &Operation<'_>) -> Answer {
        let mut buffer = [0; 5000];
        let store = self.0.as_mut().unwrap();
        own(&ready(store.execute(operation, &mut buffer)))
    }

    fn reopen(&mut self) {
        let store = self.0.take().unwrap();
        self.open(store.into_flash());
    }
}

fn own(outcome: &Outcome<'_>) -> Answer {
    use crate::store::rows::encode;
    match *outcome {
        Outcome::Stored { seq, time } => Answer::Stored { seq, time },
        Outcome::Done => Answer::Done,
        Outcome::Created(id) => Answer::Created(id),
        Outcome::Refused(reason) => Answer::Refused(reason),
        Outcome::Unknown => Answer::Unknown,
        Outcome::Settings(settings) => Answer::Settings(settings),
        Outcome::Account(record) => Answer::Account(record.map(|r| encode(&r).unwrap())),
        Outcome::Channel(record) => Answer::Channel(record.map(|r| encode(&r).unwrap())),
        Outcome::Member(member) => Answer::Member(member),
        Outcome::Page { rows, more } => Answer::Page {
            rows: rows.to_vec(),
            more,
        },
        Outcome::Bounds(bounds) => Answer::Bounds(bounds),
    }
}

/// Makes a test of each function of `$module`, for each kind of store.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod direct { $(#[test] fn $name() { super::$name(&mut crate::store::tests::rig::Direct::new()); })* }
        mod flash { $(#[test] fn $name() { super::$name(&mut crate::store::tests::rig::Flash::new()); })* }
        mod threaded { $(#[test] fn $name() { super::$name(&mut crate::store::tests::rig::Threaded::new()); })* }
    };
}
pub(super) use promises;

/// As [`promises`], of what only SQLite does.
macro_rules! of_sqlite {
    ($($name:ident),* $(,)?) => {
        mod direct_sqlite { $(#[test] fn $name() { super::$name(&mut crate::store::tests::rig::Direct::new()); })* }
        mod threaded_sqlite { $(#[test] fn $name() { super::$name(&mut crate::store::tests::rig::Threaded::new()); })* }
    };
}
pub(super) use of_sqlite;

/// A record of an account to be created.
pub fn record(name: &str) -> AccountRecord<'_> {
    AccountRecord {
        id: AccountId::NONE,
        name,
        display: "",
        titles: "",
        flags: 0,
        verifier: Verifier {
            iterations: 4096,
            salt: [1; 16],
            stored_key: [2; 32],
            server_key: [3; 32],
        },
        created: 1000,
    }
}

/// Creates an account.
pub fn account(store: &mut dyn Store, name: &str) -> AccountId {
    match store.execute(&Operation::CreateAccount(record(name))) {
        Answer::Created(id) => id,
        other => panic!("{name}: {other:?}"),
    }
}

/// Creates a channel.
pub fn channel_of(store: &mut dyn Store, key: ChannelKey<'_>) -> ChannelId {
    let answer = store.execute(&Operation::CreateChannel {
        key,
        founder: AccountId::NONE,
        time: 2000,
        modes: 0,
    });
    with_channel(&answer, |record| record.id)
}

/// Creates a room.
pub fn room(store: &mut dyn Store, name: &str) -> ChannelId {
    channel_of(store, ChannelKey::Room(name))
}

/// Looks into a channel's record.
pub fn with_channel<T>(answer: &Answer, f: impl FnOnce(ChannelRecord<'_>) -> T) -> T {
    match answer.outcome() {
        Outcome::Channel(Some(record)) => f(record),
        other => panic!("{other:?}"),
    }
}

/// Reads a channel.
pub fn look<T>(
    store: &mut dyn Store,
    channel: ChannelId,
    f: impl FnOnce(ChannelRecord<'_>) -> T,
) -> T {
    with_channel(
        &store.execute(&Operation::FindChannel(ChannelKey::Id(channel))),
        f,
    )
}

/// A message on its way.
pub fn message(channel: ChannelId, msgid: u64, time: u64) -> Append<'static> {
    Append {
        channel,
        time,
        msgid: MsgId(msgid),
        entry: Entry {
            seq: Seq::NONE,
            time: 0,
            msgid: MsgId(msgid),
            kind: Kind::Privmsg,
            sender: AccountId(1),
            nick: "ann",
            tags: "",
            subject: "",
            text: "hello",
        },
        change: Change::None,
        keep: 1000,
    }
}

/// Another kind of entry, with its change.
pub fn event(channel: ChannelId, msgid: u64, kind: Kind, change: Change<'_>) -> Append<'_> {
    let mut append = message(channel, msgid, 5000);
    append.entry.kind = kind;
    Append { change, ..append }
}

/// Appends and expects it stored.
pub fn append(store: &mut dyn Store, append: &Append<'_>) -> (u64, u64) {
    match store.execute(&Operation::Append(append.clone())) {
        Answer::Stored { seq, time } => (seq.0, time),
        other => panic!("{other:?}"),
    }
}

/// Changes a membership.
pub fn set_member(store: &mut dyn Store, channel: ChannelId, id: AccountId, flags: u8, msgid: u64) {
    let change = Change::Member { account: id, flags };
    append(store, &event(channel, msgid, Kind::Join, change));
}

/// Reads a membership.
pub fn member(store: &mut dyn Store, channel: ChannelId, id: AccountId) -> Option<MemberRecord> {
    match store.execute(&Operation::FindMember {
        channel,
        account: id,
    }) {
        Answer::Member(member) => member,
        other => panic!("{other:?}"),
    }
}

/// The rows of a page, each handed to `f`, and whether there are more.
pub fn rows<T>(answer: &Answer, mut f: impl FnMut(&mut &[u8]) -> Option<T>) -> (Vec<T>, bool) {
    let Answer::Page { rows, more } = answer else {
        panic!("{answer:?}")
    };
    let mut rest = rows.as_slice();
    let mut found = Vec::new();
    while let Some(row) = f(&mut rest) {
        found.push(row);
    }
    assert!(rest.is_empty(), "a damaged page");
    (found, *more)
}

/// All rows page by page. `ask` makes the operation that goes on after the last row's key; `key` takes it from a row.
pub fn all<'o, R, K: Clone>(
    store: &mut dyn Store,
    start: K,
    ask: impl Fn(K) -> Operation<'o>,
    key: impl Fn(R) -> K,
) -> Vec<K>
where
    R: for<'a> Deserialize<'a>,
{
    let mut after = start;
    let mut found = VecDeque::new();
    loop {
        let (page, more) = rows(&store.execute(&ask(after.clone())), |rest| {
            next_row::<R>(rest).map(&key)
        });
        found.extend(page);
        match found.back() {
            Some(last) if more => after = last.clone(),
            last => {
                assert!(last.is_some() || !more, "an empty page says there are more");
                return found.into();
            }
        }
    }
}
