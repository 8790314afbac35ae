//! Applies a changed configuration while the broker runs.

use std::sync::Arc;

use fanwire_core::rules::Rules;

use super::application::secret_of;
use super::credentials::{authenticator_of, check_origins};
use super::error::ServeError;
use super::pusher::pusher_apps_of;
use super::rules::rules_of;
use crate::auth::{Authenticator, KeySet, SharedAuthenticator, SharedOrigins};
use crate::config::{AuthConfig, Config};
use crate::engine::Engine;
use crate::hooks::Hooks;
use crate::pusher::{PusherApp, SharedPusherApps};
use crate::secret::Secret;
use crate::tls::Certificates;

/// The settings that can change while the broker runs, and the configuration that was applied last.
pub(super) struct Reloader {
    /// The configuration that the broker runs with.
    pub(super) current: Config,
    pub(super) engine: Arc<Engine>,
    pub(super) origins: Arc<SharedOrigins>,
    pub(super) authenticator: Arc<SharedAuthenticator>,
    pub(super) key_set: Option<Arc<KeySet>>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) hooks: Arc<Hooks>,
    pub(super) pusher_apps: Arc<SharedPusherApps>,
}

/// The parts that are built from a configuration and the files that it names.
struct Loaded {
    rules: Rules,
    authenticator: Authenticator,
    secret: Option<Secret>,
    pusher_apps: Vec<PusherApp>,
}

impl Reloader {
    /// Applies the topic rules, origins, credentials and hook secret of `config`, and logs whether other settings have
    /// changed, which need a restart. Reads files on a thread of its own.
    pub(super) async fn apply(&mut self, config: Config) {
        if config.has_authentication() != self.current.has_authentication() {
            return tracing::error!(
                "switching credentials on or off needs a restart: no setting of the new configuration is applied"
            );
        }
        if let Some(key) = self.fixed_change(&config.auth) {
            return tracing::error!(
                "{key} changes only with a restart: no setting of the new configuration is applied"
            );
        }
        let (named, key_set, certificates) =
            (config.clone(), self.key_set.clone(), self.certificates.clone());
        let loading = tokio::task::spawn_blocking(move || {
            if let Some(certificates) = &certificates {
                certificates.reload();
            }
            load(&named, key_set)
        });
        match loading.await {
            Ok(Ok(loaded)) => self.take(config, loaded),
            Ok(Err(error)) => tracing::error!(%error, "the new configuration is not applied"),
            Err(error) => tracing::error!(%error, "the new configuration could not be loaded"),
        }
    }

    fn take(&mut self, config: Config, loaded: Loaded) {
        let Loaded { rules, authenticator, secret, pusher_apps } = loaded;
        self.engine.change_rules(rules);
        // Before the authenticator, whose change has all sessions checked again.
        self.pusher_apps.change(pusher_apps);
        // A configuration without hooks leaves the running hooks, and their secret, until the restart.
        if let Some(secret) = secret {
            self.hooks.change_secret(&secret);
        }
        self.origins.change(config.origins.clone());
        self.authenticator.change(authenticator);
        self.current.auth.clone_from(&config.auth);
        self.current.keys.clone_from(&config.keys);
        self.current.topics.clone_from(&config.topics);
        let webhooks_of = |config: &Config| -> Vec<_> {
            config.pusher_apps.iter().map(|app| (app.id.clone(), app.webhooks.clone())).collect()
        };
        // The webhooks run with the URLs of the start.
        if webhooks_of(&self.current) == webhooks_of(&config) {
            self.current.pusher_apps.clone_from(&config.pusher_apps);
        }
        self.current.origins.clone_from(&config.origins);
        self.current.hooks.secret.clone_from(&config.hooks.secret);
        self.current.hooks.secret_file.clone_from(&config.hooks.secret_file);
        if self.current == config {
            tracing::info!("configuration reloaded");
        } else {
            tracing::warn!(
                "topic rules, origins, credentials and Pusher apps reloaded; the other changes take a restart"
            );
        }
    }

    /// Returns a setting of the key set fetcher that differs from the running one.
    fn fixed_change(&self, auth: &AuthConfig) -> Option<&'static str> {
        let current = &self.current.auth;
        let changes = [
            ("auth.jwks_url", auth.jwks_url != current.jwks_url),
            ("auth.jwks_ca_file", auth.jwks_ca_file != current.jwks_ca_file),
            ("auth.algorithms", auth.jwks_url.is_some() && auth.algorithms != current.algorithms),
        ];
        changes.into_iter().find(|(_, has_changed)| *has_changed).map(|(key, _)| key)
    }
}

fn load(config: &Config, key_set: Option<Arc<KeySet>>) -> Result<Loaded, ServeError> {
    check_origins(config)?;
    Ok(Loaded {
        rules: rules_of(config)?,
        authenticator: authenticator_of(config, key_set)?,
        secret: secret_of(&config.hooks)?,
        pusher_apps: pusher_apps_of(config)?,
    })
}
