//! Whether the store can be relied on, and if not, why.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::StoreError;
use super::event::{Event, Observer};

/// The failures of a store, one by one: one may pass while another stays.
pub(super) struct Health {
    failures: Mutex<Failures>,
    observer: Observer,
}

#[derive(Default, Clone)]
struct Failures {
    /// The last commit failed.
    commit: Option<Arc<str>>,
    /// The last move of the write-ahead log into the database failed.
    checkpoint: Option<Arc<str>>,
    /// The database contradicts itself. This stays as long as the broker runs.
    damage: Option<Arc<str>>,
}

/// The operation that was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Commit,
    Checkpoint,
    Read,
}

impl Health {
    pub(super) fn new(observer: Observer) -> Self {
        Self { failures: Mutex::default(), observer }
    }

    /// Notes the outcome of an operation and reports when the store has failed or recovered by it.
    pub(super) fn note(&self, operation: Operation, error: Option<&StoreError>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let was_failing = failures.first().is_some();
        match (operation, error) {
            (_, Some(StoreError::Damaged(reason))) => failures.damage = Some(reason.clone()),
            // A failed read says nothing about the next read or write.
            (Operation::Read, _) => {}
            (Operation::Commit, error) => failures.commit = error.map(|error| error.to_string().into()),
            (Operation::Checkpoint, error) => {
                failures.checkpoint = error.map(|error| error.to_string().into())
            }
        }
        // Reported under the lock, so that a failure and a recovery cannot overtake each other.
        match (was_failing, failures.first()) {
            (false, Some(reason)) => (self.observer)(Event::Failed(reason.clone())),
            (true, None) => (self.observer)(Event::Recovered),
            _ => {}
        }
    }

    /// Returns why the store cannot be relied on, if it cannot.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// Returns what is damaged, if anything.
    pub(super) fn damage(&self) -> Option<Arc<str>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).damage.clone()
    }
}

impl Failures {
    fn first(&self) -> Option<&Arc<str>> {
        self.damage.as_ref().or(self.commit.as_ref()).or(self.checkpoint.as_ref())
    }
}
