//! Reads the TOML file and keeps track of lines, so that every error can say where it stands.
//!
//! This file owns the walk over the document. What a key accepts is the business of `settings` and `topic`.

use std::borrow::Cow;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::auth;
use super::error::{ConfigError, SourcePlace};
use super::nearest::nearest;
use super::renamed;
use super::settings::{self, Loader, SETTINGS};
use super::topic;
use super::value::{Raw, kind};

/// The key under which topic rules stand.
const TOPIC: &str = "topic";

/// The key under which API keys stand.
const KEY: &str = "key";

/// The text of a file and its name: what it takes to turn an offset into a place.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The place of the byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> SourcePlace {
        SourcePlace::in_file(self.path, self.text, offset)
    }

    /// The error for a value that is not acceptable.
    pub(super) fn bad_value(&self, offset: usize, key: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::BadValue { place: self.place(offset), key: key.to_owned(), reason: reason.into() }
    }

    /// The error for a key that is none of `keys`.
    pub(super) fn unknown_key<'k>(
        &self,
        offset: usize,
        key: &str,
        keys: impl Iterator<Item = &'k str>,
    ) -> ConfigError {
        let nearest = nearest(key, keys).map(str::to_owned);
        ConfigError::UnknownKey { place: self.place(offset), key: key.to_owned(), nearest }
    }
}

/// Makes all settings of the file.
pub(super) fn read(source: Source<'_>, loader: &mut Loader) -> Result<(), ConfigError> {
    let document = DeTable::parse(source.text).map_err(|error| ConfigError::Syntax {
        place: source.place(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    for (key, offset, value) in in_order(document.get_ref()) {
        if key == TOPIC {
            loader.config.topics.clear();
            for (rule, durable_at) in topic::read_all(source, offset, value)? {
                loader.config.topics.push(rule);
                if let Some(offset) = durable_at {
                    loader.durable_at.get_or_insert_with(|| source.place(offset));
                }
            }
        } else if key == KEY {
            loader.config.keys = auth::read_keys(source, offset, value)?;
        } else if let Some(setting) = settings::find(key) {
            loader.set(setting, Raw::Toml(value), source.place(offset), key)?;
        } else {
            read_section(source, key, offset, value, loader)?;
        }
    }
    Ok(())
}

fn read_section(
    source: Source<'_>,
    section: &str,
    offset: usize,
    value: &DeValue<'_>,
    loader: &mut Loader,
) -> Result<(), ConfigError> {
    let keys = || SETTINGS.iter().map(|setting| setting.key);
    let prefix = format!("{section}.");
    let known = keys().any(|key| key.starts_with(&prefix));
    let table = match value {
        DeValue::Table(table) if known || !table.is_empty() => table,
        other if known => {
            let reason = format!("expected the section [{section}], found {}", kind(other));
            return Err(source.bad_value(offset, section, reason));
        }
        _ => return Err(source.unknown_key(offset, section, [TOPIC, KEY].into_iter().chain(keys()))),
    };
    for (key, offset, value) in in_order(table) {
        let key = format!("{prefix}{key}");
        let Some(setting) = settings::find(&key) else {
            if let Some(new) = renamed::new_name(&key) {
                let place = source.place(offset);
                return Err(ConfigError::RenamedKey { place, old: key, new: new.to_owned() });
            }
            return Err(source.unknown_key(offset, &key, keys()));
        };
        loader.set(setting, Raw::Toml(value), source.place(offset), &key)?;
    }
    Ok(())
}

/// The entries of a table in the order they stand in the file, so that the first mistake is the one reported: each
/// with its key, the offset of the key, and its value.
pub(super) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, usize, &'t DeValue<'i>)> {
    let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<_>)| -> (&'t str, usize, &'t DeValue<'i>) {
        let name: &Cow<'i, str> = key.get_ref();
        (name, key.span().start, value.get_ref())
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|(_, offset, _)| *offset);
    entries
}
