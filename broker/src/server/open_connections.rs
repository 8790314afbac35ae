//! Counts the open connections of a worker.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// The number of open connections, and a notification when the last one ends.
#[derive(Default)]
pub(super) struct OpenConnections {
    count: Cell<usize>,
    empty: Notify,
}

/// One open connection. Dropping it ends its count.
pub(super) struct OpenConnection(Rc<OpenConnections>);

impl OpenConnections {
    /// Returns whether no connection is open.
    pub(super) fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Waits until the last connection ends.
    pub(super) async fn emptied(&self) {
        self.empty.notified().await;
    }
}

impl OpenConnection {
    /// Counts one more connection until it is dropped.
    pub(super) fn new(open_connections: &Rc<OpenConnections>) -> Self {
        open_connections.count.set(open_connections.count.get() + 1);
        Self(open_connections.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.is_empty() {
            self.0.empty.notify_one();
        }
    }
}
