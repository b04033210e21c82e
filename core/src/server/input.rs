//! Bytes become lines, and lines run. A line that must wait (for the store, for a slot, for its own answer to be sent) stays in its
//! buffer and is simply run again, with what it waited for in memory; `progress` says which of its targets are done.

use super::conn::{Memo, Phase};
use super::{Protocol, Server};
use crate::irc::framing::{self, Scan};
use crate::irc::message::{Message, ParseError};
use crate::irc::numeric::*;
use crate::tables::{Count, NIL};
use crate::text::Text;
use crate::time::Instant;

/// Lines of one connection that run in a row before others have their turn.
const LINES_PER_TURN: usize = 32;

/// What became of running a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// It is done with.
    Done,
    /// Run it again when what it waits for has come.
    Wait,
}

impl Server<'_> {
    /// Puts a connection among those whose lines are to be run.
    pub(super) fn make_runnable(&mut self, c: u32) {
        self.runnable.push_back(&mut self.conns, c);
    }

    /// A slot, buffer or page is free: the first of those who wait tries again.
    pub(super) fn unstall(&mut self) {
        if let Some(c) = self.stalled.pop_front(&mut self.conns) {
            self.make_runnable(c);
        }
    }

    pub(super) fn unstall_all(&mut self) {
        while let Some(c) = self.stalled.pop_front(&mut self.conns) {
            self.make_runnable(c);
        }
    }

    pub(super) fn has_input_room(&self, c: u32) -> bool {
        let conn = &self.conns[c];
        conn.closing
            || (conn.input != NIL
                && usize::from(conn.filled) < self.lines.size()
                && !self.is_others_turn(c))
            || (conn.input == NIL && self.lines.available() > 0)
    }

    /// Whether a connection is to run the lines it has before it gets more: others wait for a buffer, and would for as long as it sends.
    fn is_others_turn(&self, c: u32) -> bool {
        self.lines.available() == 0 && !self.is_unfinished(c)
    }

    /// Whether a connection holds a buffer with nothing but the beginning of a line.
    pub(super) fn is_unfinished(&self, c: u32) -> bool {
        let conn = &self.conns[c];
        conn.input != NIL
            && conn.line == 0
            && !self
                .lines
                .get(conn.input)
                .iter()
                .take(usize::from(conn.filled))
                .any(|byte| *byte == b'\n')
    }

    /// Takes received bytes, and runs the lines that are complete.
    pub(super) fn take_input(&mut self, c: u32, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let conn = &mut self.conns[c];
            if conn.closing {
                return bytes.len();
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            if conn.dropping {
                let (n, ended) = framing::skip(rest);
                taken += n;
                conn.dropping = !ended;
                continue;
            }
            if conn.input == NIL {
                let Some(buffer) = self.lines.take() else {
                    self.stalled.push_back(&mut self.conns, c);
                    break;
                };
                conn.input = buffer;
                conn.filled = 0;
            } else if self.is_others_turn(c) {
                break;
            }
            let conn = &mut self.conns[c];
            let filled = usize::from(conn.filled);
            let buffer = self.lines.get_mut(conn.input);
            let n = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&rest[..n]);
            conn.filled = (filled + n) as u16;
            taken += n;
            self.run(c);
            if n == 0 && usize::from(self.conns[c].filled) == self.lines.size() {
                break;
            }
        }
        taken
    }

    /// Runs what is complete, as far as nothing before it is unfinished.
    pub(super) fn run(&mut self, c: u32) {
        for _ in 0..LINES_PER_TURN {
            let conn = &self.conns[c];
            if self.settings.is_none() || conn.closing || conn.waiting_on.is_some() || conn.awaiting
            {
                return;
            }
            if conn.job.is_active() {
                if conn.job.task == super::job::Task::Memberships {
                    self.load_memberships(c);
                    if self.conns[c].job.is_active() {
                        return;
                    }
                    continue;
                }
                if conn.job.wants_page() && !conn.page_asked {
                    self.wake(c);
                }
                return;
            }
            if conn.is_welcomed() && self.start_intro(c) {
                return;
            }
            match self.conns[c].phase {
                Phase::Loading => {
                    if !self.enter(c) {
                        return;
                    }
                    continue;
                }
                Phase::Directs => {
                    if !self.next_direct(c) {
                        return;
                    }
                    continue;
                }
                Phase::Login | Phase::Online => {}
            }
            if self.conns[c].line == 0 && !self.find_line(c) {
                return;
            }
            let again = self.conns[c].progress > 0 || self.conns[c].memo != Memo::None;
            if !self.conns[c].reply.is_empty() && !again {
                return;
            }
            if !self.reserve_reply(c) {
                if self.conns[c].reply.is_empty() {
                    self.stalled.push_back(&mut self.conns, c);
                }
                return;
            }
            match self.execute(c) {
                Flow::Done => self.line_done(c),
                Flow::Wait => {
                    let conn = &self.conns[c];
                    if conn.waiting_on.is_some()
                        || conn.awaiting
                        || conn.job.is_active()
                        || conn.stalled.is_linked()
                        || conn.unstored > 0
                        || conn.append_count > 0
                    {
                        return;
                    }
                    if conn.members_of.intros.is_empty() && !conn.runnable.is_linked() {
                        return;
                    }
                }
            }
        }
        self.make_runnable(c);
    }

    /// Finds the next complete line. Lines that are too long are refused and dropped.
    fn find_line(&mut self, c: u32) -> bool {
        loop {
            let (input, filled) = (self.conns[c].input, usize::from(self.conns[c].filled));
            if input == NIL || filled == 0 {
                self.release_input(c);
                return false;
            }
            let limit = framing::LINE_MAX.min(self.lines.size());
            let buffer = self.lines.get(input);
            match framing::scan(buffer.get(..filled).unwrap_or_default(), limit) {
                Scan::Line { used, line } => {
                    if line.is_empty() {
                        self.consume(c, used);
                        continue;
                    }
                    if !self.may_flow(c) {
                        return false;
                    }
                    self.conns[c].line = used as u16;
                    self.conns[c].stuck = 0;
                    self.conns[c].heard = Count::new(self.now.0);
                    self.conns[c].pinged = false;
                    return true;
                }
                Scan::More => {
                    if filled < self.lines.size() {
                        return false;
                    }
                    self.too_long(c, filled, true);
                    return false;
                }
                Scan::TooLong => {
                    if !self.conns[c].reply.is_empty() {
                        // One refusal at a time.
                        return false;
                    }
                    self.too_long(c, filled, true);
                }
            }
        }
    }

    /// Refuses a line that is too long, and drops it to its end.
    fn too_long(&mut self, c: u32, filled: usize, refuse: bool) {
        let (used, ended) = {
            let buffer = self.lines.get(self.conns[c].input);
            framing::skip(buffer.get(..filled).unwrap_or_default())
        };
        self.consume(c, used);
        self.conns[c].dropping = !ended;
        if refuse && self.reserve_reply(c) {
            self.numeric(
                c,
                ERR_INPUTTOOLONG,
                format_args!(":That line is too long; nothing of it was used"),
            );
        }
    }

    /// Flood control (GCRA): whether a further line may run now; if not, a timer wakes it.
    fn may_flow(&mut self, c: u32) -> bool {
        let now = self.now;
        let rate = self.config.flood;
        let conn = &mut self.conns[c];
        if rate.burst == 0 || conn.protocol == Protocol::Control {
            return true;
        }
        let every = u64::from(rate.every_ms.max(1));
        let burst = every.saturating_mul(u64::from(rate.burst));
        // Not further ahead than this rate gets: an owner may have set another.
        let spent = conn.flood_at.get().clamp(now.0, now.0 + burst);
        conn.flood_at = Count::new(spent);
        let due = spent + every;
        if due > now.0 + burst {
            let at = Instant(due - burst);
            self.timers.set(c, at);
            return false;
        }
        conn.flood_at = Count::new(due);
        true
    }

    /// Takes bytes off the front of the input buffer, and gives back an empty buffer.
    fn consume(&mut self, c: u32, used: usize) {
        let conn = &mut self.conns[c];
        if conn.input == NIL {
            return;
        }
        let filled = usize::from(conn.filled);
        self.lines.get_mut(conn.input).copy_within(used..filled, 0);
        conn.filled = (filled - used) as u16;
        self.release_input(c);
    }

    fn release_input(&mut self, c: u32) {
        let conn = &mut self.conns[c];
        if conn.input != NIL && conn.filled == 0 {
            self.lines.give(conn.input);
            conn.input = NIL;
            self.unstall();
        }
    }

    /// The line in hand is done with.
    fn line_done(&mut self, c: u32) {
        self.close_answer(c);
        let used = usize::from(self.conns[c].line);
        let conn = &mut self.conns[c];
        (conn.line, conn.progress, conn.memo) = (0, 0, Memo::None);
        self.consume(c, used);
        // An empty reply buffer is not kept.
        let reply = &mut self.conns[c].reply;
        if reply.is_empty() && reply.buffer != NIL {
            self.replies.give(reply.buffer);
            *reply = super::conn::Pending::default();
            self.unstall();
        }
    }

    /// The line in hand, as a message.
    pub(super) fn message(&self, c: u32) -> Option<Message<'_>> {
        let conn = &self.conns[c];
        if conn.input == NIL || conn.line == 0 {
            return None;
        }
        Message::parse(trimmed(self.lines.get(conn.input), usize::from(conn.line))).ok()
    }

    /// The (raw) label of the line in hand.
    pub(super) fn label(&self, c: u32) -> Text<64> {
        if let Some((running, label)) = self.running_label
            && running == c
        {
            return label;
        }
        Text::truncated(
            self.message(c)
                .and_then(|message| message.tag("label"))
                .unwrap_or_default(),
        )
    }

    /// Runs the line in hand.
    fn execute(&mut self, c: u32) -> Flow {
        let (input, line) = (self.conns[c].input, usize::from(self.conns[c].line));
        let size = self.lines.size();
        let lines = self.lines.lend();
        let bytes = lines
            .get(input as usize * size..)
            .map_or(&[][..], |bytes| trimmed(bytes, line));
        let parsed = Message::parse(bytes);
        let flow = match &parsed {
            Ok(message) => {
                let label = message.tag("label").unwrap_or_default();
                let conn = &mut self.conns[c];
                let first = conn.progress == 0 && conn.memo == Memo::None;
                if first && !conn.batch && !conn.labelled && conn.caps.labels() {
                    conn.labelled = !label.is_empty() && label.len() <= 64;
                }
                self.running_label = Some((c, Text::truncated(label)));
                self.command(c, message)
            }
            Err(error) => {
                match error {
                    ParseError::Empty => {}
                    ParseError::TooLong => {
                        self.numeric(
                            c,
                            ERR_INPUTTOOLONG,
                            format_args!(":That line is too long; nothing of it was used"),
                        );
                    }
                    ParseError::Control => {
                        self.fail(
                            c,
                            "*",
                            format_args!("INVALID_LINE :A line may not contain NUL, CR or LF"),
                        );
                    }
                    ParseError::InvalidUtf8 => {
                        self.fail(
                            c,
                            "*",
                            format_args!(
                                "INVALID_UTF8 :Text must be UTF-8; nothing of that line was used"
                            ),
                        );
                    }
                }
                Flow::Done
            }
        };
        self.running_label = None;
        self.lines.restore(lines);
        flow
    }
}

/// The first `used` bytes without their line end.
fn trimmed(bytes: &[u8], used: usize) -> &[u8] {
    let line = bytes.get(..used).unwrap_or_default();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
