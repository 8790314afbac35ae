//! Epochs: which one a topic begins with.
//!
//! A topic that does not exist has an epoch already: the one it will begin with. So a client that reads it receives a position from
//! which it can resume once the topic exists, and reading creates nothing. A topic that is removed after it had publications
//! begins again under another epoch, so its old positions are never mistaken for new ones.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

use fanwire_protocol::{Epoch, Topic};

/// The number of generations. Topics that share one get new epochs together, which costs a topic without publications its position
/// and nothing else.
const GENERATIONS: usize = 16_384;

/// The epochs of all topics, drawn from a seed that every start of the broker draws anew.
pub(super) struct Epochs {
    seed: RandomState,
    generations: Box<[AtomicU32]>,
    /// The time at which the broker started, in milliseconds since 1970.
    started_ts: u64,
}

impl Epochs {
    /// Draws a seed. `started_ts` is the present time in milliseconds since 1970.
    pub(super) fn new(started_ts: u64) -> Self {
        let generations = (0..GENERATIONS).map(|_| AtomicU32::new(0)).collect();
        Self { seed: RandomState::new(), generations, started_ts }
    }

    /// Returns the epoch with which `topic` begins if it is created at `now_ts`, and since when nothing of it can be missing: since
    /// the broker started, if it never had publications.
    pub(super) fn of(&self, topic: &Topic, now_ts: u64) -> (Epoch, u64) {
        let generation = self.generation_of(topic).load(Ordering::Acquire);
        let epoch = Epoch::from_random(self.seed.hash_one((topic.as_str(), generation)) >> 16);
        (epoch, if generation == 0 { self.started_ts } else { now_ts })
    }

    /// Lets `topic` begin under another epoch. Called before the topic is removed from the index, under the lock of its shard.
    pub(super) fn renew(&self, topic: &Topic) {
        self.generation_of(topic).fetch_add(1, Ordering::AcqRel);
    }

    fn generation_of(&self, topic: &Topic) -> &AtomicU32 {
        &self.generations[self.seed.hash_one(topic.as_str()) as usize % GENERATIONS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_its_epoch_until_it_is_renewed() {
        let (epochs, topic) = (Epochs::new(5), "a".parse().unwrap());
        let first = epochs.of(&topic, 10);
        assert_eq!(epochs.of(&topic, 20), first);
        assert_eq!(first.1, 5);
        assert_ne!(epochs.of(&"b".parse().unwrap(), 10).0, first.0);
        epochs.renew(&topic);
        assert_ne!(epochs.of(&topic, 10).0, first.0);
        assert_eq!(epochs.of(&topic, 20).1, 20, "what it had before is not known");
        assert_ne!(
            Epochs::new(5).of(&topic, 10).0,
            epochs.of(&topic, 10).0,
            "another start has another seed"
        );
    }
}
