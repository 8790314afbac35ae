//! The tasks of HTTP/2 streams, and the time that a client has to take an answer.
//!
//! A client decides for each stream how much it takes (RFC 9113 §5.2). A stream whose answer is not taken holds the answer in memory while
//! the other streams of its connection move, so each stream has a time-out of its own. Only the time without progress counts.
//! Sessions watch over their own streams; they end them by the signal of [`abort_signal`].

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanwire_protocol::CloseCode;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::telemetry::WorkerCounters;
use crate::transports::ResponseBody;

/// The maximum size of the pieces of a whole body, in bytes. A piece that the client does not take waits in the HTTP library.
const PIECE_BYTES_MAX: usize = 16 * 1024;

tokio::task_local! {
    /// The stream of the task that runs.
    static STREAM: Rc<StreamState>;
}

/// The state of one stream.
#[derive(Default)]
struct StreamState {
    /// The time since which a piece of the answer waits for the client.
    waits_since: Cell<Option<Instant>>,
    /// The signal that ends the stream.
    abort: Rc<Notify>,
}

/// Runs the streams of a connection on the thread of the connection. Each stream ends with its connection.
#[derive(Clone)]
pub(super) struct StreamTasks {
    /// The time without progress after which a stream is reset.
    pub(super) write_timeout: Duration,
    /// The same while the broker drains.
    pub(super) close_timeout: Duration,
    pub(super) draining: watch::Receiver<Option<Instant>>,
    pub(super) counters: Arc<WorkerCounters>,
}

/// Runs the streams of a connection whose time is bounded as a whole.
#[derive(Clone, Copy)]
pub(super) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for StreamTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(self.clone().run(future));
    }
}

impl StreamTasks {
    /// Runs a stream. Dropping its future resets it.
    async fn run(mut self, future: impl Future<Output = ()>) {
        let state: Rc<StreamState> = Rc::default();
        let mut stream = pin!(STREAM.scope(state.clone(), future));
        let mut timeout = self.write_timeout;
        let mut is_draining = false;
        loop {
            tokio::select! {
                () = &mut stream => return,
                () = state.abort.notified() => return,
                () = state.stalled(timeout) => {
                    tracing::debug!("an HTTP/2 stream is reset: its client took nothing of an answer for too long");
                    return self.counters.close(CloseCode::TooSlow);
                }
                _ = self.draining.wait_for(Option::is_some), if !is_draining => {
                    is_draining = true;
                    timeout = timeout.min(self.close_timeout);
                    state.waits_since.set(state.waits_since.get().map(|_| Instant::now()));
                }
            }
        }
    }
}

impl StreamState {
    /// Waits until a piece has waited for `timeout`.
    async fn stalled(&self, timeout: Duration) {
        loop {
            let waited = self.waits_since.get().map_or(Duration::ZERO, |since| since.elapsed());
            match timeout.checked_sub(waited).filter(|left| !left.is_zero()) {
                Some(left) => tokio::time::sleep(left).await,
                None => return,
            }
        }
    }
}

/// Returns the signal that ends the stream of the task that runs. Returns `None` outside of a stream.
pub(super) fn abort_signal() -> Option<Rc<Notify>> {
    STREAM.try_with(|state| state.abort.clone()).ok()
}

/// The body of an answer on a stream.
pub(super) struct StreamBody {
    body: ResponseBody,
    /// The rest of a piece that was too large.
    rest: Bytes,
    has_begun: bool,
    /// The state of the stream, if this file watches over it.
    state: Option<Rc<StreamState>>,
}

impl StreamBody {
    /// Creates the body of an answer of the stream of the task that runs.
    pub(super) fn new(body: ResponseBody) -> Self {
        let state = if body.is_watched() { None } else { STREAM.try_with(Rc::clone).ok() };
        Self { body, rest: Bytes::new(), has_begun: false, state }
    }

    /// Notes whether a piece waits for the client from now on.
    fn note(&self, waits: bool) {
        if let Some(state) = &self.state {
            state.waits_since.set(waits.then(Instant::now));
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    /// Called only when the client has room for more.
    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.has_begun = true;
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context).map_ok(Frame::into_data) {
                Poll::Ready(Some(Ok(Ok(data)))) => this.rest = data,
                other => {
                    this.note(false);
                    return other.map_ok(|frame| frame.map_or_else(|frame| frame, Frame::data));
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        this.note(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// The end is reached only when the client has room for more, so that a client that does not take the last piece is seen.
    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_begun { SizeHint::default() } else { self.body.size_hint() }
    }
}
