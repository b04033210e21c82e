//! The database behind two threads: one that writes, in groups, and one that reads meanwhile.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use soqet_core::id::Ticket;
use soqet_core::store::{Effect, Operation, Outcome};

use super::answer::Answer;
use super::packed::Packed;
use super::reads;
use super::sqlite::{Sqlite, close};
use super::writer::Writer;

/// Operations in one transaction at most: more gain little, and those that wait for it wait longer.
const GROUP: usize = 256;

/// A store at work. Queues are as long as the core's tables of requests and appends, no longer.
///
/// Writes are done in the order in which they were submitted. A read that is submitted after a write was answered sees it.
/// Dropped without [`Handle::stop`] it lets the threads finish what was submitted, and does not wait for them.
#[derive(Debug)]
pub struct Handle<T = Ticket> {
    writes: Lane<T, Result<(), String>>,
    reads: Lane<T, ()>,
    replies: Receiver<Reply<T>>,
    signal: Arc<Signal>,
    pending: usize,
}

/// A thread of the store has ended: the store answers no more, and the process should end with an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Died(
    /// Which thread, and why.
    pub String,
);

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store has failed: {}", self.0)
    }
}

impl std::error::Error for Died {}

/// A queue and the thread that works it off.
#[derive(Debug)]
struct Lane<T, R> {
    jobs: Sender<Job<T>>,
    thread: JoinHandle<R>,
}

#[derive(Debug)]
struct Job<T> {
    ticket: T,
    operation: Packed,
}

#[derive(Debug)]
enum Reply<T> {
    Answers(Vec<(T, Answer)>),
    Died(&'static str),
}

/// Wakes the caller's thread, once for all answers that it has not yet seen.
struct Signal {
    raised: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Signal {
    fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    fn lower(&self) {
        self.raised.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signal").field(&self.raised).finish()
    }
}

/// The end of a thread's way back; tells of a panic.
struct Back<T> {
    name: &'static str,
    replies: Sender<Reply<T>>,
    signal: Arc<Signal>,
}

impl<T> Back<T> {
    fn send(&self, answers: Vec<(T, Answer)>) {
        // The receiver is gone when nobody wants to know any more.
        if self.replies.send(Reply::Answers(answers)).is_ok() {
            self.signal.raise();
        }
    }
}

impl<T> Drop for Back<T> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.replies.send(Reply::Died(self.name)).is_ok() {
            // Whatever was raised before: it may have been `wake` itself that panicked.
            self.signal.lower();
            self.signal.raise();
        }
    }
}

impl<T: Send + 'static> Handle<T> {
    /// Starts the threads. `wake` is called on one of them when there is something to [`drain`](Self::drain), and not again before
    /// it was drained.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(sqlite: Sqlite, wake: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        let Sqlite {
            reader,
            writer,
            lock,
        } = sqlite;
        let signal = Arc::new(Signal {
            raised: AtomicBool::new(false),
            wake: Box::new(wake),
        });
        let (replies_in, replies) = channel();
        let back = |name| Back {
            name,
            replies: replies_in.clone(),
            signal: signal.clone(),
        };
        let writes = lane("store-write", back("store-write"), move |jobs, back| {
            write(&writer, jobs, back);
            let closed = close(writer);
            drop(lock);
            closed
        })?;
        let reads = lane("store-read", back("store-read"), move |jobs, back| {
            for job in jobs {
                let answer = reader.read(&job.operation.operation());
                back.send(vec![(job.ticket, answer)]);
            }
        })?;
        Ok(Self {
            writes,
            reads,
            replies,
            signal,
            pending: 0,
        })
    }

    /// Queues an operation; `ticket` comes back with its answer.
    pub fn request(&mut self, ticket: T, operation: &Operation<'_>) {
        let job = Job {
            ticket,
            operation: Packed::new(operation),
        };
        let jobs = if reads::is_read(operation) {
            &self.reads.jobs
        } else {
            &self.writes.jobs
        };
        self.pending += 1;
        // Where the thread is gone, `drain` tells.
        let _ = jobs.send(job);
    }

    /// Hands over the answers that have come in, without waiting.
    ///
    /// # Errors
    /// A thread has panicked: some answers will never come.
    pub fn drain(&mut self, mut f: impl FnMut(T, Outcome<'_>)) -> Result<(), Died> {
        // First, so that whatever comes in from now on wakes again.
        self.signal.lower();
        while let Ok(reply) = self.replies.try_recv() {
            match reply {
                Reply::Answers(answers) => {
                    for (ticket, answer) in answers {
                        self.pending = self.pending.saturating_sub(1);
                        f(ticket, answer.outcome());
                    }
                }
                Reply::Died(name) => return Err(Died(format!("thread {name} panicked"))),
            }
        }
        Ok(())
    }

    /// How many operations were submitted whose answers were not yet handed over.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Finishes what was submitted, closes the database and ends the threads. Answers not yet drained are dropped.
    ///
    /// # Errors
    /// A thread has panicked, or closing failed. What was answered as stored is stored nevertheless.
    pub fn stop(self) -> Result<(), Died> {
        // The reader first: the connection closed last cleans up, and must be able to write.
        let read = join(self.reads);
        let written = join(self.writes);
        read?;
        written?.map_err(Died)
    }
}

impl Handle<Ticket> {
    /// Queues storage work of the core.
    pub fn submit(&mut self, effect: &Effect<'_>) {
        self.request(effect.ticket, &effect.operation);
    }
}

fn lane<T: Send + 'static, R: Send + 'static>(
    name: &'static str,
    back: Back<T>,
    work: impl FnOnce(Receiver<Job<T>>, &Back<T>) -> R + Send + 'static,
) -> std::io::Result<Lane<T, R>> {
    let (jobs, queue) = channel();
    let thread = Builder::new()
        .name(name.into())
        .spawn(move || work(queue, &back))?;
    Ok(Lane { jobs, thread })
}

/// Ends a lane's queue and waits until it is worked off.
fn join<T, R>(lane: Lane<T, R>) -> Result<R, Died> {
    let name = lane.thread.thread().name().unwrap_or_default().to_owned();
    drop(lane.jobs);
    lane.thread
        .join()
        .map_err(|panic| Died(format!("thread {name} panicked: {}", message(&*panic))))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Works off the queue of writes, in groups of whatever has come in meanwhile.
fn write<T>(writer: &Writer, queue: Receiver<Job<T>>, back: &Back<T>) {
    let mut group: Vec<Job<T>> = Vec::with_capacity(GROUP);
    let mut answers = Vec::with_capacity(GROUP);
    while let Ok(job) = queue.recv() {
        group.push(job);
        group.extend(queue.try_iter().take(GROUP - 1));
        let operations: Vec<_> = group.iter().map(|job| job.operation.operation()).collect();
        writer.write(&operations, &mut answers);
        back.send(
            group
                .drain(..)
                .map(|job| job.ticket)
                .zip(answers.drain(..))
                .collect(),
        );
    }
}
