//! How an entry lies in memory: a small fixed header, the client-only tags, and the line as it goes on the wire.
//!
//! ```text
//! total u16 | kind u8 | flags u8 | seq u64 | time u64 | msgid u64 | sender u32 | nick u8 | tags u16 | short u16
//! client-only tags | line without CRLF | total u16
//! ```
//!
//! Numbers are little-endian and unaligned. The total stands at both ends, so that a block can be walked either way. The nick is
//! not kept twice: it stands in the line's source.

use crate::id::{AccountId, MsgId, Seq};
use crate::store::{Entry, Kind};

pub(super) const HEADER: usize = 37;
const TRAILER: usize = 2;

bitflags::bitflags! {
    /// What an entry in memory is, beside its kind.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u8 {
        /// Not stored and without a place of its own (typing notifications): it carries the place of the entry before it.
        const TRANSIENT = 1;
        /// Sent by a guest, who has no account to be named in `account` tags and extended joins.
        const GUEST = 2;
    }
}

/// An entry, ready to be rendered. What is text is given as bytes (valid UTF-8), so that looking costs no validation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View<'a> {
    /// What kind.
    pub kind: Kind,
    /// What it is beside.
    pub flags: Flags,
    /// Place in the channel; of a transient entry the place of the entry before.
    pub seq: Seq,
    /// Unix time, milliseconds.
    pub time: u64,
    /// Identity.
    pub msgid: MsgId,
    /// Who sent it.
    pub sender: AccountId,
    /// The sender's name.
    pub nick: &'a [u8],
    /// Client-only tags in wire form, without `@`.
    pub tags: &'a [u8],
    /// The whole line without CRLF; a JOIN in the form of extended-join.
    pub line: &'a [u8],
    /// The line for those without extended-join; differs from `line` only in a JOIN.
    pub short: &'a [u8],
}

impl<'a> View<'a> {
    /// An entry as a store gave it, by way of `scratch` (its line must fit there, else `None`).
    ///
    /// `target` is the room's name, or the receiver's in a direct chat; `host` what stands after the `@` of everybody.
    pub fn from_entry(
        entry: &Entry<'a>,
        target: &str,
        host: &str,
        flags: Flags,
        scratch: &'a mut [u8],
    ) -> Option<Self> {
        let (len, short) = write_line(entry, target, host, flags, scratch)?;
        let line = scratch.get(..len)?;
        Some(Self {
            kind: entry.kind,
            flags,
            seq: entry.seq,
            time: entry.time,
            msgid: entry.msgid,
            sender: entry.sender,
            nick: line.get(1..1 + entry.nick.len())?,
            tags: entry.tags.as_bytes(),
            line,
            short: line.get(..short)?,
        })
    }

    /// Whether it is not stored and has no place of its own.
    pub const fn is_transient(&self) -> bool {
        self.flags.contains(Flags::TRANSIENT)
    }

    /// Whether a guest sent it.
    pub const fn is_guest(&self) -> bool {
        self.flags.contains(Flags::GUEST)
    }

    /// The entry at the start of `bytes` and how long it is there; `None` where there is none.
    #[inline]
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let total = usize::from(u16_at(header, 0));
        let tags_len = usize::from(u16_at(header, 33));
        let short_len = usize::from(u16_at(header, 35));
        let nick_len = usize::from(header[32]);
        let body = bytes.get(HEADER..total.checked_sub(TRAILER)?)?;
        let (tags, line) = body.split_at_checked(tags_len)?;
        let view = Self {
            kind: Kind::from_number(header[2])?,
            flags: Flags::from_bits_retain(header[3]),
            seq: Seq(u64_at(header, 4)),
            time: u64_at(header, 12),
            msgid: MsgId(u64_at(header, 20)),
            sender: AccountId(u32_at(header, 28)),
            nick: line.get(1..1 + nick_len)?,
            tags,
            line,
            short: line.get(..short_len)?,
        };
        Some((view, total))
    }
}

/// Writes an entry's line, without tags and CRLF, for every kind. Gives the line's length and the length of its short form, which
/// is its beginning (shorter only for a JOIN); `None` when it does not fit.
pub fn write_line(
    entry: &Entry<'_>,
    target: &str,
    host: &str,
    flags: Flags,
    out: &mut [u8],
) -> Option<(usize, usize)> {
    Line::new(entry, target, host, flags).write(out)
}

/// How long the entry before offset `end` is.
#[inline]
pub(super) fn length_before(bytes: &[u8], end: usize) -> Option<usize> {
    let trailer = bytes.get(end.checked_sub(TRAILER)?..end)?;
    Some(usize::from(u16::from_le_bytes(trailer.try_into().ok()?)))
}

/// An entry on its way into memory, measured before it is written.
pub(super) struct Draft<'e> {
    entry: &'e Entry<'e>,
    line: Line<'e>,
    flags: Flags,
    /// Length in memory.
    pub(super) total: usize,
}

impl<'e> Draft<'e> {
    /// `None` when it is longer than any block could be.
    pub(super) fn new(
        entry: &'e Entry<'e>,
        target: &'e str,
        host: &'e str,
        flags: Flags,
    ) -> Option<Self> {
        let line = Line::new(entry, target, host, flags);
        let total = HEADER + entry.tags.len() + line.len() + TRAILER;
        let fits = u16::try_from(total).is_ok() && u8::try_from(entry.nick.len()).is_ok();
        fits.then_some(Self {
            entry,
            line,
            flags,
            total,
        })
    }

    /// Writes it with that place to the start of `out`; `None` when it does not fit.
    pub(super) fn write(&self, seq: Seq, out: &mut [u8]) -> Option<()> {
        let entry = self.entry;
        let total = u16::try_from(self.total).ok()?.to_le_bytes();
        let out = out.get_mut(..self.total)?;
        let (head, body) = out.split_first_chunk_mut::<HEADER>()?;
        let (body, trailer) = body.split_last_chunk_mut::<TRAILER>()?;
        let (tags, line) = body.split_at_mut_checked(entry.tags.len())?;
        tags.copy_from_slice(entry.tags.as_bytes());
        let (_, short) = self.line.write(line)?;
        head[0..2].copy_from_slice(&total);
        head[2] = entry.kind as u8;
        head[3] = self.flags.bits();
        head[4..12].copy_from_slice(&seq.0.to_le_bytes());
        head[12..20].copy_from_slice(&entry.time.to_le_bytes());
        head[20..28].copy_from_slice(&entry.msgid.0.to_le_bytes());
        head[28..32].copy_from_slice(&entry.sender.0.to_le_bytes());
        head[32] = u8::try_from(entry.nick.len()).ok()?;
        head[33..35].copy_from_slice(&u16::try_from(entry.tags.len()).ok()?.to_le_bytes());
        head[35..37].copy_from_slice(&u16::try_from(short).ok()?.to_le_bytes());
        *trailer = total;
        Some(())
    }
}

/// A line as the parts it is put together from.
struct Line<'e> {
    source: [&'e str; 9],
    rest: [&'e str; 5],
    /// How many parts of `rest` belong to the short form.
    short: usize,
}

impl<'e> Line<'e> {
    fn new(entry: &Entry<'e>, target: &'e str, host: &'e str, flags: Flags) -> Self {
        let (text, subject) = (entry.text, entry.subject);
        let account = if flags.contains(Flags::GUEST) {
            "*"
        } else {
            entry.nick
        };
        let rest = match entry.kind {
            Kind::Privmsg | Kind::Notice | Kind::Topic => [target, " :", text, "", ""],
            Kind::Part if !text.is_empty() => [target, " :", text, "", ""],
            Kind::Part | Kind::Tagmsg => [target, "", "", "", ""],
            Kind::Join => [target, " ", account, " :", text],
            Kind::Kick => [target, " ", subject, " :", text],
            Kind::Mode => [target, " ", subject, "", ""],
            Kind::Invite => [subject, " ", target, "", ""],
        };
        let nick = entry.nick;
        Self {
            source: [
                ":",
                nick,
                "!",
                nick,
                "@",
                host,
                " ",
                entry.kind.command(),
                " ",
            ],
            rest,
            short: if entry.kind == Kind::Join {
                1
            } else {
                rest.len()
            },
        }
    }

    fn len(&self) -> usize {
        let parts = self.source.iter().chain(&self.rest);
        parts.map(|part| part.len()).sum()
    }

    fn write(&self, out: &mut [u8]) -> Option<(usize, usize)> {
        let mut at = 0;
        let mut short = 0;
        for (index, part) in self.source.iter().chain(&self.rest).enumerate() {
            out.get_mut(at..at + part.len())?
                .copy_from_slice(part.as_bytes());
            at += part.len();
            if index < self.source.len() + self.short {
                short = at;
            }
        }
        Some((at, short))
    }
}

fn u16_at(header: &[u8; HEADER], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u64_at(header: &[u8; HEADER], at: usize) -> u64 {
    u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, subject: &'static str, text: &'static str) -> Entry<'static> {
        Entry {
            seq: Seq(7),
            time: 1_700_000_000_123,
            msgid: MsgId(99),
            kind,
            sender: AccountId(3),
            nick: "alice",
            tags: "+draft/reply=abc",
            subject,
            text,
        }
    }

    #[test]
    fn every_kind_has_its_line() {
        let cases = [
            (
                Kind::Privmsg,
                "",
                "hi there",
                "PRIVMSG #r :hi there",
                "PRIVMSG #r :hi there",
            ),
            (Kind::Notice, "", "", "NOTICE #r :", "NOTICE #r :"),
            (Kind::Tagmsg, "", "", "TAGMSG #r", "TAGMSG #r"),
            (
                Kind::Join,
                "",
                "Alice A",
                "JOIN #r alice :Alice A",
                "JOIN #r",
            ),
            (Kind::Join, "", "", "JOIN #r alice :", "JOIN #r"),
            (Kind::Part, "", "", "PART #r", "PART #r"),
            (Kind::Part, "", "bye", "PART #r :bye", "PART #r :bye"),
            (
                Kind::Kick,
                "bob",
                "out",
                "KICK #r bob :out",
                "KICK #r bob :out",
            ),
            (Kind::Topic, "", "", "TOPIC #r :", "TOPIC #r :"),
            (Kind::Topic, "", "你好", "TOPIC #r :你好", "TOPIC #r :你好"),
            (Kind::Mode, "+o bob", "", "MODE #r +o bob", "MODE #r +o bob"),
            (Kind::Invite, "bob", "", "INVITE bob #r", "INVITE bob #r"),
        ];
        for (kind, subject, text, line, short) in cases {
            let source = ":alice!alice@host ";
            let entry = entry(kind, subject, text);
            let mut scratch = [0; 200];
            let view =
                View::from_entry(&entry, "#r", "host", Flags::empty(), &mut scratch).unwrap();
            assert_eq!(view.line, [source, line].concat().as_bytes());
            assert_eq!(view.short, [source, short].concat().as_bytes());
            assert_eq!(view.nick, b"alice");
            let exact = view.line.len();
            assert!(
                write_line(&entry, "#r", "host", Flags::empty(), &mut [0; 200][..exact]).is_some()
            );
            assert!(
                write_line(
                    &entry,
                    "#r",
                    "host",
                    Flags::empty(),
                    &mut [0; 200][..exact - 1]
                )
                .is_none()
            );
        }
    }

    #[test]
    fn a_guest_joins_without_account() {
        let mut scratch = [0; 200];
        let entry = entry(Kind::Join, "", "Al");
        let view = View::from_entry(&entry, "#r", "h", Flags::GUEST, &mut scratch).unwrap();
        assert_eq!(view.line, b":alice!alice@h JOIN #r * :Al");
        assert_eq!(view.short, b":alice!alice@h JOIN #r");
    }

    #[test]
    fn memory_gives_back_what_was_written() {
        for kind in Kind::ALL {
            for flags in [Flags::empty(), Flags::TRANSIENT, Flags::GUEST] {
                let entry = entry(kind, "bob", "some text");
                let draft = Draft::new(&entry, "#room", "host", flags).unwrap();
                let mut bytes = [0; 300];
                draft.write(Seq(5), &mut bytes).unwrap();
                let (view, total) = View::decode(&bytes).unwrap();
                let mut scratch = [0; 300];
                let mut expected =
                    View::from_entry(&entry, "#room", "host", flags, &mut scratch).unwrap();
                expected.seq = Seq(5);
                assert_eq!(view, expected);
                assert_eq!(total, draft.total);
                assert_eq!(length_before(&bytes, total), Some(total));
                assert!(draft.write(Seq(5), &mut bytes[..total - 1]).is_none());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, end: u16) {
            let _ = View::decode(&bytes);
            let _ = length_before(&bytes, usize::from(end));
        }
    }
}
