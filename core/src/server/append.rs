//! Entries on their way through the store. A message gets its id, waits outside the ring while the store makes it durable, and enters
//! the ring at the place the store gave it: only then does anybody see it.

use super::Server;
use super::account::Removal;
use super::channel::{self, Append, Effect as Brings, Stage};
use super::conn::Memo;
use super::request::retry_pause;
use crate::id::{AccountId, MsgId, Seq, Ticket, TicketKind};
use crate::irc::caps::Caps;
use crate::store::{self, AccountFlags, Change, Effect, Entry, Kind, Operation, Outcome, Reason};
use crate::tables::{List, NIL};
use crate::time::Instant;

/// An entry to be stored.
pub(super) struct Draft<'e> {
    pub kind: Kind,
    pub tags: &'e str,
    pub subject: &'e str,
    pub text: &'e str,
    pub brings: Brings,
    /// The line's label, to go with its echo.
    pub label: &'e str,
    /// The command waits and runs again when it is stored.
    pub awaited: bool,
}

impl Server<'_> {
    /// Sends an entry of account `a` (from connection `c`, if any) to the store. False when there is no slot just now.
    pub(super) fn append(&mut self, c: u32, a: u32, ch: u32, draft: Draft<'_>) -> bool {
        let Some(body) = self.bodies.take() else {
            return self.stall(c);
        };
        let unix = self.unix();
        let msgid = self.next_msgid(unix);
        let account = &self.accounts[a];
        let entry = Entry {
            seq: Seq(0),
            time: 0,
            msgid,
            kind: draft.kind,
            sender: account.id,
            nick: &account.name,
            tags: draft.tags,
            subject: draft.subject,
            text: draft.text,
        };
        let written =
            postcard::to_slice(&entry, self.bodies.get_mut(body)).map(|bytes| bytes.len());
        let Ok(len) = written else {
            // Longer than a buffer can only be what the line limits let through in tags on a small board: they are dropped.
            self.bodies.give(body);
            return draft.tags.is_empty() || self.append(c, a, ch, Draft { tags: "", ..draft });
        };
        let Some((n, append)) = self.appends.insert() else {
            self.bodies.give(body);
            return self.stall(c);
        };
        append.conn = (c != NIL).then(|| self.conns.handle(c));
        append.sender = account.id;
        append.channel = ch;
        append.kind = Some(draft.kind);
        append.msgid = msgid;
        append.body = body;
        append.body_len = len as u16;
        append.awaited = draft.awaited;
        append.label.set(draft.label);
        append.effect = draft.brings;
        append.guest = account.flags.contains(AccountFlags::GUEST);
        self.append_queue.push_back(&mut self.appends, n);
        self.channels[ch].appends.push_back(&mut self.appends, n);
        self.channels[ch].pending += 1;
        self.settle_channel(ch);
        self.hold(ch, &draft.brings, true);
        if c != NIL {
            let conn = &mut self.conns[c];
            conn.appends.push_back(&mut self.appends, n);
            conn.append_count += 1;
            conn.unstored += 1;
            conn.awaiting |= draft.awaited;
        }
        true
    }

    pub(super) fn stall(&mut self, c: u32) -> bool {
        if c != NIL {
            self.stalled.push_back(&mut self.conns, c);
        }
        false
    }

    /// Holds back, or lets go, what must not overtake a change of state.
    fn hold(&mut self, ch: u32, brings: &Brings, on: bool) {
        match *brings {
            Brings::None | Brings::Topic => {}
            Brings::Modes { .. } | Brings::Ban(_) | Brings::Unban(_) => self.channels[ch].held = on,
            Brings::Member { .. } => {
                let changing = &mut self.channels[ch].changing;
                *changing = if on {
                    *changing + 1
                } else {
                    changing.saturating_sub(1)
                };
            }
        }
        if !on && !self.stalled.is_empty() {
            self.unstall_all();
        }
    }

    /// Changes of memberships of a channel that are on their way through the store, and whose.
    pub(super) fn changes(&self, ch: u32) -> impl Iterator<Item = (Kind, AccountId)> {
        let channel = &self.channels[ch];
        let mut next = channel.appends.front().filter(|_| channel.changing > 0);
        core::iter::from_fn(move || {
            let append = &self.appends[next?];
            next = List::<1>::next(&self.appends, next?);
            Some(match append.effect {
                Brings::Member { account, .. } => append.kind.map(|kind| (kind, account)),
                _ => None,
            })
        })
        .flatten()
    }

    /// Whether a membership is being changed: what depends on it waits for that.
    pub(super) fn is_changing(&self, ch: u32, account: AccountId) -> bool {
        self.changes(ch).any(|(_, whose)| whose == account)
    }

    /// Whether any membership of an account is being changed.
    pub(super) fn is_changing_anywhere(&self, account: AccountId) -> bool {
        (0..self.appends.high_water()).any(|n| {
            self.appends.in_use(n)
                && !matches!(self.appends[n].stage, Stage::Echo(_) | Stage::Acknowledge | Stage::Failed(_))
                && matches!(self.appends[n].effect, Brings::Member { account: whose, .. } if whose == account)
        })
    }

    pub(super) fn next_msgid(&mut self, unix: u64) -> MsgId {
        use chacha20::rand_core::Rng;
        let fresh = (unix << 22) | u64::from(self.rng.next_u32() >> 12);
        self.last_msgid = fresh.max(self.last_msgid + 1);
        MsgId(self.last_msgid)
    }

    /// The next append for the store, unless a new reservation of time stamps must come first.
    pub(super) fn next_append(&mut self) -> Option<Effect<'_>> {
        self.append_queue.front()?;
        let time = self.unix();
        if self
            .settings
            .is_none_or(|settings| time >= settings.time_reserved)
        {
            return None;
        }
        let n = self.append_queue.pop_front(&mut self.appends)?;
        self.appends[n].stage = Stage::Issued;
        let append = &self.appends[n];
        let body = self
            .bodies
            .get(append.body)
            .get(..usize::from(append.body_len))
            .unwrap_or_default();
        let entry: Entry<'_> = postcard::from_bytes(body).ok()?;
        let change = match &append.effect {
            Brings::None => Change::None,
            Brings::Member { account, flags, .. } => Change::Member {
                account: *account,
                flags: flags.bits(),
            },
            Brings::Topic => Change::Topic {
                text: entry.text,
                by: entry.nick,
            },
            Brings::Modes { modes, key, limit } => Change::Modes {
                modes: modes.bits(),
                key,
                limit: *limit,
            },
            Brings::Ban(mask) => Change::Ban {
                mask,
                by: entry.nick,
            },
            Brings::Unban(mask) => Change::Unban { mask },
        };
        let operation = Operation::Append(store::Append {
            channel: self.channels[append.channel].id,
            time,
            msgid: append.msgid,
            entry,
            change,
            keep: self.config.history,
        });
        Some(Effect {
            ticket: Ticket(TicketKind::Append, self.appends.handle(n)),
            operation,
        })
    }

    /// The store's answer to an append.
    pub(super) fn append_done(&mut self, n: u32, outcome: Outcome<'_>) {
        let append = &mut self.appends[n];
        if append.stage != Stage::Issued {
            return;
        }
        match outcome {
            Outcome::Stored { seq, time } => {
                append.stage = Stage::Held { seq, time };
                let ch = append.channel;
                self.publish_in_order(ch);
            }
            Outcome::Refused(reason) => self.append_refused(n, reason),
            _ => {
                append.tries = append.tries.saturating_add(1);
                let at = self.now + retry_pause(append.tries);
                append.stage = Stage::Retry(at);
                self.retry_at = Some(self.retry_at.map_or(at, |old| old.min(at)));
            }
        }
    }

    /// Puts the appends whose retry is due back into the queue. Returns when the next one is.
    pub(super) fn retry_appends(&mut self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for n in 0..self.appends.high_water() {
            if !self.appends.in_use(n) {
                continue;
            }
            if let Stage::Retry(at) = self.appends[n].stage {
                if at <= self.now {
                    self.appends[n].stage = Stage::Queued;
                    self.append_queue.push_back(&mut self.appends, n);
                } else {
                    next = Some(next.map_or(at, |n| n.min(at)));
                }
            }
        }
        next
    }

    /// Whether anything still waits for the store.
    pub(super) fn appends_unstored(&self) -> bool {
        (0..self.appends.high_water()).any(|n| {
            self.appends.in_use(n)
                && matches!(
                    self.appends[n].stage,
                    Stage::Queued | Stage::Issued | Stage::Retry(_) | Stage::Held { .. }
                )
        })
    }

    pub(super) fn append_refused(&mut self, n: u32, reason: Reason) {
        if let Brings::Member { account, .. } = self.appends[n].effect
            && let Some(a) = self.account_by_id(account)
            && self.accounts[a].removal == Removal::Leaving
        {
            self.accounts[a].removal = Removal::Next;
            self.pause_removals();
        }
        let conn = self.appends[n]
            .conn
            .and_then(|handle| self.conns.resolve(handle));
        match conn {
            Some(c) if !self.appends[n].awaited => {
                self.settle_append(n, Memo::None);
                self.appends[n].stage = Stage::Failed(reason);
                // Its name is needed for the answer.
                self.pin_channel(self.appends[n].channel);
                self.wake(c);
            }
            _ => {
                if let Some(c) = conn
                    && !self.appends[n].label.is_empty()
                {
                    // The command answers after all, not the entry.
                    self.conns[c].labelled = true;
                }
                self.end_append(n, Memo::Refused(reason));
            }
        }
    }

    /// The store has answered for good: channel and connection no longer wait.
    pub(super) fn settle_append(&mut self, n: u32, memo: Memo) {
        let Append {
            channel: ch,
            effect,
            body,
            awaited,
            ..
        } = self.appends[n];
        if body != NIL {
            self.bodies.give(body);
            self.appends[n].body = NIL;
        }
        let channel = &mut self.channels[ch];
        channel.appends.remove(&mut self.appends, n);
        channel.pending = channel.pending.saturating_sub(1);
        self.hold(ch, &effect, false);
        self.settle_channel(ch);
        if let Some(c) = self.appends[n]
            .conn
            .and_then(|handle| self.conns.resolve(handle))
        {
            let conn = &mut self.conns[c];
            conn.unstored = conn.unstored.saturating_sub(1);
            if awaited {
                conn.awaiting = false;
                conn.memo = memo;
            }
            self.make_runnable(c);
            self.wake(c);
        }
        self.unstall();
    }

    pub(super) fn end_append(&mut self, n: u32, memo: Memo) {
        self.settle_append(n, memo);
        self.release_append(n);
    }

    /// Gives the slot back.
    pub(super) fn release_append(&mut self, n: u32) {
        if let Some(c) = self.appends[n]
            .conn
            .and_then(|handle| self.conns.resolve(handle))
        {
            let conn = &mut self.conns[c];
            conn.appends.remove(&mut self.appends, n);
            conn.append_count = conn.append_count.saturating_sub(1);
            self.make_runnable(c);
        }
        self.append_queue.remove(&mut self.appends, n);
        if matches!(self.appends[n].stage, Stage::Failed(_)) {
            self.unpin_channel(self.appends[n].channel);
        }
        self.appends.remove(n);
        self.unstall();
    }

    /// The echoes of a connection in a channel up to that place are sent, or `lost` in a gap: then a label is acknowledged instead.
    pub(super) fn drop_echoes(&mut self, c: u32, ch: u32, seen: Seq, lost: bool) {
        let mut next = self.conns[c].appends.front();
        while let Some(n) = next {
            next = List::<2>::next(&self.appends, n);
            let append = &mut self.appends[n];
            if append.channel == ch
                && let Stage::Echo(seq) = append.stage
                && seq <= seen
            {
                let unechoed = matches!(
                    append.kind,
                    Some(Kind::Privmsg | Kind::Notice | Kind::Tagmsg)
                ) && !self.conns[c].caps.contains(Caps::ECHO_MESSAGE);
                if !append.label.is_empty() && (lost || unechoed) {
                    append.stage = Stage::Acknowledge;
                    self.wake(c);
                } else {
                    self.release_append(n);
                }
            }
        }
    }

    /// A connection is gone: what it sent goes its way without it.
    pub(super) fn orphan_appends(&mut self, c: u32) {
        while let Some(n) = self.conns[c].appends.pop_front(&mut self.appends) {
            self.appends[n].conn = None;
            if matches!(
                self.appends[n].stage,
                Stage::Echo(_) | Stage::Acknowledge | Stage::Failed(_)
            ) {
                self.release_append(n);
            }
        }
        self.conns[c].append_count = 0;
    }

    /// The connection's own entry at that place of a channel, if its echo is awaited.
    pub(super) fn echo_of(&self, c: u32, ch: u32, seq: Seq) -> Option<&channel::Append> {
        let mut next = self.conns[c].appends.front();
        while let Some(n) = next {
            let append = &self.appends[n];
            if append.channel == ch && append.stage == Stage::Echo(seq) {
                return Some(append);
            }
            next = List::<2>::next(&self.appends, n);
        }
        None
    }
}
