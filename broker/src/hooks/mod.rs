//! Hooks: what the application behind the broker is asked and told over HTTP.
//!
//! This module owns the calls: what they say, how they are signed, how many there are at once, and what an answer may change.
//! Whoever cannot be asked about is refused; what cannot be told now is told later. It does not know sessions or topics; whoever asks says who wants what.

mod answer;
mod callout_request;
mod callouts;
mod disconnect_report;
mod event;
mod signature;
mod webhook_sender;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::identity::Identity;
use fanwire_protocol::Pattern;
use http::Uri;
use tokio::sync::Semaphore;

use crate::client::HttpClient;
use crate::config::{Callout, HooksConfig, WebhookEvent, WebhooksConfig};
use crate::secret::Secret;
use crate::telemetry::Shared;
use callouts::Complaints;
use signature::SharedSigner;

pub(crate) use disconnect_report::DisconnectReport;
pub(crate) use webhook_sender::WebhookSender;
pub(crate) use webhooks::Webhooks;

/// The application, as the broker asks and tells it. Without a configured URL nobody is asked or told, and everybody is allowed what
/// they are allowed without.
#[derive(Default)]
pub(crate) struct Hooks {
    back_end: Option<Arc<BackEnd>>,
    webhooks: Option<Arc<Webhooks>>,
}

/// How the broker and the application know each other.
pub(crate) struct Trust {
    /// What every call is signed with; `None` if there are none.
    pub(crate) secret: Option<Secret>,
    /// Certificates (PEM) of authorities to trust, besides those that browsers do.
    pub(crate) authorities: Option<Vec<u8>>,
}

struct BackEnd {
    uri: Uri,
    /// Where that is, for the log.
    place: String,
    client: HttpClient,
    signer: Arc<SharedSigner>,
    asks: Vec<Callout>,
    topics: Vec<Pattern>,
    timeout: Duration,
    turns: Semaphore,
    waiting_max: usize,
    answer_bytes_max: usize,
    message_bytes_max: usize,
    complaints: Complaints,
    counters: Arc<Shared>,
}

/// Who wants something, and over which connection, if it is one that stays.
#[derive(Debug, Clone)]
pub(crate) struct CalloutClient {
    /// Who.
    pub(crate) identity: Identity,
    /// The broker's number for the connection.
    pub(crate) connection: Option<u64>,
}

impl Hooks {
    /// Asks and tells what `config` says, of payloads of at most `message_bytes_max`. If anything is told, there is a courier to be run
    /// for that.
    ///
    /// # Errors
    /// If no client can be made, or the URL is none.
    pub(crate) fn new(
        config: &HooksConfig,
        webhooks: &WebhooksConfig,
        trust: Trust,
        message_bytes_max: usize,
        counters: Arc<Shared>,
    ) -> std::io::Result<(Self, Option<WebhookSender>)> {
        let (Some(url), Some(secret)) = (&config.url, &trust.secret) else {
            return Ok((Self::default(), None));
        };
        let uri: Uri = url.parse().map_err(std::io::Error::other)?;
        let signer = Arc::new(SharedSigner::new(secret));
        let client = || HttpClient::new(trust.authorities.as_deref());
        let webhooks =
            (!webhooks.events.is_empty()).then(|| Arc::new(Webhooks::new(webhooks, counters.clone())));
        let courier = match &webhooks {
            Some(webhooks) => Some(WebhookSender {
                webhooks: webhooks.clone(),
                place: place_of(&uri),
                uri: uri.clone(),
                client: client()?,
                signer: signer.clone(),
                timeout: config.timeout,
                run: format!("{:016x}", fastrand::u64(..)),
            }),
            None => None,
        };
        let back_end = BackEnd {
            place: place_of(&uri),
            uri,
            client: client()?,
            signer,
            asks: config.callouts.clone(),
            topics: config.callout_topics.clone(),
            timeout: config.timeout,
            turns: Semaphore::new(config.callouts_at_once_max.min(Semaphore::MAX_PERMITS)),
            waiting_max: config.callouts_waiting_max,
            answer_bytes_max: config.answer_bytes_max,
            message_bytes_max,
            complaints: Complaints::default(),
            counters,
        };
        Ok((Self { back_end: Some(Arc::new(back_end)), webhooks }, courier))
    }

    /// Signs with another secret from now on.
    pub(crate) fn change_secret(&self, secret: &Secret) {
        if let Some(back_end) = &self.back_end {
            back_end.signer.change(secret);
        }
    }

    /// Who is told what happens to topics, if anybody is.
    pub(crate) fn webhooks(&self) -> Option<&Arc<Webhooks>> {
        self.webhooks.as_ref()
    }

    /// What the application is to be told when the connection of `identity` that begins now is over; `None` if it is not told. Who has
    /// yet to say who it is has no identity.
    pub(crate) fn disconnect_report(
        &self,
        identity: Option<Identity>,
        connection: u64,
        transport: &'static str,
    ) -> Option<Box<DisconnectReport>> {
        let webhooks = self.webhooks.as_ref().filter(|webhooks| webhooks.tells(WebhookEvent::Disconnect))?;
        Some(Box::new(DisconnectReport::new(webhooks.clone(), identity, connection, transport)))
    }

    /// Whether the application is asked this.
    pub(crate) fn asks(&self, ask: Callout) -> bool {
        self.back_end.as_ref().is_some_and(|back_end| back_end.asks.contains(&ask))
    }

    /// Whether the application is asked this when `identity` wants something of `pattern`. It is not asked about what it does
    /// itself: keys with `admin = true` are its own.
    pub(crate) fn asks_about(&self, ask: Callout, identity: &Identity, pattern: &Pattern) -> bool {
        let concerns = |back_end: &BackEnd| {
            back_end.asks.contains(&ask) && back_end.topics.iter().any(|topics| topics.intersects(pattern))
        };
        !identity.is_admin() && self.back_end.as_deref().is_some_and(concerns)
    }
}

/// A URL as the log may show it: without a query, which may hold a secret of the application.
fn place_of(uri: &Uri) -> String {
    let (scheme, authority) =
        (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |at| at.as_str()));
    format!("{scheme}://{authority}{}", uri.path())
}
