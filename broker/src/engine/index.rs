//! The index of all topics: found by name, by any thread, each under the lock of its shard only.
//!
//! A topic's name stands in the topic itself and not a second time in the index. Does not know what a topic is for.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

use super::topic::TopicState;

/// Shards of the index. Many, so that walking over one to tidy it up is short.
const SHARDS: usize = 256;

/// Places of a shard that are kept even if all are empty.
const SPARE_PLACES: usize = 32;

/// All topics of the broker.
pub(super) struct TopicIndex(DashMap<Indexed, (), RandomState>);

/// A topic under its name.
struct Indexed(Arc<TopicState>);

impl TopicIndex {
    /// An index without topics.
    pub(super) fn new() -> Self {
        Self(DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS))
    }

    /// The topic of this name.
    pub(super) fn find(&self, name: &Topic) -> Option<Arc<TopicState>> {
        self.0.get(name).map(|indexed| indexed.key().0.clone())
    }

    /// The topic that is there under the name of `new`, or `new` itself, for which `admit` is called under the lock of the
    /// shard before anybody can find it.
    pub(super) fn find_or_add(&self, new: TopicState, admit: impl FnOnce(&TopicState)) -> Arc<TopicState> {
        match self.0.entry(Indexed(Arc::new(new))) {
            Entry::Occupied(there) => there.key().0.clone(),
            Entry::Vacant(place) => {
                let added = place.key().0.clone();
                admit(&added);
                place.insert(());
                added
            }
        }
    }

    /// Calls `visit` with every topic, under the locks of the shards in turn.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Arc<TopicState>)) {
        for indexed in self.0.iter() {
            visit(&indexed.key().0);
        }
    }

    /// Gives back the room of topics that are gone, once most of it is empty. Locks one shard after the other.
    pub(super) fn shrink(&self) {
        if self.0.capacity() / 4 > self.0.len() + SHARDS * SPARE_PLACES {
            self.0.shrink_to_fit();
        }
    }

    /// How many topics there is room for.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.0.capacity()
    }

    /// Forgets every topic, as if the broker had just begun.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Removes the topic of this name if `is_over` says so, under the lock of the shard. Returns whether it did.
    pub(super) fn remove_if(&self, name: &Topic, mut is_over: impl FnMut(&TopicState) -> bool) -> bool {
        self.0.remove_if(name, |indexed, ()| is_over(&indexed.0)).is_some()
    }
}

impl Borrow<Topic> for Indexed {
    fn borrow(&self) -> &Topic {
        self.0.name()
    }
}

impl Hash for Indexed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl PartialEq for Indexed {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Indexed {}

#[cfg(test)]
mod tests {
    use fanwire_core::rules::TopicPolicy;
    use fanwire_protocol::Epoch;

    use super::*;

    fn topic(name: &str, epoch: u64) -> TopicState {
        let policy = Arc::new(TopicPolicy::DEFAULT);
        TopicState::new(name.parse().unwrap(), Epoch::from_random(epoch), policy)
    }

    #[test]
    fn a_topic_is_added_once_and_found_by_its_name() {
        let index = TopicIndex::new();
        let name: Topic = "a.b".parse().unwrap();
        assert!(index.find(&name).is_none());
        let mut admitted = 0;
        let first = index.find_or_add(topic("a.b", 1), |_| admitted += 1);
        let again = index.find_or_add(topic("a.b", 2), |_| admitted += 1);
        assert!(Arc::ptr_eq(&first, &again));
        assert!(Arc::ptr_eq(&first, &index.find(&name).unwrap()));
        assert_eq!(admitted, 1);
        let mut seen = Vec::new();
        index.for_each(|topic| seen.push(topic.name().to_string()));
        assert_eq!(seen, ["a.b"]);
        assert!(!index.remove_if(&name, |_| false));
        assert!(index.remove_if(&name, |_| true));
        assert!(index.find(&name).is_none());
    }

    #[test]
    fn the_room_of_many_topics_that_are_gone_is_given_back() {
        let index = TopicIndex::new();
        let names: Vec<Topic> = (0..50_000).map(|number| format!("t.{number}").parse().unwrap()).collect();
        for name in &names {
            index.find_or_add(topic(name.as_str(), 1), |_| ());
        }
        let full = index.room();
        index.shrink();
        assert_eq!(index.room(), full, "a full index keeps its room");
        for name in &names[10..] {
            assert!(index.remove_if(name, |_| true));
        }
        index.shrink();
        assert!(index.room() < full / 4, "{} of {full}", index.room());
        assert!(names[..10].iter().all(|name| index.find(name).is_some()));
    }
}
