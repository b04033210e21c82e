//! The operations that write. They run inside a transaction of [`Writer`](super::writer::Writer); whatever fails takes its whole
//! transaction with it.

use rusqlite::{Connection, OptionalExtension, Result, Row};
use soqet_core::id::{AccountId, ChannelId, Seq};
use soqet_core::store::{
    AccountChange, AccountRecord, Append, Change, ChannelKey, Marker, Operation, Reason, Settings,
};

use super::answer::Answer;
use super::rows::{self, integer, number};

/// So many entries over the limit are let stand, so that not every append has to delete one.
pub(super) const SLACK: u64 = 64;

/// At most so many entries are deleted by one append (after the operator lowered the limit).
const TRIM: u64 = 1024;

/// Does an operation that writes.
pub(super) fn write(connection: &Connection, operation: &Operation<'_>) -> Result<Answer> {
    match *operation {
        Operation::PutSettings(ref settings) => put_settings(connection, settings),
        Operation::PutConfig { name, value } => execute(
            connection,
            "INSERT INTO config (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            (name, value),
        ),
        Operation::CreateAccount(ref record) => create_account(connection, record),
        Operation::ChangeAccount { account, change } => {
            change_account(connection, account, &change)
        }
        Operation::RemoveAccount { account } => {
            // Memberships go with it (ON DELETE CASCADE).
            execute(connection, "DELETE FROM account WHERE id = ?1", [account.0])
        }
        Operation::CreateChannel {
            key,
            founder,
            time,
            modes,
        } => create_channel(connection, key, founder, time, modes),
        Operation::RemoveChannel { channel } => {
            // Members, bans and messages go with it.
            execute(connection, "DELETE FROM channel WHERE id = ?1", [channel.0])
        }
        Operation::PutMarker {
            channel,
            account,
            read,
            delivered,
        } => put_marker(connection, channel, account, read, delivered),
        Operation::Append(ref append) => self::append(connection, append),
        // Not a write.
        _ => Ok(Answer::Refused(Reason::Failed)),
    }
}

fn execute(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Answer> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(Answer::Done)
}

fn put_settings(connection: &Connection, settings: &Settings) -> Result<Answer> {
    execute(
        connection,
        "INSERT INTO setting (id, secret, time_reserved) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET secret = ?1, time_reserved = ?2",
        (settings.secret, integer(settings.time_reserved)),
    )
}

fn create_account(connection: &Connection, record: &AccountRecord<'_>) -> Result<Answer> {
    let folded = record.name.to_ascii_lowercase();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO account (name, name_folded, display, titles, flags, created, iterations, salt, stored_key, server_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (name_folded) DO NOTHING",
        )?
        .execute((
            record.name,
            &folded,
            record.display,
            record.titles,
            record.flags,
            integer(record.created),
            record.verifier.iterations,
            record.verifier.salt,
            record.verifier.stored_key,
            record.verifier.server_key,
        ))?;
    if inserted > 0 {
        let id = connection.last_insert_rowid();
        return u32::try_from(id)
            .map(|id| Answer::Created(AccountId(id)))
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, id));
    }
    // An attempt whose answer was `Unknown` is asked for again: the account it made is no other's.
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM account WHERE name_folded = ?1",
            rows::ACCOUNT
        ))?
        .query_row([&folded], |row| {
            let taken = rows::account(row)?;
            let same = taken
                == AccountRecord {
                    id: taken.id,
                    ..*record
                };
            Ok(if same && record.verifier.iterations > 0 {
                Answer::Created(taken.id)
            } else {
                Answer::Refused(Reason::Exists)
            })
        })
}

fn change_account(
    connection: &Connection,
    account: AccountId,
    change: &AccountChange<'_>,
) -> Result<Answer> {
    match change {
        AccountChange::Verifier(verifier) => execute(
            connection,
            "UPDATE account SET iterations = ?2, salt = ?3, stored_key = ?4, server_key = ?5 WHERE id = ?1",
            (
                account.0,
                verifier.iterations,
                verifier.salt,
                verifier.stored_key,
                verifier.server_key,
            ),
        ),
        AccountChange::Display(display) => execute(
            connection,
            "UPDATE account SET display = ?2 WHERE id = ?1",
            (account.0, display),
        ),
        AccountChange::Titles(titles) => execute(
            connection,
            "UPDATE account SET titles = ?2 WHERE id = ?1",
            (account.0, titles),
        ),
        AccountChange::Flags(flags) => execute(
            connection,
            "UPDATE account SET flags = ?2 WHERE id = ?1",
            (account.0, flags),
        ),
    }
}

fn create_channel(
    connection: &Connection,
    key: ChannelKey<'_>,
    founder: AccountId,
    time: u64,
    modes: u32,
) -> Result<Answer> {
    let (name, direct) = match key {
        ChannelKey::Room(name) => (Some(name), None),
        ChannelKey::Direct(low, high) => (None, Some((low.0, high.0))),
        ChannelKey::Id(_) => return Ok(Answer::Refused(Reason::Failed)),
    };
    // No ON CONFLICT without a target: it would swallow violations that are errors.
    let found = rows::find_channel(connection, key)?;
    if matches!(found, Answer::Channel(Some(_))) {
        return Ok(found);
    }
    connection
        .prepare_cached(
            "INSERT INTO channel (name, name_folded, direct_low, direct_high, founder, created, modes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            name,
            name.map(str::to_ascii_lowercase),
            direct.map(|pair| pair.0),
            direct.map(|pair| pair.1),
            founder.0,
            integer(time),
            modes,
        ))?;
    rows::find_channel(connection, key)
}

fn put_marker(
    connection: &Connection,
    channel: ChannelId,
    account: AccountId,
    read: Marker,
    delivered: Seq,
) -> Result<Answer> {
    execute(
        connection,
        "INSERT INTO member (channel, account, read_seq, read_time, delivered) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (channel, account) DO UPDATE SET
         read_seq = max(read_seq, ?3), read_time = max(read_time, ?4), delivered = max(delivered, ?5)",
        (
            channel.0,
            account.0,
            integer(read.seq.0),
            integer(read.time),
            integer(delivered.0),
        ),
    )
}

fn append(connection: &Connection, append: &Append<'_>) -> Result<Answer> {
    let head = connection
        .prepare_cached("SELECT first, last, last_time FROM channel WHERE id = ?1")?
        .query_row([append.channel.0], |row| {
            Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?))
        })
        .optional()?;
    let Some((first, last, last_time)): Option<(u64, u64, u64)> = head else {
        return Ok(Answer::Refused(Reason::Failed));
    };
    let (seq, time) = (last + 1, last_time.max(append.time));
    let msgid = append.msgid.to_text();
    let msgid = rows::msgid_text(&msgid)?;
    let entry = &append.entry;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO message (channel, seq, time, msgid, kind, sender, nick, tags, subject, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (channel, msgid) DO NOTHING",
        )?
        .execute((
            append.channel.0,
            integer(seq),
            integer(time),
            msgid,
            rows::kind_name(entry.kind),
            entry.sender.0,
            entry.nick,
            entry.tags,
            entry.subject,
            entry.text,
        ))?;
    if inserted == 0 {
        return stored_before(connection, append.channel, msgid);
    }

    // Only ever more than `SLACK` over the limit, so that the work of deleting is shared by many appends.
    let keep = u64::from(append.keep.max(1));
    let over = (seq + 1).saturating_sub(first).saturating_sub(keep);
    let first = if over > SLACK {
        let first = first + over.min(TRIM);
        execute(
            connection,
            "DELETE FROM message WHERE channel = ?1 AND seq < ?2",
            (append.channel.0, integer(first)),
        )?;
        first
    } else {
        first
    };
    connection
        .prepare_cached(
            "UPDATE channel SET first = ?2, last = ?3, last_time = ?4,
             last_message = iif(?5, ?3, last_message), last_message_time = iif(?5, ?4, last_message_time) WHERE id = ?1",
        )?
        .execute((
            append.channel.0,
            integer(first),
            integer(seq),
            integer(time),
            entry.kind.is_message(),
        ))?;
    change(connection, append.channel, time, &append.change)?;
    Ok(Answer::Stored {
        seq: Seq(seq),
        time,
    })
}

/// The answer to an entry that is stored already.
fn stored_before(connection: &Connection, channel: ChannelId, msgid: &str) -> Result<Answer> {
    connection
        .prepare_cached("SELECT seq, time FROM message WHERE channel = ?1 AND msgid = ?2")?
        .query_row((channel.0, msgid), |row: &Row<'_>| {
            Ok(Answer::Stored {
                seq: Seq(number(row, 0)?),
                time: number(row, 1)?,
            })
        })
}

/// Writes the change that an entry of that time brings.
fn change(
    connection: &Connection,
    channel: ChannelId,
    time: u64,
    change: &Change<'_>,
) -> Result<()> {
    match *change {
        Change::None => {}
        Change::Member { account, flags: 0 } => {
            execute(
                connection,
                "UPDATE member SET flags = 0 WHERE channel = ?1 AND account = ?2",
                (channel.0, account.0),
            )?;
            execute(
                connection,
                "DELETE FROM member WHERE channel = ?1 AND account = ?2 AND read_seq = 0 AND read_time = 0 AND delivered = 0",
                (channel.0, account.0),
            )?;
        }
        Change::Member { account, flags } => {
            execute(
                connection,
                "INSERT INTO member (channel, account, flags) VALUES (?1, ?2, ?3)
                 ON CONFLICT (channel, account) DO UPDATE SET flags = ?3",
                (channel.0, account.0, flags),
            )?;
        }
        Change::Topic { text, by } => {
            execute(
                connection,
                "UPDATE channel SET topic = ?2, topic_by = ?3, topic_time = ?4 WHERE id = ?1",
                (channel.0, text, by, integer(time)),
            )?;
        }
        Change::Modes { modes, key, limit } => {
            execute(
                connection,
                "UPDATE channel SET modes = ?2, key = ?3, member_limit = ?4 WHERE id = ?1",
                (channel.0, modes, key, limit),
            )?;
        }
        Change::Ban { mask, by } => {
            execute(
                connection,
                "INSERT INTO ban (channel, mask, mask_folded, set_by, time) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (channel, mask_folded) DO NOTHING",
                (
                    channel.0,
                    mask,
                    mask.to_ascii_lowercase(),
                    by,
                    integer(time),
                ),
            )?;
        }
        Change::Unban { mask } => {
            execute(
                connection,
                "DELETE FROM ban WHERE channel = ?1 AND mask_folded = ?2",
                (channel.0, mask.to_ascii_lowercase()),
            )?;
        }
    }
    Ok(())
}
