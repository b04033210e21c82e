//! People: how a client registers and logs in, and what it asks for.

use std::fmt::Display;

use crate::client::Client;
use crate::line::Line;
use crate::scram::{self, Scram, ServerFirst};
use crate::world::World;

/// Capabilities a modern client wants.
pub const MODERN: &[&str] = &[
    "message-tags",
    "server-time",
    "echo-message",
    "labeled-response",
    "batch",
    "account-tag",
    "account-notify",
    "away-notify",
    "extended-join",
    "multi-prefix",
    "setname",
    "standard-replies",
    "cap-notify",
    "sasl",
    "draft/account-registration",
    "draft/chathistory",
    "draft/event-playback",
    "draft/read-marker",
    "soqet/verifier",
];

/// Capabilities of a client like irssi: it cannot fetch history.
pub const LEGACY: &[&str] = &["server-time", "sasl"];

/// The password of a scenario's person.
pub fn password(name: &str) -> String {
    format!("the password of {name}")
}

/// Whether a line ends a welcome: end of, or no, message of the day.
pub fn ends_welcome(line: &Line) -> bool {
    line.is("376") || line.is("422")
}

impl dyn World + '_ {
    /// A person who registers and is logged in, with a modern client: by a verifier where the server takes no password in the clear.
    pub fn register(&mut self, name: &str) -> Client {
        let mut client = self.connect(name);
        let offered = client.introduce(name, MODERN);
        let secret = if offered
            .iter()
            .any(|o| o.starts_with("draft/account-registration"))
        {
            password(name)
        } else {
            let salt = *b"salt of a person";
            scram::verifier(&scram::salted(&password(name), &salt, 4096), &salt, 4096)
        };
        client.send(format_args!("REGISTER * * :{secret}"));
        client.expect("REGISTER SUCCESS", |line| {
            line.is("REGISTER") && line.param(0) == "SUCCESS"
        });
        client.send("CAP END");
        client.welcomed();
        client
    }

    /// Another device of a registered person, with a modern client.
    pub fn login(&mut self, name: &str) -> Client {
        self.login_with(name, MODERN)
    }

    /// A device that knows neither chathistory nor echo-message.
    pub fn legacy(&mut self, name: &str) -> Client {
        self.login_with(name, LEGACY)
    }

    /// A device that asks for those capabilities.
    pub fn login_with(&mut self, name: &str, capabilities: &[&str]) -> Client {
        let mut client = self.connect(name);
        client.introduce(name, capabilities);
        client.scram(name, &password(name));
        client.expect_command("903");
        client.send("CAP END");
        client.welcomed();
        client
    }
}

impl Client {
    /// CAP LS, NICK, USER, and CAP REQ of what is wanted and offered. Gives what is offered, with values.
    pub fn introduce(&mut self, name: &str, wanted: &[&str]) -> Vec<String> {
        let offered = self.offered();
        self.send(format_args!("NICK {name}"));
        self.send(format_args!("USER {name} 0 * :{name}"));
        let wanted: Vec<_> = wanted
            .iter()
            .copied()
            .filter(|want| offered.iter().any(|o| o.split('=').next() == Some(*want)))
            .collect();
        if !wanted.is_empty() {
            self.send(format_args!("CAP REQ :{}", wanted.join(" ")));
            self.expect("CAP ACK", |line| line.is("CAP") && line.param(1) == "ACK");
        }
        offered
    }

    /// The server's capabilities, with values.
    pub fn offered(&mut self) -> Vec<String> {
        self.send("CAP LS 302");
        let mut offered = Vec::new();
        loop {
            let line = self.expect("CAP LS", |line| line.is("CAP") && line.param(1) == "LS");
            offered.extend(line.text().split_ascii_whitespace().map(str::to_owned));
            if line.param(2) != "*" {
                return offered;
            }
        }
    }

    /// Sends an AUTHENTICATE payload in pieces of 400 bytes (sasl-3.1).
    pub fn authenticate(&mut self, payload: &[u8]) {
        let encoded = scram::encode(payload);
        let mut rest = encoded.as_str();
        loop {
            let (piece, after) = rest.split_at(rest.len().min(400));
            self.send(format_args!(
                "AUTHENTICATE {}",
                if piece.is_empty() { "+" } else { piece }
            ));
            rest = after;
            if piece.len() < 400 {
                return;
            }
        }
    }

    /// A login by PLAIN; the outcome is still to come.
    pub fn plain(&mut self, name: &str, password: &str) {
        self.send("AUTHENTICATE PLAIN");
        self.expect_command("AUTHENTICATE");
        self.authenticate(format!("\0{name}\0{password}").as_bytes());
    }

    /// The first half of a login by SCRAM: what the server says of the account.
    pub fn scram_first(&mut self, scram: &Scram) -> ServerFirst {
        self.send("AUTHENTICATE SCRAM-SHA-256");
        let line = self.expect_command("AUTHENTICATE");
        assert_eq!(line.param(0), "+");
        self.authenticate(scram.first().as_bytes());
        let line = self.expect_command("AUTHENTICATE");
        let raw = String::from_utf8(scram::decode(line.param(0))).expect("UTF-8");
        ServerFirst::parse(&raw)
    }

    /// A login by SCRAM; the outcome (903, or 904) is still to come. When the password is right, the server's proof is checked.
    pub fn scram(&mut self, name: &str, password: &str) {
        let nonce = format!("nonce{name}");
        let scram = Scram::new(name, &nonce);
        let first = self.scram_first(&scram);
        assert!(
            first.nonce.starts_with(&nonce) && first.nonce.len() > nonce.len() + 15,
            "{}",
            first.nonce
        );
        let salted = scram::salted(password, &first.salt, first.iterations);
        let (last, signature) = scram.last(&first, &salted);
        self.authenticate(last.as_bytes());
        let line = self.line();
        if line.is("AUTHENTICATE") {
            let expected = format!("v={}", scram::encode(&signature));
            assert_eq!(scram::decode(line.param(0)), expected.as_bytes());
            self.send("AUTHENTICATE +");
        } else if !line.is("904") {
            self.fail("neither the server's proof nor 904");
        }
    }

    /// Waits for the end of the welcome.
    pub fn welcomed(&mut self) {
        self.expect("end of the welcome", ends_welcome);
    }

    /// Joins a room and waits until in.
    pub fn join(&mut self, room: &str) {
        self.send(format_args!("JOIN {room}"));
        self.expect("366", |line| {
            line.is("366") && line.param(1).eq_ignore_ascii_case(room)
        });
    }

    /// Says something and waits for the echo, the receipt that it is stored.
    pub fn say(&mut self, target: &str, text: impl Display) -> Line {
        let text = text.to_string();
        self.send(format_args!("PRIVMSG {target} :{text}"));
        let name = self.name.clone();
        self.expect(&format!("the echo of {text}"), |line| {
            line.says(&text) && line.nick() == name
        })
    }

    /// A page of history: the lines inside the batch.
    pub fn history(&mut self, request: &str) -> Vec<Line> {
        self.send(format_args!("CHATHISTORY {request}"));
        self.batch()
    }

    /// The lines inside the next batch.
    pub fn batch(&mut self) -> Vec<Line> {
        let start = self.expect("BATCH", |line| {
            line.is("BATCH") && line.param(0).starts_with('+')
        });
        let id = start.param(0)[1..].to_owned();
        let mut lines = self.until("end of the batch", |line| {
            line.is("BATCH") && line.param(0)[1..] == id
        });
        lines.pop();
        // What else happens meanwhile may come in between.
        lines.retain(|line| line.tag("batch") == Some(id.as_str()));
        lines
    }
}

/// The texts of messages, in order.
pub fn texts(lines: &[Line]) -> Vec<&str> {
    lines
        .iter()
        .filter(|line| line.is("PRIVMSG") || line.is("NOTICE"))
        .map(Line::text)
        .collect()
}
