//! Capabilities: their names, the values CAP LS 302 shows, and the all-or-nothing CAP REQ (IRCv3 capability-negotiation).

use core::fmt;

use crate::config::Registration;

bitflags::bitflags! {
    /// A set of capabilities. Each is described by the IRCv3 specification of its name.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Caps: u32 {
        /// `account-notify`
        const ACCOUNT_NOTIFY = 1 << 0;
        /// `account-tag`
        const ACCOUNT_TAG = 1 << 1;
        /// `away-notify`
        const AWAY_NOTIFY = 1 << 2;
        /// `batch`
        const BATCH = 1 << 3;
        /// `cap-notify`
        const CAP_NOTIFY = 1 << 4;
        /// `draft/account-registration`
        const ACCOUNT_REGISTRATION = 1 << 5;
        /// `draft/chathistory`
        const CHATHISTORY = 1 << 6;
        /// `draft/event-playback`
        const EVENT_PLAYBACK = 1 << 7;
        /// `draft/read-marker`
        const READ_MARKER = 1 << 8;
        /// `echo-message`
        const ECHO_MESSAGE = 1 << 9;
        /// `extended-join`
        const EXTENDED_JOIN = 1 << 10;
        /// `extended-monitor`
        const EXTENDED_MONITOR = 1 << 11;
        /// `invite-notify`
        const INVITE_NOTIFY = 1 << 12;
        /// `labeled-response`; see [`Caps::labels`]
        const LABELED_RESPONSE = 1 << 13;
        /// `message-tags`, with which `msgid` comes
        const MESSAGE_TAGS = 1 << 14;
        /// `multi-prefix`
        const MULTI_PREFIX = 1 << 15;
        /// `no-implicit-names`
        const NO_IMPLICIT_NAMES = 1 << 16;
        /// `sasl`
        const SASL = 1 << 17;
        /// `server-time`
        const SERVER_TIME = 1 << 18;
        /// `setname`
        const SETNAME = 1 << 19;
        /// `standard-replies`
        const STANDARD_REPLIES = 1 << 20;
        /// `userhost-in-names`
        const USERHOST_IN_NAMES = 1 << 21;
        /// `soqet/titles`: the tag `soqet/titles` on what an account with titles sends
        const TITLES = 1 << 22;
        /// `soqet/verifier`: REGISTER takes a SCRAM verifier in place of a password
        const VERIFIER = 1 << 23;
    }
}

/// In the order of the bits.
const NAMES: [&str; 24] = [
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "draft/account-registration",
    "draft/chathistory",
    "draft/event-playback",
    "draft/read-marker",
    "echo-message",
    "extended-join",
    "extended-monitor",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "no-implicit-names",
    "sasl",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
    "soqet/titles",
    "soqet/verifier",
];

/// What the values of capabilities depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Whether this connection may send a raw password (SASL PLAIN, REGISTER): TLS and loopback.
    pub raw_passwords: bool,
    /// Who may register.
    pub registration: Registration,
    /// PBKDF2 rounds a new verifier must have.
    pub iterations: u32,
}

impl Caps {
    /// The name of a single capability; of several, the name of the first; of none, empty.
    pub fn name(self) -> &'static str {
        NAMES
            .get(self.bits().trailing_zeros() as usize)
            .copied()
            .unwrap_or_default()
    }

    /// The capability of that name on the wire, case-sensitive. (`from_name` of bitflags knows only the constants' names.)
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .position(|n| *n == name)
            .map(|bit| Self::from_bits_truncate(1 << bit))
    }

    /// Its capabilities one by one, always in the same order.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..NAMES.len() as u32)
            .map(|bit| Self::from_bits_truncate(1 << bit))
            .filter(move |cap| self.contains(*cap))
    }

    /// What a connection is offered. `draft/account-registration` invites clients to send the raw password, so where that is
    /// forbidden or nobody may register it is not offered; `soqet/verifier` then still tells who knows it what is possible.
    pub fn offered(policy: &Policy) -> Self {
        let mut caps = Self::all();
        if !policy.raw_passwords || matches!(policy.registration, Registration::Closed) {
            caps.remove(Self::ACCOUNT_REGISTRATION);
        }
        caps
    }

    /// Whether labels are answered: `labeled-response` works only along with `batch`, negotiated in any order.
    pub const fn labels(self) -> bool {
        self.contains(Self::LABELED_RESPONSE.union(Self::BATCH))
    }

    /// Writes a single capability as CAP LS 302 and CAP NEW show it: `name` or `name=value`. Older versions of CAP and all
    /// other subcommands show [`Self::name`].
    pub fn write_with_value(self, policy: &Policy, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(self.name())?;
        match self {
            Self::SASL if policy.raw_passwords => out.write_str("=SCRAM-SHA-256,PLAIN"),
            Self::SASL => out.write_str("=SCRAM-SHA-256"),
            // No `custom-account-name`: an account has the name of the nick. No `email-required`: nobody needs one.
            Self::ACCOUNT_REGISTRATION => out.write_str("=before-connect"),
            Self::VERIFIER => {
                let register = match policy.registration {
                    Registration::Open => "open",
                    Registration::Invite(_) => "invite",
                    Registration::Closed => "closed",
                };
                write!(out, "=register={register},iterations={}", policy.iterations)
            }
            _ => Ok(()),
        }
    }

    /// What a connection has after `CAP REQ :list`, or `None` when the request as a whole is refused (NAK): an unknown or
    /// not offered name, or `-cap-notify` from a client that said 302, which has that implicitly.
    pub fn request(self, list: &str, offered: Self, version_302: bool) -> Option<Self> {
        parse_request(list).try_fold(self, |caps, change| match change {
            Request::Add(cap) if offered.contains(cap) => Some(caps | cap),
            Request::Remove(Self::CAP_NOTIFY) if version_302 => None,
            Request::Remove(cap) => Some(caps - cap),
            _ => None,
        })
    }
}

/// One name of a `CAP REQ`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// `name`
    Add(Caps),
    /// `-name`
    Remove(Caps),
    /// A name nobody here knows.
    Unknown(&'a str),
}

/// Goes over the list of a `CAP REQ`.
pub fn parse_request(list: &str) -> impl Iterator<Item = Request<'_>> {
    list.split(' ').filter(|word| !word.is_empty()).map(|word| {
        let (name, request): (_, fn(Caps) -> Request<'static>) = match word.strip_prefix('-') {
            Some(name) => (name, Request::Remove),
            None => (word, Request::Add),
        };
        Caps::named(name).map_or(Request::Unknown(word), request)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Policy = Policy {
        raw_passwords: true,
        registration: Registration::Open,
        iterations: 10_000,
    };

    fn shown(policy: &Policy) -> Vec<String> {
        let shown = |cap: Caps| {
            let mut out = String::new();
            cap.write_with_value(policy, &mut out).unwrap();
            out
        };
        Caps::offered(policy).each().map(shown).collect()
    }

    #[test]
    fn names_and_bits_agree() {
        assert_eq!(Caps::all().each().count(), NAMES.len());
        for (flag, cap) in Caps::all().iter_names() {
            let plain = cap
                .name()
                .rsplit('/')
                .next()
                .unwrap()
                .replace('-', "_")
                .to_uppercase();
            assert_eq!(plain, flag);
            assert_eq!(Caps::named(cap.name()), Some(cap));
        }
        assert_eq!(Caps::named("SASL"), None);
        assert_eq!(Caps::empty().name(), "");
    }

    #[test]
    fn values() {
        let tls = shown(&TLS);
        for cap in [
            "sasl=SCRAM-SHA-256,PLAIN",
            "draft/account-registration=before-connect",
            "soqet/verifier=register=open,iterations=10000",
            "batch",
        ] {
            assert!(tls.iter().any(|c| c == cap), "{cap}");
        }
        let plain = shown(&Policy {
            raw_passwords: false,
            registration: Registration::Invite(crate::text::Text::truncated("secret")),
            ..TLS
        });
        assert!(plain.iter().any(|c| c == "sasl=SCRAM-SHA-256"));
        assert!(
            plain
                .iter()
                .any(|c| c == "soqet/verifier=register=invite,iterations=10000")
        );
        assert!(
            !plain
                .iter()
                .any(|c| c.contains("account-registration") || c.contains("secret"))
        );
        let closed = Caps::offered(&Policy {
            registration: Registration::Closed,
            ..TLS
        });
        assert!(!closed.contains(Caps::ACCOUNT_REGISTRATION));
    }

    #[test]
    fn requests_are_all_or_nothing() {
        let old = Caps::BATCH | Caps::CAP_NOTIFY;
        let request = |list, offered, version| old.request(list, offered, version);
        let all = Caps::all();
        assert_eq!(
            request(" sasl  -batch ", all, true),
            Some(Caps::SASL | Caps::CAP_NOTIFY)
        );
        assert_eq!(request("", all, true), Some(old));
        assert_eq!(request("batch -setname cap-notify", all, true), Some(old));
        assert_eq!(request("sasl nonsense", all, true), None);
        assert_eq!(request("-nonsense", all, true), None);
        assert_eq!(request("sasl=PLAIN", all, true), None);
        assert_eq!(request("sasl", all - Caps::SASL, true), None);
        assert_eq!(request("-cap-notify", all, true), None);
        assert_eq!(request("-cap-notify", all, false), Some(Caps::BATCH));
        assert_eq!(
            parse_request("a -b -sasl -").collect::<Vec<_>>(),
            [
                Request::Unknown("a"),
                Request::Unknown("-b"),
                Request::Remove(Caps::SASL),
                Request::Unknown("-")
            ]
        );
    }

    #[test]
    fn labels_need_batch() {
        assert!(!Caps::LABELED_RESPONSE.labels());
        assert!((Caps::LABELED_RESPONSE | Caps::BATCH).labels());
    }

    proptest::proptest! {
        #[test]
        fn no_request_panics(list in "[-a-z/ ]{0,40}", bits: u32) {
            let _ = Caps::from_bits_truncate(bits).request(&list, Caps::all(), true);
        }
    }
}
