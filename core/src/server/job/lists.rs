//! LIST, bans, CHATHISTORY TARGETS, MONITOR lists, and the owner's lists of accounts.

use core::fmt::Write as _;

use super::super::Protocol;
use super::super::channel::Reported;
use super::super::reply::Out;
use super::texts::advance;
use super::{Job, Row, Server, Step};
use crate::config::{Setting, VALUE_MAX};
use crate::id::AccountId;
use crate::irc::caps::Caps;
use crate::irc::mask;
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::irc::timestamp;
use crate::name;
use crate::store::{AccountFlags, AccountRow, MembershipRow, RoomRow, TargetRow};
use crate::tables::List;
use crate::text::Text;

impl Server<'_> {
    pub(super) fn list_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        match job.step {
            0 => {
                let step =
                    self.numeric_line(c, out, RPL_LISTSTART, format_args!("Channel :Users  Name"));
                advance(job, step)
            }
            1 => match self.row::<RoomRow<'_>>(job) {
                Row::Is(row, next) => {
                    let secret =
                        RoomModes::from_bits_truncate(row.modes).contains(RoomModes::SECRET);
                    let hidden = secret
                        && self
                            .channel_by_id(row.id)
                            .is_none_or(|ch| !self.is_in(c, ch));
                    let step = if hidden || !self.is_listed(c, row.name) {
                        Step::Silent
                    } else {
                        let (name, members, topic) = (row.name, row.members, row.topic);
                        self.numeric_line(
                            c,
                            out,
                            RPL_LIST,
                            format_args!("{name} {members} :{topic}"),
                        )
                    };
                    if step != Step::NoRoom {
                        (job.at, job.after) = (next, u64::from(row.id.0));
                    }
                    step
                }
                Row::Page => Step::Page,
                Row::End => {
                    job.go_to(2);
                    Step::Silent
                }
            },
            2 => {
                let step = self.numeric_line(c, out, RPL_LISTEND, format_args!(":End of LIST"));
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    /// Whether a room's name fits the masks given to LIST.
    fn is_listed(&self, c: u32, room: &str) -> bool {
        match self.message(c).and_then(|message| message.param(0)) {
            Some(masks) => masks.split(',').any(|mask| mask::matches(mask, room)),
            None => true,
        }
    }

    pub(super) fn bans_line(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let room = self.room_name(ch);
        let mut next = self.channels[ch].bans.front();
        for _ in 0..job.step {
            next = next.and_then(|b| List::<0>::next(&self.bans, b));
        }
        let step = match next {
            Some(b) => {
                let ban = &self.bans[b];
                let (mask, by, time) = (&ban.mask, &ban.by, ban.time.get() / 1_000);
                self.numeric_line(
                    c,
                    out,
                    RPL_BANLIST,
                    format_args!("{room} {mask} {by} {time}"),
                )
            }
            None if job.mark == 0 => {
                let step = self.numeric_line(
                    c,
                    out,
                    RPL_ENDOFBANLIST,
                    format_args!("{room} :End of the list of bans"),
                );
                if matches!(step, Step::Line(_)) {
                    job.mark = 1;
                }
                return step;
            }
            None => return Step::Done,
        };
        advance(job, step)
    }

    pub(super) fn targets_line(&self, c: u32, limit: u16, job: &mut Job, out: &mut [u8]) -> Step {
        let server = self.config.server_name;
        let batched = self.conns[c].caps.contains(Caps::BATCH);
        match job.step {
            0 | 2 if !batched => {
                job.step += 1;
                Step::Silent
            }
            0 => {
                let step =
                    self.batch_line(c, out, format_args!("BATCH +h draft/chathistory-targets"));
                advance(job, step)
            }
            1 => {
                if job.next.0 >= u64::from(limit) {
                    job.go_to(2);
                    return Step::Silent;
                }
                match self.row::<TargetRow<'_>>(job) {
                    Row::Is(row, next) => {
                        let time = timestamp::format(row.time);
                        let time = core::str::from_utf8(&time).unwrap_or_default();
                        let mut writer = Out::new(out);
                        let _ = write!(
                            writer,
                            "{}:{server} CHATHISTORY TARGETS {} {time}\r\n",
                            if batched { "@batch=h " } else { "" },
                            row.name
                        );
                        let Some(n) = writer.finish() else {
                            return Step::NoRoom;
                        };
                        job.at = next;
                        (job.mark, job.after) = (row.time, u64::from(row.channel.0));
                        job.next.0 += 1;
                        Step::Line(n)
                    }
                    Row::Page => Step::Page,
                    Row::End => {
                        job.go_to(2);
                        Step::Silent
                    }
                }
            }
            2 => {
                let step = self.line(c, out, format_args!(":{server} BATCH -h"));
                advance(job, step)
            }
            3 if job.failed => {
                let text = "The server could not read its storage, please try again";
                let step = self.line(
                    c,
                    out,
                    format_args!(":{server} FAIL CHATHISTORY MESSAGE_ERROR TARGETS :{text}"),
                );
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    pub(super) fn watches_line(&self, c: u32, status: bool, job: &mut Job, out: &mut [u8]) -> Step {
        let mut next = self.conns[c].watches.front();
        for _ in 0..job.step {
            next = next.and_then(|w| List::<0>::next(&self.watches, w));
        }
        let Some(w) = next else {
            if status || job.mark > 0 {
                return Step::Done;
            }
            let step = self.numeric_line(
                c,
                out,
                RPL_ENDOFMONLIST,
                format_args!(":End of MONITOR list"),
            );
            if matches!(step, Step::Line(_)) {
                job.mark = 1;
            }
            return step;
        };
        let watch = &self.watches[w];
        let step = if status {
            let (state, name) = self.presence_of(&watch.name);
            let server = self.config.server_name;
            match state {
                Reported::Offline | Reported::Nothing => {
                    self.numeric_line(c, out, RPL_MONOFFLINE, format_args!(":{}", watch.name))
                }
                _ => self.numeric_line(
                    c,
                    out,
                    RPL_MONONLINE,
                    format_args!(":{name}!{name}@{server}"),
                ),
            }
        } else {
            self.numeric_line(c, out, RPL_MONLIST, format_args!(":{}", watch.name))
        };
        advance(job, step)
    }

    // ---- the owner's lists

    pub(super) fn accounts_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let server = self.config.server_name;
        match job.step {
            0 => match self.row::<AccountRow<'_>>(job) {
                Row::Is(row, next) => {
                    let step = self.account_entry(
                        c,
                        row.name,
                        row.flags,
                        row.created,
                        row.titles,
                        row.display,
                        out,
                    );
                    if step != Step::NoRoom {
                        (job.at, job.after_name) = (next, name::fold(row.name).unwrap_or_default());
                    }
                    step
                }
                Row::Page => Step::Page,
                Row::End => {
                    job.go_to(1);
                    Step::Silent
                }
            },
            1 => {
                let step = self.line(
                    c,
                    out,
                    format_args!(":{server} NOTE ACCOUNT END * :End of the list"),
                );
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    /// CONFIG LIST.
    pub(super) fn settings_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let server = self.config.server_name;
        let Some(setting) = Setting::numbered(job.step) else {
            if Setting::numbered(job.step.saturating_sub(1)).is_none() {
                return Step::Done;
            }
            let step = self.line(
                c,
                out,
                format_args!(":{server} NOTE CONFIG END * :End of the list"),
            );
            return advance(job, step);
        };
        let mut value = Text::<VALUE_MAX>::default();
        let _ = self.config.write(setting, &mut value);
        let fixed = match self.config.fixed & setting.bit() {
            0 => "-",
            _ => "fixed",
        };
        let (name, meaning) = (setting.name(), setting.meaning());
        let step = self.line(
            c,
            out,
            format_args!(":{server} NOTE CONFIG SETTING {name} {fixed} :{value} ({meaning})"),
        );
        advance(job, step)
    }

    /// One account in ACCOUNT LIST and SHOW.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn account_entry(
        &self,
        c: u32,
        name: &str,
        flags: u8,
        created: u64,
        titles: &str,
        display: &str,
        out: &mut [u8],
    ) -> Step {
        let server = self.config.server_name;
        let flags = AccountFlags::from_bits_truncate(flags);
        let words = match (
            flags.contains(AccountFlags::OWNER),
            flags.contains(AccountFlags::DISABLED),
        ) {
            (true, true) => "owner,disabled",
            (true, false) => "owner",
            (false, true) => "disabled",
            (false, false) if flags.contains(AccountFlags::GUEST) => "guest",
            (false, false) => "-",
        };
        let titles = Spaced(if titles.is_empty() { "-" } else { titles });
        self.line(
            c,
            out,
            format_args!(
                ":{server} NOTE ACCOUNT ENTRY {name} {words} {created} {titles} :{display}"
            ),
        )
    }

    /// The account's entry, then a line a room, then the end.
    pub(super) fn rooms_line(
        &self,
        c: u32,
        account: AccountId,
        job: &mut Job,
        out: &mut [u8],
    ) -> Step {
        let server = self.config.server_name;
        let Some(a) = self.account_by_id(account) else {
            return Step::Done;
        };
        let name = &self.accounts[a].name;
        match job.step {
            0 => {
                let account = &self.accounts[a];
                let (flags, created) = (account.flags.bits(), account.created.get());
                let step = self.account_entry(
                    c,
                    name,
                    flags,
                    created,
                    &account.titles,
                    &account.display,
                    out,
                );
                advance(job, step)
            }
            1 => match self.row::<MembershipRow<'_>>(job) {
                Row::Is(row, next) => {
                    let room = row.name;
                    let step = self.line(
                        c,
                        out,
                        format_args!(":{server} NOTE ACCOUNT ROOM {name} {room}"),
                    );
                    if step != Step::NoRoom {
                        (job.at, job.after) = (next, u64::from(row.channel.0));
                    }
                    step
                }
                Row::Page => Step::Page,
                Row::End => {
                    job.go_to(2);
                    Step::Silent
                }
            },
            2 => {
                let step = self.line(
                    c,
                    out,
                    format_args!(":{server} NOTE ACCOUNT END {name} :End of the account"),
                );
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    /// Whether a connection's line in hand may use the owner's commands.
    pub(in super::super) fn is_owner(&self, c: u32) -> bool {
        self.conns[c].protocol == Protocol::Control
            || (self.conns[c].account != crate::tables::NIL
                && self.accounts[self.conns[c].account]
                    .flags
                    .contains(AccountFlags::OWNER))
    }
}

/// Text as one word: spaces as `\s`.
struct Spaced<'t>(&'t str);

impl core::fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (i, word) in self.0.split(' ').enumerate() {
            if i > 0 {
                f.write_str("\\s")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}
