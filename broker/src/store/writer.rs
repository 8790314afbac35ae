//! The writer: the one thread that changes the database. It takes what has gathered, commits it as one group, and only
//! then tells those who asked, in the order they asked.
//!
//! It gives the offsets, so the order of its queue is the order of every durable topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fanwire_protocol::{Epoch, Position};
use rusqlite::{Connection, OptionalExtension, params};

use super::heads::Heads;
use super::health::{Attempt, Health};
use super::log_file::LogFile;
use super::queue::{Job, Queue, Taken};
use super::retention::{self, Retention};
use super::row::{self, OFFSET_MAX, payload_columns};
use super::{Append, Committed, Event, KEY_TTL_MS, Observer, StoreConfig, StoreError};
use crate::failpoint::{self, Failpoint};

/// How many rows are deleted with a group, beside two for each publication it adds. So deleting keeps up with
/// whatever is published, and a group without publications still is short.
const DELETED_ROWS_MIN: u64 = 1_024;

/// How often a store that has failed tries whether it can write again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// How long nothing must have come before the files are tidied up.
const REST_AFTER: Duration = Duration::from_secs(1);

/// How much a probe writes: more than a few publications, so that a disk with hardly any room stays failed.
const PROBE_BYTES: i64 = 64 * 1024;

/// The statements kept prepared: all there are.
const STATEMENTS: usize = 48;

pub(super) struct Writer {
    connection: Connection,
    config: StoreConfig,
    queue: Arc<Queue>,
    health: Arc<Health>,
    observer: Observer,
    log_file: LogFile,
    heads: Heads,
    retention: Retention,
    /// Whether something was written since the files were last tidied up.
    is_untidy: bool,
    /// Whether there is more room to be given back right away, as long as nothing comes.
    is_shrinking: bool,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        config: StoreConfig,
        queue: Arc<Queue>,
        health: Arc<Health>,
        observer: Observer,
    ) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let pages = Arc::new(AtomicUsize::new(0));
        let seen = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let log_file = LogFile::new(&connection, pages, config.log_bytes_max)?;
        Ok(Self {
            connection,
            config,
            queue,
            health,
            observer,
            log_file,
            heads: Heads::default(),
            retention: Retention::new(),
            is_untidy: true,
            is_shrinking: false,
        })
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut group = Vec::new();
        loop {
            let (count_max, bytes_max) = (self.config.group_count_max, self.config.group_bytes_max);
            match self.queue.take(&mut group, count_max, bytes_max, self.patience()) {
                Taken::Some => self.commit(&mut group),
                Taken::Nothing => self.rest(),
                Taken::Closed => break,
            }
        }
        let emptied = self.log_file.empty(&self.connection);
        self.health.note(Attempt::Checkpoint, emptied.err().as_ref());
    }

    /// How long to wait for somebody to ask for something before there is something else to do.
    fn patience(&self) -> Option<Duration> {
        if self.health.damage().is_some() {
            None
        } else if self.health.reason().is_some() {
            Some(PROBE_EVERY)
        } else if !self.retention.is_done() || self.is_shrinking {
            Some(Duration::ZERO)
        } else {
            self.is_untidy.then_some(REST_AFTER)
        }
    }

    /// Uses the time in which nothing is asked for.
    fn rest(&mut self) {
        if self.health.reason().is_some() {
            self.make_room();
            self.probe();
        } else if !self.retention.is_done() {
            self.commit(&mut Vec::new());
        } else {
            let tidied = self.log_file.shrink(&self.connection);
            self.is_untidy = false;
            self.is_shrinking = matches!(tidied, Ok(false));
            self.health.note(Attempt::Checkpoint, tidied.err().as_ref());
        }
    }

    /// Commits the group and tells everyone in it. If it fails, nothing of it was accepted, and everyone hears that.
    fn commit(&mut self, group: &mut Vec<Job>) {
        let started = Instant::now();
        let bytes = group.iter().map(Job::bytes).sum();
        for job in &*group {
            match job {
                Job::Trim(topic, keep) => self.retention.trim(topic, *keep),
                Job::ForgetKeys(now) => self.retention.forget_keys(*now),
                Job::Append(..) | Job::Forget(..) | Job::Clear(..) => {}
            }
        }
        if self.health.reason().is_some() {
            self.make_room();
        }
        let result = match self.health.damage() {
            Some(reason) => Err(StoreError::Damaged(reason)),
            None => self.transaction(|writer| writer.write(group)),
        };
        // Before anyone is told: whoever hears that something is written finds the room it took.
        self.queue.release(bytes);
        match result {
            Ok(committed) => {
                (self.is_untidy, self.is_shrinking) = (true, false);
                let publications = committed.len();
                tell(group, committed);
                if publications > 0 {
                    (self.observer)(Event::Committed { publications, elapsed: started.elapsed() });
                }
            }
            Err(error) => refuse(group, &error),
        }
        if let Some(moved) = self.log_file.move_if_long(&self.connection) {
            self.health.note(Attempt::Checkpoint, moved.err().as_ref());
        }
    }

    /// Does `work` in one transaction. When it fails, nothing of it stays, neither on disk nor at hand.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let changes = self.connection.total_changes();
        let result = self.statement("BEGIN IMMEDIATE").and_then(|()| {
            let value = work(self)?;
            failpoint::reach(Failpoint::StoreCommit)?;
            self.statement("COMMIT")?;
            Ok(value)
        });
        if result.is_err() {
            self.heads.clear();
            if !self.connection.is_autocommit() {
                // If even this fails, the next BEGIN fails too, and so does every commit until one succeeds.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        // A transaction that had nothing to write proves nothing.
        if result.is_err() || self.connection.total_changes() > changes {
            self.health.note(Attempt::Commit, result.as_ref().err());
        }
        result
    }

    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Writes the jobs of a group and gives back what became of its appends, in their order.
    fn write(&mut self, group: &[Job]) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let mut committed = Vec::with_capacity(group.len());
        for job in group {
            match job {
                Job::Append(append, _) => committed.push(self.append(append)?),
                Job::Forget(topic, _) => self.retention.forget(&self.connection, &mut self.heads, topic)?,
                Job::Clear(topic, _) => self.retention.clear(&self.connection, &mut self.heads, topic)?,
                Job::Trim(..) | Job::ForgetKeys(_) => {}
            }
        }
        self.delete(DELETED_ROWS_MIN + 2 * committed.len() as u64)?;
        Ok(committed)
    }

    fn delete(&mut self, rows_max: u64) -> Result<(), StoreError> {
        self.retention.work(&self.connection, &mut self.heads, rows_max)
    }

    /// Makes room where it may be lacking: in the log, which can start over once it is in the database, and in the
    /// database, by deleting in a transaction that does not have to add anything.
    fn make_room(&mut self) {
        if self.health.damage().is_some() {
            return;
        }
        if let Some(moved) = self.log_file.move_if_used(&self.connection) {
            self.health.note(Attempt::Checkpoint, moved.err().as_ref());
        }
        if !self.retention.is_done() {
            // A failure is noted, and what was to be deleted is asked for again by whoever wants it gone.
            let _ = self.transaction(|writer| writer.delete(DELETED_ROWS_MIN));
        }
    }

    /// Adds a publication to the transaction. The inner error refuses this one only, before anything was written for it.
    fn append(&mut self, append: &Append) -> Result<Result<Committed, StoreError>, StoreError> {
        let numbering = match self.heads.find_or_create(&self.connection, &append.topic, append.epoch) {
            Err(StoreError::TooManyTopics) => return Ok(Err(StoreError::TooManyTopics)),
            found => found?,
        };
        if numbering.head.offset >= OFFSET_MAX {
            // The offsets are used up. The one thing that must not happen is the same numbering twice.
            let used = numbering.epoch;
            let is_new = append.epoch != used;
            let epoch = if is_new { append.epoch } else { Epoch::from_random(used.number().wrapping_add(1)) };
            self.retention.forget(&self.connection, &mut self.heads, &append.topic)?;
            return self.append(&Append { epoch, ..append.clone() });
        }
        if let Some(key) = &append.key
            && let Some(offset) = repeated(&self.connection, numbering.id, key, append.ts)?
        {
            let position = Position { epoch: numbering.epoch, offset };
            return Ok(Ok(Committed { position, ts: append.ts, is_duplicate: true }));
        }
        let mut head = numbering.head;
        head.offset += 1;
        head.total += append.cost;
        // Times never go back within a topic, whatever the wall clock does, so that what comes from a moment on is one stretch.
        head.ts = append.ts.max(head.ts);
        let (kind, payload) = payload_columns(&append.payload);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO publications(id, total, ts, kind, sender, payload) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        insert.execute(params![
            row::id(numbering.id, head.offset),
            head.total as i64,
            head.ts as i64,
            kind,
            append.from.as_deref(),
            payload
        ])?;
        if let Some(key) = &append.key {
            let mut remember = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO keys(topic, key, offset, accepted) VALUES(?1, ?2, ?3, ?4)",
            )?;
            remember.execute(params![numbering.id, key, head.offset as i64, append.ts as i64])?;
        }
        numbering.head = head;
        if retention::is_due(numbering, &append.keep) {
            self.retention.trim(&append.topic, append.keep);
        }
        let position = Position { epoch: numbering.epoch, offset: head.offset };
        Ok(Ok(Committed { position, ts: head.ts, is_duplicate: false }))
    }

    /// Tries whether the disk takes something again, and cleans up after itself.
    fn probe(&mut self) {
        let written = self.transaction(|writer| {
            let fill = "INSERT OR REPLACE INTO probes(id, filler) VALUES(1, zeroblob(?1))";
            Ok(writer.connection.prepare_cached(fill)?.execute([PROBE_BYTES])?)
        });
        if written.is_ok() {
            // A failure is noted like any other, and the next probe replaces what is left.
            let _ = self.transaction(|writer| {
                Ok(writer.connection.prepare_cached("DELETE FROM probes")?.execute([])?)
            });
            self.is_untidy = true;
        }
    }
}

/// The offset that the first publish with `key` was given, if it is still remembered at `now`.
fn repeated(connection: &Connection, topic: i64, key: &str, now: u64) -> Result<Option<u64>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT offset FROM keys WHERE topic = ?1 AND key = ?2 AND accepted > ?3 AND accepted < ?4",
    )?;
    // A key from far in the future was accepted before the clock was set right; it must not stay for ever.
    let (after, before) = (now as i64 - KEY_TTL_MS as i64, now as i64 + KEY_TTL_MS as i64);
    let found = find.query_row(params![topic, key, after, before], |row| row.get::<_, i64>(0));
    Ok(found.optional()?.map(|offset| offset as u64))
}

fn tell(group: &mut Vec<Job>, committed: Vec<Result<Committed, StoreError>>) {
    let mut committed = committed.into_iter();
    for job in group.drain(..) {
        match job {
            Job::Append(_, done) => {
                done(committed.next().expect("write() answers every append of its group"));
            }
            Job::Forget(_, done) | Job::Clear(_, done) => done(Ok(())),
            Job::Trim(..) | Job::ForgetKeys(_) => {}
        }
    }
}

fn refuse(group: &mut Vec<Job>, error: &StoreError) {
    for job in group.drain(..) {
        match job {
            Job::Append(_, done) => done(Err(error.clone())),
            Job::Forget(_, done) | Job::Clear(_, done) => done(Err(error.clone())),
            Job::Trim(..) | Job::ForgetKeys(_) => {}
        }
    }
}
