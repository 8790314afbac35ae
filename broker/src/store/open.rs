//! Opening a data directory: claiming it, creating the database in it, and checking what it contains.
//!
//! Everything that can be wrong is found before anything is written. It does not know what the tables are used for.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::config::StoreConfig;
use super::directory_sync::sync_directory;
use super::error::{OpenError, StoreError};
use super::mark::{self, Mark, Mismatch};
use super::reserve::Reserve;
use super::schema::{self, APPLICATION_ID, FORMAT, State, TABLE_NAMES};
use crate::failpoint::{self, Failpoint};

/// The name of the database inside the data directory.
pub(super) const DATABASE: &str = "fanwire.db";

/// The name of a database that is not complete yet.
pub(super) const UNFINISHED: &str = "fanwire.db.new";

/// The name of the file whose lock says that a broker is using the directory. It stays when the broker ends: removing
/// it would let two brokers lock two files of one name.
const LOCK: &str = "fanwire.lock";

/// The first bytes of every SQLite file (SQLite file format, §1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The suffixes of the files that SQLite keeps beside a database.
pub(super) const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The time for which a statement waits for another connection, which never holds a lock for long.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A data directory that belongs to this broker as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    directory: PathBuf,
    database: PathBuf,
    /// The path of the write-ahead log.
    log: PathBuf,
    /// The database and its log as they were opened.
    opened: OnceLock<[FileId; 2]>,
    _lock: File,
}

/// Device and inode of a file.
type FileId = (u64, u64);

/// A database that was opened for writing.
pub(super) struct OpenedDatabase {
    pub(super) connection: Connection,
    pub(super) mark: Mark,
    pub(super) state: State,
    /// The reason why all topics have new epochs, if they have.
    pub(super) renewed: Option<String>,
}

impl DataDirectory {
    /// Claims the directory for this broker alone.
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
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(directory.join(LOCK));
        let lock = lock.map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                directory: directory.into(),
                database: directory.join(DATABASE),
                log: companion(&directory.join(DATABASE), "-wal"),
                opened: OnceLock::new(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.into())),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// The path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.directory
    }

    /// Returns the bytes that are free on the disk, as far as the system knows.
    pub(super) fn available_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.directory).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The path of the database.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// Opens the connection that writes. Creates the database if there is none, and gives all topics new epochs if the
    /// database has lost commits or is a copy.
    pub(super) fn open_writer(&self, config: &StoreConfig) -> Result<OpenedDatabase, OpenError> {
        let mut reserve = Reserve::new(&self.directory);
        match self.try_open_writer(config) {
            // SQLite needs some room to open a database. On a full disk it is given the reserve, so that the broker starts
            // and history can be cleared.
            Err(OpenError::Full(_) | OpenError::Failed { .. }) if reserve.is_there() => {
                reserve.release();
                self.try_open_writer(config)
            }
            opened => opened,
        }
    }

    fn try_open_writer(&self, config: &StoreConfig) -> Result<OpenedDatabase, OpenError> {
        let path = || self.database.clone();
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(path(), &error);
        let failed_io = |error: io::Error| OpenError::from_io(path(), &error);
        remove_database(&self.directory.join(UNFINISHED)).map_err(failed_io)?;
        let mut is_trusted = false;
        if self.is_new()? {
            self.create()?;
        }
        let mut connection = self.connect(&self.database).map_err(failed)?;
        if schema::is_blank(&connection).map_err(failed)? {
            // A broker before format 2 was killed while it created the database in place.
            connection.close().map_err(|(_, error)| failed(error))?;
            self.create()?;
            connection = self.connect(&self.database).map_err(failed)?;
        }
        let found = self.check_format(&connection)?;
        set_up_writer(&connection, config).map_err(failed)?;
        let journal: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
        if journal != "wal" {
            let cause = "its file system cannot hold a write-ahead log; use a local disk".to_owned();
            return Err(OpenError::Failed { path: path(), cause });
        }
        if found < FORMAT {
            // Databases of format 1 never had a mark: there is nothing that could contradict this one.
            is_trusted = !mark::has_marks(&self.directory).map_err(failed_io)?;
            schema::migrate(&connection, found).map_err(failed)?;
        }
        let (mark, state, renewed) = self.open_mark(&connection, is_trusted)?;
        let opened = [identify(&self.database).map_err(failed_io)?, identify(&self.log).map_err(failed_io)?];
        self.opened.get_or_init(|| opened);
        Ok(OpenedDatabase { connection, mark, state, renewed })
    }

    fn open_mark(
        &self,
        connection: &Connection,
        is_trusted: bool,
    ) -> Result<(Mark, State, Option<String>), OpenError> {
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(self.database.clone(), &error);
        let failed_io = |error: io::Error| OpenError::from_io(self.directory.clone(), &error);
        let damaged =
            |error: StoreError| OpenError::Damaged { path: self.database.clone(), cause: error.to_string() };
        let state = schema::state(connection).map_err(damaged)?;
        if is_trusted {
            return Ok((Mark::create(&self.directory, state.database).map_err(failed_io)?, state, None));
        }
        let reason = match Mark::open(&self.directory, state.database).map_err(failed_io)? {
            Ok(mark) => match mark.newest().lacking(connection).map_err(damaged)? {
                Some(reason) => reason,
                None => return Ok((mark, state, None)),
            },
            Err(Mismatch(reason)) => reason,
        };
        schema::renew_epochs(connection).map_err(failed)?;
        let state = schema::state(connection).map_err(damaged)?;
        let mark = Mark::create(&self.directory, state.database).map_err(failed_io)?;
        Ok((mark, state, Some(reason)))
    }

    /// Opens a connection that only reads.
    pub(super) fn open_reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")?;
        // What was opened by name must be what the writer has open.
        self.check_in_place()?;
        Ok(connection)
    }

    /// Checks that the files of the database are still where they were when they were opened. Otherwise what is written
    /// would be gone with the next start.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        self.check_log_in_place()?;
        self.opened.get().map_or(Ok(()), |[database, _]| self.check(&self.database, *database))
    }

    /// Checks only the log, which shows as well that the directory is in place.
    pub(super) fn check_log_in_place(&self) -> Result<(), StoreError> {
        self.opened.get().map_or(Ok(()), |[_, log]| self.check(&self.log, *log))
    }

    fn check(&self, path: &Path, opened: FileId) -> Result<(), StoreError> {
        match identify(path) {
            Ok(found) if found == opened => Ok(()),
            Ok(_) => Err(self.misplaced("was replaced")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.misplaced("was removed")),
            Err(error) => Err(error.into()),
        }
    }

    fn misplaced(&self, what: &str) -> StoreError {
        let reason = format!(
            "the database in {} {what} while the broker was running: put it back, or restart the broker",
            self.directory.display()
        );
        StoreError::Unavailable(reason.into())
    }

    /// Creates the database under another name and renames it when it is complete, so that a broker that is killed
    /// meanwhile leaves nothing that the next start takes for a database.
    fn create(&self) -> Result<(), OpenError> {
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(self.database.clone(), &error);
        let failed_io = |error: io::Error| match OpenError::from_io(self.database.clone(), &error) {
            OpenError::Missing(path) => OpenError::ReadOnly { path, cause: error.to_string() },
            other => other,
        };
        let reach = || failpoint::reach(Failpoint::StoreCreate).map_err(failed_io);
        let unfinished = self.directory.join(UNFINISHED);
        reach()?;
        // SQLite gives the files beside a database the permissions of the database.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished).map_err(failed_io)?;
        reach()?;
        let connection = self.connect(&unfinished).map_err(failed)?;
        schema::create(&connection).map_err(failed)?;
        reach()?;
        let state = schema::state(&connection)
            .map_err(|error| OpenError::Failed { path: unfinished.clone(), cause: error.to_string() })?;
        connection.close().map_err(|(_, error)| failed(error))?;
        // What lies beside an empty database is of no use, and SQLite would take it for the new one's.
        remove_companions(&self.database).map_err(failed_io)?;
        reach()?;
        Mark::create(&self.directory, state.database).map_err(failed_io)?;
        reach()?;
        fs::rename(&unfinished, &self.database).map_err(failed_io)?;
        reach()?;
        sync_directory(&self.directory).map_err(failed_io)
    }

    fn connect(&self, path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
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
        // SQLite would delete the log of a database that is gone, and with it what may still be rescued.
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > 0) {
            let cause = format!("it is empty, but {} is not", self.log.display());
            return Err(OpenError::Damaged { path: self.database.clone(), cause });
        }
        Ok(true)
    }

    /// Checks that the database is fanwire's and whole as far as that shows at once, and returns its version.
    fn check_format(&self, connection: &Connection) -> Result<i64, OpenError> {
        let path = || self.database.clone();
        let found = check_tables(&self.database, connection)?;
        // A file that was cut short still opens; what is missing would only be found much later.
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(path(), &error);
        let number = |pragma: &str| {
            connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed)
        };
        let pages = number("page_count")? as u64;
        let length = fs::metadata(&self.database).map_err(|error| OpenError::from_io(path(), &error))?.len();
        let has_log = fs::metadata(&self.log).is_ok_and(|log| log.len() > 0);
        let expected = pages * number("page_size")? as u64;
        if length < expected && !has_log {
            let cause = format!("it has {length} bytes where {expected} are expected");
            return Err(OpenError::Damaged { path: path(), cause });
        }
        Ok(found)
    }
}

/// Checks that the database at `path` is fanwire's, of a known version, and has its tables; returns the version.
pub(super) fn check_tables(path: &Path, connection: &Connection) -> Result<i64, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path.into(), &error);
    let number = |pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed)
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign(path.into()));
    }
    let found = number("user_version")?;
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.into(), found, known: FORMAT });
    }
    for name in TABLE_NAMES.iter().chain((found >= FORMAT).then_some(&"state")) {
        let query = format!("SELECT 1 FROM {name} LIMIT 1");
        let mut statement = connection.prepare(&query).map_err(|error| OpenError::Damaged {
            path: path.into(),
            cause: format!("table {name} cannot be read: {error}"),
        })?;
        statement.exists([]).map_err(failed)?;
    }
    Ok(found)
}

/// Returns device and inode of the file to which a path leads now.
///
/// Linux is not asked for more: once the times of a file have been read, its next write must change them (multigrain timestamps),
/// and the sync of a log whose times have changed waits for the journal of the file system. That would be 40 to 60 µs per commit.
#[cfg(target_os = "linux")]
fn identify(path: &Path) -> io::Result<FileId> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    use rustix::io::Errno;

    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok((makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino)),
        // Kernels before 4.11, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn identify(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The path of a file that SQLite keeps beside the database at `database`.
pub(super) fn companion(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database and what SQLite keeps beside it, if they are there.
pub(super) fn remove_database(database: &Path) -> io::Result<()> {
    remove_if_there(database)?;
    remove_companions(database)
}

fn remove_companions(database: &Path) -> io::Result<()> {
    COMPANIONS.iter().try_for_each(|suffix| remove_if_there(&companion(database, suffix)))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Sets the write-ahead log, a sync of it at every commit, and checkpoints only when the writer asks for them.
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
