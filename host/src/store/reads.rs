//! The operations that only read.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Result, Row};
use soqet_core::id::{AccountId, ChannelId};
use soqet_core::store::{
    AccountFlags, AccountRow, BanRow, DirectRow, MemberFlags, MemberRow, MembershipRow, Operation,
    Reason, RoomRow, Settings, TargetRow,
};

use super::answer::Answer;
use super::history;
use super::rows::{self, Page, integer, number, text};

const JOINED: u8 = MemberFlags::JOINED.bits();

/// Whether [`read`] does it.
pub(super) fn is_read(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::LoadSettings
        | Operation::FindAccount { .. }
        | Operation::LoadAccount { .. }
        | Operation::ReadAccounts { .. }
        | Operation::FindGuest
        | Operation::FindChannel(_)
        | Operation::ReadBans { .. }
        | Operation::ReadRooms { .. }
        | Operation::FindMember { .. }
        | Operation::ReadMembers { .. }
        | Operation::ReadMemberships { .. }
        | Operation::ReadUnreadDirects { .. }
        | Operation::Locate { .. }
        | Operation::ReadHistory { .. }
        | Operation::ReadTargets { .. } => true,
        Operation::PutSettings(_)
        | Operation::PutConfig { .. }
        | Operation::CreateAccount(_)
        | Operation::ChangeAccount { .. }
        | Operation::RemoveAccount { .. }
        | Operation::CreateChannel { .. }
        | Operation::RemoveChannel { .. }
        | Operation::PutMarker { .. }
        | Operation::Append(_) => false,
    }
}

/// Does an operation for which [`is_read`] is true.
pub(super) fn read(connection: &Connection, operation: &Operation<'_>) -> Result<Answer> {
    match *operation {
        Operation::LoadSettings => settings(connection),
        Operation::FindAccount { name } => account(connection, "name_folded = ?1", [name]),
        Operation::LoadAccount { account: id } => account(connection, "id = ?1", [id.0]),
        Operation::FindGuest => {
            // Written as the index on guests has it, so that it is used.
            const { assert!(AccountFlags::GUEST.bits() == 4) };
            account(connection, "flags & 4 ORDER BY id LIMIT 1", [])
        }
        Operation::ReadAccounts {
            prefix,
            after,
            bytes,
        } => accounts(connection, prefix, after, bytes),
        Operation::FindChannel(key) => rows::find_channel(connection, key),
        Operation::ReadBans {
            channel,
            after,
            bytes,
        } => page(
            connection,
            "SELECT id, mask, set_by, time FROM ban WHERE channel = ?1 AND id > ?2 ORDER BY id",
            (channel.0, after),
            bytes,
            |row, page| {
                page.push(&BanRow {
                    id: number(row, 0)?,
                    mask: text(row, 1)?,
                    by: text(row, 2)?,
                    time: number(row, 3)?,
                })
            },
        ),
        Operation::ReadRooms { after, bytes } => page(
            connection,
            "SELECT id, name, topic, modes, members FROM channel WHERE name IS NOT NULL AND id > ?1 ORDER BY id",
            [after.0],
            bytes,
            |row, page| {
                page.push(&RoomRow {
                    id: ChannelId(number(row, 0)?),
                    name: text(row, 1)?,
                    topic: text(row, 2)?,
                    modes: number(row, 3)?,
                    members: number(row, 4)?,
                })
            },
        ),
        Operation::FindMember { channel, account } => {
            let member = connection
                .prepare_cached(
                    "SELECT flags, read_seq, read_time, delivered FROM member WHERE channel = ?1 AND account = ?2",
                )?
                .query_row((channel.0, account.0), |row| rows::member(row, 0))
                .optional()?;
            Ok(Answer::Member(member))
        }
        Operation::ReadMembers {
            channel,
            after,
            bytes,
        } => page(
            connection,
            "SELECT account.id, name, display, account.flags, member.flags
             FROM member CROSS JOIN account ON account.id = member.account
             WHERE channel = ?1 AND account > ?2 AND member.flags & ?3 ORDER BY member.account",
            (channel.0, after.0, JOINED),
            bytes,
            |row, page| {
                page.push(&MemberRow {
                    account: AccountId(number(row, 0)?),
                    name: text(row, 1)?,
                    display: text(row, 2)?,
                    account_flags: number(row, 3)?,
                    flags: number(row, 4)?,
                })
            },
        ),
        Operation::ReadMemberships {
            account,
            after,
            bytes,
        } => page(
            connection,
            "SELECT c.id, c.name, flags, read_seq, read_time, delivered
             FROM member AS m CROSS JOIN channel AS c ON c.id = m.channel
             WHERE account = ?1 AND m.channel > ?2 AND flags & ?3 AND c.name IS NOT NULL ORDER BY m.channel",
            (account.0, after.0, JOINED),
            bytes,
            |row, page| {
                page.push(&MembershipRow {
                    channel: ChannelId(number(row, 0)?),
                    name: text(row, 1)?,
                    member: rows::member(row, 2)?,
                })
            },
        ),
        Operation::ReadUnreadDirects {
            account,
            after,
            bytes,
        } => page(
            connection,
            "SELECT c.id, iif(direct_low = ?1, direct_high, direct_low)
             FROM channel AS c LEFT JOIN member AS m ON m.channel = c.id AND m.account = ?1
             WHERE (direct_low = ?1 OR direct_high = ?1) AND c.id > ?2
             AND last > max(ifnull(read_seq, 0), ifnull(delivered, 0))
             ORDER BY c.id",
            (account.0, after.0),
            bytes,
            |row, page| {
                page.push(&DirectRow {
                    channel: ChannelId(number(row, 0)?),
                    peer: AccountId(number(row, 1)?),
                })
            },
        ),
        Operation::Locate {
            channel,
            selector,
            limit,
            events,
            last,
        } => history::locate(connection, channel, selector, limit, events, last),
        Operation::ReadHistory {
            channel,
            first,
            last,
            bytes,
        } => page(
            connection,
            "SELECT seq, time, msgid, kind, sender, nick, tags, subject, text FROM message
             WHERE channel = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq",
            (channel.0, integer(first.0), integer(last.0)),
            bytes,
            |row, page| page.push(&rows::entry(row)?),
        ),
        Operation::ReadTargets {
            account,
            from,
            to,
            after,
            bytes,
        } => targets(connection, account, (from, to), after, bytes),
        // Not a read.
        _ => Ok(Answer::Refused(Reason::Failed)),
    }
}

fn settings(connection: &Connection) -> Result<Answer> {
    let settings = connection
        .prepare_cached("SELECT secret, time_reserved FROM setting")?
        .query_row([], |row| {
            Ok(Settings {
                secret: rows::bytes(row, 0)?,
                time_reserved: number(row, 1)?,
            })
        })
        .optional()?;
    Ok(Answer::Settings(settings))
}

fn account(connection: &Connection, condition: &str, params: impl Params) -> Result<Answer> {
    let record = connection
        .prepare_cached(&format!(
            "SELECT {} FROM account WHERE {condition}",
            rows::ACCOUNT
        ))?
        .query_row(params, |row| rows::encode(&rows::account(row)?))
        .optional()?;
    Ok(Answer::Account(record))
}

fn accounts(connection: &Connection, prefix: &str, after: &str, bytes: usize) -> Result<Answer> {
    // All names with the prefix lie between it and this.
    let end = format!("{prefix}{}", char::MAX);
    page(
        connection,
        "SELECT id, name, display, titles, flags, created FROM account
         WHERE name_folded > ?1 AND name_folded >= ?2 AND name_folded < ?3 ORDER BY name_folded",
        (after, prefix, end),
        bytes,
        |row, page| {
            page.push(&AccountRow {
                id: AccountId(number(row, 0)?),
                name: text(row, 1)?,
                display: text(row, 2)?,
                titles: text(row, 3)?,
                flags: number(row, 4)?,
                created: number(row, 5)?,
            })
        },
    )
}

fn targets(
    connection: &Connection,
    account: AccountId,
    (from, to): (u64, u64),
    (after_time, after_channel): (u64, ChannelId),
    bytes: usize,
) -> Result<Answer> {
    // A channel whose messages have all made room for events has no latest message. A chat with a removed account has no name to
    // ask for it by.
    page(
        connection,
        "WITH mine (id, name, time) AS (
             SELECT c.id, c.name, last_message_time FROM member AS m CROSS JOIN channel AS c ON c.id = m.channel
             WHERE m.account = ?1 AND m.flags & ?2 AND c.name IS NOT NULL AND last_message >= first
             UNION ALL
             SELECT c.id, peer.name, last_message_time
             FROM channel AS c CROSS JOIN account AS peer ON peer.id = iif(direct_low = ?1, direct_high, direct_low)
             WHERE (direct_low = ?1 OR direct_high = ?1) AND last_message >= first
         )
         SELECT id, name, time FROM mine WHERE time > ?3 AND time < ?4 AND (time, id) > (?5, ?6) ORDER BY time, id",
        [
            Value::from(account.0),
            Value::from(JOINED),
            Value::from(integer(from)),
            Value::from(integer(to)),
            Value::from(integer(after_time)),
            Value::from(after_channel.0),
        ],
        bytes,
        |row, page| {
            page.push(&TargetRow {
                channel: ChannelId(number(row, 0)?),
                name: text(row, 1)?,
                time: number(row, 2)?,
            })
        },
    )
}

/// A page of the rows of a query. `push` puts a row into the page and says whether it fitted.
fn page(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    bytes: usize,
    mut push: impl FnMut(&Row<'_>, &mut Page) -> Result<bool>,
) -> Result<Answer> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut page = Page::new(bytes);
    let mut more = false;
    while let Some(row) = rows.next()? {
        if !push(row, &mut page)? {
            more = true;
            break;
        }
    }
    Ok(Answer::Page {
        rows: page.into_rows(),
        more,
    })
}
