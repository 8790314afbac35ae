//! The index of all topics: found by name, by any thread, each under the lock of its shard only.
//!
//! A topic's name is in the topic itself and not a second time in the index. This file does not know what a topic is for.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

use super::topic::TopicState;

/// The number of shards. Many, so that walking over one holds its lock briefly.
const SHARDS: usize = 256;

/// The free entries of a shard that are kept even if all are empty.
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

    /// Returns the topic of this name.
    pub(super) fn find(&self, name: &Topic) -> Option<Arc<TopicState>> {
        self.0.get(name).map(|indexed| indexed.key().0.clone())
    }

    /// Returns the topic that has the name of `new`, or `new` itself. Then `begin` is called first, under the lock of the shard:
    /// what it reads cannot be older than the removal of an earlier topic of the name.
    ///
    /// # Errors
    /// What `begin` returns; then `new` is not added.
    pub(super) fn find_or_add<E>(
        &self,
        new: TopicState,
        begin: impl FnOnce(&TopicState) -> Result<(), E>,
    ) -> Result<Arc<TopicState>, E> {
        match self.0.entry(Indexed(Arc::new(new))) {
            Entry::Occupied(found) => Ok(found.key().0.clone()),
            Entry::Vacant(entry) => {
                let added = entry.key().0.clone();
                begin(&added)?;
                entry.insert(());
                Ok(added)
            }
        }
    }

    /// Calls `visit` with every topic, under the locks of the shards in turn.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Arc<TopicState>)) {
        for indexed in self.0.iter() {
            visit(&indexed.key().0);
        }
    }

    /// Returns the memory of removed topics to the allocator once most entries are free. Locks one shard after the other.
    pub(super) fn shrink(&self) {
        if self.0.capacity() / 4 > self.0.len() + SHARDS * SPARE_PLACES {
            self.0.shrink_to_fit();
        }
    }

    /// Returns the number of topics there is room for.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.0.capacity()
    }

    /// Removes every topic, as if the broker had just started.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Removes the topic of this name if `retires` returns `true`, under the lock of the shard. Returns whether it was removed.
    pub(super) fn remove_if(&self, name: &Topic, mut retires: impl FnMut(&TopicState) -> bool) -> bool {
        self.0.remove_if(name, |indexed, ()| retires(&indexed.0)).is_some()
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

    use super::*;

    fn topic(name: &str) -> TopicState {
        TopicState::new(name.parse().unwrap(), Arc::new(TopicPolicy::DEFAULT))
    }

    fn add(index: &TopicIndex, name: &str) -> Arc<TopicState> {
        index.find_or_add(topic(name), |_| Ok::<(), ()>(())).unwrap()
    }

    #[test]
    fn a_topic_is_added_once_and_found_by_its_name() {
        let index = TopicIndex::new();
        let name: Topic = "a.b".parse().unwrap();
        assert!(index.find(&name).is_none());
        assert_eq!(index.find_or_add(topic("a.b"), |_| Err(())).err(), Some(()));
        assert!(index.find(&name).is_none(), "what is refused is not added");
        let first = add(&index, "a.b");
        let again = index.find_or_add(topic("a.b"), |_| Err(())).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(Arc::ptr_eq(&first, &index.find(&name).unwrap()));
        let mut seen = Vec::new();
        index.for_each(|topic| seen.push(topic.name().to_string()));
        assert_eq!(seen, ["a.b"]);
        assert!(!index.remove_if(&name, |_| false));
        assert!(index.remove_if(&name, |_| true));
        assert!(index.find(&name).is_none());
    }

    #[test]
    fn the_memory_of_many_removed_topics_is_returned() {
        let index = TopicIndex::new();
        let names: Vec<Topic> = (0..50_000).map(|number| format!("t.{number}").parse().unwrap()).collect();
        for name in &names {
            add(&index, name.as_str());
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
