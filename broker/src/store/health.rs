//! Whether the store can be relied on, and if not, why.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Event, Observer, StoreError};

/// What can be wrong, each for itself: one may get better while the other stays.
pub(super) struct Health {
    troubles: Mutex<Troubles>,
    observer: Observer,
}

#[derive(Default, Clone)]
struct Troubles {
    /// The last commit failed.
    commit: Option<Arc<str>>,
    /// The last move of the write-ahead log into the database failed.
    checkpoint: Option<Arc<str>>,
    /// The database contradicts itself. Never taken back while the broker runs.
    damage: Option<Arc<str>>,
}

/// What an attempt was made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Commit,
    Checkpoint,
    Read,
}

impl Health {
    pub(super) fn new(observer: Observer) -> Self {
        Self { troubles: Mutex::default(), observer }
    }

    /// Notes how an attempt went, and tells when the store has failed or recovered by it.
    pub(super) fn note(&self, attempt: Attempt, error: Option<&StoreError>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let was_failing = troubles.first().is_some();
        match (attempt, error) {
            (_, Some(StoreError::Damaged(reason))) => troubles.damage = Some(reason.clone()),
            // What a reader could not read says nothing of the next read or write.
            (Attempt::Read, _) => {}
            (Attempt::Commit, error) => troubles.commit = error.map(|error| error.to_string().into()),
            (Attempt::Checkpoint, error) => troubles.checkpoint = error.map(|error| error.to_string().into()),
        }
        // Told under the lock, so that a failure and a recovery cannot overtake each other.
        match (was_failing, troubles.first()) {
            (false, Some(reason)) => (self.observer)(Event::Failed(reason.clone())),
            (true, None) => (self.observer)(Event::Recovered),
            _ => {}
        }
    }

    /// Why the store cannot be relied on, if so.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// What is damaged, if anything.
    pub(super) fn damage(&self) -> Option<Arc<str>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).damage.clone()
    }
}

impl Troubles {
    fn first(&self) -> Option<&Arc<str>> {
        self.damage.as_ref().or(self.commit.as_ref()).or(self.checkpoint.as_ref())
    }
}
