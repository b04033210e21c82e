//! Opening the database with care, and using it without threads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use soqet_core::store::Operation;

use super::answer::Answer;
use super::error::OpenError;
use super::lock::Lock;
use super::reader::Reader;
use super::reads;
use super::schema;
use super::writer::Writer;

/// Name of the database in the data folder.
pub const FILE: &str = "soqet.db";

/// Databases up to this size are checked for damage whenever they are opened, which takes some 0.3 s at most. Of larger ones only
/// the header and the tables' definitions are, for a check reads the whole file; damage shows when it is read, as refused reads.
const CHECKED_SIZE: u64 = 64 << 20;

/// How long to wait for somebody else who is writing (the sqlite3 tool).
const BUSY: Duration = Duration::from_secs(5);

/// An open database: two connections, one that writes and one that reads.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    // Last, so that it is given back after the connections are closed.
    pub(super) lock: Lock,
}

impl Sqlite {
    /// Opens the database of a data folder, and makes both when there are none. The folder is locked until the value is dropped.
    ///
    /// # Errors
    /// See [`OpenError`]. A database that is refused is left as it is.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        make_folder(folder).map_err(|e| OpenError::io(folder, &e))?;
        let lock = Lock::take(folder)?;
        let path = folder.join(FILE);
        let size = inspect(&path)?;
        let failed = |e: rusqlite::Error| OpenError::sqlite(&path, &e);

        // Each connection is used by one thread at a time.
        let open =
            |access| Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let connection = open(OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let version = identify(&connection, &path)?;
        if version > 0 && size <= CHECKED_SIZE {
            check(&connection, &path)?;
        }
        prepare(&connection, version).map_err(failed)?;

        let reading = open(OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        reading.busy_timeout(BUSY).map_err(failed)?;
        tune(&reading).map_err(failed)?;
        Ok(Self {
            reader: Reader::new(reading),
            writer: Writer::new(connection),
            lock,
        })
    }

    /// The settings that owners changed, by name.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn config(&self) -> Result<Vec<(String, String)>, OpenError> {
        self.reader
            .config()
            .map_err(|error| OpenError::sqlite(Path::new(FILE), &error))
    }

    /// Does one operation and waits for it: for admin commands on a stopped server, and tests.
    pub fn execute(&mut self, operation: &Operation<'_>) -> Answer {
        if reads::is_read(operation) {
            self.reader.read(operation)
        } else {
            self.execute_all(std::slice::from_ref(operation))
                .pop()
                .unwrap_or(Answer::Unknown)
        }
    }

    /// Does operations in one transaction, and answers them in order.
    pub fn execute_all(&mut self, operations: &[Operation<'_>]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(operations.len());
        self.writer.write(operations, &mut answers);
        answers
    }

    /// Closes the database with an empty write-ahead log. Without it (a crash) nothing is lost: the next opening reads the log.
    ///
    /// # Errors
    /// SQLite's, in words; what was stored is stored nevertheless.
    pub fn close(self) -> Result<(), String> {
        drop(self.reader);
        close(self.writer)
    }
}

/// Empties the log and closes the last connection.
pub(super) fn close(writer: Writer) -> Result<(), String> {
    let emptied = writer.checkpoint();
    let closed = writer.close();
    emptied
        .and(closed)
        .map_err(|e| format!("closing the database: {e}"))
}

/// Makes the data folder, for its owner alone: it holds everybody's messages.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Looks at the file without SQLite, which would already clean up behind another program's crash. Makes an empty one when there
/// is none. Returns its size with its write-ahead log.
fn inspect(path: &Path) -> Result<u64, OpenError> {
    let failed = |e: io::Error| OpenError::io(path, &e);
    let mut header = [0; 100];
    let size = match File::open(path) {
        Ok(mut file) => {
            let size = file.metadata().map_err(failed)?.len();
            // Behind a crash in the middle of the very first transaction the header is not to be trusted; SQLite will undo it.
            if size == 0 || beside(path, "-journal").exists() {
                return Ok(size);
            }
            file.read_exact(&mut header).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => OpenError::NotDatabase {
                    path: path.to_owned(),
                },
                _ => failed(e),
            })?;
            size
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path).map_err(failed)?;
            return Ok(0);
        }
        Err(e) => return Err(failed(e)),
    };
    // https://www.sqlite.org/fileformat.html section 1.3
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::NotDatabase {
            path: path.to_owned(),
        });
    }
    recognise(path, field(&header, 68), field(&header, 60))?;
    let log = fs::metadata(beside(path, "-wal")).map_or(0, |m| m.len());
    Ok(size.saturating_add(log))
}

/// A big-endian number of the header.
fn field(header: &[u8; 100], at: usize) -> i32 {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// The file beside the database with that ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Refuses what is not this program's.
fn recognise(path: &Path, application: i32, version: i32) -> Result<(), OpenError> {
    let path = path.to_owned();
    if application != schema::APPLICATION_ID || version < 1 {
        Err(OpenError::Foreign { path })
    } else if version > schema::VERSION {
        Err(OpenError::Newer {
            path,
            found: version,
            known: schema::VERSION,
        })
    } else {
        Ok(())
    }
}

/// The version of the database's tables, 0 when it is empty.
fn identify(connection: &Connection, path: &Path) -> Result<i32, OpenError> {
    let number = |sql| {
        connection
            .query_row(sql, [], |row| row.get::<_, i32>(0))
            .map_err(|e| OpenError::sqlite(path, &e))
    };
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(0);
    }
    recognise(path, application, version)?;
    Ok(version)
}

/// Reads the whole database for damage.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let detail: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|e| OpenError::sqlite(path, &e))?;
    if detail == "ok" {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path.to_owned(),
        detail: detail.replace('\n', " "),
    })
}

/// Makes the writing connection ready, and proves that it can write.
fn prepare(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    if version < schema::VERSION {
        schema::upgrade(connection, version)?;
    }
    tune(connection)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A larger log costs less (pages written often are checkpointed once) up to some 16 MB.
    connection.query_row("PRAGMA wal_autocheckpoint = 4000", [], |_| Ok(()))?;
    // After a long read has let it grow.
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A write that changes nothing, so that a full or read-only disk is told of now and not to the first who says something.
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; PRAGMA user_version = {}; COMMIT",
        schema::VERSION
    ))
}

/// What both connections want.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // 8 MiB.
    connection.pragma_update(None, "cache_size", -8192)
}
