//! Where a page of history lies. The rule is the core's ([`Select`]), the same for every store; here is how it looks at rows.

use std::ops::{ControlFlow, RangeInclusive};

use rusqlite::{Connection, OptionalExtension, Result};
use soqet_core::history::select::{Row, Select, Source, Visit};
use soqet_core::id::{ChannelId, MsgId, Seq};
use soqet_core::store::Selector;

use super::answer::Answer;
use super::rows::{self, integer, number};

/// Does [`Operation::Locate`](soqet_core::store::Operation::Locate).
pub(super) fn locate(
    connection: &Connection,
    channel: ChannelId,
    selector: Selector,
    limit: u16,
    events: bool,
    last: Seq,
) -> Result<Answer> {
    let select = Select {
        selector,
        limit,
        events,
        last,
    };
    let mut history = History {
        connection,
        channel,
    };
    select.page(&mut history).map(Answer::Bounds)
}

/// One channel's entries.
struct History<'c> {
    connection: &'c Connection,
    channel: ChannelId,
}

impl History<'_> {
    fn walk(&self, sql: &str, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((
            self.channel.0,
            integer(*places.start()),
            integer(*places.end()),
        ))?;
        while let Some(row) = rows.next()? {
            let flow = visit(Row {
                seq: Seq(number(row, 0)?),
                time: number(row, 1)?,
                kind: rows::kind(row, 2)?,
            });
            if flow == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Source for History<'_> {
    type Error = rusqlite::Error;

    fn place(&mut self, msgid: MsgId) -> Result<Option<Seq>> {
        self.connection
            .prepare_cached("SELECT seq FROM message WHERE channel = ?1 AND msgid = ?2")?
            .query_row(
                (self.channel.0, rows::msgid_text(&msgid.to_text())?),
                |row| number(row, 0).map(Seq),
            )
            .optional()
    }

    /// By bisection: places have no holes and times never decrease along them, so no index of times is needed.
    fn at_or_after(&mut self, time: u64) -> Result<Option<Seq>> {
        let span = self
            .connection
            .prepare_cached("SELECT first, last FROM channel WHERE id = ?1")?
            .query_row([self.channel.0], |row| {
                Ok((number(row, 0)?, number(row, 1)?))
            })
            .optional()?;
        let Some((mut low, last)): Option<(u64, u64)> = span else {
            return Ok(None);
        };
        let mut high = last + 1;
        let mut statement = self
            .connection
            .prepare_cached("SELECT time FROM message WHERE channel = ?1 AND seq = ?2")?;
        // Everything below `low` is before `time`, everything from `high` on is not.
        while low < high {
            let middle = low.midpoint(high);
            let at: u64 =
                statement.query_row((self.channel.0, integer(middle)), |row| number(row, 0))?;
            if at < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((low <= last).then_some(Seq(low)))
    }

    fn ascend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<()> {
        self.walk(
            "SELECT seq, time, kind FROM message WHERE channel = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq",
            places,
            visit,
        )
    }

    fn descend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<()> {
        self.walk(
            "SELECT seq, time, kind FROM message WHERE channel = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq DESC",
            places,
            visit,
        )
    }
}
