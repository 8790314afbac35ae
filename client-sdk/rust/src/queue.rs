//! The bounded queue between the connection and one subscription's reader.
//!
//! Bounded in bytes, not in messages: a message is between a few bytes and a megabyte. The queue only says that it is
//! full; what to do then is decided by [`crate::driver`] (stop reading the socket, then pause the subscription).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::event::Event;

/// The default size of the queue of one subscription, in bytes.
pub(crate) const SUBSCRIPTION_BUFFER_BYTES: u32 = 4 << 20;

/// The charge of every event on top of its payload, in bytes, so that empty messages do not count for nothing.
const EVENT_BYTES: usize = 256;

/// The end of the queue that the connection writes to.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    events: mpsc::UnboundedSender<Queued>,
    shared: Arc<Shared>,
}

/// The end of the queue that the application reads from.
#[derive(Debug)]
pub(crate) struct Receiver {
    events: mpsc::UnboundedReceiver<Queued>,
    shared: Arc<Shared>,
    /// Told when the reader is gone, and when a paused subscription has room again.
    attention: Arc<Notify>,
}

#[derive(Debug)]
struct Shared {
    capacity: u32,
    room: Arc<Semaphore>,
    paused: AtomicBool,
}

/// An event and the room it takes until it is read. The channel itself needs no bound: every event but a last one
/// holds a permit.
#[derive(Debug)]
struct Queued {
    event: Event,
    _room: Option<OwnedSemaphorePermit>,
}

/// The outcome of adding an event.
#[derive(Debug)]
pub(crate) enum Pushed {
    Done,
    /// There is no room; here is the event back.
    Full(Event),
    /// The reader is gone.
    Closed,
}

/// Makes a queue of `capacity` bytes.
pub(crate) fn queue(capacity: u32, attention: Arc<Notify>) -> (Sender, Receiver) {
    let capacity = capacity.max(EVENT_BYTES as u32);
    let room = Arc::new(Semaphore::new(capacity as usize));
    let shared = Arc::new(Shared { capacity, room, paused: AtomicBool::new(false) });
    let (sender, receiver) = mpsc::unbounded_channel();
    (Sender { events: sender, shared: shared.clone() }, Receiver { events: receiver, shared, attention })
}

impl Sender {
    pub(crate) fn try_push(&self, event: Event) -> Pushed {
        if self.is_closed() {
            return Pushed::Closed;
        }
        let cost = self.cost(&event);
        let Ok(room) = self.shared.room.clone().try_acquire_many_owned(cost) else {
            return Pushed::Full(event);
        };
        match self.events.send(Queued { event, _room: Some(room) }) {
            Ok(()) => Pushed::Done,
            Err(_) => Pushed::Closed,
        }
    }

    /// Pushes whether there is room or not: for what may be said at most a few times in a subscription's life.
    pub(crate) fn push_last(&self, event: Event) {
        // The reader may be gone, and then has no use for a last word.
        let _ = self.events.send(Queued { event, _room: None });
    }

    /// Returns once there is room for the event, or the reader is gone.
    pub(crate) async fn wait_for_room(&self, cost: u32) {
        // Only the connection's one task pushes, so what is free now still is when it pushes next.
        drop(self.shared.room.acquire_many(cost).await);
    }

    /// Returns the charge of `event`, in bytes: at most the whole capacity, so that one large message always fits an empty queue.
    pub(crate) fn cost(&self, event: &Event) -> u32 {
        let payload = match event {
            Event::Message(message) => message.payload.len(),
            _ => 0,
        };
        u32::try_from(payload.saturating_add(EVENT_BYTES)).unwrap_or(u32::MAX).min(self.shared.capacity)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Requests that the reader wakes the sender once [`Sender::is_half_empty`].
    pub(crate) fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::SeqCst);
    }

    pub(crate) fn is_half_empty(&self) -> bool {
        self.shared.is_half_empty()
    }
}

impl Shared {
    fn is_half_empty(&self) -> bool {
        self.room.available_permits() >= self.capacity as usize / 2
    }
}

impl Receiver {
    /// The next event; `None` once the connection let go of its end and everything was read.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let queued = std::task::ready!(self.events.poll_recv(context));
        // Taking the event apart gives its room back, before the question whether there is enough.
        let event = queued.map(|Queued { event, _room }| event);
        if self.shared.paused.load(Ordering::SeqCst) && self.shared.is_half_empty() {
            self.attention.notify_one();
        }
        Poll::Ready(event)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.events.close();
        self.attention.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Message, Payload};

    use super::*;

    fn message(bytes: usize) -> Event {
        let payload = Payload::binary(vec![0; bytes]);
        let topic = "a".parse().unwrap();
        Event::Message(Message { topic, payload, position: None, ts: None, from: None })
    }

    async fn next(receiver: &mut Receiver) -> Option<Event> {
        std::future::poll_fn(|context| receiver.poll_next(context)).await
    }

    #[tokio::test]
    async fn a_queue_holds_its_bytes_and_no_more() {
        let (sender, mut receiver) = queue(1024, Arc::default());
        assert!(matches!(sender.try_push(message(256)), Pushed::Done));
        assert!(matches!(sender.try_push(message(256)), Pushed::Done));
        assert!(matches!(sender.try_push(message(0)), Pushed::Full(_)));
        assert!(next(&mut receiver).await.is_some());
        assert!(matches!(sender.try_push(message(0)), Pushed::Done));
    }

    #[tokio::test]
    async fn a_message_larger_than_the_queue_fits_when_it_is_empty() {
        let (sender, mut receiver) = queue(1024, Arc::default());
        assert!(matches!(sender.try_push(message(100_000)), Pushed::Done));
        assert!(matches!(sender.try_push(message(0)), Pushed::Full(_)));
        next(&mut receiver).await;
        assert!(matches!(sender.try_push(message(0)), Pushed::Done));
    }

    #[tokio::test]
    async fn reading_makes_room_for_a_waiting_sender() {
        let (sender, mut receiver) = queue(1024, Arc::default());
        let full = message(1024);
        let cost = sender.cost(&full);
        assert!(matches!(sender.try_push(full), Pushed::Done));
        let ((), event) = tokio::join!(sender.wait_for_room(cost), next(&mut receiver));
        assert!(event.is_some());
        assert!(matches!(sender.try_push(message(1024)), Pushed::Done));
    }

    #[tokio::test]
    async fn a_paused_reader_calls_for_attention_when_half_is_read() {
        let attention: Arc<Notify> = Arc::default();
        let (sender, mut receiver) = queue(1024, attention.clone());
        for _ in 0..4 {
            assert!(matches!(sender.try_push(message(0)), Pushed::Done));
        }
        sender.set_paused(true);
        next(&mut receiver).await;
        assert!(!sender.is_half_empty());
        next(&mut receiver).await;
        assert!(sender.is_half_empty());
        attention.notified().await;
    }

    #[tokio::test]
    async fn a_reader_that_leaves_frees_the_sender() {
        let attention: Arc<Notify> = Arc::default();
        let (sender, receiver) = queue(1024, attention.clone());
        assert!(matches!(sender.try_push(message(1024)), Pushed::Done));
        let waiting = sender.wait_for_room(1024);
        drop(receiver);
        waiting.await;
        attention.notified().await;
        assert!(sender.is_closed());
        assert!(matches!(sender.try_push(message(0)), Pushed::Closed));
    }

    #[tokio::test]
    async fn the_last_word_needs_no_room_and_the_end_follows_it() {
        let (sender, mut receiver) = queue(1024, Arc::default());
        assert!(matches!(sender.try_push(message(1024)), Pushed::Done));
        sender.push_last(Event::Ended(crate::error::Error::Closed));
        drop(sender);
        assert!(matches!(next(&mut receiver).await, Some(Event::Message(_))));
        assert!(matches!(next(&mut receiver).await, Some(Event::Ended(_))));
        assert!(next(&mut receiver).await.is_none());
    }
}
