//! The operator's own door: a Unix socket in the data folder on which the server speaks IRC lines, for `soqet account`.
//!
//! Who may open the socket may do what an owner may; so it belongs to the server's user alone.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::Failure;

/// Name of the socket in the data folder.
const SOCKET: &str = "control.sock";
/// Longest path a Unix socket can have on Linux, less one for the final NUL.
const PATH_MAX: usize = 107;
/// For its user only.
const MODE: u32 = 0o600;
/// Commands that may wait at once.
const BACKLOG: i32 = 16;

/// Makes the data folder if there is none; true when it did. It is for its user only.
pub fn make_folder(data: &Path) -> Result<bool, Failure> {
    if data.is_dir() {
        return Ok(false);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map(|()| true)
        .map_err(|error| {
            Failure::new(format!(
                "the data folder {} cannot be made: {error}\nChoose another one with --data, or give this user the right to make it.",
                data.display()
            ))
        })
}

/// The listening socket; its file goes with it.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
}

impl Door {
    /// Listens in a data folder. To be called by whoever holds the folder's lock only: a socket found there is a dead server's.
    pub fn open(data: &Path) -> Result<(Self, UnixListener), Failure> {
        let path = data.join(SOCKET);
        let listener = bind(data, &path).map_err(|error| {
            Failure::new(format!(
                "{} cannot be made: {error}\nIt is for `soqet account`. Check that this user may write there and that nothing else has that name.",
                path.display()
            ))
        })?;
        Ok((Self { path }, listener))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Left behind it does no harm: the next server replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(data: &Path, path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let (short, _folder) = reachable(data, path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux the file takes its mode from the socket, so there is no moment at which others could open it; elsewhere this may
    // be refused, and the mode is set afterwards.
    let _ = rustix::fs::fchmod(&socket, Mode::from_raw_mode(MODE));
    socket.bind(&SockAddr::unix(short)?)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// Connects to the server that serves from a data folder; `None` when none does.
pub fn connect(data: &Path) -> Result<Option<UnixStream>, Failure> {
    let path = data.join(SOCKET);
    let connected = reachable(data, &path).and_then(|(short, _folder)| UnixStream::connect(short));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Failure::new(format!(
            "the running server cannot be reached at {}: {error}\nRun this command as the user the server runs as.",
            path.display()
        ))),
    }
}

/// A path to the socket that is short enough for the system, and the folder that must stay open while it is used.
fn reachable(data: &Path, path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= PATH_MAX {
        return Ok((path.to_owned(), None));
    }
    let folder = File::open(data)?;
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(SOCKET);
    Ok((short, Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_user_may_open_it_and_it_goes_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        assert!(connect(folder.path()).unwrap().is_none());
        let (door, listener) = Door::open(folder.path()).unwrap();
        let path = folder.path().join(SOCKET);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(connect(folder.path()).unwrap().is_some());

        // A killed server leaves its socket behind.
        std::mem::forget(door);
        drop(listener);
        assert!(path.exists());
        assert!(connect(folder.path()).unwrap().is_none());
        let (door, _listener) = Door::open(folder.path()).unwrap();
        assert!(connect(folder.path()).unwrap().is_some());
        drop(door);
        assert!(!path.exists());
    }

    #[test]
    fn another_file_of_that_name_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SOCKET), "mine").unwrap();
        assert!(Door::open(folder.path()).is_err());
        assert_eq!(fs::read(folder.path().join(SOCKET)).unwrap(), b"mine");
    }

    #[test]
    fn deep_folders_work() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a-rather-long-name".repeat(7)).join("b");
        assert!(make_folder(&deep).unwrap());
        assert!(!make_folder(&deep).unwrap());
        let (_door, _listener) = Door::open(&deep).unwrap();
        assert!(connect(&deep).unwrap().is_some());
    }
}
