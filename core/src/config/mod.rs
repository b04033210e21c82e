//! What an operator can set: names, policy and limits. Sizes of tables are [`Capacities`](crate::memory::Capacities).

mod setting;

pub use self::setting::{Applies, Setting, VALUE_MAX, Wrong};

use crate::text::Text;

/// Longest invite code, in bytes.
pub const INVITE_MAX: usize = 32;

/// How fast something may happen: `burst` at once, then one more every `every_ms` milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many at once; 0 switches the limit off.
    pub burst: u16,
    /// Milliseconds until one more is allowed, at least 1.
    pub every_ms: u32,
}

/// Who may register an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Who knows the code, given in REGISTER in place of an e-mail address.
    Invite(Text<INVITE_MAX>),
    /// Nobody; the owner adds accounts.
    Closed,
}

/// Where PLAIN, PASS and REGISTER with a raw password are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RawPasswords {
    /// Nowhere: SCRAM and verifiers only.
    Never,
    /// Over TLS and from the same machine.
    Private,
    /// Over a network that everybody can listen to as well.
    Everywhere,
}

impl RawPasswords {
    /// The words for them.
    pub const WORDS: &str = "never, private or everywhere";

    /// The one of that word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Never, Self::Private, Self::Everywhere]
            .into_iter()
            .find(|one| one.word() == word)
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Private => "private",
            Self::Everywhere => "everywhere",
        }
    }
}

/// Names, policy and limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Source of the server's own lines and host part of everybody's `nick!nick@host`; at most 63 bytes, no space.
    pub server_name: &'a str,
    /// Network name in ISUPPORT; no space.
    pub network: &'a str,
    /// Message of the day, lines separated by `\n`; may be empty.
    pub motd: &'a str,
    /// Version shown by VERSION and 002.
    pub version: &'a str,
    /// Who may register.
    pub registration: Registration,
    /// Whether NICK and USER alone make a guest: an account without credentials that ends with its last connection.
    pub guests: bool,
    /// Where passwords may be sent as they are.
    pub raw_passwords: RawPasswords,
    /// PBKDF2 rounds of new verifiers, at least 4096.
    pub iterations: u32,
    /// PBKDF2 rounds derived in one `poll` at most.
    pub derive_budget: u32,
    /// Entries a channel keeps.
    pub history: u32,
    /// Messages replayed per channel to a client that cannot fetch history.
    pub replay: u16,
    /// Messages of a CHATHISTORY page at most.
    pub page: u16,
    /// Rooms an account may have joined.
    pub rooms_per_account: u16,
    /// Bans a room may have.
    pub bans_per_room: u16,
    /// Names a connection may MONITOR.
    pub watches_per_connection: u16,
    /// Connections from one address (loopback excepted).
    pub connections_per_address: u16,
    /// Messages of a connection that may wait for the store.
    pub appends_per_connection: u16,
    /// Lines of a connection, after login.
    pub flood: Rate,
    /// Registrations from one address.
    pub register_rate: Rate,
    /// Rooms made by one account.
    pub room_rate: Rate,
    /// Failed logins to one account from one address.
    pub login_rate: Rate,
    /// Failed logins from one address, and (ten times as many) to one account from everywhere.
    pub login_address_rate: Rate,
    /// Silence after which a PING is sent, and again as long until the connection is closed; milliseconds.
    pub ping_ms: u32,
    /// Time to log in; milliseconds.
    pub login_ms: u32,
    /// [Bits](Setting::bit) of the settings that an owner cannot change over IRC, because they are set elsewhere.
    pub fixed: u32,
}

impl Config<'_> {
    /// Sensible values for a host.
    pub const DEFAULT: Config<'static> = Config {
        server_name: "soqet.local",
        network: "soQet",
        motd: "",
        version: concat!("soqet-", env!("CARGO_PKG_VERSION")),
        registration: Registration::Open,
        guests: false,
        raw_passwords: RawPasswords::Private,
        iterations: 10_000,
        derive_budget: 1_000,
        history: 10_000,
        replay: 200,
        page: 100,
        rooms_per_account: 50,
        bans_per_room: 100,
        watches_per_connection: 100,
        connections_per_address: 200,
        appends_per_connection: 64,
        flood: Rate {
            burst: 60,
            every_ms: 100,
        },
        register_rate: Rate {
            burst: 40,
            every_ms: 10_000,
        },
        room_rate: Rate {
            burst: 20,
            every_ms: 60_000,
        },
        login_rate: Rate {
            burst: 5,
            every_ms: 30_000,
        },
        login_address_rate: Rate {
            burst: 50,
            every_ms: 5_000,
        },
        ping_ms: 90_000,
        login_ms: 180_000,
        fixed: 0,
    };

    /// Sensible values for a microcontroller with a dozen users, where computing is slow and nothing is encrypted.
    pub const BOARD: Config<'static> = Config {
        raw_passwords: RawPasswords::Never,
        iterations: 4_096,
        derive_budget: 50,
        history: 2_000,
        replay: 50,
        page: 50,
        rooms_per_account: 10,
        bans_per_room: 10,
        watches_per_connection: 20,
        connections_per_address: 14,
        appends_per_connection: 2,
        ..Config::DEFAULT
    };
}
