//! The queue in front of the writer: what waits to be written, in order, bounded in bytes.
//!
//! Any thread may push; only the writer takes. What the writer has taken counts until it is written, so that the bound
//! holds for all memory that waits for the disk.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanwire_protocol::Topic;

use super::error::StoreError;
use super::event::{Event, Observer};
use super::publication::{Append, Committed, Keep};

/// Called by the writer with the outcome of a job.
pub(crate) type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// A job of the writer.
pub(super) enum Job {
    /// Appends a publication to the database.
    Append(Append, Done<Committed>),
    /// Deletes what is beyond `keep`.
    Trim(Topic, Keep),
    /// Deletes a topic, its numbering and its keys.
    Forget(Topic, Done<()>),
    /// Deletes all publications of a topic; its numbering continues.
    Clear(Topic, Done<()>),
    /// Deletes expired keys, as of a time in milliseconds since 1970.
    ForgetKeys(u64),
}

/// The memory that one job counts for beside its payload: its slot in the queue and its callback.
const JOB_BYTES: usize = 256;

impl Job {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(append, _) => JOB_BYTES + append.payload.len(),
            _ => JOB_BYTES,
        }
    }
}

/// An entry of the writer's queue.
pub(super) enum Wakeup {
    /// The group has jobs.
    Jobs,
    /// No job came in time.
    TimedOut,
    /// The queue is closed and empty.
    Closed,
}

pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    bytes_max: usize,
    observer: Observer,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    /// The bytes that wait or are being written.
    bytes: usize,
    is_over: bool,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(bytes_max: usize, observer: Observer) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), bytes_max, observer }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No holder of this lock can panic half-way, so a poisoned queue is still consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a job. From `bytes_max` on publishers have to wait; at twice that the job is refused.
    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let bytes = job.bytes();
        let mut inner = self.lock();
        if inner.is_closed {
            return Err(StoreError::Closed);
        }
        if inner.bytes > 2 * self.bytes_max {
            return Err(StoreError::Full);
        }
        let was_empty = inner.jobs.is_empty();
        inner.jobs.push_back(job);
        inner.bytes += bytes;
        if !inner.is_over && inner.bytes > self.bytes_max {
            inner.is_over = true;
            // Reported under the lock, so that a rise and a relief cannot overtake each other.
            (self.observer)(Event::PressureRaised);
        }
        drop(inner);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Moves jobs to `group`: at most `count_max`, and none after `bytes_max` are reached. Waits for the first as long as
    /// `patience`; `None` waits without end.
    pub(super) fn take(
        &self,
        group: &mut Vec<Job>,
        count_max: usize,
        bytes_max: usize,
        patience: Option<Duration>,
    ) -> Wakeup {
        let mut inner = self.lock();
        let is_idle = |inner: &mut Inner| inner.jobs.is_empty() && !inner.is_closed;
        inner = match patience {
            None => self.filled.wait_while(inner, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.filled.wait_timeout_while(inner, patience, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let mut bytes = 0;
        while group.len() < count_max
            && bytes < bytes_max
            && let Some(job) = inner.jobs.pop_front()
        {
            bytes += job.bytes();
            group.push(job);
        }
        if inner.jobs.is_empty() {
            inner.jobs.shrink_to(4096);
        }
        match (group.is_empty(), inner.is_closed) {
            (false, _) => Wakeup::Jobs,
            (true, false) => Wakeup::TimedOut,
            (true, true) => Wakeup::Closed,
        }
    }

    /// Notes that `bytes` of what was taken are written or refused.
    pub(super) fn release(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.bytes -= bytes;
        if inner.is_over && inner.bytes <= self.bytes_max / 2 {
            inner.is_over = false;
            (self.observer)(Event::PressureRelieved);
        }
    }

    /// Refuses further jobs; what waits is still written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
    }

    /// Returns the bytes that wait or are being written.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}
