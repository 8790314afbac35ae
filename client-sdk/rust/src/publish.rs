//! Publishing: what can be a payload, and the request under construction.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_protocol::{Payload, Receipt, Reply, Request};

use crate::error::Error;
use crate::link::{Link, topic, unexpected};

/// A payload that can be published: `&str` and `String` as text, bytes as binary, and any [`Payload`]; JSON with
/// [`Payload::from_json`].
pub trait IntoPayload {
    /// Makes it a payload.
    fn into_payload(self) -> Payload;
}

impl IntoPayload for Payload {
    fn into_payload(self) -> Payload {
        self
    }
}

impl IntoPayload for &str {
    fn into_payload(self) -> Payload {
        Payload::text(self)
    }
}

impl IntoPayload for String {
    fn into_payload(self) -> Payload {
        Payload::text(self)
    }
}

impl IntoPayload for &String {
    fn into_payload(self) -> Payload {
        Payload::text(self.as_str())
    }
}

impl IntoPayload for &[u8] {
    fn into_payload(self) -> Payload {
        Payload::binary(self)
    }
}

impl<const N: usize> IntoPayload for &[u8; N] {
    fn into_payload(self) -> Payload {
        Payload::binary(self.as_slice())
    }
}

impl IntoPayload for Vec<u8> {
    fn into_payload(self) -> Payload {
        Payload::binary(self)
    }
}

impl IntoPayload for Bytes {
    fn into_payload(self) -> Payload {
        Payload::binary(self.as_ref())
    }
}

/// A publish about to be made: await it for the broker's [`Receipt`], or call [`Publish::unacknowledged`].
///
/// When the connection breaks between sending and receipt, the client repeats the publish on the next one, under the same
/// idempotency key: the broker publishes once, and answers the second time with the first receipt
/// ([`Receipt::duplicate`]). A broker remembers a key for five minutes.
///
/// To have many under way at once, spawn or join them: each waits for its own receipt only. They are made in the order in
/// which they were first polled, as long as none has to wait for room: at most 8 MiB are under way.
#[derive(Debug)]
#[must_use = "a publish does nothing until it is awaited"]
pub struct Publish {
    link: Arc<Link>,
    topic: String,
    payload: Result<Payload, Error>,
    key: Key,
    echo: bool,
}

/// Under which idempotency key a publication is asked for.
#[derive(Debug)]
enum Key {
    /// One of the client's making, if it waits for a receipt.
    Made,
    Given(String),
    None,
}

impl Publish {
    pub(crate) fn new(link: Arc<Link>, topic: &str, payload: Payload) -> Self {
        Self::of(link, topic, Ok(payload))
    }

    /// Creates a publish whose payload may be an error, which the caller receives when it awaits.
    pub(crate) fn of(link: Arc<Link>, topic: &str, payload: Result<Payload, Error>) -> Self {
        Self { link, topic: topic.to_owned(), payload, key: Key::Made, echo: true }
    }

    fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Payload::len)
    }

    /// Names the publication, so that publishing it again (within five minutes), even by another client or after a restart
    /// of this one, is answered with the first receipt and otherwise does nothing.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Key::Given(key.into());
        self
    }

    /// Sends the publish once, whatever happens: without a key, a broken connection makes the outcome unknown, and
    /// the error is [`Error::ConnectionLost`].
    pub fn without_key(mut self) -> Self {
        self.key = Key::None;
        self
    }

    /// Whether this client's own subscriptions get the message too; they do if not set.
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// Publishes without asking for a receipt: returns as soon as the message is queued. It is lost without a word
    /// if the connection breaks at the wrong moment; what the broker refuses appears in the log only.
    ///
    /// # Errors
    /// If the topic is none, the queue stays full for the request time-out, or the client is closed.
    pub async fn unacknowledged(self) -> Result<(), Error> {
        let (link, bytes) = (self.link.clone(), self.payload_bytes());
        // A publish that is never repeated needs no key.
        let key = match self.key {
            Key::Given(_) => self.key,
            Key::Made | Key::None => Key::None,
        };
        link.send_unacknowledged(Self { key, ..self }.into_request()?, bytes).await
    }

    async fn acknowledged(self) -> Result<Receipt, Error> {
        let (link, bytes) = (self.link.clone(), self.payload_bytes());
        match link.request(self.into_request()?, bytes).await? {
            Reply::Published(receipt) => Ok(receipt),
            other => Err(unexpected(&other)),
        }
    }

    fn into_request(self) -> Result<Request, Error> {
        let topic = topic(&self.topic)?;
        let key = match self.key {
            Key::Made => Some(self.link.keys.make()),
            Key::Given(key) => Some(key),
            Key::None => None,
        };
        Ok(Request::Publish { topic, payload: self.payload?, key, echo: self.echo })
    }
}

impl IntoFuture for Publish {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.acknowledged())
    }
}
