//! What can be wrong with a configuration, and where.
//!
//! Every message names the place, the key as it is spelled there, and what would be right, because the person who reads
//! it is looking at a broker that does not start.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where a setting was made. Later variants override earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePlace {
    /// Nowhere: the setting has its default.
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
    /// The order in which places override each other.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment => 2,
            Self::Flags => 3,
        }
    }

    /// The place of the byte `offset` in the `text` of the file at `path`.
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
            Self::Flags => formatter.write_str("flags"),
        }
    }
}

/// Why the broker cannot start with this configuration. Each message is a whole sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// The line at which the parser gave up.
        place: SourcePlace,
        /// What the parser said.
        message: String,
    },
    /// A key, variable or flag that means nothing to this version.
    #[error("{place}: unknown key '{key}'{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// Where the key stands.
        place: SourcePlace,
        /// The key as it is spelled there.
        key: String,
        /// The valid key that it most likely stands for, if one is close.
        nearest: Option<String>,
    },
    /// A key, variable or flag of an earlier version that has another name today.
    #[error("{place}: '{old}' is now '{new}': write the new name")]
    RenamedKey {
        /// Where the key stands.
        place: SourcePlace,
        /// The key as it is spelled there.
        old: String,
        /// Its name today, in the spelling of that place.
        new: String,
    },
    /// A value that is of the wrong type, out of range, or at odds with another one.
    #[error("{place}: bad value for '{key}': {reason}")]
    BadValue {
        /// Where the value stands.
        place: SourcePlace,
        /// The key as it is spelled there.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A table that lacks a key it cannot do without.
    #[error("{place}: '{key}' is missing: {reason}")]
    MissingKey {
        /// Where the table begins.
        place: SourcePlace,
        /// The key that is missing.
        key: String,
        /// What the key is for.
        reason: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!("; did you mean '{key}'?"),
        None => ": 'fanwire config' prints all keys".to_owned(),
    }
}
