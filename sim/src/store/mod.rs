//! A store that keeps the contract of `soqet_core::store` on an unkind medium: work is delayed, overtaken by work of other channels,
//! refused, answered without being certain, and cut short by a crash.

mod locate;
mod mirror;
mod tables;
mod work;

use std::collections::BTreeMap;

use soqet_core::id::Ticket;
use soqet_core::store::packed::Packed;
use soqet_core::store::{Operation, Reason};

use mirror::Mirror;
pub use tables::{Channel, Commit, Tables};
pub use work::{Account, Answer, Lane, OwnedEntry, Work};

use crate::draw::Draw;

/// How unkind the medium is; chances in a thousand, times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Longest ordinary time until work is committed.
    pub commit_ms: u64,
    /// Longest ordinary time from the commit to its answer.
    pub answer_ms: u64,
    /// Work that takes a hundred times as long.
    pub slow: u16,
    /// Writes refused.
    pub refuse: u16,
    /// Reads refused, so that a request fails for good.
    pub refuse_reads: u16,
    /// Work executed, but answered `Unknown`.
    pub lose_after: u16,
    /// Work not executed and answered `Unknown`.
    pub lose_before: u16,
    /// Work at which the whole medium stops for some seconds.
    pub stall: u16,
}

impl Faults {
    /// A medium that is only a little slow.
    pub const HEALED: Self = Self {
        commit_ms: 3,
        answer_ms: 1,
        slow: 0,
        refuse: 0,
        refuse_reads: 0,
        lose_after: 0,
        lose_before: 0,
        stall: 0,
    };
}

/// How the store breaks its contract on purpose, to see whether the oracle notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sabotage {
    /// It keeps the contract.
    #[default]
    None,
    /// It answers `Stored` although a crash within the next second undoes it.
    AcknowledgeEarly,
    /// A crash takes the newest entry of each channel with it.
    ForgetAtCrash,
    /// It stores a repeated entry a second time.
    StoreTwice,
}

enum Fate {
    Normal,
    Refuse(Reason),
    LoseAfter,
    LoseBefore,
}

struct Pending<T> {
    ticket: T,
    work: Work,
    /// The operation and its texts, for the store on flash.
    packed: Option<(Packed, Vec<u8>)>,
    fate: Fate,
    answer_after: u64,
}

/// An answer that is due.
pub struct Due<T> {
    /// Whose.
    pub ticket: T,
    /// What it says.
    pub answer: Answer,
}

/// The store. `T` names a piece of work to whoever gave it.
pub struct Store<T = Ticket> {
    /// The durable part.
    pub tables: Tables,
    /// Entries committed since the caller last took them.
    pub commits: Vec<Commit>,
    faults: Faults,
    sabotage: Sabotage,
    draw: Draw,
    order: u64,
    pending: BTreeMap<(u64, u64), Pending<T>>,
    answers: BTreeMap<(u64, u64), (T, Answer)>,
    lanes: BTreeMap<Lane, (u64, u64)>,
    stalled_until: u64,
    executed: u64,
    early: Vec<(u64, soqet_core::id::ChannelId)>,
    /// The store of a board, doing the same.
    mirror: Option<Box<dyn Mirror>>,
}

impl<T> Store<T> {
    /// An empty store.
    pub fn new(draw: Draw, faults: Faults, sabotage: Sabotage, slack: usize) -> Self {
        Self {
            tables: Tables::new(slack, sabotage == Sabotage::StoreTwice),
            commits: Vec::new(),
            faults,
            sabotage,
            draw,
            order: 0,
            pending: BTreeMap::new(),
            answers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            stalled_until: 0,
            executed: 0,
            early: Vec::new(),
            mirror: None,
        }
    }

    /// From now on, which is its beginning, a store on simulated flash does the same, and gives the answers.
    ///
    /// # Panics
    /// Later, when that store gives other answers than the tables.
    pub fn on_flash(&mut self, draw: Draw) {
        self.mirror = Some(mirror::draw(draw));
    }

    /// From now on it is that unkind.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.stalled_until = 0;
    }

    /// How much work was executed.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// How many pieces of work are neither executed nor answered.
    pub fn backlog(&self) -> usize {
        self.pending.len() + self.answers.len()
    }

    /// Takes a piece of work.
    pub fn submit(&mut self, now: u64, ticket: T, operation: &Operation<'_>) {
        let work = Work::owned(operation);
        let packed = self.mirror.as_ref().and_then(|_| {
            let mut texts = vec![0; Packed::length(operation)];
            Some((Packed::new(operation, &mut texts)?, texts))
        });
        let faults = self.faults;
        let write = work.is_write();
        if self.draw.chance(faults.stall) {
            self.stalled_until = now + self.draw.between(500, 8_000);
        }
        let factor = if self.draw.chance(faults.slow) {
            100
        } else {
            1
        };
        let mut commit_at =
            now.max(self.stalled_until) + self.draw.between(0, faults.commit_ms) * factor;
        let mut answer_after = self.draw.between(0, faults.answer_ms) * factor;
        if let Some(lane) = work.lane() {
            let (last_commit, last_answer) = self.lanes.get(&lane).copied().unwrap_or_default();
            commit_at = commit_at.max(last_commit);
            answer_after = answer_after.max(last_answer.saturating_sub(commit_at));
            self.lanes
                .insert(lane, (commit_at, commit_at + answer_after));
        }
        let refuse = if write {
            faults.refuse
        } else {
            faults.refuse_reads
        };
        // Settings are never refused: a server without them cannot run, and a host would not start.
        let settings = matches!(work, Work::LoadSettings | Work::PutSettings(_));
        let fate = if !settings && self.draw.chance(refuse) {
            let full = write && self.draw.chance(500);
            Fate::Refuse(if full { Reason::Full } else { Reason::Failed })
        } else if self.draw.chance(faults.lose_after) {
            Fate::LoseAfter
        } else if self.draw.chance(faults.lose_before) {
            Fate::LoseBefore
        } else {
            Fate::Normal
        };
        self.order += 1;
        self.pending.insert(
            (commit_at, self.order),
            Pending {
                ticket,
                work,
                packed,
                fate,
                answer_after,
            },
        );
    }

    /// When something is to be executed or answered next.
    pub fn next_at(&self) -> Option<u64> {
        let pending = self.pending.first_key_value().map(|(key, _)| key.0);
        let answer = self.answers.first_key_value().map(|(key, _)| key.0);
        pending.into_iter().chain(answer).min()
    }

    /// Does one thing that is due: executes a piece of work, or returns an answer.
    pub fn step(&mut self, now: u64) -> Option<Due<T>> {
        if let Some(entry) = self.answers.first_entry()
            && entry.key().0 <= now
        {
            let (ticket, answer) = entry.remove();
            return Some(Due { ticket, answer });
        }
        let entry = self.pending.first_entry()?;
        let key = *entry.key();
        if key.0 > now {
            return None;
        }
        let pending = entry.remove();
        let answer = match pending.fate {
            Fate::Normal => self.execute(now, &pending),
            Fate::LoseAfter => {
                self.execute(now, &pending);
                Answer::Unknown
            }
            Fate::LoseBefore => Answer::Unknown,
            // What is stored already cannot be refused any more.
            Fate::Refuse(reason) if !self.holds(&pending.work) => Answer::Refused(reason),
            Fate::Refuse(_) => self.execute(now, &pending),
        };
        let at = (key.0 + pending.answer_after).max(now);
        self.answers.insert((at, key.1), (pending.ticket, answer));
        None
    }

    fn holds(&self, work: &Work) -> bool {
        match work {
            Work::Append(append) => self
                .tables
                .channel(append.channel)
                .is_some_and(|channel| channel.place(append.msgid).is_some()),
            Work::CreateAccount(account) => self.tables.account(&account.name).is_some(),
            Work::CreateChannel { key, .. } => self.tables.find(key).is_some(),
            _ => false,
        }
    }

    fn execute(&mut self, now: u64, pending: &Pending<T>) -> Answer {
        let before = self.commits.len();
        let mut answer = self.tables.execute(&pending.work, &mut self.commits);
        if let (Some(mirror), Some((packed, texts))) = (&mut self.mirror, &pending.packed) {
            let operation = packed.operation(texts);
            let flash = mirror.execute(&operation);
            assert!(
                mirror::agree(&operation, &answer, &flash),
                "to {operation:?} the store on flash says {flash:?} instead of {answer:?}"
            );
            answer = flash;
        }
        self.executed += 1;
        if self.sabotage == Sabotage::AcknowledgeEarly {
            for commit in self.commits.iter().skip(before) {
                self.early.push((now + 1000, commit.channel));
            }
        }
        answer
    }

    /// The power goes: what was not committed is gone, what was committed but not answered stays.
    pub fn crash(&mut self, now: u64) {
        if let Some(mut mirror) = self.mirror.take() {
            // What was being written: it is found half done, and is done before all else, as if it had been done just in time.
            let within = self.pending.pop_first().map(|(_, pending)| pending);
            let within = within.filter(|pending| pending.work.is_write());
            let packed = within.as_ref().and_then(|pending| pending.packed.as_ref());
            let operation = packed.map(|(packed, texts)| packed.operation(texts));
            mirror.crash(operation.as_ref());
            self.mirror = Some(mirror);
            if let Some(pending) = within {
                self.execute(now, &pending);
            }
        }
        self.pending.clear();
        self.answers.clear();
        self.lanes.clear();
        self.stalled_until = 0;
        let lost = match self.sabotage {
            Sabotage::AcknowledgeEarly => std::mem::take(&mut self.early)
                .into_iter()
                .filter(|(flushed_at, _)| *flushed_at > now)
                .map(|(_, channel)| channel)
                .collect(),
            Sabotage::ForgetAtCrash => self.tables.channels().map(|c| c.row.id).collect(),
            Sabotage::None | Sabotage::StoreTwice => Vec::new(),
        };
        for channel in lost {
            if let Some(channel) = self.tables.channel_mut(channel) {
                channel.forget_newest();
            }
        }
    }
}

#[cfg(test)]
mod tests;
