//! The publish pipeline: the one way in for publications, whatever transport they came over.
//!
//! [`PublishPipeline::publish`] does four steps in this order: access, rate, authorization callout, engine. Frames, bare messages and
//! HTTP requests call it. It does not know how a receipt is written; the caller names its destination as a [`ReceiptTo`].

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::keys::KeyOwner;
use fanwire_core::limits::SessionLimits;
use fanwire_core::publication::Publish;
use fanwire_core::rate::Rate;
use fanwire_core::session::{Terms, check_publish};
use fanwire_protocol::{ErrorCode, Topic};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::publish_meter::{self, PublishMeter};
use crate::clock;
use crate::config::{Callout, Limits};
use crate::engine::{Accepted, Engine, ReceiptTo};
use crate::hooks::{CalloutClient, Hooks};
use crate::telemetry::{RateReason, WorkerCounters};

/// The pipeline of one worker. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct PublishPipeline {
    engine: Arc<Engine>,
    limits: SessionLimits,
    session_rate: Option<Rate>,
    hooks: Arc<Hooks>,
    counters: Arc<WorkerCounters>,
}

/// The client that publishes.
#[derive(Clone, Copy)]
pub(crate) struct PublishClient<'a> {
    /// The identity in whose name it publishes.
    pub(crate) identity: &'a Identity,
    /// The rate at which it publishes.
    pub(crate) meter: &'a PublishMeter,
    /// The address of the client.
    pub(crate) address: IpAddr,
    /// The broker's number for the connection, if the client has a session.
    pub(crate) connection: Option<u64>,
}

/// The address of a client, as the dispatch adds it to each HTTP request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The state of a publish when [`PublishPipeline::publish`] returns.
pub(crate) enum Publishing {
    /// The publication is accepted, and this is its receipt.
    Accepted(Accepted),
    /// The publication waits for the disk. The receipt goes to the [`ReceiptTo`] of the publish.
    ReceiptFollows,
    /// The application decides. The rest of the pipeline runs when this future is polled.
    Callout(PublishCallout),
}

/// The rest of a pipeline that waits for an authorization callout. Its output is the receipt, or `None` if that goes to the
/// [`ReceiptTo`] of the publish.
pub(crate) type PublishCallout = Pin<Box<dyn Future<Output = Result<Option<Accepted>, Refusal>> + Send>>;

/// A publication that has passed the first three steps, or whose callout is under way.
enum Authorized {
    Yes(Publish),
    Callout(Pin<Box<dyn Future<Output = Result<Publish, Refusal>> + Send>>),
}

impl PublishPipeline {
    /// A pipeline into `engine` within `limits`; `counters` are those of the worker that calls it.
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

    /// Publishes for `client`. If the receipt comes later, it is sent to `receipt_to`.
    ///
    /// # Errors
    /// Says what is refused and what to do instead. No receipt is sent then.
    pub(crate) fn publish(
        &self,
        publish: Publish,
        client: PublishClient<'_>,
        receipt_to: ReceiptTo,
    ) -> Result<Publishing, Refusal> {
        match self.authorize(publish, client)? {
            Authorized::Yes(publish) => Ok(match self.accept(publish, receipt_to)? {
                Some(accepted) => Publishing::Accepted(accepted),
                None => Publishing::ReceiptFollows,
            }),
            Authorized::Callout(answer) => {
                let pipeline = self.clone();
                Ok(Publishing::Callout(Box::pin(async move { pipeline.accept(answer.await?, receipt_to) })))
            }
        }
    }

    /// Publishes for `client` and waits for the receipt.
    ///
    /// # Errors
    /// Says what is refused and what to do instead.
    pub(crate) async fn publish_and_wait(
        &self,
        publish: Publish,
        client: PublishClient<'_>,
    ) -> Result<Accepted, Refusal> {
        let (receipt_to, receipt) = ReceiptTo::waiter();
        let accepted = match self.publish(publish, client, receipt_to)? {
            Publishing::Accepted(accepted) => Some(accepted),
            Publishing::ReceiptFollows => None,
            Publishing::Callout(callout) => callout.await?,
        };
        match accepted {
            Some(accepted) => Ok(accepted),
            None => received(receipt.await),
        }
    }

    /// Publishes to a topic of the broker's own, which no client may, and waits for the receipt.
    ///
    /// # Errors
    /// If there is no room for the topic or the idempotency key.
    pub(crate) async fn publish_reserved(&self, publish: Publish) -> Result<Accepted, Refusal> {
        let (receipt_to, receipt) = ReceiptTo::waiter();
        match self.accept(publish, receipt_to)? {
            Some(accepted) => Ok(accepted),
            None => received(receipt.await),
        }
    }

    /// Publishes many for `client`, and returns the receipt of each, in order. The callouts for all of them run at once. Publications
    /// are accepted in their order, and those for the disk are committed together.
    pub(crate) async fn publish_all(
        &self,
        all: Vec<Result<Publish, Refusal>>,
        client: PublishClient<'_>,
    ) -> Vec<Result<Accepted, Refusal>> {
        let mut callouts = JoinSet::new();
        let mut authorized = Vec::with_capacity(all.len());
        for (index, publish) in all.into_iter().enumerate() {
            authorized.push(match publish.and_then(|publish| self.authorize(publish, client)) {
                Ok(Authorized::Yes(publish)) => Ok(publish),
                Ok(Authorized::Callout(answer)) => {
                    callouts.spawn(async move { (index, answer.await) });
                    Err(no_answer())
                }
                Err(refusal) => Err(refusal),
            });
        }
        while let Some(answer) = callouts.join_next().await {
            if let Ok((index, answer)) = answer {
                authorized[index] = answer;
            }
        }
        let mut begun = Vec::with_capacity(authorized.len());
        for publish in authorized {
            let (receipt_to, receipt) = ReceiptTo::waiter();
            begun.push((publish.and_then(|publish| self.accept(publish, receipt_to)), receipt));
            self.relieved().await;
        }
        let mut receipts = Vec::with_capacity(begun.len());
        for (accepted, receipt) in begun {
            receipts.push(match accepted {
                Ok(Some(accepted)) => Ok(accepted),
                Ok(None) => received(receipt.await),
                Err(refusal) => Err(refusal),
            });
        }
        receipts
    }

    /// The first three steps: access, rate, authorization callout.
    fn authorize(&self, mut publish: Publish, client: PublishClient<'_>) -> Result<Authorized, Refusal> {
        let PublishClient { identity, meter, address, connection } = client;
        let has_rates = {
            let rules = self.engine.rules();
            let terms = Terms { limits: &self.limits, rules: &rules, has_authentication: false };
            check_publish(identity, &publish.topic, publish.payload.len(), terms)?;
            self.session_rate.is_some() || rules.has_rates()
        };
        if has_rates {
            self.take_of_rates(&publish.topic, meter)?;
        }
        publish.from = identity.user().cloned();
        publish.key = publish.key.map(|key| key.owned_by(KeyOwner::of(identity, address)));
        let has_callout = self.hooks.makes(Callout::Publish)
            && self.hooks.requires(Callout::Publish, identity, &publish.topic.clone().into());
        if !has_callout {
            return Ok(Authorized::Yes(publish));
        }
        let client = CalloutClient { identity: identity.clone(), connection };
        let hooks = self.hooks.clone();
        Ok(Authorized::Callout(Box::pin(async move { hooks.publish(client, publish).await })))
    }

    /// Takes one publication of the client's rate and of the topic's rate.
    fn take_of_rates(&self, topic: &Topic, meter: &PublishMeter) -> Result<(), Refusal> {
        let by_session = self.session_rate.map_or(Ok(()), |rate| meter.take(rate, clock::monotonic_us()));
        let refused = match by_session {
            Err(refusal) => Some((refusal, RateReason::Session)),
            Ok(()) => self.engine.take_of_rate(topic).err().map(|(rate, wait_us)| {
                let what = format!("'{topic}' takes, by its [[topic]] rule,");
                (publish_meter::refusal(&what, rate, wait_us), RateReason::Topic)
            }),
        };
        let Some((refusal, reason)) = refused else { return Ok(()) };
        self.counters.rate_refused(reason);
        meter.note_refusal(clock::monotonic_us());
        Err(refusal)
    }

    /// The last step: hands the publication to the engine and counts it.
    fn accept(&self, publish: Publish, receipt_to: ReceiptTo) -> Result<Option<Accepted>, Refusal> {
        let bytes = publish.payload.len() as u64;
        let accepted = self.engine.publish(publish, receipt_to)?;
        if accepted.is_some_and(|accepted| !accepted.is_duplicate) {
            self.counters.publications.add(1);
            self.counters.publication_bytes.add(bytes);
        }
        Ok(accepted)
    }

    /// Waits until the workers have delivered enough of what was published before. Publishers are slowed down to the speed of delivery
    /// by this.
    pub(crate) async fn relieved(&self) {
        if self.engine.pressure().is_high() {
            self.engine.pressure().clone().relieved().await;
        }
    }
}

/// Returns the receipt that arrived, or the refusal of a publication whose receipt will not come.
fn received(
    receipt: Result<Result<Accepted, Refusal>, oneshot::error::RecvError>,
) -> Result<Accepted, Refusal> {
    receipt.unwrap_or_else(|_| {
        let message =
            "the broker stopped before the publication was on disk: publish it again, with the same \
                       idempotency key if it had one"
                .to_owned();
        Err(Refusal { code: ErrorCode::Unavailable, message })
    })
}

/// The refusal of a publication whose callout broke off, because the broker is about to stop.
fn no_answer() -> Refusal {
    let message = "the broker stopped before the application decided about this: publish it again".to_owned();
    Refusal { code: ErrorCode::Unavailable, message }
}
