//! The server's own texts: welcome, message of the day, figures; and WHOIS.

use core::fmt::Write as _;

use super::super::channel::Shape;
use super::super::reply::Out;
use super::{Job, Server, Step};
use crate::irc::isupport::{self, Context};
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::store::{AccountFlags, MemberFlags};
use crate::tables::List;
use crate::text;
use crate::time::Instant;

/// Lines of INFO.
const INFO: [&str; 5] = [
    "soQet: a chat server made to fit in a microcontroller, and not to stop there",
    "One no_std, allocation-free Rust core holds accounts, presence, rooms, private chats and history",
    "It speaks IRCv3; your nick is your account, and your rooms keep you while you are away",
    "What somebody offline is sent is kept and waits for them",
    "License: MIT OR Apache-2.0",
];

impl Server<'_> {
    fn isupport(&self) -> Context<'_> {
        Context {
            network: self.config.network,
            rooms_per_account: self.config.rooms_per_account,
            bans_per_room: self.config.bans_per_room,
            watches: self.config.watches_per_connection,
            page: self.config.page,
        }
    }

    /// 001 to 005, LUSERS, MOTD.
    pub(super) fn welcome_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let (nick, server, config) = (self.nick_of(c), self.config.server_name, &self.config);
        let step = match job.step {
            0 => {
                let network = config.network;
                self.numeric_line(
                    c,
                    out,
                    RPL_WELCOME,
                    format_args!(":Welcome to {network}, {nick}!{nick}@{server}"),
                )
            }
            1 => {
                let version = config.version;
                self.numeric_line(
                    c,
                    out,
                    RPL_YOURHOST,
                    format_args!(":Your host is {server}, running {version}"),
                )
            }
            2 => {
                let text = if self.is_guest(self.conns[c].account) {
                    "You are a guest: nothing is kept for you unless you REGISTER"
                } else {
                    "Your rooms and messages are kept here while you are away"
                };
                self.numeric_line(c, out, RPL_CREATED, format_args!(":{text}"))
            }
            3 => self.numeric_line(
                c,
                out,
                RPL_MYINFO,
                format_args!("{server} {} o imnstbklqov bklqov", config.version),
            ),
            4 => return self.isupport_line(c, job, out, 5),
            5 => return self.counts_line(c, job, out, 0),
            _ => return self.motd_from(c, job, out, 6),
        };
        advance(job, step)
    }

    pub(super) fn version_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        match job.step {
            0 => {
                let (version, server) = (self.config.version, self.config.server_name);
                let step = self.numeric_line(
                    c,
                    out,
                    RPL_VERSION,
                    format_args!("{version} {server} :IRCv3"),
                );
                advance(job, step)
            }
            1 => self.isupport_line(c, job, out, 2),
            _ => Step::Done,
        }
    }

    /// The lines of 005; then on to step `then`.
    #[inline(never)] // Its stack is no other line's.
    fn isupport_line(&self, c: u32, job: &mut Job, out: &mut [u8], then: u16) -> Step {
        let context = self.isupport();
        let mut text = [0; 400];
        let mut tokens = Out::new(&mut text);
        let mut next = job.mark as usize;
        for _ in 0..isupport::TOKENS_PER_LINE {
            let before = tokens.len();
            if before > 0 {
                let _ = tokens.write_str(" ");
            }
            match isupport::write_token(&context, next, &mut tokens) {
                Ok(true) => next += 1,
                _ => {
                    tokens.truncate(before);
                    break;
                }
            }
        }
        let Some(len) = tokens.finish().filter(|len| *len > 0) else {
            (job.step, job.mark) = (then, 0);
            return Step::Silent;
        };
        let tokens = core::str::from_utf8(&text[..len]).unwrap_or_default();
        let step = self.numeric_line(
            c,
            out,
            RPL_ISUPPORT,
            format_args!("{tokens} :are supported by this server"),
        );
        if matches!(step, Step::Line(_)) {
            job.mark = next as u64;
        }
        step
    }

    pub(super) fn lusers_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        match job.step {
            0 => self.counts_line(c, job, out, 1),
            _ => Step::Done,
        }
    }

    /// LUSERS. `whole` is 1 when the job is only this.
    fn counts_line(&self, c: u32, job: &mut Job, out: &mut [u8], whole: u16) -> Step {
        let conns = self.conns.len();
        let (online, unknown) = (self.welcomed, conns - self.welcomed);
        let step = match job.mark {
            0 => self.numeric_line(
                c,
                out,
                RPL_LUSERCLIENT,
                format_args!(":There are {online} connections logged in on 1 server"),
            ),
            1 => self.numeric_line(
                c,
                out,
                RPL_LUSERUNKNOWN,
                format_args!("{unknown} :not logged in yet"),
            ),
            2 => self.numeric_line(
                c,
                out,
                RPL_LUSERCHANNELS,
                format_args!("{} :rooms in use", self.rooms),
            ),
            3 => self.numeric_line(
                c,
                out,
                RPL_LUSERME,
                format_args!(":I have {online} clients and 0 servers"),
            ),
            4 => self.numeric_line(
                c,
                out,
                RPL_LOCALUSERS,
                format_args!("{online} {conns} :Current local users {online}, max {conns}"),
            ),
            5 => self.numeric_line(
                c,
                out,
                RPL_GLOBALUSERS,
                format_args!("{online} {conns} :Current global users {online}, max {conns}"),
            ),
            _ => {
                (job.step, job.mark) = (if whole == 1 { 1 } else { 6 }, 0);
                return Step::Silent;
            }
        };
        if matches!(step, Step::Line(_)) {
            job.mark += 1;
        }
        step
    }

    pub(super) fn motd_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        self.motd_from(c, job, out, 0)
    }

    /// MOTD as the steps from `first` on.
    fn motd_from(&self, c: u32, job: &mut Job, out: &mut [u8], first: u16) -> Step {
        let server = self.config.server_name;
        let line = usize::from(job.step.saturating_sub(first));
        if self.config.motd.is_empty() {
            if line > 0 {
                return Step::Done;
            }
            let step = self.numeric_line(
                c,
                out,
                ERR_NOMOTD,
                format_args!(":There is no message of the day"),
            );
            return advance(job, step);
        }
        let step = match (line, self.config.motd.lines().nth(line.saturating_sub(1))) {
            (0, _) => self.numeric_line(
                c,
                out,
                RPL_MOTDSTART,
                format_args!(":- {server} Message of the day -"),
            ),
            (_, Some(text)) => {
                let text = text::start(text, 400);
                self.numeric_line(c, out, RPL_MOTD, format_args!(":- {text}"))
            }
            (n, None) if n == self.config.motd.lines().count() + 1 => self.numeric_line(
                c,
                out,
                RPL_ENDOFMOTD,
                format_args!(":End of the message of the day"),
            ),
            _ => return Step::Done,
        };
        advance(job, step)
    }

    pub(super) fn info_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let step = match INFO.get(usize::from(job.step)) {
            Some(text) => self.numeric_line(c, out, RPL_INFO, format_args!(":{text}")),
            None if usize::from(job.step) == INFO.len() => {
                self.numeric_line(c, out, RPL_ENDOFINFO, format_args!(":End of INFO"))
            }
            None => return Step::Done,
        };
        advance(job, step)
    }

    #[inline(never)] // Its stack is no other line's.
    pub(super) fn whois_line(&self, c: u32, a: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let account = &self.accounts[a];
        let (name, server) = (&account.name, self.config.server_name);
        let display = if account.display.is_empty() {
            &**name
        } else {
            &*account.display
        };
        let step = match job.step {
            0 => self.numeric_line(
                c,
                out,
                RPL_WHOISUSER,
                format_args!("{name} {name} {server} * :{display}"),
            ),
            1 => {
                if account.online == 0 {
                    job.step += 1;
                    return Step::Silent;
                }
                let mut text = [0; 380];
                let mut rooms = Out::new(&mut text);
                let mut n = job.mark;
                let mut next = self.nth_member(a, n);
                while let Some(m) = next {
                    let member = &self.members[m];
                    let channel = &self.channels[member.channel.get()];
                    if let Shape::Room {
                        name: room, modes, ..
                    } = &channel.shape
                        && member.flags.contains(MemberFlags::JOINED)
                        && (!modes.contains(RoomModes::SECRET)
                            || self.is_in(c, member.channel.get()))
                    {
                        let before = rooms.len();
                        let gap = if before > 0 { " " } else { "" };
                        let _ = write!(rooms, "{gap}{}{room}", self.prefixes(c, member.flags));
                        if rooms.is_overflown() {
                            rooms.truncate(before);
                            break;
                        }
                    }
                    n += 1;
                    next = List::<0>::next(&self.members, m);
                }
                let len = rooms.len();
                if len == 0 {
                    job.step += 1;
                    return Step::Silent;
                }
                let rooms = core::str::from_utf8(&text[..len]).unwrap_or_default();
                let step =
                    self.numeric_line(c, out, RPL_WHOISCHANNELS, format_args!("{name} :{rooms}"));
                if matches!(step, Step::Line(_)) {
                    job.mark = n;
                }
                return step;
            }
            2 => self.numeric_line(
                c,
                out,
                RPL_WHOISSERVER,
                format_args!("{name} {server} :{}", self.config.network),
            ),
            3 if account.is_away() => self.numeric_line(
                c,
                out,
                RPL_AWAY,
                format_args!("{name} :{}", account.away_text()),
            ),
            4 if account.flags.contains(AccountFlags::OWNER) => self.numeric_line(
                c,
                out,
                RPL_WHOISOPERATOR,
                format_args!("{name} :is an owner of this server"),
            ),
            5 if !account.flags.contains(AccountFlags::GUEST) => self.numeric_line(
                c,
                out,
                RPL_WHOISACCOUNT,
                format_args!("{name} {name} :is logged in as"),
            ),
            6 if !account.titles.is_empty() => self.numeric_line(
                c,
                out,
                RPL_WHOISSPECIAL,
                format_args!("{name} :is {}", account.titles),
            ),
            7 if account.online > 0 => {
                let idle = (self.now - Instant(account.active.get())) / 1_000;
                let since = account.created.get() / 1_000;
                self.numeric_line(
                    c,
                    out,
                    RPL_WHOISIDLE,
                    format_args!("{name} {idle} {since} :seconds idle, registered at"),
                )
            }
            8 => self.numeric_line(c, out, RPL_ENDOFWHOIS, format_args!("{name} :End of WHOIS")),
            9.. => return Step::Done,
            _ => {
                job.step += 1;
                return Step::Silent;
            }
        };
        advance(job, step)
    }

    fn nth_member(&self, a: u32, n: u64) -> Option<u32> {
        let mut next = self.accounts[a].members.front();
        for _ in 0..n {
            next = List::<0>::next(&self.members, next?);
        }
        next
    }
}

/// Goes on when the line was written.
pub(super) fn advance(job: &mut Job, step: Step) -> Step {
    if matches!(step, Step::Line(_)) {
        job.step += 1;
    }
    step
}
