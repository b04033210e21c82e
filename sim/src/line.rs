//! A line of IRC as a client reads it. Written apart from the core's own parser, so that they check each other.

/// A parsed line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// Message tags, values unescaped.
    pub tags: Vec<(String, String)>,
    /// The whole source, without `:`; empty when there is none.
    pub source: String,
    /// Command or numeric, upper case.
    pub command: String,
    /// Parameters, the trailing one like the others.
    pub params: Vec<String>,
}

impl Line {
    /// Reads a line without its line end; `None` when it has no command.
    pub fn parse(text: &str) -> Option<Self> {
        let mut line = Self::default();
        let mut rest = text;
        if let Some(tagged) = rest.strip_prefix('@') {
            let (tags, after) = tagged.split_once(' ')?;
            for tag in tags.split(';').filter(|tag| !tag.is_empty()) {
                let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
                line.tags.push((key.to_owned(), unescape(value)));
            }
            rest = after.trim_start_matches(' ');
        }
        if let Some(sourced) = rest.strip_prefix(':') {
            let (source, after) = sourced.split_once(' ')?;
            line.source = source.to_owned();
            rest = after.trim_start_matches(' ');
        }
        let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() {
            return None;
        }
        line.command = command.to_ascii_uppercase();
        loop {
            rest = rest.trim_start_matches(' ');
            if rest.is_empty() {
                return Some(line);
            }
            if let Some(trailing) = rest.strip_prefix(':') {
                line.params.push(trailing.to_owned());
                return Some(line);
            }
            let (param, after) = rest.split_once(' ').unwrap_or((rest, ""));
            line.params.push(param.to_owned());
            rest = after;
        }
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The parameter at that place; empty when there is none.
    pub fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// The last parameter.
    pub fn last(&self) -> &str {
        self.params.last().map_or("", String::as_str)
    }

    /// The nick of the source.
    pub fn nick(&self) -> &str {
        self.source
            .split_once('!')
            .map_or(self.source.as_str(), |(nick, _)| nick)
    }
}

/// Undoes the escaping of a tag's value (IRCv3 message-tags).
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(':') => out.push(';'),
            Some('s') => out.push(' '),
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Lower case as `CASEMAPPING=ascii` has it.
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Unix milliseconds of a `server-time` stamp (`2026-11-22T17:43:34.000Z`).
pub fn parse_time(text: &str) -> Option<u64> {
    let number = |range: core::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    if text.len() != 24 || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let millis = number(20..23)?;
    if !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    let seconds = ((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1000 + millis)
}

/// The `server-time` stamp of Unix milliseconds.
pub fn format_time(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let mut year = 1970;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days_before(year, *month) <= days)
        .unwrap_or(1);
    let day = days - days_before(year, month) + 1;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// Days from 1970-01-01 to the first of that month.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leaps = |y: u64| y / 4 - y / 100 + y / 400;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before = BEFORE
        .get(month.saturating_sub(1) as usize)
        .copied()
        .unwrap_or(0);
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + u64::from(leap && month > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_is_read() {
        let line = Line::parse("@msgid=a\\:b;x;time= :al!al@h privmsg #r  :two words").unwrap();
        assert_eq!(line.tag("msgid"), Some("a;b"));
        assert_eq!(line.tag("x"), Some(""));
        assert_eq!((line.nick(), line.command.as_str()), ("al", "PRIVMSG"));
        assert_eq!(line.params, ["#r", "two words"]);
        assert_eq!(Line::parse("PING").unwrap().params.len(), 0);
        assert_eq!(Line::parse(""), None);
        assert_eq!(Line::parse("@a"), None);
    }

    #[test]
    fn time_stamps_round_trip() {
        assert_eq!(parse_time("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(
            parse_time("2024-03-01T00:00:00.001Z"),
            Some(1_709_251_200_001)
        );
        for ms in [0, 951_782_399_999, 951_868_800_000, 1_795_369_414_123] {
            assert_eq!(parse_time(&format_time(ms)), Some(ms));
        }
        assert_eq!(parse_time("2024-03-01T00:00:00Z"), None);
    }
}
