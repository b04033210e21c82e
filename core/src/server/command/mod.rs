//! The commands, one function each. A command that needs what is not in memory asks for it and answers `Flow::Wait`; it is run again, from
//! its beginning, when the answer is there. `progress` counts the targets that are done.

mod account;
mod channel;
mod config;
mod history;
mod message;
mod mode;
mod query;
mod room;
mod session;

use super::channel::Shape;
use super::conn::Memo;
use super::input::Flow;
use super::job;
use super::request::What;
use super::{Protocol, Server};
use crate::id::{AccountId, ChannelId};
use crate::irc::message::Message;
use crate::irc::numeric::*;
use crate::name::{self, NICK_MAX, ROOM_MAX};
use crate::store::{Kind, MemberFlags, Reason};
use crate::tables::NIL;
use crate::text;

/// What a look-up brought.
pub(super) enum Found<T> {
    Is(T),
    Absent,
    /// Run the command again.
    Wait,
    /// The store failed, or there is no room for it in memory.
    Failed(Reason),
}

/// What runs a command.
type Run<'s> = for<'m> fn(&mut Server<'s>, u32, &Message<'m>) -> Flow;

/// When a command may run.
enum When {
    /// Before the login too.
    Always,
    LoggedIn,
    /// Logged in, or as the machine's operator, who need not.
    Operator,
    /// As `LoggedIn`, and it need not wait for the messages before it.
    Message,
}

impl<'s> Server<'s> {
    /// All commands.
    const COMMANDS: &'s [(&'static str, When, Run<'s>)] = {
        use When::{Always, LoggedIn, Message, Operator};
        &[
            ("PRIVMSG", Message, Server::say),
            ("NOTICE", Message, Server::say),
            ("TAGMSG", Message, Server::say),
            ("PING", Always, Server::ping),
            ("PONG", Always, |_, _, _| Flow::Done),
            ("CAP", Always, Server::cap),
            ("NICK", Always, Server::nick),
            ("USER", Always, Server::user),
            ("PASS", Always, Server::pass),
            ("AUTHENTICATE", Always, Server::authenticate),
            ("REGISTER", Always, Server::register),
            ("QUIT", Always, Server::quit),
            ("AWAY", LoggedIn, Server::away),
            ("SETNAME", LoggedIn, Server::setname),
            ("JOIN", LoggedIn, Server::join),
            ("PART", LoggedIn, Server::part),
            ("TOPIC", LoggedIn, Server::topic),
            ("KICK", LoggedIn, Server::kick),
            ("INVITE", LoggedIn, Server::invite),
            ("MODE", LoggedIn, Server::mode),
            ("NAMES", LoggedIn, Server::names),
            ("LIST", LoggedIn, |s, c, _| s.text(c, job::Task::List)),
            ("WHO", LoggedIn, Server::who),
            ("WHOIS", LoggedIn, Server::whois),
            ("WHOWAS", LoggedIn, Server::whowas),
            ("ISON", LoggedIn, Server::ison),
            ("USERHOST", LoggedIn, Server::userhost),
            ("MONITOR", LoggedIn, Server::monitor),
            ("CHATHISTORY", LoggedIn, Server::chathistory),
            ("MARKREAD", LoggedIn, Server::markread),
            ("ACCOUNT", Operator, Server::account),
            ("CONFIG", Operator, Server::config),
            ("ROOM", Operator, Server::room),
            ("MOTD", LoggedIn, |s, c, _| s.text(c, job::Task::Motd)),
            ("LUSERS", LoggedIn, |s, c, _| s.text(c, job::Task::Lusers)),
            ("INFO", LoggedIn, |s, c, _| s.text(c, job::Task::Info)),
            ("VERSION", LoggedIn, |s, c, _| s.text(c, job::Task::Version)),
            ("TIME", LoggedIn, Server::time),
        ]
    };

    /// Runs a command.
    pub(super) fn command(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let found = Self::COMMANDS.iter().find(|(name, ..)| m.is(name));
        let allowed = match found {
            Some((_, When::Always, _)) => true,
            Some((_, When::Operator, _)) if self.conns[c].protocol == Protocol::Control => true,
            _ => self.conns[c].is_welcomed(),
        };
        if !allowed {
            self.numeric(
                c,
                ERR_NOTREGISTERED,
                format_args!(":You have not logged in: use SASL, or REGISTER an account"),
            );
            return Flow::Done;
        }
        // Messages may overtake nothing, but wait only for a slot; everything else waits for the messages before.
        let message = matches!(found, Some((_, When::Message, _)));
        if !message && self.conns[c].unstored > 0 && !self.conns[c].awaiting {
            return Flow::Wait;
        }
        if let Some((_, _, run)) = found {
            return run(self, c, m);
        }
        let shown = text::start(m.command, 32);
        self.numeric(
            c,
            ERR_UNKNOWNCOMMAND,
            format_args!("{shown} :Unknown command"),
        );
        Flow::Done
    }

    /// Answers that a parameter is missing.
    fn need_more(&mut self, c: u32, command: &str) -> Flow {
        self.numeric(
            c,
            ERR_NEEDMOREPARAMS,
            format_args!("{command} :Not enough parameters"),
        );
        Flow::Done
    }

    /// Answers a command with a job.
    fn text(&mut self, c: u32, task: job::Task) -> Flow {
        self.once(c, task)
    }

    /// Starts a job, the first time; the second time the command is done.
    fn once(&mut self, c: u32, task: job::Task) -> Flow {
        if self.conns[c].progress > 0 {
            return Flow::Done;
        }
        self.conns[c].progress = 1;
        self.start_job(c, task);
        Flow::Wait
    }

    /// Done with one target of several: the rest of the command runs on.
    fn next_target(&mut self, c: u32) {
        let conn = &mut self.conns[c];
        conn.progress = conn.progress.saturating_add(1);
        conn.memo = Memo::None;
    }

    /// What the store refused, for the command in hand.
    fn refused(&mut self, c: u32, command: &str, target: &str, reason: Reason) {
        let why = super::reply::reason_text(reason);
        self.fail(c, command, format_args!("NOT_STORED {target} :{why}"));
    }

    // ---- look-ups

    /// An account by the name somebody typed.
    pub(super) fn find_account(&mut self, c: u32, spelled: &str) -> Found<u32> {
        let Some(folded) = name::fold::<NICK_MAX>(spelled).filter(|name| !name.is_empty()) else {
            return Found::Absent;
        };
        if let Some(a) = self.account_by_name(&folded) {
            return Found::Is(a);
        }
        match self.conns[c].memo {
            Memo::Absent(key) if key == job::key(&[folded.as_bytes()]) => Found::Absent,
            Memo::Refused(reason) => Found::Failed(reason),
            _ => {
                self.ask(c, What::FindAccount(folded));
                Found::Wait
            }
        }
    }

    /// A room by the name somebody typed, with its bans in memory.
    pub(super) fn find_room(&mut self, c: u32, spelled: &str) -> Found<u32> {
        let Some(folded) = name::fold::<ROOM_MAX>(spelled) else {
            return Found::Absent;
        };
        if let Some(ch) = self.room_by_name(&folded) {
            if !self.channels[ch].bans_loaded {
                if let Memo::Refused(reason) = self.conns[c].memo {
                    return Found::Failed(reason);
                }
                let bans = self.bans_missing(ch);
                self.ask(c, bans);
                return Found::Wait;
            }
            return Found::Is(ch);
        }
        match self.conns[c].memo {
            Memo::Absent(key) if key == job::key(&[folded.as_bytes()]) => Found::Absent,
            Memo::Refused(reason) => Found::Failed(reason),
            _ => {
                self.ask(c, What::FindRoom(folded));
                Found::Wait
            }
        }
    }

    /// The direct chat of a connection's account with another; made if there is none and `create`.
    pub(super) fn find_direct(&mut self, c: u32, peer: u32, create: bool) -> Found<u32> {
        let [low, high] = super::attach::pair(self.account_id(c), self.accounts[peer].id);
        if let Some(ch) = self.direct_between(low, high) {
            return Found::Is(ch);
        }
        let absent = job::key(&[&low.0.to_le_bytes(), &high.0.to_le_bytes()]);
        match self.conns[c].memo {
            Memo::Absent(key) if key == absent && !create => Found::Absent,
            Memo::Refused(reason) => Found::Failed(reason),
            _ => {
                let what = if create {
                    What::CreateDirect(low, high)
                } else {
                    What::FindDirect(low, high)
                };
                self.ask(c, what);
                Found::Wait
            }
        }
    }

    /// The standing of an account in a room, online or not.
    pub(super) fn find_member(&mut self, c: u32, ch: u32, a: u32) -> Found<MemberFlags> {
        if let Some(m) = self.member_of(a, ch) {
            return Found::Is(self.members[m].flags);
        }
        let (channel, account): (ChannelId, AccountId) =
            (self.channels[ch].id, self.accounts[a].id);
        match self.conns[c].memo {
            Memo::Member {
                channel: of,
                account: who,
                flags,
                ..
            } if of == channel && who == account => {
                Found::Is(MemberFlags::from_bits_truncate(flags))
            }
            Memo::Refused(reason) => Found::Failed(reason),
            _ => {
                self.ask(c, What::FindMember(channel, account));
                Found::Wait
            }
        }
    }

    /// A connection's own standing in a channel; empty if not a member.
    pub(super) fn own_flags(&self, c: u32, ch: u32) -> MemberFlags {
        match self.conns[c].account {
            NIL => MemberFlags::empty(),
            a => self
                .member_of(a, ch)
                .map_or(MemberFlags::empty(), |m| self.members[m].flags),
        }
    }

    /// Whether a connection's account is a member of a channel.
    pub(super) fn is_in(&self, c: u32, ch: u32) -> bool {
        self.own_flags(c, ch).contains(MemberFlags::JOINED)
    }

    /// Whether a command of a connection in a channel must wait for a change of state under way.
    fn must_wait(&mut self, c: u32, ch: u32) -> bool {
        self.waits_for(c, ch, self.account_id(c))
    }

    /// The same, of the channel or of an account's membership. What was looked up before may then no longer be so.
    fn waits_for(&mut self, c: u32, ch: u32, account: AccountId) -> bool {
        let waits = self.channels[ch].held || self.is_changing(ch, account);
        if waits {
            self.conns[c].memo = Memo::None;
            self.stalled.push_back(&mut self.conns, c);
        }
        waits
    }

    /// A room a connection is in, by the name somebody typed; says what is wrong.
    fn own_room(&mut self, c: u32, command: &str, spelled: &str) -> Result<u32, Flow> {
        let shown = text::start(spelled, ROOM_MAX);
        match self.find_room(c, spelled) {
            Found::Is(ch) if self.is_in(c, ch) => {
                if self.must_wait(c, ch) {
                    return Err(Flow::Wait);
                }
                Ok(ch)
            }
            Found::Is(_) => {
                self.numeric(
                    c,
                    ERR_NOTONCHANNEL,
                    format_args!("{shown} :You are not in that room"),
                );
                Err(Flow::Done)
            }
            Found::Absent => {
                self.numeric(
                    c,
                    ERR_NOSUCHCHANNEL,
                    format_args!("{shown} :There is no such room"),
                );
                Err(Flow::Done)
            }
            Found::Wait => Err(Flow::Wait),
            Found::Failed(reason) => {
                self.refused(c, command, shown, reason);
                Err(Flow::Done)
            }
        }
    }

    /// Says that there is no such account.
    fn no_such_nick(&mut self, c: u32, spelled: &str) -> Flow {
        let shown = text::start(if spelled.is_empty() { "*" } else { spelled }, NICK_MAX);
        self.numeric(
            c,
            ERR_NOSUCHNICK,
            format_args!("{shown} :There is no such account"),
        );
        Flow::Done
    }

    /// Whether a connection's account is an operator of a room; says so if not.
    fn needs_operator(&mut self, c: u32, ch: u32) -> bool {
        if self
            .own_flags(c, ch)
            .intersects(MemberFlags::OPERATOR | MemberFlags::FOUNDER)
        {
            return true;
        }
        let room = self.room_name(ch);
        self.numeric(
            c,
            ERR_CHANOPRIVSNEEDED,
            format_args!("{room} :You are not an operator of that room"),
        );
        false
    }

    /// Whether a room's operators are asked for by the shape of a target.
    fn is_room_name(target: &str) -> bool {
        target.starts_with('#')
    }

    /// A room's member limit and number of members.
    fn occupancy(&self, ch: u32) -> (u32, u32) {
        match self.channels[ch].shape {
            Shape::Room { limit, members, .. } => {
                let joins = self.changes(ch).filter(|(kind, _)| *kind == Kind::Join);
                (limit, members.saturating_add(joins.count() as u32))
            }
            Shape::Direct { .. } => (0, 0),
        }
    }
}

/// What somebody typed, where an answer has it as a middle parameter.
fn word(typed: &str) -> &str {
    if typed.is_empty() || typed.contains([' ', ':']) {
        "*"
    } else {
        typed
    }
}
