//! The queue in front of the writer: what waits to be written, in order, bounded in bytes.
//!
//! Any thread may put something in; only the writer takes out. What the writer has taken counts until it is written,
//! so the bound holds for all the memory that waits for the disk.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanwire_protocol::Topic;

use super::{Append, Committed, Event, Keep, Observer, StoreError};

/// Called by the writer with what became of something it was asked for.
pub(crate) type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Something the writer is asked for.
pub(super) enum Job {
    /// Accept a publication.
    Append(Append, Done<Committed>),
    /// Let go of what is beyond `keep`.
    Trim(Topic, Keep),
    /// Let go of a topic, its numbering and its keys.
    Forget(Topic, Done<()>),
    /// Let go of all that a topic holds; its numbering goes on.
    Clear(Topic, Done<()>),
    /// Let go of keys whose time is up, as of a time in milliseconds since 1970.
    ForgetKeys(u64),
}

/// The memory one job is accounted for beside what it carries: its place in the queue and what waits to be told.
const JOB_BYTES: usize = 256;

impl Job {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(append, _) => JOB_BYTES + append.payload.len(),
            _ => JOB_BYTES,
        }
    }
}

/// What the writer finds when it looks.
pub(super) enum Taken {
    /// The group was given something.
    Some,
    /// Nothing came in time.
    Nothing,
    /// Nothing is left and nothing will come.
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
    /// Of what waits and of what is being written.
    bytes: usize,
    is_over: bool,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(bytes_max: usize, observer: Observer) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), bytes_max, observer }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic half-way, so a poisoned queue is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end. From `bytes_max` on publishers ought to wait; at twice that it is refused.
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
            // Told under the lock, so that a rise and a relief cannot overtake each other.
            (self.observer)(Event::PressureRaised);
        }
        drop(inner);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Moves what waits to `group`: at most `count_max` jobs, and none after `bytes_max` are reached. Waits for the
    /// first as long as `patience` allows; `None` is for ever.
    pub(super) fn take(
        &self,
        group: &mut Vec<Job>,
        count_max: usize,
        bytes_max: usize,
        patience: Option<Duration>,
    ) -> Taken {
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
            (false, _) => Taken::Some,
            (true, false) => Taken::Nothing,
            (true, true) => Taken::Closed,
        }
    }

    /// Notes that `bytes` of what was taken wait no more.
    pub(super) fn release(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.bytes -= bytes;
        if inner.is_over && inner.bytes <= self.bytes_max / 2 {
            inner.is_over = false;
            (self.observer)(Event::PressureRelieved);
        }
    }

    /// Takes nothing more; what waits is still written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
    }

    /// The bytes that wait or are being written.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}
