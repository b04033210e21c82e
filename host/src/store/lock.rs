//! One server at a time: a lock on a file of its own, so that the `sqlite3` tool can still read the database meanwhile.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::OpenError;

/// Held while it lives; the system gives it back however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a data folder, which must exist.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("soqet.lock");
        let failed = |e: &std::io::Error| OpenError::io(&path, e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| failed(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Only to say who: where locks are mandatory (Windows) it cannot be read.
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Running {
                    folder: folder.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|e| failed(&e))?;
        Ok(Self { _file: file })
    }
}
