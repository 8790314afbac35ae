//! Retention: the deletion of what topics need not keep, some rows with every group, so that no publish waits long for it.
//!
//! What readers see does not depend on how far deletion has come: they apply [`Keep`] themselves.

use std::collections::{HashMap, VecDeque};

use fanwire_protocol::Topic;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use super::heads::Heads;
use super::numbering::Numbering;
use super::publication::{KEY_TTL_MS, Keep};
use super::row;

/// The slack of a topic in publications: an eighth of what its rule says, within this range. Only beyond the slack do
/// appends have the topic trimmed, because deleting many rows at once costs less than one with each append.
const SLACK_MESSAGES: std::ops::RangeInclusive<u64> = 64..=8_192;

/// The minimum slack in bytes.
const SLACK_BYTES: u64 = 64 * 1024;

/// The pending deletions. They are lost on restart, and the next append or trim requests them again.
#[derive(Default)]
pub(super) struct Retention {
    topics: HashMap<Topic, Keep>,
    order: VecDeque<Topic>,
    /// The time as of which keys expire, in milliseconds since 1970.
    keys_until: Option<u64>,
    has_forgotten: bool,
}

/// Whether a topic holds so much more than `keep` allows that it has to be trimmed.
pub(super) fn is_due(numbering: &Numbering, keep: &Keep) -> bool {
    let messages_slack = (keep.messages / 8).clamp(*SLACK_MESSAGES.start(), *SLACK_MESSAGES.end());
    let bytes_slack = (keep.bytes / 8).max(SLACK_BYTES);
    numbering.head.offset - numbering.floor.offset > keep.messages.saturating_add(messages_slack)
        || numbering.head.total - numbering.floor.total > keep.bytes.saturating_add(bytes_slack)
}

impl Retention {
    /// Creates the state of a store that was just opened: an earlier run may have left forgotten topics.
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

    /// Deletes the keys that have expired at `now`, in milliseconds since 1970.
    pub(super) fn forget_keys(&mut self, now: u64) {
        self.keys_until = Some(now);
    }

    /// Makes the topic unknown at once; its rows and keys are deleted by later commits.
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

    /// Makes the publications of the topic unreadable at once; its numbering continues after its head.
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
            // Then the topic begins anew with the next publication, and its new epoch reveals the loss as well.
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

    /// Deletes rows of one forgotten topic, and at last its entry; then its id may be assigned again.
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

/// Deletes at most `rows_max` publications of the topic; returns how many, and whether that was all.
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
        let point = numbering.point_at(connection, floor)?;
        let mut delete = connection.prepare_cached("DELETE FROM publications WHERE id BETWEEN ?1 AND ?2")?;
        delete.execute([row::id(numbering.id, before), row::id(numbering.id, floor)])?;
        let mut update = connection
            .prepare_cached("UPDATE topics SET floor = ?2, floor_total = ?3, floor_ts = ?4 WHERE id = ?1")?;
        update.execute(params![numbering.id, floor as i64, point.total as i64, point.ts as i64])?;
        numbering.floor = point;
    }
    Ok((floor - before, floor == goal))
}

/// Deletes at most `rows_max` keys that have expired at `now` and returns how many.
fn delete_keys(connection: &Connection, now: u64, rows_max: u64) -> Result<u64, StoreError> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM keys WHERE (topic, key) IN (SELECT topic, key FROM keys WHERE accepted <= ?1 LIMIT ?2)",
    )?;
    Ok(delete.execute([now.saturating_sub(KEY_TTL_MS) as i64, rows_max as i64])? as u64)
}
