//! The outlet of a session: its outbox, and the socket or task that empties it.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanwire_core::broadcast::Broadcast;
use fanwire_core::fanout::Delivery;
use fanwire_core::format::Format;
use fanwire_core::frame::Frame;
use fanwire_core::liveness::{Liveness, Pulse};
use fanwire_core::notice::Notice;
use fanwire_core::outbox::{Outbox, Written};
use fanwire_core::publication::Publication;
use fanwire_core::rules::SlowPolicy;
use fanwire_core::session::Close;
use fanwire_protocol::CloseCode;
use tokio::sync::Notify;

use super::Link;
use super::expiry::Expiry;
use crate::clock;
use crate::telemetry::{DropReason, WorkerCounters};

/// Who empties the outbox.
pub(crate) enum Sink {
    /// The hub itself writes to this socket; the session's task helps only when the socket would block. The socket is
    /// put in once the answer to the handshake has been written to it; until then, what comes waits.
    Socket(OnceCell<Link>),
    /// The session's task takes what waits. If it is stuck when its time is up, this ends the whole connection.
    Task(Rc<Notify>),
}

/// How a quiet session is kept open and known to live.
#[derive(Clone, Copy)]
pub(crate) struct Keepalive {
    /// What is sent after a silence.
    pub(crate) bytes: &'static [u8],
    /// How long the silence may last, in milliseconds.
    pub(crate) interval_ms: u64,
    /// How long an answer may take, in milliseconds; `None` where none is expected.
    pub(crate) timeout_ms: Option<u64>,
    /// How long a session that is to be closed may take to go, in milliseconds.
    pub(crate) close_timeout_ms: u64,
}

/// What waits for one session and how it gets out. Shared between the hub and the session's task, on one thread.
pub(crate) struct SessionWriter {
    sink: Sink,
    outbox: RefCell<Outbox>,
    liveness: Cell<Liveness>,
    keepalive: Keepalive,
    /// The session's task.
    waker: RefCell<Option<Waker>>,
    /// That somebody wants the session closed, and how.
    close_wanted: RefCell<Option<Box<Close>>>,
    /// Whether deliveries are refused because the session is being closed.
    is_closing: Cell<bool>,
    /// When a closing session is given up, in milliseconds of the monotonic clock.
    deadline_ms: Cell<Option<u64>>,
    expiry: Expiry,
    /// Whether the session is to be looked at again, because what the broker accepts has changed.
    is_in_question: Cell<bool>,
    /// Whether the session is in the hub's list of those to write to at the end of this tick.
    is_touched: Cell<bool>,
}

impl SessionWriter {
    /// An outlet with an empty outbox of at most `outbox_bytes_max`.
    pub(crate) fn new(
        sink: Sink,
        format: &'static Format,
        outbox_bytes_max: usize,
        keepalive: Keepalive,
    ) -> Self {
        Self {
            sink,
            outbox: RefCell::new(Outbox::new(format, outbox_bytes_max)),
            liveness: Cell::new(Liveness::new(clock::monotonic_ms())),
            keepalive,
            waker: RefCell::new(None),
            close_wanted: RefCell::new(None),
            is_closing: Cell::new(false),
            deadline_ms: Cell::new(None),
            expiry: Expiry::default(),
            // What has just been decided may have been decided by what held before.
            is_in_question: Cell::new(true),
            is_touched: Cell::new(false),
        }
    }

    /// Adds a delivery of the hub, of which `newest` is the last. Returns whether the session must be flushed at the end
    /// of this tick and was not marked for that yet. What happens to a delivery that does not fit is the topic's policy.
    pub(crate) fn push(&self, delivery: Delivery, newest: &Broadcast, counters: &WorkerCounters) -> bool {
        let count = delivery.count();
        if self.is_closing.get() {
            counters.dropped(DropReason::Closing, count as u64);
            return false;
        }
        let mut outbox = self.outbox.borrow_mut();
        let topic = &newest.publication.message.topic;
        let skipped = match newest.slow {
            SlowPolicy::Disconnect => {
                if outbox.push(delivery).is_err() {
                    drop(outbox);
                    self.is_too_slow(count, counters);
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
        // What takes the place of something that was counted as delivered, but was not, makes up for it.
        counters.deliveries.add(count as u64);
        counters.deliveries.subtract(skipped as u64);
        !self.is_touched.replace(true)
    }

    /// Adds word of who came or left, likewise. Where publications may be skipped, so may it.
    pub(crate) fn push_notice(&self, notice: &Notice, frame: Bytes, counters: &WorkerCounters) -> bool {
        if self.is_closing.get() {
            return false;
        }
        let delivery = Delivery::Chunk(frame, 1);
        let mut outbox = self.outbox.borrow_mut();
        let skipped = match notice.slow {
            SlowPolicy::Disconnect => {
                if outbox.push(delivery).is_err() {
                    drop(outbox);
                    self.is_too_slow(0, counters);
                    return false;
                }
                0
            }
            SlowPolicy::Skip | SlowPolicy::Latest => outbox.push_or_skip(notice.topic(), delivery),
        };
        counters.dropped(DropReason::Skipped, skipped as u64);
        !self.is_touched.replace(true)
    }

    fn is_too_slow(&self, count: usize, counters: &WorkerCounters) {
        counters.dropped(DropReason::OutboxFull, count as u64);
        let reason = "the session does not read as fast as messages come: its outbox is full";
        self.want_close(Close::new(CloseCode::TooSlow, reason));
    }

    /// Adds something for this session alone, and writes it. `false` if the session is about to end, perhaps because of this.
    pub(crate) fn push_direct(&self, delivery: Delivery, counters: &WorkerCounters) -> bool {
        let count = delivery.count();
        if self.is_closing.get() {
            counters.dropped(DropReason::Closing, count as u64);
            return false;
        }
        if self.outbox.borrow_mut().push(delivery).is_err() {
            self.is_too_slow(count, counters);
            return false;
        }
        counters.deliveries.add(count as u64);
        self.flush(counters);
        true
    }

    /// Returns the format of the session.
    pub(crate) fn format(&self) -> &'static Format {
        self.outbox.borrow().format()
    }

    /// Adds bytes of the broker's own.
    pub(crate) fn push_own(&self, bytes: Bytes) {
        self.outbox.borrow_mut().push_own(bytes);
    }

    /// Adds what the session missed.
    pub(crate) fn push_replay(&self, publications: Vec<Arc<Publication>>, counters: &WorkerCounters) {
        counters.deliveries.add(publications.len() as u64);
        self.outbox.borrow_mut().push_replay(publications);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.outbox.borrow().is_empty()
    }

    /// Whether so much waits that the session should not be read from.
    pub(crate) fn is_over(&self) -> bool {
        self.outbox.borrow().is_over()
    }

    /// How many bytes wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    /// Takes the next frame, for transports that write something of their own around each.
    pub(crate) fn pop_frame(&self) -> Option<Frame> {
        self.outbox.borrow_mut().pop_frame()
    }

    /// Takes the next chunk, for transports that pass chunks on.
    pub(crate) fn pop_chunk(&self) -> Option<Bytes> {
        self.outbox.borrow_mut().pop_chunk()
    }

    /// Writes what waits, as far as the socket takes it without blocking, or wakes the task that takes it.
    pub(crate) fn flush(&self, counters: &WorkerCounters) {
        self.is_touched.set(false);
        let link = match &self.sink {
            Sink::Socket(link) => link.get(),
            Sink::Task(_) => return self.wake(),
        };
        let Some(link) = link else { return };
        match self.try_flush(link, counters) {
            Ok(Written::All) => {}
            // The task waits for the socket, and learns of its errors by reading from it.
            Ok(Written::Partly) | Err(_) => self.wake(),
        }
    }

    fn try_flush(&self, link: &Link, counters: &WorkerCounters) -> io::Result<Written> {
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
            let count = outbox.fill(&mut slices);
            let written = match link.try_write(&slices[..count]) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Partly),
                Err(error) => return Err(error),
            };
            counters.sent_bytes.add(written as u64);
            outbox.advance(written);
        }
        match link.try_send() {
            Ok(()) => Ok(Written::All),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Partly),
            Err(error) => Err(error),
        }
    }

    /// Writes what waits, and arranges for the task to be woken when a blocked socket can take more.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn poll_flush(
        &self,
        context: &mut Context<'_>,
        counters: &WorkerCounters,
    ) -> Poll<io::Result<()>> {
        let Some(link) = self.link() else { return Poll::Ready(Ok(())) };
        loop {
            if self.try_flush(link, counters)? == Written::All {
                return Poll::Ready(Ok(()));
            }
            std::task::ready!(link.poll_write_ready(context))?;
        }
    }

    /// The socket, where there is one already.
    pub(crate) fn link(&self) -> Option<&Link> {
        match &self.sink {
            Sink::Socket(link) => link.get(),
            Sink::Task(_) => None,
        }
    }

    /// Puts the socket in.
    pub(crate) fn connect(&self, link: Link) {
        if let Sink::Socket(socket) = &self.sink
            && socket.set(link).is_err()
        {
            tracing::error!("a session was given a second socket");
        }
    }

    /// Tells the peer that nothing more will come, while still reading what it has to say.
    pub(crate) fn shut_writing(&self) {
        if let Some(link) = self.link() {
            link.shut_writing();
        }
    }

    /// Remembers the session's task, to be woken by [`SessionWriter::wake`].
    pub(crate) fn remember_task(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }

    /// Wakes the session's task.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Asks for the session to be closed; the first who asks decides how.
    pub(crate) fn want_close(&self, close: Close) {
        if !self.is_closing.replace(true) {
            self.start_deadline();
            *self.close_wanted.borrow_mut() = Some(Box::new(close));
            self.wake();
        }
    }

    /// Whether the session is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// How the session is to be closed, if somebody asked for it. Given once.
    pub(crate) fn take_close(&self) -> Option<Close> {
        self.close_wanted.borrow_mut().take().map(|close| *close)
    }

    /// Begins the farewell: deliveries are refused, those that wait are dropped if `drop_waiting` says so, and the
    /// session is given up when its time is over.
    pub(crate) fn begin_closing(&self, drop_waiting: bool) {
        self.is_closing.set(true);
        if drop_waiting {
            self.outbox.borrow_mut().clear_unbegun();
        }
        self.start_deadline();
    }

    fn start_deadline(&self) {
        self.deadline_ms.set(Some(clock::monotonic_ms() + self.keepalive.close_timeout_ms));
    }

    /// Whether a closing session has used up its time.
    pub(crate) fn is_given_up(&self) -> bool {
        self.deadline_ms.get().is_some_and(|deadline_ms| deadline_ms <= clock::monotonic_ms())
    }

    /// Notes that something came from the session.
    pub(crate) fn heard(&self) {
        let mut liveness = self.liveness.get();
        liveness.heard(clock::monotonic_ms());
        self.liveness.set(liveness);
    }

    /// Notes when the session's token ends, in milliseconds since 1970; then the session is closed.
    pub(crate) fn end_session_at(&self, expires_ms: Option<u64>) {
        self.expiry.end_session_at(expires_ms);
    }

    /// Notes until when, in milliseconds since 1970, the session must have said who it is.
    pub(crate) fn await_credentials_until(&self, deadline_ms: u64) {
        self.expiry.await_credentials_until(deadline_ms);
    }

    /// Notes when the first token of a single subscription ends, in milliseconds since 1970; then the session's task is woken.
    pub(crate) fn end_subscription_at(&self, expires_ms: Option<u64>) {
        self.expiry.end_subscription_at(expires_ms);
    }

    /// Whether the token of a subscription has ended. Said once for each end that is noted.
    pub(crate) fn take_subscription_end(&self) -> bool {
        self.expiry.take_subscription_end(clock::unix_ms())
    }

    /// Asks the session's task to see whether it may still be there and have what it has.
    pub(crate) fn question(&self) {
        self.is_in_question.set(true);
        self.wake();
    }

    /// Whether somebody has asked that. Said once for each time.
    pub(crate) fn take_question(&self) -> bool {
        self.is_in_question.take()
    }

    /// Closes the session if its token has ended by `now_ms`, in milliseconds since 1970, and wakes its task if something else
    /// has.
    pub(crate) fn look_for_end(&self, now_ms: u64) {
        if let Some(close) = self.expiry.session_end(now_ms) {
            return self.want_close(close);
        }
        if self.expiry.has_subscription_end(now_ms) {
            self.wake();
        }
    }

    /// Looks after a quiet session: pings it, closes it if it does not answer, gives it up if it does not go.
    pub(crate) fn look_after(&self, now_ms: u64, counters: &WorkerCounters) {
        if self.is_given_up() {
            if let Sink::Task(abort) = &self.sink {
                abort.notify_one();
            }
            return self.wake();
        }
        let mut liveness = self.liveness.get();
        let timeout_ms = self.keepalive.timeout_ms.unwrap_or(u64::MAX / 2);
        let pulse = liveness.check(now_ms, self.keepalive.interval_ms, timeout_ms);
        if pulse == Pulse::Ping && self.keepalive.timeout_ms.is_none() {
            liveness.heard(now_ms);
        }
        self.liveness.set(liveness);
        match pulse {
            Pulse::Fine => {}
            Pulse::Dead => {
                let reason = "the session was silent for too long and did not answer a ping";
                self.want_close(Close::new(CloseCode::TimedOut, reason));
            }
            Pulse::Ping if !self.is_closing.get() => {
                self.push_own(Bytes::from_static(self.keepalive.bytes));
                self.flush(counters);
            }
            Pulse::Ping => {}
        }
    }
}
