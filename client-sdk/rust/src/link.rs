//! The link between the parts of a client and its driver: commands, their budget in bytes, and the state of the connection.
//!
//! It knows how to send a request and wait for the reply. What a request means is the business of its callers.

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::{Pattern, Reply, Request, Topic};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::error::Error;
use crate::exchange::Command;
use crate::idempotency_key::KeyMaker;
use crate::status::Status;
use crate::token::TokenSource;
use crate::wire::Encoding;

/// The maximum size of requests in progress, in bytes, including queued ones; further requests wait.
pub(crate) const REQUEST_BUFFER_BYTES: u32 = 8 << 20;

/// The charge of every request on top of its payload, in bytes, so that small ones are bounded in number too.
const REQUEST_BYTES: usize = 256;

/// The state that all clones of a client and its subscriptions share.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) attention: Arc<Notify>,
    pub(crate) close: Arc<Notify>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) timeout: Duration,
    pub(crate) keys: KeyMaker,
    pub(crate) token: Arc<TokenSource>,
    pub(crate) encoding: Encoding,
}

impl Link {
    /// Sends a request and waits for the reply, at most for the request time-out.
    pub(crate) async fn request(&self, request: Request, payload_bytes: usize) -> Result<Reply, Error> {
        self.in_time(async {
            let charge = self.charge(payload_bytes).await?;
            let (answer, answered) = oneshot::channel();
            self.send(Command::Ask { request, answer, charge })?;
            answered.await.unwrap_or_else(|_| Err(self.end()))
        })
        .await
    }

    /// Queues a request without a reply.
    pub(crate) async fn send_unacknowledged(
        &self,
        request: Request,
        payload_bytes: usize,
    ) -> Result<(), Error> {
        self.in_time(async {
            let charge = self.charge(payload_bytes).await?;
            self.send(Command::Tell { request, charge })
        })
        .await
    }

    pub(crate) fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| self.end())
    }

    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.timeout, work).await.unwrap_or(Err(Error::TimedOut))
    }

    /// Returns the error that ended the connection.
    pub(crate) fn end(&self) -> Error {
        match &*self.status.borrow() {
            Status::Closed(error) => error.clone(),
            _ => Error::Closed,
        }
    }

    /// Takes a part of the budget for a request. A large payload is charged the whole of it.
    async fn charge(&self, payload_bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let cost = u32::try_from(payload_bytes.saturating_add(REQUEST_BYTES)).unwrap_or(u32::MAX);
        let charge = self.budget.clone().acquire_many_owned(cost.min(REQUEST_BUFFER_BYTES));
        // tokio makes a busy task yield here now and then; a request would lose its place to a later one by that.
        unconstrained(charge).await.map_err(|_| self.end())
    }
}

/// Checks a name that must be a plain topic.
pub(crate) fn topic(name: &str) -> Result<Topic, Error> {
    Topic::new(name).map_err(|source| Error::InvalidTopic { name: name.to_owned(), source })
}

/// Checks a name that may have wildcards.
pub(crate) fn pattern(name: &str) -> Result<Pattern, Error> {
    Pattern::new(name).map_err(|source| Error::InvalidTopic { name: name.to_owned(), source })
}

/// Returns the error for a reply that does not fit its request, which a working broker never sends.
pub(crate) fn unexpected(reply: &Reply) -> Error {
    tracing::debug!(?reply, "the reply does not fit its request");
    Error::Rejected {
        code: fanwire_protocol::ErrorCode::Internal,
        message: "the reply of the broker does not fit the request".to_owned(),
    }
}
