//! Taking over a changed configuration while the broker runs.

use std::sync::Arc;

use super::application::secret_of;
use super::credentials::authenticator_of;
use super::rules_of;
use crate::auth::{KeySet, SharedAuthenticator, SharedOrigins};
use crate::config::{AuthConfig, Config};
use crate::engine::Engine;
use crate::hooks::Hooks;
use crate::tls::Certificates;

/// What of the configuration can change while the broker runs, and what it was.
pub(super) struct Reloader {
    current: Config,
    engine: Arc<Engine>,
    origins: Arc<SharedOrigins>,
    authenticator: Arc<SharedAuthenticator>,
    key_set: Option<Arc<KeySet>>,
    certificates: Option<Arc<Certificates>>,
    hooks: Arc<Hooks>,
}

impl Reloader {
    /// The broker runs with `current`.
    pub(super) fn new(
        current: Config,
        engine: Arc<Engine>,
        origins: Arc<SharedOrigins>,
        authenticator: Arc<SharedAuthenticator>,
        key_set: Option<Arc<KeySet>>,
        certificates: Option<Arc<Certificates>>,
        hooks: Arc<Hooks>,
    ) -> Self {
        Self { current, engine, origins, authenticator, key_set, certificates, hooks }
    }

    /// Takes over the topic rules, origins, credentials and the secret of hooks of `config`, and says in the log if anything else has changed: that takes a
    /// restart.
    pub(super) fn apply(&mut self, config: Config) {
        let rules = match rules_of(&config) {
            Ok(rules) => rules,
            Err(error) => return tracing::error!(%error, "the configuration is not taken over"),
        };
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
        if config.asks_for_credentials() != self.current.asks_for_credentials() {
            return tracing::error!(
                "whether credentials are asked for changes only with a restart: nothing is taken over"
            );
        }
        if let Some(key) = self.fixed_change(&config.auth) {
            return tracing::error!("{key} changes only with a restart: nothing is taken over");
        }
        let authenticator = match authenticator_of(&config, self.key_set.clone()) {
            Ok(authenticator) => authenticator,
            Err(error) => return tracing::error!(%error, "the configuration is not taken over"),
        };
        let secret = match secret_of(&config.hooks) {
            Ok(secret) => secret,
            Err(error) => return tracing::error!(%error, "the configuration is not taken over"),
        };
        self.engine.change_rules(rules);
        // A configuration without hooks leaves those that there are until the restart, and their secret with them.
        if let Some(secret) = secret {
            self.hooks.change_secret(&secret);
        }
        self.origins.change(config.origins.clone());
        self.authenticator.change(authenticator);
        self.current.auth.clone_from(&config.auth);
        self.current.keys.clone_from(&config.keys);
        self.current.topics.clone_from(&config.topics);
        self.current.origins.clone_from(&config.origins);
        self.current.hooks.secret.clone_from(&config.hooks.secret);
        self.current.hooks.secret_file.clone_from(&config.hooks.secret_file);
        if self.current == config {
            tracing::info!("configuration reloaded");
        } else {
            tracing::warn!("topic rules, origins and credentials reloaded; the other changes take a restart");
        }
    }

    /// The setting that whoever fetches the key set was made with, and that is to be another now.
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
