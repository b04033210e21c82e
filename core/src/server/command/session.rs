//! CAP, NICK, USER, PASS, PING, QUIT, AWAY, SETNAME.

use super::super::Server;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::reply::Out;
use super::super::request::{Change, What};
use crate::irc::caps::Caps;
use crate::irc::message::Message;
use crate::irc::numeric::*;
use crate::name::{self, NICK_MAX};
use crate::store::Reason;
use crate::tables::NIL;
use crate::text::{self, Text};

/// Longest list of capabilities in one line.
const CAP_LINE: usize = 380;

impl Server<'_> {
    pub(super) fn cap(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(subcommand) = m.param(0) else {
            return self.need_more(c, "CAP");
        };
        let policy = self.policy(c);
        let offered = Caps::offered(&policy);
        if subcommand.eq_ignore_ascii_case("LS") {
            let version = m
                .param(1)
                .and_then(|version| version.parse::<u32>().ok())
                .unwrap_or(0);
            let conn = &mut self.conns[c];
            if version >= 302 {
                conn.cap302 = true;
                conn.caps |= Caps::CAP_NOTIFY;
            }
            conn.negotiating |= !conn.is_welcomed();
            let values = conn.cap302;
            self.cap_list(c, "LS", offered, values);
        } else if subcommand.eq_ignore_ascii_case("LIST") {
            self.cap_list(c, "LIST", self.conns[c].caps, false);
        } else if subcommand.eq_ignore_ascii_case("REQ") {
            let list = m.param(1).unwrap_or_default().trim_ascii();
            let nick = self.nick_copy(c);
            let server = self.config.server_name;
            let conn = &mut self.conns[c];
            conn.negotiating |= !conn.is_welcomed();
            let verdict = match conn.caps.request(list, offered, conn.cap302) {
                Some(caps) => {
                    conn.caps = caps;
                    "ACK"
                }
                None => "NAK",
            };
            self.reply(c, format_args!(":{server} CAP {nick} {verdict} :{list}"));
        } else if subcommand.eq_ignore_ascii_case("END") {
            self.conns[c].negotiating = false;
            return self.proceed(c);
        } else {
            let shown = text::start(subcommand, 32);
            self.numeric(
                c,
                ERR_INVALIDCAPCMD,
                format_args!("{shown} :Unknown CAP subcommand"),
            );
        }
        Flow::Done
    }

    /// CAP LS and LIST; several lines, with `*` on all but the last, where one is not enough (CAP 302).
    fn cap_list(&mut self, c: u32, subcommand: &str, caps: Caps, values: bool) {
        use core::fmt::Write as _;
        let nick = self.nick_copy(c);
        let server = self.config.server_name;
        let policy = self.policy(c);
        let mut text = [0; CAP_LINE];
        let mut list = Out::new(&mut text);
        for cap in caps.each() {
            let before = list.len();
            for attempt in 0..2 {
                let at = list.len();
                let _ = list.write_str(if at > 0 { " " } else { "" });
                let _ = if values {
                    cap.write_with_value(&policy, &mut list)
                } else {
                    list.write_str(cap.name())
                };
                if !list.is_overflown() || attempt == 1 {
                    break;
                }
                list.truncate(before);
                let more = if self.conns[c].cap302 { "* " } else { "" };
                let line = list.text();
                self.reply(
                    c,
                    format_args!(":{server} CAP {nick} {subcommand} {more}:{line}"),
                );
                list.truncate(0);
            }
        }
        let line = list.text();
        self.reply(c, format_args!(":{server} CAP {nick} {subcommand} :{line}"));
    }

    pub(super) fn nick(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(nick) = m.param(0).filter(|nick| !nick.is_empty()) else {
            self.numeric(c, ERR_NONICKNAMEGIVEN, format_args!(":No nick was given"));
            return Flow::Done;
        };
        if self.conns[c].account != NIL {
            let own = self.accounts[self.conns[c].account].name;
            if !self.conns[c].is_welcomed() {
                // Logged in before it said its nick: it is told in 001 what that is.
                self.conns[c].nick = own;
            } else if *own != *nick {
                let shown = text::start(nick, NICK_MAX);
                self.numeric(c, ERR_NONICKCHANGE, format_args!("{shown} :Your nick is your account's name; log in to another account to be somebody else"));
            }
            return self.proceed(c);
        }
        if let Err(error) = name::check_nick(nick) {
            let shown = super::word(text::start(nick, NICK_MAX));
            self.numeric(
                c,
                ERR_ERRONEUSNICKNAME,
                format_args!("{shown} :{error}: {}", name::NICK_RULE),
            );
            return Flow::Done;
        }
        self.conns[c].nick = Text::truncated(nick);
        self.proceed(c)
    }

    pub(super) fn user(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if self.conns[c].is_welcomed() {
            self.numeric(
                c,
                ERR_ALREADYREGISTERED,
                format_args!(":You have already said who you are"),
            );
            return Flow::Done;
        }
        if m.params().len() < 4 || m.param(0).is_some_and(str::is_empty) {
            return self.need_more(c, "USER");
        }
        self.conns[c].has_user = true;
        self.proceed(c)
    }

    pub(super) fn pass(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if self.conns[c].account != NIL {
            self.numeric(
                c,
                ERR_ALREADYREGISTERED,
                format_args!(":You have already logged in"),
            );
            return Flow::Done;
        }
        match m.param(0) {
            Some(password) => self.keep_pass(c, password),
            None => self.need_more(c, "PASS"),
        }
    }

    pub(super) fn ping(&mut self, c: u32, m: &Message<'_>) -> Flow {
        match m.param(0) {
            Some(token) if !token.is_empty() => {
                let token = text::start(token, 400);
                let server = self.config.server_name;
                self.reply(c, format_args!(":{server} PONG {server} :{token}"));
            }
            _ => self.numeric(c, ERR_NOORIGIN, format_args!(":No token was given")),
        }
        Flow::Done
    }

    pub(super) fn quit(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let reason = text::start(m.param(0).unwrap_or("Bye"), name::REASON_MAX);
        self.close_with_error(c, reason);
        Flow::Done
    }

    pub(super) fn away(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let a = self.conns[c].account;
        if a == NIL {
            return Flow::Done;
        }
        let (conn, account) = (&mut self.conns[c], &mut self.accounts[a]);
        let was_away = account.is_away();
        let text = m.param(0).unwrap_or_default();
        let away = !text.is_empty();
        if away {
            account.away.set(text);
        }
        if away != conn.away {
            conn.away = away;
            account.away_conns = if away {
                account.away_conns + 1
            } else {
                account.away_conns.saturating_sub(1)
            };
        }
        if away {
            self.numeric(
                c,
                RPL_NOWAWAY,
                format_args!(":You have been marked as being away"),
            );
        } else {
            self.numeric(
                c,
                RPL_UNAWAY,
                format_args!(":You are no longer marked as being away"),
            );
        }
        if was_away || self.accounts[a].is_away() {
            self.presence_changed(a);
        }
        Flow::Done
    }

    /// SETNAME (IRCv3 setname): the account's display name.
    pub(super) fn setname(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let a = self.conns[c].account;
        let Some(display) = m.param(0).filter(|_| a != NIL) else {
            return self.need_more(c, "SETNAME");
        };
        if let Err(error) = name::check_display(display) {
            self.fail(c, "SETNAME", format_args!("INVALID_REALNAME :{error}"));
            return Flow::Done;
        }
        match self.conns[c].memo {
            Memo::Done => {
                let (nick, server) = (self.accounts[a].name, self.config.server_name);
                if self.conns[c].caps.contains(Caps::SETNAME) {
                    self.reply(
                        c,
                        format_args!(":{nick}!{nick}@{server} SETNAME :{display}"),
                    );
                } else {
                    self.notice(c, format_args!("Your display name is now {display}"));
                }
                Flow::Done
            }
            Memo::Refused(reason) => {
                let why = match reason {
                    Reason::Exists => "It was not stored",
                    reason => super::super::reply::reason_text(reason),
                };
                self.fail(c, "SETNAME", format_args!("CANNOT_CHANGE_REALNAME :{why}"));
                Flow::Done
            }
            _ => {
                let id = self.accounts[a].id;
                self.ask(
                    c,
                    What::ChangeAccount(id, Change::Display(Text::truncated(display))),
                );
                Flow::Wait
            }
        }
    }
}
