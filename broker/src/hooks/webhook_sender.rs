//! Delivers webhook events: takes batches from the queue and sends them to the application, one call at a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanwire_core::webhook_queue::{WebhookBatch, WebhookOutcome};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::delivery::{self, Stopping, Unanswered, answer_in_time};
use super::event::body_of;
use super::signature::{self, SharedSigner};
use super::webhooks::Webhooks;
use crate::client::{FetchError, HttpClient};
use crate::clock;

/// The sender of webhook events. It runs on a thread of its own, so that a dead application delays nothing else.
pub(crate) struct WebhookSender {
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) uri: Uri,
    /// The URL for the log, without its query.
    pub(super) url: String,
    pub(super) client: HttpClient,
    pub(super) signer: Arc<SharedSigner>,
    pub(super) timeout: Duration,
    /// The name of this run of the broker. When it changes, the application knows that earlier connections have ended.
    pub(super) run: String,
}

/// The state of delivery that was logged last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Delivering,
    Failing,
    Refusing,
}

/// The reason why a call was not accepted.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the call could not be signed: {0}")]
    Unsigned(String),
}

impl WebhookSender {
    /// Delivers events until the broker stops. When `stopping` contains a deadline, events are delivered without delay, and
    /// at the deadline the rest is dropped.
    pub(crate) async fn run(self, stopping: watch::Receiver<Option<Instant>>) {
        let mut condition = Condition::Delivering;
        let left = delivery::run(&*self.webhooks, stopping, async |batch, stopping| {
            let (outcome, error) = self.deliver(&batch, stopping).await;
            condition = self.note(condition, outcome, error);
            self.webhooks.finish(outcome);
        })
        .await;
        if left > 0 {
            tracing::warn!(events = left, "the broker stops before all webhook events were delivered");
        }
    }

    async fn deliver(
        &self,
        batch: &WebhookBatch,
        stopping: Stopping,
    ) -> (WebhookOutcome, Option<DeliveryError>) {
        let answered = answer_in_time(self.call(batch), self.timeout, stopping).await;
        match answered.map_err(DeliveryError::from).flatten() {
            Ok((status, retry_after)) => {
                let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::unix_ms());
                let outcome = outcome_of(status, retry_after.as_ref(), now);
                (outcome, (outcome != WebhookOutcome::Delivered).then_some(DeliveryError::Status(status)))
            }
            Err(error) => (WebhookOutcome::Failed { retry_after_ms: None }, Some(error)),
        }
    }

    async fn call(&self, batch: &WebhookBatch) -> Result<(StatusCode, Option<HeaderValue>), DeliveryError> {
        let body = body_of(&format!("{:032x}", fastrand::u128(..)), &self.run, batch);
        let signature = self.signer.sign(clock::unix_ms() / 1000, &body);
        let value =
            HeaderValue::try_from(signature).map_err(|error| DeliveryError::Unsigned(error.to_string()))?;
        let headers = [
            (HeaderName::from_static(signature::HEADER), value),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        Ok(self.client.post_for_status(&self.uri, headers, body.into()).await?)
    }

    /// Logs how the application accepts events, once for each change.
    fn note(&self, before: Condition, outcome: WebhookOutcome, error: Option<DeliveryError>) -> Condition {
        let condition = match outcome {
            WebhookOutcome::Delivered => Condition::Delivering,
            WebhookOutcome::Failed { .. } => Condition::Failing,
            WebhookOutcome::Refused => Condition::Refusing,
        };
        if condition == before {
            return condition;
        }
        let (url, error) = (&self.url, error.map(|error| error.to_string()).unwrap_or_default());
        match condition {
            Condition::Delivering => tracing::info!(url, "webhook events are delivered again"),
            Condition::Failing => {
                tracing::warn!(
                    url,
                    error,
                    "webhook events could not be delivered: they are sent again until the application accepts them"
                );
            }
            Condition::Refusing => {
                tracing::warn!(
                    url,
                    error,
                    "the application refuses webhook events: they are dropped and counted"
                );
            }
        }
        condition
    }
}

/// Returns the outcome of a batch. Errors of the application may pass, so the call is made again; errors of the call stay.
fn outcome_of(status: StatusCode, retry_after: Option<&HeaderValue>, now: SystemTime) -> WebhookOutcome {
    let may_change = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if status.is_success() {
        WebhookOutcome::Delivered
    } else if status.is_server_error() || may_change {
        WebhookOutcome::Failed { retry_after_ms: retry_after.and_then(|value| wait_ms(value, now)) }
    } else {
        WebhookOutcome::Refused
    }
}

/// Returns the time in `Retry-After`, in milliseconds. The header contains seconds or a date (RFC 9110 §10.2.3).
fn wait_ms(retry_after: &HeaderValue, now: SystemTime) -> Option<u64> {
    let text = retry_after.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<u64>().map_or(u64::MAX, |seconds| seconds.saturating_mul(1000)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).map_or(0, |wait| wait.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: WebhookOutcome = WebhookOutcome::Failed { retry_after_ms: None };

    #[test]
    fn errors_of_the_application_are_retried() {
        for (status, expected) in [
            (200, WebhookOutcome::Delivered),
            (204, WebhookOutcome::Delivered),
            (301, WebhookOutcome::Refused),
            (307, WebhookOutcome::Refused),
            (400, WebhookOutcome::Refused),
            (401, WebhookOutcome::Refused),
            (404, WebhookOutcome::Refused),
            (408, FAILED),
            (429, FAILED),
            (500, FAILED),
            (503, FAILED),
            (599, FAILED),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(outcome_of(status, None, SystemTime::UNIX_EPOCH), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, expected) in [
            ("7", Some(7000)),
            (" 7 ", Some(7000)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7000)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wait_ms(&HeaderValue::from_str(text).unwrap(), now), expected, "{text:?}");
        }
        let value = HeaderValue::from_static("3");
        let asked = outcome_of(StatusCode::SERVICE_UNAVAILABLE, Some(&value), now);
        assert_eq!(asked, WebhookOutcome::Failed { retry_after_ms: Some(3000) });
        assert_eq!(outcome_of(StatusCode::OK, Some(&value), now), WebhookOutcome::Delivered);
    }
}
