//! What is refused at opening, and that it is left as it was.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use soqet_core::store::Operation;
use tempfile::TempDir;

use super::rig::*;
use crate::store::{Answer, FILE, OpenError, Sqlite};

/// Opens a folder that must be refused with its database unchanged.
fn refused(folder: &Path) -> OpenError {
    let path = folder.join(FILE);
    let before = fs::read(&path).unwrap();
    let error = Sqlite::open(folder).unwrap_err();
    assert!(before == fs::read(&path).unwrap(), "the file was changed");
    assert!(error.to_string().contains(FILE), "{error}");
    error
}

/// A closed database with something in it.
fn filled() -> TempDir {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    for msgid in 1..=400 {
        append(&mut store, &message(a, msgid, msgid));
    }
    store.sqlite.take().unwrap().close().unwrap();
    store.folder
}

#[test]
fn the_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("some/where");
    drop(Sqlite::open(&data).unwrap());
    assert!(data.join(FILE).exists());
    #[cfg(unix)]
    for (path, expected) in [(data.clone(), 0o700), (data.join(FILE), 0o600)] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, expected);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Sqlite::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn one_at_a_time() {
    let mut store = Direct::new();
    let error = Sqlite::open(store.folder.path()).unwrap_err();
    let me = std::process::id();
    assert!(matches!(error, OpenError::Running { pid: Some(pid), .. } if pid == me));
    assert!(error.to_string().contains(&format!("pid {me}")));
    // The sqlite3 tool is not locked out.
    let tool = Connection::open(store.folder.path().join(FILE)).unwrap();
    let rooms: i64 = tool
        .query_row("SELECT count(*) FROM channel", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rooms, 0);
    drop(tool);
    store.sqlite.take().unwrap().close().unwrap();
    drop(Sqlite::open(store.folder.path()).unwrap());
}

#[test]
fn what_is_no_database_is_left_alone() {
    for content in [&b"dear diary"[..], &[b'x'; 9000], b"SQLite format 3\0"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), content).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::NotDatabase { .. }), "{error:?}");
    }
}

#[test]
fn a_foreign_database_is_left_alone() {
    for (application_id, journal) in [(0, "DELETE"), (0x0f05_5112, "DELETE"), (7, "WAL")] {
        let folder = tempfile::tempdir().unwrap();
        let other = Connection::open(folder.path().join(FILE)).unwrap();
        other
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(()))
            .unwrap();
        other
            .execute_batch(&format!(
                "PRAGMA application_id = {application_id}; CREATE TABLE account (id INTEGER)"
            ))
            .unwrap();
        drop(other);
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    }
}

#[test]
fn a_newer_database_is_left_alone() {
    let folder = filled();
    let newer = Connection::open(folder.path().join(FILE)).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let error = refused(folder.path());
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error:?}"
    );
}

#[test]
fn a_newer_database_is_known_by_its_log_too() {
    let folder = filled();
    let copy = tempfile::tempdir().unwrap();
    let newer = Connection::open(folder.path().join(FILE)).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    for ending in ["", "-wal"] {
        let name = format!("{FILE}{ending}");
        fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let error = Sqlite::open(copy.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error:?}"
    );
}

#[test]
fn damage_is_told_of() {
    let folder = filled();
    let path = folder.path().join(FILE);
    let mut content = fs::read(&path).unwrap();
    assert!(content.len() > 16 * 4096);
    content[8 * 4096..12 * 4096].fill(0xa5);
    fs::write(&path, content).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_truncated_file_is_told_of() {
    let folder = filled();
    let path = folder.path().join(FILE);
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() / 2]).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[test]
fn what_was_acknowledged_outlives_a_crash() {
    let mut store = Direct::new();
    let a = room(&mut store, "#a");
    for msgid in 1..=50 {
        append(&mut store, &message(a, msgid, msgid));
        if msgid % 10 != 0 {
            continue;
        }
        // What a killed process leaves: the file and its log, without goodbye.
        let left = tempfile::tempdir().unwrap();
        for ending in ["", "-wal"] {
            let name = format!("{FILE}{ending}");
            fs::copy(store.folder.path().join(&name), left.path().join(&name)).unwrap();
        }
        let mut again = Direct {
            sqlite: Some(Sqlite::open(left.path()).unwrap()),
            folder: left,
        };
        assert_eq!(append(&mut again, &message(a, 1000, 0)).0, msgid + 1);
    }
}

#[test]
fn a_crash_during_the_very_first_start_is_undone() {
    let made = tempfile::tempdir().unwrap();
    let connection = Connection::open(made.path().join(FILE)).unwrap();
    // So little memory that the unfinished tables go to the file.
    connection
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN EXCLUSIVE; PRAGMA application_id = 1936675188;",
        )
        .unwrap();
    for n in 0..50 {
        connection
            .execute_batch(&format!(
                "CREATE TABLE t{n} (x TEXT UNIQUE); INSERT INTO t{n} VALUES (zeroblob(9000))"
            ))
            .unwrap();
    }
    let left = tempfile::tempdir().unwrap();
    for ending in ["", "-journal"] {
        let name = format!("{FILE}{ending}");
        fs::copy(made.path().join(&name), left.path().join(&name)).unwrap();
    }
    assert!(fs::metadata(left.path().join(FILE)).unwrap().len() > 0);
    let mut sqlite = Sqlite::open(left.path()).unwrap();
    let answer = sqlite.execute(&Operation::LoadSettings);
    assert!(matches!(answer, Answer::Settings(None)));
}
