//! What a session waits for while it goes on with other things: receipts of what is on its way to the disk, and reading
//! from the disk.
//!
//! All of it is driven by the session's own task, so nothing of it outlives the session.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{CloseCode, Position, ServerFrame, Topic};

use super::Worker;
use super::command::Initiator;
use crate::engine::{Accepted, Engine, Joined, Resumed, Told};
use crate::hub::SessionWriter;

/// How many readings one session may have on their way. While it has, no more of its requests are handled.
pub(super) const READINGS_MAX: usize = 64;

/// A receipt that came later.
pub(super) struct Receipted {
    /// The request's `id`.
    pub(super) id: Option<u32>,
    /// Where to it was published.
    pub(super) topic: Topic,
    /// What became of it.
    pub(super) result: Result<Accepted, Refusal>,
}

/// The receipts that a session is owed. The store's writer puts them in, the session's task takes them out.
#[derive(Default)]
pub(super) struct Receipts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    arrived: Vec<Receipted>,
    owed: usize,
    waker: Option<Waker>,
}

impl Receipts {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half-way, so what a panic elsewhere left is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a receipt for the request `id` is owed, and returns who is to be told.
    pub(super) fn expect(self: &Arc<Self>, id: Option<u32>, topic: Topic) -> Told {
        self.lock().owed += 1;
        let receipts = self.clone();
        Box::new(move |result| {
            let mut inner = receipts.lock();
            inner.owed -= 1;
            inner.arrived.push(Receipted { id, topic, result });
            // Only the first of many wakes: the task takes all.
            let waker = if inner.arrived.len() == 1 { inner.waker.take() } else { None };
            drop(inner);
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    }

    /// Notes that a receipt that was expected will not come.
    pub(super) fn give_up(&self) {
        self.lock().owed -= 1;
    }

    /// Takes what has arrived, and has the task woken when more does.
    pub(super) fn take(&self, context: &Context<'_>) -> Vec<Receipted> {
        let mut inner = self.lock();
        match &mut inner.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => inner.waker = Some(context.waker().clone()),
        }
        std::mem::take(&mut inner.arrived)
    }

    /// Whether anything that receipts are owed for is not delivered yet.
    pub(super) fn are_on_their_way(&self) -> bool {
        self.lock().owed > 0
    }

    /// Whether any receipt is still owed.
    pub(super) fn are_owed(&self) -> bool {
        let inner = self.lock();
        inner.owed > 0 || !inner.arrived.is_empty()
    }
}

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
            Ok(piece) if piece.lost == 0 => {
                at = piece.at;
                writer.push_replay(piece.publications, &worker.counters);
                continue;
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
