//! Why a store could not be opened, in words that tell its operator what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not be opened. Nothing was changed in a database that is refused.
#[derive(Debug)]
pub enum OpenError {
    /// Another server, or an admin command, is using the data folder.
    Running {
        /// The data folder.
        folder: PathBuf,
        /// The other process, where it is known.
        pid: Option<u32>,
    },
    /// The data folder or a file in it cannot be made, read or written.
    Denied {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The disk is full.
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// The file is no SQLite database, or its very beginning is damaged.
    NotDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a newer soQet.
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: i32,
        /// The newest version this program knows.
        known: i32,
    },
    /// The database is damaged.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another program keeps the database locked.
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else.
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system said.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotFound => Self::Denied {
                path,
                reason: error.to_string(),
            },
            _ => Self::Failed {
                path,
                reason: error.to_string(),
            },
        }
    }

    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let reason = error.to_string();
        match error.sqlite_error() {
            // The shared-memory file beside the database could not be made large enough.
            Some(e) if e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                Self::Full { path }
            }
            Some(e) => match e.code {
                ErrorCode::DiskFull => Self::Full { path },
                ErrorCode::NotADatabase => Self::NotDatabase { path },
                ErrorCode::DatabaseCorrupt => Self::Corrupt {
                    path,
                    detail: reason,
                },
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
                ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                    Self::Denied { path, reason }
                }
                _ => Self::Failed { path, reason },
            },
            None => Self::Failed { path, reason },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { folder, pid } => {
                write!(f, "soqet is already running")?;
                if let Some(pid) = pid {
                    write!(f, " (pid {pid})")?;
                }
                write!(
                    f,
                    " with the data folder {}. Stop it first, or choose another folder with --data.",
                    folder.display()
                )
            }
            Self::Denied { path, reason } => write!(
                f,
                "cannot write {}: {reason}. Give the user who runs soqet the right to write there, or choose another folder with --data.",
                path.display()
            ),
            Self::Full { path } => write!(
                f,
                "the disk that holds {} is full. Free some space, then start again; nothing is lost.",
                path.display()
            ),
            Self::NotDatabase { path } => write!(
                f,
                "{} is not a soQet database, or it is damaged. It was left as it is: put a backup in its place, or move it away to start afresh.",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "{} is the database of another program. It was left as it is: choose another folder with --data.",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer soqet (version {found} of the tables; this program knows {known}). It was left as it is: install the newer soqet.",
                path.display()
            ),
            Self::Corrupt { path, detail } => write!(
                f,
                "the database {} is damaged ({detail}). It was left as it is: put a backup in its place, or save what can be read with `sqlite3 {} .recover`.",
                path.display(),
                path.display()
            ),
            Self::Busy { path } => write!(
                f,
                "another program keeps {} locked. End it (an open sqlite3?), then start again.",
                path.display()
            ),
            Self::Failed { path, reason } => {
                write!(f, "cannot open the database {}: {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}
