//! What a client does of itself, drawn from its behaviour.

use super::role::{Behaviour, Profile};
use super::{Ask, Client, Context, Manner, Stage, Wish};
use crate::line::format_time;
use crate::oracle::mark;

impl Client {
    /// It is this client's turn.
    pub fn act(&mut self, context: &mut Context<'_>) {
        let pace = self.role.pace_ms.max(2);
        self.act_at = context.now + self.draw.between(pace / 2, pace * 2);
        if context.healed && !self.healed {
            self.heal(context);
            if self.wish.is_some() {
                return;
            }
        }
        let Some(session) = &self.session else {
            self.wish = Some(Wish::Connect);
            self.act_at = context.now + 60_000;
            return;
        };
        let age = context.now - session.since;
        match session.stage {
            Stage::Login(_) if self.role.behaviour == Behaviour::Rubbish && !context.healed => {
                self.rubbish();
                if self.draw.chance(60) {
                    self.leave(context.now, 500);
                }
            }
            Stage::Login(_) => {
                let patience = if context.healed { 120_000 } else { 30_000 };
                if age > patience || (!context.healed && self.draw.chance(20)) {
                    context.explain(format!("{} gives a login up", self.role.nick));
                    self.leave(context.now, pace);
                }
            }
            Stage::Online if session.quitting => {
                if age > 40_000 && context.now >= self.reads_from {
                    self.leave(context.now, pace);
                }
            }
            Stage::Online if context.healed => self.last_words(context),
            Stage::Online => self.live(context),
        }
    }

    /// The faults are over: it reads again and stays.
    fn heal(&mut self, context: &mut Context<'_>) {
        self.healed = true;
        self.reads_from = context.now;
        if self.role.behaviour == Behaviour::Rubbish && self.session.is_some() {
            // It may have said anything, and nobody knows what it is owed.
            self.leave(context.now, 100);
        }
    }

    /// Once after all is healed, everybody says something everywhere, and all of it must arrive.
    fn last_words(&mut self, context: &mut Context<'_>) {
        self.act_at = context.now + 1_000;
        let Some(session) = &mut self.session else {
            return;
        };
        if session.spoke_last || context.now - session.since < 3_000 {
            return;
        }
        session.spoke_last = true;
        let rooms: Vec<String> = session.rooms.iter().cloned().collect();
        for room in rooms {
            self.talk(&room, context);
        }
        self.talk_to_somebody(context);
    }

    fn live(&mut self, context: &mut Context<'_>) {
        let roll = self.draw.below(1000);
        match self.role.behaviour {
            Behaviour::Rubbish if roll < 600 => return self.rubbish(),
            Behaviour::Stalled if roll < 80 => {
                let pause = if self.draw.chance(100) {
                    u64::MAX / 2
                } else {
                    self.draw.between(1_000, 30_000)
                };
                self.reads_from = context.now + pause;
                return;
            }
            Behaviour::Flapper if roll < 250 => return self.disconnect(context),
            Behaviour::Lurker if roll < 500 => return self.look_around(context),
            _ => {}
        }
        let absent: Vec<String> = self
            .role
            .rooms
            .iter()
            .filter(|room| {
                self.session
                    .as_ref()
                    .is_some_and(|s| !s.rooms.contains(*room))
            })
            .cloned()
            .collect();
        match self.draw.below(100) {
            0..55 => self.talk_somewhere(context),
            55..60 => {
                for _ in 0..self.draw.between(5, 30) {
                    self.talk_somewhere(context);
                }
            }
            60..66 => self.talk_to_somebody(context),
            66..80 => match self.draw.pick(&absent).cloned() {
                Some(room) => {
                    // It may have been removed while it was away: what was said until now was not for it.
                    if let (Some(resume), Some(channel)) =
                        (&mut self.resume, context.tables.room(&room))
                    {
                        resume.places.remove(&channel.row.id);
                    }
                    self.ask(Ask::Other("JOIN".into()), &format!("JOIN {room}"));
                }
                None => self.look_around(context),
            },
            80..94 => self.look_around(context),
            94..96 => self.do_rarely(),
            _ => self.disconnect(context),
        }
    }

    fn some_room(&mut self) -> Option<String> {
        let rooms: Vec<String> = self.session.as_ref()?.rooms.iter().cloned().collect();
        self.draw.pick(&rooms).cloned()
    }

    fn talk_somewhere(&mut self, context: &mut Context<'_>) {
        if let Some(room) = self.some_room() {
            self.talk(&room, context);
        }
    }

    fn talk_to_somebody(&mut self, context: &mut Context<'_>) {
        let others: Vec<String> = self
            .role
            .people
            .iter()
            .filter(|name| **name != self.role.nick)
            .cloned()
            .collect();
        if let Some(name) = self.draw.pick(&others).cloned() {
            self.talk(&name, context);
        }
    }

    fn talk(&mut self, target: &str, context: &mut Context<'_>) {
        let said = context.oracle.intend(&self.role.nick, target);
        let length = match self.draw.below(20) {
            0 => self.draw.size(200, 340),
            1..5 => self.draw.size(40, 120),
            _ => self.draw.size(0, 30),
        };
        let mut text = mark(said);
        while text.len() < length {
            text.push(
                *self
                    .draw
                    .pick(&['a', 'e', ' ', ':', 'ü', '中', '🙂'])
                    .unwrap_or(&'x'),
            );
        }
        let verb = if self.draw.chance(30) {
            "NOTICE"
        } else {
            "PRIVMSG"
        };
        let tagged = self.role.profile == Profile::Modern && self.draw.chance(50);
        let tags = if tagged {
            "@+draft/reply=x;+typing=done "
        } else {
            ""
        };
        self.ask(
            Ask::Message(said),
            &format!("{tags}{verb} {target} :{text}"),
        );
    }

    fn look_around(&mut self, context: &mut Context<'_>) {
        let room = self.some_room();
        // Who also asks for history in odd ways could not tell the answers apart, nor who is told of failures without a label.
        let clear = self.role.labels || !context.reads_fail;
        let modern = clear
            && self.role.behaviour != Behaviour::Rubbish
            && self
                .session
                .as_ref()
                .is_some_and(|s| s.has("draft/chathistory"));
        match (self.draw.below(10), room) {
            (0..4, Some(room)) if modern => {
                let single = self.draw.chance(500);
                self.start_fetch(&room, single, context);
            }
            (4..6, Some(room)) if modern => self.fetch_middle(&room, context),
            (6, Some(room)) if modern => self.mark_read(&room, context),
            (7, Some(room)) => self.ask(Ask::Other("NAMES".into()), &format!("NAMES {room}")),
            (8, Some(room)) => self.ask(Ask::Other("WHO".into()), &format!("WHO {room}")),
            (9, _) => self.ask(Ask::Other("LIST".into()), "LIST"),
            _ => {}
        }
    }

    fn mark_read(&mut self, room: &str, context: &mut Context<'_>) {
        let shown = context.tables.room(room).and_then(|channel| {
            let view = self.session.as_ref()?.screen().views.get(&channel.row.id)?;
            context.oracle.ledger.entry(channel.row.id, view.last)
        });
        if let Some(noted) = shown {
            let stamp = format_time(noted.entry.time);
            self.ask(
                Ask::Other("MARKREAD".into()),
                &format!("MARKREAD {room} timestamp={stamp}"),
            );
        }
    }

    fn do_rarely(&mut self) {
        let room = self.some_room().unwrap_or_else(|| "#nowhere".into());
        let people = self.role.people.clone();
        let somebody = self.draw.pick(&people).cloned().unwrap_or_default();
        let line = match self.draw.below(12) {
            0 => format!("TOPIC {room} :topic {}", self.draw.below(1000)),
            1 => format!("PART {room} :away for a while"),
            2 => "AWAY :not here".to_owned(),
            3 => "AWAY".to_owned(),
            4 => format!("WHOIS {somebody}"),
            5 => format!("MODE {room}"),
            6 => format!("MODE {room} +v {somebody}"),
            7 => format!("KICK {room} {somebody} :out"),
            8 => format!("INVITE {somebody} {room}"),
            9 => format!("JOIN {room}"),
            10 => "MODE #nowhere +b *!*@*".to_owned(),
            _ => "LUSERS".to_owned(),
        };
        self.ask(Ask::Other(line.clone()), &line);
    }

    fn disconnect(&mut self, context: &mut Context<'_>) {
        let pause = self.draw.between(50, 5_000);
        match self.draw.below(5) {
            0 | 1 => {
                self.say("QUIT :bye");
                if let Some(session) = &mut self.session {
                    session.quitting = true;
                    session.since = context.now;
                }
            }
            2 => {
                // Cut in the middle of a line.
                self.send(b"PRIVMSG #a :half a li");
                self.leave(context.now, pause);
            }
            3 => {
                self.session = None;
                self.resume = None;
                self.reads_from = 0;
                self.wish = Some(Wish::Leave(Manner::Vanish));
                self.act_at = context.now + pause;
            }
            _ => self.leave(context.now, pause),
        }
    }

    /// What no good client would send.
    fn rubbish(&mut self) {
        let people = self.role.people.clone();
        let somebody = self.draw.pick(&people).cloned().unwrap_or_default();
        let room = self.role.rooms.first().cloned().unwrap_or_default();
        let size = self.draw.size(0, 6_000);
        match self.draw.below(16) {
            0 => {
                let mut bytes = vec![0; size / 10];
                self.draw.fill(&mut bytes);
                self.send(&bytes);
                self.send(b"\r\n");
            }
            1 => {
                // A line without an end for a long time.
                let bytes = vec![b'x'; size];
                self.send(&bytes);
                self.send(b"\n");
            }
            2 => {
                let params = " p".repeat(size / 50);
                self.say(&format!("MODE {room}{params}"));
            }
            3 => self.say(&format!(
                "@{}=1 PRIVMSG {room} :tags",
                "k".repeat(size.max(1))
            )),
            4 => self.say("AUTHENTICATE \u{1f642}=="),
            5 => self.say(&format!("AUTHENTICATE {}", "A".repeat(size / 12))),
            6 => self.say(&format!("NAMES {room}")),
            7 => self.say(&format!("WHOIS {somebody}")),
            8 => self.say(&format!("PRIVMSG {room},{somebody},#x,,: :many")),
            9 => self.say(&format!("CHATHISTORY LATEST {room} * -99999")),
            10 => self.say(&format!(
                "CHATHISTORY BETWEEN {somebody} msgid=zzz timestamp=never -1"
            )),
            11 => self.say(&format!("JOIN #{}", "r".repeat(size / 30))),
            // Before the login it would become somebody else in earnest.
            12 if self.is_online() => self.say(&format!("NICK {somebody}")),
            13 => {
                self.say("AUTHENTICATE PLAIN");
                self.say("AUTHENTICATE AGFsaWNlAHdyb25n");
            }
            14 => self.say(&format!("MONITOR + {}", vec!["n"; size / 100].join(","))),
            _ => self.say("\0\0 \r ::: @"),
        }
    }
}
