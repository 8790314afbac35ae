//! Hooks: HTTP calls to the application. Callouts ask it for a decision or an answer; webhooks report events to it.
//!
//! This module owns the calls: their content, their signature, their number, and what an answer may change. A client that
//! cannot be authorized is refused; an event that cannot be delivered is delivered later. It knows neither sessions nor
//! topics; the callers pass the client and the event.

mod answer;
mod callout_request;
mod callouts;
mod delivery;
mod disconnect_report;
mod event;
mod observers;
mod pusher;
mod signature;
mod webhook_sender;
mod webhooks;

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::publication::Publish;
use fanwire_protocol::{ErrorCode, Pattern, Payload};
use http::Uri;
use tokio::task::JoinSet;

use crate::client::HttpClient;
use crate::config::{Callout, HooksConfig, WebhookEvent, WebhooksConfig};
use crate::engine::Observer;
use crate::secret::Secret;
use crate::telemetry::Shared;
use callouts::Callouts;
use observers::Observers;
use signature::SharedSigner;

pub(crate) use disconnect_report::DisconnectReport;
pub(crate) use pusher::{PusherWebhookSender, PusherWebhooks, SentEvent};
pub(crate) use webhook_sender::WebhookSender;
pub(crate) use webhooks::Webhooks;

/// The callouts and webhooks of a broker. Without a configured URL there are none, and rules and tokens decide alone.
#[derive(Default)]
pub(crate) struct Hooks {
    callouts: Option<Arc<Callouts>>,
    webhooks: Option<Arc<Webhooks>>,
    signer: Option<Arc<SharedSigner>>,
    pusher_webhooks: Arc<PusherWebhooks>,
}

/// The secret and the authorities by which the broker and the application authenticate each other.
pub(crate) struct CallSecurity {
    /// The secret that signs every call; `None` if no calls are made.
    pub(crate) secret: Option<Secret>,
    /// Certificates (PEM) of authorities to trust, besides those that browsers trust.
    pub(crate) authorities: Option<Vec<u8>>,
}

/// The maximum number of callouts that one request of a client makes at once, so that it takes no more than its share of
/// `hooks.callouts_at_once_max`.
const CALLOUTS_OF_REQUEST_MAX: usize = 16;

/// The client that a callout is made for.
#[derive(Debug, Clone)]
pub(crate) struct CalloutClient {
    /// The identity of the client.
    pub(crate) identity: Identity,
    /// The broker's number of the connection, if it is one that stays.
    pub(crate) connection: Option<u64>,
}

impl Hooks {
    /// Makes the callouts and webhooks of the configuration. Payloads in answers have at most `message_bytes_max`. If there
    /// are webhooks, the caller must run the sender that is returned.
    ///
    /// # Errors
    /// If the HTTP client cannot be made, or the URL is not valid.
    pub(crate) fn new(
        config: &HooksConfig,
        webhooks: &WebhooksConfig,
        security: CallSecurity,
        message_bytes_max: usize,
        counters: Arc<Shared>,
    ) -> std::io::Result<(Self, Option<WebhookSender>)> {
        let (Some(url), Some(secret)) = (&config.url, &security.secret) else {
            return Ok((Self::default(), None));
        };
        let uri: Uri = url.parse().map_err(std::io::Error::other)?;
        let url = without_query(&uri);
        let signer = Arc::new(SharedSigner::new(secret));
        let client = || HttpClient::new(security.authorities.as_deref());
        let webhooks =
            (!webhooks.events.is_empty()).then(|| Arc::new(Webhooks::new(webhooks, counters.clone())));
        let sender = match &webhooks {
            Some(webhooks) => Some(WebhookSender {
                webhooks: webhooks.clone(),
                url: url.clone(),
                uri: uri.clone(),
                client: client()?,
                signer: signer.clone(),
                timeout: config.timeout,
                run: format!("{:016x}", fastrand::u64(..)),
            }),
            None => None,
        };
        let caller = (client()?, signer.clone());
        let callouts = Callouts::new(config, (uri, url), caller, message_bytes_max, counters);
        Ok((
            Self { callouts: Some(Arc::new(callouts)), webhooks, signer: Some(signer), ..Self::default() },
            sender,
        ))
    }

    /// Signs all further calls with another secret.
    pub(crate) fn change_secret(&self, secret: &Secret) {
        if let Some(signer) = &self.signer {
            signer.change(secret);
        }
    }

    /// Adds the webhooks of Pusher apps.
    #[must_use]
    pub(crate) fn with_pusher(self, pusher_webhooks: PusherWebhooks) -> Self {
        Self { pusher_webhooks: Arc::new(pusher_webhooks), ..self }
    }

    /// Returns the webhooks of Pusher apps.
    pub(crate) fn pusher_webhooks(&self) -> &Arc<PusherWebhooks> {
        &self.pusher_webhooks
    }

    /// Returns the observer that reports what happens to topics; `None` if nothing is reported.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
        observers.extend(self.webhooks.clone().map(|webhooks| -> Arc<dyn Observer> { webhooks }));
        if !self.pusher_webhooks.is_empty() {
            observers.push(self.pusher_webhooks.clone());
        }
        Observers::of(observers)
    }

    /// Returns the webhooks, if any events are reported.
    pub(crate) fn webhooks(&self) -> Option<&Arc<Webhooks>> {
        self.webhooks.as_ref()
    }

    /// Returns the report of the end of a connection that begins now; `None` if ends are not reported. A connection that has
    /// not sent its credentials yet has no identity.
    pub(crate) fn disconnect_report(
        &self,
        identity: Option<Identity>,
        connection: u64,
        transport: &'static str,
    ) -> Option<Box<DisconnectReport>> {
        let webhooks =
            self.webhooks.as_ref().filter(|webhooks| webhooks.reports(WebhookEvent::Disconnect))?;
        Some(Box::new(DisconnectReport::new(webhooks.clone(), identity, connection, transport)))
    }

    /// Returns whether callouts of this kind are made.
    pub(crate) fn makes(&self, kind: Callout) -> bool {
        self.made(kind).is_some()
    }

    /// Returns whether a callout of this kind is made when `identity` uses `pattern`. None is made for keys with
    /// `admin = true`, which are the application's own.
    pub(crate) fn requires(&self, kind: Callout, identity: &Identity, pattern: &Pattern) -> bool {
        !identity.is_admin()
            && self.callouts.as_ref().is_some_and(|callouts| callouts.concerns(kind, pattern))
    }

    /// Authorizes a connection of `client` over `transport`, and returns its identity from then on.
    ///
    /// # Errors
    /// If the application refuses the connection, or does not answer.
    pub(crate) async fn connect(
        &self,
        client: CalloutClient,
        transport: &'static str,
    ) -> Result<Identity, Refusal> {
        match self.made(Callout::Connect) {
            Some(callouts) if !client.identity.is_admin() => callouts.connect(client, transport).await,
            _ => Ok(client.identity),
        }
    }

    /// Authorizes `client` to subscribe to `pattern` and to read it.
    ///
    /// # Errors
    /// If the application refuses the subscription, or does not answer.
    pub(crate) async fn subscribe(&self, client: CalloutClient, pattern: &Pattern) -> Result<(), Refusal> {
        match self.made(Callout::Subscribe) {
            Some(callouts) if self.requires(Callout::Subscribe, &client.identity, pattern) => {
                callouts.subscribe(&client, pattern).await
            }
            _ => Ok(()),
        }
    }

    /// Authorizes `client` to subscribe to all of `patterns`, by at most [`CALLOUTS_OF_REQUEST_MAX`] callouts at once. Must be called on a
    /// worker.
    ///
    /// # Errors
    /// If the application refuses one of them, or does not answer; the first in the order of `patterns` if several are known by
    /// then. Callouts that have not begun are not made.
    pub(crate) async fn subscribe_all(
        self: &Arc<Self>,
        client: &CalloutClient,
        patterns: impl Iterator<Item = &Pattern>,
    ) -> Result<(), Refusal> {
        let needed = patterns.filter(|pattern| self.requires(Callout::Subscribe, &client.identity, pattern));
        let mut needed = needed.cloned().enumerate();
        let mut made = JoinSet::new();
        let mut refused: Option<(usize, Refusal)> = None;
        loop {
            while refused.is_none()
                && made.len() < CALLOUTS_OF_REQUEST_MAX
                && let Some((index, pattern)) = needed.next()
            {
                let (hooks, client) = (self.clone(), client.clone());
                made.spawn_local(async move { (index, hooks.subscribe(client, &pattern).await) });
            }
            match made.join_next().await {
                None => return refused.map_or(Ok(()), |(_, refusal)| Err(refusal)),
                Some(Ok((_, Ok(())))) => {}
                Some(Ok((index, Err(refusal)))) => {
                    if refused.as_ref().is_none_or(|(first, _)| index < *first) {
                        refused = Some((index, refusal));
                    }
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "a callout has panicked");
                    let message =
                        "the broker failed to ask the application: its log has the reason".to_owned();
                    refused = Some((0, Refusal { code: ErrorCode::Internal, message }));
                }
            }
        }
    }

    /// Authorizes a publication of `client`, and returns it with the payload that the application gives it.
    ///
    /// # Errors
    /// If the application refuses the publication, or does not answer.
    pub(crate) async fn publish(&self, client: CalloutClient, publish: Publish) -> Result<Publish, Refusal> {
        let pattern = Pattern::from(publish.topic.clone());
        match self.made(Callout::Publish) {
            Some(callouts) if self.requires(Callout::Publish, &client.identity, &pattern) => {
                callouts.publish(&client, publish).await
            }
            _ => Ok(publish),
        }
    }

    /// Passes a request of `client` to the application, and returns the response.
    ///
    /// # Errors
    /// If the application refuses the request, or does not answer.
    pub(crate) async fn request(
        &self,
        client: CalloutClient,
        method: &str,
        data: &Payload,
    ) -> Result<Payload, Refusal> {
        let Some(callouts) = self.made(Callout::Request) else {
            let message = format!(
                "no application answers '{method}' here: the operator configures one with hooks.url and 'request' in \
                 hooks.callouts"
            );
            return Err(Refusal { code: ErrorCode::Unavailable, message });
        };
        callouts.request(&client, method, data).await
    }

    fn made(&self, kind: Callout) -> Option<&Arc<Callouts>> {
        self.callouts.as_ref().filter(|callouts| callouts.makes(kind))
    }
}

/// Returns a URL for the log: without its query, which may contain a secret of the application.
fn without_query(uri: &Uri) -> String {
    let (scheme, authority) =
        (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()));
    format!("{scheme}://{authority}{}", uri.path())
}
