//! The exchange of `soqet account` with a server: a line `ACCOUNT ...` there, `NOTE` or `FAIL` lines back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Serialize;
use soqet_core::irc::message::Message;

use crate::failure::Failure;

/// How long a server may think. Its store may be busy, but not that busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest line taken from a server, in bytes.
const LINE: u64 = 64 * 1024;

/// An account as the server tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its display name, may be empty.
    pub display: String,
    /// Its titles.
    pub titles: Vec<String>,
    /// What it is: `owner`, `disabled`, `guest`.
    pub flags: Vec<String>,
    /// When it was created, Unix milliseconds.
    pub created_ms: u64,
    /// Rooms it is in; told only where one account is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
}

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// Accounts.
    pub entries: Vec<Entry>,
    /// Names of rooms.
    pub rooms: Vec<String>,
    /// What was done, in words, without a full stop.
    pub said: String,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Exchange {
    stream: BufReader<UnixStream>,
}

/// What a line means.
#[derive(PartialEq, Eq, Debug)]
enum Reply {
    Entry(Entry),
    Room(String),
    Done(String),
    Failed(String),
    Ping(String),
    Other,
}

impl Exchange {
    /// Over a connected stream.
    pub fn new(stream: UnixStream) -> Result<Self, Failure> {
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(|error| lost(&error.to_string()))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and waits for the whole answer. `line` has no line end.
    pub fn request(&mut self, line: &str) -> Result<Answer, Failure> {
        self.send(line)?;
        let mut answer = Answer::default();
        loop {
            match read_reply(&self.receive()?) {
                Reply::Entry(entry) => answer.entries.push(entry),
                Reply::Room(name) => answer.rooms.push(name),
                Reply::Done(said) => return Ok(Answer { said, ..answer }),
                Reply::Failed(text) => return Err(Failure::new(text)),
                Reply::Ping(token) => self.send(&format!("PONG :{token}"))?,
                Reply::Other => {}
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<(), Failure> {
        self.stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .map_err(|error| lost(&error.to_string()))
    }

    fn receive(&mut self) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.stream)
            .take(LINE)
            .read_until(b'\n', &mut line)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                    lost("it did not answer in time")
                }
                _ => lost(&error.to_string()),
            })?;
        if read == 0 {
            return Err(lost("it closed the connection"));
        }
        while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
            line.pop();
        }
        Ok(line)
    }
}

fn lost(why: &str) -> Failure {
    Failure::new(format!(
        "the server was lost: {why}\nLook at its log, and at `soqet account list` for what was done."
    ))
}

fn read_reply(line: &[u8]) -> Reply {
    let Ok(message) = Message::parse(line) else {
        return Reply::Other;
    };
    let last = || {
        message
            .params()
            .last()
            .copied()
            .unwrap_or_default()
            .to_owned()
    };
    match (message.command, message.params()) {
        ("NOTE", ["ACCOUNT", "ENTRY", name, flags, created, titles, display]) => {
            Reply::Entry(Entry {
                name: (*name).to_owned(),
                display: (*display).to_owned(),
                titles: split(titles)
                    .map(|title| title.replace("\\s", " "))
                    .collect(),
                flags: split(flags).map(str::to_owned).collect(),
                created_ms: created.parse().unwrap_or_default(),
                rooms: None,
            })
        }
        ("NOTE", ["ACCOUNT", "ROOM", _, room, ..]) => Reply::Room((*room).to_owned()),
        ("NOTE", ["ACCOUNT", code, ..]) if *code == "END" || code.ends_with("_DONE") => {
            Reply::Done(last())
        }
        ("FAIL" | "ERROR", _) => Reply::Failed(last()),
        ("PING", _) => Reply::Ping(last()),
        (numeric, _) if numeric.len() == 3 && numeric.starts_with(['4', '5']) => {
            Reply::Failed(last())
        }
        _ => Reply::Other,
    }
}

/// The parts of a list with commas; `-` is the empty list.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .filter(|part| !part.is_empty() && *part != "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let reply = read_reply(
            ":soqet NOTE ACCOUNT ENTRY Ann owner,disabled 1700000000000 mod,night\\swatch :安 娜"
                .as_bytes(),
        );
        let Reply::Entry(entry) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(
            (entry.name.as_str(), entry.display.as_str()),
            ("Ann", "安 娜")
        );
        assert_eq!(entry.titles, ["mod", "night watch"]);
        assert_eq!(entry.flags, ["owner", "disabled"]);
        assert_eq!(entry.created_ms, 1_700_000_000_000);

        let Reply::Entry(entry) = read_reply(b":s NOTE ACCOUNT ENTRY bob - 5 - :") else {
            panic!()
        };
        assert!(entry.titles.is_empty() && entry.flags.is_empty() && entry.display.is_empty());
    }

    #[test]
    fn ends_are_told_from_errors() {
        for (line, reply) in [
            (
                ":s NOTE ACCOUNT ADD_DONE ann :Added",
                Reply::Done("Added".into()),
            ),
            (
                ":s NOTE ACCOUNT END * :End of list",
                Reply::Done("End of list".into()),
            ),
            (
                ":s FAIL ACCOUNT ACCOUNT_EXISTS ann :Name taken",
                Reply::Failed("Name taken".into()),
            ),
            (
                ":s 421 * ACCOUNT :Unknown command",
                Reply::Failed("Unknown command".into()),
            ),
            ("ERROR :Full", Reply::Failed("Full".into())),
            ("PING :tok", Reply::Ping("tok".into())),
            (":s NOTE ACCOUNT ROOM ann #a :", Reply::Room("#a".into())),
            (":s NOTICE * :hello", Reply::Other),
            (":s 001 ann :Welcome", Reply::Other),
            ("", Reply::Other),
        ] {
            assert_eq!(read_reply(line.as_bytes()), reply, "{line}");
        }
    }

    #[test]
    fn an_answer_ends_with_its_last_line_and_pings_are_answered() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            let mut line = String::new();
            theirs.read_line(&mut line).unwrap();
            assert_eq!(line, "ACCOUNT LIST\r\n");
            theirs
                .get_mut()
                .write_all(b":s NOTICE * :hi\r\nPING :x\r\n")
                .unwrap();
            line.clear();
            theirs.read_line(&mut line).unwrap();
            assert_eq!(line, "PONG :x\r\n");
            theirs
                .get_mut()
                .write_all(b":s NOTE ACCOUNT ENTRY a - 1 - :\r\n:s NOTE ACCOUNT END * :done\r\n")
                .unwrap();
        });
        let mut exchange = Exchange::new(ours).unwrap();
        let answer = exchange.request("ACCOUNT LIST").unwrap();
        assert_eq!(answer.entries.len(), 1);
        assert_eq!(answer.said, "done");
        server.join().unwrap();
        assert!(exchange.request("ACCOUNT LIST").is_err());
    }
}
