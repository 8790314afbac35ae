//! The errors of the store: when it is opened, and while it runs.
//!
//! Owns the sentences that an operator reads. It does not know what the broker does about them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// An error that prevents the use of a data directory. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// There is no such directory.
    #[error("the data directory {} does not exist: create it, owned by the user the broker runs as", .0.display())]
    Missing(PathBuf),
    /// The path leads to something else.
    #[error("{} is not a directory: name a directory for the broker's data", .0.display())]
    NotADirectory(PathBuf),
    /// Its files cannot be written.
    #[error(
        "{} cannot be written ({cause}): give the user the broker runs as the right to write there, or name another \
         data directory", .path.display()
    )]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: String,
    },
    /// Another broker has it open.
    #[error(
        "the data directory {} is in use by another broker: stop that one first, or give each a directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file is not a database at all.
    #[error(
        "{} is not a fanwire database, and is left as it is: move it away, or name another data directory",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A newer broker has written it.
    #[error(
        "{} was written by a newer broker (format {found}; this one reads up to {known}): start that version again",
        .path.display()
    )]
    Newer {
        /// The path of the database.
        path: PathBuf,
        /// The version of its format.
        found: i64,
        /// The newest version this broker reads.
        known: i64,
    },
    /// The file was a database of ours and is damaged.
    #[error(
        "{} is damaged ({cause}), and is left as it is: restore fanwire.db from a backup, or move all fanwire.db* files \
         away to begin anew without the durable history", .path.display()
    )]
    Damaged {
        /// The path of the database.
        path: PathBuf,
        /// The reason why it is not valid.
        cause: String,
    },
    /// There is no room to begin.
    #[error("the disk of {} is full: free some space and start again", .0.display())]
    Full(PathBuf),
    /// Another step of opening failed.
    #[error("{} cannot be opened: {cause}", .path.display())]
    Failed {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: String,
    },
}

impl OpenError {
    /// Returns the store error for an error of the file system at `path`.
    pub(super) fn from_io(path: PathBuf, error: &io::Error) -> Self {
        let cause = error.to_string();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::NotADirectory => Self::NotADirectory(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, cause }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Failed { path, cause },
        }
    }

    /// Returns the store error for an error of SQLite on the database at `path`.
    pub(super) fn from_sqlite(path: PathBuf, error: &rusqlite::Error) -> Self {
        let cause = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign(path),
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, cause },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { path, cause },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse(path),
            Some(ErrorCode::DiskFull) => Self::Full(path),
            _ => Self::Failed { path, cause },
        }
    }
}

/// An error of a running store. Failures of the disk show in the health of the store too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Too much waits to be written already; the caller did not heed `Event::PressureRaised`.
    #[error("too much waits for the disk: publish again in a moment")]
    Full,
    /// Reading or writing failed. It may go better later.
    #[error("the store cannot be used: {0}")]
    Unavailable(Arc<str>),
    /// There is no room on the disk, or `file_bytes_max` is reached. It succeeds again when something was deleted.
    #[error("the store cannot be used: {0}")]
    NoSpace(Arc<str>),
    /// The database contradicts itself. It will not get better by itself, so nothing is written any more.
    #[error("the database is damaged: {0}")]
    Damaged(Arc<str>),
    /// There is no room for another topic: sixteen million are known. Nothing else is refused for it.
    #[error("there are too many durable topics: forget some that are not used any more")]
    TooManyTopics,
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The error for a row that says what no row of ours says.
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(what.into())
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let cause = error.to_string().into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(cause),
            _ => Self::Unavailable(cause),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType, QueryReturnedNoRows, Utf8Error};
        let is_damage = match &error {
            FromSqlConversionFailure(..) | InvalidColumnType(..) | QueryReturnedNoRows | Utf8Error(..) => {
                true
            }
            other => matches!(
                other.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation)
            ),
        };
        let cause = error.to_string().into();
        let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match (is_damage, is_full) {
            (true, _) => Self::Damaged(cause),
            (false, true) => Self::NoSpace(cause),
            (false, false) => Self::Unavailable(cause),
        }
    }
}
