//! Errors of the configuration, with their places.
//!
//! Each message contains the place, the key as it is spelled there, and a remedy, because its reader wants to start a
//! broker.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::operator_file::FileError;

/// The place of a setting. Later variants override earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePlace {
    /// No place: the setting has its default.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line of the key.
        line: usize,
    },
    /// A `FANWIRE_*` environment variable.
    Environment,
    /// A flag on the command line.
    Flags,
}

impl SourcePlace {
    /// Returns the rank: a place of higher rank overrides one of lower rank.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment => 2,
            Self::Flags => 3,
        }
    }

    /// Returns the place of the byte at `offset` in the `text` of the file at `path`.
    pub(super) fn in_file(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Self::File { path: path.to_owned(), line }
    }
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("defaults"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment => formatter.write_str("environment"),
            Self::Flags => formatter.write_str("command line"),
        }
    }
}

/// The reason why the broker cannot start with this configuration. Each message is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}{}", path.display(), remedy(source))]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// The reason why it cannot be read.
        source: FileError,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// The line of the error.
        place: SourcePlace,
        /// The message of the parser.
        message: String,
    },
    /// A key, variable or flag that this version does not know.
    #[error("{place}: unknown key '{key}'{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The place of the key.
        place: SourcePlace,
        /// The key as it is spelled there.
        key: String,
        /// The valid key that it most likely stands for, if one is close.
        nearest: Option<String>,
    },
    /// A key, variable or flag of an earlier version that has another name today.
    #[error("{place}: '{old}' is now '{new}': write the new name")]
    RenamedKey {
        /// The place of the key.
        place: SourcePlace,
        /// The key as it is spelled there.
        old: String,
        /// Its name today, in the spelling of that place.
        new: String,
    },
    /// A value that has the wrong type, is out of range, or contradicts another one.
    #[error("{place}: bad value for '{key}': {reason}")]
    BadValue {
        /// The place of the value.
        place: SourcePlace,
        /// The key as it is spelled there.
        key: String,
        /// The reason, with a remedy.
        reason: String,
    },
    /// A table without a required key.
    #[error("{place}: '{key}' is missing: {reason}")]
    MissingKey {
        /// The place of the table.
        place: SourcePlace,
        /// The key that is missing.
        key: String,
        /// The purpose of the key.
        reason: String,
    },
}

/// Returns what to do about a file that cannot be read.
fn remedy(error: &FileError) -> &'static str {
    match error {
        FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "; 'fanwire config' prints a file with all defaults"
        }
        _ => "",
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!("; did you mean '{key}'?"),
        None => ": 'fanwire config' prints all keys".to_owned(),
    }
}
