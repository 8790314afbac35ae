//! Publishing: the one way in for publications, whatever they came over.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::limits::{SessionLimits, Terms};
use fanwire_core::publication::Publish;
use fanwire_core::rate::Rate;
use fanwire_core::session::check_publish;
use fanwire_protocol::{ErrorCode, Topic};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::meter::{self, PublishMeter};
use crate::clock;
use crate::config::{Callout, Limits};
use crate::engine::{Accepted, Engine, Told};
use crate::hooks::{CalloutClient, Hooks};
use crate::telemetry::{RateReason, WorkerCounters};

/// Checks, accepts and counts publications on one worker.
#[derive(Clone)]
pub(crate) struct Publisher {
    engine: Arc<Engine>,
    limits: SessionLimits,
    session_rate: Option<Rate>,
    hooks: Arc<Hooks>,
    counters: Arc<WorkerCounters>,
}

/// A publish on its way: known already, or waiting for the disk.
pub(crate) enum Accepting {
    /// It is accepted.
    Accepted(Accepted),
    /// It will be known once it is on disk.
    Waiting(oneshot::Receiver<Result<Accepted, Refusal>>),
}

impl Accepting {
    /// Waits for the receipt.
    ///
    /// # Errors
    /// Says why it was not accepted.
    pub(crate) async fn receipt(self) -> Result<Accepted, Refusal> {
        match self {
            Accepting::Accepted(accepted) => Ok(accepted),
            Accepting::Waiting(receipt) => receipt.await.unwrap_or_else(|_| {
                let message = "the broker stopped before it could say what became of this".to_owned();
                Err(Refusal { code: ErrorCode::Unavailable, message })
            }),
        }
    }
}

impl Publisher {
    /// Publishes into `engine` within `limits`; `counters` are those of the worker that will call this.
    pub(crate) fn new(
        engine: Arc<Engine>,
        limits: SessionLimits,
        configured: &Limits,
        hooks: Arc<Hooks>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        let session_rate = configured
            .publish_rate_per_session
            .map(|limit| Rate { per_second: limit.per_second, burst: limit.burst });
        Self { engine, limits, session_rate, hooks, counters }
    }

    /// Checks that neither the session nor the topic publishes faster than it may.
    ///
    /// # Errors
    /// Says which rate is used up and when to come back.
    pub(crate) fn admit(&self, topic: &Topic, meter: &PublishMeter) -> Result<(), Refusal> {
        let by_session = self.session_rate.map_or(Ok(()), |rate| meter.take(rate, clock::monotonic_us()));
        let refused = match by_session {
            Err(refusal) => Some((refusal, RateReason::Session)),
            Ok(()) => self.engine.admit(topic).err().map(|(rate, wait_us)| {
                let what = format!("'{topic}' takes, by its [[topic]] rule,");
                (meter::refusal(&what, rate, wait_us), RateReason::Topic)
            }),
        };
        let Some((refusal, reason)) = refused else { return Ok(()) };
        self.counters.rate_refused(reason);
        meter.note_refusal(clock::monotonic_us());
        Err(refusal)
    }

    /// Checks a publication of `identity`, which publishes at the rate that `meter` counts, asks the application about it where it
    /// wants that, and begins to accept it.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) async fn publish(
        &self,
        identity: &Identity,
        meter: &PublishMeter,
        publish: Publish,
    ) -> Result<Accepting, Refusal> {
        let publish = self.check(identity, meter, publish)?;
        let asker = CalloutClient { identity: identity.clone(), connection: None };
        self.begin(self.hooks.publish(asker, publish).await?)
    }

    /// Does the same with many, and returns what became of each, in order. The application is asked about all of them at
    /// once, so that together they wait no longer than one.
    pub(crate) async fn publish_all(
        &self,
        identity: &Identity,
        meter: &PublishMeter,
        all: Vec<Result<Publish, Refusal>>,
    ) -> Vec<Result<Accepting, Refusal>> {
        let asker = CalloutClient { identity: identity.clone(), connection: None };
        let mut asks = JoinSet::new();
        let mut allowed = Vec::with_capacity(all.len());
        for (index, publish) in all.into_iter().enumerate() {
            let publish = publish.and_then(|publish| self.check(identity, meter, publish));
            allowed.push(match publish {
                Ok(publish)
                    if self.hooks.asks(Callout::Publish)
                        && self.hooks.asks_about(
                            Callout::Publish,
                            identity,
                            &publish.topic.clone().into(),
                        ) =>
                {
                    let (hooks, asker) = (self.hooks.clone(), asker.clone());
                    asks.spawn(async move { (index, hooks.publish(asker, publish).await) });
                    Err(unanswered())
                }
                decided => decided,
            });
        }
        while let Some(answer) = asks.join_next().await {
            if let Ok((index, answer)) = answer {
                allowed[index] = answer;
            }
        }
        let mut begun = Vec::with_capacity(allowed.len());
        for publish in allowed {
            begun.push(publish.and_then(|publish| self.begin(publish)));
            self.relieved().await;
        }
        begun
    }

    fn begin(&self, publish: Publish) -> Result<Accepting, Refusal> {
        let (tell, receipt) = oneshot::channel();
        // Whoever has gone needs no receipt.
        let told = || -> Told { Box::new(move |result| drop(tell.send(result))) };
        Ok(match self.accept(publish, told)? {
            Some(accepted) => Accepting::Accepted(accepted),
            None => Accepting::Waiting(receipt),
        })
    }

    /// Checks a publication of `identity`, in whose name it is published.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) fn check(
        &self,
        identity: &Identity,
        meter: &PublishMeter,
        mut publish: Publish,
    ) -> Result<Publish, Refusal> {
        let rules = self.engine.rules();
        let terms = Terms { limits: &self.limits, rules: &rules, asks_for_credentials: false };
        check_publish(identity, &publish.topic, publish.payload.len(), terms)?;
        self.admit(&publish.topic, meter)?;
        publish.from = identity.user().cloned();
        Ok(publish)
    }

    /// Accepts a publication that has been checked. `None` says that it waits for the disk; then whoever `later` returns is
    /// told.
    ///
    /// # Errors
    /// If it has to be on disk and cannot be put there; then nobody is told later.
    pub(crate) fn accept(
        &self,
        publish: Publish,
        later: impl FnOnce() -> Told,
    ) -> Result<Option<Accepted>, Refusal> {
        let bytes = publish.payload.len() as u64;
        let accepted = self.engine.publish(publish, later)?;
        if accepted.is_some_and(|accepted| !accepted.is_duplicate) {
            self.counters.publications.add(1);
            self.counters.publication_bytes.add(bytes);
        }
        Ok(accepted)
    }

    /// Waits until the workers have caught up with what was published, so that nobody publishes faster than it can be
    /// delivered.
    pub(crate) async fn relieved(&self) {
        if self.engine.is_under_pressure() {
            self.engine.relieved().await;
        }
    }
}

/// What becomes of a publication about which the application was never asked, because the broker is about to stop.
fn unanswered() -> Refusal {
    let message = "the broker stopped before the application was asked about this".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}
