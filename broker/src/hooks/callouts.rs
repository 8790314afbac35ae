//! Callouts: HTTP calls in which the application authorizes what a client does, or answers a client's request.
//!
//! This file owns which callouts are made, how many are in progress, and what becomes of one that fails: the client is
//! refused. It does not know sessions; the caller passes the client and waits for the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::publication::Publish;
use fanwire_protocol::{ErrorCode, Pattern, Payload};
use http::{HeaderName, HeaderValue, Uri, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::CalloutClient;
use super::answer::Answer;
use super::callout_request::{CalloutRequest, body_of};
use super::signature::{self, SharedSigner};
use crate::client::{FetchError, HttpClient};
use crate::clock;
use crate::config::{Callout, HooksConfig};
use crate::failpoint::{self, Failpoint};
use crate::log_limit::LogLimit;
use crate::owned_task;
use crate::telemetry::Shared;

/// The limit of log lines about callouts that fail: every client can cause one.
static FAILED: LogLimit = LogLimit::new("callout failed");

/// The application, as far as callouts are made to it.
pub(super) struct Callouts {
    uri: Uri,
    /// The URL for the log, without its query.
    url: String,
    client: HttpClient,
    signer: Arc<SharedSigner>,
    kinds: Vec<Callout>,
    topics: Vec<Pattern>,
    timeout: Duration,
    permits: Semaphore,
    waiting_max: usize,
    bytes_max: usize,
    answer_bytes_max: usize,
    message_bytes_max: usize,
    counters: Arc<Shared>,
}

/// The reason why a callout has no answer.
#[derive(Debug, thiserror::Error)]
enum CalloutError {
    #[error("{0} callouts wait already (hooks.callouts_waiting_max)")]
    TooMany(usize),
    #[error("callouts of {0} bytes wait or are in progress already (hooks.callouts_bytes_max)")]
    TooManyBytes(usize),
    #[error("no permit was free within {} s (hooks.timeout, hooks.callouts_at_once_max)", .0.as_secs_f64())]
    NoPermit(Duration),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Answer(String),
}

impl Callouts {
    /// Makes the callouts that `config` names, to `uri`. Payloads in answers have at most `message_bytes_max`.
    pub(super) fn new(
        config: &HooksConfig,
        (uri, url): (Uri, String),
        (client, signer): (HttpClient, Arc<SharedSigner>),
        message_bytes_max: usize,
        counters: Arc<Shared>,
    ) -> Self {
        Self {
            uri,
            url,
            client,
            signer,
            kinds: config.callouts.clone(),
            topics: config.callout_topics.clone(),
            timeout: config.timeout,
            permits: Semaphore::new(config.callouts_at_once_max.min(Semaphore::MAX_PERMITS)),
            waiting_max: config.callouts_waiting_max,
            bytes_max: config.callouts_bytes_max,
            answer_bytes_max: config.answer_bytes_max,
            message_bytes_max,
            counters,
        }
    }

    /// Returns whether callouts of this kind are made.
    pub(super) fn makes(&self, kind: Callout) -> bool {
        self.kinds.contains(&kind)
    }

    /// Returns whether callouts of this kind are made for `pattern`.
    pub(super) fn concerns(&self, kind: Callout, pattern: &Pattern) -> bool {
        self.makes(kind) && self.topics.iter().any(|topics| topics.intersects(pattern))
    }

    /// Authorizes a connection of `client` over `transport`, and returns the identity that the application gives it.
    pub(super) async fn connect(
        self: &Arc<Self>,
        client: CalloutClient,
        transport: &'static str,
    ) -> Result<Identity, Refusal> {
        let request = CalloutRequest::Connect(transport);
        let answer = self.allowed(&client, request).await?;
        answer.identity(client.identity).map_err(|error| self.failed(request, &CalloutError::Answer(error)))
    }

    /// Authorizes a subscription of `client` to `pattern`.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        client: &CalloutClient,
        pattern: &Pattern,
    ) -> Result<(), Refusal> {
        self.allowed(client, CalloutRequest::Subscribe(pattern.as_str())).await.map(drop)
    }

    /// Authorizes a publication of `client`, and returns it with the payload that the application gives it.
    pub(super) async fn publish(
        self: &Arc<Self>,
        client: &CalloutClient,
        mut publish: Publish,
    ) -> Result<Publish, Refusal> {
        let request = CalloutRequest::Publish(publish.topic.as_str(), &publish.payload);
        let answer = self.allowed(client, request).await?;
        if let Some(payload) = self.payload(request, &answer)? {
            publish.payload = payload;
        }
        Ok(publish)
    }

    /// Passes a request of `client` to the application, and returns the response.
    pub(super) async fn request(
        self: &Arc<Self>,
        client: &CalloutClient,
        method: &str,
        data: &Payload,
    ) -> Result<Payload, Refusal> {
        let request = CalloutRequest::Request(method, data);
        let answer = self.allowed(client, request).await?;
        self.payload(request, &answer)?
            .ok_or_else(|| self.failed(request, &CalloutError::Answer("the answer has no 'data'".to_owned())))
    }

    /// Makes one callout, and returns the answer if it allows the request.
    async fn allowed(
        self: &Arc<Self>,
        client: &CalloutClient,
        request: CalloutRequest<'_>,
    ) -> Result<Answer, Refusal> {
        let begun = Instant::now();
        let outcome = self.call(client, request).await;
        let elapsed_us = begun.elapsed().as_micros() as u64;
        self.counters.callouts_us.fetch_add(elapsed_us, Ordering::Relaxed);
        match outcome {
            Ok(answer) if answer.allow => {
                self.counters.callouts_allowed.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(answer) => {
                self.counters.callouts_refused.fetch_add(1, Ordering::Relaxed);
                Err(Refusal { code: ErrorCode::Forbidden, message: answer.sentence() })
            }
            Err(error) => Err(self.failed(request, &error)),
        }
    }

    /// Makes the call in a task of its own, because the caller is polled only as long as one client's socket is ready, and
    /// must not hold a permit meanwhile.
    async fn call(
        self: &Arc<Self>,
        client: &CalloutClient,
        request: CalloutRequest<'_>,
    ) -> Result<Answer, CalloutError> {
        let body = Bytes::from(body_of(format!("{:032x}", fastrand::u128(..)), client, request));
        let callouts = self.clone();
        let called = owned_task::run(async move { callouts.exchange(body).await }).await;
        called.unwrap_or_else(|error| Err(CalloutError::Answer(format!("the call ended early: {error}"))))
    }

    async fn exchange(&self, body: Bytes) -> Result<Answer, CalloutError> {
        let deadline = Instant::now() + self.timeout;
        let length = body.len() as u64;
        let _bytes = Counted::new(&self.counters.callouts_bytes, length);
        let bytes = self.counters.callouts_bytes.load(Ordering::Relaxed);
        // A single callout is made whatever its size; limits.message_bytes_max bounds it.
        if bytes > self.bytes_max as u64 && bytes > length {
            return Err(CalloutError::TooManyBytes(self.bytes_max));
        }
        let permit = {
            let _waiting = Counted::new(&self.counters.callouts_waiting, 1);
            if self.counters.callouts_waiting.load(Ordering::Relaxed) > self.waiting_max as u64
                && self.permits.available_permits() == 0
            {
                return Err(CalloutError::TooMany(self.waiting_max));
            }
            let permit = tokio::time::timeout_at(deadline, self.permits.acquire()).await;
            permit.map_err(|_| CalloutError::NoPermit(self.timeout))?
        };
        let _permit = permit.map_err(|_| CalloutError::Answer("the broker stops".to_owned()))?;
        let _active = Counted::new(&self.counters.callouts_active, 1);
        let signature = self.signer.sign(clock::unix_ms() / 1000, &body);
        let value =
            HeaderValue::try_from(signature).map_err(|error| CalloutError::Answer(error.to_string()))?;
        let headers = [
            (HeaderName::from_static(signature::HEADER), value),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        let answer = self.client.post(&self.uri, headers, body, self.answer_bytes_max);
        let body = tokio::time::timeout_at(deadline, answer)
            .await
            .unwrap_or(Err(FetchError::TimedOut(self.timeout)))?;
        let delayed = failpoint::reach_async(Failpoint::CalloutAnswer).await;
        delayed.map_err(|error| CalloutError::Answer(error.to_string()))?;
        Answer::parse(&body).map_err(CalloutError::Answer)
    }

    fn payload(&self, request: CalloutRequest<'_>, answer: &Answer) -> Result<Option<Payload>, Refusal> {
        answer
            .payload(self.message_bytes_max)
            .map_err(|error| self.failed(request, &CalloutError::Answer(error)))
    }

    /// Counts and logs a callout that failed, and returns the refusal. The client does not learn the reason.
    fn failed(&self, request: CalloutRequest<'_>, error: &CalloutError) -> Refusal {
        self.counters.callouts_failed.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = FAILED.allow() {
            tracing::warn!(
                callout = request.kind().name(),
                url = self.url,
                %error,
                left_out,
                "a callout to the application failed, so the client was refused"
            );
        }
        let message =
            "the application did not answer the broker about this: try again a little later".to_owned();
        Refusal { code: ErrorCode::Unavailable, message }
    }
}

/// A part of a gauge, which it leaves when it is dropped, also if the caller gives up.
struct Counted<'a> {
    gauge: &'a AtomicU64,
    count: u64,
}

impl<'a> Counted<'a> {
    fn new(gauge: &'a AtomicU64, count: u64) -> Self {
        gauge.fetch_add(count, Ordering::Relaxed);
        Self { gauge, count }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.count, Ordering::Relaxed);
    }
}
