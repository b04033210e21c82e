//! The configuration file: TOML, one section a subject. What is not set has the core's default; what is not known is an error.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use soqet_core::auth::{ITERATIONS_MAX, ITERATIONS_MIN};
use soqet_core::config::{Config, INVITE_MAX, Registration, Setting};
use soqet_core::memory::Capacities;
use soqet_core::text::Text;

use super::value::{
    ListenAddresses, LogFormat, LogLevel, Number, RateSetting, RawPasswordsSetting, Word,
};
use crate::failure::Failure;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Folder of the data; relative to the file's own folder.
    pub data: Option<PathBuf>,
    /// Where IRC clients are expected.
    pub irc: Option<ListenAddresses>,
    /// How many clients at once.
    pub max_connections: Option<Number<1, 1_000_000>>,
    /// How much to log.
    pub log: Option<LogLevel>,
    /// How to write the log.
    pub log_format: Option<LogFormat>,
    /// Names.
    pub server: Server,
    /// Who may come in.
    pub accounts: Accounts,
    /// What is remembered.
    pub history: History,
    /// How much of everything.
    pub limits: Limits,
    /// How much room.
    pub memory: Memory,
    /// What the file says, and an owner therefore cannot change over IRC; see [`Config::fixed`].
    #[serde(skip)]
    fixed: u32,
}

/// Names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section: write [server] on a line of its own, and its settings below"
)]
pub struct Server {
    /// The server's name on the wire.
    name: Option<Word>,
    /// The network's name.
    network: Option<Word>,
    /// Message of the day.
    motd: String,
}

/// Who may come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section: write [accounts] on a line of its own, and its settings below"
)]
pub struct Accounts {
    /// Who may register.
    registration: RegistrationSetting,
    /// What must be known to register by invitation.
    invite_code: Option<Word>,
    /// Whether clients may come in without an account.
    guests: bool,
    /// Where passwords may be sent as they are.
    raw_passwords: RawPasswordsSetting,
    /// PBKDF2 rounds.
    iterations: Number<ITERATIONS_MIN, ITERATIONS_MAX>,
    /// PBKDF2 rounds in one go.
    derive_budget: Number<1, 10_000_000>,
}

/// Who may register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RegistrationSetting {
    Open,
    Invite,
    Closed,
}

/// What is remembered.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section: write [history] on a line of its own, and its settings below"
)]
pub struct History {
    /// Entries a channel keeps.
    messages: Number<1, 1_000_000_000>,
    /// Messages replayed to clients that cannot fetch history.
    replay: Number<0, 65_535>,
    /// Messages of a page.
    page: Number<1, 65_535>,
}

/// How much of everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section: write [limits] on a line of its own, and its settings below"
)]
pub struct Limits {
    rooms_per_account: Number<1, 65_535>,
    bans_per_room: Number<0, 65_535>,
    watches_per_connection: Number<0, 65_535>,
    connections_per_address: Number<1, 65_535>,
    pending_per_connection: Number<1, 65_535>,
    flood: RateSetting,
    register: RateSetting,
    make_room: RateSetting,
    login: RateSetting,
    login_per_address: RateSetting,
    ping_ms: Number<1_000, 86_400_000>,
    login_ms: Number<1_000, 86_400_000>,
}

/// How much room; what is not set grows with `max-connections`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a section: write [memory] on a line of its own, and its settings below"
)]
pub struct Memory {
    accounts: Option<Number<16, 100_000_000>>,
    channels: Option<Number<16, 100_000_000>>,
    memberships: Option<Number<64, 100_000_000>>,
    watches: Option<Number<16, 100_000_000>>,
    bans: Option<Number<16, 100_000_000>>,
    requests: Option<Number<16, 1_000_000>>,
    pending_messages: Option<Number<8, 1_000_000>>,
    logins: Option<Number<3, 1_000_000>>,
    rates: Option<Number<32, 100_000_000>>,
    buffers: Option<Number<10, 1_000_000>>,
    pages: Option<Number<3, 100_000>>,
    history_mib: Option<Number<1, 65_536>>,
}

impl Default for Accounts {
    fn default() -> Self {
        const CORE: Config<'static> = Config::DEFAULT;
        Self {
            registration: match CORE.registration {
                Registration::Open => RegistrationSetting::Open,
                Registration::Invite(_) => RegistrationSetting::Invite,
                Registration::Closed => RegistrationSetting::Closed,
            },
            invite_code: None,
            guests: CORE.guests,
            raw_passwords: RawPasswordsSetting(CORE.raw_passwords),
            iterations: const { Number::new(CORE.iterations) },
            derive_budget: const { Number::new(CORE.derive_budget) },
        }
    }
}

impl Default for History {
    fn default() -> Self {
        const CORE: Config<'static> = Config::DEFAULT;
        Self {
            messages: const { Number::new(CORE.history) },
            replay: const { Number::new(CORE.replay as u32) },
            page: const { Number::new(CORE.page as u32) },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const CORE: Config<'static> = Config::DEFAULT;
        Self {
            rooms_per_account: const { Number::new(CORE.rooms_per_account as u32) },
            bans_per_room: const { Number::new(CORE.bans_per_room as u32) },
            watches_per_connection: const { Number::new(CORE.watches_per_connection as u32) },
            connections_per_address: const { Number::new(CORE.connections_per_address as u32) },
            pending_per_connection: const { Number::new(CORE.appends_per_connection as u32) },
            flood: const { RateSetting::new(CORE.flood) },
            register: const { RateSetting::new(CORE.register_rate) },
            make_room: const { RateSetting::new(CORE.room_rate) },
            login: const { RateSetting::new(CORE.login_rate) },
            login_per_address: const { RateSetting::new(CORE.login_address_rate) },
            ping_ms: const { Number::new(CORE.ping_ms) },
            login_ms: const { Number::new(CORE.login_ms) },
        }
    }
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!(
                "the configuration file {} cannot be read: {error}\nCheck the path and its permissions, or start without --config.",
                path.display()
            ))
        })?;
        let mut file = Self::parse(&text, path)?;
        if let Some(data) = &file.data {
            // `join` leaves an absolute path as it is.
            file.data = Some(path.parent().unwrap_or(Path::new("")).join(data));
        }
        Ok(file)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let mut file: Self = toml::from_str(text).map_err(|error| explain(&error, text, path))?;
        let table: toml::Table =
            toml::from_str(text).map_err(|error| explain(&error, text, path))?;
        file.fixed = Setting::all()
            .filter(|setting| is_in(&table, setting.name()))
            .fold(0, |fixed, setting| fixed | setting.bit());
        if let Some(code) = &file.accounts.invite_code
            && code.as_str().len() > INVITE_MAX
        {
            return Err(Failure::new(format!(
                "{}: invite-code is longer than {INVITE_MAX} bytes\nChoose a shorter one.",
                path.display()
            )));
        }
        if file.accounts.registration == RegistrationSetting::Invite
            && file.accounts.invite_code.is_none()
        {
            return Err(Failure::new(format!(
                "{}: registration = \"invite\" needs a code\nAdd a line such as invite-code = \"open-sesame\" below it.",
                path.display()
            )));
        }
        Ok(file)
    }

    /// Whether there is an invite code that nobody is asked for, because registration is not by invitation.
    pub fn has_idle_code(&self) -> bool {
        self.accounts.invite_code.is_some()
            && self.accounts.registration != RegistrationSetting::Invite
    }

    /// Names, policy and limits for the core.
    pub fn config(&self) -> Config<'_> {
        let core = Config::DEFAULT;
        Config {
            server_name: self
                .server
                .name
                .as_ref()
                .map_or(core.server_name, Word::as_str),
            network: self
                .server
                .network
                .as_ref()
                .map_or(core.network, Word::as_str),
            motd: &self.server.motd,
            version: core.version,
            registration: match (self.accounts.registration, &self.accounts.invite_code) {
                (RegistrationSetting::Open, _) => Registration::Open,
                (RegistrationSetting::Invite, Some(code)) => {
                    Registration::Invite(Text::truncated(code.as_str()))
                }
                (RegistrationSetting::Invite, None) | (RegistrationSetting::Closed, _) => {
                    Registration::Closed
                }
            },
            guests: self.accounts.guests,
            raw_passwords: self.accounts.raw_passwords.0,
            iterations: self.accounts.iterations.get(),
            derive_budget: self.accounts.derive_budget.get(),
            history: self.history.messages.get(),
            replay: self.history.replay.short(),
            page: self.history.page.short(),
            rooms_per_account: self.limits.rooms_per_account.short(),
            bans_per_room: self.limits.bans_per_room.short(),
            watches_per_connection: self.limits.watches_per_connection.short(),
            connections_per_address: self.limits.connections_per_address.short(),
            appends_per_connection: self.limits.pending_per_connection.short(),
            flood: self.limits.flood.rate(),
            register_rate: self.limits.register.rate(),
            room_rate: self.limits.make_room.rate(),
            login_rate: self.limits.login.rate(),
            login_address_rate: self.limits.login_per_address.rate(),
            ping_ms: self.limits.ping_ms.get(),
            login_ms: self.limits.login_ms.get(),
            fixed: self.fixed,
        }
    }

    /// Sizes of the core's tables for so many connections.
    pub fn capacities(&self, connections: usize) -> Capacities {
        let mut sizes = Capacities::for_connections(connections);
        let memory = &self.memory;
        let set = |size: &mut usize, setting: Option<usize>| {
            if let Some(setting) = setting {
                *size = setting;
            }
        };
        set(&mut sizes.accounts, memory.accounts.map(Number::count));
        set(&mut sizes.channels, memory.channels.map(Number::count));
        set(&mut sizes.members, memory.memberships.map(Number::count));
        set(
            &mut sizes.attachments,
            memory.memberships.map(Number::count),
        );
        set(&mut sizes.watches, memory.watches.map(Number::count));
        set(&mut sizes.bans, memory.bans.map(Number::count));
        set(&mut sizes.requests, memory.requests.map(Number::count));
        set(
            &mut sizes.appends,
            memory.pending_messages.map(Number::count),
        );
        set(&mut sizes.handshakes, memory.logins.map(Number::count));
        set(&mut sizes.throttles, memory.rates.map(Number::count));
        set(&mut sizes.lines, memory.buffers.map(Number::count));
        set(&mut sizes.replies, memory.buffers.map(Number::count));
        sizes.bodies = sizes.appends + sizes.handshakes;
        set(&mut sizes.pages, memory.pages.map(Number::count));
        let block = sizes.block_size;
        set(
            &mut sizes.blocks,
            memory
                .history_mib
                .map(|mib| mib.count().saturating_mul(1024 * 1024) / block),
        );
        sizes
    }
}

/// Whether a file says something about `section.setting`.
fn is_in(table: &toml::Table, name: &str) -> bool {
    name.split_once('.').is_some_and(|(section, setting)| {
        table
            .get(section)
            .and_then(toml::Value::as_table)
            .is_some_and(|section| section.contains_key(setting))
    })
}

/// What a parser of types says, for who has never heard of types.
fn in_words(message: &str) -> String {
    let wrong = message
        .strip_prefix("invalid type: ")
        .or(message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "));
    if let Some((found, expected)) = wrong {
        const KINDS: [(&str, &str); 6] = [
            ("string ", "the text "),
            ("integer ", "the number "),
            ("floating point ", "the number "),
            ("boolean ", ""),
            ("sequence", "a list"),
            ("map", "a table"),
        ];
        let found = KINDS
            .iter()
            .find_map(|(kind, word)| Some(format!("{word}{}", found.strip_prefix(kind)?)))
            .unwrap_or_else(|| found.to_owned());
        let expected = match expected {
            "a boolean" => "true or false",
            "a string" => "text between quotes",
            other => other,
        };
        return format!("{found} is not {expected}");
    }
    message
        .replace("unknown field", "unknown setting")
        .replace("missing field", "missing setting")
        .replace("unknown variant", "unknown word")
        .replace(", expected one of", "; there are")
        .replace(", expected `", "; there is `")
}

/// Says where in the file the mistake is and what it is.
fn explain(error: &toml::de::Error, text: &str, path: &Path) -> Failure {
    let message = in_words(error.message());
    let Some(span) = error.span() else {
        return Failure::new(format!("{}: {message}", path.display()));
    };
    let before = text.get(..span.start).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let key = line
        .split_once('=')
        .map(|(key, _)| format!(" `{}`:", key.trim()))
        .unwrap_or_default();
    Failure::new(format!(
        "{}, line {number}:{key} {message}\n    {line}\nCorrect this line and start again.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use soqet_core::config::RawPasswords;

    fn parse(text: &str) -> Result<File, String> {
        File::parse(text, Path::new("soqet.toml")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_empty_file_is_the_cores_default() {
        let file = parse("").unwrap();
        assert_eq!(
            format!("{:?}", file.config()),
            format!("{:?}", Config::DEFAULT)
        );
        assert_eq!(file.capacities(50), Capacities::for_connections(50));
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        const DOCUMENTED: &str = include_str!("../../../docs/soqet.toml");
        let file = parse(DOCUMENTED).unwrap();
        let all_fixed = Setting::all().fold(0, |fixed, setting| fixed | setting.bit());
        assert_eq!(
            format!("{:?}", file.config()),
            format!(
                "{:?}",
                Config {
                    fixed: all_fixed,
                    ..Config::DEFAULT
                }
            )
        );
        // With the lines that are comments only because they depend on others: they are known, and have the values they would have.
        let uncommented: String = DOCUMENTED
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains(". ") => setting,
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let file = parse(&uncommented).unwrap();
        let connections = file.max_connections.map(Number::count).unwrap();
        assert_eq!(
            file.capacities(connections),
            Capacities::for_connections(connections)
        );
        assert!(file.memory.history_mib.is_some() && file.accounts.invite_code.is_some());
    }

    #[test]
    fn every_section_reaches_the_core() {
        let file = parse(
            r#"
            irc = ["127.0.0.1:1", "[::1]:2"]
            max-connections = 12
            log = "debug"
            log-format = "json"
            [server]
            name = "chat.example.org"
            network = "Example"
            motd = "Hello\nworld"
            [accounts]
            registration = "invite"
            invite-code = "sesame"
            guests = true
            raw-passwords = "never"
            iterations = 5000
            [history]
            messages = 77
            [limits]
            flood = { burst = 3, every-ms = 4 }
            ping-ms = 60000
            [memory]
            channels = 99
            history-mib = 1
            "#,
        )
        .unwrap();
        assert_eq!(file.irc.as_ref().map(|irc| irc.0.len()), Some(2));
        let config = file.config();
        assert_eq!(config.server_name, "chat.example.org");
        assert_eq!(config.network, "Example");
        assert_eq!(config.motd, "Hello\nworld");
        assert_eq!(
            config.registration,
            Registration::Invite(Text::truncated("sesame"))
        );
        assert!(config.guests && config.raw_passwords == RawPasswords::Never);
        let fixed: Vec<_> = Setting::all()
            .filter(|setting| config.fixed & setting.bit() != 0)
            .map(Setting::name)
            .collect();
        assert_eq!(
            fixed,
            [
                "server.name",
                "server.network",
                "accounts.registration",
                "accounts.guests",
                "accounts.raw-passwords",
                "accounts.iterations",
                "history.messages",
                "limits.flood",
                "limits.ping-ms",
            ]
        );
        assert_eq!((config.iterations, config.history), (5000, 77));
        assert_eq!((config.flood.burst, config.flood.every_ms), (3, 4));
        assert_eq!(config.ping_ms, 60_000);
        let sizes = file.capacities(12);
        assert_eq!(sizes.channels, 99);
        assert_eq!(sizes.blocks * sizes.block_size, 1024 * 1024);
    }

    #[test]
    fn mistakes_name_file_line_and_key() {
        for (text, parts) in [
            (
                "\nmax-connection = 3",
                &[
                    "soqet.toml, line 2",
                    "unknown setting `max-connection`",
                    "`max-connections`",
                ][..],
            ),
            (
                "max-connections = \"many\"",
                &[
                    "line 1",
                    "`max-connections`",
                    "a whole number from 1 to 1000000",
                ],
            ),
            (
                "max-connections = 0",
                &["line 1", "a whole number from 1 to 1000000"],
            ),
            (
                "max-connections = -1",
                &["line 1", "a whole number from 1 to 1000000"],
            ),
            (
                "irc = [\"localhost\"]",
                &["line 1", "`irc`", "127.0.0.1:6667"],
            ),
            ("log = \"loud\"", &["`log`", "info, debug"]),
            (
                "[accounts]\niterations = 1",
                &["line 2", "`iterations`", "from 4096"],
            ),
            (
                "[accounts]\nguests = 1",
                &["line 2", "`guests`", "the number `1` is not true or false"],
            ),
            (
                "irc = 6667",
                &["`irc`", "is not an address such as \"[::]:6667\""],
            ),
            (
                "server = \"x\"",
                &["`server`", "is not a section: write [server]"],
            ),
            (
                "[limits]\nflood = 5",
                &["`flood`", "the number `5` is not a rate such as { burst"],
            ),
            (
                "[limits]\nrooms-per-account = 0",
                &["a whole number from 1 to 65535"],
            ),
            ("[history]\npage = 0", &["a whole number from 1 to 65535"]),
            (
                "[server]\nmotd = [1]",
                &["a list is not text between quotes"],
            ),
            (
                "[accounts]\nregistration = \"none\"",
                &["line 2", "`open`, `invite`, `closed`"],
            ),
            (
                "[server]\n\nname = \"my server\"",
                &["line 3", "`name`", "without spaces"],
            ),
            (
                "[limits]\nflood = { burst = 1 }",
                &["line 2", "`flood`", "every-ms"],
            ),
            ("[sever]", &["line 1", "`sever`", "`server`"]),
            ("a b", &["line 1"]),
            ("[accounts]\nregistration = \"invite\"", &["invite-code"]),
            (
                "[accounts]\nregistration = \"invite\"\ninvite-code = \"\"",
                &["line 3", "`invite-code`", "without spaces"],
            ),
        ] {
            let message = parse(text).unwrap_err();
            for part in parts {
                assert!(message.contains(part), "{text:?}: {message}");
            }
        }
    }

    #[test]
    fn a_code_nobody_is_asked_for_is_noticed() {
        let idle = |text: &str| parse(text).unwrap().has_idle_code();
        assert!(idle("[accounts]\ninvite-code = \"sesame\""));
        assert!(!idle(
            "[accounts]\nregistration = \"invite\"\ninvite-code = \"sesame\""
        ));
        assert!(!idle(""));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}(\n[a-z-]{0,12} ?=? ?\\PC{0,20}){0,4}") {
            let _ = parse(&text);
        }
    }
}
