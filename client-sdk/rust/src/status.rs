//! The status of a client's connection.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;

/// The status of a client's connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// The client is connected.
    Connected {
        /// The broker's name for the connection.
        connection: String,
        /// The broker's software and version.
        server: String,
    },
    /// The connection broke and is being made again.
    Reconnecting {
        /// Which attempt this is, from 1, since a connection last held for ten seconds.
        attempt: u32,
        /// The time for which it waits before it starts.
        wait: Duration,
        /// The reason why the connection or the last attempt failed.
        cause: String,
    },
    /// There will be no connection any more.
    Closed(Error),
}

/// Follows the [`Status`] of a client. Only the newest is kept: one that is not looked at in time is skipped.
#[derive(Debug, Clone)]
pub struct StatusWatch(pub(crate) watch::Receiver<Status>);

impl StatusWatch {
    /// Returns the present status.
    pub fn current(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Waits until the status is another than the last one seen here, and returns it. `None`: it will not change again.
    ///
    /// Cancel-safe.
    pub async fn changed(&mut self) -> Option<Status> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}
