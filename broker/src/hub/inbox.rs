//! The inbox of a worker: publications that wait to be delivered by it.
//!
//! Any thread may put something in; only the worker takes out. The lock is held for a push or a take and nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::broadcast::Broadcast;
use fanwire_core::notice::Notice;
use tokio::sync::Notify;

use crate::telemetry::Shared;

/// The queue of one worker. Bounded by [`Pressure`]: publishers wait while it is over its bound, so it exceeds the bound by at
/// most one publication per publisher.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    filled: Notify,
    pressure: Arc<Pressure>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Item>,
    bytes: usize,
    /// Whether this inbox counts as over its bound.
    over: bool,
}

enum Item {
    Broadcast(Arc<Broadcast>),
    Notice(Arc<Notice>),
}

/// The bytes for which one notice counts.
const NOTICE_BYTES: usize = 512;

impl Item {
    fn cost(&self) -> usize {
        match self {
            Item::Broadcast(broadcast) => broadcast.publication.cost(),
            Item::Notice(_) => NOTICE_BYTES,
        }
    }
}

/// The items that a worker takes out of its inbox at once, in order.
#[derive(Default)]
pub(crate) struct Batch {
    /// The publications of the batch, in order.
    pub(crate) broadcasts: Vec<Arc<Broadcast>>,
    /// Presence events, each with the number of publications before it.
    pub(crate) notices: Vec<(usize, Arc<Notice>)>,
}

impl Batch {
    /// Removes what has been delivered, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.broadcasts.clear();
        self.notices.clear();
    }
}

/// Records whether publishers have to wait, because a queue of publications is over its bound.
pub(crate) struct Pressure {
    bytes_max: usize,
    queues_over: AtomicUsize,
    relieved: Notify,
    counters: Arc<Shared>,
}

impl Pressure {
    /// No pressure. An inbox is over its bound from `bytes_max` on until it is half empty again.
    pub(crate) fn new(bytes_max: usize, counters: Arc<Shared>) -> Self {
        Self { bytes_max, queues_over: AtomicUsize::new(0), relieved: Notify::new(), counters }
    }

    /// Returns whether publishers have to wait.
    pub(crate) fn is_high(&self) -> bool {
        self.queues_over.load(Ordering::Acquire) > 0
    }

    /// Notes that another queue than an inbox is over its bound.
    pub(crate) fn raise(&self) {
        self.queues_over.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a queue is no longer over its bound.
    pub(crate) fn relieve(&self) {
        if self.queues_over.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.relieved.notify_waiters();
        }
    }

    /// Waits until publishers may continue.
    pub(crate) async fn relieved(self: Arc<Self>) {
        loop {
            let relieved = self.relieved.notified();
            if !self.is_high() {
                return;
            }
            relieved.await;
        }
    }
}

impl Inbox {
    /// An empty inbox under the common `pressure`.
    pub(crate) fn new(pressure: Arc<Pressure>) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), pressure }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that holds this lock can panic half-way, so a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a publication. Called under the lock of its topic, which makes the order.
    pub(crate) fn push(&self, broadcast: Arc<Broadcast>) {
        self.push_item(Item::Broadcast(broadcast));
    }

    /// Appends a presence event, likewise.
    pub(crate) fn push_notice(&self, notice: Arc<Notice>) {
        self.push_item(Item::Notice(notice));
    }

    /// Appends publications of one topic, likewise, and wakes the worker once for all of them.
    pub(crate) fn push_all(&self, broadcasts: &[Arc<Broadcast>]) {
        self.push_items(broadcasts.iter().cloned().map(Item::Broadcast));
    }

    fn push_item(&self, item: Item) {
        self.push_items(std::iter::once(item));
    }

    fn push_items(&self, items: impl Iterator<Item = Item>) {
        let mut queue = self.lock();
        let was_empty = queue.waiting.is_empty();
        let mut cost = 0;
        queue.waiting.extend(items.inspect(|item| cost += item.cost()));
        if cost == 0 {
            return;
        }
        queue.bytes += cost;
        if !queue.over && queue.bytes > self.pressure.bytes_max {
            queue.over = true;
            self.pressure.raise();
        }
        // Before the worker can take them out and subtract them: the sum never falls below zero.
        self.pressure.counters.inbox_bytes.fetch_add(cost as u64, Ordering::Relaxed);
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits until there may be something to take.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Moves about `bytes_max` bytes to `batch`, at least one item. Returns `false` if the inbox is empty.
    pub(crate) fn take(&self, batch: &mut Batch, bytes_max: usize) -> bool {
        let mut taken = 0;
        let mut queue = self.lock();
        while taken < bytes_max
            && let Some(item) = queue.waiting.pop_front()
        {
            taken += item.cost();
            match item {
                Item::Broadcast(broadcast) => batch.broadcasts.push(broadcast),
                Item::Notice(notice) => batch.notices.push((batch.broadcasts.len(), notice)),
            }
        }
        queue.bytes -= taken;
        let relieved = queue.over && queue.bytes <= self.pressure.bytes_max / 2;
        if relieved {
            queue.over = false;
        }
        if queue.waiting.is_empty() {
            queue.waiting.shrink_to(4096);
        }
        drop(queue);
        if relieved {
            self.pressure.relieve();
        }
        self.pressure.counters.inbox_bytes.fetch_sub(taken as u64, Ordering::Relaxed);
        taken > 0
    }
}

#[cfg(test)]
mod tests {
    use fanwire_core::held::HeldSum;
    use fanwire_core::publication::Publication;
    use fanwire_protocol::{Message, Payload};

    use super::*;

    fn broadcast() -> Arc<Broadcast> {
        let message = Message {
            topic: "t".parse().unwrap(),
            payload: Payload::text("x".repeat(1000)),
            position: None,
            ts: None,
            from: None,
        };
        Arc::new(Broadcast::new(Arc::new(Publication::new(message, 1, 0, &HeldSum::default())), None))
    }

    #[test]
    fn publishers_wait_from_the_bound_on_until_half_of_it_is_gone() {
        let cost = broadcast().publication.cost();
        let pressure = Arc::new(Pressure::new(4 * cost, Arc::default()));
        let inbox = Inbox::new(pressure.clone());
        for _ in 0..4 {
            inbox.push(broadcast());
            assert!(!pressure.is_high());
        }
        inbox.push(broadcast());
        assert!(pressure.is_high());
        let mut batch = Batch::default();
        assert!(inbox.take(&mut batch, 1));
        assert!(pressure.is_high(), "not yet half empty");
        assert!(inbox.take(&mut batch, 2 * cost));
        assert!(!pressure.is_high());
        assert_eq!(batch.broadcasts.len(), 3);
        assert!(inbox.take(&mut batch, usize::MAX));
        assert!(!inbox.take(&mut batch, usize::MAX));
        assert_eq!(pressure.counters.inbox_bytes.load(Ordering::Relaxed), 0);
    }
}
