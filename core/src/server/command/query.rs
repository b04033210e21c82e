//! NAMES, LIST, WHO, WHOIS, WHOWAS, ISON, USERHOST, MONITOR, TIME.

use core::fmt::Write as _;

use super::super::Server;
use super::super::input::Flow;
use super::super::job::{Fields, Task};
use super::super::reply::Out;
use super::Found;
use crate::irc::message::Message;
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::irc::timestamp;
use crate::name::{self, NICK_MAX, ROOM_MAX};
use crate::text;

/// Longest list of names in one answer.
const LIST_MAX: usize = 400;

impl Server<'_> {
    pub(super) fn names(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(targets) = m.param(0).filter(|targets| !targets.is_empty()) else {
            self.numeric(c, RPL_ENDOFNAMES, format_args!("* :End of NAMES"));
            return Flow::Done;
        };
        let Some(target) = targets.split(',').nth(usize::from(self.conns[c].progress)) else {
            return Flow::Done;
        };
        self.open_batch(c);
        let shown = text::start(target, ROOM_MAX);
        let found = match self.find_room(c, target) {
            Found::Wait => return Flow::Wait,
            Found::Is(ch)
                if self.is_in(c, ch) || !self.channels[ch].modes().contains(RoomModes::SECRET) =>
            {
                Some(ch)
            }
            _ => None,
        };
        self.next_target(c);
        match found {
            Some(channel) => self.start_job(c, Task::Names { channel }),
            None => self.numeric(c, RPL_ENDOFNAMES, format_args!("{shown} :End of NAMES")),
        }
        // Runs again for the next target, or to find that there is none.
        if found.is_none() {
            self.make_runnable(c);
        }
        Flow::Wait
    }

    pub(super) fn who(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if self.conns[c].progress > 0 {
            return Flow::Done;
        }
        let Some(target) = m.param(0).filter(|target| !target.is_empty()) else {
            return self.need_more(c, "WHO");
        };
        let fields = Fields::parse(m.param(1));
        let shown = text::start(target, ROOM_MAX);
        if Self::is_room_name(target) {
            match self.find_room(c, target) {
                Found::Wait => return Flow::Wait,
                Found::Is(channel)
                    if self.is_in(c, channel)
                        || !self.channels[channel].modes().contains(RoomModes::SECRET) =>
                {
                    return self.once(c, Task::WhoRoom { channel, fields });
                }
                _ => {}
            }
        } else {
            match self.find_account(c, target) {
                Found::Wait => return Flow::Wait,
                Found::Is(account) => {
                    return self.once(c, Task::WhoAccount { account, fields });
                }
                _ => {}
            }
        }
        self.numeric(c, RPL_ENDOFWHO, format_args!("{shown} :End of WHO"));
        Flow::Done
    }

    pub(super) fn whois(&mut self, c: u32, m: &Message<'_>) -> Flow {
        if self.conns[c].progress > 0 {
            return Flow::Done;
        }
        // WHOIS server nick and WHOIS nick.
        let Some(target) = m
            .param(1)
            .or(m.param(0))
            .filter(|target| !target.is_empty())
        else {
            return self.need_more(c, "WHOIS");
        };
        match self.find_account(c, target) {
            Found::Is(account) => self.once(c, Task::Whois { account }),
            Found::Wait => Flow::Wait,
            Found::Absent => {
                self.open_batch(c);
                let shown = text::start(target, ROOM_MAX);
                self.no_such_nick(c, target);
                self.numeric(c, RPL_ENDOFWHOIS, format_args!("{shown} :End of WHOIS"));
                Flow::Done
            }
            Found::Failed(reason) => {
                self.refused(c, "WHOIS", "*", reason);
                Flow::Done
            }
        }
    }

    pub(super) fn whowas(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(target) = m.param(0).filter(|target| !target.is_empty()) else {
            return self.need_more(c, "WHOWAS");
        };
        self.open_batch(c);
        let shown = text::start(target, ROOM_MAX);
        self.numeric(
            c,
            ERR_WASNOSUCHNICK,
            format_args!("{shown} :Names are not kept; accounts are, see WHOIS"),
        );
        self.numeric(c, RPL_ENDOFWHOWAS, format_args!("{shown} :End of WHOWAS"));
        Flow::Done
    }

    pub(super) fn ison(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let mut text = [0; LIST_MAX];
        let mut online = Out::new(&mut text);
        for nick in m.params().iter().flat_map(|param| param.split(' ')) {
            let Some(folded) = name::fold::<NICK_MAX>(nick) else {
                continue;
            };
            if let Some(a) = self
                .account_by_name(&folded)
                .filter(|a| self.accounts[*a].online > 0)
            {
                let before = online.len();
                let _ = write!(
                    online,
                    "{}{}",
                    if before > 0 { " " } else { "" },
                    self.accounts[a].name
                );
                if online.is_overflown() {
                    online.truncate(before);
                    break;
                }
            }
        }
        let online = online.text();
        self.numeric(c, RPL_ISON, format_args!(":{online}"));
        Flow::Done
    }

    pub(super) fn userhost(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let mut text = [0; LIST_MAX];
        let mut hosts = Out::new(&mut text);
        let server = self.config.server_name;
        for nick in m.params().iter().take(5) {
            let Some(folded) = name::fold::<NICK_MAX>(nick) else {
                continue;
            };
            if let Some(a) = self
                .account_by_name(&folded)
                .filter(|a| self.accounts[*a].online > 0)
            {
                let account = &self.accounts[a];
                let away = if account.is_away() { '-' } else { '+' };
                let gap = if hosts.len() > 0 { " " } else { "" };
                let (before, name) = (hosts.len(), &account.name);
                let _ = write!(hosts, "{gap}{name}={away}{name}@{server}");
                if hosts.is_overflown() {
                    hosts.truncate(before);
                    break;
                }
            }
        }
        let hosts = hosts.text();
        self.numeric(c, RPL_USERHOST, format_args!(":{hosts}"));
        Flow::Done
    }

    pub(super) fn time(&mut self, c: u32, _: &Message<'_>) -> Flow {
        let stamp = timestamp::format(self.unix());
        let stamp = core::str::from_utf8(&stamp).unwrap_or_default();
        let server = self.config.server_name;
        self.numeric(c, RPL_TIME, format_args!("{server} :{stamp}"));
        Flow::Done
    }

    /// MONITOR (IRCv3 monitor).
    pub(super) fn monitor(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let names = m.param(1).unwrap_or_default();
        match m.param(0) {
            Some("+") => {
                for spelled in names.split(',').filter(|name| !name.is_empty()) {
                    let Some(folded) = name::fold::<NICK_MAX>(spelled) else {
                        continue;
                    };
                    if name::check_nick(spelled).is_ok() && !self.watch(c, folded) {
                        let limit = self.config.watches_per_connection;
                        let rest = text::start(names, 200);
                        self.numeric(
                            c,
                            ERR_MONLISTFULL,
                            format_args!("{limit} {rest} :The list of watched names is full"),
                        );
                        break;
                    }
                }
                Flow::Done
            }
            Some("-") => {
                for spelled in names.split(',') {
                    let folded = name::fold::<NICK_MAX>(spelled).unwrap_or_default();
                    if let Some(w) = self.watch_of(c, &folded) {
                        self.unwatch(w);
                    }
                }
                Flow::Done
            }
            Some("C" | "c") => {
                while let Some(w) = self.conns[c].watches.front() {
                    self.unwatch(w);
                }
                Flow::Done
            }
            Some("L" | "l") => self.once(c, Task::Watches { status: false }),
            Some("S" | "s") => self.once(c, Task::Watches { status: true }),
            Some(unknown) if !unknown.is_empty() => {
                let shown = text::start(unknown, 16);
                let shown = if shown.contains(' ') { "*" } else { shown };
                self.fail(
                    c,
                    "MONITOR",
                    format_args!("UNKNOWN_SUBCOMMAND {shown} :Use +, -, C, L or S"),
                );
                Flow::Done
            }
            _ => self.need_more(c, "MONITOR"),
        }
    }
}
