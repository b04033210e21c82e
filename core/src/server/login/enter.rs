//! After the login: welcome, the rooms of the account, and the direct chats it missed.

use super::super::Server;
use super::super::account::Loaded;
use super::super::conn::{Memo, Phase};
use super::super::job::{self, Job, Task};
use super::super::request::What;
use crate::id::Handle;
use crate::store::{DirectRow, MemberFlags, MemberRecord, MembershipRow, Outcome, next_row};
use crate::tables::{Count, List, Short};

impl Server<'_> {
    /// Welcomes a connection that is logged in and has said everything.
    pub(in crate::server) fn welcome(&mut self, c: u32) {
        let now = self.now;
        let conn = &self.conns[c];
        if conn.negotiating || conn.nick.is_empty() || !conn.has_user || conn.is_welcomed() {
            return;
        }
        let a = conn.account;
        let (conn, account) = (&mut self.conns[c], &mut self.accounts[a]);
        conn.nick = account.name;
        conn.phase = Phase::Loading;
        conn.heard = Count::new(now.0);
        self.welcomed += 1;
        account.conns.push_back(&mut self.conns, c);
        account.online += 1;
        account.active = Count::new(now.0);
        if account.online == 1 {
            account.away.clear();
        }
        self.timers.set(c, now + u64::from(self.config.ping_ms));
        self.start_job(c, Task::Welcome);
    }

    /// A welcomed connection enters its account's rooms, once these are in memory. False while it must wait.
    pub(in crate::server) fn enter(&mut self, c: u32) -> bool {
        let a = self.conns[c].account;
        match self.accounts[a].loaded {
            Loaded::No => {
                self.accounts[a].loaded = Loaded::By(Short::new(c));
                self.conns[c].job = Job::new(Task::Memberships);
                self.conns[c].job.wants = true;
                self.ask_for_page(c);
                false
            }
            Loaded::By(other) if other.get() != c => false,
            Loaded::By(_) | Loaded::Yes => {
                // Not by the count: a second device may have come while the memberships of the first were loaded.
                let first = !core::mem::replace(&mut self.accounts[a].announced, true);
                self.accounts[a].loaded = Loaded::Yes;
                let mut next = self.accounts[a].members.front();
                while let Some(m) = next {
                    next = List::<0>::next(&self.members, m);
                    let room = self.channels[self.members[m].channel.get()].is_room();
                    if room && self.members[m].flags.contains(MemberFlags::JOINED) {
                        match self.attach(c, m, None) {
                            Some(t) => self.introduce(t),
                            None => self.close_with_error(
                                c,
                                "The server has no room for all your channels now",
                            ),
                        }
                    }
                }
                self.conns[c].phase = if self.fetches_history(c) {
                    Phase::Online
                } else {
                    Phase::Directs
                };
                if first || self.accounts[a].away_conns > 0 {
                    self.presence_changed(a);
                }
                true
            }
        }
    }

    /// Goes on bringing the rooms of an account into memory.
    pub(in crate::server) fn load_memberships(&mut self, c: u32) {
        let a = self.conns[c].account;
        loop {
            if self.conns[c].page_asked {
                return;
            }
            let mut job = self.conns[c].job;
            let (row, at) = match self.membership_row(&mut job) {
                Ok(row) => row,
                Err(end) => {
                    self.conns[c].job = job;
                    self.release_page(c, job.page);
                    if !end {
                        self.ask_for_page(c);
                        return;
                    }
                    if job.failed {
                        self.accounts[a].loaded = Loaded::No;
                        self.close_with_error(
                            c,
                            "The server could not read its storage; please connect again",
                        );
                    } else {
                        self.accounts[a].loaded = Loaded::Yes;
                    }
                    self.end_job(c);
                    self.wake_account(a);
                    return;
                }
            };
            match self.channel_by_id(row.0) {
                Some(ch) => {
                    if self.install_member(a, ch, &row.1).is_none() {
                        self.accounts[a].loaded = Loaded::No;
                        self.end_job(c);
                        self.close_with_error(
                            c,
                            "The server has no room for all your channels now",
                        );
                        self.wake_account(a);
                        return;
                    }
                }
                None => match core::mem::take(&mut self.conns[c].memo) {
                    Memo::None => {
                        self.ask(c, What::LoadChannel(row.0));
                        return;
                    }
                    Memo::Refused(_) => {
                        self.accounts[a].loaded = Loaded::No;
                        self.end_job(c);
                        self.close_with_error(
                            c,
                            "The server has no room for all your channels now",
                        );
                        self.wake_account(a);
                        return;
                    }
                    // The room is gone.
                    _ => {}
                },
            }
            self.conns[c].memo = Memo::None;
            (job.at, job.after) = (at, u64::from(row.0.0));
            self.conns[c].job = job;
        }
    }

    /// The next row of memberships; `Err(true)` at the end, `Err(false)` when a page must come.
    pub(in crate::server) fn membership_row(
        &self,
        job: &mut Job,
    ) -> Result<((crate::id::ChannelId, MemberRecord), u16), bool> {
        match self.row::<MembershipRow<'_>>(job) {
            job::Row::Is(row, at) => Ok(((row.channel, row.member), at)),
            job::Row::Page => Err(false),
            job::Row::End => Err(true),
        }
    }

    // ---- direct chats missed, for clients that cannot ask

    /// Goes on with the direct chats that a client must be told of. False while it must wait.
    pub(in crate::server) fn next_direct(&mut self, c: u32) -> bool {
        let Some(DirectRow { channel, peer }) = self.conns[c].direct else {
            if !self.conns[c].page_asked {
                let conn = self.conns.handle(c);
                match self.request(What::Unread { conn }) {
                    Some(_) => self.conns[c].page_asked = true,
                    None => self.stalled.push_back(&mut self.conns, c),
                }
            }
            return false;
        };
        let memo = core::mem::take(&mut self.conns[c].memo);
        if self.account_by_id(peer).is_none() {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::LoadAccount(peer));
            return false;
        }
        let Some(ch) = self.channel_by_id(channel) else {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::LoadChannel(channel));
            return false;
        };
        let a = self.conns[c].account;
        let id = self.accounts[a].id;
        let Some(m) = self.install_member(a, ch, &MemberRecord::default()) else {
            self.skip_direct(c);
            return true;
        };
        if !matches!(memo, Memo::Member { channel: found, account, .. } if found == channel && account == id)
        {
            if memo != Memo::None {
                self.skip_direct(c);
                return true;
            }
            self.ask(c, What::FindMember(channel, id));
            return false;
        }
        if self.attachment_of(c, ch).is_none()
            && let Some(t) = self.attach(c, m, None)
        {
            self.introduce(t);
        }
        self.skip_direct(c);
        true
    }

    pub(in crate::server) fn skip_direct(&mut self, c: u32) {
        if let Some(row) = self.conns[c].direct.take() {
            self.conns[c].directs_after = row.channel;
        }
    }

    pub(in crate::server) fn unread_found(&mut self, conn: Handle, outcome: Outcome<'_>) {
        let Some(c) = self.conns.resolve(conn) else {
            return;
        };
        let row = match outcome {
            Outcome::Page { mut rows, .. } => next_row::<DirectRow>(&mut rows),
            _ => None,
        };
        let conn = &mut self.conns[c];
        conn.page_asked = false;
        match row {
            Some(row) => conn.direct = Some(row),
            None if core::mem::take(&mut conn.late_direct) => {
                conn.directs_after = crate::id::ChannelId::NONE;
            }
            None => conn.phase = Phase::Online,
        }
        self.make_runnable(c);
    }
}
