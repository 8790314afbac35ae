//! Reading what a topic still holds.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanwire_protocol::{Message, Position, Reply, Request, Since};
use futures_core::Stream;

use crate::error::Error;
use crate::event::Event;
use crate::link::{Link, topic, unexpected};

/// A question for a topic's history: await it for one [`HistoryPage`], or [stream](History::stream) it.
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until this is awaited or streamed"]
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
    /// The messages, oldest first unless read in reverse.
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

    /// Only what came after this; in reverse, only what came before it.
    pub fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }

    /// At most so many in one page, from 1; the broker has an upper bound of its own.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Reads the newest messages first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Reads page after page by itself, as the application takes the messages, to the end of what was held when it began.
    pub fn stream(self) -> HistoryStream {
        HistoryStream { next: Next::Ask(self), end: None, messages: VecDeque::new() }
    }

    async fn page(self) -> Result<HistoryPage, Error> {
        let topic = topic(&self.topic)?;
        let request = Request::History { topic, since: self.since, limit: self.limit, reverse: self.reverse };
        match self.link.request(request, 0).await? {
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

/// A topic's history as a [`Stream`], from [`History::stream`].
///
/// It yields each message as [`Event::Message`], in the order of reading. [`Event::Lost`] says that something right after
/// it is no longer held, and [`Event::Ended`] that the reading failed; nothing comes after that. A connection that breaks
/// is waited for, and loses and repeats nothing.
#[must_use = "nothing is asked until this is polled"]
pub struct HistoryStream {
    next: Next,
    /// The newest position at the first page: what is published while reading is not read.
    end: Option<Position>,
    messages: VecDeque<Message>,
}

/// The next step after the messages of this page.
enum Next {
    Ask(History),
    Asked(History, Pin<Box<dyn Future<Output = Result<HistoryPage, Error>> + Send>>),
    Nothing,
}

impl HistoryStream {
    /// The next event; `None` at the end.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Poll::Ready(Some(Event::Message(message)));
            }
            match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => return Poll::Ready(None),
                Next::Ask(question) => {
                    let page = question.clone().into_future();
                    self.next = Next::Asked(question, page);
                }
                Next::Asked(question, mut page) => {
                    let Poll::Ready(outcome) = page.as_mut().poll(context) else {
                        self.next = Next::Asked(question, page);
                        return Poll::Pending;
                    };
                    match outcome.map(|page| self.take(question, page)) {
                        Ok(true) => return Poll::Ready(Some(Event::Lost { missed: None })),
                        Ok(false) => {}
                        Err(error) => return Poll::Ready(Some(Event::Ended(error))),
                    }
                }
            }
        }
    }

    /// Takes in a page and decides what to ask next; whether something before the page is lost.
    fn take(&mut self, mut question: History, page: HistoryPage) -> bool {
        let is_new_epoch = self.end.is_some_and(|end| end.epoch != page.position.epoch);
        if is_new_epoch && question.reverse {
            // The topic now holds only publications that are newer than everything read; the older ones are gone.
            return true;
        }
        let end = *self.end.get_or_insert(page.position);
        let end = if is_new_epoch { page.position } else { end };
        self.end = Some(end);
        let last = page.messages.last().and_then(|message| message.position);
        let is_past_end = |message: &Message| {
            !question.reverse && message.position.is_some_and(|position| position.is_after(end) == Some(true))
        };
        let is_at_end = page.messages.last().is_none_or(is_past_end);
        self.messages.extend(page.messages.into_iter().take_while(|message| !is_past_end(message)));
        if let Some(last) = last.filter(|_| page.more && !is_at_end) {
            question.since = Some(Since::Position(last));
            self.next = Next::Ask(question);
        }
        page.gap
    }
}

impl Stream for HistoryStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(context)
    }
}

impl fmt::Debug for HistoryStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HistoryStream").field("end", &self.end).finish_non_exhaustive()
    }
}
