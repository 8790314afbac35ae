//! How many connections a worker serves.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// How many connections a worker serves, and a bell that rings when the last one goes.
#[derive(Default)]
pub(super) struct Population {
    count: Cell<usize>,
    empty: Notify,
}

/// One connection's part in the population.
pub(super) struct Inhabitant(Rc<Population>);

impl Population {
    /// Whether no connection is served.
    pub(super) fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Waits until the last connection goes.
    pub(super) async fn emptied(&self) {
        self.empty.notified().await;
    }
}

impl Inhabitant {
    /// Counts one more connection until it is dropped.
    pub(super) fn new(population: &Rc<Population>) -> Self {
        population.count.set(population.count.get() + 1);
        Self(population.clone())
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.is_empty() {
            self.0.empty.notify_one();
        }
    }
}
