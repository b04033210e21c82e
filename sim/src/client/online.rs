//! What a client makes of the lines it is sent after the login.

use std::collections::BTreeSet;

use soqet_core::id::MsgId;

use super::{Ask, Client, Context, Session, Stage};
use crate::line::{Line, fold, parse_time};
use crate::oracle::token;

/// A batch being received.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    kind: String,
    target: String,
    ask: Option<Ask>,
    lines: Vec<Line>,
}

impl Client {
    pub(super) fn logged_in(&mut self, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.stage = Stage::Online;
        session.since = context.now;
        // What replay brings is counted per account: while one device is still coming, another may have been given a private message.
        // And where reads fail for good, so does replay.
        let replayed = self.role.sole && session.alone && !context.reads_fail;
        let certain = replayed || session.has("draft/chathistory");
        session.screen.login_order = if certain {
            context.oracle.ledger.count()
        } else {
            u64::MAX
        };
        if session.has("draft/chathistory") {
            let people = self.role.people.join(",");
            self.say(&format!("MONITOR + {people}"));
        }
    }

    /// A line came after 001.
    pub(super) fn online_line(&mut self, line: Line, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let Some(batch) = line.tag("batch")
            && line.command != "BATCH"
        {
            match session.batches.get_mut(batch) {
                // An answer is used as it comes; history waits to be judged as a page.
                Some(batch) if batch.kind == "labeled-response" => {
                    batch.lines.push(line.clone());
                    self.line(&line, context);
                }
                Some(batch) => batch.lines.push(line),
                None => context.oracle.object(format!(
                    "{} was sent a line of no batch: {line:?}",
                    self.role.nick
                )),
            }
            return;
        }
        let mut ask = None;
        if let Some(label) = line.tag("label") {
            ask = session.asks.remove(label);
            if ask.is_none() {
                return context.oracle.object(format!(
                    "{} was answered what it did not ask, or twice: {line:?}",
                    self.role.nick
                ));
            }
        }
        if line.command == "BATCH" {
            return self.batch_line(&line, ask, context);
        }
        self.answer(ask, std::slice::from_ref(&line), context);
        self.line(&line, context);
    }

    fn batch_line(&mut self, line: &Line, ask: Option<Ask>, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let name = line.param(0);
        if let Some(reference) = name.strip_prefix('+') {
            // A batch within a labelled one answers for it.
            let parent = line
                .tag("batch")
                .and_then(|outer| session.batches.get_mut(outer));
            let ask = ask.or_else(|| parent.and_then(|outer| outer.ask.take()));
            session.batches.insert(
                reference.to_owned(),
                Batch {
                    kind: line.param(1).to_owned(),
                    target: line.param(2).to_owned(),
                    ask,
                    lines: Vec::new(),
                },
            );
            return;
        }
        let Some(batch) = name
            .strip_prefix('-')
            .and_then(|r| session.batches.remove(r))
        else {
            return context.oracle.object(format!(
                "{} was sent the end of no batch: {name}",
                self.role.nick
            ));
        };
        match batch.kind.as_str() {
            "chathistory" => self.page_came(&batch.target, &batch.lines, context),
            "draft/chathistory-targets" => self.targets_came(&batch.lines, context),
            _ => self.answer(batch.ask, &batch.lines, context),
        }
    }

    /// A labelled command was answered with these lines.
    fn answer(&mut self, ask: Option<Ask>, lines: &[Line], context: &mut Context<'_>) {
        let Some(ask) = ask else { return };
        match ask {
            Ask::Message(said) => {
                let echo = self.session.as_ref().is_some_and(|s| s.has("echo-message"));
                let echoed = lines
                    .iter()
                    .any(|line| token(line.last()) == Some(said) && line.nick() == self.role.nick);
                let refused = lines.iter().find(|line| is_refusal(line));
                match refused {
                    // The echo itself is taken where every message is.
                    _ if echoed => {}
                    Some(line) => {
                        context
                            .oracle
                            .failed(said, &format!("{} {}", line.command, line.params.join(" ")));
                    }
                    // The echo itself was left out in a gap.
                    None if lines.iter().any(|line| line.command == "ACK") => {
                        context.oracle.acked(said, None);
                    }
                    None if echo => context.oracle.object(format!(
                        "{}: message {said} was answered with neither echo nor refusal: {lines:?}",
                        self.role.nick
                    )),
                    None => {}
                }
            }
            Ask::Fetch(page) => {
                // A page that broke off was judged by what came of it, and the next was asked for.
                let current = self.session.as_ref().is_some_and(|s| s.pages == page);
                if current && lines.iter().any(is_refusal) {
                    self.fetch_failed(context);
                }
            }
            Ask::Other(_) => {}
        }
    }

    fn line(&mut self, line: &Line, context: &mut Context<'_>) {
        match line.command.as_str() {
            // So programs are told that know nothing of standard replies.
            "NOTICE"
                if !line.source.contains('!') && line.last().starts_with("You missed messages") =>
            {
                context.gaps += 1;
                self.gap(line.param(0), context);
            }
            "PRIVMSG" | "NOTICE" | "JOIN" | "PART" | "KICK" | "TOPIC" | "MODE" => {
                self.entry_line(line, context);
            }
            "353" => self.names_line(line.param(2), line.last()),
            "366" => {
                let room = fold(line.param(1));
                if let Some(session) = &mut self.session {
                    let names = session.partial_names.remove(&room).unwrap_or_default();
                    session.names.insert(room.clone(), names);
                }
                self.names_came(&room, context);
            }
            "730" | "731" => {
                if let Some(session) = &mut self.session {
                    for name in line.last().split(',') {
                        let nick = name.split('!').next().unwrap_or(name);
                        session.watch.insert(fold(nick), line.command == "730");
                    }
                }
            }
            "733" => self.monitor_came(context),
            "734" => {
                if let Some(session) = &mut self.session {
                    session.watch_full = true;
                }
                self.monitor_came(context);
            }
            "MARKREAD" => self.marker_line(line, context),
            "PONG" => self.fence_came(line.last(), context),
            "NOTE" if line.param(0) == "HISTORY" && line.param(1) == "GAP" => {
                context.gaps += 1;
                self.gap(line.param(2), context);
            }
            "FAIL" if line.param(0) == "CHATHISTORY" && !self.role.labels => {
                self.fetch_failed(context);
            }
            _ => {}
        }
    }

    /// The server says that it left something out of a channel.
    fn gap(&mut self, target: &str, context: &mut Context<'_>) {
        let channel = if target.starts_with('#') {
            context.tables.room(target)
        } else {
            context.tables.direct(&self.role.nick, target)
        };
        let (Some(channel), Some(session)) = (channel, &mut self.session) else {
            return;
        };
        let active = session
            .screen
            .view(
                channel.row.id,
                !target.starts_with('#'),
                &context.oracle.ledger,
            )
            .active;
        if active {
            let replayed = !session.has("draft/chathistory");
            session
                .screen
                .begin(channel.row.id, replayed, &context.oracle.ledger);
            session.gap_in.insert(fold(target));
        }
    }

    fn entry_line(&mut self, line: &Line, context: &mut Context<'_>) {
        let own = fold(line.nick()) == fold(&self.role.nick);
        let target = line.param(0).to_owned();
        if line.command == "JOIN" && own {
            self.joined(&target, context);
        }
        match context.oracle.identify(line) {
            Err(why) => context.oracle.object(format!("{}: {why}", self.role.nick)),
            Ok(None) => {}
            Ok(Some((channel, seq))) => {
                let viewer = self.viewer(context);
                let direct = !target.starts_with('#');
                let known = self.session.as_mut().map(|session| {
                    let first = session
                        .screen
                        .views
                        .get(&channel)
                        .is_none_or(|view| view.first.is_none());
                    let active = session
                        .screen
                        .view(channel, direct, &context.oracle.ledger)
                        .active;
                    let shown =
                        session
                            .screen
                            .live(channel, seq, direct, &viewer, &context.oracle.ledger);
                    (first, active, shown)
                });
                let Some((first, active, shown)) = known else {
                    return;
                };
                if let Err(why) = shown {
                    context.oracle.object(why);
                }
                if !active {
                    context.oracle.object(format!(
                        "{} was sent {} in {target}, which it was not told it is in",
                        self.role.nick, line.command
                    ));
                }
                if first {
                    self.compare_replay(channel, seq, context);
                }
                if own
                    && let Some(said) = token(line.last())
                    && context.oracle.is_open(said)
                {
                    let msgid = line.tag("msgid").and_then(MsgId::parse);
                    context.oracle.acked(said, msgid);
                }
            }
        }
        let leaves = (line.command == "PART" && own)
            || (line.command == "KICK" && fold(line.param(1)) == fold(&self.role.nick));
        if leaves
            && let (Some(session), Some(room)) = (&mut self.session, context.tables.room(&target))
        {
            session.rooms.remove(&fold(&target));
            // Who joins anew has read nothing yet.
            session.markers.remove(&fold(&target));
            session.screen.end(room.row.id);
        }
    }

    fn joined(&mut self, target: &str, context: &mut Context<'_>) {
        let (Some(session), Some(room)) = (&mut self.session, context.tables.room(target)) else {
            return context.oracle.object(format!(
                "{} was told it is in {target}, which is not stored",
                self.role.nick
            ));
        };
        session.rooms.insert(fold(target));
        session.gap_in.remove(&fold(target));
        let replayed = !session.has("draft/chathistory");
        session
            .screen
            .begin(room.row.id, replayed, &context.oracle.ledger);
    }

    /// The first line of a channel on this connection, at a client that relies on replay: nothing again, nothing left out.
    fn compare_replay(
        &mut self,
        channel: soqet_core::id::ChannelId,
        seq: soqet_core::id::Seq,
        context: &mut Context<'_>,
    ) {
        let Some(session) = &self.session else { return };
        if session.has("draft/chathistory") {
            return;
        }
        let Some(resume) = self.resume.as_mut() else {
            return;
        };
        let Some(before) = resume.places.remove(&channel) else {
            return;
        };
        if resume.crashes != context.crashes {
            return;
        }
        if seq <= before {
            return context.oracle.object(format!(
                "{} was shown place {} of channel {} again after a clean end at {}",
                self.role.nick, seq.0, channel.0, before.0
            ));
        }
        let ledger = &context.oracle.ledger;
        let last = soqet_core::id::Seq(ledger.last(channel).0 + 1);
        let ids = session.has("message-tags");
        let missed = ledger
            .messages(channel, before, seq)
            .filter(|noted| ids || noted.marked)
            .filter(|noted| fold(&noted.entry.nick) != fold(&self.role.nick))
            .map(|noted| noted.entry.seq)
            .next();
        let since = ledger
            .messages(channel, soqet_core::id::Seq(seq.0 - 1), last)
            .count();
        // A replay is not cut inside a millisecond, but before it.
        let before_it = ledger.messages(channel, before, seq).next_back();
        let run = before_it.map_or(0, |edge| {
            ledger
                .messages(channel, before, seq)
                .filter(|noted| noted.entry.time == edge.entry.time)
                .count()
        });
        // What the store no longer keeps cannot be replayed.
        let kept = context.kept(channel);
        if let Some(hole) = missed
            && hole >= kept
            && since + run <= usize::from(context.replay)
            && !context.reads_fail
        {
            context.oracle.object(format!(
                "{} was not replayed place {} of channel {} after a clean end at {}",
                self.role.nick, hole.0, channel.0, before.0
            ));
        }
    }

    fn names_line(&mut self, room: &str, names: &str) {
        let Some(session) = &mut self.session else {
            return;
        };
        let set: &mut BTreeSet<String> = session.partial_names.entry(fold(room)).or_default();
        for name in names.split_whitespace() {
            let nick = name.trim_start_matches(['~', '&', '@', '%', '+']);
            set.insert(nick.split('!').next().unwrap_or(nick).to_owned());
        }
    }

    fn marker_line(&mut self, line: &Line, context: &mut Context<'_>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let time = line
            .param(1)
            .strip_prefix("timestamp=")
            .and_then(parse_time)
            .unwrap_or(0);
        let target = fold(line.param(0));
        let before = session.markers.insert(target.clone(), time).unwrap_or(0);
        if time < before {
            context.oracle.object(format!(
                "{}: the read marker of {target} went back from {before} to {time}",
                self.role.nick
            ));
        }
        self.marker_came(&target, context);
    }
}

/// Whether a line says that a command was not accepted.
pub(super) fn is_refusal(line: &Line) -> bool {
    line.command == "FAIL"
        || (line.command.len() == 3 && matches!(line.command.as_bytes().first(), Some(b'4' | b'5')))
}

impl Session {
    pub(super) fn screen(&self) -> &crate::oracle::Screen {
        &self.screen
    }
}
