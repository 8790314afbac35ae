//! Fan-out on one worker: from its inbox to the outboxes and sockets of its sessions.
//!
//! The hub owns the subscribers of this worker and what waits for each session. It does not know what a topic holds, how a
//! session began, or what the bytes it writes mean.

mod inbox;
mod link;
mod pinned;
mod session_writer;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::fanout::Fanout;
use fanwire_core::format::Format;
use fanwire_core::notice::Notice;
use fanwire_core::subscribers::{SessionKey, Subscribers, SubscriptionKey};
use fanwire_protocol::Pattern;

pub(crate) use inbox::{Batch, Inbox, Pressure};
pub(crate) use link::Link;
pub(crate) use pinned::{MemoryShort, PinnedBound};
pub(crate) use session_writer::{Keepalive, SessionWriter, Sink};

use crate::clock;
use crate::telemetry::WorkerCounters;

/// The bytes of the inbox that one tick takes, so that a flood cannot keep a worker from its other work.
const TICK_BYTES_MAX: usize = 256 * 1024;

/// The most ticks that are run ahead of time for a session that is about to end.
const TICKS_AHEAD_MAX: usize = 16;

/// The fan-out of one worker. It stays on that worker's thread.
pub(crate) struct Hub {
    worker: usize,
    inbox: Arc<Inbox>,
    counters: Arc<WorkerCounters>,
    subscribers: RefCell<Subscribers>,
    fanout: RefCell<Fanout>,
    /// The writers, by session key.
    writers: RefCell<Vec<Option<Rc<SessionWriter>>>>,
    vacant: RefCell<Vec<SessionKey>>,
    open: Cell<usize>,
    pinned: Arc<PinnedBound>,
    memory_short: Rc<MemoryShort>,
}

impl Hub {
    /// An empty hub for the worker with this number.
    pub(crate) fn new(
        worker: usize,
        inbox: Arc<Inbox>,
        pinned: Arc<PinnedBound>,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        Self {
            worker,
            inbox,
            counters,
            subscribers: RefCell::default(),
            fanout: RefCell::default(),
            writers: RefCell::default(),
            vacant: RefCell::default(),
            open: Cell::new(0),
            pinned,
            memory_short: Rc::default(),
        }
    }

    /// Returns the number of this worker.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// Returns the number of open sessions on this worker.
    pub(crate) fn len(&self) -> usize {
        self.open.get()
    }

    /// Opens a session whose deliveries go to `writer`.
    pub(crate) fn open(&self, writer: Rc<SessionWriter>) -> SessionKey {
        let mut writers = self.writers.borrow_mut();
        let key = self.vacant.borrow_mut().pop().unwrap_or_else(|| {
            writers.push(None);
            SessionKey(u32::try_from(writers.len() - 1).expect("a worker has fewer than 2^32 sessions"))
        });
        writers[key.0 as usize] = Some(writer);
        self.open.set(self.open.get() + 1);
        key
    }

    /// Ends the session. All its subscriptions must have been left before. Its key is not reused until [`Hub::release`].
    pub(crate) fn close(&self, key: SessionKey) {
        if self.writers.borrow_mut()[key.0 as usize].take().is_some() {
            self.open.set(self.open.get() - 1);
        }
    }

    /// Allows the key of a closed session to be reused. Nothing that the session published without echo may still wait for its
    /// position: it would not be delivered to the next session with this key.
    pub(crate) fn release(&self, key: SessionKey) {
        self.vacant.borrow_mut().push(key);
    }

    /// Begins to deliver what matches `pattern` and stands after offset `after`.
    pub(crate) fn join(
        &self,
        pattern: &Pattern,
        session: SessionKey,
        format: &'static Format,
        after: u64,
    ) -> SubscriptionKey {
        self.counters.subscriptions.add(1);
        self.subscribers.borrow_mut().join(pattern, session, format, after)
    }

    /// Notes a session that is catching up on `topic`. It receives nothing else of it until [`Hub::deliver_after`].
    pub(crate) fn join_held(
        &self,
        topic: &Pattern,
        session: SessionKey,
        format: &'static Format,
    ) -> SubscriptionKey {
        self.counters.subscriptions.add(1);
        self.subscribers.borrow_mut().join_held(topic, session, format)
    }

    /// Begins to deliver what stands after offset `after` to a session that has caught up to there.
    pub(crate) fn deliver_after(&self, topic: &Pattern, key: SubscriptionKey, after: u64) {
        self.subscribers.borrow_mut().deliver_after(topic, key, after);
    }

    /// Ends what [`Hub::join`] or [`Hub::join_held`] began.
    pub(crate) fn leave(&self, pattern: &Pattern, key: SubscriptionKey) {
        self.counters.subscriptions.subtract(1);
        self.subscribers.borrow_mut().leave(pattern, key);
    }

    /// Returns the signal that memory is short, for answers that this hub does not write.
    pub(crate) fn memory_short(&self) -> Rc<MemoryShort> {
        self.memory_short.clone()
    }

    /// Closes sessions while they keep more in memory than they may together. The session whose oldest waiting bytes have
    /// waited longest goes first.
    pub(crate) fn relieve_memory(&self) {
        if self.pinned.is_over() {
            self.close_longest_behind();
        }
    }

    #[cold]
    fn close_longest_behind(&self) {
        let now_ms = clock::monotonic_ms();
        if !self.memory_short.may_search(now_ms) {
            return;
        }
        self.memory_short.notify();
        let mut behind: Vec<(u32, Rc<SessionWriter>)> = Vec::new();
        self.for_each_writer(|writer| {
            behind.extend(writer.behind_since_s(now_ms).map(|since_s| (since_s, writer.clone())));
        });
        behind.sort_by_key(|(since_s, _)| *since_s);
        let mut closed = 0;
        for (_, writer) in behind {
            if self.pinned.has_room() {
                break;
            }
            writer.close_to_free_memory();
            closed += 1;
        }
        if self.pinned.is_over() {
            // What is left are messages of which a part is written, to clients that do not take the rest.
            self.for_each_writer(|writer| writer.abort_if_closing());
        } else {
            self.memory_short.found_enough();
        }
        self.pinned.closed(closed);
    }

    /// Calls `visit` with the writer of every open session.
    pub(crate) fn for_each_writer(&self, mut visit: impl FnMut(&Rc<SessionWriter>)) {
        for writer in self.writers.borrow().iter().flatten() {
            visit(writer);
        }
    }

    /// Delivers what comes into the inbox, as long as the worker runs.
    pub(crate) async fn run(self: Rc<Self>) {
        let mut batch = Batch::default();
        let mut touched = Vec::new();
        loop {
            self.inbox.filled().await;
            while self.inbox.take(&mut batch, TICK_BYTES_MAX) {
                self.tick(&batch, &mut touched);
                batch.clear();
                self.relieve_memory();
                // Between two ticks the sessions get their turn: to write what would block, to be closed, to read.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Delivers what waits in the inbox, ahead of the next tick: a session that is about to end still receives what was
    /// published before.
    pub(crate) fn deliver_waiting(&self) {
        let (mut batch, mut touched) = (Batch::default(), Vec::new());
        for _ in 0..TICKS_AHEAD_MAX {
            if !self.inbox.take(&mut batch, TICK_BYTES_MAX) {
                return;
            }
            self.tick(&batch, &mut touched);
            batch.clear();
        }
    }

    /// Runs one tick: every touched session is written to once, with all that has gathered for it.
    fn tick(&self, batch: &Batch, touched: &mut Vec<Rc<SessionWriter>>) {
        let mut begin = 0;
        for (end, notice) in &batch.notices {
            self.fan_out(&batch.broadcasts[begin..*end], touched);
            self.notify(notice, touched);
            begin = *end;
        }
        self.fan_out(&batch.broadcasts[begin..], touched);
        for writer in touched.drain(..) {
            writer.flush(&self.counters);
        }
        let now_us = clock::monotonic_us();
        for broadcast in &batch.broadcasts {
            self.counters.delivered_after(now_us.saturating_sub(broadcast.publication.accepted_us));
        }
    }

    /// Puts publications into the outboxes of their subscribers, and notes which sessions to flush.
    fn fan_out(&self, batch: &[Arc<Broadcast>], touched: &mut Vec<Rc<SessionWriter>>) {
        let writers = self.writers.borrow();
        self.fanout.borrow_mut().run(
            self.worker,
            &self.subscribers.borrow(),
            batch,
            |session, delivery, newest| {
                let Some(writer) = &writers[session.0 as usize] else { return };
                if writer.push(delivery, newest, &self.counters) {
                    touched.push(writer.clone());
                }
            },
        );
    }

    /// Puts a presence event into the outboxes of the subscribers of its topic, once into each.
    fn notify(&self, notice: &Notice, touched: &mut Vec<Rc<SessionWriter>>) {
        let writers = self.writers.borrow();
        self.fanout.borrow_mut().visit_once(&self.subscribers.borrow(), notice.topic(), |subscriber| {
            let is_excepted = notice.except == Some((self.worker, subscriber.session));
            let Some(writer) = &writers[subscriber.session.0 as usize] else { return };
            let frame = notice.frame(subscriber.format);
            if !is_excepted && !frame.is_empty() && writer.push_notice(notice, frame, &self.counters) {
                touched.push(writer.clone());
            }
        });
    }
}
