//! Identities. What crosses the core's border is named by a small copyable id, never by a reference.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::tables::{Generation, Short};

/// A slot of a table and the generation that occupied it, so that a late answer meant for a former occupant is
/// dropped, not misdelivered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    pub(crate) index: Short,
    pub(crate) generation: Generation,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index.get(), self.generation)
    }
}

/// An open connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnId(pub(crate) Handle);

impl ConnId {
    /// The connection's slot: below the number of connections in [`Memory`](crate::memory::Memory), and free for reuse after
    /// `close`. A host may index its own socket table with it.
    pub const fn index(self) -> usize {
        self.0.index.get() as usize
    }
}

/// A piece of storage work whose [`Outcome`](crate::store::Outcome) the core waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(pub(crate) TicketKind, pub(crate) Handle);

/// Which table a ticket belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum TicketKind {
    Request,
    Append,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// Zero: given to nobody; in a page request it means "from the beginning".
            pub const NONE: Self = Self(0);

            /// Whether this is [`Self::NONE`].
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }
    };
}

number! {
    /// An account. Given by the store at creation, counted from 1, never used again after removal.
    AccountId(u32)
}
number! {
    /// A channel: a room, or the direct chat of two accounts. Given by the store at creation, counted from 1.
    ChannelId(u32)
}
number! {
    /// The place of an entry in its channel: contiguous from 1, given by the store when the entry is stored.
    Seq(u64)
}

/// A message id (IRCv3 message-ids): 42 bits of Unix time in milliseconds, 22 bits of counter. So ids rise with time, which
/// keeps an index over them compact, and differ across restarts as long as the clock's high-water mark is durable.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct MsgId(pub u64);

impl MsgId {
    /// Length in bytes of the text form.
    pub const TEXT: usize = 13;
    const DIGITS: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// The text form: 13 digits of Crockford's base 32 in lower case, sorted as the numbers are.
    pub fn to_text(self) -> [u8; Self::TEXT] {
        let mut text = [b'0'; Self::TEXT];
        let mut rest = self.0;
        for digit in text.iter_mut().rev() {
            *digit = Self::DIGITS[(rest & 31) as usize];
            rest >>= 5;
        }
        text
    }

    /// Reads the text form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::TEXT {
            return None;
        }
        let mut value: u64 = 0;
        for byte in text.bytes() {
            let digit = Self::DIGITS.iter().position(|d| *d == byte)? as u64;
            value = value.checked_mul(32)?.checked_add(digit)?;
        }
        Some(Self(value))
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn msgid_text_round_trips_and_keeps_order(a: u64, b: u64) {
            let (x, y) = (MsgId(a).to_text(), MsgId(b).to_text());
            proptest::prop_assert_eq!(MsgId::parse(core::str::from_utf8(&x).unwrap()), Some(MsgId(a)));
            proptest::prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }

    #[test]
    fn msgid_rejects_what_is_not_one() {
        for text in ["", "0", "zzzzzzzzzzzzz", "000000000000U", "00000000000000"] {
            assert_eq!(MsgId::parse(text), None, "{text}");
        }
    }
}
