//! Takes a line from a client apart, without copying (modern.ircdocs.horse "Message Format", IRCv3 message-tags).

use super::tags;

/// Most parameters of a message; the last takes the rest of the line.
pub const PARAMS_MAX: usize = 15;
/// Longest line without its tags and CRLF, bytes.
pub const BODY_MAX: usize = 510;
/// Longest tags of a client, without the `@` before and the space after, bytes.
pub const TAGS_MAX: usize = 4094;

/// Why a line is no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// No command in it: to be ignored.
    Empty,
    /// Tags over [`TAGS_MAX`] or the rest over [`BODY_MAX`]: answer 417.
    TooLong,
    /// NUL, CR or LF inside: to be refused as malformed.
    Control,
    /// Not UTF-8: answer `FAIL * INVALID_UTF8` (IRCv3 UTF8ONLY).
    InvalidUtf8,
}

/// A message from a client. Its source, if it gave one, is dropped: who sent it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// The tags without `@`, raw; see [`tags`].
    pub tags: &'a str,
    /// The command as sent, in any case; neither empty nor starting with a colon.
    pub command: &'a str,
    params: [&'a str; PARAMS_MAX],
    count: u8,
}

impl<'a> Message<'a> {
    /// Parses a line without its CR LF.
    pub fn parse(line: &'a [u8]) -> Result<Self, ParseError> {
        // Lengths first: nothing else is done for a line over the limits.
        let body_start = match line {
            [b'@', rest @ ..] => match rest.iter().position(|&b| b == b' ') {
                Some(space) if space > TAGS_MAX => return Err(ParseError::TooLong),
                Some(space) => space + 2,
                None if rest.len() > TAGS_MAX => return Err(ParseError::TooLong),
                None => line.len(),
            },
            _ => 0,
        };
        if line.len() - body_start > BODY_MAX {
            return Err(ParseError::TooLong);
        }
        // Without an early end the compiler makes this many bytes at a time.
        if line.iter().fold(false, |bad, &b| {
            bad | (b == 0) | (b == b'\r') | (b == b'\n')
        }) {
            return Err(ParseError::Control);
        }
        let line = core::str::from_utf8(line).map_err(|_| ParseError::InvalidUtf8)?;

        let (head, mut rest) = line.split_at_checked(body_start).unwrap_or((line, ""));
        let tags = head
            .strip_prefix('@')
            .unwrap_or_default()
            .trim_end_matches(' ');
        rest = skip_spaces(rest);
        if rest.starts_with(':') {
            rest = split_word(rest).1;
        }
        let (command, mut rest) = split_word(rest);
        if command.is_empty() || command.starts_with(':') {
            return Err(ParseError::Empty);
        }

        let mut message = Self {
            tags,
            command,
            params: [""; PARAMS_MAX],
            count: 0,
        };
        for place in &mut message.params {
            if rest.is_empty() {
                break;
            }
            message.count += 1;
            if let Some(trailing) = rest.strip_prefix(':') {
                *place = trailing;
                break;
            }
            if usize::from(message.count) == PARAMS_MAX {
                *place = rest;
            } else {
                (*place, rest) = split_word(rest);
            }
        }
        Ok(message)
    }

    /// Its parameters. An empty last one is there (`TOPIC #a :`), a missing one is not (`TOPIC #a`).
    pub fn params(&self) -> &[&'a str] {
        self.params
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// One parameter.
    pub fn param(&self, index: usize) -> Option<&'a str> {
        self.params().get(index).copied()
    }

    /// Whether it is this command, in any case.
    pub fn is(&self, command: &str) -> bool {
        self.command.eq_ignore_ascii_case(command)
    }

    /// The raw (escaped) value of a tag, empty when it has none; the last one counts.
    pub fn tag(&self, key: &str) -> Option<&'a str> {
        tags::find(self.tags, key)
    }
}

/// The word in front, and what follows the spaces after it.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| b == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, skip_spaces(rest))
}

fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Message<'_> {
        Message::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn parts() {
        let m = parse("@label=1;+x :me PRIVMSG #a :hello  world ");
        assert_eq!(m.tags, "label=1;+x");
        assert_eq!(m.command, "PRIVMSG");
        assert!(m.is("privmsg"));
        assert_eq!(m.params(), ["#a", "hello  world "]);
        assert_eq!(m.tag("label"), Some("1"));
        assert_eq!(m.tag("+x"), Some(""));
        assert_eq!(m.tag("x"), None);
        assert_eq!(parse("  PING  a  b  ").params(), ["a", "b"]);
        assert_eq!(parse("@a  :b  C  d").params(), ["d"]);
        assert_eq!(parse("X a:b ::c d").params(), ["a:b", ":c d"]);
    }

    #[test]
    fn empty_trailing_is_not_a_missing_one() {
        assert_eq!(parse("TOPIC #a").params(), ["#a"]);
        assert_eq!(parse("TOPIC #a ").params(), ["#a"]);
        assert_eq!(parse("TOPIC #a :").params(), ["#a", ""]);
        assert_eq!(parse("QUIT").params(), [""; 0]);
        assert_eq!(parse("QUIT").param(0), None);
    }

    #[test]
    fn fifteenth_parameter_takes_the_rest() {
        let line = format!("X{}", " p".repeat(100));
        let m = parse(&line);
        assert_eq!(m.params().len(), PARAMS_MAX);
        assert_eq!(m.param(14).unwrap(), "p ".repeat(86).trim_end());
        let line = format!("X{} :a b", " p".repeat(14));
        assert_eq!(parse(&line).param(14), Some("a b"));
    }

    #[test]
    fn errors() {
        for line in ["", " ", "@a", "@a ", "@a :b", ":b ", ":b :c"] {
            assert_eq!(
                Message::parse(line.as_bytes()),
                Err(ParseError::Empty),
                "{line:?}"
            );
        }
        for line in [&b"PING a\0b"[..], b"PING \ra", b"@\0 PING", b"PING a\nb"] {
            assert_eq!(Message::parse(line), Err(ParseError::Control));
        }
        assert_eq!(Message::parse(b"PING \xff"), Err(ParseError::InvalidUtf8));
        assert_eq!(
            Message::parse(b"@a=\xc3 PING"),
            Err(ParseError::InvalidUtf8)
        );
    }

    #[test]
    fn lengths() {
        let line = |tags: usize, body: usize| format!("@{} {}", "t".repeat(tags), "B".repeat(body));
        assert!(Message::parse(line(TAGS_MAX, BODY_MAX).as_bytes()).is_ok());
        for (tags, body) in [(TAGS_MAX + 1, 1), (1, BODY_MAX + 1)] {
            assert_eq!(
                Message::parse(line(tags, body).as_bytes()),
                Err(ParseError::TooLong)
            );
        }
        assert_eq!(
            Message::parse("B".repeat(511).as_bytes()),
            Err(ParseError::TooLong)
        );
        assert_eq!(
            Message::parse(format!("@{}", "t".repeat(4095)).as_bytes()),
            Err(ParseError::TooLong)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(line: Vec<u8>) {
            let _ = Message::parse(&line);
        }

        #[test]
        fn no_text_panics(line in "[@: a中\u{0}\r;=+/\\\\]{0,60}") {
            if let Ok(m) = Message::parse(line.as_bytes()) {
                proptest::prop_assert!(!m.command.contains(' ') && !m.tags.contains(' '));
                let middles = m.params().len().saturating_sub(1);
                for p in &m.params()[..middles] {
                    proptest::prop_assert!(!p.is_empty() && !p.contains(' ') && !p.starts_with(':'));
                }
            }
        }

        #[test]
        fn what_was_put_together_comes_apart(
            tags in proptest::option::of("[a-z+=;]{1,9}"),
            source in proptest::bool::ANY,
            middle in proptest::collection::vec("[a-z#][a-z:]{0,5}", 0..15),
            trailing in proptest::option::of("[ a-z:中]{0,9}"),
        ) {
            let mut line = String::new();
            if let Some(tags) = &tags { line += &format!("@{tags} "); }
            if source { line += ":x!y@z "; }
            line += "CMD";
            for p in &middle { line += &format!(" {p}"); }
            if let Some(t) = &trailing { line += &format!(" :{t}"); }
            let m = Message::parse(line.as_bytes()).unwrap();
            let expected: Vec<&str> = middle.iter().chain(trailing.iter()).map(String::as_str).collect();
            proptest::prop_assert_eq!(m.params(), expected.as_slice());
            proptest::prop_assert_eq!(m.tags, tags.as_deref().unwrap_or(""));
            proptest::prop_assert_eq!(m.command, "CMD");
        }
    }
}
