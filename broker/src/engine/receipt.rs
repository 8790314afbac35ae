//! Receipts: what became of a publication, and where that is reported.
//!
//! A publication that is held in memory only is accepted at once, and its receipt is the return value of the publish. The receipt of
//! a publication that goes to the archive is sent later, from a thread of the archive. This file owns the destinations of such
//! receipts. It does not know what a session or an HTTP answer does with one.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use fanwire_core::access::Refusal;
use fanwire_protocol::{Position, Topic};
use tokio::sync::oneshot;

thread_local! {
    /// The tasks to wake at the end of [`send_together`]; `None` outside of it.
    static WAKERS: RefCell<Option<Vec<Waker>>> = const { RefCell::new(None) };
}

/// Runs `send`, which sends receipts on this thread, and then wakes the tasks of the sessions that received some. So a task wakes
/// once for its receipts of a group, and not in the middle of it.
pub(crate) fn send_together(send: impl FnOnce()) {
    WAKERS.set(Some(Vec::new()));
    send();
    for waker in WAKERS.take().unwrap_or_default() {
        waker.wake();
    }
}

/// The receipt of a publication that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The position of the publication.
    pub(crate) position: Position,
    /// Whether it had been accepted before, under the same idempotency key.
    pub(crate) is_duplicate: bool,
    /// The number of subscriptions it is delivered to.
    pub(crate) subscribers: u64,
}

/// The destination of a receipt that comes later.
#[derive(Debug)]
pub(crate) enum ReceiptTo {
    /// The queue of a session, which answers the request with this `id`.
    Session {
        /// The queue that takes the receipt.
        queue: Arc<ReceiptQueue>,
        /// The `id` of the request.
        id: Option<u32>,
    },
    /// A task that waits for this one receipt, as that of an HTTP request does.
    Waiter(oneshot::Sender<Result<Accepted, Refusal>>),
}

impl ReceiptTo {
    /// Returns a destination and the channel on which the receipt arrives. The channel is closed without a receipt if the broker
    /// stops before the publication is on disk.
    pub(crate) fn waiter() -> (Self, oneshot::Receiver<Result<Accepted, Refusal>>) {
        let (sender, receipt) = oneshot::channel();
        (Self::Waiter(sender), receipt)
    }

    /// Notes at the destination that a receipt is owed.
    pub(super) fn reserve(self) -> OwedReceipt {
        if let Self::Session { queue, .. } = &self {
            queue.lock().owed += 1;
        }
        OwedReceipt(Some(self))
    }
}

/// A receipt that its destination counts on. Dropping it unsent releases the destination.
#[derive(Debug)]
pub(super) struct OwedReceipt(Option<ReceiptTo>);

impl OwedReceipt {
    /// Sends the receipt of a publication to `topic`.
    pub(super) fn send(mut self, topic: Topic, result: Result<Accepted, Refusal>) {
        match self.0.take() {
            Some(ReceiptTo::Session { queue, id }) => queue.settle(Some(LateReceipt { id, topic, result })),
            // A task that has given up waiting needs no receipt.
            Some(ReceiptTo::Waiter(sender)) => drop(sender.send(result)),
            None => {}
        }
    }
}

impl Drop for OwedReceipt {
    fn drop(&mut self) {
        if let Some(ReceiptTo::Session { queue, .. }) = self.0.take() {
            queue.settle(None);
        }
    }
}

/// A receipt that came later.
#[derive(Debug)]
pub(crate) struct LateReceipt {
    /// The `id` of the request.
    pub(crate) id: Option<u32>,
    /// The topic that was published to.
    pub(crate) topic: Topic,
    /// The receipt, or why the publication was not accepted.
    pub(crate) result: Result<Accepted, Refusal>,
}

/// The receipts that one session is owed. The store's thread adds to it and the session's task takes from it. Its size is bounded by
/// the store's queue, in which every publication waits whose receipt is owed.
#[derive(Debug, Default)]
pub(crate) struct ReceiptQueue(Mutex<Receipts>);

#[derive(Debug, Default)]
struct Receipts {
    arrived: Vec<LateReceipt>,
    owed: usize,
    waker: Option<Waker>,
}

impl ReceiptQueue {
    fn lock(&self) -> MutexGuard<'_, Receipts> {
        // Nothing that holds this lock can panic half-way, so the contents are whole after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends one receipt that was owed, and wakes the session's task. One wake is enough for many receipts: the task takes all.
    fn settle(&self, receipt: Option<LateReceipt>) {
        let mut receipts = self.lock();
        receipts.owed -= 1;
        receipts.arrived.extend(receipt);
        let waker = receipts.waker.take();
        drop(receipts);
        let waker = WAKERS.with_borrow_mut(|wakers| match wakers {
            Some(wakers) => {
                wakers.extend(waker);
                None
            }
            None => waker,
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the receipts that have arrived, and has the task woken when there are more.
    pub(crate) fn take(&self, context: &Context<'_>) -> Vec<LateReceipt> {
        let mut receipts = self.lock();
        match &mut receipts.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => receipts.waker = Some(context.waker().clone()),
        }
        std::mem::take(&mut receipts.arrived)
    }

    /// Returns whether a publication whose receipt is owed has no position yet.
    pub(crate) fn is_owed(&self) -> bool {
        self.lock().owed > 0
    }

    /// Returns whether a receipt is owed, or has arrived and was not taken yet.
    pub(crate) fn has_any(&self) -> bool {
        let receipts = self.lock();
        receipts.owed > 0 || !receipts.arrived.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn owed(queue: &Arc<ReceiptQueue>, id: u32) -> OwedReceipt {
        ReceiptTo::Session { queue: queue.clone(), id: Some(id) }.reserve()
    }

    fn refusal() -> Result<Accepted, Refusal> {
        Err(Refusal { code: fanwire_protocol::ErrorCode::Unavailable, message: "full".to_owned() })
    }

    #[test]
    fn a_receipt_is_owed_until_it_is_sent_or_dropped() {
        let (queue, wakes) = (Arc::new(ReceiptQueue::default()), Arc::new(Wakes::default()));
        let waker = Waker::from(wakes.clone());
        let context = Context::from_waker(&waker);
        drop(ReceiptTo::Session { queue: queue.clone(), id: None });
        assert!(!queue.has_any(), "a destination that was not reserved owes nothing");
        let (sent, dropped) = (owed(&queue, 1), owed(&queue, 2));
        assert!(queue.take(&context).is_empty() && queue.is_owed());
        sent.send("a".parse().unwrap(), refusal());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(queue.take(&context).iter().map(|receipt| receipt.id).collect::<Vec<_>>(), [Some(1)]);
        assert!(queue.is_owed());
        drop(dropped);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2, "a task that waits for the last receipt is woken");
        assert!(!queue.is_owed() && !queue.has_any());
    }

    #[test]
    fn receipts_that_are_sent_together_wake_the_task_at_the_end() {
        let (queue, wakes) = (Arc::new(ReceiptQueue::default()), Arc::new(Wakes::default()));
        let waker = Waker::from(wakes.clone());
        let context = Context::from_waker(&waker);
        assert!(queue.take(&context).is_empty());
        let all = [owed(&queue, 1), owed(&queue, 2), owed(&queue, 3)];
        send_together(|| {
            for receipt in all {
                receipt.send("a".parse().unwrap(), refusal());
                assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
            }
        });
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(queue.take(&context).len(), 3);
    }

    #[test]
    fn a_receipt_that_arrived_is_there_until_it_is_taken() {
        let queue = Arc::new(ReceiptQueue::default());
        owed(&queue, 7).send("a".parse().unwrap(), refusal());
        assert!(queue.has_any() && !queue.is_owed());
        assert_eq!(queue.take(&Context::from_waker(Waker::noop())).len(), 1);
        assert!(!queue.has_any());
    }

    #[test]
    fn a_waiter_learns_that_no_receipt_will_come() {
        let (to, mut receipt) = ReceiptTo::waiter();
        drop(to.reserve());
        assert!(receipt.try_recv().is_err());
    }
}
