//! The writing of one group inside the writer's transaction: its publications get their offsets, its topics are cleared or
//! forgotten.
//!
//! It does not know transactions: when one fails, the writer discards what is here.

use fanwire_protocol::{Epoch, Position};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::error::StoreError;
use super::heads::Heads;
use super::key_clock::KeyClock;
use super::newest::Newest;
use super::publication::{Append, Committed, KEY_TTL_MS};
use super::queue::Job;
use super::retention::{self, Retention};
use super::row::{self, OFFSET_MAX, payload_columns};

/// The parts of the writer that a group changes.
pub(super) struct GroupWriting<'a> {
    connection: &'a Connection,
    heads: &'a mut Heads,
    retention: &'a mut Retention,
    key_clock: &'a mut KeyClock,
    /// Adds a publication. Looked up once for the group, because that takes a tenth of the time of adding one.
    insert: CachedStatement<'a>,
    newest: Option<Newest>,
}

/// A group as it is in the transaction.
pub(super) struct Written {
    /// The outcomes of the appends, in their order.
    pub(super) committed: Vec<Result<Committed, StoreError>>,
    /// The newest publication that the group has added.
    pub(super) newest: Option<Newest>,
}

impl<'a> GroupWriting<'a> {
    /// Begins to write a group.
    pub(super) fn begin(
        connection: &'a Connection,
        heads: &'a mut Heads,
        retention: &'a mut Retention,
        key_clock: &'a mut KeyClock,
    ) -> Result<Self, StoreError> {
        let insert = connection.prepare_cached(
            "INSERT INTO publications(id, total, ts, kind, sender, payload, checksum)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        Ok(Self { connection, heads, retention, key_clock, insert, newest: None })
    }

    /// Writes the jobs of the group in their order, but for those that only ask for deletions.
    pub(super) fn write(mut self, group: &[Job]) -> Result<Written, StoreError> {
        let mut committed = Vec::with_capacity(group.len());
        let mut newest_ts = None;
        for job in group {
            match job {
                Job::Append(append, _) => {
                    newest_ts = Some(append.ts);
                    committed.push(self.append(append)?);
                }
                Job::Forget(topic, _) => self.retention.forget(self.connection, self.heads, topic)?,
                Job::Clear(topic, _) => self.retention.clear(self.connection, self.heads, topic)?,
                Job::Trim(..) | Job::ForgetKeys(_) => {}
            }
        }
        if let Some(ts) = newest_ts {
            self.key_clock.now(ts);
        }
        Ok(Written { committed, newest: self.newest })
    }

    /// Adds a publication to the transaction. The inner error refuses this publication only, before anything was written for
    /// it.
    fn append(&mut self, append: &Append) -> Result<Result<Committed, StoreError>, StoreError> {
        let numbering = match self.heads.find_or_create(self.connection, &append.topic, append.epoch) {
            Err(StoreError::TooManyTopics) => return Ok(Err(StoreError::TooManyTopics)),
            found => found?,
        };
        if numbering.head.offset >= OFFSET_MAX {
            // The offsets are used up. The same numbering must not begin twice.
            let used = numbering.epoch;
            let is_new = append.epoch != used;
            let epoch = if is_new { append.epoch } else { Epoch::from_random(used.number().wrapping_add(1)) };
            self.retention.forget(self.connection, self.heads, &append.topic)?;
            return self.append(&Append { epoch, ..append.clone() });
        }
        // The clock is read for keys only: for every publication it would cost more than the checksum.
        let key = append.key.as_ref().map(|key| (key, self.key_clock.now(append.ts)));
        if let Some((key, now)) = key
            && let Some(offset) = repeated(self.connection, numbering.id, key, now)?
        {
            let position = Position { epoch: numbering.epoch, offset };
            return Ok(Ok(Committed { position, ts: append.ts, is_duplicate: true }));
        }
        let mut head = numbering.head;
        head.offset += 1;
        head.total += append.cost;
        // Times never go back within a topic, whatever the wall clock does, so that all publications from a moment on follow
        // each other.
        head.ts = append.ts.max(head.ts);
        let (kind, payload) = payload_columns(&append.payload);
        let (id, sender) = (row::id(numbering.id, head.offset), append.from.as_deref());
        let checksum = row::checksum(id, head.ts, kind, sender, payload);
        self.insert.execute(params![
            id,
            head.total as i64,
            head.ts as i64,
            kind,
            sender,
            payload,
            checksum
        ])?;
        if let Some((key, now)) = key {
            let mut remember = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO keys(topic, key, offset, accepted) VALUES(?1, ?2, ?3, ?4)",
            )?;
            remember.execute(params![numbering.id, key, head.offset as i64, now as i64])?;
        }
        numbering.head = head;
        self.newest = Some(Newest { topic: numbering.id, epoch: numbering.epoch, offset: head.offset });
        if retention::is_due(numbering, &append.keep) {
            self.retention.trim(&append.topic, append.keep);
        }
        let position = Position { epoch: numbering.epoch, offset: head.offset };
        Ok(Ok(Committed { position, ts: head.ts, is_duplicate: false }))
    }
}

/// Returns the offset that the first publish with `key` received, if it is still remembered at `now`.
fn repeated(connection: &Connection, topic: i64, key: &str, now: u64) -> Result<Option<u64>, StoreError> {
    let mut find = connection
        .prepare_cached("SELECT offset FROM keys WHERE topic = ?1 AND key = ?2 AND accepted > ?3")?;
    let after = now as i64 - KEY_TTL_MS as i64;
    let found = find.query_row(params![topic, key, after], |row| row.get::<_, i64>(0));
    Ok(found.optional()?.map(|offset| offset as u64))
}
