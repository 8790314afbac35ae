//! The delivery of one queue of webhook events: one call at a time, until the broker stops.
//!
//! This file owns when a call is made and when it is given up. What is called, and what its answer means, belongs to the senders.

use std::time::Duration;

use fanwire_core::webhook_queue::{WebhookBatch, WebhookStep};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;

/// The deadline after which a broker that stops delivers nothing more; `None` while it does not stop.
pub(super) type Stopping = watch::Receiver<Option<Instant>>;

/// A queue of events that is delivered.
pub(super) trait EventSource {
    /// Adds the events that are due. Returns the time of the next, in milliseconds of the monotonic clock.
    fn expire(&self, now_ms: u64) -> Option<u64>;

    /// Ends all delays, because the broker stops. Returns whether events are left.
    fn hurry(&self, now_ms: u64) -> bool;

    /// Returns the next step.
    fn step(&self, now_ms: u64) -> WebhookStep;

    /// Waits until there may be a step before the time that [`EventSource::step`] has named.
    fn changed(&self) -> impl Future<Output = ()>;

    /// Drops the rest, and returns the number of events dropped.
    fn give_up(&self) -> usize;
}

/// Passes batches to `deliver` until the broker stops. When `stopping` contains a deadline, events are delivered without delay, and
/// at the deadline the rest is dropped. Returns the number of events dropped.
pub(super) async fn run(
    source: &impl EventSource,
    mut stopping: Stopping,
    mut deliver: impl AsyncFnMut(WebhookBatch, Stopping),
) -> usize {
    loop {
        let now_ms = clock::monotonic_ms();
        let due_ms = source.expire(now_ms);
        let deadline = *stopping.borrow_and_update();
        if let Some(deadline) = deadline
            && (!source.hurry(now_ms) || Instant::now() >= deadline)
        {
            break;
        }
        let wake_ms = match source.step(now_ms) {
            WebhookStep::Send(batch) => {
                deliver(batch, stopping.clone()).await;
                continue;
            }
            WebhookStep::WaitUntil(at_ms) => due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)),
            WebhookStep::Rest => due_ms.unwrap_or(u64::MAX),
        };
        let wait = Duration::from_millis(wake_ms.saturating_sub(now_ms)).min(Duration::from_secs(3600));
        let until = Instant::now() + wait;
        tokio::select! {
            () = source.changed() => {}
            () = tokio::time::sleep_until(deadline.map_or(until, |deadline| deadline.min(until))) => {}
            changed = stopping.changed() => if changed.is_err() { break },
        }
    }
    source.give_up()
}

/// The reason why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    /// The time for one call is over.
    #[error("no whole answer came within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The broker stops, and the time for draining is over.
    #[error("the time for draining is over")]
    Stopped,
}

/// Waits for the answer to `call` for `timeout`, but not beyond the deadline of a broker that stops meanwhile.
///
/// # Errors
/// If there is no answer in time.
pub(super) async fn answer_in_time<T>(
    call: impl Future<Output = T>,
    timeout: Duration,
    mut stopping: Stopping,
) -> Result<T, Unanswered> {
    let deadline_passes = async {
        let deadline = stopping.wait_for(Option::is_some).await.map(|deadline| *deadline);
        match deadline {
            Ok(Some(deadline)) => tokio::time::sleep_until(deadline).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        answered = tokio::time::timeout(timeout, call) => answered.map_err(|_| Unanswered::TimedOut(timeout)),
        () = deadline_passes => Err(Unanswered::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_under_way_ends_at_the_deadline_of_a_broker_that_begins_to_stop() {
        let (stop, stopping) = watch::channel(None);
        let call = answer_in_time(std::future::pending::<()>(), Duration::from_secs(600), stopping);
        // The call is polled first, so it is under way when the broker begins to stop.
        let (answered, _before) = tokio::join!(call, async { stop.send_replace(Some(Instant::now())) });
        assert_eq!(answered, Err(Unanswered::Stopped));
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends_with_its_time_out() {
        let (_stop, stopping) = watch::channel(None);
        let timeout = Duration::from_millis(1);
        let answered = answer_in_time(std::future::pending::<()>(), timeout, stopping).await;
        assert_eq!(answered, Err(Unanswered::TimedOut(timeout)));
    }
}
