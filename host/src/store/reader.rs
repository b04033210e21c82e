//! A connection that only reads. It sees whatever was committed before the read began.

use rusqlite::{Connection, ErrorCode};
use soqet_core::store::{Operation, Reason};

use super::answer::Answer;
use super::reads;

/// A connection that only reads.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Does a read, from one snapshot of the database.
    pub(super) fn read(&self, operation: &Operation<'_>) -> Answer {
        let result = self
            .connection
            .unchecked_transaction()
            .and_then(|_transaction| reads::read(&self.connection, operation));
        result.unwrap_or_else(|error| {
            tracing::error!("database: reading failed: {error}");
            match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Answer::Unknown,
                _ => Answer::Refused(Reason::Failed),
            }
        })
    }

    /// The settings that owners changed.
    pub(super) fn config(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut rows = self
            .connection
            .prepare("SELECT name, value FROM config ORDER BY name")?;
        let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}
