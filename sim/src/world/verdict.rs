//! From the end of the faults to the verdict.

use std::collections::BTreeMap;

use super::{PATIENCE_MS, Phase, World};
use crate::client::Client;
use crate::line::fold;
use crate::store::Faults;

/// How long nothing must happen, virtual milliseconds.
const QUIET_MS: u64 = 1_500;

impl World {
    pub(super) fn advance_phase(&mut self) {
        match self.scene.phase {
            Phase::Chaos if self.scene.now >= self.heal_at => self.heal(),
            Phase::Chaos | Phase::Done => {}
            Phase::Healing => {
                if self.is_at_rest(Client::is_idle) {
                    self.begin_asking();
                } else if self.scene.now > self.last_words_by {
                    self.never_rests();
                }
            }
            Phase::Asking => {
                if self.is_at_rest(|client| client.is_idle() && client.is_checked()) {
                    self.judge();
                } else if self.scene.now > self.last_words_by {
                    self.never_rests();
                }
            }
        }
    }

    fn heal(&mut self) {
        self.scene.trace.note(self.scene.now, "heal", 0, &[]);
        self.scene.phase = Phase::Healing;
        self.crash_at = u64::MAX;
        self.crash_after = None;
        self.scene.store.set_faults(Faults::HEALED);
        self.network.heal(&mut self.scene);
        self.last_words_by = self.scene.now + PATIENCE_MS;
        for client in &mut self.scene.clients {
            client.act_at = client.act_at.min(self.scene.now + 1);
        }
    }

    fn is_at_rest(&mut self, settled: impl Fn(&Client) -> bool) -> bool {
        if !(self.network.is_quiet(&self.scene) && self.scene.clients.iter().all(settled)) {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(self.scene.now);
        self.scene.now >= since + QUIET_MS
    }

    fn never_rests(&mut self) {
        self.scene.phase = Phase::Done;
        if self.scene.plan.scarce {
            // Not everybody fits in; that nothing wrong was shown is all there is to say.
            return self.scene.oracle.verify_store(&self.scene.store.tables);
        }
        let noise = self.network.noise(&self.scene);
        let waiting: Vec<String> = self
            .scene
            .clients
            .iter()
            .filter(|client| {
                !client.is_idle() || (self.quiet_since.is_none() && !client.is_checked())
            })
            .map(|client| format!("{} waits for {}", client.role.nick, client.waits_for()))
            .collect();
        self.scene.oracle.object(format!(
            "does not come to rest: {noise}; {}",
            waiting.join("; ")
        ));
    }

    fn begin_asking(&mut self) {
        self.scene.trace.note(self.scene.now, "ask", 0, &[]);
        self.scene.oracle.verify_store(&self.scene.store.tables);
        self.scene.phase = Phase::Asking;
        self.quiet_since = None;
        self.last_words_by = self.scene.now + PATIENCE_MS;
        let scarce = self.scene.plan.scarce;
        for id in 0..self.scene.clients.len() {
            self.scene.with_client(id, |client, context| {
                if !scarce {
                    client.judge_live(context);
                }
                client.start_check(context);
                client.act_at = context.now + 1;
            });
        }
    }

    fn judge(&mut self) {
        self.scene.trace.note(self.scene.now, "judge", 0, &[]);
        self.scene.phase = Phase::Done;
        self.scene.oracle.verify_store(&self.scene.store.tables);
        if self.scene.plan.scarce {
            return;
        }
        let mut online: BTreeMap<String, bool> = BTreeMap::new();
        for client in &self.scene.clients {
            *online.entry(fold(&client.role.nick)).or_default() |= client.is_online();
        }
        for id in 0..self.scene.clients.len() {
            self.scene
                .with_client(id, |client, context| client.judge_answers(&online, context));
        }
    }
}
