//! Delivers the events of one URL, one call at a time, with the signature that Pusher's libraries check.

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::webhook_queue::{WebhookBatch, WebhookOutcome};
use http::{HeaderName, HeaderValue, Uri, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Endpoint;
use crate::client::HttpClient;
use crate::clock;
use crate::hooks::delivery::{self, answer_in_time};
use crate::pusher::SharedPusherApps;

/// The time limit of one call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The sender of the events of one URL.
pub(crate) struct PusherWebhookSender {
    endpoint: Arc<Endpoint>,
    apps: Arc<SharedPusherApps>,
    uri: Uri,
    client: HttpClient,
}

impl PusherWebhookSender {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        apps: Arc<SharedPusherApps>,
        uri: Uri,
        client: HttpClient,
    ) -> Self {
        Self { endpoint, apps, uri, client }
    }

    /// Delivers events until the broker stops. When `stopping` contains a deadline, events are delivered without delay, and at the
    /// deadline the rest is dropped.
    pub(crate) async fn run(self, stopping: watch::Receiver<Option<Instant>>) {
        let mut is_failing = false;
        let left = delivery::run(&*self.endpoint, stopping, async |batch, stopping| {
            let answered = answer_in_time(self.call(&batch), TIMEOUT, stopping).await;
            let delivered = answered.map_err(|error| error.to_string()).flatten();
            is_failing = self.note(is_failing, delivered);
        })
        .await;
        if left > 0 {
            tracing::warn!(
                events = left,
                app = &*self.endpoint.app,
                "the broker stops before all Pusher webhooks were delivered"
            );
        }
    }

    /// Records the outcome of a call, and logs each change. Returns whether calls fail.
    fn note(&self, was_failing: bool, delivered: Result<(), String>) -> bool {
        let (app, host) = (&*self.endpoint.app, self.uri.host().unwrap_or_default());
        match delivered {
            Ok(()) => {
                self.endpoint.finish(WebhookOutcome::Delivered);
                if was_failing {
                    tracing::info!(app, host, "Pusher webhooks are delivered again");
                }
                false
            }
            Err(error) => {
                // Pusher repeats a call after every status but 2xx.
                self.endpoint.finish(WebhookOutcome::Failed { retry_after_ms: None });
                if !was_failing {
                    tracing::warn!(
                        app,
                        host,
                        error,
                        "Pusher webhooks could not be delivered: they are sent again for five minutes"
                    );
                }
                true
            }
        }
    }

    async fn call(&self, batch: &WebhookBatch) -> Result<(), String> {
        let apps = self.apps.current();
        let app = apps.by_id(&self.endpoint.app).ok_or("the app is not configured any more")?;
        let mut body = format!("{{\"time_ms\":{},\"events\":[", clock::unix_ms()).into_bytes();
        for (index, event) in batch.events.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(event);
        }
        body.extend_from_slice(b"]}");
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-pusher-key"), value(&app.key)?),
            (HeaderName::from_static("x-pusher-signature"), value(&app.sign(&body))?),
        ];
        let called = self.client.post_for_status(&self.uri, headers, body.into()).await;
        let (status, _) = called.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}
