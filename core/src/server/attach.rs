//! What is in memory: accounts, channels, the memberships of accounts online and the cursors of their connections.

use super::Server;
use super::account::Loaded;
use super::channel::Shape;
use super::conn::Phase;
use crate::history::Cursor;
use crate::id::{AccountId, ChannelId, Seq};
use crate::irc::caps::Caps;
use crate::irc::mode::RoomModes;
use crate::name::{self, Nick, RoomName};
use crate::store::{AccountFlags, AccountRecord, ChannelRecord, MemberFlags, MemberRecord};
use crate::tables::{List, NIL, Short, Time};
use crate::text::Text;
use crate::time::Instant;

/// How many candidates are looked at to free a slot.
const EVICTION_TRIES: usize = 16;
/// How long delivered places may stay unsaved.
const SAVE_MS: u64 = 10_000;

impl Server<'_> {
    // ---- accounts

    pub(super) fn account_by_name(&self, folded: &str) -> Option<u32> {
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        self.account_names
            .find(hash, |a| name::eq_folded(&self.accounts[a].name, folded))
    }

    pub(super) fn account_by_id(&self, id: AccountId) -> Option<u32> {
        self.account_ids
            .find(id_hash(id.0), |a| self.accounts[a].id == id)
    }

    /// Brings an account into memory, or brings it up to date. `None` when there is no slot.
    pub(super) fn install_account(&mut self, record: &AccountRecord<'_>) -> Option<u32> {
        if let Some(a) = self.account_by_id(record.id) {
            return Some(a);
        }
        if self.accounts.is_full() && !self.evict_an_account() {
            return None;
        }
        let (a, account) = self.accounts.insert()?;
        account.id = record.id;
        account.name.set(record.name);
        account.display.set(record.display);
        account.titles.set(record.titles);
        account.flags = AccountFlags::from_bits_truncate(record.flags);
        account.created = Time::new(record.created);
        let hash = self.name_hash(record.name);
        self.account_names.insert(hash, a);
        self.account_ids.insert(id_hash(record.id.0), a);
        self.idle_accounts.push_back(&mut self.accounts, a);
        Some(a)
    }

    /// Frees the slot of an account that is not online and whose markers are stored, the longest unused first.
    fn evict_an_account(&mut self) -> bool {
        let mut candidate = self.idle_accounts.front();
        for _ in 0..EVICTION_TRIES {
            let Some(a) = candidate else { return false };
            candidate = List::<1>::next(&self.accounts, a);
            let mut saved = true;
            let mut next = self.accounts[a].members.front();
            while let Some(m) = next {
                saved &= !self.members[m].unsaved && !self.members[m].saving;
                next = List::<0>::next(&self.members, m);
            }
            if saved {
                self.evict_account(a);
                return true;
            }
            self.save_at = Some(Instant(0));
        }
        false
    }

    /// Takes an account out of memory, with its memberships.
    fn evict_account(&mut self, a: u32) {
        while let Some(m) = self.accounts[a].members.front() {
            self.remove_member(m);
        }
        self.unname_account(a);
        self.idle_accounts.remove(&mut self.accounts, a);
        self.by_stamp.remove(&mut self.accounts, a);
        self.accounts.remove(a);
    }

    /// An account is no longer found by its name or id.
    pub(super) fn unname_account(&mut self, a: u32) {
        let (id, hash) = (self.accounts[a].id, self.name_hash(&self.accounts[a].name));
        self.account_names.remove(hash, a);
        self.account_ids.remove(id_hash(id.0), a);
    }

    pub(super) fn pin_account(&mut self, a: u32) {
        self.accounts[a].pins += 1;
        self.idle_accounts.remove(&mut self.accounts, a);
    }

    pub(super) fn unpin_account(&mut self, a: u32) {
        self.accounts[a].pins = self.accounts[a].pins.saturating_sub(1);
        self.settle_account(a);
    }

    /// Lets the slot of an account go when nothing holds it.
    pub(super) fn settle_account(&mut self, a: u32) {
        let account = &self.accounts[a];
        if account.online == 0 && account.pins == 0 {
            self.idle_accounts.push_back(&mut self.accounts, a);
        }
    }

    /// Takes an account that is no more out of memory at once.
    pub(super) fn forget_account(&mut self, a: u32) {
        self.evict_account(a);
    }

    fn name_hash(&self, spelled: &str) -> u32 {
        let folded: Nick = name::fold(spelled).unwrap_or_default();
        self.hash(&[folded.as_bytes()]) as u32
    }

    // ---- channels

    pub(super) fn channel_by_id(&self, id: ChannelId) -> Option<u32> {
        self.channel_ids
            .find(id_hash(id.0), |ch| self.channels[ch].id == id)
    }

    pub(super) fn room_by_name(&self, folded: &str) -> Option<u32> {
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        self.channel_keys.find(hash, |ch| {
            matches!(&self.channels[ch].shape, Shape::Room { name, .. } if name::eq_folded(name, folded))
        })
    }

    pub(super) fn direct_between(&self, a: AccountId, b: AccountId) -> Option<u32> {
        let pair = pair(a, b);
        self.channel_keys.find(pair_hash(pair), |ch| {
            matches!(&self.channels[ch].shape, Shape::Direct { accounts, .. } if *accounts == pair)
        })
    }

    /// Brings a channel into memory. A direct chat's accounts must be in memory (else `None`). `None` when there is no slot.
    pub(super) fn install_channel(&mut self, record: &ChannelRecord<'_>) -> Option<u32> {
        if let Some(ch) = self.channel_by_id(record.id) {
            return Some(ch);
        }
        let (shape, hash) = if record.direct.0.is_none() {
            let name: RoomName = Text::truncated(record.name);
            let folded: RoomName = name::fold(&name).unwrap_or_default();
            let hash = self.hash(&[folded.as_bytes()]) as u32;
            let shape = Shape::Room {
                name,
                founder: record.founder,
                created: Time::new(record.created),
                modes: RoomModes::from_bits_truncate(record.modes),
                key: Text::truncated(record.key),
                limit: record.limit,
                members: record.members,
            };
            (shape, hash)
        } else {
            let accounts = pair(record.direct.0, record.direct.1);
            let mut names = [Nick::default(); 2];
            for (name, id) in names.iter_mut().zip(accounts) {
                *name = self.accounts[self.account_by_id(id)?].name;
            }
            (Shape::Direct { accounts, names }, pair_hash(accounts))
        };
        if self.channels.is_full() && !self.evict_a_channel() {
            return None;
        }
        let (ch, channel) = self.channels.insert()?;
        channel.id = record.id;
        channel.shape = shape;
        channel.last = record.last.into();
        channel.last_time = Time::new(record.last_time);
        channel.first = record.first.into();
        channel.bans_loaded = record.bans == 0;
        self.rooms += usize::from(self.channels[ch].is_room());
        self.channel_keys.insert(hash, ch);
        self.channel_ids.insert(id_hash(record.id.0), ch);
        self.history.open(ch, record.last);
        self.settle_channel(ch);
        Some(ch)
    }

    /// Frees the slot of a channel nobody uses: empty rooms and direct chats whose readers have caught up, the longest unused first.
    fn evict_a_channel(&mut self) -> bool {
        let mut candidate = self.idle_channels.front();
        for _ in 0..EVICTION_TRIES {
            let Some(ch) = candidate else { return false };
            candidate = List::<0>::next(&self.channels, ch);
            if self.is_quiet(ch) {
                self.evict_channel(ch);
                return true;
            }
            // The next time others are looked at.
            self.idle_channels.remove(&mut self.channels, ch);
            self.idle_channels.push_back(&mut self.channels, ch);
        }
        false
    }

    /// Whether everybody attached to a channel was sent all of it.
    fn is_caught_up(&self, ch: u32) -> bool {
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            let attachment = &self.attachments[t];
            let introducing =
                attachment.intro.is_linked() || self.conns[attachment.conn.get()].job.introduces(t);
            if !self.history.at_head(ch, attachment.cursor) || introducing || attachment.owes() {
                return false;
            }
            next = List::<1>::next(&self.attachments, t);
        }
        true
    }

    /// Whether nothing of a channel is under way to or from anybody.
    fn is_quiet(&mut self, ch: u32) -> bool {
        if !self.is_caught_up(ch) {
            return false;
        }
        let mut quiet = true;
        let mut next = self.channels[ch].members.front();
        while let Some(m) = next {
            if self.members[m].unsaved || self.members[m].saving {
                // Let it be saved soon, to be free the next time.
                self.save_at = Some(Instant(0));
                quiet = false;
            }
            // Its connections have no cursors yet: its rooms are just being loaded.
            quiet &= !self.channels[ch].is_room()
                || self.accounts[self.members[m].account.get()].online == 0;
            next = List::<1>::next(&self.members, m);
        }
        quiet
    }

    /// Takes a channel out of memory.
    pub(super) fn evict_channel(&mut self, ch: u32) {
        while let Some(t) = self.channels[ch].attachments.front() {
            self.detach(t);
        }
        while let Some(m) = self.channels[ch].members.front() {
            // Nobody of a room is online any more; who comes back reads the memberships again.
            let a = self.members[m].account.get();
            if self.channels[ch].is_room() && self.accounts[a].loaded == Loaded::Yes {
                self.accounts[a].loaded = Loaded::No;
            }
            self.remove_member(m);
        }
        self.drop_bans(ch);
        self.unname_channel(ch);
        self.idle_channels.remove(&mut self.channels, ch);
        self.history.close(ch);
        self.channels.remove(ch);
    }

    /// A channel is no longer found by its name or id.
    pub(super) fn unname_channel(&mut self, ch: u32) {
        if self.channel_by_id(self.channels[ch].id) != Some(ch) {
            return;
        }
        self.rooms -= usize::from(self.channels[ch].is_room());
        let hash = match &self.channels[ch].shape {
            Shape::Room { name, .. } => {
                let folded: RoomName = name::fold(name).unwrap_or_default();
                self.hash(&[folded.as_bytes()]) as u32
            }
            Shape::Direct { accounts, .. } => pair_hash(*accounts),
        };
        self.channel_keys.remove(hash, ch);
        self.channel_ids.remove(id_hash(self.channels[ch].id.0), ch);
    }

    pub(super) fn pin_channel(&mut self, ch: u32) {
        self.channels[ch].pins += 1;
        self.idle_channels.remove(&mut self.channels, ch);
    }

    pub(super) fn unpin_channel(&mut self, ch: u32) {
        self.channels[ch].pins = self.channels[ch].pins.saturating_sub(1);
        self.settle_channel(ch);
    }

    /// Puts a channel among those whose slot may be taken, if it is one.
    pub(super) fn settle_channel(&mut self, ch: u32) {
        self.idle_channels.remove(&mut self.channels, ch);
        let channel = &self.channels[ch];
        let unused = !channel.is_room() || channel.attachments.is_empty();
        if unused && channel.pins == 0 && channel.pending == 0 {
            self.idle_channels.push_back(&mut self.channels, ch);
        }
    }

    /// Adds a ban to a room in memory; false when there is no room for it.
    pub(super) fn install_ban(&mut self, ch: u32, mask: &str, by: &str, time: u64) -> bool {
        let Some((b, ban)) = self.bans.insert() else {
            return false;
        };
        ban.mask.set(mask);
        ban.by.set(by);
        ban.time = Time::new(time);
        self.channels[ch].bans.push_back(&mut self.bans, b);
        self.channels[ch].bans_count += 1;
        true
    }

    /// Takes a room's bans out of memory.
    pub(super) fn drop_bans(&mut self, ch: u32) {
        while let Some(b) = self.channels[ch].bans.pop_front(&mut self.bans) {
            self.bans.remove(b);
        }
        self.channels[ch].bans_count = 0;
    }

    // ---- members

    /// The membership in memory of an account in a channel.
    pub(super) fn member_of(&self, a: u32, ch: u32) -> Option<u32> {
        // A direct chat has two members at most; a room may have thousands, an account only its own rooms.
        if self.channels[ch].is_room() {
            let mut next = self.accounts[a].members.front();
            while let Some(m) = next {
                if self.members[m].channel.get() == ch {
                    return Some(m);
                }
                next = List::<0>::next(&self.members, m);
            }
        } else {
            let mut next = self.channels[ch].members.front();
            while let Some(m) = next {
                if self.members[m].account.get() == a {
                    return Some(m);
                }
                next = List::<1>::next(&self.members, m);
            }
        }
        None
    }

    /// Enters a membership of an account online. `None` when there is no slot.
    pub(super) fn install_member(&mut self, a: u32, ch: u32, record: &MemberRecord) -> Option<u32> {
        if let Some(m) = self.member_of(a, ch) {
            return Some(m);
        }
        // Accounts without memberships free none.
        let mut tries = EVICTION_TRIES;
        while self.members.is_full() && tries > 0 && self.evict_an_account() {
            tries -= 1;
        }
        if self.members.is_full() {
            self.pin_channel(ch);
            self.evict_a_channel();
            self.unpin_channel(ch);
        }
        let (m, member) = self.members.insert()?;
        member.account = Short::new(a);
        member.channel = Short::new(ch);
        member.flags = MemberFlags::from_bits_truncate(record.flags);
        member.set_read(record.read);
        member.delivered = record.delivered.into();
        self.accounts[a].members.push_back(&mut self.members, m);
        self.channels[ch].members.push_back(&mut self.members, m);
        self.settle_channel(ch);
        Some(m)
    }

    /// Takes a membership out of memory (its row stays as it is).
    pub(super) fn remove_member(&mut self, m: u32) {
        let (a, ch) = (self.members[m].account.get(), self.members[m].channel.get());
        let mut next = self.channels[ch].attachments.front();
        while let Some(t) = next {
            next = List::<1>::next(&self.attachments, t);
            if self.attachments[t].member.get() == m {
                self.detach(t);
            }
        }
        self.accounts[a].members.remove(&mut self.members, m);
        self.channels[ch].members.remove(&mut self.members, m);
        self.dirty_members.remove(&mut self.members, m);
        self.members.remove(m);
        self.settle_channel(ch);
    }

    /// Marks a membership's markers as to be stored, within some seconds.
    pub(super) fn touch_member(&mut self, m: u32) {
        self.members[m].unsaved = true;
        self.dirty_members.push_back(&mut self.members, m);
        let at = self.now + SAVE_MS;
        self.save_at = Some(self.save_at.map_or(at, |old| old.min(at)));
    }

    // ---- attachments

    /// The cursor of a connection in a channel.
    pub(super) fn attachment_of(&self, c: u32, ch: u32) -> Option<u32> {
        let mut next = self.conns[c].members_of.all.front();
        while let Some(t) = next {
            if self.attachments[t].channel.get() == ch {
                return Some(t);
            }
            next = List::<0>::next(&self.attachments, t);
        }
        None
    }

    /// Gives a connection a cursor into a channel; at its end unless told otherwise. `None` when there is no slot.
    pub(super) fn attach(&mut self, c: u32, m: u32, cursor: Option<Cursor>) -> Option<u32> {
        let ch = self.members[m].channel.get();
        if let Some(t) = self.attachment_of(c, ch) {
            return Some(t);
        }
        if self.attachments.is_full() {
            self.free_attachments(ch);
        }
        let cursor = cursor.unwrap_or_else(|| self.history.head(ch));
        let seen = self.channels[ch].last.seq();
        let (t, attachment) = self.attachments.insert()?;
        attachment.conn = Short::new(c);
        attachment.channel = Short::new(ch);
        attachment.member = Short::new(m);
        attachment.cursor = cursor;
        attachment.begin(seen);
        self.conns[c]
            .members_of
            .all
            .push_back(&mut self.attachments, t);
        self.channels[ch]
            .attachments
            .push_back(&mut self.attachments, t);
        self.channels[ch].flagged = false;
        Some(t)
    }

    /// Takes the cursors of a direct chat away whose readers have caught up, the longest unused first, but not those of `keep`: who is
    /// online gets another with the next message.
    fn free_attachments(&mut self, keep: u32) {
        let mut candidate = self.idle_channels.front();
        for _ in 0..EVICTION_TRIES {
            let Some(ch) = candidate else { return };
            candidate = List::<0>::next(&self.channels, ch);
            let held = !self.channels[ch].attachments.is_empty();
            if ch != keep && held && !self.channels[ch].is_room() && self.is_caught_up(ch) {
                while let Some(t) = self.channels[ch].attachments.front() {
                    self.detach(t);
                }
                return;
            }
        }
    }

    /// Takes a cursor away.
    pub(super) fn detach(&mut self, t: u32) {
        let attachment = &self.attachments[t];
        let (c, ch) = (attachment.conn.get(), attachment.channel.get());
        let owes = attachment.owes();
        let conn = &mut self.conns[c];
        conn.owed = conn.owed.saturating_sub(owes.into());
        conn.members_of.all.remove(&mut self.attachments, t);
        conn.members_of.dirty.remove(&mut self.attachments, t);
        conn.members_of.intros.remove(&mut self.attachments, t);
        self.channels[ch]
            .attachments
            .remove(&mut self.attachments, t);
        self.attachments.remove(t);
        self.drop_echoes(c, ch, Seq(u64::MAX), true);
        self.stop_intro(c, t);
    }

    /// Has a connection be told of a room from the start: JOIN, topic, names, and what it missed.
    pub(super) fn introduce(&mut self, t: u32) {
        let c = self.attachments[t].conn.get();
        // Own entries not sent yet come after the introduction: nothing waits for them, or it would wait for what only it lets through.
        let attachment = &mut self.attachments[t];
        let owes = attachment.owes();
        attachment.disown();
        let conn = &mut self.conns[c];
        conn.owed = conn.owed.saturating_sub(owes.into());
        conn.members_of.intros.push_back(&mut self.attachments, t);
        self.make_runnable(c);
    }

    /// Attaches every welcomed connection of an account to a channel, to be introduced.
    pub(super) fn attach_devices(&mut self, m: u32) {
        let a = self.members[m].account.get();
        let mut next = self.accounts[a].conns.front();
        while let Some(c) = next {
            next = List::<3>::next(&self.conns, c);
            if self.conns[c].phase == Phase::Loading {
                // Will be attached when its account's memberships are loaded.
                continue;
            }
            match self.attach(c, m, None) {
                // Its leaving goes first.
                Some(t) if self.attachments[t].until().is_some() => {}
                Some(t) => self.introduce(t),
                None => {
                    self.close_with_error(c, "The server has no room for another channel of yours")
                }
            }
        }
    }

    /// Attaches the connections of a direct chat's accounts that are online, so that they get what is published from here on.
    /// Those for whom there is no room are closed.
    /// They have seen its places up to `seen`: all of them if the entry is transient, and then nobody need have room for it.
    pub(super) fn attach_direct(&mut self, ch: u32, cursor: Cursor, seen: Seq) {
        let Shape::Direct { accounts, .. } = self.channels[ch].shape else {
            return;
        };
        let transient = seen == self.channels[ch].last.seq();
        for (i, id) in accounts.into_iter().enumerate() {
            if i == 1 && accounts[0] == accounts[1] {
                break;
            }
            let Some(a) = self
                .account_by_id(id)
                .filter(|a| self.accounts[*a].online > 0)
            else {
                continue;
            };
            let Some(m) = self.install_member(a, ch, &MemberRecord::default()) else {
                if !transient {
                    self.close_account(
                        a,
                        "The server has no room for another private chat of yours now",
                    );
                }
                continue;
            };
            let mut next = self.accounts[a].conns.front();
            while let Some(c) = next {
                next = List::<3>::next(&self.conns, c);
                if self.attachment_of(c, ch).is_some() {
                    continue;
                }
                if !self.fetches_history(c) && self.conns[c].phase != Phase::Online {
                    self.conns[c].late_direct = true;
                    continue;
                }
                match self.attach(c, m, Some(cursor)) {
                    Some(t) => self.attachments[t].begin(seen),
                    None if transient => {}
                    // Its client must not believe that it was shown everything; it finds the message when it comes back.
                    None => self.close_with_error(
                        c,
                        "The server has no room for another private chat of yours now",
                    ),
                }
            }
        }
    }

    /// Whether a connection's client asks for what it missed by itself.
    pub(super) fn fetches_history(&self, c: u32) -> bool {
        self.conns[c].caps.contains(Caps::CHATHISTORY)
    }

    /// Whether two accounts share a room (both online).
    pub(super) fn share_a_room(&self, a: u32, b: u32) -> bool {
        let mut next = self.accounts[a].members.front();
        while let Some(m) = next {
            let ch = self.members[m].channel.get();
            if self.channels[ch].is_room() && self.member_of(b, ch).is_some() {
                return true;
            }
            next = List::<0>::next(&self.members, m);
        }
        false
    }

    // ---- going

    /// A connection is gone: everything it held is given back.
    pub(super) fn drop_conn(&mut self, c: u32) {
        self.forget_flight(c);
        self.end_job(c);
        self.release_credential(c);
        self.leave_address(c);
        let a = self.conns[c].account;
        if self.conns[c].is_welcomed() && a != NIL {
            self.welcomed -= 1;
            self.go_offline(c);
        }
        while let Some(t) = self.conns[c].members_of.all.front() {
            self.detach(t);
        }
        while let Some(w) = self.conns[c].watches.front() {
            self.unwatch(w);
        }
        self.orphan_appends(c);
        self.stop_waiting(c);
        self.runnable.remove(&mut self.conns, c);
        self.ready.remove(&mut self.conns, c);
        self.stalled.remove(&mut self.conns, c);
        self.holders.remove(&mut self.conns, c);
        let conn = &self.conns[c];
        for buffer in [conn.reply.buffer, conn.tail.buffer] {
            if buffer != NIL {
                self.replies.give(buffer);
            }
        }
        if conn.input != NIL {
            self.lines.give(conn.input);
        }
        self.timers.clear(c);
        self.conns.remove(c);
        if a != NIL {
            self.unpin_account(a);
        }
        self.unstall();
    }

    fn go_offline(&mut self, c: u32) {
        let (a, away) = (self.conns[c].account, self.conns[c].away);
        let account = &mut self.accounts[a];
        account.conns.remove(&mut self.conns, c);
        account.online -= 1;
        if away {
            account.away_conns -= 1;
        }
        let last = account.online == 0;
        if last {
            account.away.clear();
            account.announced = false;
        }
        if account.loaded == Loaded::By(Short::new(c)) {
            account.loaded = Loaded::No;
            self.wake_account(a);
        }
        self.presence_changed(a);
        if !last {
            return;
        }
        if self.accounts[a].flags.contains(AccountFlags::GUEST) {
            self.begin_removal(a);
        }
        if !self.dirty_members.is_empty() {
            self.save_at = Some(self.now);
        }
        self.settle_account(a);
    }

    /// Makes the connections of an account look again.
    pub(super) fn wake_account(&mut self, a: u32) {
        let mut next = self.accounts[a].conns.front();
        while let Some(c) = next {
            next = List::<3>::next(&self.conns, c);
            self.make_runnable(c);
        }
    }
}

/// The two accounts of a direct chat in their order.
pub(super) fn pair(a: AccountId, b: AccountId) -> [AccountId; 2] {
    if a <= b { [a, b] } else { [b, a] }
}

/// Ids are given by the store, not chosen: spreading is enough.
pub(super) fn id_hash(id: u32) -> u32 {
    id.wrapping_mul(0x9e37_79b1)
}

fn pair_hash(pair: [AccountId; 2]) -> u32 {
    id_hash(pair[0].0.rotate_left(16) ^ pair[1].0.wrapping_mul(0x85eb_ca6b))
}
