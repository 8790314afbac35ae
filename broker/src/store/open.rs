//! Opening a data directory: who else uses it, what lies in it, and the tables a new one is given.
//!
//! Everything that can be wrong is found before anything is written. It does not know what the tables are used for.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, StoreConfig};

/// The name of the database inside the data directory.
const DATABASE: &str = "fanwire.db";

/// The name of the file whose lock says that a broker is using the directory. It stays when the broker ends: removing
/// it would let two brokers lock two files of one name.
const LOCK: &str = "fanwire.lock";

/// What every SQLite file begins with (SQLite file format, §1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Marks the database as fanwire's: "fanw" in ASCII.
const APPLICATION_ID: i64 = 0x6661_6e77;

/// The version of the tables below.
const FORMAT: i64 = 1;

/// How long a statement waits for another connection, which never holds a lock for long.
const BUSY: Duration = Duration::from_secs(5);

/// The tables.
///
/// A publication's id is made of its topic's id and its offset (see `row.rs`): the rows of a topic lie together and in
/// order, and payloads of a few kilobytes lie among them, which they would not if the key were of two columns. A topic's
/// head is not stored: it is the offset of its last publication, or the floor when none is held. So a publication costs
/// one row at the end of its topic's range and nothing else. `total` is the running sum of the costs of all publications
/// of the epoch, so that what lies between two offsets is known without adding it up. `AUTOINCREMENT` keeps the id of a
/// forgotten topic from being given out again while its rows are still being deleted.
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
        payload BLOB NOT NULL
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

/// The tables a database of this format must have.
const TABLE_NAMES: [&str; 5] = ["topics", "publications", "keys", "forgotten", "probes"];

/// A data directory that belongs to this broker as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    database: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory for this broker alone.
    pub(super) fn claim(directory: &Path) -> Result<Self, OpenError> {
        let metadata =
            fs::metadata(directory).map_err(|error| OpenError::from_io(directory.into(), &error))?;
        if !metadata.is_dir() {
            return Err(OpenError::NotADirectory(directory.into()));
        }
        let failed = |error: &io::Error| match OpenError::from_io(directory.into(), error) {
            // The directory is there; some file systems say so when they cannot make a file.
            OpenError::Missing(path) => OpenError::ReadOnly { path, cause: error.to_string() },
            other => other,
        };
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK));
        let lock = lock.map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { database: directory.join(DATABASE), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.into())),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// The connection that writes. Makes the database if there is none.
    pub(super) fn open_writer(&self, config: &StoreConfig) -> Result<Connection, OpenError> {
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(self.database.clone(), &error);
        let is_new = self.is_new()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let create = if is_new { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let connection = Connection::open_with_flags(&self.database, flags | create).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        if is_new {
            create_tables(&connection).map_err(failed)?;
        }
        self.check_format(&connection)?;
        set_up_writer(&connection, config).map_err(failed)?;
        let journal: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
        if journal != "wal" {
            let cause = "its file system cannot hold a write-ahead log; use a local disk".to_owned();
            return Err(OpenError::Failed { path: self.database.clone(), cause });
        }
        Ok(connection)
    }

    /// A connection that only reads.
    pub(super) fn open_reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")?;
        Ok(connection)
    }

    /// Whether there is no database yet; an error if what is there cannot be one.
    fn is_new(&self) -> Result<bool, OpenError> {
        let failed = |error: io::Error| OpenError::from_io(self.database.clone(), &error);
        let mut head = Vec::new();
        match OpenOptions::new().read(true).write(true).open(&self.database) {
            Ok(file) => {
                file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        if head == MAGIC {
            return Ok(false);
        }
        if !head.is_empty() {
            return Err(OpenError::Foreign(self.database.clone()));
        }
        // SQLite would throw away the log of a database that is gone, and with it what somebody may still rescue.
        let log = self.log_path();
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            let cause = format!("it is empty, but {} is not", log.display());
            return Err(OpenError::Damaged { path: self.database.clone(), cause });
        }
        Ok(true)
    }

    fn log_path(&self) -> PathBuf {
        self.database.with_file_name(format!("{DATABASE}-wal"))
    }

    fn check_format(&self, connection: &Connection) -> Result<(), OpenError> {
        let path = || self.database.clone();
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(path(), &error);
        let number = |pragma: &str| {
            connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed)
        };
        if number("application_id")? != APPLICATION_ID {
            return Err(OpenError::Foreign(path()));
        }
        let found = number("user_version")?;
        if found > FORMAT {
            return Err(OpenError::Newer { path: path(), found, known: FORMAT });
        }
        for name in TABLE_NAMES {
            let query = format!("SELECT 1 FROM {name} LIMIT 1");
            let mut statement = connection.prepare(&query).map_err(|error| OpenError::Damaged {
                path: path(),
                cause: format!("table {name} cannot be read: {error}"),
            })?;
            statement.exists([]).map_err(failed)?;
        }
        // A file that was cut short still opens; what is missing would only be found much later.
        let pages = number("page_count")? as u64;
        let length = fs::metadata(&self.database).map_err(|error| OpenError::from_io(path(), &error))?.len();
        let has_log = fs::metadata(self.log_path()).is_ok_and(|log| log.len() > 0);
        let expected = pages * number("page_size")? as u64;
        if length < expected && !has_log {
            let cause = format!("it has {length} bytes where {expected} are expected");
            return Err(OpenError::Damaged { path: path(), cause });
        }
        Ok(())
    }
}

/// Makes the tables in one transaction of SQLite's older journal, so that a crash half-way leaves an empty file and
/// never a log without its database.
fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA synchronous = FULL;
         BEGIN EXCLUSIVE;
         {TABLES}
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))
}

/// Write-ahead log, a sync of it at every commit, and checkpoints only when the writer asks for them.
fn set_up_writer(connection: &Connection, config: &StoreConfig) -> rusqlite::Result<()> {
    let page_size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages_max = config.file_bytes_max.map_or(0xffff_fffe, |bytes| (bytes as i64 / page_size).max(64));
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {};
         PRAGMA max_page_count = {pages_max};
         PRAGMA cache_size = -{};
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY",
        2 * config.log_bytes_max,
        config.cache_bytes / 1024,
    ))
}
