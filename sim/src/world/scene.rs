//! Everything of a world but its network and its event loop: who takes part, what is stored, what happened.

use std::collections::BTreeSet;

use soqet_core::store::Effect;

use super::{Counts, Phase};
use crate::client::scram::Salted;
use crate::client::{Client, Context};
use crate::draw::Draw;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::store::Store;
use crate::trace::Trace;

/// See the module.
pub(super) struct Scene {
    pub plan: Plan,
    pub draw: Draw,
    /// Virtual time, milliseconds.
    pub now: u64,
    pub phase: Phase,
    pub store: Store,
    pub clients: Vec<Client>,
    pub oracle: Oracle,
    pub salted: Salted,
    pub registered: BTreeSet<String>,
    pub counts: Counts,
    pub trace: Trace,
}

impl Scene {
    /// Hands the server's storage work to the store.
    pub fn submit(&mut self, effect: &Effect<'_>) {
        let words = format!("{:?} {:?}", effect.ticket, effect.operation);
        self.trace.note(self.now, "effect", 0, words.as_bytes());
        self.store
            .submit(self.now, effect.ticket, &effect.operation);
    }

    /// Passes on what the store has committed.
    pub fn take_commits(&mut self) {
        for commit in self.store.commits.drain(..) {
            let words = format!(
                "{} {} {:?} {} {}",
                commit.entry.seq.0,
                commit.entry.msgid,
                commit.entry.kind,
                commit.entry.nick,
                commit.entry.text
            );
            let channel = u64::from(commit.channel.0);
            self.trace
                .note(self.now, "commit", channel, words.as_bytes());
            self.oracle.committed(commit, &self.store.tables);
        }
    }

    /// Lets a client do something, with all that clients share.
    pub fn with_client<R>(
        &mut self,
        id: usize,
        act: impl FnOnce(&mut Client, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let client = self.clients.get_mut(id)?;
        let mut context = Context {
            now: self.now,
            oracle: &mut self.oracle,
            tables: &self.store.tables,
            salted: &mut self.salted,
            registered: &mut self.registered,
            failed_logins: 0,
            gaps: 0,
            page: self.plan.config.page,
            keep: self.plan.config.history,
            replay: self.plan.config.replay,
            reads_fail: self.plan.faults.refuse_reads > 0,
            crashes: self.counts.crashes,
            healed: self.phase != Phase::Chaos,
            rest: self.phase == Phase::Asking && !self.plan.scarce,
            trace: &mut self.trace,
        };
        let result = act(client, &mut context);
        self.counts.gaps += context.gaps;
        self.counts.failed_logins += context.failed_logins;
        Some(result)
    }
}
