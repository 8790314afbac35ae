//! The writer: the one thread that changes the database. It takes what has gathered, commits it as one group, and only
//! then calls the callbacks, in the order of the queue.
//!
//! It assigns the offsets, so the order of its queue is the order of every durable topic.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::config::StoreConfig;
use super::error::StoreError;
use super::event::{Event, Observer};
use super::group_writing::{GroupWriting, Written};
use super::heads::Heads;
use super::health::{Health, Operation};
use super::key_clock::KeyClock;
use super::log_file::LogFile;
use super::mark::Mark;
use super::newest::Newest;
use super::open::{DataDirectory, OpenedDatabase};
use super::publication::{Append, Arrival, Arrivals, Committed};
use super::queue::{Done, Job, Queue, Wakeup};
use super::reserve::Reserve;
use super::retention::Retention;
use super::schema;
use crate::engine::send_together;
use crate::failpoint::{self, Failpoint};

/// The number of rows that are deleted with a group, beside two for each publication it adds. So deletion keeps up with
/// publishing, and a group without publications is still short.
const DELETED_ROWS_MIN: u64 = 1_024;

/// The interval at which a store that has failed tries to write again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The time without jobs after which the files are tidied up.
const REST_AFTER: Duration = Duration::from_secs(1);

/// The interval at which an idle writer checks that the files are still in place.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The number of receipts after which sessions are woken, so that they work while the receipts of a large group are sent.
const RECEIPTS_AT_ONCE: usize = 256;

/// The time of the key clock after which a commit stores it again, in milliseconds. After a crash the clock continues from
/// there, so keys are remembered longer by this much, never shorter.
const TIME_NOTED_EVERY_MS: u64 = 1_000;

/// The time after which a transaction checks again that the database is still in place.
const DATABASE_CHECK_EVERY: Duration = Duration::from_millis(5);

/// The bytes a probe writes: more than a few publications, so that a disk with hardly any room stays failed.
const PROBE_BYTES: i64 = 64 * 1024;

/// The part of the free disk that the write-ahead log may take: one of so many.
const LOG_PART: u64 = 4;

/// The maximum number of prepared statements: all there are.
const STATEMENTS: usize = 48;

pub(super) struct Writer {
    connection: Connection,
    mark: Mark,
    key_clock: KeyClock,
    /// The time of the key clock that is stored.
    noted_ts: u64,
    /// The time at which the database was last found in place.
    checked: Instant,
    /// The newest publication of the current transaction.
    newest: Option<Newest>,
    config: StoreConfig,
    queue: Arc<Queue>,
    health: Arc<Health>,
    observer: Observer,
    arrivals: Arc<OnceLock<Arrivals>>,
    log_file: LogFile,
    heads: Heads,
    retention: Retention,
    reserve: Reserve,
    /// Whether something was written since the files were last tidied up.
    is_untidy: bool,
    /// Whether more pages can be returned to the file system right away, as long as no job comes.
    is_shrinking: bool,
    /// Last, so that the directory is free for another broker only when the database is closed.
    directory: Arc<DataDirectory>,
}

/// The destinations of what the writer reports.
pub(super) struct Reporting {
    pub(super) health: Arc<Health>,
    pub(super) observer: Observer,
    /// The destination of publications, once the engine has named it.
    pub(super) arrivals: Arc<OnceLock<Arrivals>>,
}

impl Writer {
    pub(super) fn new(
        opened: OpenedDatabase,
        directory: Arc<DataDirectory>,
        config: StoreConfig,
        queue: Arc<Queue>,
        Reporting { health, observer, arrivals }: Reporting,
    ) -> rusqlite::Result<Self> {
        let OpenedDatabase { mut connection, mark, state, .. } = opened;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let pages = Arc::new(AtomicUsize::new(0));
        let seen = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        // On a small disk the log must leave the database room to grow by what is moved into it.
        let log_bytes_max = directory.available_bytes().map_or(u64::MAX, |bytes| bytes / LOG_PART);
        let log_file = LogFile::new(&connection, pages, config.log_bytes_max.min(log_bytes_max))?;
        let mut writer = Self {
            connection,
            mark,
            key_clock: KeyClock::new(state.newest_ts),
            noted_ts: state.newest_ts,
            checked: Instant::now(),
            newest: None,
            config,
            queue,
            health,
            observer,
            arrivals,
            log_file,
            heads: Heads::default(),
            retention: Retention::new(),
            reserve: Reserve::new(directory.path()),
            is_untidy: true,
            is_shrinking: false,
            directory,
        };
        writer.take_reserve();
        Ok(writer)
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut group = Vec::new();
        loop {
            let (count_max, bytes_max) = (self.config.group_count_max, self.config.group_bytes_max);
            match self.queue.take(&mut group, count_max, bytes_max, self.patience()) {
                Wakeup::Jobs => self.commit(&mut group),
                Wakeup::TimedOut => self.rest(),
                Wakeup::Closed => break,
            }
        }
        let emptied = self.log_file.empty(&self.connection);
        self.health.note(Operation::Checkpoint, emptied.err().as_ref());
        // A mark that is not synced is only older after a crash of the machine.
        let _is_synced = self.mark.sync();
    }

    /// Returns how long to wait for a job before there is something else to do.
    fn patience(&self) -> Option<Duration> {
        if self.health.damage().is_some() {
            None
        } else if self.health.reason().is_some() {
            Some(PROBE_EVERY)
        } else if !self.retention.is_done() || self.is_shrinking {
            Some(Duration::ZERO)
        } else {
            Some(if self.is_untidy { REST_AFTER } else { CHECK_EVERY })
        }
    }

    /// Uses the time in which there are no jobs.
    fn rest(&mut self) {
        if self.health.reason().is_some() {
            self.make_room();
            if self.reserve.is_held() {
                self.probe();
            }
        } else if !self.retention.is_done() {
            self.commit(&mut Vec::new());
        } else if let Err(error) = self.directory.check_in_place() {
            self.health.note(Operation::Commit, Some(&error));
        } else if self.is_untidy || self.is_shrinking {
            let tidied = self.log_file.shrink(&self.connection);
            self.is_untidy = false;
            self.is_shrinking = matches!(tidied, Ok(false));
            self.health.note(Operation::Checkpoint, tidied.err().as_ref());
            // A mark that is not synced is only older after a crash of the machine.
            let _is_synced = self.mark.sync();
        }
    }

    /// Commits the group and calls its callbacks. If the commit fails, nothing of the group was accepted.
    fn commit(&mut self, group: &mut Vec<Job>) {
        let started = Instant::now();
        let bytes = group.iter().map(Job::bytes).sum();
        for job in &*group {
            match job {
                Job::Trim(topic, keep) => self.retention.trim(topic, *keep),
                Job::ForgetKeys(now) => self.retention.forget_keys(self.key_clock.latest().max(*now)),
                Job::Append(..) | Job::Forget(..) | Job::Clear(..) => {}
            }
        }
        if self.health.reason().is_some() {
            self.make_room();
        }
        let result = match self.health.damage() {
            Some(reason) => Err(StoreError::Damaged(reason)),
            None if !self.reserve.is_held() => Err(self.delete_only(group)),
            None => match self.transaction(|writer| writer.write(group)) {
                // The disk is full; what deletes is done in the room that is reserved for it.
                Err(StoreError::NoSpace(_)) => Err(self.delete_only(group)),
                result => result,
            },
        };
        // Before the callbacks: a publisher that is called back finds room in the queue.
        self.queue.release(bytes);
        match result {
            Ok(committed) => {
                (self.is_untidy, self.is_shrinking) = (true, false);
                let publications = committed.len();
                self.confirm(group, committed);
                if publications > 0 {
                    (self.observer)(Event::Committed { publications, elapsed: started.elapsed() });
                }
            }
            Err(error) => refuse(group, &error),
        }
        if let Some(moved) = self.log_file.move_if_long(&self.connection) {
            self.health.note(Operation::Checkpoint, moved.err().as_ref());
        }
    }

    /// Does `work` in one transaction. When it fails, nothing of it stays, neither in the database nor in the cache.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let changes = self.connection.total_changes();
        self.newest = None;
        let result = self.check_files().and_then(|()| {
            self.statement("BEGIN IMMEDIATE")?;
            let value = work(self)?;
            let has_changes = self.connection.total_changes() > changes;
            let ts = has_changes.then(|| self.note_time()).transpose()?;
            failpoint::reach(Failpoint::StoreCommit)?;
            self.statement("COMMIT")?;
            self.noted_ts = ts.unwrap_or(self.noted_ts);
            // Between the commit and the callbacks: what is acknowledged is noted.
            if let Some(newest) = self.newest {
                self.mark.note(newest)?;
            }
            Ok(value)
        });
        if result.is_err() {
            self.heads.clear();
            if !self.connection.is_autocommit() {
                // If even this fails, the next BEGIN fails too, and so does every commit until one succeeds.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        // A transaction that had nothing to write proves nothing, and neither does one that used up the reserve.
        let proves = self.connection.total_changes() > changes && self.reserve.is_held();
        if result.is_err() || proves {
            self.health.note(Operation::Commit, result.as_ref().err());
        }
        result
    }

    /// Calls the callbacks of a group that is on disk, in the order of its jobs. Publications between two deletions arrive together,
    /// and their receipts follow.
    fn confirm(&self, group: &mut Vec<Job>, committed: Vec<Result<Committed, StoreError>>) {
        let mut committed = committed.into_iter();
        let (mut arrived, mut receipts) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for job in group.drain(..) {
            match job {
                Job::Append(append, done) => {
                    let result = committed.next().expect("write() answers every append of its group");
                    if let Ok(Committed { position, ts, is_duplicate: false }) = result {
                        let Append { topic, payload, from, origin, .. } = append;
                        let after = position.offset - 1;
                        arrived.push(Arrival { topic, position, after, ts, payload, from, origin });
                    }
                    receipts.push((done, result));
                }
                Job::Forget(_, done) | Job::Clear(_, done) => {
                    self.deliver(&mut arrived, &mut receipts);
                    done(Ok(()));
                }
                Job::Trim(..) | Job::ForgetKeys(_) => {}
            }
        }
        self.deliver(&mut arrived, &mut receipts);
    }

    fn deliver(
        &self,
        arrived: &mut Vec<Arrival>,
        receipts: &mut Vec<(Done<Committed>, Result<Committed, StoreError>)>,
    ) {
        if let (false, Some(deliver)) = (arrived.is_empty(), self.arrivals.get()) {
            deliver(std::mem::take(arrived));
        }
        while !receipts.is_empty() {
            let some = receipts.drain(..receipts.len().min(RECEIPTS_AT_ONCE));
            send_together(|| some.for_each(|(done, result)| done(result)));
        }
    }

    /// Reserves room on the disk again. Until that succeeds the store has failed.
    fn take_reserve(&mut self) {
        if let Err(error) = self.reserve.take() {
            let reason =
                format!("no room can be reserved on the disk ({error}): free some space, or clear history");
            self.health.note(Operation::Commit, Some(&StoreError::NoSpace(reason.into())));
        }
    }

    /// Carries out the jobs of the group that delete, in the room that is reserved for them, and leaves the others, which are
    /// to be refused with the error that is returned.
    fn delete_only(&mut self, group: &mut Vec<Job>) -> StoreError {
        let is_deletion = |job: &Job| matches!(job, Job::Forget(..) | Job::Clear(..));
        let mut deletions: Vec<Job> = Vec::new();
        for job in std::mem::take(group) {
            if is_deletion(&job) { deletions.push(job) } else { group.push(job) }
        }
        if !deletions.is_empty() {
            match self.in_reserve(|writer| writer.write(&deletions)) {
                Ok(committed) => self.confirm(&mut deletions, committed),
                Err(error) => refuse(&mut deletions, &error),
            }
            self.make_room();
        }
        let reason = self.health.reason().unwrap_or_else(|| "the disk is full".into());
        StoreError::NoSpace(reason)
    }

    /// Does `work`, which deletes, in one transaction. If the disk is full the reserve is released for it.
    fn in_reserve<T>(&mut self, work: impl Fn(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.transaction(&work) {
            Err(StoreError::NoSpace(_)) if self.reserve.is_held() => {
                self.reserve.release();
                self.transaction(&work)
            }
            result => result,
        }
    }

    /// Checks that what is written now goes to the files that the next start will find. The log, to which it goes first, is looked
    /// for before each transaction, and so is the directory by that. The database itself is not looked for with every one of many
    /// in a row, because a look takes as long as adding a few publications.
    fn check_files(&mut self) -> Result<(), StoreError> {
        if self.checked.elapsed() < DATABASE_CHECK_EVERY {
            return self.directory.check_log_in_place();
        }
        self.directory.check_in_place()?;
        self.checked = Instant::now();
        Ok(())
    }

    /// Stores the time of the key clock if the stored one is old, and returns the stored one.
    fn note_time(&self) -> Result<u64, StoreError> {
        let now = self.key_clock.latest();
        if now < self.noted_ts.saturating_add(TIME_NOTED_EVERY_MS) {
            return Ok(self.noted_ts);
        }
        schema::note_time(&self.connection, now)?;
        Ok(now)
    }

    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Writes the jobs of a group and returns the outcomes of its appends, in their order.
    fn write(&mut self, group: &[Job]) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let Self { connection, heads, retention, key_clock, .. } = self;
        let writing = GroupWriting::begin(connection, heads, retention, key_clock)?;
        let Written { committed, newest } = writing.write(group)?;
        self.newest = newest;
        self.delete(DELETED_ROWS_MIN + 2 * committed.len() as u64)?;
        Ok(committed)
    }

    fn delete(&mut self, rows_max: u64) -> Result<(), StoreError> {
        self.retention.work(&self.connection, &mut self.heads, rows_max)
    }

    /// Makes room where it may be lacking: by deletions in a transaction that adds nothing, by returning free pages to the
    /// file system, and by emptying the log. Then the reserve is taken again.
    fn make_room(&mut self) {
        if self.health.damage().is_some() {
            return;
        }
        // Where the log can start over, the deletions have the room of its file.
        let moved = self.log_file.start_over(&self.connection);
        self.health.note(Operation::Checkpoint, moved.err().as_ref());
        while !self.retention.is_done() {
            // A failure is noted, and the next trim asks for the deletion again.
            if self.in_reserve(|writer| writer.delete(DELETED_ROWS_MIN)).is_err() {
                break;
            }
        }
        if !self.reserve.is_held() {
            let compacted = self.log_file.compact(&self.connection);
            self.health.note(Operation::Checkpoint, compacted.err().as_ref());
            self.take_reserve();
        }
    }

    /// Tries whether a commit succeeds again, and deletes what it wrote for that.
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

fn refuse(group: &mut Vec<Job>, error: &StoreError) {
    for job in group.drain(..) {
        match job {
            Job::Append(_, done) => done(Err(error.clone())),
            Job::Forget(_, done) | Job::Clear(_, done) => done(Err(error.clone())),
            Job::Trim(..) | Job::ForgetKeys(_) => {}
        }
    }
}
