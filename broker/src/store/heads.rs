//! A cache of numberings, so that a publication costs no look-up. It is bounded and holds only what is in the database:
//! after a failed commit it is emptied.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use fanwire_protocol::{Epoch, Topic};
use foldhash::fast::RandomState;
use rusqlite::{Connection, params};

use super::error::StoreError;
use super::numbering::{Numbering, Point};
use super::row::TOPIC_ID_MAX;

/// The maximum number of topics in the cache. A topic that was dropped from it costs two look-ups when it is used again.
const TOPICS_MAX: usize = 65_536;

/// The number of attempts to find a free id when no new ones are left. Even with half of all ids in use they suffice for
/// the lifetime of a broker.
const FREE_ID_ATTEMPTS: u32 = 64;

/// Numberings in two generations: when the younger is full, the elder is dropped with all that was not used since. So a
/// use needs no bookkeeping.
#[derive(Default)]
pub(super) struct Heads {
    young: HashMap<Topic, Numbering, RandomState>,
    old: HashMap<Topic, Numbering, RandomState>,
}

impl Heads {
    /// Returns the numbering of `topic`, if the topic is known.
    pub(super) fn find(
        &mut self,
        connection: &Connection,
        topic: &Topic,
    ) -> Result<Option<&mut Numbering>, StoreError> {
        if !self.young.contains_key(topic) {
            let found = match self.old.remove(topic) {
                Some(numbering) => Some(numbering),
                None => Numbering::load(connection, topic)?,
            };
            let Some(numbering) = found else { return Ok(None) };
            self.insert(topic.clone(), numbering);
        }
        Ok(self.young.get_mut(topic))
    }

    /// Returns the numbering of `topic`; a topic that is not known is created under `epoch`.
    pub(super) fn find_or_create(
        &mut self,
        connection: &Connection,
        topic: &Topic,
        epoch: Epoch,
    ) -> Result<&mut Numbering, StoreError> {
        if self.find(connection, topic)?.is_none() {
            let mut create = connection.prepare_cached("INSERT INTO topics(name, epoch) VALUES(?1, ?2)")?;
            let mut id = create.insert(params![topic.as_str(), epoch.number() as i64])?;
            if id > TOPIC_ID_MAX {
                id = move_to_free_id(connection, topic, id)?;
            }
            let (head, floor) = (Point::default(), Point::default());
            self.insert(topic.clone(), Numbering { id, epoch, head, floor });
        }
        self.young.get_mut(topic).ok_or_else(|| StoreError::damaged("a topic that was just created is gone"))
    }

    /// Drops one topic from the cache.
    pub(super) fn remove(&mut self, topic: &Topic) {
        self.young.remove(topic);
        self.old.remove(topic);
    }

    /// Empties the cache, because it may contain what was not committed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, topic: Topic, numbering: Numbering) {
        if self.young.len() >= TOPICS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(topic, numbering);
    }
}

/// Moves the topic that was just created as `id` to an id that is free again, once ids have been counted up to the last.
fn move_to_free_id(connection: &Connection, topic: &Topic, id: i64) -> Result<i64, StoreError> {
    let mut take = connection.prepare_cached(
        "UPDATE topics SET id = ?2 WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM topics WHERE id = ?2)
             AND NOT EXISTS (SELECT 1 FROM forgotten WHERE topic = ?2)",
    )?;
    for attempt in 0..FREE_ID_ATTEMPTS {
        let mut hasher = DefaultHasher::new();
        (topic, attempt).hash(&mut hasher);
        let candidate = (hasher.finish() % TOPIC_ID_MAX as u64) as i64 + 1;
        if take.execute([id, candidate])? == 1 {
            return Ok(candidate);
        }
    }
    connection.prepare_cached("DELETE FROM topics WHERE id = ?1")?.execute([id])?;
    Err(StoreError::TooManyTopics)
}
