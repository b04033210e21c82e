//! NAMES: all members of a room, online or not, from the store's pages; packed into lines.

use core::fmt::Write as _;

use super::super::channel::Shape;
use super::super::reply::Out;
use super::texts::advance;
use super::{Job, Row, Server, Step};
use crate::irc::caps::Caps;
use crate::irc::mode::RoomModes;
use crate::irc::numeric::*;
use crate::store::{MemberFlags, MemberRow};

/// Longest list of names in one line, so that the line keeps to 510 bytes.
const NAMES_MAX: usize = 380;

impl Server<'_> {
    pub(super) fn names_line(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        match job.step {
            0 => self.names_rows(c, ch, job, out),
            1 => {
                let step = self.names_end(c, ch, out);
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    pub(super) fn names_end(&self, c: u32, ch: u32, out: &mut [u8]) -> Step {
        let room = self.room_name(ch);
        self.numeric_line(c, out, RPL_ENDOFNAMES, format_args!("{room} :End of NAMES"))
    }

    /// 353 lines; at the end of the rows on to the next step.
    pub(super) fn names_rows(&self, c: u32, ch: u32, job: &mut Job, out: &mut [u8]) -> Step {
        let Shape::Room {
            name: room, modes, ..
        } = &self.channels[ch].shape
        else {
            return Step::Done;
        };
        let symbol = if modes.contains(RoomModes::SECRET) {
            '@'
        } else {
            '='
        };
        let server = self.config.server_name;
        let hosts = self.conns[c].caps.contains(Caps::USERHOST_IN_NAMES);
        let before = *job;
        let roster = u64::from(self.channels[ch].roster) + 1;
        if job.page != crate::tables::NIL && job.mark != 0 && job.mark != roster {
            // Members changed since this page was read.
            (job.page, job.more) = (crate::tables::NIL, true);
        }
        let mut text = [0; NAMES_MAX];
        let mut names = Out::new(&mut text);
        let step = loop {
            if job.page == crate::tables::NIL {
                job.mark = roster;
            }
            match self.row::<MemberRow<'_>>(job) {
                Row::Is(row, next) => {
                    let written = names.len();
                    let gap = if written > 0 { " " } else { "" };
                    let flags = MemberFlags::from_bits_truncate(row.flags);
                    let _ = write!(names, "{gap}{}{}", self.prefixes(c, flags), row.name);
                    if hosts {
                        let _ = write!(names, "!{}@{server}", row.name);
                    }
                    if names.is_overflown() {
                        names.truncate(written);
                        break Step::Silent;
                    }
                    (job.at, job.after) = (next, u64::from(row.account.0));
                }
                Row::Page => break Step::Page,
                Row::End => {
                    job.go_to(job.step + 1);
                    job.mark = 0;
                    break Step::Silent;
                }
            }
        };
        let len = names.len();
        if len == 0 {
            return step;
        }
        let names = core::str::from_utf8(&text[..len]).unwrap_or_default();
        let line = self.numeric_line(
            c,
            out,
            RPL_NAMREPLY,
            format_args!("{symbol} {room} :{names}"),
        );
        if line == Step::NoRoom {
            *job = before;
        }
        line
    }
}
