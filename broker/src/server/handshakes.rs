//! Connections of one worker that have not sent their first request yet.
//!
//! They cost memory before anything is known of who they are, so there is a bound. When it is reached, the one that has
//! waited longest makes room: an honest client needs milliseconds, whoever holds connections open on purpose does not
//! keep it out. During a mass reconnect nobody has waited long, so newcomers wait for their turn instead.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection may take for its first request, whatever the crowd.
const GRACE: Duration = Duration::from_secs(1);

/// Finished entries that may stay in the queue before it is cleared of them.
const FINISHED_MAX: usize = 64;

/// The unfinished hand-shakes of one worker, oldest first.
pub(super) struct Handshakes {
    max: usize,
    grace: Duration,
    queue: RefCell<VecDeque<Rc<Entry>>>,
    unfinished: Cell<usize>,
    /// Rung when one has finished.
    finished: Notify,
}

struct Entry {
    began: Instant,
    is_over: Cell<bool>,
    abort: Rc<Notify>,
}

/// One connection's place among the unfinished. Dropping it says that it has sent a request, or has gone.
pub(super) struct Handshake {
    handshakes: Rc<Handshakes>,
    entry: Rc<Entry>,
}

impl Handshakes {
    /// None yet, and at most `max` at once.
    pub(super) fn new(max: usize) -> Self {
        Self::with_grace(max, GRACE)
    }

    fn with_grace(max: usize, grace: Duration) -> Self {
        Self { max, grace, queue: RefCell::default(), unfinished: Cell::new(0), finished: Notify::new() }
    }

    /// Counts one more, which `abort` ends.
    pub(super) fn begin(self: &Rc<Self>, abort: Rc<Notify>) -> Handshake {
        let entry = Rc::new(Entry { began: Instant::now(), is_over: Cell::new(false), abort });
        let mut queue = self.queue.borrow_mut();
        if queue.len() > 2 * self.unfinished.get() + FINISHED_MAX {
            queue.retain(|entry| !entry.is_over.get());
        }
        queue.push_back(entry.clone());
        self.unfinished.set(self.unfinished.get() + 1);
        Handshake { handshakes: self.clone(), entry }
    }

    /// How many are unfinished.
    pub(super) fn len(&self) -> usize {
        self.unfinished.get()
    }

    /// Whether there is room for one more. `crowded_out` is called if somebody had to go for it.
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

    /// Waits until there may be room: one has finished, or the oldest has had its time.
    pub(super) async fn room(&self) {
        let Some(oldest) = self.oldest() else { return };
        tokio::select! {
            () = self.finished.notified() => {}
            () = tokio::time::sleep_until(oldest.began + self.grace) => {}
        }
    }

    fn oldest(&self) -> Option<Rc<Entry>> {
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|entry| entry.is_over.get()) {
            queue.pop_front();
        }
        queue.front().cloned()
    }

    fn end(&self, entry: &Entry) {
        if !entry.is_over.replace(true) {
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
        assert!(!handshakes.make_room(|| panic!("nobody had their time yet")));
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
