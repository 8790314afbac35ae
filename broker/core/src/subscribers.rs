//! The subscribers of one worker, by topic and by pattern.
//!
//! This file owns the lists that fan-out walks. It does not know what is delivered.

use std::collections::HashMap;

use fanwire_protocol::{Pattern, Topic};
use foldhash::fast::RandomState;

use crate::format::Format;
use crate::pattern_tree::PatternTree;

/// The key of a session within its worker. A key is used again after its session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u32);

/// The key of a subscription within its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriptionKey(u32);

/// A session that is subscribed to a topic or pattern.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber {
    /// The session whose outbox receives the deliveries.
    pub session: SessionKey,
    /// The format in which they are written.
    pub format: &'static Format,
    /// The head of the topic at the moment of joining: the session has received everything up to there. Zero for patterns, which have
    /// no common position.
    pub after: u64,
    /// Orders the overlapping subscriptions of one session, see [`Subscriber::rank`].
    rank: u64,
    subscription: SubscriptionKey,
}

/// The bit of a rank that is set until the session has resumed the topic.
const NOT_RESUMED: u64 = 1 << 63;

impl Subscriber {
    /// Returns the order among overlapping subscriptions of one session; the lowest serves it. A subscription that resumed
    /// the topic comes first: what it has been given up to `after` must not come again. Then the oldest comes first.
    pub fn rank(&self) -> u64 {
        self.rank
    }
}

/// All subscribers of one worker. Joining and leaving take constant time; the subscribers of a topic lie side by side in memory.
#[derive(Debug, Default)]
pub struct Subscribers {
    topics: HashMap<Topic, Vec<Subscriber>, RandomState>,
    patterns: PatternTree<Vec<Subscriber>>,
    /// The index of each subscription in its list, by subscription key.
    places: Vec<usize>,
    vacant: Vec<SubscriptionKey>,
    joins: u64,
}

impl Subscribers {
    /// Adds a subscriber to `pattern`, which may be a plain topic, and returns the key to remove it with.
    pub fn join(
        &mut self,
        pattern: &Pattern,
        session: SessionKey,
        format: &'static Format,
        after: u64,
    ) -> SubscriptionKey {
        self.add(pattern, session, format, (after, false))
    }

    /// Adds a subscriber to `topic` that is still receiving what it missed. Nothing else of the topic is delivered to it until
    /// [`Subscribers::deliver_after`].
    pub fn join_held(
        &mut self,
        topic: &Pattern,
        session: SessionKey,
        format: &'static Format,
    ) -> SubscriptionKey {
        self.add(topic, session, format, (u64::MAX, true))
    }

    /// Begins to deliver what is published after offset `after` to a subscriber that has received everything up to there.
    pub fn deliver_after(&mut self, topic: &Pattern, subscription: SubscriptionKey, after: u64) {
        let place = self.places[subscription.0 as usize];
        let subscribers = topic.to_topic().and_then(|topic| self.topics.get_mut(&topic));
        if let Some(subscriber) = subscribers.and_then(|subscribers| subscribers.get_mut(place)) {
            subscriber.after = after;
            subscriber.rank &= !NOT_RESUMED;
        }
    }

    fn add(
        &mut self,
        pattern: &Pattern,
        session: SessionKey,
        format: &'static Format,
        (after, resumed): (u64, bool),
    ) -> SubscriptionKey {
        let subscription = self.vacant.pop().unwrap_or_else(|| {
            let key = SubscriptionKey(
                u32::try_from(self.places.len()).expect("a worker has fewer than 2^32 sessions"),
            );
            self.places.push(0);
            key
        });
        let subscribers = match pattern.to_topic() {
            Some(topic) => self.topics.entry(topic).or_default(),
            None => self.patterns.entry(pattern, Vec::new),
        };
        self.places[subscription.0 as usize] = subscribers.len();
        self.joins += 1;
        let rank = if resumed { self.joins } else { self.joins | NOT_RESUMED };
        subscribers.push(Subscriber { session, format, after, rank, subscription });
        subscription
    }

    /// Removes the subscriber that [`Subscribers::join`] added under `pattern` and returned `subscription` for.
    pub fn leave(&mut self, pattern: &Pattern, subscription: SubscriptionKey) {
        let topic = pattern.to_topic();
        let subscribers = match &topic {
            Some(topic) => self.topics.get_mut(topic),
            None => self.patterns.get_mut(pattern),
        };
        let Some(subscribers) = subscribers else { return };
        let place = self.places[subscription.0 as usize];
        subscribers.swap_remove(place);
        if let Some(moved) = subscribers.get(place) {
            self.places[moved.subscription.0 as usize] = place;
        }
        self.vacant.push(subscription);
        if subscribers.is_empty() {
            match &topic {
                Some(topic) => drop(self.topics.remove(topic)),
                None => drop(self.patterns.remove(pattern)),
            }
        }
    }

    /// Returns the subscribers of exactly this topic.
    pub fn of_topic(&self, topic: &Topic) -> &[Subscriber] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }

    /// Calls `visit` with the subscribers of every pattern that matches `topic`.
    pub fn of_patterns<'a>(&'a self, topic: &Topic, mut visit: impl FnMut(&'a [Subscriber])) {
        self.patterns.for_each_match(topic, |subscribers| visit(subscribers));
    }

    /// Returns the number of subscriptions.
    pub fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Returns whether there is no subscriber.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::PLAIN;

    fn sessions(subscribers: &[Subscriber]) -> Vec<u32> {
        let mut sessions: Vec<u32> = subscribers.iter().map(|subscriber| subscriber.session.0).collect();
        sessions.sort_unstable();
        sessions
    }

    #[test]
    fn subscribers_leave_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            for name in ["a.b", "a.*"] {
                let pattern: Pattern = name.parse().unwrap();
                let topic: Topic = "a.b".parse().unwrap();
                let mut subscribers = Subscribers::default();
                let keys: Vec<_> =
                    (0..3).map(|key| subscribers.join(&pattern, SessionKey(key), &PLAIN, 0)).collect();
                let mut left: Vec<u32> = vec![0, 1, 2];
                for leaving in order {
                    subscribers.leave(&pattern, keys[leaving as usize]);
                    left.retain(|session| *session != leaving);
                    let mut found = sessions(subscribers.of_topic(&topic));
                    subscribers.of_patterns(&topic, |subscribers| found.extend(sessions(subscribers)));
                    assert_eq!(found, left, "{name} {order:?}");
                }
                assert!(subscribers.is_empty());
                assert!(
                    subscribers.topics.is_empty() && subscribers.patterns.is_empty(),
                    "nothing stays behind"
                );
            }
        }
    }
}
