//! One entry into one line for one client: the tags it negotiated, the stored line, CRLF. This is the hot path of fan-out.

use super::entry::View;
use crate::irc::timestamp;
use crate::store::Kind;

/// Key of the message tag that carries the sender's titles.
pub const TITLES_TAG: &str = "soqet/titles";

bitflags::bitflags! {
    /// What a client negotiated as far as lines of a channel are concerned.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct TagSet: u8 {
        /// `server-time`: the tag `time`.
        const TIME = 1;
        /// `message-tags`: the tag `msgid`, client-only tags, TAGMSG.
        const MESSAGE_TAGS = 2;
        /// `account-tag`: the tag `account`.
        const ACCOUNT = 4;
        /// `extended-join`: account and display name in JOIN.
        const EXTENDED_JOIN = 8;
    }
}

/// Tags that depend on the occasion. Whoever sets one knows that the client negotiated what it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extra<'a> {
    /// The client's own label, in wire form (escaped as the client sent it).
    pub label: Option<&'a str>,
    /// Reference of the batch it belongs to.
    pub batch: Option<&'a str>,
    /// The sender's titles as plain text, escaped here; nothing is written when empty.
    pub titles: Option<&'a str>,
}

/// Writes an entry as a whole line with CRLF to the start of `out`. Gives its length, 0 when this client is not to see it (TAGMSG
/// without message-tags), `None` when it does not fit.
#[inline]
pub fn render(view: &View<'_>, set: TagSet, extra: Extra<'_>, out: &mut [u8]) -> Option<usize> {
    let tagged = set.contains(TagSet::MESSAGE_TAGS);
    if view.kind == Kind::Tagmsg && !tagged {
        return Some(0);
    }
    let mut line = Writer { out, at: 0 };
    // Every tag is written with a semicolon before it; the first semicolon becomes the `@`.
    if set.contains(TagSet::TIME) {
        line.put(b";time=")?;
        line.put(&timestamp::format(view.time))?;
    }
    if tagged {
        line.put(b";msgid=")?;
        line.put(&view.msgid.to_text())?;
    }
    if set.contains(TagSet::ACCOUNT) && !view.is_guest() {
        line.put(b";account=")?;
        line.put(view.nick)?;
    }
    if let Some(batch) = extra.batch {
        line.put(b";batch=")?;
        line.put(batch.as_bytes())?;
    }
    if let Some(label) = extra.label {
        line.put(b";label=")?;
        line.put(label.as_bytes())?;
    }
    if let Some(titles) = extra.titles
        && !titles.is_empty()
    {
        line.put(b";")?;
        line.put(TITLES_TAG.as_bytes())?;
        line.put(b"=")?;
        line.put_escaped(titles)?;
    }
    if tagged && !view.tags.is_empty() {
        line.put(b";")?;
        line.put(view.tags)?;
    }
    if line.at > 0 {
        line.put(b" ")?;
        *line.out.first_mut()? = b'@';
    }
    let extended = view.kind != Kind::Join || set.contains(TagSet::EXTENDED_JOIN);
    line.put(if extended { view.line } else { view.short })?;
    line.put(b"\r\n")?;
    Some(line.at)
}

struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.out.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    /// A tag value, escaped as IRCv3 message-tags says.
    fn put_escaped(&mut self, value: &str) -> Option<()> {
        for byte in value.bytes() {
            match byte {
                b';' => self.put(b"\\:"),
                b' ' => self.put(b"\\s"),
                b'\\' => self.put(b"\\\\"),
                b'\r' => self.put(b"\\r"),
                b'\n' => self.put(b"\\n"),
                other => self.put(&[other]),
            }?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Flags;
    use crate::id::{AccountId, MsgId, Seq};
    use crate::store::Entry;

    fn rendered(kind: Kind, tags: &str, flags: Flags, set: TagSet, extra: Extra<'_>) -> String {
        let entry = Entry {
            seq: Seq(1),
            time: 1_700_000_000_123,
            msgid: MsgId(1),
            kind,
            sender: AccountId(1),
            nick: "alice",
            tags,
            subject: "",
            text: "hi you",
        };
        let mut scratch = [0; 200];
        let view = View::from_entry(&entry, "#r", "h", flags, &mut scratch).unwrap();
        let mut out = [0; 400];
        let len = render(&view, set, extra, &mut out).unwrap();
        if len > 0 {
            assert_eq!(render(&view, set, extra, &mut [0; 400][..len]), Some(len));
            for short in 0..len {
                assert_eq!(render(&view, set, extra, &mut [0; 400][..short]), None);
            }
        }
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn plain_clients_get_the_line() {
        let none = Extra::default();
        let flags = Flags::empty();
        assert_eq!(
            rendered(Kind::Privmsg, "+a=b", flags, TagSet::empty(), none),
            ":alice!alice@h PRIVMSG #r :hi you\r\n"
        );
        assert_eq!(
            rendered(Kind::Join, "", flags, TagSet::empty(), none),
            ":alice!alice@h JOIN #r\r\n"
        );
        assert_eq!(
            rendered(Kind::Join, "", flags, TagSet::EXTENDED_JOIN, none),
            ":alice!alice@h JOIN #r alice :hi you\r\n"
        );
        let others = TagSet::all() - TagSet::MESSAGE_TAGS;
        assert_eq!(rendered(Kind::Tagmsg, "+a", flags, others, none), "");
    }

    #[test]
    fn tags_follow_what_was_negotiated() {
        let none = Extra::default();
        let all = TagSet::all();
        assert_eq!(
            rendered(Kind::Privmsg, "+a=b;+c", Flags::empty(), all, none),
            "@time=2023-11-14T22:13:20.123Z;msgid=0000000000001;account=alice;+a=b;+c \
             :alice!alice@h PRIVMSG #r :hi you\r\n"
        );
        assert_eq!(
            rendered(Kind::Privmsg, "", Flags::GUEST, TagSet::ACCOUNT, none),
            ":alice!alice@h PRIVMSG #r :hi you\r\n"
        );
        assert_eq!(
            rendered(Kind::Privmsg, "+a", Flags::empty(), TagSet::ACCOUNT, none),
            "@account=alice :alice!alice@h PRIVMSG #r :hi you\r\n"
        );
        assert_eq!(
            rendered(
                Kind::Tagmsg,
                "+typing=active",
                Flags::TRANSIENT,
                TagSet::MESSAGE_TAGS,
                none
            ),
            "@msgid=0000000000001;+typing=active :alice!alice@h TAGMSG #r\r\n"
        );
    }

    #[test]
    fn the_occasion_adds_its_tags() {
        let extra = Extra {
            label: Some("l1"),
            batch: Some("b1"),
            titles: Some("first mate,a;b\\c"),
        };
        assert_eq!(
            rendered(Kind::Notice, "", Flags::empty(), TagSet::empty(), extra),
            "@batch=b1;label=l1;soqet/titles=first\\smate,a\\:b\\\\c \
             :alice!alice@h NOTICE #r :hi you\r\n"
        );
        let empty = Extra {
            titles: Some(""),
            ..Extra::default()
        };
        assert_eq!(
            rendered(Kind::Notice, "", Flags::empty(), TagSet::empty(), empty),
            ":alice!alice@h NOTICE #r :hi you\r\n"
        );
    }
}
