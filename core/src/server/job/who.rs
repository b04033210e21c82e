//! WHO and WHOX (IRCv3 "WHOX").

use core::fmt::Write as _;

use super::super::reply::Out;
use super::texts::advance;
use super::{Job, Row, Server, Step};
use crate::irc::numeric::*;
use crate::store::{AccountFlags, MemberFlags, MemberRow};
use crate::text::Text;

/// Letters of WHOX in the order in which their values are sent.
const ORDER: &[u8] = b"tcuihsnfdlaor";

/// Which fields a WHOX asks for; none for a plain WHO.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(in super::super) struct Fields {
    bits: u16,
    token: Text<3>,
}

impl Fields {
    /// Reads `%fields[,token]`; a plain WHO otherwise.
    pub(in super::super) fn parse(text: Option<&str>) -> Self {
        let Some(text) = text
            .and_then(|text| text.split_once('%'))
            .map(|(_, fields)| fields)
        else {
            return Self::default();
        };
        let (letters, token) = text.split_once(',').unwrap_or((text, ""));
        let bits = letters
            .bytes()
            .filter_map(|letter| ORDER.iter().position(|l| *l == letter))
            .fold(0, |bits, place| bits | 1 << place);
        let token = if token.len() <= 3 && token.bytes().all(|b| b.is_ascii_digit()) {
            token
        } else {
            ""
        };
        Self {
            bits,
            token: Text::truncated(token),
        }
    }
}

/// One account as WHO shows it.
struct Who<'w> {
    room: &'w str,
    name: &'w str,
    display: &'w str,
    account: &'w str,
    away: bool,
    owner: bool,
    prefix: &'w str,
}

impl Server<'_> {
    pub(super) fn who_room_line(
        &self,
        c: u32,
        ch: u32,
        fields: &Fields,
        job: &mut Job,
        out: &mut [u8],
    ) -> Step {
        let room = self.room_name(ch);
        match job.step {
            0 => match self.row::<MemberRow<'_>>(job) {
                Row::Is(row, next) => {
                    let flags = AccountFlags::from_bits_truncate(row.account_flags);
                    let online = self
                        .account_by_id(row.account)
                        .filter(|a| self.accounts[*a].online > 0);
                    let display = online.map_or(row.display, |a| &*self.accounts[a].display);
                    let who = Who {
                        room: &room,
                        name: row.name,
                        display: if display.is_empty() {
                            row.name
                        } else {
                            display
                        },
                        account: if flags.contains(AccountFlags::GUEST) {
                            "0"
                        } else {
                            row.name
                        },
                        away: online.is_none_or(|a| self.accounts[a].is_away()),
                        owner: flags.contains(AccountFlags::OWNER),
                        prefix: self.prefixes(c, MemberFlags::from_bits_truncate(row.flags)),
                    };
                    let step = self.who_line(c, &who, fields, out);
                    if matches!(step, Step::Line(_)) {
                        (job.at, job.after) = (next, u64::from(row.account.0));
                    }
                    step
                }
                Row::Page => Step::Page,
                Row::End => {
                    job.go_to(1);
                    Step::Silent
                }
            },
            1 => {
                let step =
                    self.numeric_line(c, out, RPL_ENDOFWHO, format_args!("{room} :End of WHO"));
                advance(job, step)
            }
            _ => Step::Done,
        }
    }

    pub(super) fn who_account_line(
        &self,
        c: u32,
        a: u32,
        fields: &Fields,
        job: &mut Job,
        out: &mut [u8],
    ) -> Step {
        let account = &self.accounts[a];
        let name = &account.name;
        let step = match job.step {
            0 => {
                let who = Who {
                    room: "*",
                    name,
                    display: if account.display.is_empty() {
                        name
                    } else {
                        &account.display
                    },
                    account: if self.is_guest(a) { "0" } else { name },
                    away: account.is_away(),
                    owner: account.flags.contains(AccountFlags::OWNER),
                    prefix: "",
                };
                self.who_line(c, &who, fields, out)
            }
            1 => self.numeric_line(c, out, RPL_ENDOFWHO, format_args!("{name} :End of WHO")),
            _ => return Step::Done,
        };
        advance(job, step)
    }

    fn who_line(&self, c: u32, who: &Who<'_>, fields: &Fields, out: &mut [u8]) -> Step {
        let server = self.config.server_name;
        let Who {
            room,
            name,
            display,
            account,
            prefix,
            ..
        } = who;
        let here = if who.away { "G" } else { "H" };
        let star = if who.owner { "*" } else { "" };
        if fields.bits == 0 {
            return self.numeric_line(
                c,
                out,
                RPL_WHOREPLY,
                format_args!(
                    "{room} {name} {server} {server} {name} {here}{star}{prefix} :0 {display}"
                ),
            );
        }
        let mut text = [0; 420];
        let mut values = Out::new(&mut text);
        for (place, letter) in ORDER.iter().enumerate() {
            if fields.bits & (1 << place) == 0 {
                continue;
            }
            let gap = if values.len() > 0 { " " } else { "" };
            let _ = values.write_str(gap);
            let _ = match letter {
                b't' if fields.token.is_empty() => values.write_str("0"),
                b't' => values.write_str(&fields.token),
                b'c' => values.write_str(room),
                b'u' | b'n' => values.write_str(name),
                b'i' => values.write_str("255.255.255.255"),
                b'h' | b's' => values.write_str(server),
                b'f' => write!(values, "{here}{star}{prefix}"),
                b'd' | b'l' => values.write_str("0"),
                b'a' => values.write_str(account),
                b'o' => values.write_str("n/a"),
                _ => write!(values, ":{display}"),
            };
        }
        let len = values.len();
        let values = core::str::from_utf8(&text[..len]).unwrap_or_default();
        self.numeric_line(c, out, RPL_WHOSPCRPL, format_args!("{values}"))
    }
}
