//! An IRC client for tests: it sends lines and waits for lines that meet a condition. What does not come fails the test with
//! the whole conversation.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Duration;

use crate::line::Line;
use crate::world::{PATIENCE, Wire};

/// Lines of the conversation kept for a failure's message.
const TRANSCRIPT: usize = 300;

/// A client. PINGs are answered by themselves.
pub struct Client {
    /// Whom the transcript shows; after login, the nick.
    pub name: String,
    /// Whether PINGs are answered; a scenario may switch it off.
    pub answers_pings: bool,
    wire: Box<dyn Wire>,
    inbox: Vec<u8>,
    read: usize,
    closed: bool,
    fences: u32,
    transcript: VecDeque<String>,
}

impl Client {
    /// A client over a connection.
    pub fn new(name: &str, wire: Box<dyn Wire>) -> Self {
        Self {
            name: name.to_owned(),
            answers_pings: true,
            wire,
            inbox: Vec::new(),
            read: 0,
            closed: false,
            fences: 0,
            transcript: VecDeque::new(),
        }
    }

    /// Sends a line.
    pub fn send(&mut self, line: impl Display) {
        let line = line.to_string();
        self.note('>', &line);
        self.push(format!("{line}\r\n").as_bytes());
    }

    /// Sends bytes as they are. What cannot be sent because the server has closed is dropped: the next expectation tells.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.note('>', &bytes.escape_ascii().to_string());
        self.push(bytes);
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.closed {
            match self.wire.exchange(bytes, &mut self.inbox, PATIENCE) {
                Ok(done) => {
                    if done.sent + done.received == 0 && !done.closed {
                        self.fail("the server takes no more");
                    }
                    bytes = bytes.get(done.sent..).unwrap_or_default();
                    self.closed |= done.closed;
                }
                Err(_) => self.closed = true,
            }
        }
    }

    /// The next line; `None` when the server has closed or nothing came within `wait`.
    pub fn poll(&mut self, wait: Duration) -> Option<Line> {
        loop {
            while let Some(line) = self.take() {
                if line.is("PING") && self.answers_pings {
                    let answer = format!("PONG :{}\r\n", line.text());
                    self.push(answer.as_bytes());
                } else {
                    return Some(line);
                }
            }
            if self.closed {
                return None;
            }
            match self.wire.exchange(&[], &mut self.inbox, wait) {
                Ok(done) if done.received > 0 => self.closed |= done.closed,
                Ok(done) if done.closed => self.closed = true,
                Ok(_) => return None,
                Err(_) => self.closed = true,
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        let fresh = self.inbox.get(self.read..)?;
        let Some(end) = fresh.iter().position(|b| *b == b'\n') else {
            self.inbox.drain(..self.read);
            self.read = 0;
            return None;
        };
        let raw = fresh.get(..end)?;
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let text = std::str::from_utf8(raw).expect("the server sends UTF-8 only");
        let line = Line::parse(text);
        self.read += end + 1;
        self.note('<', &line.raw);
        Some(line)
    }

    /// The next line, which must come.
    pub fn line(&mut self) -> Line {
        match self.poll(PATIENCE) {
            Some(line) => line,
            None => self.fail("no line came"),
        }
    }

    /// Reads up to the first line that meets the condition.
    pub fn expect(&mut self, what: &str, mut condition: impl FnMut(&Line) -> bool) -> Line {
        loop {
            match self.poll(PATIENCE) {
                Some(line) if condition(&line) => return line,
                Some(_) => {}
                None => self.fail(&format!("missing: {what}")),
            }
        }
    }

    /// Reads up to a command or numeric.
    pub fn expect_command(&mut self, command: &str) -> Line {
        self.expect(command, |line| line.is(command))
    }

    /// Reads up to a message with that text.
    pub fn expect_text(&mut self, text: &str) -> Line {
        self.expect(text, |line| {
            (line.is("PRIVMSG") || line.is("NOTICE")) && line.text() == text
        })
    }

    /// Reads up to a FAIL of that command with that code.
    pub fn expect_fail(&mut self, command: &str, code: &str) -> Line {
        self.expect(&format!("FAIL {command} {code}"), |line| {
            line.standard("FAIL", command, code)
        })
    }

    /// All lines up to and with the first that meets the condition.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&Line) -> bool) -> Vec<Line> {
        let mut lines = Vec::new();
        loop {
            match self.poll(PATIENCE) {
                Some(line) => {
                    let last = condition(&line);
                    lines.push(line);
                    if last {
                        return lines;
                    }
                }
                None => self.fail(&format!("missing: {what}")),
            }
        }
    }

    /// Sends a line and gives all that comes up to and with the numeric or command that ends the answer.
    pub fn ask(&mut self, line: impl Display, end: &str) -> Vec<Line> {
        self.send(line);
        self.until(end, |line| line.is(end))
    }

    /// All lines that the server had for this client when it came to a PING sent now. What is missing here was not sent.
    pub fn fence(&mut self) -> Vec<Line> {
        self.fences += 1;
        let token = format!("fence-{}", self.fences);
        self.send(format_args!("PING {token}"));
        let mut lines = self.until(&token, |line| line.is("PONG") && line.text() == token);
        lines.pop();
        lines
    }

    /// Sends a line and gives all that it brought, up to a fence.
    pub fn answers(&mut self, line: impl Display) -> Vec<Line> {
        self.send(line);
        self.fence()
    }

    /// Asserts that nothing was sent that meets the condition, up to a fence.
    pub fn expect_none(&mut self, what: &str, condition: impl FnMut(&Line) -> bool) {
        if self.fence().iter().any(condition) {
            self.fail(&format!("must not come: {what}"));
        }
    }

    /// Reads until the server closes; gives what came before.
    pub fn expect_closed(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(line) = self.poll(PATIENCE) {
            lines.push(line);
        }
        if !self.closed {
            self.fail("the server does not close");
        }
        lines
    }

    /// Takes what has arrived without waiting; gives whether the connection is still open.
    pub fn pump(&mut self) -> bool {
        if !self.closed {
            match self
                .wire
                .exchange(&[], &mut self.inbox, Duration::from_millis(1))
            {
                Ok(done) => self.closed |= done.closed,
                Err(_) => self.closed = true,
            }
        }
        !self.closed
    }

    /// Fails the test with the conversation.
    pub fn fail(&self, what: &str) -> ! {
        let talk = Vec::from_iter(self.transcript.iter().map(String::as_str)).join("\n");
        let state = if self.closed { " (closed)" } else { "" };
        panic!("{}{state}: {what}\n{talk}", self.name);
    }

    fn note(&mut self, direction: char, line: &str) {
        if self.transcript.len() == TRANSCRIPT {
            self.transcript.pop_front();
        }
        let shown: String = line.chars().take(600).collect();
        self.transcript
            .push_back(format!("  {} {direction} {shown}", self.name));
    }
}
