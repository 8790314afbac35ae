//! Reads `FANWIRE_*` variables: the section and key of a setting in upper case, joined by `_`.
//!
//! The caller passes the variables, so this file does not read the environment. An unknown variable is an error, because
//! otherwise a mistyped limit would never apply.

use super::error::{ConfigError, SourcePlace};
use super::nearest::nearest;
use super::pusher::{PusherAppConfig, SECRET_VARIABLE};
use super::renamed::RENAMED;
use super::settings::{Loader, SETTINGS};
use super::value::Raw;
use crate::secret::Secret;

const PREFIX: &str = "FANWIRE_";
const PORT: &str = "FANWIRE_PORT";

/// Variables that are no settings: the subcommands read all but the last, and scripts that start a broker read that.
const READ_ELSEWHERE: [&str; 6] = [
    "FANWIRE_CONFIG",
    "FANWIRE_URL",
    "FANWIRE_TOKEN",
    "FANWIRE_CA_FILE",
    "FANWIRE_PUSHER_APP",
    "FANWIRE_BIN",
];

/// Applies all `FANWIRE_*` variables, and the port last, so that it overrides the port of the address.
pub(super) fn read(
    variables: impl Iterator<Item = (String, String)>,
    loader: &mut Loader,
) -> Result<(), ConfigError> {
    let mut port = None;
    for (name, text) in variables {
        if !name.starts_with(PREFIX) || READ_ELSEWHERE.contains(&&*name) || is_service_link(&name, &text) {
            continue;
        }
        // Failpoints exist in debug builds only; a release build refuses the variable like any other it does not know.
        if cfg!(debug_assertions) && (name == "FANWIRE_FAILPOINTS" || name == "FANWIRE_TEST_ARCHIVE") {
            continue;
        }
        if name == PORT {
            port = Some(text);
        } else if name.starts_with(SECRET_VARIABLE) {
            set_app_secret(loader, name, &text)?;
        } else if let Some(setting) = SETTINGS.iter().find(|setting| variable(setting.key) == name) {
            loader.set(setting, Raw::Text(&text), SourcePlace::Environment, &name)?;
        } else {
            return Err(unknown(name));
        }
    }
    port.map_or(Ok(()), |text| loader.set_port(&text, SourcePlace::Environment, PORT))
}

/// Sets the secret of the Pusher app that the variable names: one by its id, or the only app.
fn set_app_secret(loader: &mut Loader, name: String, text: &str) -> Result<(), ConfigError> {
    let apps = &mut loader.config.pusher_apps;
    let index = match apps.iter().position(|app| app.secret_variable() == name) {
        None if name == SECRET_VARIABLE && apps.len() == 1 => Some(0),
        index => index,
    };
    let reason = match index {
        _ if text.is_empty() => "it is empty".to_owned(),
        Some(index) => {
            (apps[index].secret, apps[index].secret_file) = (Some(Secret::new(text)), None);
            return Ok(());
        }
        None if apps.is_empty() => {
            "there is no Pusher app: add [[pusher.app]] with id and key to the file".to_owned()
        }
        None => {
            let names: Vec<String> = apps.iter().map(PusherAppConfig::secret_variable).collect();
            format!("it does not say which app it is for: write {}", names.join(" or "))
        }
    };
    Err(ConfigError::BadValue { place: SourcePlace::Environment, key: name, reason })
}

/// Returns the variable of the setting with this dotted key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Returns whether Kubernetes has set the variable: for a Service named `fanwire` it gives each pod
/// `FANWIRE_SERVICE_HOST`, `FANWIRE_SERVICE_PORT…`, `FANWIRE_PORT=tcp://…` and `FANWIRE_PORT_7400_TCP…`, which no
/// operator has written. They must not stop the start.
fn is_service_link(name: &str, text: &str) -> bool {
    name == "FANWIRE_SERVICE_HOST"
        || name.starts_with("FANWIRE_SERVICE_PORT")
        || name.starts_with("FANWIRE_PORT_")
        || (name == PORT && text.contains("://"))
}

fn unknown(name: String) -> ConfigError {
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| variable(old) == name) {
        return ConfigError::RenamedKey { place: SourcePlace::Environment, old: name, new: variable(new) };
    }
    // Only what follows the common beginning is compared, so that it does not make far-off names look close.
    let known: Vec<String> = SETTINGS.iter().map(|setting| variable(setting.key)).collect();
    let candidates = known.iter().map(String::as_str).chain([PORT]).map(without_prefix);
    let nearest = nearest(without_prefix(&name), candidates).map(|nearest| format!("{PREFIX}{nearest}"));
    ConfigError::UnknownKey { place: SourcePlace::Environment, key: name, nearest }
}

fn without_prefix(variable: &str) -> &str {
    variable.strip_prefix(PREFIX).unwrap_or(variable)
}
