//! The waker of a session's task.

use std::cell::RefCell;
use std::task::{Context, Waker};

/// The task to wake, once it has run.
#[derive(Default)]
pub(super) struct TaskWaker(RefCell<Option<Waker>>);

impl TaskWaker {
    /// Sets the task to the one that runs in `context`.
    pub(super) fn set(&self, context: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }

    /// Wakes the task of the session.
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }
}
