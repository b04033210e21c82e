//! CHATHISTORY (IRCv3 draft/chathistory) and MARKREAD (draft/read-marker).

use super::super::Server;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::job::Task;
use super::super::request::What;
use super::Found;
use crate::history::{Covered, Select};
use crate::id::{MsgId, Seq};
use crate::irc::caps::Caps;
use crate::irc::message::Message;
use crate::irc::timestamp;
use crate::name::{self, NICK_MAX, ROOM_MAX, RoomName};
use crate::store::{Bound, Marker, MemberRecord, Reason, Selector};
use crate::text::{self, Text};

impl Server<'_> {
    pub(super) fn chathistory(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if self.conns[c].progress > 0 {
            return Flow::Done;
        }
        let Some(subcommand) = m.param(0) else {
            self.fail(
                c,
                "CHATHISTORY",
                format_args!("NEED_MORE_PARAMS :A subcommand is needed"),
            );
            return Flow::Done;
        };
        let mut upper: Text<16> = Text::truncated(subcommand);
        upper.make_ascii_lowercase();
        let wanted = match &*upper {
            "targets" | "between" => 4,
            "latest" | "before" | "after" | "around" => 3,
            _ => {
                self.fail(
                    c,
                    "CHATHISTORY",
                    format_args!("INVALID_PARAMS {upper} :Unknown subcommand"),
                );
                return Flow::Done;
            }
        };
        // TARGETS has two bounds and a limit; the others begin with the target.
        let shift = usize::from(&*upper != "targets");
        let (first, second) = (m.param(1 + shift), m.param(2 + shift));
        let limit = m
            .param(if wanted == 4 { 3 + shift } else { 2 + shift })
            .and_then(limit_of);
        let Some(limit) = limit else {
            self.fail(
                c,
                "CHATHISTORY",
                format_args!("INVALID_PARAMS {upper} :Bounds and a limit are needed"),
            );
            return Flow::Done;
        };
        let limit = if limit == 0 {
            self.config.page
        } else {
            limit.min(self.config.page)
        };
        let selector = selector(&upper, first, second);
        if &*upper == "targets" {
            return self.targets(c, first, second, limit);
        }
        let Some(selector) = selector else {
            self.fail(c, "CHATHISTORY", format_args!("INVALID_PARAMS {upper} :A bound is timestamp=YYYY-MM-DDThh:mm:ss.sssZ or msgid=..."));
            return Flow::Done;
        };
        let target = m.param(1).unwrap_or_default();
        let shown = text::start(if target.is_empty() { "*" } else { target }, ROOM_MAX);
        let ch = match self.history_target(c, target) {
            Found::Is(ch) => ch,
            Found::Wait => return Flow::Wait,
            Found::Absent if self.is_somebody(target) => {
                // A chat that nothing was said in yet.
                self.open_batch(c);
                if self.conns[c].caps.contains(Caps::BATCH) {
                    let server = self.config.server_name;
                    self.reply(c, format_args!(":{server} BATCH +h chathistory {shown}"));
                    self.reply(c, format_args!(":{server} BATCH -h"));
                }
                return Flow::Done;
            }
            Found::Absent => {
                self.fail(
                    c,
                    "CHATHISTORY",
                    format_args!(
                        "INVALID_TARGET {upper} {shown} :There is no such chat that you are in"
                    ),
                );
                return Flow::Done;
            }
            Found::Failed(_) => {
                self.fail(c, "CHATHISTORY", format_args!("MESSAGE_ERROR {upper} {shown} :The server could not read its storage, please try again"));
                return Flow::Done;
            }
        };
        let events = self.conns[c].caps.contains(Caps::EVENT_PLAYBACK);
        let select = Select {
            selector,
            limit,
            events,
            last: self.channels[ch].last.seq(),
        };
        // Memory may still hold what the configured limit has ended: pages begin after that, or the client would take an empty one for
        // the end.
        let (complete, first) = (self.is_complete(ch), self.channels[ch].first.seq());
        let mut covered = self.history.select(ch, &select, complete);
        if let Covered::Page(Some((_, last))) = covered
            && last < first
        {
            let ended = Bound::Seq(Seq(first.0 - 1));
            let selector = match selector {
                Selector::After(_) => Selector::After(ended),
                Selector::Between(_, to) => Selector::Between(ended, to),
                other => other,
            };
            covered = self
                .history
                .select(ch, &Select { selector, ..select }, complete);
        }
        let channel = ch;
        let flow = self.once(
            c,
            Task::History {
                channel,
                selector,
                limit,
            },
        );
        if let Covered::Page(bounds) = covered {
            let (next, last) = bounds.unwrap_or((Seq(1), Seq(0)));
            let job = &mut self.conns[c].job;
            (job.next, job.last) = (next.max(first), last);
            job.mark = 1;
        }
        flow
    }

    fn targets(&mut self, c: u32, first: Option<&str>, second: Option<&str>, limit: u16) -> Flow {
        let time = |bound: Option<&str>| match bound.and_then(bound_of) {
            Some(Bound::Time(time)) => Some(time),
            _ => None,
        };
        let (Some(a), Some(b)) = (time(first), time(second)) else {
            self.fail(c, "CHATHISTORY", format_args!("INVALID_PARAMS TARGETS :Two bounds timestamp=YYYY-MM-DDThh:mm:ss.sssZ are needed"));
            return Flow::Done;
        };
        let (from, to) = (a.min(b), a.max(b));
        let flow = self.once(c, Task::Targets { from, to, limit });
        self.conns[c].job.mark = from;
        flow
    }

    /// The channel whose history a connection may see under a name: a room it is in, a direct chat of its own.
    fn history_target(&mut self, c: u32, target: &str) -> Found<u32> {
        if Self::is_room_name(target) {
            return match self.find_room(c, target) {
                Found::Is(ch) if self.is_in(c, ch) => Found::Is(ch),
                Found::Is(_) => Found::Absent,
                found => found,
            };
        }
        match self.find_account(c, target) {
            Found::Is(peer) => self.find_direct(c, peer, false),
            Found::Absent => Found::Absent,
            Found::Wait => Found::Wait,
            Found::Failed(reason) => Found::Failed(reason),
        }
    }

    /// Whether a target that has no history is an account.
    fn is_somebody(&self, target: &str) -> bool {
        name::fold::<NICK_MAX>(target).is_some_and(|name| self.account_by_name(&name).is_some())
    }

    pub(super) fn markread(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(target) = m.param(0).filter(|target| !target.is_empty()) else {
            self.fail(
                c,
                "MARKREAD",
                format_args!("NEED_MORE_PARAMS :A target is needed"),
            );
            return Flow::Done;
        };
        let shown = text::start(target, ROOM_MAX);
        let ch = match self.history_target(c, target) {
            Found::Is(ch) => ch,
            Found::Wait => return Flow::Wait,
            Found::Absent if m.param(1).is_none() && self.is_somebody(target) => {
                let server = self.config.server_name;
                self.reply(c, format_args!(":{server} MARKREAD {shown} *"));
                return Flow::Done;
            }
            _ => {
                self.fail(
                    c,
                    "MARKREAD",
                    format_args!("INVALID_TARGET {shown} :There is no such chat that you are in"),
                );
                return Flow::Done;
            }
        };
        let a = self.conns[c].account;
        let member = match self.markers_of(c, ch) {
            Found::Is(member) => member,
            Found::Wait => return Flow::Wait,
            _ => {
                self.fail(
                    c,
                    "MARKREAD",
                    format_args!(
                        "INTERNAL_ERROR {shown} :The server could not read it, please try again"
                    ),
                );
                return Flow::Done;
            }
        };
        let Some(bound) = m.param(1) else {
            let time = self.members[member].read().time;
            self.tell_marker(c, ch, time);
            return Flow::Done;
        };
        match self.conns[c].memo {
            Memo::Done => {
                let time = self.members[member].read().time;
                let mut next = self.accounts[a].conns.front();
                while let Some(d) = next {
                    next = crate::tables::List::<3>::next(&self.conns, d);
                    // Another device that is in the middle of an answer learns it when it next asks.
                    let conn = &self.conns[d];
                    let free = conn.caps.contains(Caps::READ_MARKER)
                        && conn.is_between_answers()
                        && self.reserve_reply(d);
                    if d == c || free {
                        self.tell_marker(d, ch, time);
                    }
                }
                return Flow::Done;
            }
            Memo::Refused(_) => {
                self.fail(
                    c,
                    "MARKREAD",
                    format_args!(
                        "INTERNAL_ERROR {shown} :The server could not store it, please try again"
                    ),
                );
                return Flow::Done;
            }
            _ => {}
        }
        let Some(Bound::Time(time)) = bound_of(bound) else {
            self.fail(
                c,
                "MARKREAD",
                format_args!(
                    "INVALID_PARAMS {shown} :timestamp=YYYY-MM-DDThh:mm:ss.sssZ is needed"
                ),
            );
            return Flow::Done;
        };
        // Clamped to the newest there is; and never back.
        let time = time.min(self.channels[ch].last_time.get());
        if time <= self.members[member].read().time {
            let time = self.members[member].read().time;
            self.tell_marker(c, ch, time);
            return Flow::Done;
        }
        let seq = self.place_at(ch, time);
        let handle = self.members.handle(member);
        let old = self.members[member].read();
        self.members[member].set_read(Marker {
            seq: seq.max(old.seq),
            time,
        });
        let asked = self.ask(c, What::PutMarker(handle));
        let member = &mut self.members[member];
        if asked {
            member.unsaved = true;
            member.saving = true;
        } else {
            member.set_read(old);
        }
        Flow::Wait
    }

    /// A connection's own membership in a channel with its markers, made if need be.
    fn markers_of(&mut self, c: u32, ch: u32) -> Found<u32> {
        let a = self.conns[c].account;
        let (channel, account) = (self.channels[ch].id, self.accounts[a].id);
        if let Some(m) = self.member_of(a, ch)
            && (self.channels[ch].is_room() || self.members[m].known)
        {
            return Found::Is(m);
        }
        // In memory first, so that what is found has a place.
        let Some(m) = self.install_member(a, ch, &MemberRecord::default()) else {
            return Found::Failed(Reason::Full);
        };
        match self.conns[c].memo {
            Memo::Member {
                channel: of,
                account: who,
                ..
            } if of == channel && who == account => {
                self.members[m].known = true;
                self.conns[c].memo = Memo::None;
                Found::Is(m)
            }
            Memo::Refused(reason) => Found::Failed(reason),
            _ => {
                self.ask(c, What::FindMember(channel, account));
                Found::Wait
            }
        }
    }

    /// The place of the newest entry not after that time, as far as memory knows: what is older counts as read.
    fn place_at(&self, ch: u32, time: u64) -> Seq {
        let mut cursor = self.history.head(ch);
        let mut oldest = Seq(self.channels[ch].last.seq().0 + 1);
        while let Some((view, before)) = self.history.read_back(ch, cursor) {
            if !view.is_transient() {
                if view.time <= time {
                    return view.seq;
                }
                oldest = view.seq;
            }
            cursor = before;
        }
        if time >= self.channels[ch].last_time.get() {
            self.channels[ch].last.seq()
        } else {
            Seq(oldest
                .0
                .saturating_sub(1)
                .min(self.channels[ch].last.seq().0))
        }
    }

    fn tell_marker(&mut self, c: u32, ch: u32, time: u64) {
        let server = self.config.server_name;
        let target: RoomName = Text::truncated(self.channels[ch].name_for(self.account_id(c)));
        if time == 0 {
            self.reply(c, format_args!(":{server} MARKREAD {target} *"));
        } else {
            let stamp = timestamp::format(time);
            let stamp = core::str::from_utf8(&stamp).unwrap_or_default();
            self.reply(
                c,
                format_args!(":{server} MARKREAD {target} timestamp={stamp}"),
            );
        }
    }
}

/// A number of messages; one that is larger than any page is any such number.
fn limit_of(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u16::MAX))
}

/// `timestamp=` or `msgid=`.
fn bound_of(text: &str) -> Option<Bound> {
    match text.split_once('=')? {
        ("timestamp", stamp) => timestamp::parse(stamp).map(Bound::Time),
        ("msgid", id) => MsgId::parse(id).map(Bound::Id),
        _ => None,
    }
}

fn selector(subcommand: &str, first: Option<&str>, second: Option<&str>) -> Option<Selector> {
    let first = first?;
    Some(match subcommand {
        "latest" if first == "*" => Selector::Latest(None),
        "latest" => Selector::Latest(Some(bound_of(first)?)),
        "before" => Selector::Before(bound_of(first)?),
        "after" => Selector::After(bound_of(first)?),
        "around" => Selector::Around(bound_of(first)?),
        "between" => Selector::Between(bound_of(first)?, bound_of(second?)?),
        _ => return None,
    })
}
