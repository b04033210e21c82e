//! Paging through history, and judging each page.

use std::collections::BTreeSet;

use soqet_core::id::{ChannelId, MsgId, Seq};

use super::role::{Behaviour, Paging};
use super::{Ask, Client, Context};
use crate::line::{Line, format_time};

/// A history being fetched, page after page.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    target: String,
    forwards: bool,
    /// Only one page is wanted.
    single: bool,
    /// The page is somewhere in the middle: it has no edge to be compared with.
    loose: bool,
    /// Between the cursor and this place nothing but the page may lie; none before the first page.
    cursor: Option<(Seq, MsgId, u64)>,
    limit: u16,
    /// The newest place that was shown when the page was asked for.
    shown: Seq,
    got: BTreeSet<Seq>,
    channel: Option<ChannelId>,
    failures: u32,
}

impl Client {
    /// Starts to fetch all of a channel, or only its first page.
    pub(super) fn start_fetch(&mut self, target: &str, single: bool, context: &mut Context<'_>) {
        let forwards = self.draw.chance(500);
        let limit = self.role.page.min(context.page).max(1);
        let Some(session) = &mut self.session else {
            return;
        };
        if session.fetch.is_some() {
            return;
        }
        session.fetch = Some(Fetch {
            target: target.to_owned(),
            forwards,
            single,
            loose: false,
            cursor: None,
            limit,
            shown: Seq::NONE,
            got: BTreeSet::new(),
            channel: None,
            failures: 0,
        });
        self.next_page(context);
    }

    /// Asks for one page in the middle: around a message, or between two.
    pub(super) fn fetch_middle(&mut self, target: &str, context: &mut Context<'_>) {
        let limit = self.role.page.min(context.page).max(1);
        let Some(session) = &mut self.session else {
            return;
        };
        let channel = context.tables.room(target).map(|room| room.row.id);
        let Some(view) = channel.and_then(|id| session.screen.views.get(&id)) else {
            return;
        };
        let known: Vec<_> = view.live.iter().copied().collect();
        let mut place = || {
            let seq = self.draw.pick(&known)?;
            let noted = context.oracle.ledger.entry(channel?, *seq)?;
            Some(match self.role.paging {
                Paging::Id => format!("msgid={}", noted.entry.msgid),
                Paging::Time => format!("timestamp={}", format_time(noted.entry.time)),
            })
        };
        let (Some(a), Some(b), None) = (place(), place(), &session.fetch) else {
            return;
        };
        let middle = if self.draw.chance(500) {
            format!("AROUND {target} {a}")
        } else {
            format!("BETWEEN {target} {a} {b}")
        };
        session.fetch = Some(Fetch {
            target: target.to_owned(),
            forwards: false,
            single: true,
            loose: true,
            cursor: None,
            limit,
            shown: Seq::NONE,
            got: BTreeSet::new(),
            channel,
            failures: 0,
        });
        session.pages += 1;
        let ask = Ask::Fetch(session.pages);
        self.ask(ask, &format!("CHATHISTORY {middle} {limit}"));
    }

    fn next_page(&mut self, context: &mut Context<'_>) {
        let channel = |target: &str| {
            if target.starts_with('#') {
                context.tables.room(target)
            } else {
                context.tables.direct(&self.role.nick, target)
            }
        };
        let by = self.role.paging;
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(fetch) = &mut session.fetch else {
            return;
        };
        fetch.channel = channel(&fetch.target).map(|channel| channel.row.id);
        fetch.shown = fetch
            .channel
            .and_then(|id| session.screen.views.get(&id))
            .map_or(Seq::NONE, |view| view.last);
        let (verb, cursor) = match (fetch.forwards, fetch.cursor) {
            (false, None) => ("LATEST", "*".to_owned()),
            (true, None) => ("AFTER", format!("timestamp={}", format_time(0))),
            (forwards, Some((_, msgid, time))) => (
                if forwards { "AFTER" } else { "BEFORE" },
                match by {
                    Paging::Id => format!("msgid={msgid}"),
                    Paging::Time => format!("timestamp={}", format_time(time)),
                },
            ),
        };
        let line = format!(
            "CHATHISTORY {verb} {} {cursor} {}",
            fetch.target, fetch.limit
        );
        session.pages += 1;
        let ask = Ask::Fetch(session.pages);
        self.ask(ask, &line);
    }

    /// A page came.
    pub(super) fn page_came(&mut self, target: &str, lines: &[Line], context: &mut Context<'_>) {
        let Some(fetch) = self
            .session
            .as_mut()
            .and_then(|session| session.fetch.take())
        else {
            if self.role.behaviour == Behaviour::Rubbish && !context.healed {
                return;
            }
            let why = format!(
                "{} was sent a page of {target} it did not ask for",
                self.role.nick
            );
            return context.oracle.object(why);
        };
        match judge(&fetch, lines, context, self.role.paging) {
            Err(why) => context.oracle.object(format!(
                "{}, {} {target}, cursor {:?}: {why}",
                self.role.nick,
                if fetch.forwards {
                    "forwards in"
                } else {
                    "backwards in"
                },
                fetch.cursor
            )),
            Ok(places) => self.go_on(fetch, &places, context),
        }
    }

    fn go_on(&mut self, mut fetch: Fetch, places: &[(ChannelId, Seq)], context: &mut Context<'_>) {
        fetch.failures = 0;
        let edge = if fetch.forwards {
            places.last()
        } else {
            places.first()
        };
        let entry = edge.and_then(|(channel, seq)| context.oracle.ledger.entry(*channel, *seq));
        fetch.got.extend(places.iter().map(|(_, seq)| *seq));
        let Some(session) = &mut self.session else {
            return;
        };
        match entry {
            Some(noted) if !fetch.single => {
                fetch.cursor = Some((noted.entry.seq, noted.entry.msgid, noted.entry.time));
                session.fetch = Some(fetch);
                self.next_page(context);
            }
            _ => {
                if !fetch.single
                    && let Some(channel) = fetch.channel
                {
                    session.fetched.insert(channel, fetch.got);
                }
                self.history_came(&fetch.target, context);
            }
        }
    }

    /// The server could not answer: once all is healed it is asked again, until then that was it.
    pub(super) fn fetch_failed(&mut self, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(fetch) = &mut session.fetch else {
            return;
        };
        fetch.failures += 1;
        if context.rest && fetch.failures > 3 {
            let why = format!("{} cannot fetch {}", self.role.nick, fetch.target);
            context.oracle.object(why);
        }
        if context.rest {
            self.next_page(context);
        } else {
            session.fetch = None;
        }
    }
}

/// Whether a page holds what it must: in order, without a hole, next to its cursor, not too long, never cut inside a millisecond.
fn judge(
    fetch: &Fetch,
    lines: &[Line],
    context: &Context<'_>,
    by: Paging,
) -> Result<Vec<(ChannelId, Seq)>, String> {
    let ledger = &context.oracle.ledger;
    let mut places = Vec::new();
    for line in lines {
        match context.oracle.identify(line)? {
            Some(place) => places.push(place),
            None => return Err(format!("a line without identity: {line:?}")),
        }
    }
    let Some(channel) = fetch.channel else {
        return if places.is_empty() {
            Ok(places)
        } else {
            Err("history of a channel that is not stored".to_owned())
        };
    };
    if places.iter().any(|(other, _)| *other != channel) {
        return Err("a line of another channel".to_owned());
    }
    if !places.is_sorted_by(|a, b| a.1 < b.1) {
        return Err(format!("not in order: {places:?}"));
    }
    let kept = context.kept(channel);
    let hole = |after: Seq, before: Seq| {
        ledger
            .messages(channel, after, before)
            .map(|noted| noted.entry.seq)
            .find(|seq| *seq >= kept && !places.contains(&(channel, *seq)))
    };
    let cursor = fetch.cursor.map(|(seq, _, _)| seq);
    let time = |seq: Seq| {
        ledger
            .entry(channel, seq)
            .map_or(0, |noted| noted.entry.time)
    };
    if let (Some((_, first)), Some((_, last))) = (places.first().copied(), places.last().copied()) {
        // By time everything of the cursor's own millisecond is left out; a page never ended inside it.
        let from = match cursor {
            _ if fetch.loose => Seq(first.0 - 1),
            Some(cursor) if fetch.forwards && first <= cursor => {
                return Err(format!("place {} again", first.0));
            }
            Some(cursor) if !fetch.forwards && last >= cursor => {
                return Err(format!("place {} again", last.0));
            }
            Some(cursor) if fetch.forwards => cursor,
            None if fetch.forwards => Seq::NONE,
            _ => Seq(first.0 - 1),
        };
        let to = match cursor {
            _ if fetch.loose => last,
            Some(cursor) if !fetch.forwards => cursor,
            None if !fetch.forwards => Seq((fetch.shown.0 + 1).max(last.0)),
            _ => last,
        };
        // A read that fails for good closes its page early.
        let whole = by == Paging::Id || cursor.is_none();
        let exact = context.rest || (whole && !context.reads_fail);
        if exact && let Some(hole) = hole(from, to) {
            return Err(format!("place {} is left out of {places:?}", hole.0));
        }
        if context.rest && !fetch.loose {
            let beyond = if fetch.forwards {
                ledger
                    .messages(channel, last, Seq(u64::MAX))
                    .next()
                    .filter(|noted| noted.entry.time == time(last))
            } else {
                ledger
                    .messages(channel, Seq::NONE, first)
                    .next_back()
                    .filter(|noted| noted.entry.time == time(first) && noted.entry.seq >= kept)
            };
            if let Some(noted) = beyond {
                return Err(format!(
                    "the page ends inside a millisecond, before place {}",
                    noted.entry.seq.0
                ));
            }
        }
        let same = time(first) == time(last);
        let counted = places.len();
        if counted > usize::from(fetch.limit) && !same {
            return Err(format!("{counted} lines where {} were asked", fetch.limit));
        }
    } else if context.rest && !fetch.loose {
        let (from, to) = match cursor {
            Some(cursor) if fetch.forwards => (cursor, Seq(u64::MAX)),
            Some(cursor) => (Seq::NONE, cursor),
            None => (Seq::NONE, Seq(u64::MAX)),
        };
        if let Some(hole) = hole(from, to) {
            return Err(format!("the page is empty, but place {} is there", hole.0));
        }
    }
    Ok(places)
}
