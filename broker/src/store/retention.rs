//! Retention: deleting what topics need not keep, a few rows with every group, so that no publish waits for it long.
//!
//! What readers may see does not depend on how far deleting has come: they apply [`Keep`] themselves.

use std::collections::{HashMap, VecDeque};

use fanwire_protocol::Topic;
use rusqlite::{Connection, OptionalExtension, params};

use super::heads::Heads;
use super::numbering::Numbering;
use super::{KEY_TTL_MS, Keep, StoreError, row};

/// A topic may hold an eighth more than its rule says, within these numbers of publications, before its own appends
/// have it trimmed: deleting many rows at once costs less than deleting one with each append.
const SLACK_MESSAGES: std::ops::RangeInclusive<u64> = 64..=8_192;

/// The same slack in bytes, at least.
const SLACK_BYTES: u64 = 64 * 1024;

/// What is still to be deleted. Lost on restart, and asked for again by the next append or trim.
#[derive(Default)]
pub(super) struct Retention {
    topics: HashMap<Topic, Keep>,
    order: VecDeque<Topic>,
    /// Keys accepted up to then have had their time; in milliseconds since 1970.
    keys_until: Option<u64>,
    has_forgotten: bool,
}

/// Whether a topic holds so much more than `keep` allows that it ought to be trimmed.
pub(super) fn is_due(numbering: &Numbering, keep: &Keep) -> bool {
    let messages_slack = (keep.messages / 8).clamp(*SLACK_MESSAGES.start(), *SLACK_MESSAGES.end());
    let bytes_slack = (keep.bytes / 8).max(SLACK_BYTES);
    numbering.head.offset - numbering.floor.offset > keep.messages.saturating_add(messages_slack)
        || numbering.head.total - numbering.floor.total > keep.bytes.saturating_add(bytes_slack)
}

impl Retention {
    /// Nothing to do but what an earlier run may have left.
    pub(super) fn new() -> Self {
        Self { has_forgotten: true, ..Self::default() }
    }

    /// Whether there is nothing to delete.
    pub(super) fn is_done(&self) -> bool {
        self.order.is_empty() && self.keys_until.is_none() && !self.has_forgotten
    }

    /// Trims `topic` when its turn comes.
    pub(super) fn trim(&mut self, topic: &Topic, keep: Keep) {
        if self.topics.insert(topic.clone(), keep).is_none() {
            self.order.push_back(topic.clone());
        }
    }

    /// Deletes the keys whose time is up at `now`, in milliseconds since 1970.
    pub(super) fn forget_keys(&mut self, now: u64) {
        self.keys_until = Some(now);
    }

    /// Takes the topic out of sight at once; its rows and keys are deleted in time.
    pub(super) fn forget(
        &mut self,
        connection: &Connection,
        heads: &mut Heads,
        topic: &Topic,
    ) -> Result<(), StoreError> {
        let Some(id) = heads.find(connection, topic)?.map(|numbering| numbering.id) else { return Ok(()) };
        heads.remove(topic);
        connection.prepare_cached("INSERT INTO forgotten(topic) VALUES(?1)")?.execute([id])?;
        connection.prepare_cached("DELETE FROM topics WHERE id = ?1")?.execute([id])?;
        self.has_forgotten = true;
        Ok(())
    }

    /// Takes all that the topic holds out of sight at once, and lets its numbering go on after its head.
    pub(super) fn clear(
        &mut self,
        connection: &Connection,
        heads: &mut Heads,
        topic: &Topic,
    ) -> Result<(), StoreError> {
        let Some(known) = heads.find(connection, topic)?.map(|numbering| numbering.clone()) else {
            return Ok(());
        };
        if known.head == known.floor {
            return Ok(());
        }
        self.forget(connection, heads, topic)?;
        let numbering = match heads.find_or_create(connection, topic, known.epoch) {
            // Then it begins anew with the next publication, which tells of the loss as well.
            Err(StoreError::TooManyTopics) => return Ok(()),
            made => made?,
        };
        let floor = known.head;
        let mut update = connection
            .prepare_cached("UPDATE topics SET floor = ?2, floor_total = ?3, floor_ts = ?4 WHERE id = ?1")?;
        update.execute(params![numbering.id, floor.offset as i64, floor.total as i64, floor.ts as i64])?;
        (numbering.head, numbering.floor) = (floor, floor);
        Ok(())
    }

    /// Deletes about `rows_max` rows at most, inside the writer's transaction.
    pub(super) fn work(
        &mut self,
        connection: &Connection,
        heads: &mut Heads,
        rows_max: u64,
    ) -> Result<(), StoreError> {
        let mut rows_left = rows_max;
        while rows_left > 0
            && let Some(topic) = self.order.pop_front()
        {
            let Some(keep) = self.topics.remove(&topic) else { continue };
            let (deleted, is_done) = trim(connection, heads, &topic, &keep, rows_left)?;
            if !is_done {
                self.trim(&topic, keep);
            }
            rows_left = rows_left.saturating_sub(deleted.max(1));
        }
        if rows_left > 0 && self.has_forgotten {
            rows_left -= self.delete_forgotten(connection, rows_left)?;
        }
        if rows_left > 0
            && let Some(now) = self.keys_until
        {
            let deleted = delete_keys(connection, now, rows_left)?;
            self.keys_until = (deleted == rows_left).then_some(now);
        }
        Ok(())
    }

    /// Deletes rows of one forgotten topic, and at last the memory of it; then its id may be given out again.
    fn delete_forgotten(&mut self, connection: &Connection, rows_max: u64) -> Result<u64, StoreError> {
        let mut next = connection.prepare_cached("SELECT topic FROM forgotten LIMIT 1")?;
        let Some(topic) = next.query_row([], |row| row.get::<_, i64>(0)).optional()? else {
            self.has_forgotten = false;
            return Ok(0);
        };
        let mut delete = connection.prepare_cached(
            "DELETE FROM publications WHERE id IN
                 (SELECT id FROM publications WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3)",
        )?;
        let (first, last) = (row::id(topic, 0), row::id(topic, row::OFFSET_MAX));
        let mut deleted = delete.execute(params![first, last, rows_max as i64])? as u64;
        let mut delete = connection.prepare_cached(
            "DELETE FROM keys WHERE topic = ?1 AND key IN (SELECT key FROM keys WHERE topic = ?1 LIMIT ?2)",
        )?;
        deleted += delete.execute(params![topic, (rows_max - deleted) as i64])? as u64;
        if deleted < rows_max {
            connection.prepare_cached("DELETE FROM forgotten WHERE topic = ?1")?.execute([topic])?;
        }
        Ok(deleted)
    }
}

/// Deletes at most `rows_max` publications of the topic and says how many, and whether that was all.
fn trim(
    connection: &Connection,
    heads: &mut Heads,
    topic: &Topic,
    keep: &Keep,
    rows_max: u64,
) -> Result<(u64, bool), StoreError> {
    let Some(numbering) = heads.find(connection, topic)? else { return Ok((0, true)) };
    let before = numbering.floor.offset;
    let goal = numbering.floor_under(connection, keep)?;
    let floor = goal.min(before + rows_max);
    if floor > before {
        let place = numbering.place_at(connection, floor)?;
        let mut delete = connection.prepare_cached("DELETE FROM publications WHERE id BETWEEN ?1 AND ?2")?;
        delete.execute([row::id(numbering.id, before), row::id(numbering.id, floor)])?;
        let mut update = connection
            .prepare_cached("UPDATE topics SET floor = ?2, floor_total = ?3, floor_ts = ?4 WHERE id = ?1")?;
        update.execute(params![numbering.id, floor as i64, place.total as i64, place.ts as i64])?;
        numbering.floor = place;
    }
    Ok((floor - before, floor == goal))
}

/// Deletes at most `rows_max` keys whose time is up, and those from a future that a wrong clock once saw.
fn delete_keys(connection: &Connection, now: u64, rows_max: u64) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for (times, bound) in [
        ("accepted <= ?1", now.saturating_sub(KEY_TTL_MS)),
        ("accepted >= ?1", now.saturating_add(KEY_TTL_MS)),
    ] {
        let mut delete = connection.prepare_cached(&format!(
            "DELETE FROM keys WHERE (topic, key) IN (SELECT topic, key FROM keys WHERE {times} LIMIT ?2)"
        ))?;
        deleted += delete.execute(params![bound as i64, (rows_max - deleted) as i64])? as u64;
    }
    Ok(deleted)
}
