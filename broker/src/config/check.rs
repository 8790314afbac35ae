//! Checks settings against each other, after all sources have been read.
//!
//! Most checks compare two sizes, of which one must be at least the other. The error names the setting of the later source,
//! because the operator has most likely just changed that one.

use super::error::{ConfigError, SourcePlace};
use super::pusher::PusherEvent;
use super::settings::Loader;

/// A size that must be at least another size, and the reason.
struct AtLeast {
    larger: &'static str,
    larger_bytes: usize,
    smaller: &'static str,
    smaller_bytes: usize,
    because: &'static str,
}

/// The minimum number of the largest messages that fit into an inbox, unless its size is set.
const MESSAGES_PER_INBOX: usize = 4;

/// Adapts settings that have their default to the settings that they depend on.
pub(super) fn fit_defaults(loader: &mut Loader) {
    let (place, _) = loader.place("limits.inbox_bytes_max");
    if matches!(place, SourcePlace::Default) {
        let limits = &mut loader.config.limits;
        let least = limits.message_bytes_max.saturating_mul(MESSAGES_PER_INBOX);
        limits.inbox_bytes_max = limits.inbox_bytes_max.max(least);
    }
}

/// Checks all conditions that involve more than one setting.
pub(super) fn check(loader: &Loader) -> Result<(), ConfigError> {
    check_sizes(loader)?;
    check_credentials(loader)?;
    check_tls(loader)?;
    check_hooks(loader)?;
    check_pusher(loader)?;
    match &loader.durable_at {
        Some(place) if loader.config.data_dir.is_none() => Err(ConfigError::BadValue {
            place: place.clone(),
            key: "topic.durable".to_owned(),
            reason: "durable topics need a directory: set data_dir, or use --data-dir".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Checks that the settings of credentials do not contradict each other. A mistake here would admit every client, or none.
fn check_credentials(loader: &Loader) -> Result<(), ConfigError> {
    let (config, auth) = (&loader.config, &loader.config.auth);
    let requires_credentials = config.has_authentication();
    let wrong = |key: &'static str, reason: &str| {
        let (place, key) = loader.place(key);
        Err(ConfigError::BadValue { place, key, reason: reason.to_owned() })
    };
    if config.open && requires_credentials {
        return wrong(
            "open",
            "open = true requires no credentials, but [auth] or [[key]] requires some: remove one of the two; to accept \
             clients without credentials as well, set auth.anonymous",
        );
    }
    if auth.secret.is_some() && auth.secret_file.is_some() {
        return wrong("auth.secret_file", "auth.secret is set as well: keep one");
    }
    if auth.jwks_ca_file.is_some() && auth.jwks_url.is_none() {
        return wrong("auth.jwks_ca_file", "there is no auth.jwks_url to fetch keys from");
    }
    if auth.cookie.is_some() && config.origins.iter().any(|origin| origin == "*") {
        return wrong(
            "auth.cookie",
            "with '*' in origins, every page on the web could use the cookies of your users: list the origins",
        );
    }
    let tokens_only = [
        ("auth.algorithms", auth.algorithms.is_empty()),
        ("auth.audience", auth.audience.is_empty()),
        ("auth.issuer", auth.issuer.is_none()),
        ("auth.allow_endless", !auth.allow_endless),
    ];
    if let Some((key, _)) = tokens_only.iter().find(|(_, is_default)| !is_default && !auth.checks_tokens()) {
        return wrong(
            key,
            "there is no key that verifies tokens: set auth.secret_file, auth.public_key_file or auth.jwks_url",
        );
    }
    if !requires_credentials && (auth.anonymous || auth.cookie.is_some()) {
        let key = if auth.anonymous { "auth.anonymous" } else { "auth.cookie" };
        return wrong(
            key,
            "the broker requires no credentials: set auth.secret_file, auth.public_key_file or auth.jwks_url",
        );
    }
    Ok(())
}

/// Checks that each queue can contain the largest message.
fn check_sizes(loader: &Loader) -> Result<(), ConfigError> {
    let limits = &loader.config.limits;
    let holds_message = |larger, larger_bytes, because| AtLeast {
        larger,
        larger_bytes,
        smaller: "limits.message_bytes_max",
        smaller_bytes: limits.message_bytes_max,
        because,
    };
    let checks = [
        holds_message(
            "limits.outbox_bytes_max",
            limits.outbox_bytes_max,
            "one message must fit into the outbox of a session",
        ),
        holds_message(
            "limits.inbox_bytes_max",
            limits.inbox_bytes_max,
            "one message must fit into the inbox of a worker",
        ),
        holds_message(
            "store.queue_bytes_max",
            loader.config.store.queue_bytes_max,
            "one message must fit into the queue for the disk",
        ),
        holds_message("limits.batch_bytes_max", limits.batch_bytes_max, "one message must fit into a batch"),
    ];
    checks.iter().find(|check| check.larger_bytes < check.smaller_bytes).map_or(Ok(()), |check| {
        let (larger, smaller) = (loader.place(check.larger), loader.place(check.smaller));
        let (place, key) = if smaller.0.rank() > larger.0.rank() { smaller } else { larger };
        let reason = format!(
            "{} ({} bytes) is less than {} ({} bytes), but {}",
            check.larger, check.larger_bytes, check.smaller, check.smaller_bytes, check.because
        );
        Err(ConfigError::BadValue { place, key, reason })
    })
}

/// Checks that callouts and webhooks have a URL, and a secret to sign their calls with.
fn check_hooks(loader: &Loader) -> Result<(), ConfigError> {
    let hooks = &loader.config.hooks;
    let is_encrypted = hooks.url.as_ref().is_some_and(|url| url.starts_with("https:"));
    let (key, reason) = match &hooks.url {
        None if !hooks.callouts.is_empty() => {
            ("hooks.callouts", "there is no application to call: set hooks.url, or remove this key")
        }
        None if !loader.config.webhooks.events.is_empty() => {
            ("webhooks.events", "there is no application to call: set hooks.url, or remove this key")
        }
        None if hooks.secret.is_some() => ("hooks.secret", "there is no hooks.url to call"),
        None if hooks.secret_file.is_some() => ("hooks.secret_file", "there is no hooks.url to call"),
        _ if hooks.secret.is_some() && hooks.secret_file.is_some() => {
            ("hooks.secret_file", "hooks.secret is set as well: keep one")
        }
        Some(_) if hooks.secret.is_none() && hooks.secret_file.is_none() => (
            "hooks.url",
            "calls are signed, so that your application can verify their sender: set hooks.secret to a secret of its own",
        ),
        _ if hooks.ca_file.is_some() && !is_encrypted => {
            ("hooks.ca_file", "hooks.url is not https://, so there is no certificate to verify")
        }
        _ => return Ok(()),
    };
    let (place, key) = loader.place(key);
    Err(ConfigError::BadValue { place, key, reason: reason.to_owned() })
}

/// Checks that each Pusher app has a secret, that its events fit into a message, and that it says which topics it opens.
fn check_pusher(loader: &Loader) -> Result<(), ConfigError> {
    let config = &loader.config;
    for (app, place) in config.pusher_apps.iter().zip(&loader.pusher_at) {
        let (key, reason) = if app.secret.is_none() && app.secret_file.is_none() {
            let reason = format!(
                "the app '{}' has no secret to check signatures with: set secret_file, secret, or the variable {}",
                app.id,
                app.secret_variable()
            );
            ("pusher.app.secret", reason)
        } else if app.event_bytes_max > config.limits.message_bytes_max {
            let reason = format!(
                "{} bytes is more than limits.message_bytes_max ({} bytes) allows for one message",
                app.event_bytes_max, config.limits.message_bytes_max
            );
            ("pusher.app.event_bytes_max", reason)
        } else if !app.subscription_count && app.reports(PusherEvent::SubscriptionCount) {
            let reason = "the event 'subscription_count' needs subscription_count = true in the app";
            ("pusher.app.webhooks", reason.to_owned())
        } else if app.prefix.is_none() && config.has_authentication() {
            let reason = format!(
                "the holders of the key of app '{}' may use every topic below the prefix that no rule restricts, and this \
                 broker requires credentials: write prefix = \"{}\" to open the topics below '{}.' only, or prefix = \"\" \
                 to open all",
                app.id, app.id, app.id
            );
            ("pusher.app.prefix", reason)
        } else {
            continue;
        };
        return Err(ConfigError::BadValue { place: place.clone(), key: key.to_owned(), reason });
    }
    Ok(())
}

fn check_tls(loader: &Loader) -> Result<(), ConfigError> {
    let tls = &loader.config.tls;
    let (made, missing) = match (&tls.certificate, &tls.key) {
        (Some(_), None) => ("tls.certificate", "tls.key"),
        (None, Some(_)) => ("tls.key", "tls.certificate"),
        _ => return Ok(()),
    };
    let (place, key) = loader.place(made);
    let reason = format!("TLS needs both a certificate and its key, but {missing} is not set");
    Err(ConfigError::BadValue { place, key, reason })
}
