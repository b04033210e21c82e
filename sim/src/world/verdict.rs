//! From the end of the faults to the verdict.

use std::collections::BTreeMap;

use super::network::context;
use super::{PATIENCE_MS, Phase, World};
use crate::client::{Client, Context};
use crate::line::fold;
use crate::store::Faults;

/// How long nothing must happen, virtual milliseconds.
const QUIET_MS: u64 = 1_500;

impl World {
    pub(super) fn advance_phase(&mut self) {
        match self.phase {
            Phase::Chaos if self.now >= self.heal_at => self.heal(),
            Phase::Chaos | Phase::Done => {}
            Phase::Healing => {
                if self.is_at_rest(Client::is_idle) {
                    self.begin_asking();
                } else if self.now > self.last_words_by {
                    self.never_rests();
                }
            }
            Phase::Asking => {
                if self.is_at_rest(|client| client.is_idle() && client.is_checked()) {
                    self.judge();
                } else if self.now > self.last_words_by {
                    self.never_rests();
                }
            }
        }
    }

    fn heal(&mut self) {
        self.trace.note(self.now, "heal", 0, &[]);
        self.phase = Phase::Healing;
        self.crash_at = u64::MAX;
        self.crash_after = None;
        self.store.set_faults(Faults::HEALED);
        self.plan.short_writes = 0;
        self.last_words_by = self.now + PATIENCE_MS;
        for client in &mut self.clients {
            client.act_at = client.act_at.min(self.now + 1);
        }
    }

    fn is_at_rest(&mut self, settled: impl Fn(&Client) -> bool) -> bool {
        if !(self.is_quiet() && self.clients.iter().all(settled)) {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(self.now);
        self.now >= since + QUIET_MS
    }

    fn never_rests(&mut self) {
        self.phase = Phase::Done;
        if self.plan.scarce {
            // Not everybody fits in; that nothing wrong was shown is all there is to say.
            return self.oracle.verify_store(&self.store.tables);
        }
        let noise = self.noise();
        let waiting: Vec<String> = self
            .clients
            .iter()
            .filter(|client| {
                !client.is_idle() || (self.quiet_since.is_none() && !client.is_checked())
            })
            .map(|client| format!("{} waits for {}", client.role.nick, client.waits_for()))
            .collect();
        self.oracle.object(format!(
            "does not come to rest: {noise}; {}",
            waiting.join("; ")
        ));
    }

    fn begin_asking(&mut self) {
        self.trace.note(self.now, "ask", 0, &[]);
        self.oracle.verify_store(&self.store.tables);
        self.phase = Phase::Asking;
        self.quiet_since = None;
        self.last_words_by = self.now + PATIENCE_MS;
        for client in &mut self.clients {
            let mut context = context!(self);
            if !self.plan.scarce {
                client.judge_live(&mut context);
            }
            client.start_check(&mut context);
            client.act_at = self.now + 1;
        }
    }

    fn judge(&mut self) {
        self.trace.note(self.now, "judge", 0, &[]);
        self.phase = Phase::Done;
        self.oracle.verify_store(&self.store.tables);
        if self.plan.scarce {
            return;
        }
        let mut online: BTreeMap<String, bool> = BTreeMap::new();
        for client in &self.clients {
            *online.entry(fold(&client.role.nick)).or_default() |= client.is_online();
        }
        for client in &self.clients {
            let mut context = context!(self);
            client.judge_answers(&online, &mut context);
        }
    }
}
