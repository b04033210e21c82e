//! A life of a store: random operations that make sense, each as the core would ask.

use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::packed::Packed;
use soqet_core::store::{
    AccountChange, AccountRecord, Append, Change, ChannelKey, Entry, Kind, Marker, Operation,
    Settings, Verifier,
};
use soqet_sim::draw::Draw;

/// Entries a channel keeps.
pub const KEEP: u32 = 70;

/// Draws operations.
pub struct Workload {
    pub draw: Draw,
    /// The highest ids given.
    pub accounts: u32,
    pub channels: u32,
    time: u64,
    msgid: u64,
    texts: Vec<u8>,
}

const TEXT: &str = "The quick brown fox 跳过 the lazy dog. Sphinx of black quartz, judge my vow! \
    Jackdaws love my big sphinx of quartz; pack my box with five dozen liquor jugs, and so on and on. ";

impl Workload {
    pub fn new(draw: Draw) -> Self {
        Self {
            draw,
            accounts: 0,
            channels: 0,
            time: 100,
            msgid: 0,
            texts: TEXT.repeat(6).into_bytes(),
        }
    }

    fn account(&mut self) -> AccountId {
        AccountId(self.draw.between(1, u64::from(self.accounts)) as u32)
    }

    /// One of them is busy.
    fn channel(&mut self) -> ChannelId {
        if self.draw.chance(400) {
            return ChannelId(2);
        }
        ChannelId(self.draw.between(1, u64::from(self.channels)) as u32)
    }

    /// The next operation and its texts.
    pub fn next(&mut self) -> (Packed, Vec<u8>) {
        let mut texts = vec![0; 2000];
        let words = String::from_utf8(self.texts.clone()).unwrap_or_default();
        let length = match self.draw.below(10) {
            0 => self.draw.size(0, 900),
            _ => self.draw.size(1, 150),
        };
        let text = &words[..words.floor_char_boundary(length)];
        let name = format!("P{}", self.draw.below(14));
        let room = format!("#Room{}", self.draw.below(7));
        let mask = format!("M{}!*@*", self.draw.below(6));
        let operation = self.operation(text, &name, &room, &mask);
        let packed = Packed::new(&operation, &mut texts).expect("there is room");
        (packed, texts)
    }

    fn operation<'a>(
        &mut self,
        text: &'a str,
        name: &'a str,
        room: &'a str,
        mask: &'a str,
    ) -> Operation<'a> {
        self.time += self.draw.below(3);
        if self.accounts < 3 || self.draw.chance(20) {
            self.accounts += 1;
            return Operation::CreateAccount(AccountRecord {
                id: AccountId::NONE,
                name,
                display: "安",
                titles: "",
                flags: self.draw.below(2) as u8 * 4,
                verifier: Verifier {
                    iterations: 4096,
                    salt: [self.accounts as u8; 16],
                    ..Verifier::NONE
                },
                created: self.time,
            });
        }
        if self.channels < 3 || self.draw.chance(20) {
            self.channels += 1;
            let key = if self.draw.chance(500) {
                let (a, b) = (self.account(), self.account());
                ChannelKey::Direct(a.min(b), a.max(b))
            } else {
                ChannelKey::Room(room)
            };
            return Operation::CreateChannel {
                key,
                founder: self.account(),
                time: self.time,
                modes: 3,
            };
        }
        let (account, channel) = (self.account(), self.channel());
        match self.draw.below(100) {
            0 => Operation::RemoveAccount { account },
            1 => Operation::RemoveChannel { channel },
            2..=4 => Operation::PutSettings(Settings {
                secret: [self.time as u8; 32],
                time_reserved: self.time,
            }),
            5..=9 => Operation::ChangeAccount {
                account,
                change: match self.draw.below(3) {
                    0 => AccountChange::Titles("cook,sailor"),
                    1 => AccountChange::Display(mask),
                    _ => AccountChange::Flags(self.draw.below(8) as u8),
                },
            },
            10..=24 => Operation::PutMarker {
                channel,
                account,
                read: Marker {
                    seq: Seq(self.draw.below(100)),
                    time: self.draw.below(self.time),
                },
                delivered: Seq(self.draw.below(100)),
            },
            25..=39 => {
                let by = "ann";
                let change = match self.draw.below(8) {
                    0..=2 => Change::Member { account, flags: 1 },
                    3 => Change::Member { account, flags: 0 },
                    4 => Change::Topic {
                        text: &text[..text.floor_char_boundary(300)],
                        by,
                    },
                    5 => Change::Modes {
                        modes: self.draw.below(16) as u32,
                        key: "sesame",
                        limit: 9,
                    },
                    6 => Change::Ban { mask, by },
                    _ => Change::Unban { mask },
                };
                let kind = Kind::from_number(self.draw.between(3, 8) as u8);
                self.append(channel, text, kind.unwrap_or(Kind::Join), change)
            }
            _ => self.append(channel, text, Kind::Privmsg, Change::None),
        }
    }

    fn append<'a>(
        &mut self,
        channel: ChannelId,
        text: &'a str,
        kind: Kind,
        change: Change<'a>,
    ) -> Operation<'a> {
        self.msgid += 1;
        // Now and then one is overtaken.
        let late = if self.draw.chance(50) { 1_000_000 } else { 0 };
        let msgid = MsgId(self.msgid + late);
        Operation::Append(Append {
            time: self.time,
            entry: Entry {
                kind,
                text,
                ..message(channel, msgid.0).entry
            },
            change,
            ..message(channel, msgid.0)
        })
    }
}

/// A message.
pub fn message(channel: ChannelId, msgid: u64) -> Append<'static> {
    let msgid = MsgId(msgid);
    Append {
        channel,
        time: 0,
        msgid,
        entry: Entry {
            seq: Seq::NONE,
            time: 0,
            msgid,
            kind: Kind::Privmsg,
            sender: AccountId(1),
            nick: "ann",
            tags: "+draft/reply=abc",
            subject: "",
            text: TEXT,
        },
        change: Change::None,
        keep: KEEP,
    }
}
