//! What a connection is to be sent. Nothing is queued but short replies: lines are rendered from the rings and tables when the socket
//! has room. `transmit` moves the cursors and remembers where each source began; when the socket took less, `sent` goes back and
//! renders again up to the line that was cut.

use super::channel::{Reported, Stage};
use super::conn::Pending;
use super::job::{Job, Step};
use super::{Sent, Server};
use crate::history::Cursor;
use crate::history::{Extra, TagSet, render};
use crate::id::Seq;
use crate::irc::caps::Caps;
use crate::store::{AccountFlags, Kind};
use crate::tables::NIL;

/// Sources a single `transmit` draws from at most.
const SOURCES: usize = if cfg!(feature = "small") { 8 } else { 24 };

/// Where bytes came from, and the state to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Tail(Pending),
    Reply(Pending),
    /// The state to go back to is in the flight: there can be one only.
    Job,
    Channel {
        t: u32,
        cursor: Cursor,
        seen: Seq,
    },
    Answer(u32),
    Presence(u64),
    Watch {
        w: u32,
        reported: Reported,
    },
}

/// How often sources may move on without a line before `transmit` lets others have their turn.
const SILENT_ROUNDS: usize = 8;

/// What the last `transmit` rendered and `sent` has not confirmed.
#[derive(Debug)]
pub(super) struct Flight {
    conn: u32,
    /// The job as it was before its lines.
    job: Job,
    sources: [Option<(Source, usize)>; SOURCES],
    count: usize,
    total: usize,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            conn: NIL,
            job: Job::NONE,
            sources: [None; SOURCES],
            count: 0,
            total: 0,
        }
    }
}

impl Flight {
    /// What was drawn from, and where its bytes end.
    fn get(&self, i: usize) -> Option<(Source, usize)> {
        self.sources.get(..self.count)?.get(i).copied().flatten()
    }

    fn drawn(&self) -> impl Iterator<Item = &Source> {
        let sources = self.sources.get(..self.count).unwrap_or_default();
        sources.iter().flatten().map(|(source, _)| source)
    }
}

impl Server<'_> {
    /// Puts a connection among those that have something to send.
    pub(super) fn wake(&mut self, c: u32) {
        if !self.conns[c].sending {
            self.ready.push_back(&mut self.conns, c);
        }
    }

    pub(super) fn render(&mut self, c: u32, buffer: &mut [u8]) -> Sent {
        if self.flight.conn != NIL {
            // The caller never said what was sent: it must have been everything.
            let (conn, total) = (self.flight.conn, self.flight.total);
            self.commit(conn, total);
        }
        self.ready.remove(&mut self.conns, c);
        let mut used = 0;
        let mut exhausted = false;
        for round in 0..SILENT_ROUNDS {
            self.flight.count = 0;
            self.flight.total = 0;
            loop {
                let before = (used, self.flight.count);
                used += self.render_some(c, buffer.get_mut(used..).unwrap_or_default(), used);
                if self.flight.count == SOURCES || (used, self.flight.count) == before {
                    break;
                }
            }
            if used > 0 || self.flight.count == 0 {
                break;
            }
            // Sources moved on without a line: that needs nobody's consent.
            exhausted = round + 1 == SILENT_ROUNDS;
            self.flight.conn = c;
            self.commit(c, 0);
        }
        if used > 0 {
            self.flight.conn = c;
            self.flight.total = used;
            self.conns[c].sending = true;
            return Sent::Bytes(used);
        }
        let conn = &mut self.conns[c];
        conn.sending = false;
        if conn.closing && conn.reply.is_empty() && conn.tail.is_empty() {
            return Sent::Close;
        }
        if conn.job.wants_page() && self.may_reply(c) {
            self.ask_for_page(c);
        }
        // A cursor that was lapped may have left a reply behind those that were looked at.
        let conn = &self.conns[c];
        let late = !conn.reply.is_empty() && (!conn.labelled || conn.closing) && self.may_reply(c);
        if exhausted || late {
            self.wake(c);
        }
        Sent::Idle
    }

    /// What was rendered for a connection that is gone was not sent.
    pub(super) fn forget_flight(&mut self, c: u32) {
        if self.flight.conn == c {
            self.flight.conn = NIL;
        }
    }

    pub(super) fn note(&mut self, source: Source, end: usize) {
        if let Some(place) = self.flight.sources.get_mut(self.flight.count) {
            *place = Some((source, end));
            self.flight.count += 1;
        }
    }

    /// Whether replies may go now: own entries go before.
    fn may_reply(&self, c: u32) -> bool {
        let conn = &self.conns[c];
        conn.closing || (conn.owed == 0 && conn.unstored == 0)
    }

    /// Renders from the first source that has something.
    fn render_some(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        if !self.conns[c].tail.is_empty() {
            let before = self.conns[c].tail;
            let n = self.copy_pending(before, buffer, false);
            self.conns[c].tail.start += n as u16;
            self.note(Source::Tail(before), at + n);
            return n;
        }
        if !self.conns[c].closing {
            // They belong to messages before the command that is replied to.
            let n = self.render_answer(c, buffer, at);
            if n > 0 {
                return n;
            }
        }
        if self.may_reply(c) && (!self.conns[c].labelled || self.conns[c].closing) {
            if !self.conns[c].reply.is_empty() {
                let before = self.conns[c].reply;
                let n = self.copy_pending(before, buffer, true);
                if n > 0 {
                    self.conns[c].reply.start += n as u16;
                    self.note(Source::Reply(before), at + n);
                }
                // Nothing overtakes a reply that does not fit now.
                return n;
            }
            // Once: it went as far as it can.
            if self.conns[c].job.renders() && !self.conns[c].closing && !self.drew_job() {
                let n = self.render_job(c, buffer, at);
                if n > 0 {
                    return n;
                }
            }
        }
        if self.conns[c].closing {
            return 0;
        }
        let n = self.render_channel(c, buffer, at);
        if n > 0 {
            return n;
        }
        let n = self.render_presence(c, buffer, at);
        if n > 0 {
            return n;
        }
        self.render_watch(c, buffer, at)
    }

    /// Copies what fits of a reply buffer; whole lines only if `lines`.
    fn copy_pending(&self, pending: Pending, buffer: &mut [u8], lines: bool) -> usize {
        let bytes = self.replies.get(pending.buffer);
        let bytes = bytes
            .get(usize::from(pending.start)..usize::from(pending.end))
            .unwrap_or_default();
        let mut n = bytes.len().min(buffer.len());
        if lines && n < bytes.len() {
            n = bytes[..n]
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(0, |end| end + 1);
        }
        buffer[..n].copy_from_slice(&bytes[..n]);
        n
    }

    fn render_job(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        let before = self.conns[c].job;
        let mut job = before;
        let mut used = 0;
        let done = loop {
            match self.job_line(c, &mut job, buffer.get_mut(used..).unwrap_or_default()) {
                Step::Line(n) => used += n,
                Step::Silent => {}
                Step::NoRoom | Step::Page => break false,
                Step::Done => break true,
            }
        };
        if used > 0 || job != before || done {
            self.conns[c].job = job;
            self.flight.job = before;
            self.note(Source::Job, at + used);
        }
        used
    }

    /// Whether this `transmit` has drawn from the job already.
    fn drew_job(&self) -> bool {
        self.flight
            .drawn()
            .any(|source| matches!(source, Source::Job))
    }

    fn render_answer(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        let mut next = self.conns[c].appends.front();
        while let Some(n) = next {
            next = crate::tables::List::<2>::next(&self.appends, n);
            let answered = self
                .flight
                .drawn()
                .any(|source| matches!(source, Source::Answer(a) if *a == n));
            if matches!(self.appends[n].stage, Stage::Acknowledge | Stage::Failed(_)) && !answered {
                let used = self.write_answer(n, buffer);
                if used > 0 {
                    self.note(Source::Answer(n), at + used);
                }
                return used;
            }
        }
        0
    }

    /// The capabilities that decide how entries look to a connection.
    pub(super) fn tag_set(&self, c: u32) -> TagSet {
        let caps = self.conns[c].caps;
        let mut set = TagSet::empty();
        set.set(TagSet::TIME, caps.contains(Caps::SERVER_TIME));
        set.set(TagSet::MESSAGE_TAGS, caps.contains(Caps::MESSAGE_TAGS));
        set.set(TagSet::ACCOUNT, caps.contains(Caps::ACCOUNT_TAG));
        set.set(TagSet::EXTENDED_JOIN, caps.contains(Caps::EXTENDED_JOIN));
        set
    }

    fn render_channel(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        while let Some(t) = self.conns[c].members_of.dirty.front() {
            let (ch, before, seen) = {
                let attachment = &self.attachments[t];
                (
                    attachment.channel.get(),
                    attachment.cursor,
                    attachment.seen(),
                )
            };
            let introducing =
                self.attachments[t].intro.is_linked() || self.conns[c].job.introduces(t);
            if introducing {
                // Comes back when the room is introduced.
                self.conns[c]
                    .members_of
                    .dirty
                    .remove(&mut self.attachments, t);
                self.channels[ch].flagged = false;
                continue;
            }
            if self.history.lapped(ch, before) {
                self.mark_gap(t);
                continue;
            }
            let (used, full) = self.render_entries(c, t, buffer, false);
            let cursor = self.attachments[t].cursor;
            self.conns[c]
                .members_of
                .dirty
                .remove(&mut self.attachments, t);
            self.channels[ch].flagged = false;
            if full {
                // The others' turn first.
                self.conns[c]
                    .members_of
                    .dirty
                    .push_back(&mut self.attachments, t);
            }
            if used > 0 || cursor != before {
                self.note(
                    Source::Channel {
                        t,
                        cursor: before,
                        seen,
                    },
                    at + used,
                );
            }
            if used > 0 || full || self.flight.count == SOURCES {
                return used;
            }
        }
        0
    }

    /// Titles of an entry's sender, for those who asked for them.
    fn titles_of(&self, c: u32, view: &crate::history::View<'_>) -> Option<&str> {
        if !self.conns[c].caps.contains(Caps::TITLES) {
            return None;
        }
        let a = self.account_by_id(view.sender)?;
        Some(&*self.accounts[a].titles).filter(|titles| !titles.is_empty())
    }

    /// Moves what a cursor has seen, and with it what replies wait for.
    pub(super) fn set_seen(&mut self, t: u32, seen: Seq) {
        let attachment = &mut self.attachments[t];
        let owed = attachment.owes();
        attachment.set_seen(seen);
        let owes = attachment.owes();
        let owed_count = &mut self.conns[attachment.conn.get()].owed;
        match (owed, owes) {
            (true, false) => *owed_count = owed_count.saturating_sub(1),
            (false, true) => *owed_count += 1,
            _ => {}
        }
    }

    /// A reader was lapped: it is told, and the room introduced again; what the ring still has follows.
    fn mark_gap(&mut self, t: u32) {
        let attachment = &self.attachments[t];
        let (c, ch) = (attachment.conn.get(), attachment.channel.get());
        let kept = self
            .history
            .first_seq(ch)
            .unwrap_or(Seq(self.channels[ch].last.seq().0 + 1));
        if self.attachments[t]
            .until()
            .is_some_and(|until| until < kept)
        {
            // It has left (or was removed) somewhere in what it missed: that is all there is to say.
            return self.leave_unseen(t);
        }
        self.attachments[t].cursor = self.history.tail(ch);
        self.attachments[t].gap = true;
        self.drop_echoes(c, ch, Seq(kept.0.saturating_sub(1)), true);
        self.conns[c]
            .members_of
            .dirty
            .remove(&mut self.attachments, t);
        self.channels[ch].flagged = false;
        self.introduce(t);
    }

    /// Takes away the cursor of who has left, when the entry that says so is no longer in memory.
    fn leave_unseen(&mut self, t: u32) {
        let (c, m) = (
            self.attachments[t].conn.get(),
            self.attachments[t].member.get(),
        );
        let room = self.room_name(self.attachments[t].channel.get());
        let again = self.attachments[t].again();
        if again.is_none() {
            self.detach(t);
            if self.attachments_of_member(m) == 0 {
                self.remove_member(m);
            }
        } else {
            self.come_back(t, again);
        }
        let (nick, server) = (self.nick_copy(c), self.config.server_name);
        if self.reserve_reply(c) {
            self.reply(c, format_args!(":{nick}!{nick}@{server} PART {room} :You left, or were removed, while you were not reading"));
        } else {
            // Its client would believe to be in the room for ever.
            self.close_with_error(c, "You were not reading and missed too much");
        }
    }

    pub(super) fn commit(&mut self, c: u32, taken: usize) {
        if self.flight.conn != c {
            return;
        }
        self.flight.conn = NIL;
        if taken > 0 {
            self.conns[c].stuck = 0;
        }
        let whole = (0..self.flight.count)
            .take_while(|i| self.flight.get(*i).is_some_and(|(_, end)| end <= taken))
            .count();
        // The last first: each goes back to where the one before it had come.
        for i in (whole..self.flight.count).rev() {
            if let Some((source, _)) = self.flight.get(i) {
                self.undo(c, &source);
            }
        }
        for i in 0..whole {
            if let Some((source, _)) = self.flight.get(i) {
                self.finalise(c, &source);
            }
        }
        if let Some((source, _)) = self.flight.get(whole) {
            let start = whole
                .checked_sub(1)
                .and_then(|i| self.flight.get(i))
                .map_or(0, |(_, end)| end);
            self.send_again(c, &source, taken.saturating_sub(start));
        }
        self.release_reply(c);
        self.make_runnable(c);
    }

    /// Makes the state real that `render` moved to.
    fn finalise(&mut self, c: u32, source: &Source) {
        match *source {
            Source::Tail(_) | Source::Reply(_) | Source::Presence(_) => {}
            Source::Job => self.job_advanced(c),
            Source::Channel { t, .. } => self.channel_sent(c, t),
            Source::Answer(n) => self.release_append(n),
            Source::Watch { .. } => {}
        }
    }

    fn channel_sent(&mut self, c: u32, t: u32) {
        let (ch, m, seen, until) = {
            let attachment = &self.attachments[t];
            (
                attachment.channel.get(),
                attachment.member.get(),
                attachment.seen(),
                attachment.until(),
            )
        };
        // What was passed behind the own leaving was not shown.
        let shown = until.map_or(seen, |until| seen.min(until));
        self.drop_echoes(c, ch, shown, false);
        if !self.fetches_history(c) && self.members[m].delivered.seq() < seen {
            self.members[m].delivered = seen.into();
            self.touch_member(m);
        }
        if until.is_some_and(|until| seen >= until) {
            let again = self.attachments[t].again();
            if !again.is_none() {
                self.come_back(t, again);
                return;
            }
            self.detach(t);
            if self.attachments_of_member(m) == 0 {
                self.remove_member(m);
            }
        }
    }

    /// The leaving is sent, and the account has joined again at that place since: its entries go on from there.
    fn come_back(&mut self, t: u32, again: Seq) {
        let attachment = &mut self.attachments[t];
        let (c, ch) = (attachment.conn.get(), attachment.channel.get());
        let next = self.history.find(ch, Seq(again.0 + 1));
        attachment.gap |= next.is_none();
        attachment.cursor = next.unwrap_or_else(|| self.history.tail(ch));
        attachment.stay();
        self.drop_echoes(c, ch, again, true);
        self.set_seen(t, again);
        self.conns[c]
            .members_of
            .dirty
            .remove(&mut self.attachments, t);
        self.channels[ch].flagged = false;
        self.introduce(t);
    }

    fn attachments_of_member(&self, m: u32) -> usize {
        let mut count = 0;
        let mut next = self.channels[self.members[m].channel.get()]
            .attachments
            .front();
        while let Some(t) = next {
            count += usize::from(self.attachments[t].member.get() == m);
            next = crate::tables::List::<1>::next(&self.attachments, t);
        }
        count
    }

    fn undo(&mut self, c: u32, source: &Source) {
        match *source {
            Source::Tail(before) => self.conns[c].tail = before,
            Source::Reply(before) => self.conns[c].reply = before,
            Source::Job => self.conns[c].job = self.flight.job,
            Source::Channel { t, cursor, seen } => {
                self.attachments[t].cursor = cursor;
                self.set_seen(t, seen);
                self.conns[c]
                    .members_of
                    .dirty
                    .push_back(&mut self.attachments, t);
            }
            Source::Answer(_) => {}
            Source::Presence(before) => {
                let conn = &mut self.conns[c];
                conn.presence_seen = before;
                conn.presence_dirty = true;
            }
            Source::Watch { w, reported } => {
                self.watches[w].reported = reported;
                self.conns[c].watch_dirty.push_back(&mut self.watches, w);
            }
        }
    }

    /// Goes once more through a source of which the socket took only `taken` bytes: whole lines are done with, and the line that was
    /// cut goes to a buffer of its own. Without a buffer the connection cannot go on.
    fn send_again(&mut self, c: u32, source: &Source, taken: usize) {
        match *source {
            // These are in buffers already.
            Source::Tail(before) => {
                self.conns[c].tail.start = before.start + taken as u16;
                return;
            }
            Source::Reply(before) => {
                let pending = Pending {
                    start: before.start + taken as u16,
                    ..before
                };
                let begun = taken > 0
                    && self.replies.get(before.buffer)[usize::from(pending.start) - 1] != b'\n';
                if begun {
                    // The rest of the line must go before anything else.
                    self.conns[c].reply = Pending::default();
                    self.set_tail(c, pending);
                } else {
                    self.conns[c].reply = pending;
                }
                return;
            }
            _ => {}
        }
        let Some(scratch) = self.replies.take() else {
            if taken > 0 {
                self.abort(c);
            }
            return;
        };
        let mut done = 0;
        let mut tail = None;
        while done < taken {
            // One line at a time into the scratch buffer: sources stop where the room ends, so each gets just what one line needs.
            let n = self.render_one_line(c, source, scratch);
            if n == 0 {
                break;
            }
            if done + n > taken {
                tail = Some(((taken - done) as u16, n as u16));
            }
            done += n;
        }
        match tail {
            Some((start, end)) => self.set_tail(
                c,
                Pending {
                    buffer: scratch,
                    start,
                    end,
                },
            ),
            None => {
                self.replies.give(scratch);
                self.unstall();
            }
        }
        if done > 0 {
            self.finalise(c, source);
        }
        if done < taken {
            // The line is gone from the ring in the meantime: it cannot be completed.
            self.abort(c);
        }
    }

    /// Renders the next line of one source into a reply buffer.
    #[inline(never)] // Rarely needed, and its stack only then.
    fn render_one_line(&mut self, c: u32, source: &Source, scratch: u32) -> usize {
        let mut line = [0; LINE_PROBE];
        match *source {
            Source::Channel { t, .. } => {
                let size = self.replies.size();
                let replies = self.replies.lend();
                let out = replies
                    .get_mut(scratch as usize * size..(scratch as usize + 1) * size)
                    .unwrap_or_default();
                let (used, _) = self.render_entries(c, t, out, true);
                self.replies.restore(replies);
                used
            }
            Source::Job => {
                let mut job = self.conns[c].job;
                let used = loop {
                    let size = self.replies.size();
                    let replies = self.replies.lend();
                    let out = replies
                        .get_mut(scratch as usize * size..(scratch as usize + 1) * size)
                        .unwrap_or_default();
                    let step = self.job_line(c, &mut job, out);
                    self.replies.restore(replies);
                    match step {
                        Step::Line(n) => break n,
                        Step::Silent => {}
                        _ => break 0,
                    }
                };
                self.conns[c].job = job;
                used
            }
            Source::Answer(n) => {
                let used = self.write_answer(n, &mut line);
                self.replies.get_mut(scratch)[..used].copy_from_slice(&line[..used]);
                used
            }
            Source::Presence(_) => {
                let used = self.presence_line(c, &mut line);
                self.replies.get_mut(scratch)[..used].copy_from_slice(&line[..used]);
                used
            }
            Source::Watch { w, .. } => {
                let used = self.watch_line(c, w, &mut line);
                self.conns[c].watch_dirty.remove(&mut self.watches, w);
                self.replies.get_mut(scratch)[..used].copy_from_slice(&line[..used]);
                used
            }
            Source::Tail(_) | Source::Reply(_) => 0,
        }
    }

    /// Renders entries from a cursor on, all that fit or just `one`, and moves the cursor past them. Tells also whether one did not fit.
    fn render_entries(&mut self, c: u32, t: u32, buffer: &mut [u8], one: bool) -> (usize, bool) {
        let set = self.tag_set(c);
        let account = self.account_id(c);
        let echo_wanted = self.conns[c].caps.contains(Caps::ECHO_MESSAGE);
        let invites = self.conns[c].caps.contains(Caps::INVITE_NOTIFY);
        let (ch, mut cursor, seen, until) = {
            let attachment = &self.attachments[t];
            (
                attachment.channel.get(),
                attachment.cursor,
                attachment.seen(),
                attachment.until(),
            )
        };
        let (mut last, mut used, mut full) = (seen, 0, false);
        while let Some((view, next)) = self.history.read(ch, cursor) {
            let own = view.sender == account;
            let echo = if own && !view.is_transient() {
                self.echo_of(c, ch, view.seq)
            } else {
                None
            };
            let shown = match view.kind {
                // Which device typed is not known: to the account's own it is an echo.
                Kind::Tagmsg if own && view.is_transient() => echo_wanted,
                Kind::Privmsg | Kind::Notice | Kind::Tagmsg => echo_wanted || echo.is_none(),
                Kind::Invite => invites && !own,
                _ => true,
            };
            let new = view.is_transient() || view.seq > seen;
            if shown && new && until.is_none_or(|until| view.seq <= until) {
                let label = echo
                    .map(|append| &*append.label)
                    .filter(|label| !label.is_empty());
                let extra = Extra {
                    label,
                    batch: None,
                    titles: self.titles_of(c, &view),
                };
                match render(
                    &view,
                    set,
                    extra,
                    buffer.get_mut(used..).unwrap_or_default(),
                ) {
                    Some(n) => used += n,
                    None => {
                        full = true;
                        break;
                    }
                }
            }
            last = last.max(view.seq);
            cursor = next;
            if one && used > 0 {
                break;
            }
        }
        self.attachments[t].cursor = cursor;
        self.set_seen(t, last);
        (used, full)
    }

    /// What must be sent before anything else, after what had to be before it is sent.
    fn set_tail(&mut self, c: u32, tail: Pending) {
        let sent = core::mem::replace(&mut self.conns[c].tail, tail);
        if sent.buffer != NIL {
            self.replies.give(sent.buffer);
            self.unstall();
        }
    }

    /// Gives back reply buffers that are sent.
    fn release_reply(&mut self, c: u32) {
        let conn = &mut self.conns[c];
        let mut given = false;
        for pending in [&mut conn.reply, &mut conn.tail] {
            if pending.buffer != NIL && pending.is_empty() {
                self.replies.give(pending.buffer);
                *pending = Pending::default();
                given = true;
            }
        }
        if given {
            self.unstall();
        }
    }

    /// Closes a connection that cannot go on, without a word (its stream is broken off in the middle of a line).
    pub(super) fn abort(&mut self, c: u32) {
        let conn = &mut self.conns[c];
        conn.closing = true;
        for pending in [&mut conn.reply, &mut conn.tail] {
            if pending.buffer != NIL {
                self.replies.give(pending.buffer);
                *pending = Pending::default();
            }
        }
        self.unstall();
        self.conns[c].sending = false;
        self.wake(c);
    }

    /// Whether an account is a guest's, which others are not shown as an account.
    pub(super) fn is_guest(&self, a: u32) -> bool {
        self.accounts[a].flags.contains(AccountFlags::GUEST)
    }
}

/// Longest line of an answer, of presence or of a watch.
const LINE_PROBE: usize = 600;
