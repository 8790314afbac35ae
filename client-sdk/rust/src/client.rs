//! The client that the application holds.

use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::{Member, Payload, Reply, Request};
use serde::Serialize;

use crate::error::Error;
use crate::history::History;
use crate::link::{Link, topic as topic_of, unexpected};
use crate::publish::{IntoPayload, Publish};
use crate::status::{Status, StatusWatch};
use crate::subscription::Subscribe;
use crate::wire::Encoding;

/// A connection to a broker that carries any number of subscriptions and requests, and is made again when it breaks.
///
/// Cloning is cheap; all clones share the connection. It is closed by [`Client::close`], or when the last clone and the
/// last [`Subscription`](crate::subscription::Subscription) are dropped. Needs a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) link: Arc<Link>,
}

/// The members of a topic with presence.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// The members, each user once.
    pub members: Vec<Member>,
    /// Whether there are more than the broker names at once.
    pub more: bool,
}

impl Client {
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

    /// Publishes a value of any type that serde can write, in the encoding of this client: JSON or MessagePack. Await the
    /// result for the broker's receipt. Subscribers read it with [`Message::decode`](fanwire_protocol::Message::decode), over
    /// either encoding.
    pub fn publish_value<T: Serialize + ?Sized>(&self, topic: &str, value: &T) -> Publish {
        let payload = match self.link.encoding {
            Encoding::Json => Payload::json_of(value),
            Encoding::MessagePack => Payload::msgpack_of(value),
        };
        Publish::of(self.link.clone(), topic, payload.map_err(Error::InvalidPayload))
    }

    /// Reads what a topic still holds, to and fro. Await the result for one page, or stream it.
    pub fn history(&self, topic: &str) -> History {
        History::new(self.link.clone(), topic)
    }

    /// Returns the members of a topic, each user once over all connections. Later changes reach the subscriptions of the topic, as
    /// [`Event::Join`](crate::event::Event::Join) and [`Event::Leave`](crate::event::Event::Leave).
    ///
    /// # Errors
    /// If the topic is none or keeps no presence, this client may not ask, or no answer comes in time.
    pub async fn presence(&self, topic: &str) -> Result<Presence, Error> {
        let topic = topic_of(topic)?;
        match self.link.request(Request::Presence { topic }, 0).await? {
            Reply::Presence { members, more, .. } => Ok(Presence { members, more }),
            other => Err(unexpected(&other)),
        }
    }

    /// Continues under a new token, which the client also shows at every later connection. Returns when the token expires, in
    /// seconds since 1970, or `None` if it does not expire.
    ///
    /// # Errors
    /// If the broker refuses the token; then the old one stays.
    pub async fn refresh(&self, token: impl Into<String>) -> Result<Option<u64>, Error> {
        let token = token.into();
        match self.link.request(Request::Refresh { token: token.clone() }, token.len()).await? {
            Reply::Refreshed { expires } => {
                self.link.token.replace(token);
                Ok(expires)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request to the application behind the broker (an RPC callout), and returns its answer.
    ///
    /// # Errors
    /// If the application does not answer or refuses, or if the connection breaks meanwhile: then it is unknown whether the
    /// application received the request, and the client does not repeat it.
    pub async fn request(&self, method: &str, data: impl IntoPayload) -> Result<Payload, Error> {
        let (method, data) = (method.to_owned(), data.into_payload());
        let bytes = data.len();
        match self.link.request(Request::Call { method, data }, bytes).await? {
            Reply::Response { data } => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    /// Measures the round trip to the broker, behind all requests that were made before.
    ///
    /// # Errors
    /// If no answer comes in time, or the client is closed.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let began = tokio::time::Instant::now();
        match self.link.request(Request::Ping, 0).await? {
            Reply::Pong => Ok(began.elapsed()),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the state of the connection.
    pub fn status(&self) -> Status {
        self.link.status.borrow().clone()
    }

    /// Returns a watch over the state of the connection.
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
