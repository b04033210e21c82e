//! PRIVMSG, NOTICE and TAGMSG, to rooms and accounts. Several may be on their way to the store at once; everything else waits for them.

use core::fmt;

use super::super::Server;
use super::super::append::Draft;
use super::super::channel::Effect as Brings;
use super::super::input::Flow;
use super::Found;
use crate::irc::isupport::TARGETS_MAX;
use crate::irc::message::Message;
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::irc::tags;
use crate::name::{NICK_MAX, ROOM_MAX, TITLES_MAX};
use crate::store::{AccountFlags, Kind, MemberFlags, Reason};
use crate::text::{self, Text};

/// Longest client-only tags that are passed on.
const TAGS_MAX: usize = if cfg!(feature = "small") { 255 } else { 4094 };
/// Longest rest of a message's line: the tags `time`, `msgid`, `account`, `batch`, `label` and `soqet/titles` (escaped), the command, and
/// what stands between the parts.
const LINE_FRAME: usize = 30 + 20 + 9 + NICK_MAX + 8 + 71 + 14 + 2 * TITLES_MAX + 30;

impl Server<'_> {
    pub(super) fn say(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let kind = match m.command.as_bytes().first().map(u8::to_ascii_uppercase) {
            Some(b'P') => Kind::Privmsg,
            Some(b'N') => Kind::Notice,
            _ => Kind::Tagmsg,
        };
        let command = kind.command();
        let (Some(targets), text) = (
            m.param(0).filter(|targets| !targets.is_empty()),
            m.param(1).unwrap_or_default(),
        ) else {
            return self.complain(
                c,
                ERR_NORECIPIENT,
                format_args!(":No recipient was given ({command})"),
            );
        };
        if text.is_empty() && kind != Kind::Tagmsg {
            return self.complain(c, ERR_NOTEXTTOSEND, format_args!(":No text to send"));
        }
        let count = targets.split(',').count();
        if count > 1 && self.conns[c].labelled {
            // Their answers come as each is stored, and all must be in the label's one batch.
            return self.complain(
                c,
                ERR_TOOMANYTARGETS,
                format_args!("{command} :With a label, one target at a time"),
            );
        }
        if count > TARGETS_MAX {
            return self.complain(
                c,
                ERR_TOOMANYTARGETS,
                format_args!("{command} :At most {TARGETS_MAX} targets at once"),
            );
        }
        while let Some(target) = targets.split(',').nth(usize::from(self.conns[c].progress)) {
            match self.say_to(c, kind, target, text, m) {
                Flow::Done => self.next_target(c),
                Flow::Wait => return Flow::Wait,
            }
        }
        Flow::Done
    }

    /// An error goes out in its turn: after the messages before are stored.
    fn complain(&mut self, c: u32, code: u16, args: fmt::Arguments<'_>) -> Flow {
        if self.conns[c].unstored > 0 {
            return Flow::Wait;
        }
        self.numeric(c, code, args);
        Flow::Done
    }

    /// The same where the store had no answer.
    fn not_taken(&mut self, c: u32, kind: Kind, target: &str, reason: Reason) -> Flow {
        if self.conns[c].unstored > 0 {
            return Flow::Wait;
        }
        self.refused(c, kind.command(), target, reason);
        Flow::Done
    }

    fn say_to(&mut self, c: u32, kind: Kind, target: &str, text: &str, m: &Message<'_>) -> Flow {
        let a = self.conns[c].account;
        if self.conns[c].append_count >= self.config.appends_per_connection.max(1) {
            return Flow::Wait;
        }
        let shown = text::start(target, ROOM_MAX);
        let ch = if Self::is_room_name(target) {
            match self.find_room(c, target) {
                Found::Is(ch) => {
                    if self.must_wait(c, ch) {
                        return Flow::Wait;
                    }
                    if let Err(why) = self.may_speak(c, ch) {
                        return self.complain(
                            c,
                            ERR_CANNOTSENDTOCHAN,
                            format_args!("{shown} :{why}"),
                        );
                    }
                    ch
                }
                Found::Absent => {
                    return self.complain(
                        c,
                        ERR_NOSUCHCHANNEL,
                        format_args!("{shown} :There is no such room"),
                    );
                }
                Found::Wait => return Flow::Wait,
                Found::Failed(reason) => {
                    return self.not_taken(c, kind, shown, reason);
                }
            }
        } else {
            let peer = match self.find_account(c, target) {
                Found::Is(peer) if self.accounts[peer].flags.contains(AccountFlags::DISABLED) => {
                    return self.complain(
                        c,
                        ERR_CANNOTSENDTOUSER,
                        format_args!("{shown} :That account is disabled"),
                    );
                }
                Found::Is(peer) => peer,
                Found::Absent => {
                    let shown = if target.is_empty() {
                        "*"
                    } else {
                        text::start(target, NICK_MAX)
                    };
                    return self.complain(
                        c,
                        ERR_NOSUCHNICK,
                        format_args!("{shown} :There is no such account"),
                    );
                }
                Found::Wait => return Flow::Wait,
                Found::Failed(reason) => {
                    return self.not_taken(c, kind, shown, reason);
                }
            };
            match self.find_direct(c, peer, true) {
                Found::Is(ch) => {
                    let (conn, account) = (&mut self.conns[c], &self.accounts[peer]);
                    let away = account.is_away() && kind == Kind::Privmsg && peer != a;
                    if !away {
                        conn.told_away = None;
                    } else if conn.told_away != Some(account.id) {
                        // Once in a row: a flood of messages to somebody away would be a flood of answers.
                        if conn.unstored > 0 {
                            return Flow::Wait;
                        }
                        conn.told_away = Some(account.id);
                        self.tell_away(c, peer);
                    }
                    ch
                }
                Found::Absent | Found::Wait => return Flow::Wait,
                Found::Failed(reason) => {
                    return self.not_taken(c, kind, shown, reason);
                }
            }
        };
        let mut relayed: Text<TAGS_MAX, u16> = Text::default();
        let fits = !m.tags.is_empty() && tags::client_only(m.tags, &mut relayed).is_ok() && {
            // With all that every reader's line may have beside, or nobody could be sent it.
            let line = 2 * NICK_MAX + self.config.server_name.len() + ROOM_MAX + text.len();
            relayed.is_empty() || relayed.len() + line + LINE_FRAME <= self.replies.size()
        };
        if !m.tags.is_empty() && !fits {
            return self.complain(
                c,
                ERR_INPUTTOOLONG,
                format_args!(":Too many tags; the message was not sent"),
            );
        }
        if kind == Kind::Tagmsg {
            if relayed.is_empty() {
                return Flow::Done;
            }
            if tags::is_only_typing(&relayed) {
                self.publish_transient(a, ch, &relayed);
                return Flow::Done;
            }
        }
        let label = if self.conns[c].labelled {
            self.label(c)
        } else {
            Text::default()
        };
        let draft = Draft {
            kind,
            tags: &relayed,
            subject: "",
            text,
            brings: Brings::None,
            label: &label,
            awaited: false,
        };
        if !self.append(c, a, ch, draft) {
            return Flow::Wait;
        }
        self.conns[c].labelled = false;
        Flow::Done
    }

    /// Tells that somebody will read later, without the label (which belongs to the message's own answer).
    fn tell_away(&mut self, c: u32, peer: u32) {
        let labelled = core::mem::take(&mut self.conns[c].labelled);
        let name = self.accounts[peer].name;
        let text: Text<120> = Text::truncated(self.accounts[peer].away_text());
        self.numeric(c, RPL_AWAY, format_args!("{name} :{text}"));
        self.conns[c].labelled = labelled;
    }

    /// Whether a connection may speak in a room.
    fn may_speak(&self, c: u32, ch: u32) -> Result<(), &'static str> {
        let flags = self.own_flags(c, ch);
        let raised =
            flags.intersects(MemberFlags::VOICE | MemberFlags::OPERATOR | MemberFlags::FOUNDER);
        if !flags.contains(MemberFlags::JOINED) {
            return Err("You are not in that room");
        }
        if self.channels[ch].modes().contains(RoomModes::MODERATED) && !raised {
            return Err("That room is moderated: you need voice (+v) to speak");
        }
        if !raised && self.is_banned(ch, self.conns[c].account) {
            return Err("You are banned from that room");
        }
        Ok(())
    }
}
