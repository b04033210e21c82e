//! A channel is told from the start: after login, after JOIN, and to a reader who was lapped. JOIN, topic, read marker, names; then, to a
//! client that cannot fetch history, what it missed.

use super::super::Server;
use super::texts::advance;
use super::{Job, Row, Step, Task};
use crate::history::Cursor;
use crate::id::{Handle, Seq};
use crate::irc::caps::Caps;
use crate::irc::numeric::*;
use crate::store::{ChannelKey, ChannelRecord, Operation, Selector};

const GAP: u16 = 0;
const JOIN: u16 = 1;
const TOPIC: u16 = 2;
const TOPIC_WHO: u16 = 3;
const MARKER: u16 = 4;
const NAMES: u16 = 5;
const NAMES_END: u16 = 6;
const LOCATE: u16 = 7;
const LEFT_OUT: u16 = 8;
const REPLAY: u16 = 9;

impl Server<'_> {
    /// Begins the next introduction of a connection, if one waits.
    pub(in super::super) fn start_intro(&mut self, c: u32) -> bool {
        let Some(t) = self.conns[c].members_of.intros.front() else {
            return false;
        };
        self.conns[c]
            .members_of
            .intros
            .remove(&mut self.attachments, t);
        let handle = self.attachments.handle(t);
        self.conns[c].job = Job::new(Task::Intro(handle));
        self.wake(c);
        true
    }

    /// An attachment goes while it is being introduced.
    pub(in super::super) fn stop_intro(&mut self, c: u32, t: u32) {
        if self.conns[c].job.introduces(t) {
            self.end_job(c);
            self.make_runnable(c);
        }
    }

    /// What a channel is introduced with is sent: its live entries follow.
    pub(super) fn introduced(&mut self, c: u32, handle: Handle) {
        let Some(t) = self.attachments.resolve(handle) else {
            return;
        };
        self.attachments[t].gap = false;
        let ch = self.attachments[t].channel.get();
        if !self.fetches_history(c) {
            let m = self.attachments[t].member.get();
            let told = self.conns[c].job.last;
            if self.members[m].delivered.seq() < told {
                self.members[m].delivered = told.into();
                self.touch_member(m);
            }
            if self.attachments[t].seen() < told {
                // Should it be lapped again before its next entry, nothing is told twice. What is told from history bears no label.
                self.drop_echoes(c, ch, told, true);
                self.set_seen(t, told);
            }
        }
        if !self.history.at_head(ch, self.attachments[t].cursor) {
            self.conns[c]
                .members_of
                .dirty
                .push_back(&mut self.attachments, t);
        }
        self.wake(c);
    }

    pub(super) fn intro_operation<'s>(
        &'s self,
        c: u32,
        ch: u32,
        job: &Job,
        members: Operation<'s>,
    ) -> Operation<'s> {
        let channel = self.channels[ch].id;
        match job.step {
            TOPIC => Operation::FindChannel(ChannelKey::Id(channel)),
            LOCATE => {
                let (first, last) = self.missed(c, ch);
                Operation::Locate {
                    channel,
                    selector: Selector::Latest(Some(crate::store::Bound::Seq(Seq(first
                        .0
                        .saturating_sub(1))))),
                    limit: self.config.replay,
                    events: false,
                    last,
                }
            }
            REPLAY => Operation::ReadHistory {
                channel,
                first: job.next,
                last: job.last,
                bytes: self.pages.size(),
            },
            _ => members,
        }
    }

    /// The places a client that cannot fetch history has missed: from, and up to where its live entries begin.
    fn missed(&self, c: u32, ch: u32) -> (Seq, Seq) {
        let Some(t) = self.attachment_of(c, ch) else {
            return (Seq(1), Seq(0));
        };
        let attachment = &self.attachments[t];
        if attachment.gap {
            let kept = self
                .history
                .first_seq(ch)
                .map_or(self.channels[ch].last.seq(), |first| {
                    Seq(first.0.saturating_sub(1))
                });
            return (Seq(attachment.seen().0 + 1), kept);
        }
        let member = &self.members[attachment.member.get()];
        (
            Seq(member.delivered.seq().max(member.read().seq).0 + 1),
            attachment.seen(),
        )
    }

    pub(super) fn intro_line(&self, c: u32, handle: Handle, job: &mut Job, out: &mut [u8]) -> Step {
        let Some(t) = self.attachments.resolve(handle) else {
            return Step::Done;
        };
        let ch = self.attachments[t].channel.get();
        let caps = self.conns[c].caps;
        let (server, nick) = (self.config.server_name, self.nick_of(c));
        let room = self.is_room(ch);
        match job.step {
            GAP if self.attachments[t].gap => {
                let target = self.target_for(c, ch);
                let step = if caps.contains(Caps::STANDARD_REPLIES) {
                    let text = "You missed messages here; fetch them with CHATHISTORY";
                    self.line(
                        c,
                        out,
                        format_args!(":{server} NOTE HISTORY GAP {target} :{text}"),
                    )
                } else {
                    let text = "You missed messages here; the last of them follow";
                    self.line(c, out, format_args!(":{server} NOTICE {target} :{text}"))
                };
                advance(job, step)
            }
            JOIN if room => {
                let target = self.target_for(c, ch);
                let a = self.conns[c].account;
                let account = &self.accounts[a];
                let step = if caps.contains(Caps::EXTENDED_JOIN) {
                    let display = if account.display.is_empty() {
                        &*account.name
                    } else {
                        &*account.display
                    };
                    let shown = if self.is_guest(a) { "*" } else { nick };
                    self.line(
                        c,
                        out,
                        format_args!(":{nick}!{nick}@{server} JOIN {target} {shown} :{display}"),
                    )
                } else {
                    self.line(
                        c,
                        out,
                        format_args!(":{nick}!{nick}@{server} JOIN {target}"),
                    )
                };
                advance(job, step)
            }
            TOPIC if room => match self.row::<ChannelRecord<'_>>(job) {
                Row::Is(record, _) if !record.topic.is_empty() => {
                    let step = self.topic_text(c, ch, &record, out);
                    advance(job, step)
                }
                Row::Page => Step::Page,
                _ => {
                    job.go_to(MARKER);
                    Step::Silent
                }
            },
            TOPIC_WHO => match self.row::<ChannelRecord<'_>>(job) {
                Row::Is(record, _) => {
                    let step = self.topic_setter(c, ch, &record, out);
                    if matches!(step, Step::Line(_)) {
                        job.go_to(MARKER);
                    }
                    step
                }
                _ => {
                    job.go_to(MARKER);
                    Step::Silent
                }
            },
            MARKER if room && caps.contains(Caps::READ_MARKER) => {
                let time = self.members[self.attachments[t].member.get()].read().time;
                let step = self.marker_line(c, ch, time, out);
                if matches!(step, Step::Line(_)) {
                    job.go_to(NAMES);
                    job.failed = false;
                }
                step
            }
            MARKER => {
                job.go_to(NAMES);
                job.failed = false;
                Step::Silent
            }
            NAMES if room && !caps.contains(Caps::NO_IMPLICIT_NAMES) => {
                self.names_rows(c, ch, job, out)
            }
            NAMES => {
                job.go_to(LOCATE);
                Step::Silent
            }
            NAMES_END => {
                let step = self.names_end(c, ch, out);
                advance(job, step)
            }
            LOCATE => {
                if self.fetches_history(c) {
                    job.step = REPLAY + 1;
                    return Step::Silent;
                }
                if job.mark == 0 {
                    let (first, last) = self.missed(c, ch);
                    if first > last || job.failed {
                        job.step = REPLAY + 1;
                        return Step::Silent;
                    }
                    job.wants = true;
                    return Step::Page;
                }
                job.rewind();
                job.cursor = Cursor::NONE;
                let (first, _) = self.missed(c, ch);
                let replayed = (job.last.0 + 1).saturating_sub(job.next.0);
                let cut = job.next > first && replayed >= u64::from(self.config.replay);
                job.step = if cut { LEFT_OUT } else { REPLAY };
                Step::Silent
            }
            LEFT_OUT => {
                let target = self.target_for(c, ch);
                let text = "You missed more than follows; what is older is kept, but not shown";
                let step = self.line(c, out, format_args!(":{server} NOTICE {target} :{text}"));
                advance(job, step)
            }
            REPLAY => self.replay_line(c, ch, job, out),
            GAP | JOIN | TOPIC => {
                job.step += 1;
                Step::Silent
            }
            _ => Step::Done,
        }
    }

    fn topic_text(&self, c: u32, ch: u32, record: &ChannelRecord<'_>, out: &mut [u8]) -> Step {
        let target = self.target_for(c, ch);
        self.numeric_line(
            c,
            out,
            RPL_TOPIC,
            format_args!("{target} :{}", record.topic),
        )
    }

    fn topic_setter(&self, c: u32, ch: u32, record: &ChannelRecord<'_>, out: &mut [u8]) -> Step {
        let target = self.target_for(c, ch);
        let (by, time) = (record.topic_by, record.topic_time / 1_000);
        self.numeric_line(
            c,
            out,
            RPL_TOPICWHOTIME,
            format_args!("{target} {by} {time}"),
        )
    }

    /// The answer to TOPIC without a text.
    pub(super) fn topic_line(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        if job.step > 1 {
            return Step::Done;
        }
        match self.row::<ChannelRecord<'_>>(job) {
            Row::Is(record, _) if !record.topic.is_empty() => {
                let step = match job.step {
                    0 => self.topic_text(c, ch, &record, out),
                    _ => self.topic_setter(c, ch, &record, out),
                };
                advance(job, step)
            }
            Row::Page => Step::Page,
            _ => {
                let target = self.target_for(c, ch);
                let step = self.numeric_line(
                    c,
                    out,
                    RPL_NOTOPIC,
                    format_args!("{target} :No topic is set"),
                );
                if matches!(step, Step::Line(_)) {
                    job.step = 2;
                }
                step
            }
        }
    }
}
