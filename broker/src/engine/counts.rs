//! The number of subscribers of a channel, as its subscribers receive it where the app asks for that.
//!
//! A small channel announces every change. A large one announces at most one in five seconds, or a crowd that comes and goes would
//! cost more than its events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_core::notice::Notice;
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

use super::observer::Observer;
use super::topic::Locked;
use super::topics::Topics;
use crate::clock;

/// The number of subscribers up to which every change is announced.
const SMALL_MAX: u64 = 100;

/// The time for which the changes of a large channel are gathered, in milliseconds.
const GATHER_MS: u64 = 5000;

/// The channels whose number will be announced, each with the time. Such a channel has subscribers, so this is bounded with them.
pub(super) struct SubscriberCounts {
    due_ms: Mutex<HashMap<Topic, u64, RandomState>>,
    observer: Option<Arc<dyn Observer>>,
}

impl SubscriberCounts {
    /// No channel waits. `observer` learns of every announcement.
    pub(super) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self { due_ms: Mutex::default(), observer }
    }

    /// Notes that the number of subscribers of a topic has changed.
    pub(super) fn changed(&self, topics: &Topics, locked: &mut Locked<'_>, name: &Topic) {
        if !topics.rules().counts_subscribers_of(name) {
            return;
        }
        if locked.subscribers() <= SMALL_MAX {
            return self.announce(topics, locked, name);
        }
        self.lock().entry(name.clone()).or_insert_with(|| clock::monotonic_ms() + GATHER_MS);
    }

    /// Announces the numbers that are due at `now_ms`.
    pub(super) fn announce_due(&self, topics: &Topics, now_ms: u64) {
        let due: Vec<Topic> =
            self.lock().extract_if(|_, due_ms| *due_ms <= now_ms).map(|(name, _)| name).collect();
        for name in due {
            topics.with_existing(&name, |locked, state| self.announce(topics, locked, state.name()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, u64, RandomState>> {
        // No code under this lock leaves the table inconsistent, so a poisoned lock can be used.
        self.due_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, topics: &Topics, locked: &mut Locked<'_>, name: &Topic) {
        locked.refresh_patterns(name, topics.patterns());
        let count = locked.subscribers() - locked.pattern_subscribers();
        if let Some(observer) = &self.observer {
            observer.counted(name, count);
        }
        let notice = Arc::new(Notice::of_subscribers(name.clone(), count, locked.policy().slow));
        for inbox in locked.subscribed_inboxes(topics.inboxes()) {
            inbox.push_notice(notice.clone());
        }
    }
}
