//! The connections of one worker that have not sent their first request yet.
//!
//! They use memory before the broker knows their clients, so their number is bounded. At the bound, the connection that has waited longest
//! is closed: an honest client needs milliseconds, and connections that are held open on purpose do not keep it out. During a
//! mass reconnect no connection has waited long, so new connections wait instead.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The time that every connection has for its first request, however many others wait.
const GRACE: Duration = Duration::from_secs(1);

/// The maximum number of finished entries in the queue before they are removed.
const FINISHED_MAX: usize = 64;

/// The unfinished handshakes of one worker, oldest first.
pub(super) struct Handshakes {
    max: usize,
    grace: Duration,
    queue: RefCell<VecDeque<Rc<Entry>>>,
    unfinished: Cell<usize>,
    /// Notified when a handshake has finished.
    finished: Notify,
}

struct Entry {
    began: Instant,
    is_finished: Cell<bool>,
    abort: Rc<Notify>,
}

/// The entry of one connection. Dropping it notes that the connection has sent a request, or has ended.
pub(super) struct Handshake {
    handshakes: Rc<Handshakes>,
    entry: Rc<Entry>,
}

impl Handshakes {
    /// Creates an empty queue for at most `max` handshakes.
    pub(super) fn new(max: usize) -> Self {
        Self::with_grace(max, GRACE)
    }

    fn with_grace(max: usize, grace: Duration) -> Self {
        Self { max, grace, queue: RefCell::default(), unfinished: Cell::new(0), finished: Notify::new() }
    }

    /// Adds a connection, which `abort` ends.
    pub(super) fn begin(self: &Rc<Self>, abort: Rc<Notify>) -> Handshake {
        let entry = Rc::new(Entry { began: Instant::now(), is_finished: Cell::new(false), abort });
        let mut queue = self.queue.borrow_mut();
        if queue.len() > 2 * self.unfinished.get() + FINISHED_MAX {
            queue.retain(|entry| !entry.is_finished.get());
        }
        queue.push_back(entry.clone());
        self.unfinished.set(self.unfinished.get() + 1);
        Handshake { handshakes: self.clone(), entry }
    }

    /// Returns the number of unfinished handshakes.
    pub(super) fn len(&self) -> usize {
        self.unfinished.get()
    }

    /// Returns whether there is room for one more. Calls `crowded_out` if a connection was closed for it.
    pub(super) fn make_room(&self, crowded_out: impl FnOnce()) -> bool {
        if self.unfinished.get() < self.max {
            return true;
        }
        let Some(oldest) = self.oldest().filter(|oldest| oldest.began.elapsed() >= self.grace) else {
            return false;
        };
        self.end(&oldest);
        oldest.abort.notify_one();
        crowded_out();
        true
    }

    /// Waits until there may be room: a handshake has finished, or the oldest has had its time.
    pub(super) async fn room(&self) {
        let Some(oldest) = self.oldest() else { return };
        tokio::select! {
            () = self.finished.notified() => {}
            () = tokio::time::sleep_until(oldest.began + self.grace) => {}
        }
    }

    fn oldest(&self) -> Option<Rc<Entry>> {
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|entry| entry.is_finished.get()) {
            queue.pop_front();
        }
        queue.front().cloned()
    }

    fn end(&self, entry: &Entry) {
        if !entry.is_finished.replace(true) {
            self.unfinished.set(self.unfinished.get() - 1);
            self.finished.notify_one();
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.handshakes.end(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room_but_only_after_its_time() {
        let grace = Duration::from_millis(30);
        let handshakes = Rc::new(Handshakes::with_grace(2, grace));
        let bells: Vec<Rc<Notify>> = (0..3).map(|_| Rc::default()).collect();
        let first = handshakes.begin(bells[0].clone());
        let _second = handshakes.begin(bells[1].clone());
        assert!(!handshakes.make_room(|| panic!("no connection had its time yet")));
        handshakes.room().await;
        let mut gone = 0;
        assert!(handshakes.make_room(|| gone += 1));
        bells[0].notified().await;
        assert_eq!((gone, handshakes.len()), (1, 1));
        drop(first);
        assert_eq!(handshakes.len(), 1, "it does not count twice that it went");
        let third = handshakes.begin(bells[2].clone());
        drop(third);
        assert!(handshakes.make_room(|| panic!("there is room")));
    }

    #[tokio::test]
    async fn finishing_makes_room_at_once() {
        let handshakes = Rc::new(Handshakes::new(1));
        let held = handshakes.begin(Rc::default());
        assert!(!handshakes.make_room(|| ()));
        drop(held);
        handshakes.room().await;
        assert!(handshakes.make_room(|| panic!("there is room")));
    }

    #[test]
    fn the_queue_does_not_grow_with_what_has_finished() {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let handshakes = Rc::new(Handshakes::new(10));
            let _slow = handshakes.begin(Rc::default());
            for _ in 0..10_000 {
                drop(handshakes.begin(Rc::default()));
            }
            assert!(handshakes.queue.borrow().len() <= 2 * 2 + FINISHED_MAX + 1);
        });
    }
}
