//! The oracle: it knows what everybody meant to say, what was acknowledged, and what the store committed, and it objects as soon as
//! something that was acknowledged is missing, is there twice, or is seen in another order.

mod ledger;
mod screen;

use std::collections::BTreeMap;

use soqet_core::id::{ChannelId, MsgId, Seq};

pub use ledger::{Ledger, Noted};
pub use screen::{Screen, View, Viewer};

use crate::line::{Line, fold};
use crate::store::{Commit, Tables};

/// What became of something said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nobody knows yet (or ever, when the connection broke).
    Open,
    /// The echo came.
    Acked(MsgId),
    /// The server said that it was not accepted.
    Failed(String),
}

/// Something a client said.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The name of who said it.
    pub nick: String,
    /// To which room or person.
    pub target: String,
    /// What became of it.
    pub fate: Fate,
}

/// The mark at the beginning of a message's text by which the oracle knows it.
pub fn mark(token: u64) -> String {
    format!("m{token}.")
}

/// The mark of a text, if it has one.
pub fn token(text: &str) -> Option<u64> {
    text.strip_prefix('m')?.split_once('.')?.0.parse().ok()
}

/// See the module.
#[derive(Default)]
pub struct Oracle {
    /// What the store committed.
    pub ledger: Ledger,
    intents: BTreeMap<u64, Intent>,
    last_token: u64,
    failure: Option<String>,
}

impl Oracle {
    /// Objects. The first objection counts.
    pub fn object(&mut self, why: String) {
        if self.failure.is_none() {
            self.failure = Some(why);
        }
    }

    /// The first objection.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Somebody is about to say something; the answer is the token to put into the text.
    pub fn intend(&mut self, nick: &str, target: &str) -> u64 {
        self.last_token += 1;
        self.intents.insert(
            self.last_token,
            Intent {
                nick: nick.to_owned(),
                target: target.to_owned(),
                fate: Fate::Open,
            },
        );
        self.last_token
    }

    /// How many intents there were, how many were acknowledged, and how many failed.
    pub fn counts(&self) -> (u64, u64, u64) {
        let count = |want: fn(&Fate) -> bool| {
            self.intents
                .values()
                .filter(|intent| want(&intent.fate))
                .count() as u64
        };
        (
            self.last_token,
            count(|fate| matches!(fate, Fate::Acked(_))),
            count(|fate| matches!(fate, Fate::Failed(_))),
        )
    }

    /// Whether nothing is known of an intent yet.
    pub fn is_open(&self, token: u64) -> bool {
        self.intents
            .get(&token)
            .is_some_and(|intent| intent.fate == Fate::Open)
    }

    /// The store committed an entry.
    pub fn committed(&mut self, commit: Commit, tables: &Tables) {
        let token = if commit.entry.kind.is_message() {
            token(&commit.entry.text)
        } else {
            None
        };
        if let Some(token) = token
            && let Err(why) = self.judge_commit(token, &commit, tables)
        {
            self.object(why);
        }
        if let Err(why) = self.ledger.add(commit, token) {
            self.object(why);
        }
    }

    fn judge_commit(&self, token: u64, commit: &Commit, tables: &Tables) -> Result<(), String> {
        let entry = &commit.entry;
        // Rubbish may look like a mark; only what was meant is judged.
        let Some(intent) = self.intents.get(&token) else {
            return Ok(());
        };
        if fold(&intent.nick) != fold(&entry.nick) {
            return Err(format!(
                "message {token} of {} was stored as said by {}",
                intent.nick, entry.nick
            ));
        }
        let place = if intent.target.starts_with('#') {
            tables.room(&intent.target)
        } else {
            tables.direct(&intent.nick, &intent.target)
        };
        if place.is_none_or(|channel| channel.row.id != commit.channel) {
            return Err(format!(
                "message {token} to {} was stored in channel {}",
                intent.target, commit.channel.0
            ));
        }
        if let Fate::Failed(how) = &intent.fate {
            return Err(format!("message {token} was stored after it failed: {how}"));
        }
        Ok(())
    }

    /// The echo of a message came.
    pub fn acked(&mut self, token: u64, msgid: Option<MsgId>) {
        let Some((channel, seq)) = self.ledger.by_token(token) else {
            return self.object(format!(
                "message {token} was acknowledged but is not stored"
            ));
        };
        let stored = self.ledger.entry(channel, seq).map(|n| n.entry.msgid);
        let msgid = msgid.or(stored).unwrap_or_default();
        if stored != Some(msgid) {
            return self.object(format!(
                "message {token} was acknowledged as {msgid}, stored as {stored:?}"
            ));
        }
        if let Some(intent) = self.intents.get_mut(&token) {
            if let Fate::Failed(how) = &intent.fate {
                let why = format!("message {token} was acknowledged after it failed: {how}");
                return self.object(why);
            }
            intent.fate = Fate::Acked(msgid);
        }
    }

    /// The server refused a message.
    pub fn failed(&mut self, token: u64, how: &str) {
        if let Some(at) = self.ledger.by_token(token) {
            return self.object(format!(
                "message {token} failed ({how}) but stands at {at:?}"
            ));
        }
        if let Some(intent) = self.intents.get_mut(&token) {
            if let Fate::Acked(_) = intent.fate {
                let why = format!("message {token} failed ({how}) after it was acknowledged");
                return self.object(why);
            }
            intent.fate = Fate::Failed(how.to_owned());
        }
    }

    /// Compares the store's histories with what was committed, and looks for each acknowledged message in them.
    pub fn verify_store(&mut self, tables: &Tables) {
        let mut objections = Vec::new();
        for (token, intent) in &self.intents {
            let Fate::Acked(msgid) = intent.fate else {
                continue;
            };
            let Some((id, seq)) = self.ledger.by_token(*token) else {
                objections.push(format!("acknowledged message {token} is in no history"));
                continue;
            };
            let Some(channel) = tables.channel(id) else {
                // Removed with all its history, by somebody's wish.
                continue;
            };
            if seq < channel.row.first {
                continue;
            }
            let found = channel.entries.iter().filter(|e| e.msgid == msgid).count();
            if found != 1 {
                objections.push(format!(
                    "acknowledged message {token} ({msgid}, place {} of channel {}) is {found} times in the history",
                    seq.0, id.0
                ));
            }
        }
        for channel in tables.channels() {
            for entry in &channel.entries {
                let noted = self.ledger.entry(channel.row.id, entry.seq);
                if noted.is_none_or(|noted| noted.entry != *entry) {
                    objections.push(format!(
                        "place {} of channel {} changed",
                        entry.seq.0, channel.row.id.0
                    ));
                }
            }
        }
        for why in objections {
            self.object(why);
        }
    }

    /// Which entry a line shows: by `msgid` tag, else by the mark in its text. `Err` when it shows what is not stored, or something
    /// else than what is stored.
    pub fn identify(&self, line: &Line) -> Result<Option<(ChannelId, Seq)>, String> {
        let message = matches!(line.command.as_str(), "PRIVMSG" | "NOTICE");
        let token = token(line.last()).filter(|token| message && self.intents.contains_key(token));
        let by_token = token
            .map(|token| {
                self.ledger
                    .by_token(token)
                    .ok_or_else(|| format!("message {token} was shown but is not stored"))
            })
            .transpose()?;
        let Some(text) = line.tag("msgid") else {
            return Ok(by_token);
        };
        let msgid = MsgId::parse(text).ok_or_else(|| format!("{text} is no msgid"))?;
        let place = self
            .ledger
            .by_msgid(msgid)
            .ok_or_else(|| format!("{} {text} was shown but is not stored", line.command))?;
        if by_token.is_some_and(|other| other != place) {
            return Err(format!(
                "message {token:?} has the identity {text} of another"
            ));
        }
        let entry = self
            .ledger
            .entry(place.0, place.1)
            .map(|noted| &noted.entry);
        let Some(entry) = entry else {
            return Ok(Some(place));
        };
        if entry.kind.command() != line.command {
            return Err(format!("{text} is {:?}, not {}", entry.kind, line.command));
        }
        if message && entry.text != line.last() {
            return Err(format!(
                "{text} says {:?}, not {:?}",
                entry.text,
                line.last()
            ));
        }
        if fold(&entry.nick) != fold(line.nick()) {
            return Err(format!("{text} is of {}, not {}", entry.nick, line.nick()));
        }
        let time = line.tag("time").and_then(crate::line::parse_time);
        if time.is_some_and(|time| time != entry.time) {
            return Err(format!("{text} has time {}, not {time:?}", entry.time));
        }
        Ok(Some(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_recognised() {
        assert_eq!(token(&format!("{}hello", mark(17))), Some(17));
        assert_eq!(token("m17 hello"), None);
        assert_eq!(token("mx.y"), None);
        assert_eq!(token(""), None);
    }
}
