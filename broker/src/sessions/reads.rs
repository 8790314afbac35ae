//! Background reads of a session: the start of a subscription, missed publications, history, and answers of the application.
//!
//! The session's task drives all of it, so nothing of it outlives the session. This file does not know what follows from a result.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{CloseCode, Position, ServerFrame, Topic};

use super::command::RequestedBy;
use super::worker::Worker;
use crate::engine::{Engine, Joined, Resumed, Seat};
use crate::hub::SessionWriter;

/// The maximum number of background reads of one session. At the maximum, its requests wait.
const READS_MAX: usize = 64;

/// The result of a background read.
pub(super) enum ReadResult {
    /// The start point of a subscription, and the first piece of what the session missed.
    Resumed { requested_by: RequestedBy, topic: Topic, result: Result<Resumed, Refusal> },
    /// The session has received what it missed of the topic, except what memory holds. It is joined to the topic.
    CaughtUp { topic: Topic, joined: Joined },
    /// The answer to a request, if it has one.
    Answered(Option<ServerFrame>),
}

/// A read that runs in the background.
pub(super) struct Read {
    /// The topic of the subscription that the read is for. The read ends with the subscription.
    topic: Option<Topic>,
    future: Pin<Box<dyn Future<Output = ReadResult>>>,
}

impl Read {
    /// A read that ends in an answer.
    pub(super) fn answer(future: impl Future<Output = Option<ServerFrame>> + 'static) -> Self {
        Self { topic: None, future: Box::pin(async { ReadResult::Answered(future.await) }) }
    }

    /// Reads where a subscription begins.
    pub(super) fn resume(engine: Arc<Engine>, requested_by: RequestedBy, topic: Topic, start: Start) -> Self {
        let of = Some(topic.clone());
        let future = Box::pin(async move {
            let result = engine.resume(&topic, &start).await;
            ReadResult::Resumed { requested_by, topic, result }
        });
        Self { topic: of, future }
    }

    /// Sends the session what it missed after `at`, piece by piece as its outbox takes them, and then joins it to the topic.
    pub(super) fn catch_up(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        (topic, seat): (Topic, Seat),
        at: Position,
    ) -> Self {
        let of = Some(topic.clone());
        let future = Box::pin(async move {
            let joined = catch_up(&worker, &writer, (&topic, seat), at).await;
            ReadResult::CaughtUp { topic, joined }
        });
        Self { topic: of, future }
    }
}

/// The background reads of one session, and the topics that wait for them.
#[derive(Default)]
pub(super) struct Reads {
    reads: Vec<Read>,
    /// The topics that the session has not joined yet because it is still reading what it missed.
    held: Vec<Topic>,
}

impl Reads {
    /// Begins a read in the background.
    pub(super) fn begin(&mut self, read: Read) {
        self.reads.push(read);
    }

    /// Notes that the session will join `topic` when it has read what it missed.
    pub(super) fn hold(&mut self, topic: Topic) {
        self.held.push(topic);
    }

    /// Returns whether `topic` is held.
    pub(super) fn holds(&self, topic: &Topic) -> bool {
        self.held.contains(topic)
    }

    /// Notes that the session has joined `topic`, or will not. Reads for the topic end. Returns whether the topic was held.
    pub(super) fn release(&mut self, topic: &Topic) -> bool {
        let Some(index) = self.held.iter().position(|held| held == topic) else { return false };
        self.held.swap_remove(index);
        self.reads.retain(|read| read.topic.as_ref() != Some(topic));
        true
    }

    /// Continues all reads and returns the results of those that have ended.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Vec<ReadResult> {
        let mut results = Vec::new();
        self.reads.retain_mut(|read| match read.future.as_mut().poll(context) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        results
    }

    /// Returns whether anything is being read.
    pub(super) fn are_under_way(&self) -> bool {
        !self.reads.is_empty()
    }

    /// Returns whether so much is being read that the session's requests should wait.
    pub(super) fn are_enough(&self) -> bool {
        self.reads.len() >= READS_MAX
    }
}

/// If the disk cannot be read, the session is closed: when it reconnects, it learns where it stands.
async fn catch_up(
    worker: &Worker,
    writer: &SessionWriter,
    (topic, seat): (&Topic, Seat),
    mut at: Position,
) -> Joined {
    loop {
        if let Some(joined) = worker.engine.join_after(topic, seat, at) {
            return joined;
        }
        // The session's task polls this whenever it has written something. No permit is held here.
        std::future::poll_fn(|_| if writer.is_backed_up() { Poll::Pending } else { Poll::Ready(()) }).await;
        let close = match worker.engine.read_on(topic, at).await {
            Ok(piece) if (!piece.has_gap || piece.skipped.is_some()) && !piece.is_damaged => {
                at = piece.at;
                if let Some(skipped) = piece.skipped.filter(|_| piece.has_gap) {
                    writer.push_missed(topic, skipped, &worker.counters);
                }
                writer.push_replay(piece.publications, &worker.counters);
                continue;
            }
            // The client reconnects and receives what is left after them, with the sign that something is missing.
            Ok(piece) if piece.is_damaged => {
                let reason =
                    format!("publications of '{topic}' are damaged on the broker's disk: connect again");
                Close::new(CloseCode::GoingAway, reason)
            }
            Ok(_) => {
                let reason = format!("the history of '{topic}' is dropped faster than this session reads it");
                Close::new(CloseCode::TooSlow, reason)
            }
            Err(refusal) => Close::new(CloseCode::GoingAway, refusal.message),
        };
        writer.request_close(close);
        return std::future::pending().await;
    }
}
