//! Simulated IRC clients. They see the server through bytes alone, as real ones do.

mod acts;
mod check;
mod fetch;
mod login;
mod online;
pub mod role;
pub mod scram;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use soqet_core::id::{ChannelId, Seq};

use crate::draw::Draw;
use crate::line::Line;
use crate::oracle::{Oracle, Screen, Viewer};
use crate::store::Tables;
use crate::trace::Trace;

use fetch::Fetch;
use login::Login;
use online::Batch;
use role::{Behaviour, Role};

/// What a client may look at and change while it acts.
pub struct Context<'a> {
    /// Virtual time, milliseconds.
    pub now: u64,
    /// Who judges.
    pub oracle: &'a mut Oracle,
    /// What the store holds: for judging, never for deciding what to send.
    pub tables: &'a Tables,
    /// Derived passwords.
    pub salted: &'a mut scram::Salted,
    /// Accounts that were told that they are registered.
    pub registered: &'a mut BTreeSet<String>,
    /// Logins that failed though the password was right (throttled, or no room).
    pub failed_logins: u64,
    /// Gaps the server told of.
    pub gaps: u64,
    /// Messages a page may have, by the server's configuration.
    pub page: u16,
    /// Entries a channel keeps, by the server's configuration.
    pub keep: u32,
    /// Messages replayed, by the server's configuration.
    pub replay: u16,
    /// Whether the store may fail reads for good, so that a replay has holes.
    pub reads_fail: bool,
    /// How many times the server crashed.
    pub crashes: u64,
    /// Whether the faults are over.
    pub healed: bool,
    /// Whether all is at rest and pages must be exact.
    pub rest: bool,
    /// What happened.
    pub trace: &'a mut Trace,
}

impl Context<'_> {
    /// The oldest place of a channel that must still be shown: a store may keep more than the limit for a while.
    fn kept(&self, channel: ChannelId) -> Seq {
        self.tables.channel(channel).map_or(Seq::NONE, |channel| {
            let limit = Seq((channel.row.last.0 + 1).saturating_sub(u64::from(self.keep)));
            channel.row.first.max(limit)
        })
    }

    fn explain(&mut self, text: String) {
        self.trace.words(self.now, text);
    }
}

/// How a client leaves without a QUIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// It ends its side in order.
    End,
    /// The connection breaks at any byte.
    Reset,
    /// It falls silent: the server is not told.
    Vanish,
}

/// What a client wants from its operating system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A connection.
    Connect,
    /// To be rid of it.
    Leave(Manner),
}

#[derive(Debug)]
pub(crate) enum Stage {
    Login(Login),
    Online,
}

/// What a labelled command was about.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Ask {
    Message(u64),
    /// A page, the how-manieth of its connection.
    Fetch(u32),
    Other(String),
}

/// What lives and dies with a connection.
#[derive(Debug)]
pub struct Session {
    alone: bool,
    stage: Stage,
    input: Vec<u8>,
    /// Bytes to be sent.
    pub output: VecDeque<u8>,
    caps: BTreeSet<String>,
    since: u64,
    labels: u64,
    asks: BTreeMap<String, Ask>,
    batches: BTreeMap<String, Batch>,
    screen: Screen,
    rooms: BTreeSet<String>,
    names: BTreeMap<String, BTreeSet<String>>,
    partial_names: BTreeMap<String, BTreeSet<String>>,
    watch: BTreeMap<String, bool>,
    watch_full: bool,
    markers: BTreeMap<String, u64>,
    fetch: Option<Fetch>,
    pages: u32,
    fetched: BTreeMap<ChannelId, BTreeSet<Seq>>,
    gap_in: BTreeSet<String>,
    quitting: bool,
    /// The server's last line was read.
    told_end: bool,
    spoke_last: bool,
    check: Option<check::Check>,
}

impl Session {
    fn new(now: u64, alone: bool) -> Self {
        Self {
            alone,
            stage: Stage::Login(Login::default()),
            input: Vec::new(),
            output: VecDeque::new(),
            caps: BTreeSet::new(),
            since: now,
            labels: 0,
            asks: BTreeMap::new(),
            batches: BTreeMap::new(),
            screen: Screen::default(),
            rooms: BTreeSet::new(),
            names: BTreeMap::new(),
            partial_names: BTreeMap::new(),
            watch: BTreeMap::new(),
            watch_full: false,
            markers: BTreeMap::new(),
            fetch: None,
            pages: 0,
            fetched: BTreeMap::new(),
            gap_in: BTreeSet::new(),
            quitting: false,
            told_end: false,
            spoke_last: false,
            check: None,
        }
    }

    fn has(&self, cap: &str) -> bool {
        self.caps.contains(cap)
    }
}

/// Where a clean end left a client that relies on replay.
#[derive(Clone, Debug, Default)]
struct Resume {
    /// The last place shown of each channel.
    places: BTreeMap<ChannelId, Seq>,
    /// The server's crashes until then.
    crashes: u64,
}

/// A simulated client.
pub struct Client {
    /// Who it is.
    pub role: Role,
    draw: Draw,
    /// When it acts next.
    pub act_at: u64,
    /// It does not read before.
    pub reads_from: u64,
    /// Its connection's state.
    pub session: Option<Session>,
    wish: Option<Wish>,
    resume: Option<Resume>,
    healed: bool,
}

impl Client {
    /// A client that first acts at `act_at`.
    pub fn new(role: Role, draw: Draw, act_at: u64) -> Self {
        Self {
            role,
            draw,
            act_at,
            reads_from: 0,
            session: None,
            wish: None,
            resume: None,
            healed: false,
        }
    }

    /// Whether it is logged in, as far as it knows.
    pub fn is_online(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| matches!(session.stage, Stage::Online))
    }

    /// What it wants from its operating system.
    pub fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// The connection it wished for is there. `alone` tells that the server takes no earlier connection of it for open, to which it
    /// would deliver too.
    pub fn connected(&mut self, now: u64, alone: bool) {
        self.session = Some(Session::new(now, alone));
        self.greet();
        self.act_at = now + self.role.pace_ms.max(50);
    }

    /// The connection it wished for was refused.
    pub fn refused(&mut self, now: u64) {
        self.session = None;
        self.act_at = now + self.draw.between(300, 3_000);
    }

    /// The server ended the connection, and everything it sent was read.
    pub fn ended(&mut self, context: &mut Context<'_>) {
        if let Some(session) = self.session.take() {
            self.keep_place(&session, context);
        }
        self.act_at = context.now + self.draw.between(50, 2_000);
    }

    fn keep_place(&mut self, session: &Session, context: &Context<'_>) {
        let certain = session.quitting && session.told_end && session.alone && self.role.sole;
        if self.role.behaviour == Behaviour::Rubbish || !certain {
            self.resume = None;
            return;
        }
        let mut places = match self.resume.take() {
            Some(resume) if resume.crashes == context.crashes => resume.places,
            Some(_) | None => BTreeMap::new(),
        };
        for (channel, view) in &session.screen.views {
            if view.left {
                places.remove(channel);
            } else if view.last != Seq::NONE {
                places.insert(*channel, view.last);
            }
        }
        self.resume = Some(Resume {
            places,
            crashes: context.crashes,
        });
    }

    /// The connection broke (the server's machine died, or the client gave up).
    pub fn broke(&mut self, now: u64) {
        self.session = None;
        self.resume = None;
        self.reads_from = 0;
        self.act_at = now + self.draw.between(50, 3_000);
    }

    /// It gives its connection up and tries again after that pause.
    fn leave(&mut self, now: u64, pause: u64) {
        let manner = match self.draw.below(4) {
            0 => Manner::End,
            1 if !self.healed => Manner::Vanish,
            _ => Manner::Reset,
        };
        self.session = None;
        self.resume = None;
        self.reads_from = 0;
        self.wish = Some(Wish::Leave(manner));
        self.act_at = now + pause;
    }

    /// Bytes came.
    pub fn read(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        if let Some(session) = &mut self.session {
            session.input.extend_from_slice(bytes);
        }
        while let Some(session) = &mut self.session {
            let Some(end) = session.input.iter().position(|byte| *byte == b'\n') else {
                if session.input.len() > 9_000 {
                    let why = format!("{} was sent an endless line", self.role.nick);
                    context.oracle.object(why);
                }
                return;
            };
            let raw: Vec<u8> = session.input.drain(..=end).collect();
            self.read_line(&raw, context);
        }
    }

    fn read_line(&mut self, raw: &[u8], context: &mut Context<'_>) {
        let nick = &self.role.nick;
        let Some(text) = raw.strip_suffix(b"\r\n") else {
            let why = format!("{nick} was sent a line that does not end in CR LF");
            return context.oracle.object(why);
        };
        let Ok(text) = core::str::from_utf8(text) else {
            let why = format!("{nick} was sent a line that is not UTF-8");
            return context.oracle.object(why);
        };
        let body =
            text.split_once(' ').map_or(
                text,
                |(first, rest)| {
                    if first.starts_with('@') { rest } else { text }
                },
            );
        if body.len() > 510 || text.bytes().any(|byte| matches!(byte, b'\r' | 0)) {
            let why = format!("{nick} was sent a malformed line: {body:?}");
            return context.oracle.object(why);
        }
        let Some(line) = Line::parse(text) else {
            let why = format!("{nick} was sent no IRC: {text:?}");
            return context.oracle.object(why);
        };
        match line.command.as_str() {
            "PING" => self.say(&format!("PONG :{}", line.last())),
            "ERROR" => {
                if let Some(session) = &mut self.session {
                    session.told_end = true;
                }
            }
            _ if self.is_online() => self.online_line(line, context),
            _ => self.login_line(&line, context),
        }
    }

    /// Sends a line.
    fn say(&mut self, line: &str) {
        self.send(line.as_bytes());
        self.send(b"\r\n");
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(session) = &mut self.session {
            session.output.extend(bytes);
        }
    }

    /// Sends a command, labelled when this client does so.
    fn ask(&mut self, ask: Ask, line: &str) {
        let labelled = self.role.labels
            && self
                .session
                .as_ref()
                .is_some_and(|s| s.has("labeled-response"));
        if !labelled {
            return self.say(line);
        }
        let Some(session) = &mut self.session else {
            return;
        };
        session.labels += 1;
        let label = format!("l{}", session.labels);
        session.asks.insert(label.clone(), ask);
        let text = match line.strip_prefix('@') {
            Some(tagged) => format!("@label={label};{tagged}"),
            None => format!("@label={label} {line}"),
        };
        self.say(&text);
    }

    fn viewer(&self, context: &Context<'_>) -> Viewer {
        let fetches = self
            .session
            .as_ref()
            .is_some_and(|s| s.has("draft/chathistory"));
        Viewer {
            strict: fetches || !context.reads_fail,
            nick: self.role.nick.clone(),
            echo: self.session.as_ref().is_some_and(|s| s.has("echo-message")),
            ids: self.session.as_ref().is_some_and(|s| s.has("message-tags")),
        }
    }

    /// Whether it waits for nothing: no labelled command is unanswered, no page outstanding, nothing unsent.
    pub fn is_idle(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            matches!(session.stage, Stage::Online)
                && session.output.is_empty()
                && session.asks.is_empty()
                && session.fetch.is_none()
                && session.spoke_last
                && !session.quitting
        })
    }

    /// What it still waits for, in words.
    pub fn waits_for(&self) -> String {
        match &self.session {
            None => "a connection".to_owned(),
            Some(session) => match &session.stage {
                Stage::Login(login) => format!("its login {login:?}"),
                Stage::Online => format!(
                    "answers {:?}, fetch {:?}, check {:?}, {} unsent bytes, quitting {}",
                    session.asks,
                    session.fetch,
                    session.check,
                    session.output.len(),
                    session.quitting
                ),
            },
        }
    }
}
