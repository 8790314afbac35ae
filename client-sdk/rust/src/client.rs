//! The client as the application holds it.

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::{Member, Pattern, Payload, Reply, Request, Topic};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::builder::Builder;
use crate::error::Error;
use crate::exchange::Command;
use crate::history::History;
use crate::publish::Publish;
use crate::publish::{IntoPayload, KeyMaker};
use crate::status::{Status, StatusWatch};
use crate::subscription::Subscribe;
use crate::token::TokenSource;

/// How many bytes of requests may be under way at once, queued ones included; asking for more waits.
pub(crate) const REQUEST_BUFFER_BYTES: u32 = 8 << 20;

/// What every request is charged on top of its payload, so that small ones are bounded in number too.
const REQUEST_BYTES: usize = 256;

/// A connection to a broker that carries any number of subscriptions and requests, and is made again when it breaks.
///
/// Cloning is cheap; all clones share the connection. It is closed by [`Client::close`], or when the last clone and the
/// last [`Subscription`](crate::subscription::Subscription) are dropped. Needs a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) link: Arc<Link>,
}

/// What clones of a client and its subscriptions share: the way to the driver.
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
}

/// Who is subscribed to a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// Each user once.
    pub members: Vec<Member>,
    /// Whether there are more than the broker names at once.
    pub more: bool,
}

impl Client {
    /// Connects with the defaults: JSON, no token. See [`Builder::connect`].
    ///
    /// # Errors
    /// If the address is none, or no broker can be reached there. The first connection is tried once.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Sets up a connection that is not the default one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Subscribes to a topic, or to all topics that match a pattern (`orders.*.paid`, `chat.>`). Await the result, after
    /// saying where to begin if it is not now.
    ///
    /// A client has one subscription to the same topic or pattern at a time. A message that several of its
    /// subscriptions match is yielded by each of them.
    pub fn subscribe(&self, topic: &str) -> Subscribe {
        Subscribe::new(self.link.clone(), topic)
    }

    /// Publishes text, bytes or JSON to a topic. Await the result for the broker's receipt.
    pub fn publish(&self, topic: &str, payload: impl IntoPayload) -> Publish {
        Publish::new(self.link.clone(), topic, payload.into_payload())
    }

    /// Reads what a topic still holds, to and fro. Await the result for one page, or stream it.
    pub fn history(&self, topic: &str) -> History {
        History::new(self.link.clone(), topic)
    }

    /// Asks who is subscribed to a topic: each user once, over however many connections. Who joins or leaves from then on is
    /// told to its subscriptions, as [`Event::Join`](crate::event::Event::Join) and [`Event::Leave`](crate::event::Event::Leave).
    ///
    /// # Errors
    /// If the topic is none or keeps no presence, this client may not ask, or no answer comes in time.
    pub async fn presence(&self, topic: &str) -> Result<Presence, Error> {
        let topic = self::topic(topic)?;
        match self.link.ask(Request::Presence { topic }, 0).await? {
            Reply::Presence { members, more, .. } => Ok(Presence { members, more }),
            other => Err(unexpected(&other)),
        }
    }

    /// Goes on under a new token, which is also shown at every connection from then on. Returns when it ends, in seconds
    /// since 1970, or `None` if it does not.
    ///
    /// # Errors
    /// If the broker refuses the token; then the old one stays.
    pub async fn refresh(&self, token: impl Into<String>) -> Result<Option<u64>, Error> {
        let token = token.into();
        match self.link.ask(Request::Refresh { token: token.clone() }, token.len()).await? {
            Reply::Refreshed { expires } => {
                self.link.token.replace(token);
                Ok(expires)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the application behind the broker, and returns its answer.
    ///
    /// # Errors
    /// If nobody answers there, the application refuses, or the connection broke meanwhile: whether the application was asked
    /// is unknown then, and the client does not ask twice.
    pub async fn request(&self, method: &str, data: impl IntoPayload) -> Result<Payload, Error> {
        let (method, data) = (method.to_owned(), data.into_payload());
        let bytes = data.len();
        match self.link.ask(Request::Call { method, data }, bytes).await? {
            Reply::Response { data } => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the broker for a sign of life through everything that was asked before, and returns how long that took.
    ///
    /// # Errors
    /// If no answer comes in time, or the client is closed.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = tokio::time::Instant::now();
        match self.link.ask(Request::Ping, 0).await? {
            Reply::Pong => Ok(began.elapsed()),
            other => Err(unexpected(&other)),
        }
    }

    /// How the connection is doing.
    pub fn status(&self) -> Status {
        self.link.status.borrow().clone()
    }

    /// Follows how the connection is doing.
    pub fn watch_status(&self) -> StatusWatch {
        let mut status = self.link.status.clone();
        status.mark_unchanged();
        StatusWatch(status)
    }

    /// Sends what is still to be sent, closes the connection and ends all subscriptions. Returns when that is done, or
    /// after five seconds with a broker that does not answer.
    pub async fn close(&self) {
        self.link.close.notify_one();
        let mut status = self.link.status.clone();
        // An error means that the driver is gone already.
        let _ = status.wait_for(|status| matches!(status, Status::Closed(_))).await;
    }
}

impl Link {
    /// Asks and waits for the answer, at most for the request time-out.
    pub(crate) async fn ask(&self, request: Request, payload_bytes: usize) -> Result<Reply, Error> {
        self.in_time(async {
            let charge = self.charge(payload_bytes).await?;
            let (answer, answered) = oneshot::channel();
            self.send(Command::Ask { request, answer, charge })?;
            answered.await.unwrap_or_else(|_| Err(self.end()))
        })
        .await
    }

    /// Queues something to be said.
    pub(crate) async fn tell(&self, request: Request, payload_bytes: usize) -> Result<(), Error> {
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

    /// Why there is no connection any more.
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

/// The error for an answer that does not fit its question, which a working broker never gives.
pub(crate) fn unexpected(reply: &Reply) -> Error {
    tracing::debug!(?reply, "an answer that does not fit its question");
    Error::Rejected {
        code: fanwire_protocol::ErrorCode::Internal,
        message: "the broker's answer does not fit the question".to_owned(),
    }
}
