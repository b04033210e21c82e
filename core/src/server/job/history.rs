//! Pages of history: CHATHISTORY, and the replay to clients that cannot ask for it. From memory where the ring still holds it, else from
//! the store. All that could fail is known before the batch opens; a failure later still closes it.

use core::fmt::{self, Write as _};

use super::super::channel::Shape;
use super::super::reply::Out;
use super::texts::advance;
use super::{Job, Row, Server, Step};
use crate::history::{Cursor, Extra, Flags, TagSet, View, render};
use crate::id::Seq;
use crate::irc::caps::Caps;
use crate::irc::timestamp;
use crate::store::{Entry, Operation, Selector};

/// Room for the line of an entry from the store.
const SCRATCH: usize = 640;

/// What a step through the entries came to.
enum Next {
    Line(usize),
    Silent,
    NoRoom,
    Page,
    End,
}

impl Server<'_> {
    /// CHATHISTORY: locate (unless memory knew), open the batch, entries, close it.
    pub(super) fn history_line(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let server = self.config.server_name;
        let batched = self.conns[c].caps.contains(Caps::BATCH);
        match job.step {
            0 => {
                if job.mark == 0 && !job.failed {
                    job.wants = true;
                    return Step::Page;
                }
                if job.failed {
                    job.step = 4;
                    return Step::Silent;
                }
                if !batched {
                    job.step = 1;
                    return Step::Silent;
                }
                let target = self.target_for(c, ch);
                let step = self.batch_line(c, out, format_args!("BATCH +h chathistory {target}"));
                advance(job, step)
            }
            1 => {
                let set = self.tag_set(c);
                match self.next_entry(c, ch, job, set, batched.then_some("h"), out) {
                    Next::Line(n) => Step::Line(n),
                    Next::Silent => Step::Silent,
                    Next::NoRoom => Step::NoRoom,
                    Next::Page => Step::Page,
                    Next::End => {
                        job.step = 2;
                        Step::Silent
                    }
                }
            }
            2 if !batched => {
                job.step = 3;
                Step::Silent
            }
            2 => {
                let step = self.line(c, out, format_args!(":{server} BATCH -h"));
                advance(job, step)
            }
            3 if !job.failed => Step::Done,
            3 | 4 => {
                let target = self.target_for(c, ch);
                let text = "The server could not read its storage, please try again";
                let step = self.line(
                    c,
                    out,
                    format_args!(":{server} FAIL CHATHISTORY MESSAGE_ERROR {target} :{text}"),
                );
                if matches!(step, Step::Line(_)) {
                    job.step = 5;
                }
                step
            }
            _ => Step::Done,
        }
    }

    /// How a connection calls a channel.
    pub(super) fn target_for(&self, c: u32, ch: u32) -> &str {
        self.channels[ch].name_for(self.account_id(c))
    }

    /// The opening of a batch that may itself be within the batch of a labelled answer.
    pub(super) fn batch_line(&self, c: u32, out: &mut [u8], args: fmt::Arguments<'_>) -> Step {
        let server = self.config.server_name;
        self.line(c, out, format_args!(":{server} {args}"))
    }

    pub(super) fn history_operation(
        &self,
        ch: u32,
        selector: Selector,
        limit: u16,
        events: bool,
        job: &Job,
    ) -> Operation<'_> {
        let channel = self.channels[ch].id;
        if job.step == 0 || job.mark == 0 {
            return Operation::Locate {
                channel,
                selector,
                limit,
                events,
                last: self.channels[ch].last.seq(),
            };
        }
        Operation::ReadHistory {
            channel,
            first: job.next,
            last: job.last,
            bytes: self.pages.size(),
        }
    }

    /// The bounds a job asked for.
    pub(in super::super) fn bounds_found(&mut self, c: u32, bounds: Option<(Seq, Seq)>) {
        let job = &mut self.conns[c].job;
        (job.next, job.last) = bounds.unwrap_or((Seq(1), Seq(0)));
        job.mark = 1;
    }

    /// The entry at `job.next`, from memory or from the page in hand.
    fn next_entry(
        &self,
        c: u32,
        ch: u32,
        job: &mut Job,
        set: TagSet,
        batch: Option<&str>,
        out: &mut [u8],
    ) -> Next {
        if job.next > job.last {
            return Next::End;
        }
        let events = self.conns[c].caps.contains(Caps::EVENT_PLAYBACK) && batch.is_some();
        if job.page == crate::tables::NIL {
            if self.history.lapped(ch, job.cursor) || job.cursor == Cursor::NONE {
                job.cursor = self.history.find(ch, job.next).unwrap_or(Cursor::NONE);
            }
            if job.cursor != Cursor::NONE {
                return match self.history.read(ch, job.cursor) {
                    Some((view, next)) => {
                        let (n, shown) = self.render_past(c, &view, events, set, batch, out);
                        if shown && n == 0 {
                            return Next::NoRoom;
                        }
                        job.cursor = next;
                        if !view.is_transient() {
                            job.next = Seq(view.seq.0 + 1);
                        }
                        if n > 0 { Next::Line(n) } else { Next::Silent }
                    }
                    None => Next::End,
                };
            }
            if job.failed {
                return Next::End;
            }
            // Every page is read from `next` on, so there is always more.
            job.more = true;
        }
        match self.row::<Entry<'_>>(job) {
            Row::Is(entry, at) => {
                if entry.seq < job.next {
                    job.at = at;
                    return Next::Silent;
                }
                let mut scratch = [0; SCRATCH];
                let target = self.channels[ch].name_for(entry.sender);
                let host = self.config.server_name;
                let (n, shown) =
                    match View::from_entry(&entry, target, host, Flags::empty(), &mut scratch) {
                        Some(view) => self.render_past(c, &view, events, set, batch, out),
                        None => (0, false),
                    };
                if shown && n == 0 {
                    return Next::NoRoom;
                }
                job.at = at;
                job.next = Seq(entry.seq.0 + 1);
                if n > 0 { Next::Line(n) } else { Next::Silent }
            }
            Row::Page => Next::Page,
            Row::End => Next::End,
        }
    }

    /// Renders an entry of the past; tells also whether it is one to be shown.
    fn render_past(
        &self,
        c: u32,
        view: &View<'_>,
        events: bool,
        set: TagSet,
        batch: Option<&str>,
        out: &mut [u8],
    ) -> (usize, bool) {
        let shown = !view.is_transient()
            && (view.kind.is_message() || (events && view.kind != crate::store::Kind::Invite));
        if !shown {
            return (0, false);
        }
        let titles = if self.conns[c].caps.contains(Caps::TITLES) {
            self.account_by_id(view.sender)
                .map(|a| &*self.accounts[a].titles)
                .filter(|titles| !titles.is_empty())
        } else {
            None
        };
        let n = render(
            view,
            set,
            Extra {
                label: None,
                batch,
                titles,
            },
            out,
        );
        // Without message-tags a TAGMSG renders to nothing, which is as good as not shown.
        match n {
            Some(0) => (0, false),
            Some(n) => (n, true),
            None => (0, true),
        }
    }

    /// One line of the replay of what a client that cannot ask for history has missed.
    pub(super) fn replay_line(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let set = self.tag_set(c);
        match self.next_entry(c, ch, job, set, None, out) {
            Next::Line(n) => Step::Line(n),
            Next::Silent => Step::Silent,
            Next::NoRoom => Step::NoRoom,
            Next::Page => Step::Page,
            Next::End => {
                job.rewind();
                job.step += 1;
                Step::Silent
            }
        }
    }

    /// MARKREAD of a membership.
    pub(super) fn marker_line(&self, c: u32, ch: u32, time: u64, out: &mut [u8]) -> Step {
        let (server, target) = (self.config.server_name, self.target_for(c, ch));
        let mut text = [0; 40];
        let mut when = Out::new(&mut text);
        let _ = match time {
            0 => when.write_str("*"),
            time => {
                let stamp = timestamp::format(time);
                write!(
                    when,
                    "timestamp={}",
                    core::str::from_utf8(&stamp).unwrap_or_default()
                )
            }
        };
        let len = when.len();
        let when = core::str::from_utf8(&text[..len]).unwrap_or_default();
        self.line(c, out, format_args!(":{server} MARKREAD {target} {when}"))
    }

    /// Whether memory holds a channel's first kept entry.
    pub(in super::super) fn is_complete(&self, ch: u32) -> bool {
        match self.history.first_seq(ch) {
            Some(first) => first <= self.channels[ch].first.seq(),
            None => {
                self.channels[ch].last.seq().0 == 0
                    || self.channels[ch].first.seq() > self.channels[ch].last.seq()
            }
        }
    }

    /// Whether a channel is a room (and not a direct chat).
    pub(super) fn is_room(&self, ch: u32) -> bool {
        matches!(self.channels[ch].shape, Shape::Room { .. })
    }
}
