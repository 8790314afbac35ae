//! Loads the configuration from its four sources.
//!
//! This file owns the order of the sources. It opens no file but the one it is given, and reads no environment of its own.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Config;
use super::document;
use super::error::{ConfigError, SourcePlace};
use super::settings::{Loader, SETTINGS, find};
use super::value::Raw;
use super::{check, environment, file, nearest, renamed};
use crate::operator_file;

/// The settings of the command line: pairs of a dotted key and its value, such as
/// `("limits.message_bytes_max", "64MiB")`. The key `port` sets only the port of `listen`.
#[derive(Debug, Clone, Default)]
pub struct Overrides(pub Vec<(String, String)>);

/// Loads the configuration: defaults, then `file`, then the `FANWIRE_*` variables of `environment`, then `flags`. Each
/// source overrides the ones before it.
///
/// # Errors
/// The first error, with its place and a remedy.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
) -> Result<Config, ConfigError> {
    let text = match file {
        Some(path) => {
            let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
            let bytes = operator_file::read_named(path).map_err(unreadable)?;
            let not_text = |error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error).into());
            String::from_utf8(bytes).map_err(not_text)?
        }
        None => String::new(),
    };
    assemble(document::Source { path: file.unwrap_or(Path::new("")), text: &text }, environment, flags)
}

/// Reads a duration in the form of the configuration: `90s`, `15m`, `1h`.
///
/// # Errors
/// A sentence with the accepted form.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    Raw::Text(text).duration()
}

/// Loads the configuration from the text of the file and the other sources.
pub(super) fn assemble(
    source: document::Source<'_>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
) -> Result<Config, ConfigError> {
    let mut loader = Loader::default();
    file::read(source, &mut loader)?;
    environment::read(environment, &mut loader)?;
    read_flags(flags, &mut loader)?;
    check::fit_defaults(&mut loader);
    check::check(&loader)?;
    Ok(loader.config)
}

/// Keys with a flag of their own, and this flag. Other keys are set by `--set`.
const FLAGS: [(&str, &str); 7] = [
    ("listen", "--listen"),
    ("port", "--port"),
    ("open", "--open"),
    ("workers", "--workers"),
    ("data_dir", "--data-dir"),
    ("origins", "--allow-origin"),
    ("log.filter", "--log"),
];

/// Returns a key as the operator spells it on the command line.
fn spelled(key: &str) -> &str {
    FLAGS.iter().find(|(name, _)| *name == key).map_or(key, |(_, flag)| flag)
}

/// Applies the flags in their order, and `port` last, so that it overrides the port of `listen`.
fn read_flags(flags: &Overrides, loader: &mut Loader) -> Result<(), ConfigError> {
    let (ports, others): (Vec<_>, Vec<_>) = flags.0.iter().partition(|(key, _)| key == "port");
    for (key, text) in others {
        let Some(setting) = find(key) else {
            if let Some(new) = renamed::new_name(key) {
                let (place, old) = (SourcePlace::Flags, key.clone());
                return Err(ConfigError::RenamedKey { place, old, new: new.to_owned() });
            }
            let keys = SETTINGS.iter().map(|setting| setting.key).chain(["port"]);
            let nearest = nearest::nearest(key, keys).map(str::to_owned);
            return Err(ConfigError::UnknownKey { place: SourcePlace::Flags, key: key.clone(), nearest });
        };
        loader.set(setting, Raw::Text(text), SourcePlace::Flags, spelled(key))?;
    }
    for (key, text) in ports {
        loader.set_port(text, SourcePlace::Flags, spelled(key))?;
    }
    Ok(())
}
