//! The write-ahead log and the size of the files: when the log is moved into the database, and when free pages are
//! returned to the file system.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode};

use super::error::StoreError;

/// The number of pages returned to the file system in one step, so that a publisher waits only briefly.
const VACUUM_PAGES: i64 = 256;

/// The free pages a database may keep however small it is; beyond them, a quarter of it may be free.
const FREE_PAGES_MIN: i64 = 1_024;

pub(super) struct LogFile {
    /// The pages in the log as of the last commit.
    pages: Arc<AtomicUsize>,
    pages_max: usize,
    /// The number of pages from which the log is moved next. More than `pages_max` only while readers keep it from starting
    /// over: then it grows on, and moving it with every commit would gain nothing.
    due_at: usize,
}

impl LogFile {
    /// Creates the state for the log of `connection`, whose hook keeps `pages` up to date; the log is moved into the database
    /// from `bytes_max` on.
    pub(super) fn new(
        connection: &Connection,
        pages: Arc<AtomicUsize>,
        bytes_max: u64,
    ) -> rusqlite::Result<Self> {
        let page_size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages_max = (bytes_max / page_size.max(1) as u64).max(16) as usize;
        Ok(Self { pages, pages_max, due_at: pages_max })
    }

    /// Moves the log into the database if it has grown to its bound. Readers are not waited for, unless they have kept
    /// the log from starting over until it is four times as long as it should be.
    pub(super) fn move_if_long(&mut self, connection: &Connection) -> Option<Result<(), StoreError>> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.pages_max {
            self.due_at = self.pages_max;
        }
        if pages < self.due_at {
            return None;
        }
        self.due_at = pages + self.pages_max;
        let is_stuck = pages > 4 * self.pages_max;
        Some(checkpoint(connection, if is_stuck { CheckpointMode::RESTART } else { CheckpointMode::PASSIVE }))
    }

    /// Moves the log and makes its file empty.
    pub(super) fn empty(&self, connection: &Connection) -> Result<(), StoreError> {
        checkpoint(connection, CheckpointMode::TRUNCATE)
    }

    /// Moves what is in the log, so that it starts over in the room that its file has already.
    pub(super) fn start_over(&self, connection: &Connection) -> Result<(), StoreError> {
        checkpoint(connection, CheckpointMode::RESTART)
    }

    /// Returns all free pages to the file system and empties the log, so that both files become as small as they can.
    pub(super) fn compact(&self, connection: &Connection) -> Result<(), StoreError> {
        // Free pages first: what the database no longer has need not be moved out of the log.
        connection.pragma(None, "incremental_vacuum", 0, |_| Ok(()))?;
        self.empty(connection)
    }

    /// Returns free pages to the file system, one step at a time; returns whether nothing is left to do.
    pub(super) fn shrink(&mut self, connection: &Connection) -> Result<bool, StoreError> {
        let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let (free, pages) = (number("freelist_count")?, number("page_count")?);
        if free > FREE_PAGES_MIN.max(pages / 4) {
            // The pragma returns a row for every page and moves at most as many as it names.
            connection.pragma(None, "incremental_vacuum", VACUUM_PAGES, |_| Ok(()))?;
            if let Some(moved) = self.move_if_long(connection) {
                moved?;
            }
            return Ok(number("freelist_count")? >= free);
        }
        self.empty(connection)?;
        Ok(true)
    }
}

fn checkpoint(connection: &Connection, mode: CheckpointMode) -> Result<(), StoreError> {
    let Err(error) = connection.wal_checkpoint_v2(DEFAULT_NAME, mode) else { return Ok(()) };
    match error.sqlite_error_code() {
        // A reader was in the way. The log stays a little longer.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Ok(()),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_step_by_step_until_little_is_free() {
        let path = std::env::temp_dir().join(format!("fanwire-log-file-{}.db", std::process::id()));
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                 CREATE TABLE filler(id INTEGER PRIMARY KEY, bytes BLOB);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                 INSERT INTO filler SELECT i, zeroblob(4000) FROM n;",
            )
            .unwrap();
        let mut log_file = LogFile::new(&connection, Arc::default(), 1 << 20).unwrap();
        log_file.empty(&connection).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        let full = size();
        assert!(log_file.shrink(&connection).unwrap(), "nothing is free yet");
        connection.execute_batch("DELETE FROM filler WHERE id > 100").unwrap();
        let mut steps = 0;
        while !log_file.shrink(&connection).unwrap() {
            steps += 1;
            assert!(steps < 100);
        }
        assert!(steps > 5, "{steps}");
        assert!(size() < full / 2, "{} of {full}", size());
        drop(connection);
        std::fs::remove_file(&path).unwrap();
    }
}
