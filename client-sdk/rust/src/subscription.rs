//! Subscriptions: the request under construction, and the stream of events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fanwire_protocol::{Pattern, Position, Since, SubscribeOptions};
use futures_core::Stream;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::Event;
use crate::exchange::Command;
use crate::link::{Link, pattern};
use crate::queue::{Receiver, SUBSCRIPTION_BUFFER_BYTES, queue};

/// A subscription about to be made: await it for the [`Subscription`].
#[derive(Debug)]
#[must_use = "nothing is subscribed to until this is awaited"]
pub struct Subscribe {
    link: Arc<Link>,
    topic: String,
    options: SubscribeOptions,
    buffer_bytes: u32,
}

impl Subscribe {
    pub(crate) fn new(link: Arc<Link>, topic: &str) -> Self {
        let options = SubscribeOptions::default();
        Self { link, topic: topic.to_owned(), options, buffer_bytes: SUBSCRIPTION_BUFFER_BYTES }
    }

    /// Begins after this: with everything the topic still holds ([`Since::Earliest`]), where the application left off
    /// ([`Since::Position`], [`Since::Cursor`]), or with what was published since a moment ([`Since::Time`]). If that is
    /// no longer held, the first event is [`Event::Lost`].
    /// Plain topics only. Takes the place of [`Subscribe::last`].
    pub fn since(mut self, since: Since) -> Self {
        self.options.since = Some(since);
        self.options.last = None;
        self
    }

    /// Begins with the newest so many messages. Plain topics only. Takes the place of [`Subscribe::since`].
    pub fn last(mut self, count: u32) -> Self {
        self.options.last = Some(count);
        self.options.since = None;
        self
    }

    /// A token for this one subscription.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.token = Some(token.into());
        self
    }

    /// Sets the maximum size of messages that wait to be read, in bytes; 4 MiB by default. See [`Subscription`] for what happens then.
    pub fn buffer_bytes(mut self, bytes: u32) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    async fn begin(self) -> Result<Subscription, Error> {
        let pattern = pattern(&self.topic)?;
        let (sender, events) = queue(self.buffer_bytes, self.link.attention.clone());
        let (answer, answered) = oneshot::channel();
        let link = self.link.clone();
        // Should this end early, `events` is dropped, and with it the subscription.
        link.in_time(async {
            let command =
                Command::Subscribe { pattern: pattern.clone(), options: self.options, sender, answer };
            link.send(command)?;
            answered.await.unwrap_or_else(|_| Err(link.end()))
        })
        .await?;
        Ok(Subscription { pattern, events, position: None, _link: self.link })
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}

/// The events of a topic or pattern, as a [`Stream`]. Dropping it unsubscribes.
///
/// # Broken connections
/// The client connects again and resumes from the last message, so that a topic with history loses and repeats
/// nothing. Where something was lost after all, the stream says so with [`Event::Lost`].
///
/// # Slow readers
/// What was received and not yet read is bounded in bytes. When the bound is reached, the client stops reading from
/// the connection, and so slows down the broker. It does so for at most 5 seconds, or a fifth of a second while the
/// application waits for an answer on the same connection, because answers and other subscriptions are behind what is
/// not read. Then it takes only this subscription off the broker, and resumes it from its last message as soon as half
/// of the buffer has been read; if the topic no longer holds all that came meanwhile, [`Event::Lost`] says so.
#[derive(Debug)]
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    pattern: Pattern,
    events: Receiver,
    position: Option<Position>,
    /// Keeps the connection while the subscription lives.
    _link: Arc<Link>,
}

impl Subscription {
    /// Returns the topic or pattern of the subscription.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Returns the position of the last message that was yielded; `None` before the first, and for messages without a position. An
    /// application that stores it can resume there later, with [`Subscribe::since`].
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next event; `None` when the client was closed, and after [`Event::Ended`].
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = ready!(self.events.poll_next(context));
        if let Some(Event::Message(message)) = &event {
            self.position = message.position;
        }
        Poll::Ready(event)
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(context)
    }
}
