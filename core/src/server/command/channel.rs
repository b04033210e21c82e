//! JOIN, PART, TOPIC, KICK, INVITE.

use super::super::Server;
use super::super::account::Removal;
use super::super::append::Draft;
use super::super::channel::{Effect as Brings, Shape};
use super::super::conn::Memo;
use super::super::input::Flow;
use super::super::job::Task;
use super::super::request::What;
use super::Found;
use crate::irc::mask;
use crate::irc::message::Message;
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::name::{self, REASON_MAX, ROOM_MAX, TOPIC_MAX};
use crate::store::{Kind, Marker, MemberFlags, Reason};
use crate::tables::List;
use crate::text::{self, Text};

/// Modes of a new room.
const NEW_ROOM: RoomModes = RoomModes::NO_EXTERNAL.union(RoomModes::TOPIC_LOCKED);

impl Server<'_> {
    pub(super) fn join(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(targets) = m.param(0).filter(|targets| !targets.is_empty()) else {
            return self.need_more(c, "JOIN");
        };
        self.open_batch(c);
        while let Some(target) = targets.split(',').nth(usize::from(self.conns[c].progress)) {
            let key = m
                .param(1)
                .unwrap_or_default()
                .split(',')
                .nth(usize::from(self.conns[c].progress))
                .unwrap_or_default();
            match self.join_one(c, target, key) {
                Flow::Done => self.next_target(c),
                Flow::Wait => return Flow::Wait,
            }
        }
        Flow::Done
    }

    fn join_one(&mut self, c: u32, target: &str, key: &str) -> Flow {
        let now = self.now;
        let a = self.conns[c].account;
        let shown = text::start(target, ROOM_MAX);
        if let Err(error) = name::check_room(target) {
            let shown = super::word(shown);
            self.numeric(c, ERR_NOSUCHCHANNEL, format_args!("{shown} :{error}"));
            return Flow::Done;
        }
        let memo = self.conns[c].memo;
        let ch = match self.find_room(c, target) {
            Found::Is(ch) => ch,
            Found::Wait => return Flow::Wait,
            Found::Absent => {
                if self.rooms_of(a) >= usize::from(self.config.rooms_per_account) {
                    self.numeric(
                        c,
                        ERR_TOOMANYCHANNELS,
                        format_args!("{shown} :You are in as many rooms as you may be"),
                    );
                    return Flow::Done;
                }
                let founder = self.accounts[a].id;
                let rate_key = self.hash(&[b"room", &founder.0.to_le_bytes()]);
                if let Err(wait) = self.throttles.take(now, rate_key, self.config.room_rate) {
                    let seconds = wait.div_ceil(1_000);
                    self.numeric(c, ERR_TOOMANYCHANNELS, format_args!(
                        "{shown} :There is no such room, and you made many just now; try again in {seconds} s"
                    ));
                    return Flow::Done;
                }
                self.conns[c].memo = Memo::None;
                self.ask(
                    c,
                    What::CreateRoom {
                        name: Text::truncated(target),
                        founder,
                        modes: NEW_ROOM.bits(),
                    },
                );
                return Flow::Wait;
            }
            Found::Failed(reason) => {
                self.refused(c, "JOIN", shown, reason);
                return Flow::Done;
            }
        };
        match memo {
            Memo::Refused(reason) => {
                self.refused(c, "JOIN", shown, reason);
                return Flow::Done;
            }
            // Joined; the introduction was sent before this runs again.
            Memo::Done => return Flow::Done,
            _ => {}
        }
        if self.must_wait(c, ch) {
            return Flow::Wait;
        }
        if self.is_in(c, ch) {
            // A member already: the room is told again, once its own entries before are sent, which would wait for that.
            if self.conns[c].owed > 0 {
                return Flow::Wait;
            }
            self.conns[c].memo = Memo::Done;
            if let Some(t) = self.attachment_of(c, ch) {
                self.introduce(t);
                return Flow::Wait;
            }
            return Flow::Done;
        }
        let flags = match self.find_member(c, ch, a) {
            Found::Is(flags) => flags,
            Found::Wait => return Flow::Wait,
            Found::Absent => MemberFlags::empty(),
            Found::Failed(reason) => {
                self.refused(c, "JOIN", shown, reason);
                return Flow::Done;
            }
        };
        let founder = self.founder(ch) == self.accounts[a].id;
        if !founder && let Err((code, why)) = self.may_join(a, ch, flags, key) {
            self.numeric(c, code, format_args!("{shown} :{why}"));
            return Flow::Done;
        }
        if self.rooms_of(a) >= usize::from(self.config.rooms_per_account) {
            self.numeric(
                c,
                ERR_TOOMANYCHANNELS,
                format_args!("{shown} :You are in as many rooms as you may be"),
            );
            return Flow::Done;
        }
        if self.members.is_full() && self.idle_accounts.is_empty() {
            self.numeric(
                c,
                ERR_TOOMANYCHANNELS,
                format_args!("{shown} :The server has no room for another membership now"),
            );
            return Flow::Done;
        }
        let read = match self.conns[c].memo {
            Memo::Member { read, .. } => read,
            _ => Marker::default(),
        };
        let mut new = MemberFlags::JOINED;
        if founder {
            new |= MemberFlags::FOUNDER | MemberFlags::OPERATOR;
        }
        let account = self.accounts[a].id;
        let display = self.accounts[a].display;
        let name = self.accounts[a].name;
        let text = if display.is_empty() {
            &*name
        } else {
            &*display
        };
        let draft = Draft {
            kind: Kind::Join,
            tags: "",
            subject: "",
            text,
            brings: Brings::Member {
                account,
                flags: new,
                read,
            },
            label: "",
            awaited: true,
        };
        self.conns[c].memo = Memo::None;
        self.append(c, a, ch, draft);
        Flow::Wait
    }

    /// How many rooms an account has joined.
    fn rooms_of(&self, a: u32) -> usize {
        let mut count = 0;
        let mut next = self.accounts[a].members.front();
        while let Some(m) = next {
            let member = &self.members[m];
            count += usize::from(
                self.channels[member.channel.get()].is_room()
                    && member.flags.contains(MemberFlags::JOINED),
            );
            next = List::<0>::next(&self.members, m);
        }
        count
    }

    fn may_join(
        &self,
        a: u32,
        ch: u32,
        flags: MemberFlags,
        key: &str,
    ) -> Result<(), (u16, &'static str)> {
        let Shape::Room {
            modes, key: lock, ..
        } = &self.channels[ch].shape
        else {
            return Ok(());
        };
        if self.is_banned(ch, a) {
            return Err((ERR_BANNEDFROMCHAN, "You are banned from that room"));
        }
        if flags.contains(MemberFlags::INVITED) {
            return Ok(());
        }
        if modes.contains(RoomModes::INVITE_ONLY) {
            return Err((ERR_INVITEONLYCHAN, "That room is for the invited only (+i)"));
        }
        if !lock.is_empty() && **lock != *key {
            return Err((
                ERR_BADCHANNELKEY,
                "That room has a key (+k), and yours is not it",
            ));
        }
        let (limit, members) = self.occupancy(ch);
        if limit > 0 && members >= limit {
            return Err((ERR_CHANNELISFULL, "That room is full (+l)"));
        }
        Ok(())
    }

    /// Whether a ban of a room matches an account.
    pub(super) fn is_banned(&self, ch: u32, a: u32) -> bool {
        let mut next = self.channels[ch].bans.front();
        if next.is_none() {
            return false;
        }
        let (name, host) = (self.accounts[a].name, self.config.server_name);
        let mut source: Text<128> = Text::default();
        source.push_str(&name);
        source.push_str("!");
        source.push_str(&name);
        source.push_str("@");
        source.push_str(host);
        while let Some(b) = next {
            if mask::matches(&self.bans[b].mask, &source) {
                return true;
            }
            next = List::<0>::next(&self.bans, b);
        }
        false
    }

    pub(super) fn part(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(targets) = m.param(0).filter(|targets| !targets.is_empty()) else {
            return self.need_more(c, "PART");
        };
        while let Some(target) = targets.split(',').nth(usize::from(self.conns[c].progress)) {
            match self.part_one(c, target, m.param(1).unwrap_or_default()) {
                Flow::Done => self.next_target(c),
                Flow::Wait => return Flow::Wait,
            }
        }
        Flow::Done
    }

    fn part_one(&mut self, c: u32, target: &str, reason: &str) -> Flow {
        let ch = match self.settled(c, "PART", target) {
            Ok(Some(ch)) => ch,
            Ok(None) => return Flow::Done,
            Err(flow) => return flow,
        };
        let account = self.account_id(c);
        let reason = text::start(reason, REASON_MAX);
        self.append_change(
            c,
            ch,
            Kind::Part,
            "",
            reason,
            Brings::Member {
                account,
                flags: MemberFlags::empty(),
                read: Marker::default(),
            },
        )
    }

    pub(super) fn topic(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let Some(target) = m.param(0).filter(|target| !target.is_empty()) else {
            return self.need_more(c, "TOPIC");
        };
        let Some(text) = m.param(1) else {
            return self.tell_topic(c, target);
        };
        let text = text::start(text, TOPIC_MAX);
        let ch = match self.settled(c, "TOPIC", target) {
            Ok(Some(ch)) => ch,
            Ok(None) => return Flow::Done,
            Err(flow) => return flow,
        };
        if self.channels[ch].modes().contains(RoomModes::TOPIC_LOCKED)
            && !self.needs_operator(c, ch)
        {
            return Flow::Done;
        }
        self.append_change(c, ch, Kind::Topic, "", text, Brings::Topic)
    }

    fn tell_topic(&mut self, c: u32, target: &str) -> Flow {
        match self.own_room(c, "TOPIC", target) {
            Ok(channel) => self.once(c, Task::Topic { channel }),
            Err(flow) => flow,
        }
    }

    pub(super) fn kick(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let (Some(target), Some(nick)) = (m.param(0), m.param(1)) else {
            return self.need_more(c, "KICK");
        };
        let ch = match self.settled(c, "KICK", target) {
            Ok(Some(ch)) => ch,
            Ok(None) => return Flow::Done,
            Err(flow) => return flow,
        };
        if !self.needs_operator(c, ch) {
            return Flow::Done;
        }
        let (who, flags) = match self.other_member(c, "KICK", ch, nick) {
            Ok(found) => found,
            Err(flow) => return flow,
        };
        if flags.contains(MemberFlags::FOUNDER) && who != self.conns[c].account {
            let room = self.room_name(ch);
            self.numeric(
                c,
                ERR_CHANOPRIVSNEEDED,
                format_args!("{room} :The founder of a room cannot be kicked"),
            );
            return Flow::Done;
        }
        let own = self.nick_copy(c);
        let reason = text::start(
            m.param(2)
                .filter(|reason| !reason.is_empty())
                .unwrap_or(&own),
            REASON_MAX,
        );
        let (name, account) = (self.accounts[who].name, self.accounts[who].id);
        self.append_change(
            c,
            ch,
            Kind::Kick,
            &name,
            reason,
            Brings::Member {
                account,
                flags: MemberFlags::empty(),
                read: Marker::default(),
            },
        )
    }

    pub(super) fn invite(&mut self, c: u32, m: &Message<'_>) -> Flow {
        let (Some(nick), Some(target)) = (m.param(0), m.param(1)) else {
            return self.need_more(c, "INVITE");
        };
        let ch = match self.own_room(c, "INVITE", target) {
            Ok(ch) => ch,
            Err(flow) => return flow,
        };
        let room = self.room_name(ch);
        if self.channels[ch].modes().contains(RoomModes::INVITE_ONLY) && !self.needs_operator(c, ch)
        {
            return Flow::Done;
        }
        let who = match self.find_account(c, nick) {
            Found::Is(who) => who,
            Found::Absent => return self.no_such_nick(c, nick),
            Found::Wait => return Flow::Wait,
            Found::Failed(reason) => {
                self.refused(c, "INVITE", nick, reason);
                return Flow::Done;
            }
        };
        let name = self.accounts[who].name;
        match self.conns[c].memo {
            Memo::Done => {
                self.numeric(c, RPL_INVITING, format_args!("{name} {room}"));
                self.tell_invited(c, who, &room);
                return Flow::Done;
            }
            Memo::Refused(reason) => {
                self.refused(c, "INVITE", &room, reason);
                return Flow::Done;
            }
            _ => {}
        }
        if self.accounts[who].removal != Removal::None {
            return self.no_such_nick(c, nick);
        }
        if self.waits_for(c, ch, self.accounts[who].id) {
            return Flow::Wait;
        }
        let flags = match self.find_member(c, ch, who) {
            Found::Is(flags) => flags,
            Found::Absent => MemberFlags::empty(),
            Found::Wait => return Flow::Wait,
            Found::Failed(reason) => {
                self.refused(c, "INVITE", &room, reason);
                return Flow::Done;
            }
        };
        if flags.contains(MemberFlags::JOINED) {
            self.numeric(
                c,
                ERR_USERONCHANNEL,
                format_args!("{name} {room} :is in that room already"),
            );
            return Flow::Done;
        }
        let account = self.accounts[who].id;
        let brings = Brings::Member {
            account,
            flags: flags | MemberFlags::INVITED,
            read: Marker::default(),
        };
        let draft = Draft {
            kind: Kind::Invite,
            tags: "",
            subject: &name,
            text: "",
            brings,
            label: "",
            awaited: true,
        };
        let a = self.conns[c].account;
        self.conns[c].memo = Memo::None;
        self.append(c, a, ch, draft);
        Flow::Wait
    }

    /// Tells the devices of an account that it is invited.
    fn tell_invited(&mut self, c: u32, who: u32, room: &str) {
        let (nick, server, name) = (
            self.nick_copy(c),
            self.config.server_name,
            self.accounts[who].name,
        );
        let mut next = self.accounts[who].conns.front();
        while let Some(d) = next {
            next = List::<3>::next(&self.conns, d);
            // Short and rare: where no buffer is free the room is still open to who was invited.
            if !self.conns[d].is_between_answers() || !self.reserve_reply(d) {
                continue;
            }
            self.reply(
                d,
                format_args!(":{nick}!{nick}@{server} INVITE {name} {room}"),
            );
        }
    }

    // ---- changes of state, stored before the command goes on

    /// A member of a room by name; says what is wrong.
    pub(super) fn other_member(
        &mut self,
        c: u32,
        command: &str,
        ch: u32,
        nick: &str,
    ) -> Result<(u32, MemberFlags), Flow> {
        let room = self.room_name(ch);
        let who = match self.find_account(c, nick) {
            Found::Is(who) => who,
            Found::Absent => return Err(self.no_such_nick(c, nick)),
            Found::Wait => return Err(Flow::Wait),
            Found::Failed(reason) => {
                self.refused(c, command, &room, reason);
                return Err(Flow::Done);
            }
        };
        if self.accounts[who].removal != Removal::None {
            return Err(self.no_such_nick(c, nick));
        }
        if self.waits_for(c, ch, self.accounts[who].id) {
            return Err(Flow::Wait);
        }
        match self.find_member(c, ch, who) {
            Found::Is(flags) if flags.contains(MemberFlags::JOINED) => Ok((who, flags)),
            Found::Is(_) | Found::Absent => {
                let name = self.accounts[who].name;
                self.numeric(
                    c,
                    ERR_USERNOTINCHANNEL,
                    format_args!("{name} {room} :is not in that room"),
                );
                Err(Flow::Done)
            }
            Found::Wait => Err(Flow::Wait),
            Found::Failed(reason) => {
                self.refused(c, command, &room, reason);
                Err(Flow::Done)
            }
        }
    }

    /// The room of a command that changes it: `None` when the change is stored (or was refused, and said so).
    pub(super) fn settled(
        &mut self,
        c: u32,
        command: &str,
        target: &str,
    ) -> Result<Option<u32>, Flow> {
        match self.conns[c].memo {
            Memo::Done => return Ok(None),
            Memo::Refused(reason @ (Reason::Full | Reason::Failed)) => {
                let shown = text::start(target, ROOM_MAX);
                self.refused(c, command, shown, reason);
                return Ok(None);
            }
            _ => {}
        }
        self.own_room(c, command, target).map(Some)
    }

    /// Appends an entry that changes a room and waits for it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn append_change(
        &mut self,
        c: u32,
        ch: u32,
        kind: Kind,
        subject: &str,
        text: &str,
        brings: Brings,
    ) -> Flow {
        let a = self.conns[c].account;
        let label = if self.conns[c].labelled {
            self.label(c)
        } else {
            Text::default()
        };
        let draft = Draft {
            kind,
            tags: "",
            subject,
            text,
            brings,
            label: &label,
            awaited: true,
        };
        self.conns[c].memo = Memo::None;
        if self.append(c, a, ch, draft) {
            self.conns[c].labelled = false;
        }
        Flow::Wait
    }
}
