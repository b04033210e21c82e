//! Message tags (IRCv3 message-tags): walking over them, their escapes, and which of a client's tags go on to others.

use core::fmt;

/// Most client-only tags relayed with a message; keeps the search for repeated ones bounded.
pub const CLIENT_TAGS_MAX: usize = 64;

/// Goes over raw `key[=value]`, as pairs of key and raw value (empty when there is none).
pub fn iter(tags: &str) -> impl Iterator<Item = (&str, &str)> {
    pieces(tags).map(split)
}

fn pieces(tags: &str) -> impl Iterator<Item = &str> {
    tags.split(';').filter(|piece| !piece.is_empty())
}

fn split(piece: &str) -> (&str, &str) {
    piece.split_once('=').unwrap_or((piece, ""))
}

/// The raw value of a tag, empty when it has none. Of repeated ones the last counts, as the specification says.
pub fn find<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    iter(tags)
        .filter(|(k, _)| *k == key)
        .last()
        .map(|(_, value)| value)
}

/// Writes a raw value with its escapes resolved.
pub fn unescape(value: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let mut pieces = value.split('\\');
    out.write_str(pieces.next().unwrap_or_default())?;
    while let Some(piece) = pieces.next() {
        let mut chars = piece.chars();
        match chars.next() {
            Some(':') => out.write_char(';')?,
            Some('s') => out.write_char(' ')?,
            Some('r') => out.write_char('\r')?,
            Some('n') => out.write_char('\n')?,
            Some(other) => out.write_char(other)?,
            // Two backslashes, or one at the very end, which stands for nothing.
            None => {
                if let Some(literal) = pieces.next() {
                    out.write_char('\\')?;
                    out.write_str(literal)?;
                }
            }
        }
        out.write_str(chars.as_str())?;
    }
    Ok(())
}

/// Writes a value in its escaped form.
pub fn escape(value: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let mut rest = value;
    while let Some(at) = rest.find([';', ' ', '\\', '\r', '\n']) {
        let (plain, special) = rest.split_at(at);
        out.write_str(plain)?;
        out.write_str(match special.as_bytes().first() {
            Some(b';') => "\\:",
            Some(b' ') => "\\s",
            Some(b'\r') => "\\r",
            Some(b'\n') => "\\n",
            _ => "\\\\",
        })?;
        rest = special.get(1..).unwrap_or_default();
    }
    out.write_str(rest)
}

/// Why a message's client-only tags were not relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayError {
    /// More than [`CLIENT_TAGS_MAX`]: answer 417, as for tags too long.
    TooMany,
    /// The output is full.
    Full,
}

/// Copies the client-only tags (`+` in front, valid key), separated by `;`, in their order and with raw values; of repeated
/// ones the last. All others are dropped: they never go to another client.
pub fn client_only(tags: &str, out: &mut impl fmt::Write) -> Result<(), RelayError> {
    let mut rest = tags;
    let (mut count, mut first) = (0, true);
    while !rest.is_empty() {
        let (piece, after) = rest.split_once(';').unwrap_or((rest, ""));
        rest = after;
        let (key, _) = split(piece);
        if !is_client_only(key) {
            continue;
        }
        count += 1;
        if count > CLIENT_TAGS_MAX {
            return Err(RelayError::TooMany);
        }
        if find(rest, key).is_some() {
            continue;
        }
        if !first {
            out.write_char(';').map_err(|_| RelayError::Full)?;
        }
        first = false;
        out.write_str(piece).map_err(|_| RelayError::Full)?;
    }
    Ok(())
}

/// Whether it is a valid key of a client-only tag: `+`, perhaps a vendor (a host name) and `/`, then letters, digits, hyphens.
pub fn is_client_only(key: &str) -> bool {
    let Some(key) = key.strip_prefix('+') else {
        return false;
    };
    let name = match key.split_once('/') {
        Some((vendor, name)) if is_word(vendor, b".-") => name,
        Some(_) => return false,
        None => key,
    };
    is_word(name, b"-")
}

fn is_word(text: &str, also: &[u8]) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

/// Whether all the client-only tags there are (at least one) say that somebody is typing (IRCv3 typing): worth relaying at
/// once, not worth keeping.
pub fn is_only_typing(tags: &str) -> bool {
    let mut keys = iter(tags)
        .map(|(key, _)| key)
        .filter(|key| is_client_only(key))
        .peekable();
    keys.peek().is_some() && keys.all(|key| matches!(key, "+typing" | "+draft/typing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(tags: &str) -> String {
        let mut out = String::new();
        client_only(tags, &mut out).unwrap();
        out
    }

    fn unescaped(value: &str) -> String {
        let mut out = String::new();
        unescape(value, &mut out).unwrap();
        out
    }

    #[test]
    fn walks_and_finds() {
        let tags = "a=1;b;;c=x=y;a=2";
        assert_eq!(
            iter(tags).collect::<Vec<_>>(),
            [("a", "1"), ("b", ""), ("c", "x=y"), ("a", "2")]
        );
        assert_eq!(find(tags, "a"), Some("2"));
        assert_eq!(find(tags, "b"), Some(""));
        assert_eq!(find(tags, ""), None);
        assert_eq!(iter("").count(), 0);
    }

    #[test]
    fn unescapes_as_specified() {
        assert_eq!(unescaped("raw+:=,escaped\\:\\s\\\\"), "raw+:=,escaped; \\");
        assert_eq!(unescaped("a\\r\\n\\b"), "a\r\nb");
        assert_eq!(unescaped("test\\"), "test");
        assert_eq!(unescaped("\\\\\\"), "\\");
        assert_eq!(unescaped("\\\\\\\\s\\s"), "\\\\s ");
        assert_eq!(unescaped("\\中"), "中");
    }

    #[test]
    fn relays_client_only_tags() {
        assert_eq!(
            relayed("label=1;+a=x\\s;msgid=9;+ex.org/b;time=0;+c="),
            "+a=x\\s;+ex.org/b;+c="
        );
        assert_eq!(relayed("+a=1;+b;+a=2;+a=3"), "+b;+a=3");
        assert_eq!(
            relayed("+;+/a;+a/;+a/b/c;+a_b;++a;+ä;+=x;;+draft/reply=1"),
            "+draft/reply=1"
        );
        assert_eq!(relayed(""), "");
    }

    #[test]
    fn relaying_is_bounded() {
        let tags = |n: usize| {
            (0..n)
                .map(|i| format!("+t{i}"))
                .collect::<Vec<_>>()
                .join(";")
        };
        assert_eq!(relayed(&tags(CLIENT_TAGS_MAX)), tags(CLIENT_TAGS_MAX));
        let too_many = tags(CLIENT_TAGS_MAX + 1);
        assert_eq!(
            client_only(&too_many, &mut String::new()),
            Err(RelayError::TooMany)
        );
        let mut small = crate::text::Text::<3>::default();
        assert_eq!(client_only("+a;+b", &mut small), Err(RelayError::Full));
    }

    #[test]
    fn typing() {
        assert!(is_only_typing("+typing=active"));
        assert!(is_only_typing("label=1;+typing=active"));
        for tags in [
            "",
            "label=1",
            "+typing=done;+draft/react=x",
            "typing=active",
        ] {
            assert!(!is_only_typing(tags), "{tags}");
        }
    }

    proptest::proptest! {
        #[test]
        fn escaping_round_trips(value in "[; \\\\\r\na-c中]{0,30}") {
            let mut escaped = String::new();
            escape(&value, &mut escaped).unwrap();
            proptest::prop_assert!(!escaped.contains([';', ' ', '\r', '\n']));
            proptest::prop_assert_eq!(unescaped(&escaped), value);
        }

        #[test]
        fn relayed_tags_are_valid_and_unique(tags in "[+a-c/.;=\\\\中]{0,60}") {
            let out = relayed(&tags);
            let mut keys: Vec<_> = iter(&out).map(|(key, _)| key).collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            proptest::prop_assert_eq!(keys.len(), count);
            for (key, value) in iter(&out) {
                proptest::prop_assert!(is_client_only(key));
                proptest::prop_assert_eq!(find(&tags, key), Some(value));
            }
            let _ = is_only_typing(&tags);
        }
    }
}
