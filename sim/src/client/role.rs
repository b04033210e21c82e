//! Who a simulated client is: fixed for a run.

/// What kind of program it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Negotiates nearly everything and fetches history itself, as gamja or Halloy do.
    Modern,
    /// Knows message tags, but relies on the server to replay what it missed, as WeeChat does.
    Tagged,
    /// Negotiates nothing but the login, as old programs do.
    Bare,
}

/// What its user is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Talks a lot.
    Chatter,
    /// Mostly reads.
    Lurker,
    /// Stops reading from time to time, in the end for ever.
    Stalled,
    /// Loses its connection all the time.
    Flapper,
    /// Sends what no good client would.
    Rubbish,
}

/// How it proves who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// SASL SCRAM-SHA-256, and REGISTER with a verifier.
    Scram,
    /// SASL PLAIN, and REGISTER with the password.
    Plain,
}

/// What its connection is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// From the same machine.
    Loopback,
    /// TLS.
    Encrypted,
    /// Neither.
    Open,
}

/// How it names the place where a page of history goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paging {
    /// By `msgid=`.
    Id,
    /// By `timestamp=`.
    Time,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Role {
    /// Account name.
    pub nick: String,
    /// Its password.
    pub password: String,
    /// What program.
    pub profile: Profile,
    /// What user.
    pub behaviour: Behaviour,
    /// How it logs in.
    pub mechanism: Mechanism,
    /// What it is connected by.
    pub line: Line,
    /// Last byte of its address.
    pub address: u8,
    /// Whether it asks to see its own messages.
    pub echo: bool,
    /// Whether it labels its commands.
    pub labels: bool,
    /// Whether it wants joins and the like in history.
    pub events: bool,
    /// How it pages.
    pub paging: Paging,
    /// Messages in a page it asks for.
    pub page: u16,
    /// Rooms it joins.
    pub rooms: Vec<String>,
    /// Everybody, to talk to and to watch.
    pub people: Vec<String>,
    /// Usual time between two actions, milliseconds.
    pub pace_ms: u64,
    /// Whether it is its account's only device.
    pub sole: bool,
    /// PBKDF2 rounds of verifiers it makes.
    pub iterations: u32,
}

impl Role {
    /// The capabilities it asks for when they are offered.
    pub fn capabilities(&self) -> Vec<&'static str> {
        let mut caps = vec!["sasl", "draft/account-registration"];
        match self.profile {
            Profile::Modern => caps.extend([
                "message-tags",
                "server-time",
                "batch",
                "draft/chathistory",
                "draft/read-marker",
                "account-tag",
                "away-notify",
                "extended-join",
                "multi-prefix",
                "setname",
                "standard-replies",
                "cap-notify",
                "soqet/verifier",
            ]),
            Profile::Tagged => caps.extend(["message-tags", "server-time"]),
            Profile::Bare => {}
        }
        if self.labels {
            caps.extend(["labeled-response", "batch"]);
        }
        if self.echo {
            caps.push("echo-message");
        }
        if self.events {
            caps.push("draft/event-playback");
        }
        caps.sort_unstable();
        caps.dedup();
        caps
    }
}
