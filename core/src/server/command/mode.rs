//! MODE of rooms (and, empty, of oneself). One change at a time is stored and published.

use super::super::Server;
use super::super::channel::{Effect as Brings, Shape};
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::job::Task;
use super::Found;
use crate::irc::mask;
use crate::irc::message::Message;
use crate::irc::mode::{self, Change, Mode, ModeError, RoomModes};
use crate::irc::numeric::*;
use crate::name::{self, KEY_MAX, MASK_MAX, ROOM_MAX};
use crate::store::{Kind, Marker, MemberFlags};
use crate::text::{self, Text};

impl Server<'_> {
    pub(super) fn mode(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(target) = m.param(0) else {
            return self.need_more(c, "MODE");
        };
        if !Self::is_room_name(target) {
            return self.user_mode(c, target);
        }
        let Some(letters) = m.param(1) else {
            return self.tell_modes(c, target);
        };
        let params = m.params().get(2..).unwrap_or_default();
        let changes_it = mode::changes(letters, params)
            .any(|change| matches!(change, Ok(change) if change.mode != Mode::Ban || change.param.is_some()));
        if changes_it && self.conns[c].progress == 0 && self.conns[c].memo == Memo::None {
            // Said once, not for each letter.
            match self.own_room(c, "MODE", target) {
                Ok(ch) if self.needs_operator(c, ch) => {}
                Ok(_) => return Flow::Done,
                Err(flow) => return flow,
            }
        }
        while let Some(change) =
            mode::changes(letters, params).nth(usize::from(self.conns[c].progress))
        {
            let flow = match change {
                Ok(change) => self.change_mode(c, target, &change),
                Err(error) => self.mode_error(c, target, &error),
            };
            match flow {
                Flow::Done if self.conns[c].job.is_active() => {
                    self.next_target(c);
                    return Flow::Wait;
                }
                Flow::Done => self.next_target(c),
                Flow::Wait => return Flow::Wait,
            }
        }
        Flow::Done
    }

    fn user_mode(&mut self, c: u32, target: &str) -> Flow {
        if name::eq_folded(target, &self.nick_copy(c)) {
            self.numeric(c, RPL_UMODEIS, format_args!("+"));
        } else {
            self.numeric(
                c,
                ERR_USERSDONTMATCH,
                format_args!(":You can only look at your own modes"),
            );
        }
        Flow::Done
    }

    fn tell_modes(&mut self, c: u32, target: &str) -> Flow {
        let shown = text::start(target, ROOM_MAX);
        let ch = match self.find_room(c, target) {
            Found::Is(ch) => ch,
            Found::Wait => return Flow::Wait,
            Found::Absent => {
                self.numeric(
                    c,
                    ERR_NOSUCHCHANNEL,
                    format_args!("{shown} :There is no such room"),
                );
                return Flow::Done;
            }
            Found::Failed(reason) => {
                self.refused(c, "MODE", shown, reason);
                return Flow::Done;
            }
        };
        let member = self.is_in(c, ch);
        let Shape::Room {
            modes,
            key,
            limit,
            created,
            ..
        } = self.channels[ch].shape
        else {
            return Flow::Done;
        };
        let room = self.room_name(ch);
        let k = if key.is_empty() { "" } else { "k" };
        let l = if limit == 0 { "" } else { "l" };
        let shown_key = match (key.is_empty(), member) {
            (true, _) => "",
            (false, true) => &*key,
            (false, false) => "*",
        };
        let gap = if shown_key.is_empty() { "" } else { " " };
        if limit == 0 {
            self.numeric(
                c,
                RPL_CHANNELMODEIS,
                format_args!("{room} +{modes}{k}{gap}{shown_key}"),
            );
        } else {
            self.numeric(
                c,
                RPL_CHANNELMODEIS,
                format_args!("{room} +{modes}{k}{l}{gap}{shown_key} {limit}"),
            );
        }
        self.numeric(
            c,
            RPL_CREATIONTIME,
            format_args!("{room} {}", created.get() / 1_000),
        );
        Flow::Done
    }

    fn mode_error(&mut self, c: u32, target: &str, error: &ModeError) -> Flow {
        let room = text::start(target, ROOM_MAX);
        match *error {
            ModeError::Unknown(letter) => {
                self.numeric(
                    c,
                    ERR_UNKNOWNMODE,
                    format_args!("{letter} :is an unknown mode"),
                );
            }
            ModeError::MissingParameter(mode) => {
                let letter = mode.letter();
                self.numeric(
                    c,
                    ERR_INVALIDMODEPARAM,
                    format_args!("{room} {letter} * :That mode needs a parameter"),
                );
            }
            ModeError::TooMany => {
                self.fail(c, "MODE", format_args!("TOO_MANY_CHANGES {room} :Too many changes in one command; the rest was left out"));
            }
        }
        Flow::Done
    }

    fn change_mode(&mut self, c: u32, target: &str, change: &Change<'_>) -> Flow {
        let ch = match self.settled(c, "MODE", target) {
            Ok(Some(ch)) => ch,
            Ok(None) => return Flow::Done,
            Err(flow) => return flow,
        };
        let sign = if change.add { "+" } else { "-" };
        let letter = change.mode.letter();
        let mut subject: Text<80> = Text::default();
        subject.push_str(sign);
        subject.push_str(letter.encode_utf8(&mut [0; 4]));
        if let (Mode::Ban, None) = (change.mode, change.param) {
            self.start_job(c, Task::Bans { channel: ch });
            return Flow::Done;
        }
        if !self.needs_operator(c, ch) {
            return Flow::Done;
        }
        let Shape::Room {
            modes, key, limit, ..
        } = self.channels[ch].shape
        else {
            return Flow::Done;
        };
        let room = self.room_name(ch);
        let brings = match change.mode {
            Mode::Flag(flag) => {
                // Who is not in a room cannot speak there: `n` cannot be taken away.
                if modes.contains(flag) == change.add || flag == RoomModes::NO_EXTERNAL {
                    return Flow::Done;
                }
                let mut new: RoomModes = modes;
                new.set(flag, change.add);
                Brings::Modes {
                    modes: new,
                    key,
                    limit,
                }
            }
            Mode::Key => {
                let new: Text<KEY_MAX> = if change.add {
                    let typed = change.param.unwrap_or_default();
                    if let Err(error) = name::check_key(typed) {
                        self.numeric(c, ERR_INVALIDKEY, format_args!("{room} :{error}"));
                        return Flow::Done;
                    }
                    Text::truncated(typed)
                } else {
                    Text::default()
                };
                if *new == *key {
                    return Flow::Done;
                }
                subject.push_str(" ");
                subject.push_str(if new.is_empty() { "*" } else { &new });
                Brings::Modes {
                    modes,
                    key: new,
                    limit,
                }
            }
            Mode::Limit => {
                let new = if change.add {
                    change
                        .param
                        .and_then(|n| n.parse::<u32>().ok())
                        .filter(|n| *n > 0)
                } else {
                    Some(0)
                };
                let Some(new) = new else {
                    self.numeric(
                        c,
                        ERR_INVALIDMODEPARAM,
                        format_args!("{room} l * :The limit must be a number of members"),
                    );
                    return Flow::Done;
                };
                if new == limit {
                    return Flow::Done;
                }
                if new > 0 {
                    use core::fmt::Write as _;
                    let _ = write!(subject, " {new}");
                }
                Brings::Modes {
                    modes,
                    key,
                    limit: new,
                }
            }
            Mode::Ban => {
                let typed = change.param.unwrap_or_default();
                let mut mask: Text<MASK_MAX> = Text::default();
                if typed.is_empty() || mask::normalise(typed, &mut mask).is_err() || mask.is_empty()
                {
                    self.numeric(
                        c,
                        ERR_INVALIDMODEPARAM,
                        format_args!("{room} b * :That mask is empty or too long"),
                    );
                    return Flow::Done;
                }
                let known = self.has_ban(ch, &mask);
                if known == change.add {
                    return Flow::Done;
                }
                if change.add
                    && (self.channels[ch].bans_count >= self.config.bans_per_room
                        || self.bans.is_full())
                {
                    self.numeric(
                        c,
                        ERR_BANLISTFULL,
                        format_args!("{room} {mask} :The list of bans is full"),
                    );
                    return Flow::Done;
                }
                subject.push_str(" ");
                subject.push_str(&mask);
                if change.add {
                    Brings::Ban(mask)
                } else {
                    Brings::Unban(mask)
                }
            }
            Mode::Founder | Mode::Operator | Mode::Voice => {
                let (who, flags) =
                    match self.other_member(c, "MODE", ch, change.param.unwrap_or_default()) {
                        Ok(found) => found,
                        Err(flow) => return flow,
                    };
                let flag = match change.mode {
                    Mode::Founder => {
                        self.numeric(
                            c,
                            ERR_CHANOPRIVSNEEDED,
                            format_args!("{room} :The founder of a room cannot be changed"),
                        );
                        return Flow::Done;
                    }
                    Mode::Operator => MemberFlags::OPERATOR,
                    _ => MemberFlags::VOICE,
                };
                if flags.contains(MemberFlags::FOUNDER)
                    && !change.add
                    && who != self.conns[c].account
                {
                    self.numeric(
                        c,
                        ERR_CHANOPRIVSNEEDED,
                        format_args!("{room} :The founder of a room stays its operator"),
                    );
                    return Flow::Done;
                }
                let mut new = flags;
                new.set(flag, change.add);
                if new == flags {
                    return Flow::Done;
                }
                subject.push_str(" ");
                subject.push_str(&self.accounts[who].name);
                Brings::Member {
                    account: self.accounts[who].id,
                    flags: new,
                    read: Marker::default(),
                }
            }
        };
        self.append_change(c, ch, Kind::Mode, &subject, "", brings)
    }

    fn has_ban(&self, ch: u32, mask: &str) -> bool {
        let mut next = self.channels[ch].bans.front();
        while let Some(b) = next {
            if name::eq_folded(&self.bans[b].mask, mask) {
                return true;
            }
            next = crate::tables::List::<0>::next(&self.bans, b);
        }
        false
    }
}
