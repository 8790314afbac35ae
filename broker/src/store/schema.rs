//! The tables of the database, their versions, and the step from each version to the next.
//!
//! It does not know what the tables are used for, nor where the database lies.

use rusqlite::{Connection, OptionalExtension};

use super::error::StoreError;

/// Marks the database as fanwire's: "fanw" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x6661_6e77;

/// The version of the tables below. Version 1 had neither checksums nor the table `state`.
pub(super) const FORMAT: i64 = 2;

/// The tables.
///
/// A publication's id is made of its topic's id and its offset (see `row.rs`): the rows of a topic lie together and in
/// order, and payloads of a few kilobytes lie among them, which they would not if the key were of two columns. A topic's
/// head is not stored: it is the offset of its last publication, or the floor when none is held. So a publication costs
/// one row at the end of its topic's range and nothing else. `total` is the running sum of the costs of all publications
/// of the epoch, so that what lies between two offsets is known without adding it up. `AUTOINCREMENT` keeps the id of a
/// forgotten topic from being assigned again while its rows are still being deleted. A checksum is NULL in rows that a
/// broker of format 1 wrote. `state` has one row.
const TABLES: &str = "
    CREATE TABLE topics(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        epoch INTEGER NOT NULL,
        floor INTEGER NOT NULL DEFAULT 0,
        floor_total INTEGER NOT NULL DEFAULT 0,
        floor_ts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE publications(
        id INTEGER PRIMARY KEY,
        total INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        sender TEXT,
        payload BLOB NOT NULL,
        checksum INTEGER
    ) STRICT;
    CREATE TABLE keys(
        topic INTEGER NOT NULL,
        key TEXT NOT NULL,
        offset INTEGER NOT NULL,
        accepted INTEGER NOT NULL,
        PRIMARY KEY(topic, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_by_age ON keys(accepted);
    CREATE TABLE forgotten(topic INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE probes(id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
";

/// The table that format 2 added: which database this is, and its latest time.
const STATE: &str = "
    CREATE TABLE state(
        id INTEGER PRIMARY KEY CHECK(id = 1),
        database INTEGER NOT NULL,
        newest_ts INTEGER NOT NULL
    ) STRICT;
    INSERT INTO state(id, database, newest_ts)
        SELECT 1, random(), coalesce(max(accepted), 0) FROM keys;
";

/// The tables that every version has.
pub(super) const TABLE_NAMES: [&str; 5] = ["topics", "publications", "keys", "forgotten", "probes"];

/// The row of `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Identifies the database; drawn at random when it is created and whenever its topics begin new epochs.
    pub(super) database: i64,
    /// The time of a commit in milliseconds since 1970, about the latest: see [`note_time`].
    pub(super) newest_ts: u64,
}

/// Creates the tables in an empty database, in one transaction of SQLite's rollback journal.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA synchronous = FULL;
         BEGIN EXCLUSIVE;
         {TABLES}
         {STATE}
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))
}

/// Whether this is a database in which no transaction was ever committed, as a start that was interrupted leaves it.
pub(super) fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(objects == 0 && number("application_id")? == 0 && number("user_version")? == 0)
}

/// Brings a database of version `found` to [`FORMAT`], in one transaction.
pub(super) fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    if found >= FORMAT {
        return Ok(());
    }
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE;
         ALTER TABLE publications ADD COLUMN checksum INTEGER;
         {STATE}
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))
}

/// Reads the row of `state`.
pub(super) fn state(connection: &Connection) -> Result<State, StoreError> {
    let mut read = connection.prepare_cached("SELECT database, newest_ts FROM state WHERE id = 1")?;
    let row = read
        .query_row([], |row| Ok(State { database: row.get(0)?, newest_ts: row.get::<_, i64>(1)? as u64 }));
    row.optional()?.ok_or_else(|| StoreError::damaged("the row of table state is missing"))
}

/// Stores the time inside the current transaction. The page of `state` is written for nothing else, so not every commit does this.
pub(super) fn note_time(connection: &Connection, newest_ts: u64) -> Result<(), StoreError> {
    let mut note =
        connection.prepare_cached("UPDATE state SET newest_ts = max(newest_ts, ?1) WHERE id = 1")?;
    match note.execute([newest_ts as i64])? {
        0 => Err(StoreError::damaged("the row of table state is missing")),
        _ => Ok(()),
    }
}

/// Assigns a new random epoch to every topic and a new identity to the database, in one transaction.
pub(super) fn renew_epochs(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("UPDATE topics SET epoch = random()", [])?;
    transaction.execute("UPDATE state SET database = random() WHERE id = 1", [])?;
    transaction.commit()
}
