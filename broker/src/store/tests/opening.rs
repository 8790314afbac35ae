//! Data directories that cannot be used: each has an error of its own, and is left as it is.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{Scratch, append, open, text, texts};
use crate::store::{OpenError, Store, StoreConfig};

fn refusal(directory: &Path) -> OpenError {
    let opened = Store::open(directory, StoreConfig::default(), Arc::new(|_| {}));
    opened.err().expect("the directory must be refused")
}

/// Checks that a directory with this database is refused for a reason that says `expected`, and left as it is.
fn check(database: &[u8], expected: &str) -> OpenError {
    let scratch = Scratch::new();
    fs::write(scratch.database(), database).unwrap();
    let error = refusal(&scratch.0);
    assert!(error.to_string().contains(expected), "{error}");
    assert!(fs::read(scratch.database()).unwrap() == database, "the file was changed");
    error
}

/// The bytes of a database with some publications in it, after `change` was made to it.
fn database(change: &str) -> Vec<u8> {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for _ in 0..200 {
        drop(super::submit(&store, text("a", &"x".repeat(500))));
    }
    drop(store);
    let connection = rusqlite::Connection::open(scratch.database()).unwrap();
    connection.execute_batch(change).unwrap();
    connection.close().unwrap();
    fs::read(scratch.database()).unwrap()
}

#[test]
fn a_path_without_a_directory_is_refused() {
    let scratch = Scratch::new();
    let missing = scratch.0.join("missing");
    assert!(matches!(refusal(&missing), OpenError::Missing(path) if path == missing));
    assert!(!missing.exists());
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refusal(&file), OpenError::NotADirectory(path) if path == file));
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    // Not even root may make files there.
    let error = refusal(Path::new("/sys/kernel"));
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("the right to write"), "{error}");
}

#[test]
fn a_second_broker_is_refused_until_the_first_has_ended() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    append(&store, text("a", "x")).unwrap();
    let error = refusal(&scratch.0);
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains("another broker"), "{error}");
    append(&store, text("a", "y")).unwrap();
    drop(store);
    assert_eq!(texts(&open(&scratch.0), "a", 7), ["x", "y"]);
}

#[test]
fn files_that_are_no_database_of_ours_are_refused() {
    assert!(matches!(check(b"a list of things to buy\n", "move it away"), OpenError::Foreign(_)));
    assert!(matches!(check(b"S", "not a fanwire database"), OpenError::Foreign(_)));
    let mut noise = b"SQLite format 3\0".to_vec();
    noise.extend([0xa5; 8_000]);
    check(&noise, "not a fanwire database");
    let scratch = Scratch::new();
    let other = scratch.0.join("other.db");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE recipes(name TEXT)").unwrap();
    connection.close().unwrap();
    assert!(matches!(check(&fs::read(other).unwrap(), "not a fanwire"), OpenError::Foreign(_)));
}

#[test]
fn a_database_of_a_newer_broker_is_refused() {
    let error = check(&database("PRAGMA user_version = 3"), "written by a newer broker");
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error:?}");
}

#[test]
fn a_damaged_database_is_refused() {
    let whole = database("");
    check(&whole[..whole.len() / 2], "damaged");
    let mut schema = whole.clone();
    schema[100..2_000].fill(0xff);
    check(&schema, "damaged");
    let error = check(&database("DROP TABLE keys"), "table keys");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("restore"), "{error}");
}

#[test]
fn a_log_without_its_database_is_not_deleted() {
    let scratch = Scratch::new();
    let log = scratch.0.join("fanwire.db-wal");
    fs::write(&log, "what is left").unwrap();
    assert!(matches!(refusal(&scratch.0), OpenError::Damaged { .. }));
    let mut left = String::new();
    fs::File::open(&log).unwrap().read_to_string(&mut left).unwrap();
    assert_eq!(left, "what is left");
}

#[test]
fn an_empty_file_is_accepted() {
    let scratch = Scratch::new();
    fs::write(scratch.database(), "").unwrap();
    let store = open(&scratch.0);
    assert_eq!(append(&store, text("a", "x")).unwrap().position.offset, 1);
}

/// Turns a database into one of format 1.
const FORMAT_1: &str =
    "ALTER TABLE publications DROP COLUMN checksum; DROP TABLE state; PRAGMA user_version = 1";

#[test]
fn a_database_of_format_1_is_upgraded_and_keeps_its_positions() {
    let scratch = Scratch::new();
    fs::write(scratch.database(), database(FORMAT_1)).unwrap();
    let store = open(&scratch.0);
    assert_eq!(texts(&store, "a", 7).len(), 200);
    assert_eq!(append(&store, text("a", "new")).unwrap().position.offset, 201);
    drop(store);
    let store = open(&scratch.0);
    assert_eq!(texts(&store, "a", 7).len(), 201);
}

#[test]
fn what_an_interrupted_creation_leaves_is_accepted() {
    // A broker of format 1 that was killed left a database without tables, or an empty one with its journal.
    let blank = Scratch::new();
    let connection = rusqlite::Connection::open(blank.database()).unwrap();
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").unwrap();
    connection.close().unwrap();
    assert!(fs::metadata(blank.database()).unwrap().len() > 0);
    let journal = Scratch::new();
    fs::write(journal.database(), "").unwrap();
    fs::write(journal.0.join("fanwire.db-journal"), "half").unwrap();
    let unfinished = Scratch::new();
    fs::write(unfinished.0.join("fanwire.db.new"), "half").unwrap();
    fs::write(unfinished.0.join("fanwire.db.new-wal"), "half").unwrap();
    fs::write(unfinished.0.join("fanwire.newmark"), "half").unwrap();
    for scratch in [blank, journal, unfinished] {
        let store = open(&scratch.0);
        assert_eq!(append(&store, text("a", "x")).unwrap().position.offset, 1);
        drop(store);
        assert_eq!(texts(&open(&scratch.0), "a", 7), ["x"]);
        assert!(!scratch.0.join("fanwire.db.new").exists());
    }
}

#[test]
fn files_are_made_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    append(&store, text("a", "x")).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(&scratch.0).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name());
    }
    assert!(names.len() >= 5, "{names:?}");
}
