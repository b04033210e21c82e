//! From SQL rows to the contract's types.

use rusqlite::types::{FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row};
use serde::Serialize;
use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{
    AccountRecord, ChannelKey, ChannelRecord, Entry, Kind, Marker, MemberRecord, PageWriter,
    Verifier,
};

use super::answer::Answer;

/// A number as SQLite keeps it. What is too large (only a bound of a query can be) is as good as the largest.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads one column, naming it in the error.
fn column<'r, T>(
    row: &'r Row<'_>,
    index: usize,
    read: impl FnOnce(ValueRef<'r>) -> FromSqlResult<T>,
) -> Result<T> {
    let value = row.get_ref(index)?;
    let kind = value.data_type();
    read(value).map_err(|e| rusqlite::Error::FromSqlConversionFailure(index, kind, Box::new(e)))
}

/// A number that must fit its type; that it does not means that somebody edited the database by hand.
pub(super) fn number<T: TryFrom<i64>>(row: &Row<'_>, index: usize) -> Result<T> {
    column(row, index, |value| {
        let value = value.as_i64()?;
        T::try_from(value).map_err(|_| FromSqlError::OutOfRange(value))
    })
}

/// A text; empty for NULL.
pub(super) fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str> {
    column(row, index, |value| {
        Ok(value.as_str_or_null()?.unwrap_or_default())
    })
}

/// A number that may be NULL, for zero.
fn number_or_zero(row: &Row<'_>, index: usize) -> Result<u32> {
    match row.get_ref(index)?.data_type() {
        Type::Null => Ok(0),
        _ => number(row, index),
    }
}

/// A blob of a fixed length.
pub(super) fn bytes<const N: usize>(row: &Row<'_>, index: usize) -> Result<[u8; N]> {
    column(row, index, |value| {
        let blob = value.as_blob()?;
        blob.try_into().map_err(|_| FromSqlError::InvalidBlobSize {
            expected_size: N,
            blob_size: blob.len(),
        })
    })
}

/// The columns that [`account`] reads.
pub(super) const ACCOUNT: &str =
    "id, name, display, titles, flags, created, iterations, salt, stored_key, server_key";

/// Reads [`ACCOUNT`].
pub(super) fn account<'r>(row: &'r Row<'_>) -> Result<AccountRecord<'r>> {
    Ok(AccountRecord {
        id: AccountId(number(row, 0)?),
        name: text(row, 1)?,
        display: text(row, 2)?,
        titles: text(row, 3)?,
        flags: number(row, 4)?,
        created: number(row, 5)?,
        verifier: Verifier {
            iterations: number(row, 6)?,
            salt: bytes(row, 7)?,
            stored_key: bytes(row, 8)?,
            server_key: bytes(row, 9)?,
        },
    })
}

/// A query of a channel by `condition`, for [`channel`].
macro_rules! channel_by {
    ($condition:literal) => {
        concat!(
            "SELECT id, name, direct_low, direct_high, founder, created, topic, topic_by, topic_time, modes, key, ",
            "member_limit, members, bans, first, last, last_time FROM channel WHERE ",
            $condition
        )
    };
}

fn channel<'r>(row: &'r Row<'_>) -> Result<ChannelRecord<'r>> {
    Ok(ChannelRecord {
        id: ChannelId(number(row, 0)?),
        name: text(row, 1)?,
        direct: (
            AccountId(number_or_zero(row, 2)?),
            AccountId(number_or_zero(row, 3)?),
        ),
        founder: AccountId(number(row, 4)?),
        created: number(row, 5)?,
        topic: text(row, 6)?,
        topic_by: text(row, 7)?,
        topic_time: number(row, 8)?,
        modes: number(row, 9)?,
        key: text(row, 10)?,
        limit: number(row, 11)?,
        members: number(row, 12)?,
        bans: number(row, 13)?,
        first: Seq(number(row, 14)?),
        last: Seq(number(row, 15)?),
        last_time: number(row, 16)?,
    })
}

/// The channel of that key; a room's name is folded here.
pub(super) fn find_channel(connection: &Connection, key: ChannelKey<'_>) -> Result<Answer> {
    let encode = |row: &Row<'_>| channel(row).and_then(|record| encode(&record));
    let record = match key {
        ChannelKey::Id(id) => connection
            .prepare_cached(channel_by!("id = ?1"))?
            .query_row([id.0], encode),
        ChannelKey::Room(name) => connection
            .prepare_cached(channel_by!("name_folded = ?1"))?
            .query_row([name.to_ascii_lowercase()], encode),
        ChannelKey::Direct(low, high) => connection
            .prepare_cached(channel_by!("direct_low = ?1 AND direct_high = ?2"))?
            .query_row([low.0, high.0], encode),
    };
    Ok(Answer::Channel(record.optional()?))
}

/// Reads `flags, read_seq, read_time, delivered` from column `at` on.
pub(super) fn member(row: &Row<'_>, at: usize) -> Result<MemberRecord> {
    Ok(MemberRecord {
        flags: number(row, at)?,
        read: Marker {
            seq: Seq(number(row, at + 1)?),
            time: number(row, at + 2)?,
        },
        delivered: Seq(number(row, at + 3)?),
    })
}

/// How a kind is called in the database.
pub(super) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Privmsg => "privmsg",
        Kind::Notice => "notice",
        Kind::Tagmsg => "tagmsg",
        Kind::Join => "join",
        Kind::Part => "part",
        Kind::Kick => "kick",
        Kind::Topic => "topic",
        Kind::Mode => "mode",
        Kind::Invite => "invite",
    }
}

/// A message's kind.
pub(super) fn kind(row: &Row<'_>, index: usize) -> Result<Kind> {
    column(row, index, |value| {
        let name = value.as_str()?;
        Kind::ALL
            .into_iter()
            .find(|kind| kind_name(*kind) == name)
            .ok_or(FromSqlError::InvalidType)
    })
}

/// The text form of a message id.
pub(super) fn msgid_text(digits: &[u8; MsgId::TEXT]) -> Result<&str> {
    Ok(std::str::from_utf8(digits)?)
}

/// Reads `seq, time, msgid, kind, sender, nick, tags, subject, text`.
pub(super) fn entry<'r>(row: &'r Row<'_>) -> Result<Entry<'r>> {
    Ok(Entry {
        seq: Seq(number(row, 0)?),
        time: number(row, 1)?,
        msgid: column(row, 2, |value| {
            MsgId::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
        })?,
        kind: kind(row, 3)?,
        sender: AccountId(number(row, 4)?),
        nick: text(row, 5)?,
        tags: text(row, 6)?,
        subject: text(row, 7)?,
        text: text(row, 8)?,
    })
}

/// No row that a server wrote comes near this size, in bytes.
const LARGEST_ROW: usize = 1 << 20;

/// One record, encoded as a row of a page.
pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut page = Page::new(512);
    page.push(record)?;
    Ok(page.into_rows())
}

/// A page being filled. It holds one row even where that is larger than asked for: an empty page that says there are more rows
/// would never end.
pub(super) struct Page {
    buffer: Vec<u8>,
    used: usize,
}

impl Page {
    /// A page of `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes],
            used: 0,
        }
    }

    /// Adds a row; false when it does not fit.
    pub(super) fn push(&mut self, row: &impl Serialize) -> Result<bool> {
        let asked = self.buffer.len();
        loop {
            let mut rest = PageWriter::new(self.buffer.get_mut(self.used..).unwrap_or_default());
            if rest.push(row) {
                self.used += rest.rows().len();
                // Where it grew there is room for this row alone.
                self.buffer.truncate(self.used.max(asked));
                return Ok(true);
            }
            if self.used > 0 {
                return Ok(false);
            }
            if self.buffer.len() >= LARGEST_ROW {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    "a row is too large".into(),
                ));
            }
            self.buffer.resize(self.buffer.len().max(256) * 2, 0);
        }
    }

    /// The rows so far.
    pub(super) fn into_rows(mut self) -> Vec<u8> {
        self.buffer.truncate(self.used);
        self.buffer
    }
}
