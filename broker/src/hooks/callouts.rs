//! Asking: one call at a time for whoever waits, a bounded number of calls for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::publication::Publish;
use fanwire_protocol::{ErrorCode, Pattern, Payload};
use http::{HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::answer::Answer;
use super::callout_request::{Wish, body_of};
use super::{BackEnd, CalloutClient, Hooks, signature};
use crate::client::FetchError;
use crate::clock;
use crate::config::Callout;
use crate::failpoint::{self, Failpoint};
use crate::owned_task;

/// The least time between two complaints in the log about an application that cannot be asked, in milliseconds: a dead one must not
/// fill the log with a line for every message.
const COMPLAINT_INTERVAL_MS: u64 = 1000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CalloutError {
    #[error("{0} questions wait already (hooks.callouts_waiting_max)")]
    TooMany(usize),
    #[error("its turn did not come within {} s (hooks.timeout, hooks.callouts_at_once_max)", .0.as_secs_f64())]
    NoTurn(Duration),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Answer(String),
}

impl Hooks {
    /// Asks whether `asker` may connect over `transport`, and returns who it is from then on.
    ///
    /// # Errors
    /// If it may not, or the application cannot be asked.
    pub(crate) async fn connect(
        &self,
        asker: CalloutClient,
        transport: &'static str,
    ) -> Result<Identity, Refusal> {
        let Some(back_end) = self.back_end(Callout::Connect).filter(|_| !asker.identity.is_admin()) else {
            return Ok(asker.identity);
        };
        let wish = Wish::Connect(transport);
        let answer = back_end.ask(&asker, wish).await?;
        answer.identity(asker.identity).map_err(|error| back_end.failed(wish, &CalloutError::Answer(error)))
    }

    /// Asks whether `asker` may listen to `pattern` and read it.
    ///
    /// # Errors
    /// If it may not, or the application cannot be asked.
    pub(crate) async fn subscribe(&self, asker: CalloutClient, pattern: &Pattern) -> Result<(), Refusal> {
        if let Some(back_end) = self.back_end(Callout::Subscribe)
            && self.asks_about(Callout::Subscribe, &asker.identity, pattern)
        {
            back_end.ask(&asker, Wish::Subscribe(pattern.as_str())).await?;
        }
        Ok(())
    }

    /// Asks whether `asker` may publish this, and returns it as the application wants it.
    ///
    /// # Errors
    /// If it may not, or the application cannot be asked.
    pub(crate) async fn publish(
        &self,
        asker: CalloutClient,
        mut publish: Publish,
    ) -> Result<Publish, Refusal> {
        let pattern = Pattern::from(publish.topic.clone());
        if let Some(back_end) = self.back_end(Callout::Publish)
            && self.asks_about(Callout::Publish, &asker.identity, &pattern)
        {
            let wish = Wish::Publish(publish.topic.as_str(), &publish.payload);
            let answer = back_end.ask(&asker, wish).await?;
            if let Some(payload) = back_end.payload(wish, &answer)? {
                publish.payload = payload;
            }
        }
        Ok(publish)
    }

    /// Asks the application what a client wants to know.
    ///
    /// # Errors
    /// If it does not answer this client, or cannot be asked.
    pub(crate) async fn request(
        &self,
        asker: CalloutClient,
        method: &str,
        data: &Payload,
    ) -> Result<Payload, Refusal> {
        let Some(back_end) = self.back_end(Callout::Request) else {
            let message = format!("no application answers requests here, so nobody can answer '{method}'");
            return Err(Refusal { code: ErrorCode::Unavailable, message });
        };
        let wish = Wish::Request(method, data);
        let answer = back_end.ask(&asker, wish).await?;
        back_end.payload(wish, &answer)?.ok_or_else(|| {
            back_end.failed(wish, &CalloutError::Answer("the answer has no 'data'".to_owned()))
        })
    }

    fn back_end(&self, ask: Callout) -> Option<&Arc<BackEnd>> {
        self.back_end.as_ref().filter(|back_end| back_end.asks.contains(&ask))
    }
}

impl BackEnd {
    /// Asks one question and returns the answer if it is yes.
    async fn ask(self: &Arc<Self>, asker: &CalloutClient, wish: Wish<'_>) -> Result<Answer, Refusal> {
        let begun = Instant::now();
        let outcome = self.call(asker, wish).await;
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
            Err(error) => Err(self.failed(wish, &error)),
        }
    }

    /// Makes the call in a task of its own: the permit is not held by a future that only one client's socket drives.
    async fn call(self: &Arc<Self>, asker: &CalloutClient, wish: Wish<'_>) -> Result<Answer, CalloutError> {
        let body = body_of(format!("{:032x}", fastrand::u128(..)), asker, wish);
        let back_end = self.clone();
        let called = owned_task::run(async move { back_end.exchange(body).await }).await;
        called.unwrap_or_else(|error| Err(CalloutError::Answer(format!("the call ended early: {error}"))))
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Answer, CalloutError> {
        let deadline = Instant::now() + self.timeout;
        let turn = {
            let _waiting = Counted::new(&self.counters.callouts_waiting);
            if self.counters.callouts_waiting.load(Ordering::Relaxed) > self.waiting_max as u64
                && self.turns.available_permits() == 0
            {
                return Err(CalloutError::TooMany(self.waiting_max));
            }
            let turn = tokio::time::timeout_at(deadline, self.turns.acquire()).await;
            turn.map_err(|_| CalloutError::NoTurn(self.timeout))?
        };
        let _turn = turn.map_err(|_| CalloutError::Answer("the broker is about to stop".to_owned()))?;
        let _active = Counted::new(&self.counters.callouts_active);
        let signature = self.signer.sign(clock::unix_ms() / 1000, &body);
        let value =
            HeaderValue::try_from(signature).map_err(|error| CalloutError::Answer(error.to_string()))?;
        let headers = [
            (HeaderName::from_static(signature::HEADER), value),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        let answer = self.client.post(&self.uri, headers, body.into(), self.answer_bytes_max);
        let body = tokio::time::timeout_at(deadline, answer)
            .await
            .unwrap_or(Err(FetchError::TimedOut(self.timeout)))?;
        let delayed = failpoint::reach_async(Failpoint::CalloutAnswer).await;
        delayed.map_err(|error| CalloutError::Answer(error.to_string()))?;
        Answer::parse(&body).map_err(CalloutError::Answer)
    }

    fn payload(&self, wish: Wish<'_>, answer: &Answer) -> Result<Option<Payload>, Refusal> {
        answer
            .payload(self.message_bytes_max)
            .map_err(|error| self.failed(wish, &CalloutError::Answer(error)))
    }

    /// Notes that the application could not be asked, and says so to the client without saying why.
    fn failed(&self, wish: Wish<'_>, error: &CalloutError) -> Refusal {
        self.counters.callouts_failed.fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = self.complaints.may_be_said(clock::monotonic_ms()) {
            tracing::warn!(
                hook = wish.ask().name(),
                url = self.place,
                %error,
                unsaid,
                "the application could not be asked, so the answer was no"
            );
        }
        let message = "the application could not be asked about this: try again a little later".to_owned();
        Refusal { code: ErrorCode::Unavailable, message }
    }
}

/// One more of something for as long as it lives, also if whoever waits gives up.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When something was last complained about, and how often it was not since.
#[derive(Default)]
pub(super) struct Complaints {
    next_ms: AtomicU64,
    unsaid: AtomicU64,
}

impl Complaints {
    /// Whether a complaint may be made at `now_ms`; then how many were not made since the last.
    fn may_be_said(&self, now_ms: u64) -> Option<u64> {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let is_due = now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(
                    next_ms,
                    now_ms + COMPLAINT_INTERVAL_MS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if is_due {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_made_once_a_second_and_the_others_counted() {
        let complaints = Complaints::default();
        assert_eq!(complaints.may_be_said(5), Some(0));
        assert_eq!(complaints.may_be_said(6), None);
        assert_eq!(complaints.may_be_said(1004), None);
        assert_eq!(complaints.may_be_said(1005), Some(2));
    }
}
