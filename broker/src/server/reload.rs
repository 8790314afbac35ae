//! Taking over a changed configuration while the broker runs.

use std::sync::Arc;

use super::rules_of;
use crate::auth::SharedOrigins;
use crate::config::Config;
use crate::engine::Engine;

/// What of the configuration can change while the broker runs, and what it was.
pub(super) struct Reloader {
    current: Config,
    engine: Arc<Engine>,
    origins: Arc<SharedOrigins>,
}

impl Reloader {
    /// The broker runs with `current`.
    pub(super) fn new(current: Config, engine: Arc<Engine>, origins: Arc<SharedOrigins>) -> Self {
        Self { current, engine, origins }
    }

    /// Takes over the topic rules and origins of `config`, and says in the log if anything else has changed: that takes a
    /// restart.
    pub(super) fn apply(&mut self, config: Config) {
        let rules = match rules_of(&config) {
            Ok(rules) => rules,
            Err(error) => return tracing::error!(%error, "the configuration is not taken over"),
        };
        self.engine.change_rules(rules);
        self.origins.change(config.origins.clone());
        self.current.topics.clone_from(&config.topics);
        self.current.origins.clone_from(&config.origins);
        if self.current == config {
            tracing::info!("configuration reloaded");
        } else {
            tracing::warn!("topic rules and origins reloaded; the other changes take a restart");
        }
    }
}
