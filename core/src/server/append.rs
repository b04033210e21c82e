//! Entries on their way through the store. A message gets its id, waits outside the ring while the store makes it durable, and enters
//! the ring at the place the store gave it: only then does anybody see it.

use super::Server;
use super::account::Removal;
use super::channel::{self, Append, Effect as Brings, Shape, Stage};
use super::conn::Memo;
use super::request::retry_pause;
use crate::id::{AccountId, MsgId, Seq, Ticket, TicketKind};
use crate::irc::caps::Caps;
use crate::name::{Nick, RoomName};
use crate::store::{
    self, AccountFlags, Change, Effect, Entry, Kind, MemberFlags, MemberRecord, Operation, Outcome,
    Reason,
};
use crate::tables::{List, NIL};
use crate::text::Text;
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
    pub(super) fn append(
        &mut self,
        now: Instant,
        c: u32,
        a: u32,
        ch: u32,
        draft: Draft<'_>,
    ) -> bool {
        let Some(body) = self.bodies.take() else {
            return self.stall(c);
        };
        let unix = self.clock.unix(now);
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
            return draft.tags.is_empty()
                || self.append(now, c, a, ch, Draft { tags: "", ..draft });
        };
        let append = Append {
            conn: (c != NIL).then(|| self.conns.handle(c)),
            sender: account.id,
            channel: ch,
            kind: Some(draft.kind),
            msgid,
            body,
            body_len: len as u16,
            awaited: draft.awaited,
            label: Text::truncated(draft.label),
            effect: draft.brings,
            guest: account.flags.contains(AccountFlags::GUEST),
            ..Append::default()
        };
        let Some(n) = self.appends.insert(append) else {
            self.bodies.give(body);
            return self.stall(c);
        };
        self.append_queue.push_back(&mut self.appends, n);
        self.channels[ch].appends.push_back(&mut self.appends, n);
        self.channels[ch].pending += 1;
        self.settle_channel(ch);
        self.hold(ch, &draft.brings, draft.kind, true);
        if c != NIL {
            let conn = &mut self.conns[c];
            conn.appends.push_back(&mut self.appends, n);
            conn.append_count += 1;
            conn.unstored += 1;
            conn.awaiting |= draft.awaited;
        }
        true
    }

    fn stall(&mut self, c: u32) -> bool {
        if c != NIL {
            self.stalled.push_back(&mut self.conns, c);
        }
        false
    }

    /// Holds back, or lets go, what must not overtake a change of state.
    fn hold(&mut self, ch: u32, brings: &Brings, kind: Kind, on: bool) {
        match *brings {
            Brings::None | Brings::Topic => {}
            Brings::Modes { .. } | Brings::Ban(_) | Brings::Unban(_) => self.channels[ch].held = on,
            Brings::Member { .. } if kind == Kind::Join => {
                let joining = self.channels[ch].joining;
                self.channels[ch].joining = if on {
                    joining + 1
                } else {
                    joining.saturating_sub(1)
                };
            }
            Brings::Member { account, .. } => {
                if let Some(m) = self
                    .account_by_id(account)
                    .and_then(|a| self.member_of(a, ch))
                {
                    self.members[m].pending = on;
                }
            }
        }
        if !on && !self.stalled.is_empty() {
            self.unstall_all();
        }
    }

    fn next_msgid(&mut self, unix: u64) -> MsgId {
        use rand_chacha::rand_core::Rng;
        let fresh = (unix << 22) | u64::from(self.rng.next_u32() >> 12);
        self.last_msgid = fresh.max(self.last_msgid + 1);
        MsgId(self.last_msgid)
    }

    /// The next append for the store, unless a new reservation of time stamps must come first.
    pub(super) fn next_append(&mut self, now: Instant) -> Option<Effect<'_>> {
        self.append_queue.front()?;
        let time = self.clock.unix(now);
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
    pub(super) fn append_done(&mut self, now: Instant, n: u32, outcome: Outcome<'_>) {
        if self.appends[n].stage != Stage::Issued {
            return;
        }
        match outcome {
            Outcome::Stored { seq, time } => {
                let ch = self.appends[n].channel;
                self.appends[n].stage = Stage::Held { seq, time };
                self.publish_in_order(ch);
            }
            Outcome::Refused(reason) => self.append_refused(n, reason),
            _ => {
                let tries = self.appends[n].tries.saturating_add(1);
                let at = now + retry_pause(tries);
                self.appends[n].tries = tries;
                self.appends[n].stage = Stage::Retry(at);
                self.retry_at = Some(self.retry_at.map_or(at, |old| old.min(at)));
            }
        }
    }

    /// Puts the appends whose retry is due back into the queue. Returns when the next one is.
    pub(super) fn retry_appends(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for n in 0..self.appends.high_water() {
            if !self.appends.in_use(n) {
                continue;
            }
            if let Stage::Retry(at) = self.appends[n].stage {
                if at <= now {
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

    /// Publishes what the store has given the next places. Places are contiguous, so what is missing before an entry is known to come.
    fn publish_in_order(&mut self, ch: u32) {
        loop {
            let wanted = Seq(self.channels[ch].last.0 + 1);
            let mut next = self.channels[ch].appends.front();
            let mut found = None;
            while let Some(n) = next {
                match self.appends[n].stage {
                    Stage::Held { seq, time } if seq == wanted => {
                        found = Some((n, time));
                        break;
                    }
                    // A place already published: the store answered twice. Drop the second.
                    Stage::Held { seq, .. } if seq < wanted => {
                        found = Some((n, 0));
                        break;
                    }
                    _ => next = List::<1>::next(&self.appends, n),
                }
            }
            match found {
                Some((n, 0)) => self.end_append(n, Memo::Done),
                Some((n, time)) => self.publish(n, wanted, time),
                None => return,
            }
        }
    }

    fn publish(&mut self, n: u32, seq: Seq, time: u64) {
        let Append {
            channel: ch,
            effect,
            body,
            body_len,
            conn,
            guest,
            ..
        } = self.appends[n];
        let kind = self.appends[n].kind.unwrap_or(Kind::Notice);
        let sender = self.appends[n].sender;
        let conn = conn.and_then(|handle| self.conns.resolve(handle));

        self.channels[ch].last = seq;
        self.channels[ch].last_time = time;
        let keep = u64::from(self.config.history);
        self.channels[ch].first = self.channels[ch]
            .first
            .max(Seq((seq.0 + 1).saturating_sub(keep).max(1)));

        let bodies = self.bodies.lend();
        let start = body as usize * self.bodies.size();
        let bytes = bodies
            .get(start..start + usize::from(body_len))
            .unwrap_or_default();
        let pushed = postcard::from_bytes::<Entry<'_>>(bytes)
            .ok()
            .and_then(|entry| {
                let entry = Entry { seq, time, ..entry };
                self.push_entry(ch, &entry, guest, false)
            });
        self.bodies.restore(bodies);

        if let Some(cursor) = pushed {
            self.attach_direct(ch, cursor);
        }
        self.apply(ch, kind, sender, seq, &effect);
        self.flag_channel(ch);
        if let Some(c) = conn {
            self.note_own(c, ch, seq);
        }
        let echoes = matches!(kind, Kind::Privmsg | Kind::Notice | Kind::Tagmsg);
        let label = !self.appends[n].label.is_empty();
        let (wants_echo, attached) = conn.map_or((false, false), |c| {
            (
                self.conns[c].caps.contains(Caps::ECHO_MESSAGE),
                self.attachment_of(c, ch).is_some(),
            )
        });
        let stage = match conn {
            Some(_) if echoes && !wants_echo && label => Some(Stage::Acknowledge),
            Some(_) if attached && (label || (echoes && !wants_echo)) => Some(Stage::Echo(seq)),
            _ => None,
        };
        // Without an echo the own message must still be known as such when the cursor passes it, so an acknowledged one is an echo first.
        match (stage, conn) {
            (Some(_), Some(c)) if attached => {
                self.settle_append(n, Memo::Done);
                self.appends[n].stage = Stage::Echo(seq);
                self.wake(c);
            }
            (Some(stage), Some(c)) => {
                self.settle_append(n, Memo::Done);
                self.appends[n].stage = stage;
                self.wake(c);
            }
            _ => self.end_append(n, Memo::Done),
        }
    }

    /// Puts an entry into the ring.
    pub(super) fn push_entry(
        &mut self,
        ch: u32,
        entry: &Entry<'_>,
        guest: bool,
        transient: bool,
    ) -> Option<crate::history::Cursor> {
        let channel = &self.channels[ch];
        let payer = match channel.shape {
            Shape::Room { founder, .. } => founder,
            Shape::Direct { .. } => entry.sender,
        };
        let room: RoomName;
        let peer: Nick;
        let target: &str = match &channel.shape {
            Shape::Room { name, .. } => {
                room = *name;
                &room
            }
            Shape::Direct { .. } => {
                peer = Text::truncated(channel.name_for(entry.sender));
                &peer
            }
        };
        let mut flags = crate::history::Flags::empty();
        flags.set(crate::history::Flags::GUEST, guest);
        flags.set(crate::history::Flags::TRANSIENT, transient);
        self.history
            .push(ch, payer, entry, target, self.config.server_name, flags)
            .ok()
    }

    /// What is only typed now and kept nowhere goes straight into the ring.
    pub(super) fn publish_transient(&mut self, now: Instant, a: u32, ch: u32, tags: &str) {
        let unix = self.clock.unix(now);
        let msgid = self.next_msgid(unix);
        let account = &self.accounts[a];
        let (sender, nick) = (account.id, account.name);
        let guest = account.flags.contains(AccountFlags::GUEST);
        let entry = Entry {
            seq: self.channels[ch].last,
            time: unix.max(self.channels[ch].last_time),
            msgid,
            kind: Kind::Tagmsg,
            sender,
            nick: &nick,
            tags,
            subject: "",
            text: "",
        };
        if self.push_entry(ch, &entry, guest, true).is_some() {
            self.flag_channel(ch);
        }
    }

    /// Lets every reader of a channel know that there is something new.
    pub(super) fn flag_channel(&mut self, ch: u32) {
        if self.channels[ch].flagged {
            return;
        }
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            let c = self.attachments[t].conn;
            self.conns[c]
                .members_of
                .dirty
                .push_back(&mut self.attachments, t);
            self.wake(c);
        }
        self.channels[ch].flagged = true;
    }

    /// Remembers that a connection's replies must wait until this entry of its own is sent.
    fn note_own(&mut self, c: u32, ch: u32, seq: Seq) {
        if let Some(t) = self.attachment_of(c, ch) {
            if self.attachments[t].intro.is_linked() || self.conns[c].job.introduces(t) {
                // It comes after the introduction, for which nothing must wait.
                return;
            }
            let attachment = &mut self.attachments[t];
            let owed_before = attachment.own > attachment.seen;
            attachment.own = attachment.own.max(seq);
            if !owed_before && attachment.own > attachment.seen {
                self.conns[c].owed += 1;
            }
        }
    }

    /// What an entry changes, now that it is stored.
    fn apply(&mut self, ch: u32, kind: Kind, sender: AccountId, seq: Seq, brings: &Brings) {
        match *brings {
            Brings::None | Brings::Topic => {}
            Brings::Modes {
                modes: new_modes,
                key: new_key,
                limit: new_limit,
            } => {
                if let Shape::Room {
                    modes, key, limit, ..
                } = &mut self.channels[ch].shape
                {
                    (*modes, *key, *limit) = (new_modes, new_key, new_limit);
                }
            }
            Brings::Ban(mask) => {
                let by = self
                    .account_by_id(sender)
                    .map(|a| self.accounts[a].name)
                    .unwrap_or_default();
                let time = self.channels[ch].last_time;
                self.remove_ban(ch, &mask);
                self.install_ban(ch, &mask, &by, time);
            }
            Brings::Unban(mask) => {
                self.remove_ban(ch, &mask);
            }
            Brings::Member {
                account,
                flags,
                read,
            } => {
                self.channels[ch].roster = self.channels[ch].roster.wrapping_add(1);
                if let Shape::Room { members, .. } = &mut self.channels[ch].shape {
                    match kind {
                        Kind::Join => *members += 1,
                        Kind::Part | Kind::Kick => *members = members.saturating_sub(1),
                        _ => {}
                    }
                }
                let Some(a) = self.account_by_id(account) else {
                    return;
                };
                if kind == Kind::Part && self.accounts[a].removal == Removal::Leaving {
                    self.accounts[a].removal = Removal::Next;
                }
                match (self.member_of(a, ch), kind) {
                    (Some(m), Kind::Part | Kind::Kick) => self.leave(m, seq),
                    (None, Kind::Join) => {
                        let record = MemberRecord {
                            flags: flags.bits(),
                            read,
                            ..MemberRecord::default()
                        };
                        match self.install_member(a, ch, &record) {
                            Some(m) => {
                                self.members[m].delivered = seq;
                                self.attach_devices(m);
                            }
                            None => self.close_account(
                                a,
                                "The server has no room for another membership of yours",
                            ),
                        }
                    }
                    (Some(m), Kind::Join) => {
                        self.members[m].flags = flags;
                        self.members[m].delivered = self.members[m].delivered.max(seq);
                        self.stay_after_all(m);
                        self.attach_devices(m);
                    }
                    (Some(m), _) => self.members[m].flags = flags,
                    (None, _) => {}
                }
            }
        }
    }

    fn remove_ban(&mut self, ch: u32, mask: &str) {
        let mut next = self.channels[ch].bans.front();
        while let Some(b) = next {
            next = List::<0>::next(&self.bans, b);
            if crate::name::eq_folded(&self.bans[b].mask, mask) {
                self.channels[ch].bans.remove(&mut self.bans, b);
                self.channels[ch].bans_count -= 1;
                self.bans.remove(b);
            }
        }
    }

    /// A membership ends: cursors stay until the entry that ends it is sent.
    fn leave(&mut self, m: u32, seq: Seq) {
        let ch = self.members[m].channel;
        self.members[m].flags = MemberFlags::empty();
        let mut waiting = false;
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            if self.attachments[t].member == m {
                self.attachments[t].until = Some(seq);
                waiting = true;
            }
        }
        if !waiting {
            self.remove_member(m);
        }
    }

    /// Joined again before the own leaving was sent everywhere: the cursors stay.
    fn stay_after_all(&mut self, m: u32) {
        let ch = self.members[m].channel;
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            if self.attachments[t].member == m {
                self.attachments[t].until = None;
            }
        }
    }

    fn append_refused(&mut self, n: u32, reason: Reason) {
        if let Brings::Member { account, .. } = self.appends[n].effect
            && let Some(a) = self.account_by_id(account)
            && self.accounts[a].removal == Removal::Leaving
        {
            self.accounts[a].removal = Removal::Next;
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
            _ => self.end_append(n, Memo::Refused(reason)),
        }
    }

    /// The store has answered for good: channel and connection no longer wait.
    fn settle_append(&mut self, n: u32, memo: Memo) {
        let Append {
            channel: ch,
            effect,
            body,
            awaited,
            ..
        } = self.appends[n];
        let kind = self.appends[n].kind.unwrap_or(Kind::Notice);
        if body != NIL {
            self.bodies.give(body);
            self.appends[n].body = NIL;
        }
        self.channels[ch].appends.remove(&mut self.appends, n);
        self.channels[ch].pending = self.channels[ch].pending.saturating_sub(1);
        self.hold(ch, &effect, kind, false);
        self.settle_channel(ch);
        if let Some(c) = self.appends[n]
            .conn
            .and_then(|handle| self.conns.resolve(handle))
        {
            self.conns[c].unstored = self.conns[c].unstored.saturating_sub(1);
            if awaited {
                self.conns[c].awaiting = false;
                self.conns[c].memo = memo;
            }
            self.make_runnable(c);
            self.wake(c);
        }
        self.unstall();
    }

    fn end_append(&mut self, n: u32, memo: Memo) {
        self.settle_append(n, memo);
        self.release_append(n);
    }

    /// Gives the slot back.
    pub(super) fn release_append(&mut self, n: u32) {
        if let Some(c) = self.appends[n]
            .conn
            .and_then(|handle| self.conns.resolve(handle))
        {
            self.conns[c].appends.remove(&mut self.appends, n);
            self.conns[c].append_count = self.conns[c].append_count.saturating_sub(1);
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
            if self.appends[n].channel == ch
                && let Stage::Echo(seq) = self.appends[n].stage
                && seq <= seen
            {
                let unechoed = matches!(
                    self.appends[n].kind,
                    Some(Kind::Privmsg | Kind::Notice | Kind::Tagmsg)
                ) && !self.conns[c].caps.contains(Caps::ECHO_MESSAGE);
                if !self.appends[n].label.is_empty() && (lost || unechoed) {
                    self.appends[n].stage = Stage::Acknowledge;
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
