//! Reads the TOML file: applies each of its keys, in the order of the file.
//!
//! This file owns the walk over the document. `settings`, `topic`, `auth` and `pusher` read the values.

use toml::de::{DeTable, DeValue};

use super::auth;
use super::document::{Source, in_order};
use super::error::ConfigError;
use super::pusher;
use super::renamed;
use super::settings::{self, Loader, SETTINGS};
use super::topic;
use super::value::{Raw, kind};

/// The key under which topic rules stand.
const TOPIC: &str = "topic";

/// The key under which API keys stand.
const KEY: &str = "key";

/// The section of the Pusher apps.
const PUSHER: &str = "pusher";

/// Applies all settings of the file.
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
        } else if key == PUSHER {
            for (app, offset) in pusher::read_section(source, offset, value)? {
                loader.config.pusher_apps.push(app);
                loader.pusher_at.push(source.place(offset));
            }
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
        _ => return Err(source.unknown_key(offset, section, [TOPIC, KEY, PUSHER].into_iter().chain(keys()))),
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
