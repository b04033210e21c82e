//! An [`Outcome`] that owns what it says, so that it can cross threads.

use soqet_core::id::{AccountId, Seq};
use soqet_core::store::{MemberRecord, Outcome, Reason, Settings, next_row};

/// A store's answer. Mirrors [`Outcome`]; records are kept as one row of a page.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The entry was stored.
    Stored {
        /// Its place.
        seq: Seq,
        /// Its time, Unix milliseconds.
        time: u64,
    },
    /// The write was stored.
    Done,
    /// The account was created.
    Created(AccountId),
    /// Certainly not stored, or a read that failed for good.
    Refused(Reason),
    /// Not known whether it was stored, or a read that failed for now.
    Unknown,
    /// `LoadSettings`.
    Settings(Option<Settings>),
    /// An encoded `AccountRecord`.
    Account(Option<Vec<u8>>),
    /// An encoded `ChannelRecord`.
    Channel(Option<Vec<u8>>),
    /// `FindMember`.
    Member(Option<MemberRecord>),
    /// A page of rows.
    Page {
        /// The rows.
        rows: Vec<u8>,
        /// Whether there are more after them.
        more: bool,
    },
    /// `Locate`.
    Bounds(Option<(Seq, Seq)>),
}

impl Answer {
    /// As the core takes it.
    pub fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Stored { seq, time } => Outcome::Stored {
                seq: *seq,
                time: *time,
            },
            Self::Done => Outcome::Done,
            Self::Created(id) => Outcome::Created(*id),
            Self::Refused(reason) => Outcome::Refused(*reason),
            Self::Unknown => Outcome::Unknown,
            Self::Settings(settings) => Outcome::Settings(*settings),
            Self::Account(None) => Outcome::Account(None),
            Self::Account(Some(row)) => next_row(&mut row.as_slice())
                .map_or(Outcome::Refused(Reason::Failed), |record| {
                    Outcome::Account(Some(record))
                }),
            Self::Channel(None) => Outcome::Channel(None),
            Self::Channel(Some(row)) => next_row(&mut row.as_slice())
                .map_or(Outcome::Refused(Reason::Failed), |record| {
                    Outcome::Channel(Some(record))
                }),
            Self::Member(member) => Outcome::Member(*member),
            Self::Page { rows, more } => Outcome::Page { rows, more: *more },
            Self::Bounds(bounds) => Outcome::Bounds(*bounds),
        }
    }
}
