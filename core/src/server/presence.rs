//! Who is online, away, or offline, and who is told. Presence is state: what changed twice before a watcher could be written to is told once.

use core::fmt::Write as _;

use super::Server;
use super::channel::Reported;
use super::output::Source;
use super::reply::Out;
use crate::irc::caps::Caps;
use crate::irc::numeric::*;
use crate::name::{self, Nick};
use crate::tables::{Count, List, NIL};
use crate::text::Text;

impl Server<'_> {
    /// An account came, went, or is away or back: those who share a room or watch it are to be told.
    pub(super) fn presence_changed(&mut self, a: u32) {
        self.stamp += 1;
        self.accounts[a].presence_stamp = Count::new(self.stamp);
        self.stamped(a, Caps::AWAY_NOTIFY);
        let folded: Nick = name::fold(&self.accounts[a].name).unwrap_or_default();
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        let (watches, conns) = (&mut self.watches, &mut self.conns);
        let (ready, names) = (&mut self.ready, &self.watch_names);
        names.find(hash, |w| {
            if watches[w].name == folded {
                let c = watches[w].conn;
                conns[c].watch_dirty.push_back(watches, w);
                if !conns[c].sending {
                    ready.push_back(conns, c);
                }
            }
            false
        });
    }

    /// An account's display name changed.
    pub(super) fn display_changed(&mut self, a: u32) {
        self.stamp += 1;
        self.accounts[a].display_stamp = Count::new(self.stamp);
        self.stamped(a, Caps::SETNAME);
    }

    fn stamped(&mut self, a: u32, cap: Caps) {
        self.by_stamp.remove(&mut self.accounts, a);
        self.by_stamp.push_back(&mut self.accounts, a);
        let mut next = self.accounts[a].members.front();
        while let Some(m) = next {
            let ch = self.members[m].channel.get();
            if self.channels[ch].is_room() {
                let mut reader = self.channels[ch].attachments.front();
                while let Some(t) = reader {
                    let c = self.attachments[t].conn.get();
                    if self.conns[c].caps.contains(cap) {
                        self.conns[c].presence_dirty = true;
                        self.wake(c);
                    }
                    reader = List::<1>::next(&self.attachments, t);
                }
            }
            next = List::<0>::next(&self.members, m);
        }
    }

    /// An account's state as watchers see it, and its name as it is spelled.
    pub(super) fn presence_of(&self, folded: &str) -> (Reported, Nick) {
        match self.account_by_name(folded) {
            Some(a) => {
                let account = &self.accounts[a];
                let state = match account.online {
                    0 => Reported::Offline,
                    _ if account.is_away() => Reported::Away,
                    _ => Reported::Here,
                };
                (state, account.name)
            }
            None => (Reported::Offline, Text::truncated(folded)),
        }
    }

    // ---- those who share a room: AWAY and SETNAME

    pub(super) fn render_presence(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        if !self.conns[c].presence_dirty {
            return 0;
        }
        let before = self.conns[c].presence_seen;
        let mut used = 0;
        loop {
            let n = self.presence_line(c, buffer.get_mut(used..).unwrap_or_default());
            if n == 0 {
                break;
            }
            used += n;
        }
        if used > 0 {
            self.note(Source::Presence(before), at + used);
        }
        used
    }

    /// The next line of presence for a connection, and its cursor moved past it. 0 at the end, or when there is no room.
    pub(super) fn presence_line(&mut self, c: u32, buffer: &mut [u8]) -> usize {
        let conn = &self.conns[c];
        let (own, caps) = (conn.account, conn.caps);
        if own == NIL {
            self.conns[c].presence_dirty = false;
            return 0;
        }
        let seen = conn.presence_seen;
        // The first account stamped after what was seen: the list is in the order of the last stamp.
        let mut next = None;
        let mut candidate = self.by_stamp.back();
        while let Some(a) = candidate {
            let account = &self.accounts[a];
            if account.presence_stamp.get() <= seen && account.display_stamp.get() <= seen {
                break;
            }
            next = Some(a);
            candidate = List::<0>::prev(&self.accounts, a);
        }
        let server = self.config.server_name;
        while let Some(a) = next {
            let account = &self.accounts[a];
            let stamp = account
                .presence_stamp
                .get()
                .max(account.display_stamp.get());
            let mut out = Out::new(buffer);
            if a != own && self.share_a_room(own, a) {
                let name = &account.name;
                if account.display_stamp.get() > seen && caps.contains(Caps::SETNAME) {
                    let _ = write!(
                        out,
                        ":{name}!{name}@{server} SETNAME :{}\r\n",
                        account.display
                    );
                }
                if account.presence_stamp.get() > seen && caps.contains(Caps::AWAY_NOTIFY) {
                    let _ = match account.is_away() {
                        true => write!(
                            out,
                            ":{name}!{name}@{server} AWAY :{}\r\n",
                            account.away_text()
                        ),
                        false => write!(out, ":{name}!{name}@{server} AWAY\r\n"),
                    };
                }
            }
            match out.finish() {
                None => return 0,
                Some(0) => self.conns[c].presence_seen = stamp,
                Some(n) => {
                    self.conns[c].presence_seen = stamp;
                    return n;
                }
            }
            next = List::<0>::next(&self.accounts, a);
        }
        let conn = &mut self.conns[c];
        conn.presence_seen = self.stamp;
        conn.presence_dirty = false;
        0
    }

    // ---- MONITOR

    /// Watches a name; false when there is no slot.
    pub(super) fn watch(&mut self, c: u32, folded: Nick) -> bool {
        if self.watch_of(c, &folded).is_some() {
            return true;
        }
        if self.conns[c].watch_count >= self.config.watches_per_connection {
            return false;
        }
        let Some((w, watch)) = self.watches.insert() else {
            return false;
        };
        watch.conn = c;
        watch.name = folded;
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        self.watch_names.insert(hash, w);
        let conn = &mut self.conns[c];
        conn.watches.push_back(&mut self.watches, w);
        conn.watch_count += 1;
        conn.watch_dirty.push_back(&mut self.watches, w);
        self.wake(c);
        true
    }

    pub(super) fn watch_of(&self, c: u32, folded: &str) -> Option<u32> {
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        self.watch_names.find(hash, |w| {
            self.watches[w].conn == c && *self.watches[w].name == *folded
        })
    }

    pub(super) fn unwatch(&mut self, w: u32) {
        let (c, folded) = (self.watches[w].conn, self.watches[w].name);
        let hash = self.hash(&[folded.as_bytes()]) as u32;
        self.watch_names.remove(hash, w);
        let conn = &mut self.conns[c];
        conn.watches.remove(&mut self.watches, w);
        conn.watch_dirty.remove(&mut self.watches, w);
        conn.watch_count -= 1;
        self.watches.remove(w);
    }

    pub(super) fn render_watch(&mut self, c: u32, buffer: &mut [u8], at: usize) -> usize {
        while let Some(w) = self.conns[c].watch_dirty.front() {
            let reported = self.watches[w].reported;
            let state = self.presence_of(&self.watches[w].name).0;
            if state == reported {
                self.conns[c].watch_dirty.remove(&mut self.watches, w);
                continue;
            }
            let n = self.watch_line(c, w, buffer);
            if n > 0 {
                self.note(Source::Watch { w, reported }, at + n);
                self.conns[c].watch_dirty.remove(&mut self.watches, w);
                return n;
            }
            if self.watches[w].reported == state {
                // Nothing to be said to this client.
                self.conns[c].watch_dirty.remove(&mut self.watches, w);
                continue;
            }
            return 0;
        }
        0
    }

    /// What a watcher is told of a change, and remembered as told. 0 when there is nothing to say or no room.
    pub(super) fn watch_line(&mut self, c: u32, w: u32, buffer: &mut [u8]) -> usize {
        let (state, name) = self.presence_of(&self.watches[w].name);
        let before = self.watches[w].reported;
        let extended = self.conns[c]
            .caps
            .contains(Caps::EXTENDED_MONITOR.union(Caps::AWAY_NOTIFY));
        let (server, nick) = (self.config.server_name, self.nick_of(c));
        let source = format_args!("{name}!{name}@{server}");
        let mut out = Out::new(buffer);
        let was_online = matches!(before, Reported::Here | Reported::Away);
        let _ = match state {
            Reported::Nothing | Reported::Offline => {
                write!(out, ":{server} {RPL_MONOFFLINE:03} {nick} :{name}\r\n")
            }
            _ if !was_online => {
                let _ = write!(out, ":{server} {RPL_MONONLINE:03} {nick} :{source}\r\n");
                match (state, extended) {
                    (Reported::Away, true) => {
                        write!(out, ":{source} AWAY :{}\r\n", self.away_text_of(&name))
                    }
                    _ => Ok(()),
                }
            }
            Reported::Away if extended => {
                write!(out, ":{source} AWAY :{}\r\n", self.away_text_of(&name))
            }
            Reported::Here if extended => write!(out, ":{source} AWAY\r\n"),
            _ => Ok(()),
        };
        match out.finish() {
            Some(n) => {
                self.watches[w].reported = state;
                n
            }
            None => 0,
        }
    }

    fn away_text_of(&self, name: &str) -> &str {
        self.account_by_name(name)
            .map_or("Away", |a| self.accounts[a].away_text())
    }
}
