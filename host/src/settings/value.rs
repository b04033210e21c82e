//! Values of settings: each checks itself, wherever it comes from, and says in words what it expects.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use soqet_core::config::{Rate, RawPasswords};
use tracing::level_filters::LevelFilter;

/// An address and port to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Self).map_err(|_| {
            format!(
                "`{text}` is not an address with a port; write for example 127.0.0.1:6667 for this computer alone, \
                 or [::]:6667 for every address it has"
            )
        })
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// One or several of them: `irc = "[::]:6667"` or `irc = ["127.0.0.1:6667", "[::1]:6667"]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenAddresses(pub Vec<ListenAddress>);

impl<'de> Deserialize<'de> for ListenAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = ListenAddresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"[::]:6667\", or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                let address = text.parse().map_err(E::custom)?;
                Ok(ListenAddresses(vec![address]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut addresses = Vec::new();
                while let Some(address) = list.next_element()? {
                    addresses.push(address);
                }
                Ok(ListenAddresses(addresses))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

/// How much to log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct LogLevel(pub LevelFilter);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = match text {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => {
                return Err(format!(
                    "`{text}` is not one of off, error, warn, info, debug and trace"
                ));
            }
        };
        Ok(Self(level))
    }
}

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How to write the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// The number of a default, which must be in the range.
    pub const fn new(number: u32) -> Self {
        assert!(MIN <= number && number <= MAX);
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as a count of things in memory.
    pub const fn count(self) -> usize {
        self.0 as usize
    }
}

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// The number, or the largest `u16`: such a range is meant to end there.
    pub fn short(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole<const MIN: u32, const MAX: u32>;

        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Whole<MIN, MAX> {
            type Value = Number<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                u32::try_from(number)
                    .ok()
                    .filter(|number| (MIN..=MAX).contains(number))
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_u32(Whole)
    }
}

/// A name without spaces, for places on the wire where a space would end it: 1 to 63 visible ASCII characters, none of them `:` in front.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Word(String);

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty()
            || text.len() > 63
            || text.starts_with(':')
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(format!(
                "`{text}` must be 1 to 63 visible ASCII characters without spaces, no `:` in front"
            ));
        }
        Ok(Self(text))
    }
}

/// A rate: so many at once, then one more every so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a rate such as { burst = 5, every-ms = 30000 }"
)]
pub struct RateSetting {
    burst: Number<0, 65_535>,
    every_ms: Number<1, 86_400_000>,
}

impl RateSetting {
    /// From the core's form of a default.
    pub const fn new(rate: Rate) -> Self {
        Self {
            burst: Number::new(rate.burst as u32),
            every_ms: Number::new(rate.every_ms),
        }
    }

    /// In the core's form.
    pub fn rate(self) -> Rate {
        Rate {
            burst: self.burst.short(),
            every_ms: self.every_ms.get(),
        }
    }
}

/// Where passwords may be sent as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct RawPasswordsSetting(pub RawPasswords);

impl TryFrom<String> for RawPasswordsSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        RawPasswords::named(&text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not one of {}", RawPasswords::WORDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_port() {
        for good in ["127.0.0.1:6667", "[::]:0", " [::1]:6667 "] {
            assert!(good.parse::<ListenAddress>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "6667",
            "127.0.0.1",
            "::1:x",
            "host:6667",
            "127.0.0.1:70000",
        ] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn words_have_no_spaces() {
        for good in ["a", "chat.example.org"] {
            assert!(Word::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", ":a", "ä", "a\n", &"x".repeat(64)] {
            assert!(Word::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
