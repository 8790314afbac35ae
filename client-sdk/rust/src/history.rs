//! Reading what a topic still holds.

use std::pin::Pin;
use std::sync::Arc;

use fanwire_protocol::{Message, Position, Reply, Request, Since};

use crate::Error;
use crate::client::{Link, topic, unexpected};

/// A question for a topic's history: await it for one [`HistoryPage`].
#[derive(Debug)]
#[must_use = "nothing is asked until this is awaited"]
pub struct History {
    link: Arc<Link>,
    topic: String,
    since: Option<Since>,
    limit: Option<u32>,
    reverse: bool,
}

/// A part of a topic's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// What was found: oldest first, unless asked in reverse.
    pub messages: Vec<Message>,
    /// The topic's newest position.
    pub position: Position,
    /// Whether there is more in the direction of reading: ask again since the last message's position.
    pub more: bool,
    /// Whether something between the place asked for and the first message is no longer held.
    pub gap: bool,
}

impl History {
    pub(crate) fn new(link: Arc<Link>, topic: &str) -> Self {
        Self { link, topic: topic.to_owned(), since: None, limit: None, reverse: false }
    }

    /// Only what came after this.
    pub fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }

    /// At most so many; the broker has an upper bound of its own.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Newest first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    async fn page(self) -> Result<HistoryPage, Error> {
        let topic = topic(&self.topic)?;
        let request = Request::History { topic, since: self.since, limit: self.limit, reverse: self.reverse };
        match self.link.ask(request, 0).await? {
            Reply::History { position, messages, more, gap, .. } => {
                Ok(HistoryPage { messages, position, more, gap })
            }
            other => Err(unexpected(&other)),
        }
    }
}

impl IntoFuture for History {
    type Output = Result<HistoryPage, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.page())
    }
}
