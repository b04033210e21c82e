//! ROOM REMOVE: its founder, or an owner of the server, removes a room that nobody is in, with its history; the name is free again.

use super::super::Server;
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::request::What;
use super::Found;
use crate::id::ChannelId;
use crate::irc::message::Message;
use crate::name::RoomName;
use crate::tables::NIL;
use crate::text::Text;

impl Server<'_> {
    pub(super) fn room(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let (subcommand, target) = (
            m.param(0).unwrap_or_default(),
            m.param(1).unwrap_or_default(),
        );
        if !subcommand.eq_ignore_ascii_case("REMOVE") || !Self::is_room_name(target) {
            self.fail(
                c,
                "ROOM",
                format_args!("UNKNOWN_SUBCOMMAND :Use ROOM REMOVE #room"),
            );
            return Flow::Done;
        }
        let shown: RoomName = Text::truncated(target);
        match self.conns[c].memo {
            Memo::Done => {
                let server = self.config.server_name;
                self.reply(
                    c,
                    format_args!(
                        ":{server} NOTE ROOM REMOVE_DONE {shown} :{shown} is removed with its history"
                    ),
                );
                return Flow::Done;
            }
            Memo::Refused(reason) => {
                self.refused(c, "ROOM", &shown, reason);
                return Flow::Done;
            }
            _ => {}
        }
        let ch = match self.find_room(c, target) {
            Found::Is(ch) => ch,
            Found::Wait => return Flow::Wait,
            Found::Absent | Found::Failed(_) => {
                self.fail(
                    c,
                    "ROOM",
                    format_args!("NO_SUCH_ROOM {shown} :There is no such room"),
                );
                return Flow::Done;
            }
        };
        let is_founder = self.conns[c].account != NIL && self.founder(ch) == self.account_id(c);
        if !is_founder && !self.is_owner(c) {
            self.fail(
                c,
                "ROOM",
                format_args!(
                    "NOT_FOUNDER {shown} :Only its founder or an owner of this server may remove that room"
                ),
            );
            return Flow::Done;
        }
        if self.channels[ch].held {
            self.stalled.push_back(&mut self.conns, c);
            return Flow::Wait;
        }
        if self.is_room_in_use(ch) {
            self.fail(
                c,
                "ROOM",
                format_args!(
                    "ROOM_IN_USE {shown} :Somebody is in that room, offline ones too, or has just left it"
                ),
            );
            return Flow::Done;
        }
        let id = self.channels[ch].id;
        if self.ask(c, What::RemoveRoom(id)) {
            // Who wants to join it now waits, and makes it anew.
            self.channels[ch].held = true;
            self.pin_channel(ch);
        }
        Flow::Wait
    }

    /// Whether anybody is a member of a room, or anything of it is under way.
    fn is_room_in_use(&self, ch: u32) -> bool {
        let channel = &self.channels[ch];
        self.occupancy(ch).1 > 0
            || channel.pending > 0
            || channel.pins > 0
            || !channel.attachments.is_empty()
            || !channel.members.is_empty()
    }

    /// The store has removed a room, or has not.
    pub(in super::super) fn room_removed(&mut self, id: ChannelId, removed: bool) {
        if let Some(ch) = self.channel_by_id(id) {
            self.unpin_channel(ch);
            self.channels[ch].held = false;
            if removed && self.channels[ch].idle.is_linked() {
                self.evict_channel(ch);
            } else if removed {
                // A job still shows it: its slot goes later.
                self.unname_channel(ch);
            }
        }
        self.unstall_all();
    }
}
