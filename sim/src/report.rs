//! Runs a seed and tells what came of it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use serde::Serialize;

use crate::world::{Options, World};

/// What came of a seed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Digest of every event: the same seed gives the same on any machine.
    pub digest: String,
    /// How many events there were.
    pub events: u64,
    /// How long it took, virtual milliseconds.
    pub virtual_ms: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused.
    pub refused: u64,
    /// Crashes of the server.
    pub crashes: u64,
    /// Messages that clients meant to send.
    pub meant: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages refused.
    pub failed: u64,
    /// Entries committed.
    pub commits: u64,
    /// Gaps clients were told of.
    pub gaps: u64,
    /// Logins that failed in spite of the right password.
    pub failed_logins: u64,
    /// Bytes clients were sent.
    pub bytes: u64,
    /// What was wrong, if anything.
    pub failure: Option<String>,
    /// The last events in words, where they were asked for.
    #[serde(skip)]
    pub trace: Vec<String>,
    /// All frames and when they were sent, where they were asked for and there are any.
    #[serde(skip)]
    pub frames: Vec<(u64, Vec<u8>)>,
}

thread_local! {
    /// While a world runs on this thread: where it panicked.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
    static RUNNING: RefCell<bool> = const { RefCell::new(false) };
}

/// Panics of worlds are kept for their reports; all others go where they always went.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if RUNNING.with_borrow(|running| *running) {
                PANICKED.set(Some(info.to_string().replace('\n', " ")));
            }
            if !RUNNING.with_borrow(|running| *running)
                || std::env::var_os("RUST_BACKTRACE").is_some()
            {
                usual(info);
            }
        }));
    });
}

/// Runs a seed. A panic of the server is a failure like any other.
pub fn run(seed: u64, options: Options) -> Report {
    keep_panics();
    let mut world = World::new(seed, options);
    RUNNING.set(true);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    RUNNING.set(false);
    let panicked = PANICKED.take().filter(|_| ended.is_err());
    let failure = panicked.or_else(|| world.failure().map(str::to_owned));
    let (meant, acked, failed) = world.messages();
    let (counts, virtual_ms, commits) = (world.counts(), world.now(), world.commits());
    let (digest, events) = (world.trace().digest(), world.trace().events());
    let (trace, frames) = world.into_trace().into_parts();
    Report {
        seed,
        digest,
        events,
        virtual_ms,
        accepted: counts.accepted,
        refused: counts.refused,
        crashes: counts.crashes,
        meant,
        acked,
        failed,
        commits,
        gaps: counts.gaps,
        failed_logins: counts.failed_logins,
        bytes: counts.bytes,
        failure,
        trace,
        frames,
    }
}
