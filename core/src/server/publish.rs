//! Stored entries become visible: in the order of their places, into the ring, to the cursors of the readers; and what they change
//! becomes true.

use super::Server;
use super::account::Removal;
use super::channel::{Append, Effect as Brings, Shape, Stage};
use super::conn::Memo;
use crate::id::{AccountId, Seq};
use crate::irc::caps::Caps;
use crate::name::{Nick, RoomName};
use crate::store::{AccountFlags, Entry, Kind, MemberFlags, MemberRecord};
use crate::tables::{List, Time};
use crate::text::Text;

impl Server<'_> {
    /// Publishes what the store has given the next places. Places are contiguous, so what is missing before an entry is known to come.
    pub(super) fn publish_in_order(&mut self, ch: u32) {
        loop {
            let wanted = Seq(self.channels[ch].last.seq().0 + 1);
            let mut next = self.channels[ch].appends.front();
            let mut found = None;
            while let Some(n) = next {
                match self.appends[n].stage {
                    Stage::Held { seq, time } if seq == wanted => {
                        found = Some((n, time));
                        break;
                    }
                    // A place already published: the store answered twice. Drop the second.
                    Stage::Held { seq, .. } if seq < wanted => {
                        found = Some((n, 0));
                        break;
                    }
                    _ => next = List::<1>::next(&self.appends, n),
                }
            }
            match found {
                Some((n, 0)) => self.end_append(n, Memo::Done),
                Some((n, time)) => self.publish(n, wanted, time),
                None if self.skip_lost_places(ch) => {}
                None => return,
            }
        }
    }

    /// When every pending entry has a place and none has the next, the channel came into memory older than it is: its ring begins anew
    /// before the lowest of them, and readers learn of the gap. Whether that was so.
    fn skip_lost_places(&mut self, ch: u32) -> bool {
        let mut lowest: Option<Seq> = None;
        let mut next = self.channels[ch].appends.front();
        while let Some(n) = next {
            match self.appends[n].stage {
                Stage::Held { seq, .. } => lowest = Some(lowest.map_or(seq, |low| low.min(seq))),
                _ => return false,
            }
            next = List::<1>::next(&self.appends, n);
        }
        let Some(lowest) = lowest else { return false };
        let before = Seq(lowest.0.saturating_sub(1));
        self.history.open(ch, before);
        self.channels[ch].last = before.into();
        true
    }

    pub(super) fn publish(&mut self, n: u32, seq: Seq, time: u64) {
        let Append {
            channel: ch,
            effect,
            body,
            body_len,
            conn,
            guest,
            ..
        } = self.appends[n];
        let append = &self.appends[n];
        let kind = append.kind.unwrap_or(Kind::Notice);
        let (sender, label) = (append.sender, !append.label.is_empty());
        let conn = conn.and_then(|handle| self.conns.resolve(handle));

        let keep = u64::from(self.config.history);
        let first = Seq((seq.0 + 1).saturating_sub(keep).max(1));
        let channel = &mut self.channels[ch];
        channel.last = seq.into();
        channel.last_time = Time::new(time);
        channel.first = channel.first.seq().max(first).into();

        let bodies = self.bodies.lend();
        let start = body as usize * self.bodies.size();
        let bytes = bodies
            .get(start..start + usize::from(body_len))
            .unwrap_or_default();
        let pushed = postcard::from_bytes::<Entry<'_>>(bytes)
            .ok()
            .and_then(|entry| {
                let entry = Entry { seq, time, ..entry };
                self.push_entry(ch, &entry, guest, false)
            });
        self.bodies.restore(bodies);

        if let Some(cursor) = pushed {
            self.attach_direct(ch, cursor, Seq(seq.0.saturating_sub(1)));
        }
        self.apply(ch, kind, sender, seq, &effect);
        self.flag_channel(ch);
        if let Some(c) = conn {
            self.note_own(c, ch, seq);
        }
        let echoes = matches!(kind, Kind::Privmsg | Kind::Notice | Kind::Tagmsg);
        let (wants_echo, attached) = conn.map_or((false, false), |c| {
            (
                self.conns[c].caps.contains(Caps::ECHO_MESSAGE),
                self.attachment_of(c, ch).is_some(),
            )
        });
        let stage = match conn {
            // Who has left since gets no echo, but an answer all the same.
            Some(_) if label && ((echoes && !wants_echo) || !attached) => Some(Stage::Acknowledge),
            Some(_) if attached && (label || (echoes && !wants_echo)) => Some(Stage::Echo(seq)),
            _ => None,
        };
        // Without an echo the own message must still be known as such when the cursor passes it, so an acknowledged one is an echo first.
        match (stage, conn) {
            (Some(stage), Some(c)) => {
                self.settle_append(n, Memo::Done);
                self.appends[n].stage = if attached { Stage::Echo(seq) } else { stage };
                self.wake(c);
            }
            _ => self.end_append(n, Memo::Done),
        }
    }

    /// Puts an entry into the ring.
    pub(super) fn push_entry(
        &mut self,
        ch: u32,
        entry: &Entry<'_>,
        guest: bool,
        transient: bool,
    ) -> Option<crate::history::Cursor> {
        let channel = &self.channels[ch];
        let payer = match channel.shape {
            Shape::Room { founder, .. } => founder,
            Shape::Direct { .. } => entry.sender,
        };
        let room: RoomName;
        let peer: Nick;
        let target: &str = match &channel.shape {
            Shape::Room { name, .. } => {
                room = *name;
                &room
            }
            Shape::Direct { .. } => {
                peer = Text::truncated(channel.name_for(entry.sender));
                &peer
            }
        };
        let mut flags = crate::history::Flags::empty();
        flags.set(crate::history::Flags::GUEST, guest);
        flags.set(crate::history::Flags::TRANSIENT, transient);
        self.history
            .push(ch, payer, entry, target, self.config.server_name, flags)
            .ok()
    }

    /// What is only typed now and kept nowhere goes straight into the ring.
    pub(super) fn publish_transient(&mut self, a: u32, ch: u32, tags: &str) {
        let unix = self.unix();
        let msgid = self.next_msgid(unix);
        let account = &self.accounts[a];
        let (sender, nick) = (account.id, account.name);
        let guest = account.flags.contains(AccountFlags::GUEST);
        let entry = Entry {
            seq: self.channels[ch].last.seq(),
            time: unix.max(self.channels[ch].last_time.get()),
            msgid,
            kind: Kind::Tagmsg,
            sender,
            nick: &nick,
            tags,
            subject: "",
            text: "",
        };
        if let Some(cursor) = self.push_entry(ch, &entry, guest, true) {
            self.attach_direct(ch, cursor, self.channels[ch].last.seq());
            self.flag_channel(ch);
        }
    }

    /// Lets every reader of a channel know that there is something new.
    pub(super) fn flag_channel(&mut self, ch: u32) {
        if self.channels[ch].flagged {
            return;
        }
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            let c = self.attachments[t].conn.get();
            self.conns[c]
                .members_of
                .dirty
                .push_back(&mut self.attachments, t);
            self.wake(c);
        }
        self.channels[ch].flagged = true;
    }

    /// Remembers that a connection's replies must wait until this entry of its own is sent.
    pub(super) fn note_own(&mut self, c: u32, ch: u32, seq: Seq) {
        if let Some(t) = self.attachment_of(c, ch) {
            let (conn, attachment) = (&mut self.conns[c], &mut self.attachments[t]);
            if attachment.intro.is_linked()
                || conn.job.introduces(t)
                || attachment.until().is_some()
            {
                // It comes after the introduction, for which nothing must wait.
                return;
            }
            let owed_before = attachment.owes();
            attachment.set_own(seq);
            if !owed_before && attachment.owes() {
                conn.owed += 1;
            }
        }
    }

    /// What an entry changes, now that it is stored.
    pub(super) fn apply(
        &mut self,
        ch: u32,
        kind: Kind,
        sender: AccountId,
        seq: Seq,
        brings: &Brings,
    ) {
        match *brings {
            Brings::None | Brings::Topic => {}
            Brings::Modes {
                modes: new_modes,
                key: new_key,
                limit: new_limit,
            } => {
                if let Shape::Room {
                    modes, key, limit, ..
                } = &mut self.channels[ch].shape
                {
                    (*modes, *key, *limit) = (new_modes, new_key, new_limit);
                }
            }
            Brings::Ban(mask) => {
                let by = self
                    .account_by_id(sender)
                    .map(|a| self.accounts[a].name)
                    .unwrap_or_default();
                let time = self.channels[ch].last_time.get();
                self.remove_ban(ch, &mask);
                if !self.install_ban(ch, &mask, &by, time) {
                    // Read again when there is room: until then nobody joins.
                    self.drop_bans(ch);
                    self.channels[ch].bans_loaded = false;
                    self.channels[ch].bans_after = 0;
                }
            }
            Brings::Unban(mask) => {
                self.remove_ban(ch, &mask);
            }
            Brings::Member {
                account,
                flags,
                read,
            } => {
                let channel = &mut self.channels[ch];
                channel.roster = channel.roster.wrapping_add(1);
                if let Shape::Room { members, .. } = &mut channel.shape {
                    match kind {
                        Kind::Join => *members += 1,
                        Kind::Part | Kind::Kick => *members = members.saturating_sub(1),
                        _ => {}
                    }
                }
                let Some(a) = self.account_by_id(account) else {
                    return;
                };
                if kind == Kind::Part && self.accounts[a].removal == Removal::Leaving {
                    self.accounts[a].removal = Removal::Next;
                }
                match (self.member_of(a, ch), kind) {
                    (Some(m), Kind::Part | Kind::Kick) => self.leave(m, seq),
                    (None, Kind::Join) => {
                        let record = MemberRecord {
                            flags: flags.bits(),
                            read,
                            ..MemberRecord::default()
                        };
                        match self.install_member(a, ch, &record) {
                            Some(m) => {
                                self.members[m].delivered = seq.into();
                                self.attach_devices(m);
                            }
                            None => self.close_account(
                                a,
                                "The server has no room for another membership of yours",
                            ),
                        }
                    }
                    (Some(m), Kind::Join) => {
                        let member = &mut self.members[m];
                        member.flags = flags;
                        member.delivered = member.delivered.seq().max(seq).into();
                        self.stay_after_all(m, seq);
                        self.attach_devices(m);
                    }
                    (Some(m), _) => self.members[m].flags = flags,
                    (None, _) => {}
                }
            }
        }
    }

    pub(super) fn remove_ban(&mut self, ch: u32, mask: &str) {
        let mut next = self.channels[ch].bans.front();
        while let Some(b) = next {
            next = List::<0>::next(&self.bans, b);
            if crate::name::eq_folded(&self.bans[b].mask, mask) {
                self.channels[ch].bans.remove(&mut self.bans, b);
                self.channels[ch].bans_count -= 1;
                self.bans.remove(b);
            }
        }
    }

    /// A membership ends: cursors stay until the entry that ends it is sent.
    pub(super) fn leave(&mut self, m: u32, seq: Seq) {
        let ch = self.members[m].channel.get();
        self.members[m].flags = MemberFlags::empty();
        let mut waiting = false;
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            let attachment = &mut self.attachments[t];
            if attachment.member.get() == m {
                // The first leaving that is not yet sent counts.
                attachment.leave(seq);
                waiting = true;
            }
        }
        if !waiting {
            self.remove_member(m);
        }
    }

    /// Joined again before the own leaving was sent everywhere: what is said in between is not for it.
    pub(super) fn stay_after_all(&mut self, m: u32, seq: Seq) {
        let ch = self.members[m].channel.get();
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            if self.attachments[t].member.get() == m && self.attachments[t].until().is_some() {
                self.attachments[t].return_at(seq);
            }
        }
    }
}
