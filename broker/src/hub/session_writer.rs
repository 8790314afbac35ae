//! The writer of a session: its outbox, and the socket or task that empties it.
//!
//! The hub and the session's task share it, on one thread. It consists of parts of their own: the outbox (core), the [`Sink`], the
//! keepalive, the close state and the [`Review`] of what the session may do. It does not know topics or requests.

mod close_state;
mod keepalive;
mod review;
mod sink;
mod stall;
mod task_waker;

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::broadcast::Broadcast;
use fanwire_core::fanout::Delivery;
use fanwire_core::format::Format;
use fanwire_core::frame::Frame;
use fanwire_core::liveness::Pulse;
use fanwire_core::notice::Notice;
use fanwire_core::outbox::{Outbox, Written};
use fanwire_core::publication::Publication;
use fanwire_core::rules::SlowPolicy;
use fanwire_core::session::Close;
use fanwire_protocol::{CloseCode, Topic};

pub(crate) use keepalive::Keepalive;
pub(crate) use review::Review;
pub(crate) use sink::Sink;

use crate::telemetry::{DropReason, WorkerCounters};
use close_state::CloseState;
use keepalive::KeepaliveState;
use stall::Stall;
use task_waker::TaskWaker;

/// The outbox of one session and its way to the client.
pub(crate) struct SessionWriter {
    outbox: RefCell<Outbox>,
    sink: Sink,
    task: TaskWaker,
    keepalive: KeepaliveState,
    stall: Stall,
    close_state: CloseState,
    review: Review,
    /// Whether the session is in the hub's list of those to write to at the end of this tick.
    is_touched: Cell<bool>,
}

impl SessionWriter {
    /// A writer with an empty outbox of at most `outbox_bytes_max`.
    pub(crate) fn new(
        sink: Sink,
        format: &'static Format,
        outbox_bytes_max: usize,
        keepalive: Keepalive,
    ) -> Self {
        Self {
            outbox: RefCell::new(Outbox::new(format, outbox_bytes_max)),
            sink,
            task: TaskWaker::default(),
            keepalive: KeepaliveState::new(keepalive),
            stall: Stall::new(keepalive.write_timeout_ms),
            close_state: CloseState::new(keepalive.close_timeout_ms),
            review: Review::default(),
            is_touched: Cell::new(false),
        }
    }

    /// Adds a delivery of the hub whose last publication is `newest`. Returns whether the hub has to flush the session at the end of
    /// this tick and did not know that yet. The topic's policy says what happens to a delivery that does not fit.
    pub(crate) fn push(&self, delivery: Delivery, newest: &Broadcast, counters: &WorkerCounters) -> bool {
        let count = delivery.count();
        if self.close_state.is_closing() {
            counters.dropped(DropReason::Closing, count as u64);
            return false;
        }
        let mut outbox = self.outbox.borrow_mut();
        let topic = &newest.publication.message.topic;
        let skipped = match newest.slow {
            SlowPolicy::Disconnect => {
                if outbox.push(delivery).is_err() {
                    drop(outbox);
                    self.close_as_too_slow(count, counters);
                    return false;
                }
                0
            }
            SlowPolicy::Skip => outbox.push_or_skip(topic, delivery),
            SlowPolicy::Latest => {
                let newest = Delivery::one(newest, outbox.format());
                outbox.push_latest(topic, delivery, newest)
            }
        };
        counters.dropped(DropReason::Skipped, skipped as u64);
        // What was replaced had been counted as delivered, so it is subtracted.
        counters.deliveries.add(count as u64);
        counters.deliveries.subtract(skipped as u64);
        !self.is_touched.replace(true)
    }

    /// Adds the frame of a presence event, likewise. Where publications may be skipped, presence events may be skipped too.
    pub(crate) fn push_notice(&self, notice: &Notice, frame: Bytes, counters: &WorkerCounters) -> bool {
        if self.close_state.is_closing() {
            return false;
        }
        let delivery = Delivery::Chunk(frame, 1);
        let mut outbox = self.outbox.borrow_mut();
        let skipped = match notice.slow {
            SlowPolicy::Disconnect => {
                if outbox.push(delivery).is_err() {
                    drop(outbox);
                    self.close_as_too_slow(0, counters);
                    return false;
                }
                0
            }
            SlowPolicy::Skip | SlowPolicy::Latest => outbox.push_or_skip(notice.topic(), delivery),
        };
        counters.dropped(DropReason::Skipped, skipped as u64);
        !self.is_touched.replace(true)
    }

    fn close_as_too_slow(&self, count: usize, counters: &WorkerCounters) {
        counters.dropped(DropReason::OutboxFull, count as u64);
        let reason = "the session does not read as fast as messages come: its outbox is full";
        self.request_close(Close::new(CloseCode::TooSlow, reason));
    }

    /// Adds a delivery for this session alone and writes it. Returns `false` if the session is being closed, which a delivery that
    /// does not fit causes too.
    pub(crate) fn push_direct(&self, delivery: Delivery, counters: &WorkerCounters) -> bool {
        let count = delivery.count();
        if self.close_state.is_closing() {
            counters.dropped(DropReason::Closing, count as u64);
            return false;
        }
        if self.outbox.borrow_mut().push(delivery).is_err() {
            self.close_as_too_slow(count, counters);
            return false;
        }
        counters.deliveries.add(count as u64);
        self.flush(counters);
        true
    }

    /// Adds replies and other bytes of the broker's own.
    pub(crate) fn push_own(&self, bytes: Bytes) {
        self.outbox.borrow_mut().push_own(bytes);
    }

    /// Adds publications that the session missed.
    pub(crate) fn push_replay(&self, publications: Vec<Arc<Publication>>, counters: &WorkerCounters) {
        counters.deliveries.add(publications.len() as u64);
        self.outbox.borrow_mut().push_replay(publications);
    }

    /// Returns the format of the session.
    pub(crate) fn format(&self) -> &'static Format {
        self.outbox.borrow().format()
    }

    /// Returns whether the outbox is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.outbox.borrow().is_empty()
    }

    /// Returns whether the outbox holds so much that the session's requests should wait.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.outbox.borrow().is_over()
    }

    /// Returns the number of bytes in the outbox.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    /// Returns since when the oldest bytes in the outbox have waited, in seconds of the monotonic clock;
    /// `None` if nothing waits or the session is being closed.
    pub(crate) fn behind_since_s(&self, now_ms: u64) -> Option<u32> {
        let outbox = self.outbox.borrow();
        let is_behind = !outbox.is_empty() && !self.close_state.is_closing();
        is_behind.then(|| self.stall.behind_since_s(now_ms, &outbox))
    }

    /// Closes the session as too slow and drops what waits for it at once.
    pub(crate) fn close_to_free_memory(&self) {
        let reason = "sessions that do not read keep too much memory together, and this one has been behind for longest";
        self.request_close(Close::new(CloseCode::TooSlow, reason));
        self.outbox.borrow_mut().clear_unbegun();
    }

    /// Ends the connection of a session that is being closed and does not take what is left for it.
    pub(crate) fn abort_if_closing(&self) {
        if self.close_state.is_closing() && !self.is_empty() {
            self.close_state.hurry(0);
            self.sink.abort();
            self.task.wake();
        }
    }

    /// Reports that `count` publications of `topic` are no longer held and will not be sent.
    pub(crate) fn push_missed(&self, topic: &Topic, count: u64, counters: &WorkerCounters) {
        counters.dropped(DropReason::Skipped, count);
        self.outbox.borrow_mut().push_missed(topic, count);
    }

    /// Takes the next frame, for transports that write something of their own around each.
    pub(crate) fn pop_frame(&self) -> Option<Frame> {
        self.outbox.borrow_mut().pop_frame()
    }

    /// Takes the next chunk, for transports that pass chunks on.
    pub(crate) fn pop_chunk(&self) -> Option<Bytes> {
        self.outbox.borrow_mut().pop_chunk()
    }

    /// Returns the sink of the writer.
    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Writes what the socket takes without blocking, or wakes the task that empties the outbox.
    pub(crate) fn flush(&self, counters: &WorkerCounters) {
        self.is_touched.set(false);
        match self.sink.write(&self.outbox, counters) {
            Some(Ok(Written::All)) => {}
            None if self.sink.awaits_socket() => {}
            // The task waits for the socket, and learns of its errors by reading from it.
            None | Some(Ok(Written::Partly) | Err(_)) => self.task.wake(),
        }
    }

    /// Writes what waits, and has the task woken when a blocked socket can take more. Ready at once if the sink is no socket.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn poll_flush(
        &self,
        context: &mut Context<'_>,
        counters: &WorkerCounters,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.sink.write(&self.outbox, counters).transpose()? {
                None | Some(Written::All) => return Poll::Ready(Ok(())),
                Some(Written::Partly) => std::task::ready!(self.sink.poll_write_ready(context))?,
            }
        }
    }

    /// Sets the session's task, to be woken by [`SessionWriter::wake`].
    pub(crate) fn remember_task(&self, context: &Context<'_>) {
        self.task.set(context);
    }

    /// Wakes the session's task.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// Requests that the session is closed. The first request decides how.
    pub(crate) fn request_close(&self, close: Close) {
        if self.close_state.request(close) {
            self.task.wake();
        }
    }

    /// Takes the close that was requested. It is returned once.
    pub(crate) fn take_close(&self) -> Option<Close> {
        self.close_state.take()
    }

    /// Refuses deliveries from now on, and limits the time that the close may take. With `drops_waiting`, what waits in the outbox is
    /// dropped, except a message whose first bytes are written.
    pub(crate) fn begin_closing(&self, drops_waiting: bool) {
        self.close_state.begin();
        if drops_waiting {
            self.outbox.borrow_mut().clear_unbegun();
        }
    }

    /// Limits the time that a closing session may still take to `timeout_ms` from now, if it had more.
    pub(crate) fn hurry_close(&self, timeout_ms: u64) {
        self.close_state.hurry(timeout_ms);
    }

    /// Returns whether the session is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.close_state.is_closing()
    }

    /// Returns whether the time that the close may take is over.
    pub(crate) fn is_close_overdue(&self) -> bool {
        self.close_state.is_overdue()
    }

    /// Notes that the client has sent something.
    pub(crate) fn heard(&self) {
        self.keepalive.heard();
    }

    /// Returns the dates at which the session's permissions have to be reviewed.
    pub(crate) fn review(&self) -> &Review {
        &self.review
    }

    /// Has the session's task check its permissions again.
    pub(crate) fn request_review(&self) {
        self.review.request();
        self.task.wake();
    }

    /// Does what is due at `now_ms` of the monotonic clock and `unix_ms` of the wall clock: ends the session with its token, pings it
    /// after a silence, closes it if it does not answer, and aborts it if it does not close.
    pub(crate) fn sweep(&self, now_ms: u64, unix_ms: u64, counters: &WorkerCounters) {
        match self.review.session_end(unix_ms) {
            Some(close) => self.request_close(close),
            None if self.review.has_subscription_end(unix_ms) => self.task.wake(),
            None => {}
        }
        if self.close_state.is_overdue() {
            self.sink.abort();
            return self.task.wake();
        }
        if !self.close_state.is_closing() && self.stall.is_over(now_ms, &self.outbox.borrow()) {
            let reason = "the session took nothing of what waits for it for as long as limits.write_timeout";
            self.request_close(Close::new(CloseCode::TooSlow, reason));
        }
        match self.keepalive.check(now_ms) {
            Pulse::Fine => {}
            Pulse::Dead => {
                let reason = "the session was silent for too long and did not answer a ping";
                self.request_close(Close::new(CloseCode::TimedOut, reason));
            }
            Pulse::Ping if !self.close_state.is_closing() => {
                self.push_own(self.keepalive.bytes());
                self.flush(counters);
            }
            Pulse::Ping => {}
        }
    }
}
