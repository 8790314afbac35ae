//! From the configuration to the client of the application behind hooks. Reads the files that the configuration names.

use std::path::Path;
use std::sync::Arc;

use super::error::ServeError;
use crate::client::HttpClient;
use crate::config::{Config, HooksConfig, SECRET_BYTES_MIN};
use crate::hooks::{CallSecurity, Hooks, PusherWebhookSender, PusherWebhooks, WebhookSender};
use crate::operator_file::{self, FileError};
use crate::pusher::SharedPusherApps;
use crate::secret::Secret;
use crate::telemetry::Shared;

/// Creates the hooks that `config` describes, and the senders of webhooks if there are any.
///
/// # Errors
/// If a file cannot be read or does not hold what it should.
pub(super) fn hooks_of(
    config: &Config,
    counters: &Arc<Shared>,
    pusher_apps: &Arc<SharedPusherApps>,
) -> Result<(Arc<Hooks>, WebhookSenders), ServeError> {
    let security = security_of(&config.hooks)?;
    let bytes_max = config.limits.message_bytes_max;
    let (hooks, own) = Hooks::new(&config.hooks, &config.webhooks, security, bytes_max, counters.clone())
        .map_err(|error| ServeError::Hooks(format!("hooks: {error}")))?;
    let (webhooks, of_pusher) = PusherWebhooks::new(&config.pusher_apps, pusher_apps, counters)
        .map_err(|error| ServeError::Hooks(format!("pusher.app.webhooks: {error}")))?;
    Ok((Arc::new(hooks.with_pusher(webhooks)), WebhookSenders { own, of_pusher }))
}

/// The senders of webhooks, which one thread runs.
pub(super) struct WebhookSenders {
    /// The sender of the broker's own webhooks.
    pub(super) own: Option<WebhookSender>,
    /// The senders of Pusher apps, one for each URL.
    pub(super) of_pusher: Vec<PusherWebhookSender>,
}

/// Returns the secret and the certificate authorities by which the broker and the application trust each other.
///
/// # Errors
/// If a file cannot be read or does not hold what it should; no error repeats a secret.
pub(super) fn security_of(config: &HooksConfig) -> Result<CallSecurity, ServeError> {
    let authorities = match &config.ca_file {
        Some(path) => {
            let pem = operator_file::read(path).map_err(|error| unreadable("hooks.ca_file", path, &error))?;
            HttpClient::new(Some(&pem))
                .map_err(|error| ServeError::Hooks(format!("hooks.ca_file: {}: {error}", path.display())))?;
            Some(pem)
        }
        None => None,
    };
    Ok(CallSecurity { secret: secret_of(config)?, authorities })
}

/// Returns the secret that signs calls, if the configuration names one.
///
/// # Errors
/// If the file cannot be read, or does not hold a secret that is long enough.
pub(super) fn secret_of(config: &HooksConfig) -> Result<Option<Secret>, ServeError> {
    let Some(path) = &config.secret_file else {
        return Ok(config.secret.clone());
    };
    let wrong =
        |reason: String| ServeError::Hooks(format!("hooks.secret_file: {}: {reason}", path.display()));
    let key = "hooks.secret_file";
    let bytes = operator_file::read_secret(key, path).map_err(|error| unreadable(key, path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong("the secret must be text, because applications read it as text".to_owned()))?;
    let text = text.trim_ascii_end();
    if text.len() < SECRET_BYTES_MIN {
        return Err(wrong(format!(
            "the secret is too short: use at least {SECRET_BYTES_MIN} random characters"
        )));
    }
    Ok(Some(Secret::new(text)))
}

fn unreadable(key: &str, path: &Path, error: &FileError) -> ServeError {
    ServeError::Hooks(format!("{key}: cannot read {}: {error}", path.display()))
}
