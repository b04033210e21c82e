//! What time brings: timeouts, retries, markers to be saved, keys to be derived, time stamps to be reserved. Runs in `poll`.

use super::clock::RESERVE_MS;
use super::request::What;
use super::{Link, Server};
use crate::store::Settings;
use crate::tables::List;
use crate::time::Instant;

/// Connections run, and timers fired, in one `poll`.
const PER_POLL: usize = 64;
/// How long who waits for a slot or buffer may be overlooked, milliseconds.
const SWEEP_MS: u64 = 100;
/// How often the holders of buffers are looked at while there are none, milliseconds.
const RELIEF_MS: u64 = 1_000;
/// How often a line may be found unfinished then.
const UNFINISHED: u8 = 2;
/// How often a reply may be found unread then.
const UNREAD: u8 = 6;

impl Server<'_> {
    pub(super) fn maintain(&mut self) {
        let now = self.now;
        self.derive();
        for _ in 0..PER_POLL {
            let Some(c) = self.timers.pop(now) else { break };
            self.timer(c);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            let (requests, appends) = (self.retry_requests(), self.retry_appends());
            self.retry_at = [requests, appends].into_iter().flatten().min();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_markers();
        }
        self.reserve_time();
        self.sweep_guests();
        for _ in 0..PER_POLL {
            let Some(c) = self.runnable.pop_front(&mut self.conns) else {
                break;
            };
            self.run(c);
        }
        // After the commands that begin removals: nothing else may call before they have gone a step.
        if self.removal_at.is_none_or(|at| at <= now) {
            self.removal_at = None;
            self.go_on_removing();
        }
        self.sweep_stalled();
        self.relieve();
    }

    /// What is free wakes the longest waiting, who may be waiting for something else: so now and then all try again.
    fn sweep_stalled(&mut self) {
        let now = self.now;
        if self.stalled.is_empty() {
            self.sweep_at = None;
        } else if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.unstall_all();
        } else if self.sweep_at.is_none() {
            self.sweep_at = Some(now + SWEEP_MS);
        }
    }

    /// While there are no buffers, whoever holds one and does not go on loses it: a line that never ends, and a reply that is never read,
    /// must not keep everybody else waiting.
    fn relieve(&mut self) {
        let now = self.now;
        let (lines, replies) = (self.lines.available() == 0, self.replies.available() == 0);
        if !lines && !replies {
            self.relief_at = None;
            return;
        }
        if self.relief_at.is_none_or(|at| at <= now) {
            let first = self.relief_at.is_none();
            self.relief_at = Some(now + RELIEF_MS);
            if first {
                return;
            }
            for c in 0..self.conns.high_water() {
                if !self.conns.in_use(c) {
                    continue;
                }
                let conn = &self.conns[c];
                let unread = conn.sending && !(conn.reply.is_empty() && conn.tail.is_empty());
                let unfinished = lines && !conn.closing && self.is_unfinished(c);
                let stuck = if unfinished || (replies && unread) {
                    self.conns[c].stuck.saturating_add(1)
                } else {
                    0
                };
                self.conns[c].stuck = stuck;
                if unfinished && stuck >= UNFINISHED {
                    self.close_with_error(
                        c,
                        "Your line did not end, and others wait for its place",
                    );
                } else if replies && unread && stuck >= UNREAD {
                    self.abort(c);
                }
            }
        }
    }

    /// A connection's deadline: flood control lets it go on, or it has been silent too long.
    fn timer(&mut self, c: u32) {
        let now = self.now;
        let ping = u64::from(self.config.ping_ms);
        let conn = &self.conns[c];
        let heard = Instant(conn.heard.get());
        if conn.closing && !conn.pinged {
            // It was told only since the timer was set: it has as long to read that.
            self.conns[c].pinged = true;
            self.timers.set(c, now + ping);
        } else if conn.closing {
            // It was told, and does not even read that.
            let conn = &mut self.conns[c];
            conn.reply.start = conn.reply.end;
            conn.tail.start = conn.tail.end;
            conn.sending = false;
            self.wake(c);
            self.timers.set(c, now + ping);
        } else if !conn.is_welcomed() && conn.protocol == super::Protocol::Irc {
            let end = Instant(conn.opened.get()) + u64::from(self.config.login_ms);
            if end <= now {
                self.close_with_error(c, "You did not log in in time");
                self.conns[c].pinged = true;
                self.timers.set(c, now + ping);
            } else {
                self.timers.set(c, end);
            }
        } else if conn.waiting_on.is_some() || conn.unstored > 0 || conn.awaiting || conn.page_asked
        {
            // The store lets it wait: that is not its fault.
            self.timers.set(c, now + ping);
        } else if now - heard >= 2 * ping && conn.pinged {
            self.close_with_error(c, "Ping timeout");
            self.conns[c].pinged = true;
            self.timers.set(c, now + ping);
        } else if now - heard >= ping {
            // In the middle of an answer, or behind what is not read, no PING is put: who reads that slowly is given the same time without.
            let free = conn.is_between_answers() && !conn.sending;
            if !conn.pinged && free && self.reserve_reply(c) {
                let server = self.config.server_name;
                self.reply(c, format_args!("PING :{server}"));
            }
            self.conns[c].pinged = true;
            self.timers.set(c, now + ping);
        } else {
            let at = heard + ping;
            self.timers.set(c, at);
        }
        self.make_runnable(c);
    }

    /// Writes the markers that changed, as many as there are slots.
    fn save_markers(&mut self) {
        self.save_at = None;
        let mut next = self.dirty_members.front();
        while let Some(m) = next {
            next = List::<2>::next(&self.members, m);
            if self.members[m].saving {
                // After the write on its way, see `marker_saved`.
                continue;
            }
            let member = self.members.handle(m);
            if self.request(What::PutMarker(member)).is_none() {
                self.save_at = Some(self.now + 100);
                return;
            }
            self.dirty_members.remove(&mut self.members, m);
            self.members[m].saving = true;
        }
    }

    /// A membership's markers are stored; what changed since is written at once.
    pub(super) fn marker_saved(&mut self, m: u32, stored: bool) {
        let now = self.now;
        self.members[m].saving = false;
        if !stored {
            self.dirty_members.push_back(&mut self.members, m);
            self.save_at = Some(now + 1_000);
        } else if self.members[m].dirty.is_linked() {
            self.save_at = Some(now);
        } else {
            self.members[m].unsaved = false;
        }
    }

    /// Reserves time stamps ahead, so that a restart without a clock does not give them again.
    fn reserve_time(&mut self) {
        let Some(settings) = self.settings else {
            return;
        };
        let unix = self.unix();
        if self.time_asked || unix.saturating_add(RESERVE_MS / 2) < settings.time_reserved {
            return;
        }
        let time_reserved = unix.saturating_add(RESERVE_MS);
        if self
            .request(What::PutSettings(Settings {
                time_reserved,
                ..settings
            }))
            .is_some()
        {
            self.time_asked = true;
        }
    }

    // ---- connections by address

    fn address_hash(&self, address: &[u8; 16]) -> u32 {
        self.hash(&[b"conn", address]) as u32
    }

    /// Whether an address has as many connections as it may. This machine's own may have any number.
    pub(super) fn is_crowded(&self, link: &Link) -> bool {
        if link.loopback {
            return false;
        }
        let mut count = 0;
        self.addresses.find(self.address_hash(&link.address), |c| {
            count += usize::from(self.conns[c].address == link.address);
            false
        });
        count >= usize::from(self.config.connections_per_address)
    }

    pub(super) fn enter_address(&mut self, c: u32) {
        if !self.conns[c].loopback {
            let hash = self.address_hash(&self.conns[c].address);
            self.addresses.insert(hash, c);
        }
    }

    pub(super) fn leave_address(&mut self, c: u32) {
        if !self.conns[c].loopback {
            let hash = self.address_hash(&self.conns[c].address);
            self.addresses.remove(hash, c);
        }
    }
}

/// What addresses count as one: an IPv4 address, or an IPv6 network of 64 bits, all of which belongs to whoever has one address in it.
pub(super) fn network_of(mut address: [u8; 16]) -> [u8; 16] {
    let mapped = matches!(address, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..]);
    if !mapped && let Some(host) = address.get_mut(8..) {
        host.fill(0);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_address() {
        let mut six = [0x20; 16];
        let network = network_of(six);
        six[15] = 1;
        assert_eq!(network_of(six), network);
        six[7] = 1;
        assert_ne!(network_of(six), network);
        let mut four = [0; 16];
        four[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(network_of(four), four);
    }
}
