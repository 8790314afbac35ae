//! Copying a database: a backup while the broker runs or is stopped, and putting a backup into a data directory.
//!
//! A backup is a directory with one file, the database. It has no mark (see `mark.rs`), so that a broker that is started on
//! it gives every topic a new epoch. A restore does that at once. This file does not know how the commands are spelt.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::directory_sync::sync_directory;
use super::error::OpenError;
use super::mark::Mark;
use super::open::{
    COMPANIONS, DATABASE, DataDirectory, UNFINISHED, check_tables, companion, remove_database,
};
use super::schema;
use crate::failpoint::{self, Failpoint};

/// The name under which a restore keeps the database that was there.
const KEPT: &str = "fanwire.db.before-restore";

/// An error of copying a database.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no database to copy.
    #[error("there is no fanwire.db in {}: name the directory that contains it", .0.display())]
    NothingThere(PathBuf),
    /// The target exists already.
    #[error("{} exists already: name a directory that does not, or move it away", .0.display())]
    TargetExists(PathBuf),
    /// The database or the data directory cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Reading or writing failed.
    #[error("{} cannot be copied: {cause}", .path.display())]
    Failed {
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        cause: String,
    },
}

impl From<OpenError> for CopyError {
    fn from(error: OpenError) -> Self {
        Self::Unusable(error.to_string())
    }
}

fn failed<E: ToString>(path: &Path) -> impl FnOnce(E) -> CopyError {
    let path = path.to_owned();
    move |error| CopyError::Failed { path, cause: error.to_string() }
}

/// Copies the database of a data directory to the new directory `target`, as of one moment. A broker may run on the data
/// directory meanwhile.
///
/// # Errors
/// If there is no usable database, `target` exists, or writing fails; then `target` is not there.
pub fn backup(data_directory: &Path, target: &Path) -> Result<(), CopyError> {
    let source = database_in(data_directory)?;
    DirBuilder::new().mode(0o700).create(target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CopyError::TargetExists(target.to_owned()),
        _ => failed(target)(error),
    })?;
    let copied = copy(&source, &target.join(UNFINISHED)).and_then(|()| {
        let database = target.join(DATABASE);
        fs::rename(target.join(UNFINISHED), &database).map_err(failed(&database))?;
        sync_directory(target).map_err(failed(target))
    });
    if copied.is_err() {
        // Half a backup must not be taken for one. What cannot be removed is named in the error that is returned anyway.
        let _removed = fs::remove_dir_all(target);
    }
    copied
}

/// Puts the backup in the directory `backup` into a data directory on which no broker runs, and gives every topic a new
/// epoch. Returns where the database that was there is kept, if there was one.
///
/// # Errors
/// If the backup or the data directory cannot be used, or writing fails.
pub fn restore(backup: &Path, data_directory: &Path) -> Result<Option<PathBuf>, CopyError> {
    let source = database_in(backup)?;
    match DirBuilder::new().mode(0o700).create(data_directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(data_directory)(error));
        }
        _ => {}
    }
    let claimed = DataDirectory::claim(data_directory)?;
    let reach = || failpoint::reach(Failpoint::StoreRestore).map_err(failed(data_directory));
    reach()?;
    let (database, kept) = (claimed.database(), data_directory.join(KEPT));
    let is_there = database.exists();
    if is_there && kept.exists() {
        return Err(CopyError::TargetExists(kept));
    }
    let unfinished = data_directory.join(UNFINISHED);
    remove_database(&unfinished).map_err(failed(&unfinished))?;
    copy(&source, &unfinished)?;
    reach()?;
    let state = {
        let connection = open(&unfinished, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let found = check_tables(&unfinished, &connection)?;
        schema::migrate(&connection, found).map_err(failed(&unfinished))?;
        schema::renew_epochs(&connection).map_err(failed(&unfinished))?;
        let state = schema::state(&connection).map_err(failed(&unfinished))?;
        connection.close().map_err(|(_, error)| failed(&unfinished)(error))?;
        state
    };
    sync(&unfinished)?;
    reach()?;
    // From here on the database that is there does not match the mark: a broker that is started before the end gives its
    // topics new epochs as well.
    Mark::create(data_directory, state.database).map_err(failed(data_directory))?;
    reach()?;
    if is_there {
        keep_aside(database, &kept).map_err(failed(database))?;
    }
    reach()?;
    fs::rename(&unfinished, database).map_err(failed(database))?;
    reach()?;
    sync_directory(data_directory).map_err(failed(data_directory))?;
    give_to_owner(data_directory);
    Ok(is_there.then_some(kept))
}

/// Keeps the database under another name. Its own name leads to it until the new one replaces it, where the file system has
/// hard links.
fn keep_aside(database: &Path, kept: &Path) -> io::Result<()> {
    // What is in the log goes into the database; the log of a damaged one is kept beside it.
    if let Ok(connection) = open(database, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        let _is_damaged = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        let _is_damaged = connection.close();
    }
    // The log first: beside another database it would be applied to that.
    for suffix in COMPANIONS {
        let from = companion(database, suffix);
        if from.exists() {
            fs::rename(&from, companion(kept, suffix))?;
        }
    }
    fs::hard_link(database, kept).or_else(|_| fs::rename(database, kept))
}

fn database_in(directory: &Path) -> Result<PathBuf, CopyError> {
    let database = directory.join(DATABASE);
    if database.is_file() { Ok(database) } else { Err(CopyError::NothingThere(directory.to_owned())) }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, CopyError> {
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed(path))?;
    connection.busy_timeout(super::open::BUSY).map_err(failed(path))?;
    Ok(connection)
}

/// Writes the database at `source`, its log included, to `target`, checks the copy and syncs it.
fn copy(source: &Path, target: &Path) -> Result<(), CopyError> {
    let connection = open(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check_tables(source, &connection)?;
    // SQLite fills a file that is there and empty, and leaves its permissions as they are.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(failed(target))?;
    let name = target.to_str().ok_or_else(|| failed(target)("its path is not UTF-8"))?;
    connection.execute("VACUUM INTO ?1", params![name]).map_err(failed(source))?;
    let copied = open(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let verdict: String =
        copied.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed(target))?;
    if verdict != "ok" {
        return Err(failed(target)(verdict));
    }
    sync(target)
}

fn sync(path: &Path) -> Result<(), CopyError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed(path))
}

/// Changes the owner of the restored files to the owner of the directory, so that the broker can write it.
fn give_to_owner(directory: &Path) {
    let Ok(owner) = fs::metadata(directory) else { return };
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("fanwire.") {
            // Only the superuser may, and any other user owns the files already.
            let _allowed = std::os::unix::fs::chown(entry.path(), Some(owner.uid()), Some(owner.gid()));
        }
    }
}
