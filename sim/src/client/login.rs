//! From the first line of a connection to 001: capabilities, registration of the account, SASL.

use base64ct::{Base64, Encoding};

use super::role::Mechanism;
use super::scram::Scram;
use super::{Client, Context, Stage};
use crate::line::Line;

/// How far a login has come.
#[derive(Clone, Debug, Default)]
pub struct Login {
    offered: Vec<String>,
    scram: Option<Scram>,
    /// REGISTER was sent and is not answered.
    registering: bool,
    /// SASL was completed.
    authenticated: bool,
}

/// What nobody may be sent who is not logged in.
const PRIVATE: [&str; 33] = [
    "PRIVMSG", "TAGMSG", "JOIN", "PART", "KICK", "TOPIC", "MODE", "INVITE", "AWAY", "QUIT", "NICK",
    "ACCOUNT", "MARKREAD", "BATCH", "SETNAME", "301", "302", "303", "311", "312", "317", "318",
    "319", "322", "332", "333", "352", "353", "354", "364", "730", "731", "732",
];

impl Client {
    /// Opens the conversation.
    pub(super) fn greet(&mut self) {
        self.say("CAP LS 302");
        let nick = self.role.nick.clone();
        self.say(&format!("NICK {nick}"));
        self.say(&format!("USER {nick} 0 * :{nick} in a simulated world"));
    }

    /// A line came before 001.
    pub(super) fn login_line(&mut self, line: &Line, context: &mut Context<'_>) {
        let foreign = line.source.contains('!') && line.nick() != self.role.nick;
        if foreign || PRIVATE.contains(&line.command.as_str()) {
            context.oracle.object(format!(
                "{} is not logged in but was sent {} from {:?}",
                self.role.nick, line.command, line.source
            ));
        }
        match line.command.as_str() {
            "CAP" => self.capability(line, context),
            "AUTHENTICATE" => self.authenticate(line, context),
            "REGISTER" => self.registered(line, context),
            "FAIL" if line.param(0) == "REGISTER" => {
                if line.param(1) == "ACCOUNT_EXISTS" {
                    context.registered.insert(self.role.nick.clone());
                    self.start_sasl(context);
                } else {
                    context.explain(format!(
                        "{} cannot register: {}",
                        self.role.nick,
                        line.last()
                    ));
                    self.give_up(context);
                }
            }
            "903" => {
                if let Some(login) = self.login() {
                    login.authenticated = true;
                }
                self.say("CAP END");
            }
            "902" | "904" | "905" | "906" | "908" => {
                if context.registered.contains(&self.role.nick) {
                    context.failed_logins += 1;
                }
                self.give_up(context);
            }
            "001" => self.logged_in(context),
            _ => {}
        }
    }

    fn login(&mut self) -> Option<&mut Login> {
        match &mut self.session.as_mut()?.stage {
            Stage::Login(login) => Some(login),
            Stage::Online => None,
        }
    }

    fn capability(&mut self, line: &Line, context: &mut Context<'_>) {
        match line.param(1) {
            "LS" => {
                let more = line.param(2) == "*";
                let Some(login) = self.login() else { return };
                login.offered.extend(
                    line.last()
                        .split_whitespace()
                        .map(|cap| cap.split('=').next().unwrap_or(cap).to_owned()),
                );
                if more {
                    return;
                }
                let offered = login.offered.clone();
                let wanted: Vec<_> = self
                    .role
                    .capabilities()
                    .into_iter()
                    .filter(|cap| offered.iter().any(|offer| offer == cap))
                    .collect();
                self.say(&format!("CAP REQ :{}", wanted.join(" ")));
            }
            "ACK" => {
                if let Some(session) = &mut self.session {
                    session
                        .caps
                        .extend(line.last().split_whitespace().map(str::to_owned));
                }
                if context.registered.contains(&self.role.nick) {
                    self.start_sasl(context);
                } else {
                    self.register(context);
                }
            }
            "NAK" => {
                context.oracle.object(format!(
                    "offered capabilities were refused: {}",
                    line.last()
                ));
            }
            _ => {}
        }
    }

    fn register(&mut self, context: &mut Context<'_>) {
        let verifier = match self.role.mechanism {
            Mechanism::Plain => format!(":{}", self.role.password),
            Mechanism::Scram => {
                let mut salt = [0; 16];
                self.draw.fill(&mut salt);
                let iterations = self.role.iterations;
                context
                    .salted
                    .verifier(&self.role.password, &salt, iterations)
            }
        };
        if let Some(login) = self.login() {
            login.registering = true;
        }
        self.say(&format!("REGISTER * * {verifier}"));
    }

    fn registered(&mut self, line: &Line, context: &mut Context<'_>) {
        if line.param(0) != "SUCCESS" {
            return self.give_up(context);
        }
        if context.tables.account(&self.role.nick).is_none() {
            context.oracle.object(format!(
                "{} was told that it is registered, but is not stored",
                self.role.nick
            ));
        }
        context.registered.insert(self.role.nick.clone());
        self.say("CAP END");
    }

    fn start_sasl(&mut self, _context: &mut Context<'_>) {
        match self.role.mechanism {
            Mechanism::Plain => self.say("AUTHENTICATE PLAIN"),
            Mechanism::Scram => {
                let nonce = format!("n{:016x}", self.draw.below(u64::MAX));
                let scram = Scram::new(&self.role.nick, nonce);
                if let Some(login) = self.login() {
                    login.scram = Some(scram);
                }
                self.say("AUTHENTICATE SCRAM-SHA-256");
            }
        }
    }

    fn authenticate(&mut self, line: &Line, context: &mut Context<'_>) {
        let (nick, password) = (self.role.nick.clone(), self.role.password.clone());
        let Some(login) = self.login() else { return };
        let Some(scram) = &mut login.scram else {
            let plain = format!("\0{nick}\0{password}");
            return self.say(&format!(
                "AUTHENTICATE {}",
                Base64::encode_string(plain.as_bytes())
            ));
        };
        let payload = line.param(0);
        if payload == "+" {
            let first = Base64::encode_string(scram.first().as_bytes());
            return self.say(&format!("AUTHENTICATE {first}"));
        }
        let Some(text) = Base64::decode_vec(payload)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
        else {
            return context
                .oracle
                .object(format!("{nick} was sent no base64: {payload:?}"));
        };
        if text.starts_with("v=") {
            match scram.verify(&text) {
                Ok(()) => self.say("AUTHENTICATE +"),
                Err(why) => context.oracle.object(why),
            }
        } else {
            match scram.last(context.salted, &password, &text) {
                Ok(last) => {
                    let last = Base64::encode_string(last.as_bytes());
                    self.say(&format!("AUTHENTICATE {last}"));
                }
                Err(why) => context.oracle.object(why),
            }
        }
    }

    /// This connection will not get any further: try again later.
    fn give_up(&mut self, context: &mut Context<'_>) {
        let pause = self.draw.between(500, 6_000);
        self.leave(context.now, pause);
    }
}
