//! Long answers, a line at a time: small copyable states from which the next line is rendered when there is room. They walk the store's
//! pages by stable ids, so that a change in their middle neither omits nor repeats anything.

mod history;
mod intro;
mod lists;
mod names;
mod texts;
mod who;

use core::fmt::{self, Write as _};

use serde::Deserialize;

use super::Server;
use super::reply::Out;
use crate::history::Cursor;
use crate::id::{AccountId, ChannelId, Handle, Seq};
use crate::irc::caps::Caps;
use crate::name::Nick;
use crate::store::{ChannelKey, Operation, Outcome, PageWriter, Selector, next_row};
use crate::tables::NIL;

pub(super) use self::who::Fields;

/// What a job is about.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) enum Task {
    #[default]
    None,
    Welcome,
    Motd,
    Lusers,
    Info,
    Version,
    /// A room (or direct chat) is told from the start.
    Intro(Handle),
    Names {
        channel: u32,
    },
    Topic {
        channel: u32,
    },
    WhoRoom {
        channel: u32,
        fields: Fields,
    },
    WhoAccount {
        account: u32,
        fields: Fields,
    },
    Whois {
        account: u32,
    },
    List,
    Bans {
        channel: u32,
    },
    /// CHATHISTORY of a channel.
    History {
        channel: u32,
        selector: Selector,
        limit: u16,
    },
    Targets {
        from: u64,
        to: u64,
        limit: u16,
    },
    /// MONITOR L, and S when `status`.
    Watches {
        status: bool,
    },
    /// The memberships of an account that has come online; renders nothing.
    Memberships,
    /// ACCOUNT LIST of names with that prefix (folded).
    Accounts {
        prefix: Nick,
    },
    /// CONFIG LIST.
    Settings,
    /// ACCOUNT SHOW: the rooms of an account.
    Rooms {
        account: AccountId,
    },
}

/// A job's state: `Copy`, so that a step can be taken back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Job {
    pub task: Task,
    pub step: u16,
    /// Staging block with the rows in hand.
    pub page: u32,
    pub at: u16,
    pub len: u16,
    /// The store has rows after these.
    pub more: bool,
    /// A page must come before the next line.
    pub wants: bool,
    /// The store could not answer.
    pub failed: bool,
    /// Id of the last row done with; rows are asked for after it.
    pub after: u64,
    /// The same by folded name.
    pub after_name: Nick,
    /// Further state of the task.
    pub mark: u64,
    pub next: Seq,
    pub last: Seq,
    pub cursor: Cursor,
}

impl Job {
    pub(super) const NONE: Self = Self {
        task: Task::None,
        step: 0,
        page: NIL,
        at: 0,
        len: 0,
        more: true,
        wants: false,
        failed: false,
        after: 0,
        after_name: Nick::EMPTY,
        mark: 0,
        next: Seq(0),
        last: Seq(0),
        cursor: Cursor::NONE,
    };

    pub(super) const fn new(task: Task) -> Self {
        Self { task, ..Self::NONE }
    }

    pub(super) const fn is_active(&self) -> bool {
        !matches!(self.task, Task::None)
    }

    /// Whether it has lines to be sent; what only loads is driven by `run`.
    pub(super) const fn renders(&self) -> bool {
        !matches!(self.task, Task::None | Task::Memberships)
    }

    pub(super) const fn wants_page(&self) -> bool {
        self.wants
    }

    /// Whether it introduces that attachment.
    pub(super) const fn introduces(&self, t: u32) -> bool {
        matches!(self.task, Task::Intro(handle) if handle.index.get() == t)
    }

    /// Goes on to a step that reads rows from the start.
    fn go_to(&mut self, step: u16) {
        self.step = step;
        self.rewind();
    }

    fn rewind(&mut self) {
        (self.page, self.at, self.len, self.more, self.after) = (NIL, 0, 0, true, 0);
    }
}

/// What came of asking a job for its next line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A line of so many bytes.
    Line(usize),
    /// It went on without a line.
    Silent,
    /// There is no room for the line.
    NoRoom,
    /// The store must be read first.
    Page,
    /// It is at its end.
    Done,
}

/// The next row of a page.
pub(super) enum Row<T> {
    /// The row, and where the next begins.
    Is(T, u16),
    Page,
    End,
}

/// Hash to tell what was looked up from what is looked up now.
pub(super) fn key(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

impl Server<'_> {
    /// Begins a job, which answers the command in hand (into a batch, when it was labelled).
    pub(super) fn start_job(&mut self, c: u32, task: Task) {
        self.open_batch(c);
        self.hold_for_job(&task, true);
        self.conns[c].job = Job::new(task);
        self.wake(c);
    }

    /// Pins, or lets go, what a task names by slot.
    fn hold_for_job(&mut self, task: &Task, on: bool) {
        match *task {
            Task::Names { channel }
            | Task::Topic { channel }
            | Task::WhoRoom { channel, .. }
            | Task::Bans { channel }
            | Task::History { channel, .. } => {
                if on {
                    self.pin_channel(channel);
                } else {
                    self.unpin_channel(channel);
                }
            }
            Task::Whois { account } | Task::WhoAccount { account, .. } => {
                if on {
                    self.pin_account(account);
                } else {
                    self.unpin_account(account);
                }
            }
            _ => {}
        }
    }

    /// Ends the job of a connection, finished or not.
    pub(super) fn end_job(&mut self, c: u32) {
        let conn = &mut self.conns[c];
        let task = conn.job.task;
        conn.job = Job::NONE;
        conn.page_asked = false;
        self.holders.remove(&mut self.conns, c);
        self.release_page(c, NIL);
        self.hold_for_job(&task, false);
    }

    /// Gives back the staging block of a connection, unless it is the one still `used`.
    pub(super) fn release_page(&mut self, c: u32, used: u32) {
        if self.conns[c].page != NIL && self.conns[c].page != used {
            let page = core::mem::replace(&mut self.conns[c].page, NIL);
            self.pages.give(page);
            self.holders.remove(&mut self.conns, c);
            self.unstall();
        }
    }

    /// All lines of the job so far are sent: gives back a page that is done with, and ends a finished job.
    pub(super) fn job_advanced(&mut self, c: u32) {
        let job = self.conns[c].job;
        if !job.is_active() {
            return;
        }
        self.release_page(c, job.page);
        let mut probe = job;
        let finished = !job.wants && matches!(self.job_line(c, &mut probe, &mut []), Step::Done);
        if finished {
            self.finish_job(c);
        } else {
            self.wake(c);
        }
    }

    /// Ends a job that came to its end.
    pub(super) fn finish_job(&mut self, c: u32) {
        let task = self.conns[c].job.task;
        if let Task::Intro(handle) = task {
            self.introduced(c, handle);
        }
        self.end_job(c);
        self.make_runnable(c);
        self.wake(c);
    }

    /// The next line of a job.
    pub(super) fn job_line(&self, c: u32, job: &mut Job, out: &mut [u8]) -> Step {
        if job.wants {
            return Step::Page;
        }
        match job.task {
            Task::None | Task::Memberships => Step::Done,
            Task::Welcome => self.welcome_line(c, job, out),
            Task::Motd => self.motd_line(c, job, out),
            Task::Lusers => self.lusers_line(c, job, out),
            Task::Info => self.info_line(c, job, out),
            Task::Version => self.version_line(c, job, out),
            Task::Intro(handle) => self.intro_line(c, handle, job, out),
            Task::Names { channel } => self.names_line(c, channel, job, out),
            Task::Topic { channel } => self.topic_line(c, channel, job, out),
            Task::WhoRoom { channel, fields } => self.who_room_line(c, channel, &fields, job, out),
            Task::WhoAccount { account, fields } => {
                self.who_account_line(c, account, &fields, job, out)
            }
            Task::Whois { account } => self.whois_line(c, account, job, out),
            Task::List => self.list_line(c, job, out),
            Task::Bans { channel } => self.bans_line(c, channel, job, out),
            Task::History { channel, .. } => self.history_line(c, channel, job, out),
            Task::Targets { limit, .. } => self.targets_line(c, limit, job, out),
            Task::Watches { status } => self.watches_line(c, status, job, out),
            Task::Accounts { .. } => self.accounts_line(c, job, out),
            Task::Settings => self.settings_line(c, job, out),
            Task::Rooms { account } => self.rooms_line(c, account, job, out),
        }
    }

    /// What the store is to be asked for a job.
    pub(super) fn page_operation(&self, c: u32) -> Operation<'_> {
        let job = &self.conns[c].job;
        let bytes = self.pages.size();
        let members = |ch: u32| Operation::ReadMembers {
            channel: self.channels[ch].id,
            after: AccountId(job.after as u32),
            bytes,
        };
        match job.task {
            Task::Intro(handle) => {
                let ch = self
                    .attachments
                    .resolve(handle)
                    .map_or(0, |t| self.attachments[t].channel.get());
                self.intro_operation(c, ch, job, members(ch))
            }
            Task::Names { channel } | Task::WhoRoom { channel, .. } => members(channel),
            Task::Topic { channel } => {
                Operation::FindChannel(ChannelKey::Id(self.channels[channel].id))
            }
            Task::List => Operation::ReadRooms {
                after: ChannelId(job.after as u32),
                bytes,
            },
            Task::History {
                channel,
                selector,
                limit,
            } => {
                let events = self.conns[c].caps.contains(Caps::EVENT_PLAYBACK);
                self.history_operation(channel, selector, limit, events, job)
            }
            Task::Targets { from, to, .. } => Operation::ReadTargets {
                account: self.account_id(c),
                from,
                to,
                after: (job.mark, ChannelId(job.after as u32)),
                bytes,
            },
            Task::Accounts { ref prefix } => Operation::ReadAccounts {
                prefix,
                after: &job.after_name,
                bytes,
            },
            Task::Rooms { account } => Operation::ReadMemberships {
                account,
                after: ChannelId(job.after as u32),
                bytes,
            },
            Task::Memberships => Operation::ReadMemberships {
                account: self.account_id(c),
                after: ChannelId(job.after as u32),
                bytes,
            },
            // The others ask for nothing.
            _ => Operation::LoadSettings,
        }
    }

    /// Asks for the page that the job of a connection wants.
    pub(super) fn ask_for_page(&mut self, c: u32) {
        if self.conns[c].page_asked {
            return;
        }
        let Some(page) = self.pages.take().or_else(|| self.steal_page(c)) else {
            self.stalled.push_back(&mut self.conns, c);
            return;
        };
        let conn = self.conns.handle(c);
        match self.request(super::request::What::Page { conn, page }) {
            Some(_) => {
                self.conns[c].page_asked = true;
                self.conns[c].page_awaited = page;
            }
            None => {
                self.pages.give(page);
                self.stalled.push_back(&mut self.conns, c);
            }
        }
    }

    /// Takes the page of the connection that has held one longest; it will ask again.
    fn steal_page(&mut self, c: u32) -> Option<u32> {
        let victim = self.holders.front().filter(|victim| *victim != c)?;
        self.holders.remove(&mut self.conns, victim);
        let conn = &mut self.conns[victim];
        let page = core::mem::replace(&mut conn.page, NIL);
        let job = &mut conn.job;
        (job.page, job.at, job.len, job.wants, job.more) = (NIL, 0, 0, true, true);
        (page != NIL).then_some(page)
    }

    /// A page (or whatever the job asked for) has come.
    pub(super) fn page_loaded(&mut self, conn: Handle, page: u32, outcome: Outcome<'_>) {
        let Some(c) = self.conns.resolve(conn) else {
            return;
        };
        let conn = &mut self.conns[c];
        if !conn.page_asked || conn.page_awaited != page {
            // For a job that ended meanwhile.
            return;
        }
        conn.page_asked = false;
        conn.job.wants = false;
        match outcome {
            Outcome::Page { rows, more } if rows.len() <= self.pages.size() => {
                self.pages.get_mut(page)[..rows.len()].copy_from_slice(rows);
                self.hold_page(c, page, rows.len(), more);
            }
            Outcome::Channel(Some(record)) => {
                let len = {
                    let mut writer = PageWriter::new(self.pages.get_mut(page));
                    writer.push(&record);
                    writer.rows().len()
                };
                self.hold_page(c, page, len, false);
            }
            Outcome::Bounds(bounds) => self.bounds_found(c, bounds),
            _ => conn.job.failed = true,
        }
        self.make_runnable(c);
        self.wake(c);
    }

    fn hold_page(&mut self, c: u32, page: u32, len: usize, more: bool) {
        self.release_page(c, NIL);
        let conn = &mut self.conns[c];
        conn.page = page;
        let job = &mut conn.job;
        job.page = page;
        (job.at, job.len, job.more) = (0, len as u16, more);
        self.holders.push_back(&mut self.conns, c);
    }

    /// The row in hand. Taking it is a matter of the caller: `job.at = next; job.after = id`.
    pub(super) fn row<'p, T: Deserialize<'p>>(&'p self, job: &mut Job) -> Row<T> {
        let mut rest = self.rows_left(job);
        if let Some(row) = next_row(&mut rest) {
            return Row::Is(row, job.len - rest.len() as u16);
        }
        // A page that is done with is given back when the lines before are sent.
        job.page = NIL;
        if job.more && !job.failed {
            job.wants = true;
            return Row::Page;
        }
        Row::End
    }

    /// What is left of the page in hand.
    fn rows_left(&self, job: &Job) -> &[u8] {
        if job.failed || job.page == NIL {
            return &[];
        }
        self.pages
            .get(job.page)
            .get(usize::from(job.at)..usize::from(job.len))
            .unwrap_or_default()
    }

    /// Writes one line of a job, into the batch of its command if there is one.
    fn line(&self, c: u32, out: &mut [u8], args: fmt::Arguments<'_>) -> Step {
        let mut out = Out::new(out);
        if self.conns[c].batch {
            let _ = out.write_str("@batch=l ");
        }
        let _ = out.write_fmt(args);
        let _ = out.write_str("\r\n");
        match out.finish() {
            Some(n) => Step::Line(n),
            None => Step::NoRoom,
        }
    }

    /// Writes one numeric of a job.
    fn numeric_line(&self, c: u32, out: &mut [u8], code: u16, args: fmt::Arguments<'_>) -> Step {
        let (server, nick) = (self.config.server_name, self.nick_of(c));
        self.line(c, out, format_args!(":{server} {code:03} {nick} {args}"))
    }
}
