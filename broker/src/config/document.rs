//! The text of a configuration file: its keys in order, and the line of each, so that every error names its place.

use std::borrow::Cow;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, SourcePlace};
use super::nearest::nearest;

/// The text of a file and its name.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Returns the place of the byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> SourcePlace {
        SourcePlace::in_file(self.path, self.text, offset)
    }

    /// Returns the error of a value that is not accepted.
    pub(super) fn bad_value(&self, offset: usize, key: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::BadValue { place: self.place(offset), key: key.to_owned(), reason: reason.into() }
    }

    /// Returns the error of a key that is not in `keys`.
    pub(super) fn unknown_key<'k>(
        &self,
        offset: usize,
        key: &str,
        keys: impl Iterator<Item = &'k str>,
    ) -> ConfigError {
        // In the file the port is a part of `listen`; only the command line and the environment have `port`.
        let nearest = if key == "port" { Some("listen") } else { nearest(key, keys) };
        let nearest = nearest.map(str::to_owned);
        ConfigError::UnknownKey { place: self.place(offset), key: key.to_owned(), nearest }
    }
}

/// Returns the entries of a table in the order of the file, so that the first error is the one reported. Each has its key,
/// the offset of the key, and its value.
pub(super) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, usize, &'t DeValue<'i>)> {
    let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<_>)| -> (&'t str, usize, &'t DeValue<'i>) {
        let name: &Cow<'i, str> = key.get_ref();
        (name, key.span().start, value.get_ref())
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|(_, offset, _)| *offset);
    entries
}
