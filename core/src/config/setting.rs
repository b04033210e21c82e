//! Settings by name, as an owner sees and changes them over IRC (`CONFIG`) and as they are kept by a store: a board has no
//! configuration file. Their names are those of the host's configuration file.

use core::fmt;

use super::{Config, Rate, RawPasswords, Registration};
use crate::text::Text;

/// Longest value, in bytes.
pub const VALUE_MAX: usize = 63;

/// A setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting(u8);

/// Name, and what it means.
const SETTINGS: [(&str, &str); 21] = [
    ("server.name", "Name of the server in its lines"),
    ("server.network", "Name of the network as clients show it"),
    (
        "accounts.registration",
        "Who may register: open, closed, or invite with a code, as in: invite open-sesame",
    ),
    (
        "accounts.guests",
        "Whether clients may come in without an account: true or false",
    ),
    (
        "accounts.raw-passwords",
        "Where passwords may be sent as they are: never, private (over TLS and from this computer) or everywhere",
    ),
    ("accounts.iterations", "PBKDF2 rounds of new passwords"),
    (
        "history.messages",
        "Entries each room and private chat keeps",
    ),
    (
        "history.replay",
        "Missed messages shown on login to clients that cannot fetch history",
    ),
    ("history.page", "Messages a client may fetch at once"),
    ("limits.rooms-per-account", "Rooms an account may be in"),
    ("limits.bans-per-room", "Bans a room may have"),
    (
        "limits.watches-per-connection",
        "Names a client may MONITOR",
    ),
    (
        "limits.connections-per-address",
        "Connections from one address",
    ),
    (
        "limits.pending-per-connection",
        "Messages of one client that may wait for the store",
    ),
    (
        "limits.flood",
        "Lines of a client: so many at once / then one every so many ms",
    ),
    (
        "limits.register",
        "Registrations from one address: so many at once / then one every so many ms",
    ),
    (
        "limits.make-room",
        "Rooms made by one account: so many at once / then one every so many ms",
    ),
    (
        "limits.login",
        "Failed logins to an account from one address: so many at once / then one every so many ms",
    ),
    (
        "limits.login-per-address",
        "Failed logins from one address: so many at once / then one every so many ms",
    ),
    (
        "limits.ping-ms",
        "Silence after which a client is asked whether it is there, ms",
    ),
    ("limits.login-ms", "Time to log in, ms"),
];

/// When a change counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// From now on.
    Now,
    /// When the server starts the next time.
    NextStart,
}

/// What is wrong with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// Must be a number from here to there.
    Number(u32, u32),
    /// Must be two numbers with `/` between them.
    Rate,
    /// Must be one of these words.
    Word(&'static str),
    /// Must be a name: from 1 to so many letters, digits and `.-_`.
    Name(usize),
    /// An invite code must follow: from 1 to 32 bytes, no spaces.
    Code,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(low, high) => write!(f, "Give a number from {low} to {high}"),
            Self::Rate => f.write_str(
                "Give two numbers, such as 60/100: so many at once (0 switches the limit off), then one every so many ms",
            ),
            Self::Word(words) => write!(f, "Give {words}"),
            Self::Name(longest) => write!(f, "Give at most {longest} letters, digits and .-_"),
            Self::Code => f.write_str("Give the code too, as in: invite open-sesame"),
        }
    }
}

/// Where a setting lies in a configuration, and what it may be.
enum Place<'c, 'a> {
    Name(&'c mut &'a str, usize),
    Registration(&'c mut Registration),
    Bool(&'c mut bool),
    Raw(&'c mut RawPasswords),
    Wide(&'c mut u32, u32, u32),
    Short(&'c mut u16, u16),
    Rate(&'c mut Rate),
}

impl Setting {
    /// All, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SETTINGS.len() as u8).map(Self)
    }

    /// The setting of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|setting| setting.name() == name)
    }

    /// The one with that number, counted from 0.
    pub fn numbered(number: u16) -> Option<Self> {
        (usize::from(number) < SETTINGS.len()).then_some(Self(number as u8))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        SETTINGS.get(usize::from(self.0)).map_or("", |row| row.0)
    }

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        SETTINGS.get(usize::from(self.0)).map_or("", |row| row.1)
    }

    /// Whether it is a rate.
    pub(crate) const fn is_rate(self) -> bool {
        matches!(self.0, 14..=18)
    }

    /// Its bit in [`Config::fixed`].
    pub const fn bit(self) -> u32 {
        1 << self.0
    }
}

impl<'a> Config<'a> {
    fn place(&mut self, setting: Setting) -> Place<'_, 'a> {
        match setting.0 {
            0 => Place::Name(&mut self.server_name, VALUE_MAX),
            1 => Place::Name(&mut self.network, 32),
            2 => Place::Registration(&mut self.registration),
            3 => Place::Bool(&mut self.guests),
            4 => Place::Raw(&mut self.raw_passwords),
            5 => Place::Wide(&mut self.iterations, 4096, 10_000_000),
            6 => Place::Wide(&mut self.history, 1, 1_000_000_000),
            7 => Place::Short(&mut self.replay, 0),
            8 => Place::Short(&mut self.page, 1),
            9 => Place::Short(&mut self.rooms_per_account, 1),
            10 => Place::Short(&mut self.bans_per_room, 0),
            11 => Place::Short(&mut self.watches_per_connection, 0),
            12 => Place::Short(&mut self.connections_per_address, 1),
            13 => Place::Short(&mut self.appends_per_connection, 1),
            14 => Place::Rate(&mut self.flood),
            15 => Place::Rate(&mut self.register_rate),
            16 => Place::Rate(&mut self.room_rate),
            17 => Place::Rate(&mut self.login_rate),
            18 => Place::Rate(&mut self.login_address_rate),
            19 => Place::Wide(&mut self.ping_ms, 1_000, 86_400_000),
            _ => Place::Wide(&mut self.login_ms, 1_000, 86_400_000),
        }
    }

    /// Changes a setting of a running server. A name stays as it is until the next start.
    ///
    /// # Errors
    /// What the value must be.
    pub fn change(&mut self, setting: Setting, value: &str) -> Result<Applies, Wrong> {
        if let Place::Name(_, longest) = self.place(setting) {
            return match is_name(value, longest) {
                true => Ok(Applies::NextStart),
                false => Err(Wrong::Name(longest)),
            };
        }
        self.assign(setting, value)?;
        Ok(Applies::Now)
    }

    /// Takes over what was changed before and kept by the store, when the server starts; unknown names, values that are no longer
    /// allowed, and what is [`fixed`](Self::fixed) are passed over.
    pub fn restore(&mut self, name: &str, value: &'a str) {
        let Some(setting) = Setting::named(name) else {
            return;
        };
        if self.fixed & setting.bit() != 0 {
            return;
        }
        if let Place::Name(place, longest) = self.place(setting) {
            if is_name(value, longest) {
                *place = value;
            }
        } else {
            let _ = self.assign(setting, value);
        }
    }

    fn assign(&mut self, setting: Setting, value: &str) -> Result<(), Wrong> {
        match self.place(setting) {
            Place::Name(..) => {}
            Place::Registration(place) => {
                *place = match value.split_once(' ').unwrap_or((value, "")) {
                    ("open", "") => Registration::Open,
                    ("closed", "") => Registration::Closed,
                    ("invite", code) => Text::new(code)
                        .filter(|code| !code.is_empty() && !code.contains(' '))
                        .map(Registration::Invite)
                        .ok_or(Wrong::Code)?,
                    _ => return Err(Wrong::Word("open, closed, or invite and a code")),
                };
            }
            Place::Bool(place) => {
                *place = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(Wrong::Word("true or false")),
                };
            }
            Place::Raw(place) => {
                *place = RawPasswords::named(value).ok_or(Wrong::Word(RawPasswords::WORDS))?
            }
            Place::Wide(place, low, high) => {
                *place = number(value, low, high).ok_or(Wrong::Number(low, high))?;
            }
            Place::Short(place, low) => {
                let (low, high) = (u32::from(low), u32::from(u16::MAX));
                *place = number(value, low, high).ok_or(Wrong::Number(low, high))? as u16;
            }
            Place::Rate(place) => {
                let (burst, every) = value.split_once('/').ok_or(Wrong::Rate)?;
                *place = Rate {
                    burst: number(burst, 0, u32::from(u16::MAX)).ok_or(Wrong::Rate)? as u16,
                    every_ms: number(every, 1, 86_400_000).ok_or(Wrong::Rate)?,
                };
            }
        }
        Ok(())
    }

    /// Writes a setting's value as [`Self::change`] takes it.
    pub fn write(&self, setting: Setting, out: &mut impl fmt::Write) -> fmt::Result {
        match ({ *self }).place(setting) {
            Place::Name(name, _) => out.write_str(name),
            Place::Registration(Registration::Open) => out.write_str("open"),
            Place::Registration(Registration::Closed) => out.write_str("closed"),
            Place::Registration(Registration::Invite(code)) => write!(out, "invite {code}"),
            Place::Bool(yes) => out.write_str(if *yes { "true" } else { "false" }),
            Place::Raw(raw) => out.write_str(raw.word()),
            Place::Wide(number, ..) => write!(out, "{number}"),
            Place::Short(number, _) => write!(out, "{number}"),
            Place::Rate(Rate { burst, every_ms }) => write!(out, "{burst}/{every_ms}"),
        }
    }
}

fn number(text: &str, low: u32, high: u32) -> Option<u32> {
    text.parse().ok().filter(|n| (low..=high).contains(n))
}

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn shown(config: &Config<'_>, setting: Setting) -> String {
        let mut text = String::new();
        config.write(setting, &mut text).unwrap();
        text
    }

    #[test]
    fn every_setting_can_be_set_to_what_it_shows() {
        for setting in Setting::all() {
            assert_eq!(Setting::named(setting.name()), Some(setting));
            let mut config = Config::DEFAULT;
            let value = shown(&config, setting);
            assert_eq!(setting.is_rate(), value.contains('/'));
            assert!(value.len() <= VALUE_MAX, "{value}");
            config.change(setting, &value).unwrap();
            assert_eq!(shown(&config, setting), value);
        }
    }

    #[test]
    fn every_setting_has_a_place_of_its_own() {
        for setting in Setting::all() {
            let mut config = Config::DEFAULT;
            let other = [
                "other.name",
                "closed",
                "true",
                "everywhere",
                "5000",
                "77/8888",
            ]
            .into_iter()
            .find(|value| {
                config.restore(setting.name(), value);
                shown(&config, setting) == *value && shown(&Config::DEFAULT, setting) != *value
            })
            .unwrap_or_else(|| panic!("{} takes nothing", setting.name()));
            for unchanged in Setting::all().filter(|s| *s != setting) {
                assert_eq!(
                    shown(&config, unchanged),
                    shown(&Config::DEFAULT, unchanged),
                    "{} = {other}",
                    setting.name()
                );
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        for (name, value) in [
            ("server.name", "two words"),
            ("server.name", ""),
            ("accounts.registration", "invite"),
            ("accounts.registration", "invite two words"),
            ("accounts.registration", "everybody"),
            ("accounts.guests", "yes"),
            ("accounts.iterations", "4095"),
            ("history.messages", "0"),
            ("history.page", "70000"),
            ("limits.flood", "60"),
            ("limits.flood", "60/0"),
            ("limits.ping-ms", "-1"),
        ] {
            let mut config = Config::DEFAULT;
            let setting = Setting::named(name).unwrap();
            assert!(config.change(setting, value).is_err(), "{name} = {value}");
            assert_eq!(shown(&config, setting), shown(&Config::DEFAULT, setting));
        }
    }

    #[test]
    fn what_is_fixed_is_not_restored() {
        let page = Setting::named("history.page").unwrap();
        let mut config = Config {
            fixed: page.bit(),
            ..Config::DEFAULT
        };
        config.restore("history.page", "7");
        config.restore("history.replay", "9");
        config.restore("no.such", "9");
        assert_eq!((config.page, config.replay), (Config::DEFAULT.page, 9));
    }
}
