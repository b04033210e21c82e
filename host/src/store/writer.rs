//! The one connection that writes: groups operations into transactions and tells honestly what became of them.

use rusqlite::{Connection, ErrorCode};
use soqet_core::store::{Operation, Reason};

use super::answer::Answer;
use super::reads;
use super::writes;

/// The connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
}

/// Why a transaction failed.
#[derive(Debug)]
struct Failure {
    error: rusqlite::Error,
    /// Certainly nothing of it is stored.
    undone: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Does the operations in one transaction and answers each in order. Where one fails, each is done on its own.
    pub(super) fn write(&self, operations: &[Operation<'_>], answers: &mut Vec<Answer>) {
        let start = answers.len();
        let Err(failure) = self.transaction(operations, answers) else {
            return;
        };
        answers.truncate(start);
        if operations.len() > 1 && failure.may_be_one_operation() {
            let mut last = None;
            let mut failures = 0;
            for operation in operations {
                if let Err(failure) = self.transaction(std::slice::from_ref(operation), answers) {
                    answers.push(failure.answer());
                    failures += 1;
                    last = Some(failure);
                }
            }
            // One line for all: a full disk fails a thousand a second.
            if let Some(failure) = last {
                failure.log(failures);
            }
        } else {
            failure.log(operations.len());
            answers.resize(start + operations.len(), failure.answer());
        }
    }

    fn transaction(
        &self,
        operations: &[Operation<'_>],
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failure> {
        let start = answers.len();
        let result = self.run("BEGIN IMMEDIATE").and_then(|()| {
            for operation in operations {
                let answer = if reads::is_read(operation) {
                    reads::read(&self.connection, operation)
                } else {
                    writes::write(&self.connection, operation)
                }?;
                answers.push(answer);
            }
            Ok(())
        });
        if let Err(error) = result {
            answers.truncate(start);
            return Err(Failure {
                undone: self.roll_back(),
                error,
            });
        }
        self.run("COMMIT").map_err(|error| {
            answers.truncate(start);
            // A disk that is full, or a file at its limit (EFBIG is a failed write to SQLite), refused to take the log's last
            // record, the one that commits. After any other error, say of fsync, that record may be in the file, and would be
            // honoured if the machine stopped right now.
            let refused = error.sqlite_error().is_some_and(|e| {
                e.code == ErrorCode::DiskFull
                    || e.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE
            });
            Failure {
                undone: self.roll_back() && refused,
                error,
            }
        })
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Ends a failed transaction, which SQLite may have done by itself; whether it is ended.
    fn roll_back(&self) -> bool {
        if !self.connection.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!("database: rolling back failed: {error}");
        }
        self.connection.is_autocommit()
    }

    /// Brings everything into the database file and empties the write-ahead log.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Closes the connection.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.connection.close().map_err(|(_, error)| error)
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Failure {
    /// Whether the others of its transaction may succeed without the one that failed.
    fn may_be_one_operation(&self) -> bool {
        self.undone
            && !matches!(
                self.error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::ReadOnly
                )
            )
    }

    fn answer(&self) -> Answer {
        match self.error.sqlite_error_code() {
            _ if !self.undone => Answer::Unknown,
            // Somebody else is writing, with the sqlite3 tool: it is worth asking again.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Answer::Unknown,
            Some(ErrorCode::DiskFull) => Answer::Refused(Reason::Full),
            _ => Answer::Refused(Reason::Failed),
        }
    }

    fn log(&self, operations: usize) {
        let not = if self.undone {
            "not written"
        } else {
            "perhaps not written"
        };
        tracing::error!(operations, "database: {not}: {}", self.error);
    }
}
