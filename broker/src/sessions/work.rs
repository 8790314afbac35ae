//! What a session waits for while it goes on with other things: receipts of what is on its way to the disk, and reading
//! from the disk.
//!
//! All of it is driven by the session's own task, so nothing of it outlives the session.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{CloseCode, Position, ServerFrame, Topic};

use super::Worker;
use super::command::Initiator;
use crate::engine::{Engine, Joined, Resumed};
use crate::hub::SessionWriter;

/// How many readings one session may have on their way. While it has, no more of its requests are handled.
pub(super) const READINGS_MAX: usize = 64;

/// What came out of a reading.
pub(super) enum Read {
    /// Where a subscription begins, and the first piece of what was missed.
    Resumed { initiator: Initiator, topic: Topic, result: Result<Resumed, Refusal> },
    /// All that was missed has been given but for what is still in memory, and the session listens from then on.
    CaughtUp { topic: Topic, joined: Joined },
    /// The answer to a request, if there is one.
    Answered(Option<ServerFrame>),
}

/// A reading on its way.
pub(super) struct Reading {
    /// The topic of the subscription it is for; it ends with that.
    topic: Option<Topic>,
    future: Pin<Box<dyn Future<Output = Read>>>,
}

impl Reading {
    /// Any reading that ends in an answer.
    pub(super) fn answer(future: impl Future<Output = Option<ServerFrame>> + 'static) -> Self {
        Self { topic: None, future: Box::pin(async { Read::Answered(future.await) }) }
    }

    /// Reads where a subscription begins.
    pub(super) fn resume(engine: Arc<Engine>, initiator: Initiator, topic: Topic, start: Start) -> Self {
        let of = Some(topic.clone());
        let future = Box::pin(async move {
            let result = engine.resume(&topic, &start).await;
            Read::Resumed { initiator, topic, result }
        });
        Self { topic: of, future }
    }

    /// Gives the session what it missed after `at`, piece by piece as it takes them, until it can listen.
    pub(super) fn catch_up(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        topic: Topic,
        at: Position,
    ) -> Self {
        let of = Some(topic.clone());
        let future = Box::pin(async move {
            let joined = catch_up(&worker, &writer, &topic, at).await;
            Read::CaughtUp { topic, joined }
        });
        Self { topic: of, future }
    }

    /// Whether it is for a subscription to this topic.
    pub(super) fn is_for(&self, topic: &Topic) -> bool {
        self.topic.as_ref() == Some(topic)
    }

    /// Goes on with it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        self.future.as_mut().poll(context)
    }
}

/// If it cannot be done, the session is closed: it comes back and is told where it stands.
async fn catch_up(worker: &Worker, writer: &SessionWriter, topic: &Topic, mut at: Position) -> Joined {
    loop {
        if let Some(joined) = worker.engine.join_after(topic, worker.hub.worker(), at) {
            return joined;
        }
        // The session's task comes by whenever it has written something.
        std::future::poll_fn(|_| if writer.is_over() { Poll::Pending } else { Poll::Ready(()) }).await;
        let close = match worker.engine.read_on(topic, at).await {
            Ok(piece) if !piece.has_gap && !piece.is_damaged => {
                at = piece.at;
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
                let reason = format!("what is kept of '{topic}' goes faster than this session reads it");
                Close::new(CloseCode::TooSlow, reason)
            }
            Err(refusal) => Close::new(CloseCode::GoingAway, refusal.message),
        };
        writer.want_close(close);
        return std::future::pending().await;
    }
}
