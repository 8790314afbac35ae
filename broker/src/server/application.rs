//! From the configuration to the application behind hooks: reads the files that it names.

use std::path::Path;
use std::sync::Arc;

use super::error::ServeError;
use crate::client::HttpClient;
use crate::config::{Config, HooksConfig, SECRET_BYTES_MIN};
use crate::hooks::{Hooks, Trust, WebhookSender};
use crate::secret::Secret;
use crate::telemetry::Shared;

/// Makes the hooks that `config` describes, and if anything is told, who brings it to the application.
///
/// # Errors
/// If a file cannot be read or does not hold what it should.
pub(super) fn hooks_of(
    config: &Config,
    counters: Arc<Shared>,
) -> Result<(Arc<Hooks>, Option<WebhookSender>), ServeError> {
    let trust = trust_of(&config.hooks)?;
    let (hooks, courier) =
        Hooks::new(&config.hooks, &config.webhooks, trust, config.limits.message_bytes_max, counters)
            .map_err(|error| ServeError::Hooks(format!("hooks: {error}")))?;
    Ok((Arc::new(hooks), courier))
}

/// How the broker and the application know each other.
///
/// # Errors
/// If a file cannot be read or does not hold what it should; no error repeats a secret.
pub(super) fn trust_of(config: &HooksConfig) -> Result<Trust, ServeError> {
    let authorities = match &config.ca_file {
        Some(path) => {
            let pem = read("hooks.ca_file", path)?;
            HttpClient::new(Some(&pem))
                .map_err(|error| ServeError::Hooks(format!("hooks.ca_file: {}: {error}", path.display())))?;
            Some(pem)
        }
        None => None,
    };
    Ok(Trust { secret: secret_of(config)?, authorities })
}

/// What calls are signed with, if the configuration says.
///
/// # Errors
/// If the file cannot be read, or what it holds is no good secret.
pub(super) fn secret_of(config: &HooksConfig) -> Result<Option<Secret>, ServeError> {
    let Some(path) = &config.secret_file else {
        return Ok(config.secret.clone());
    };
    let wrong =
        |reason: String| ServeError::Hooks(format!("hooks.secret_file: {}: {reason}", path.display()));
    let text = String::from_utf8(read("hooks.secret_file", path)?)
        .map_err(|_| wrong("the secret must be text, because applications read it as text".to_owned()))?;
    let text = text.trim_ascii_end();
    if text.len() < SECRET_BYTES_MIN {
        return Err(wrong(format!(
            "the secret is too short: use at least {SECRET_BYTES_MIN} random characters"
        )));
    }
    Ok(Some(Secret::new(text)))
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path)
        .map_err(|error| ServeError::Hooks(format!("{key}: cannot read {}: {error}", path.display())))
}
