//! When all is at rest: each client asks for everything, and what it got is compared with the truth.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use soqet_core::id::Seq;

use super::{Ask, Client, Context};
use crate::line::{Line, fold, format_time};

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Task {
    Targets,
    History(String),
    Names(String),
    Monitor,
    Marker(String),
    Fence,
}

/// The questions of one client.
#[derive(Clone, Debug, Default)]
pub struct Check {
    current: Option<Task>,
    rest: VecDeque<Task>,
    targets: Option<BTreeSet<String>>,
    done: bool,
}

impl Client {
    /// Starts to ask.
    pub fn start_check(&mut self, context: &mut Context<'_>) {
        let nick = fold(&self.role.nick);
        let Some(session) = &mut self.session else {
            return;
        };
        let modern = session.has("draft/chathistory");
        let mut rest = VecDeque::new();
        let rooms: Vec<String> = session.rooms.iter().cloned().collect();
        if modern {
            rest.push_back(Task::Targets);
            let peers =
                self.role.people.iter().filter(|peer| {
                    fold(peer) != nick && context.tables.direct(&nick, peer).is_some()
                });
            rest.extend(rooms.iter().chain(peers).cloned().map(Task::History));
            rest.push_back(Task::Monitor);
            if session.has("draft/read-marker") {
                rest.extend(rooms.iter().cloned().map(Task::Marker));
            }
        }
        rest.extend(rooms.into_iter().map(Task::Names));
        rest.push_back(Task::Fence);
        session.check = Some(Check {
            rest,
            ..Check::default()
        });
        self.next_task(context);
    }

    /// Whether every question was answered.
    pub fn is_checked(&self) -> bool {
        let check = self.session.as_ref().and_then(|s| s.check.as_ref());
        check.is_some_and(|check| check.done)
    }

    fn next_task(&mut self, context: &mut Context<'_>) {
        let Some(check) = self.session.as_mut().and_then(|s| s.check.as_mut()) else {
            return;
        };
        check.current = check.rest.pop_front();
        match check.current.clone() {
            None => check.done = true,
            Some(Task::Targets) => self.ask(
                Ask::Other("TARGETS".into()),
                &format!(
                    "CHATHISTORY TARGETS timestamp={} timestamp={} {}",
                    format_time(0),
                    format_time(4_000_000_000_000),
                    context.page
                ),
            ),
            Some(Task::History(target)) => self.start_fetch(&target, false, context),
            Some(Task::Names(room)) => {
                self.ask(Ask::Other("NAMES".into()), &format!("NAMES {room}"));
            }
            Some(Task::Monitor) => {
                if let Some(session) = &mut self.session {
                    session.watch_full = false;
                }
                let people = self.role.people.join(",");
                // Adding again asks again, and 733 ends the list that follows.
                self.ask(Ask::Other("MONITOR".into()), &format!("MONITOR + {people}"));
                self.ask(Ask::Other("MONITOR".into()), "MONITOR L");
            }
            Some(Task::Marker(room)) => {
                self.ask(Ask::Other("MARKREAD".into()), &format!("MARKREAD {room}"));
            }
            Some(Task::Fence) => self.ask(Ask::Other("PING".into()), "PING :fence"),
        }
    }

    fn task_done(&mut self, is: impl Fn(&Task) -> bool, context: &mut Context<'_>) {
        let check = self.session.as_ref().and_then(|s| s.check.as_ref());
        if check.and_then(|c| c.current.as_ref()).is_some_and(is) {
            self.next_task(context);
        }
    }

    pub(super) fn history_came(&mut self, target: &str, context: &mut Context<'_>) {
        self.task_done(|task| *task == Task::History(target.to_owned()), context);
    }

    pub(super) fn names_came(&mut self, room: &str, context: &mut Context<'_>) {
        self.task_done(|task| *task == Task::Names(room.to_owned()), context);
    }

    pub(super) fn marker_came(&mut self, room: &str, context: &mut Context<'_>) {
        self.task_done(|task| *task == Task::Marker(room.to_owned()), context);
    }

    pub(super) fn monitor_came(&mut self, context: &mut Context<'_>) {
        self.task_done(|task| *task == Task::Monitor, context);
    }

    pub(super) fn fence_came(&mut self, text: &str, context: &mut Context<'_>) {
        if text == "fence" {
            self.task_done(|task| *task == Task::Fence, context);
        }
    }

    pub(super) fn targets_came(&mut self, lines: &[Line], context: &mut Context<'_>) {
        let names = lines.iter().map(|line| fold(line.param(1))).collect();
        if let Some(check) = self.session.as_mut().and_then(|s| s.check.as_mut()) {
            check.targets = Some(names);
        }
        self.task_done(|task| *task == Task::Targets, context);
    }

    /// At rest: everything that was sent to this client by itself was shown.
    pub fn judge_live(&self, context: &mut Context<'_>) {
        let Some(session) = &self.session else { return };
        if let Err(why) = session
            .screen
            .complete(&self.viewer(context), &context.oracle.ledger)
        {
            context.oracle.object(why);
        }
        let nick = &self.role.nick;
        let Some(account) = context.tables.account(nick) else {
            return context
                .oracle
                .object(format!("{nick} is online but not stored"));
        };
        let member_of: BTreeSet<String> = context
            .tables
            .channels()
            .filter(|channel| channel.joined().any(|member| member == account.id))
            .map(|channel| fold(&channel.row.name))
            .collect();
        if member_of != session.rooms {
            context.oracle.object(format!(
                "{nick} was told it is in {:?} but is in {member_of:?}",
                session.rooms
            ));
        }
    }

    /// After the questions: the answers are the truth. `online` tells who is.
    pub fn judge_answers(&self, online: &BTreeMap<String, bool>, context: &mut Context<'_>) {
        let Some(session) = &self.session else { return };
        let nick = self.role.nick.clone();
        let mut wrong = Vec::new();
        for room in &session.rooms {
            let Some(channel) = context.tables.room(room) else {
                continue;
            };
            let truth: BTreeSet<String> = channel
                .joined()
                .map(|id| context.tables.name(id).to_owned())
                .collect();
            let told = session.names.get(room).cloned().unwrap_or_default();
            if truth != told {
                wrong.push(format!("{room} has {truth:?}, not {told:?}"));
            }
        }
        for (name, told) in &session.watch {
            if let Some(truth) = online.get(name)
                && truth != told
            {
                wrong.push(format!("{name} is online: {truth}, not {told}"));
            }
        }
        if session.has("draft/chathistory") {
            self.judge_history(&mut wrong, context);
        }
        if session.has("draft/read-marker")
            && let Some(account) = context.tables.account(&nick)
        {
            for room in &session.rooms {
                let stored = context
                    .tables
                    .room(room)
                    .and_then(|channel| channel.members.get(&account.id))
                    .map_or(0, |member| member.read.time);
                let told = session.markers.get(room).copied().unwrap_or(0);
                if stored != told {
                    wrong.push(format!("the marker of {room} is {stored}, not {told}"));
                }
            }
        }
        for why in wrong {
            context.oracle.object(format!("{nick} at rest: {why}"));
        }
    }

    fn judge_history(&self, wrong: &mut Vec<String>, context: &Context<'_>) {
        let Some(session) = &self.session else { return };
        let nick = &self.role.nick;
        let peers = self
            .role
            .people
            .iter()
            .filter(|peer| fold(peer) != fold(nick));
        let directs = peers.filter_map(|peer| Some((peer, context.tables.direct(nick, peer)?)));
        let rooms = session
            .rooms
            .iter()
            .filter_map(|room| Some((room, context.tables.room(room)?)));
        let mut targets = BTreeSet::new();
        for (name, channel) in rooms.chain(directs) {
            let kept = context.kept(channel.row.id);
            let truth: BTreeSet<Seq> = channel
                .entries
                .iter()
                .filter(|entry| entry.kind.is_message() && entry.seq >= kept)
                .map(|entry| entry.seq)
                .collect();
            if !truth.is_empty() {
                targets.insert(fold(name));
            }
            let got = session.fetched.get(&channel.row.id);
            let missing = got.map(|got| truth.difference(got).copied().collect::<Vec<_>>());
            if missing.as_ref().is_none_or(|missing| !missing.is_empty()) {
                wrong.push(format!("history of {name} lacks places {missing:?}"));
            }
        }
        let told = session
            .check
            .as_ref()
            .and_then(|check| check.targets.clone());
        if targets.len() < usize::from(context.page) && told.as_ref() != Some(&targets) {
            wrong.push(format!("TARGETS are {targets:?}, not {told:?}"));
        }
    }
}
