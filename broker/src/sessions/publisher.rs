//! Publishing: the one way in for publications, whatever they came over.

use std::sync::Arc;

use fanwire_core::{Identity, Publish, Refusal, SessionLimits, Terms, check_publish};

use crate::engine::{Accepted, Engine};
use crate::telemetry::WorkerCounters;

/// Checks, accepts and counts publications on one worker.
#[derive(Clone)]
pub(crate) struct Publisher {
    engine: Arc<Engine>,
    limits: SessionLimits,
    counters: Arc<WorkerCounters>,
}

impl Publisher {
    /// Publishes into `engine` within `limits`; `counters` are those of the worker that will call this.
    pub(crate) fn new(engine: Arc<Engine>, limits: SessionLimits, counters: Arc<WorkerCounters>) -> Self {
        Self { engine, limits, counters }
    }

    /// Accepts a publication of `identity`.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) fn publish(&self, identity: &Identity, mut publish: Publish) -> Result<Accepted, Refusal> {
        let rules = self.engine.rules();
        let terms = Terms { limits: &self.limits, rules: &rules };
        check_publish(identity, &publish.topic, publish.payload.len(), terms)?;
        publish.from = identity.user().cloned();
        Ok(self.accept(publish))
    }

    /// Accepts a publication that has been checked.
    pub(crate) fn accept(&self, publish: Publish) -> Accepted {
        let bytes = publish.payload.len() as u64;
        let accepted = self.engine.publish(publish);
        if !accepted.is_duplicate {
            self.counters.publications.add(1);
            self.counters.publication_bytes.add(bytes);
        }
        accepted
    }

    /// Waits until the workers have caught up with what was published, so that nobody publishes faster than it can be
    /// delivered.
    pub(crate) async fn relieved(&self) {
        if self.engine.is_under_pressure() {
            self.engine.relieved().await;
        }
    }
}
