//! From the configuration to the Pusher apps. Reads the files that the configuration names.

use super::error::ServeError;
use crate::config::{Config, PusherAppConfig};
use crate::operator_file;
use crate::pusher::PusherApp;
use crate::secret::Secret;

/// Creates the apps that `config` describes.
///
/// # Errors
/// If the file of a secret cannot be read or is empty. No error repeats the content of a file.
pub(super) fn pusher_apps_of(config: &Config) -> Result<Vec<PusherApp>, ServeError> {
    let mut apps = Vec::new();
    for app in &config.pusher_apps {
        apps.push(PusherApp::new(app, &secret_of(app)?));
    }
    Ok(apps)
}

fn secret_of(app: &PusherAppConfig) -> Result<Secret, ServeError> {
    let wrong = |reason: String| ServeError::Pusher { app: app.id.clone(), reason };
    let Some(path) = &app.secret_file else {
        return app.secret.clone().ok_or_else(|| wrong("it has no secret: set secret_file".to_owned()));
    };
    let key = "pusher.app.secret_file";
    let bytes = operator_file::read_secret(key, path)
        .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong(format!("{} is not text", path.display())))?;
    match text.trim_ascii_end() {
        "" => Err(wrong(format!("{} is empty: write the secret of the app into it", path.display()))),
        secret => Ok(Secret::new(secret)),
    }
}
