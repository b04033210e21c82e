//! A line of IRC as a client sees it (IRCv3 message-tags, RFC 1459 section 2.3.1), taken apart leniently: a test looks at
//! what came, whatever it was.

use std::collections::BTreeMap;
use std::fmt;

/// A line taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// As it came, without its line end.
    pub raw: String,
    /// Tags by key, values unescaped.
    pub tags: BTreeMap<String, String>,
    /// Source without its colon; empty when there was none.
    pub source: String,
    /// Command or numeric.
    pub command: String,
    /// Parameters, the last without its colon.
    pub params: Vec<String>,
}

impl Line {
    /// Takes a line apart.
    pub fn parse(raw: &str) -> Self {
        let mut rest = raw;
        let mut tags = BTreeMap::new();
        if let Some(tagged) = rest.strip_prefix('@') {
            let (list, after) = tagged.split_once(' ').unwrap_or((tagged, ""));
            for tag in list.split(';') {
                let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
                tags.insert(key.to_owned(), unescape(value));
            }
            rest = after.trim_start();
        }
        let mut source = "";
        if let Some(sourced) = rest.strip_prefix(':') {
            (source, rest) = sourced.split_once(' ').unwrap_or((sourced, ""));
        }
        let (middle, trailing) = match rest.split_once(" :") {
            Some((middle, trailing)) => (middle, Some(trailing)),
            None => (rest, None),
        };
        let mut words = middle.split_ascii_whitespace().map(str::to_owned);
        let command = words.next().unwrap_or_default();
        let params = words.chain(trailing.map(str::to_owned)).collect();
        Self {
            raw: raw.to_owned(),
            tags,
            source: source.to_owned(),
            command,
            params,
        }
    }

    /// Whether it is that command (or numeric).
    pub fn is(&self, command: &str) -> bool {
        self.command == command
    }

    /// Nick part of the source.
    pub fn nick(&self) -> &str {
        self.source.split(['!', '@']).next().unwrap_or_default()
    }

    /// A parameter, empty when it is missing.
    pub fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// The last parameter, empty when there is none.
    pub fn text(&self) -> &str {
        self.params.last().map_or("", String::as_str)
    }

    /// A tag's value; `None` when the tag is missing.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether it is a PRIVMSG with that text.
    pub fn says(&self, text: &str) -> bool {
        self.is("PRIVMSG") && self.text() == text
    }

    /// Whether it is FAIL, WARN or NOTE (IRCv3 standard replies) for that command with that code.
    pub fn standard(&self, kind: &str, command: &str, code: &str) -> bool {
        self.is(kind) && self.param(0) == command && self.param(1) == code
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some(':')) => out.push(';'),
            ('\\', Some('s')) => out.push(' '),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(other)) => out.push(other),
            ('\\', None) => {}
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_apart() {
        let line =
            Line::parse("@time=2026-11-22T10:00:00.000Z;+x=a\\sb\\:;y :ann!ann@h PRIVMSG #a :b :c");
        assert_eq!(line.tag("time"), Some("2026-11-22T10:00:00.000Z"));
        assert_eq!(line.tag("+x"), Some("a b;"));
        assert_eq!(line.tag("y"), Some(""));
        assert_eq!(line.nick(), "ann");
        assert_eq!((line.param(0), line.text()), ("#a", "b :c"));
        assert!(line.says("b :c"));
        let bare = Line::parse("PING x");
        assert_eq!(
            (bare.source.as_str(), bare.command.as_str(), bare.text()),
            ("", "PING", "x")
        );
    }
}
