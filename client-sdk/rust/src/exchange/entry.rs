//! One subscription as the exchange keeps it.

use fanwire_protocol::{Pattern, Position, SubscribeOptions};
use tokio::sync::oneshot;

use super::Key;
use crate::error::Error;
use crate::event::Event;
use crate::progress::{Joined, Progress};
use crate::queue::{Pushed, Sender};

/// The state of a subscription at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: there is no connection.
    Offline,
    /// It was asked for it with this request and has not answered.
    Asked {
        /// The `id` of the request.
        id: u32,
    },
    /// The broker sends its messages.
    Live,
    /// Nothing: the reader is too slow, and is given time.
    Paused,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) serial: u64,
    pub(super) state: State,
    pub(super) sender: Sender,
    pub(super) progress: Progress,
    /// Whether a loss must still be reported to the reader.
    pub(super) loses: bool,
    /// The caller that waits for the first `subscribed`.
    answer: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Entry {
    pub(super) fn new(
        serial: u64,
        pattern: &Pattern,
        options: SubscribeOptions,
        sender: Sender,
        answer: oneshot::Sender<Result<(), Error>>,
    ) -> Self {
        let progress = Progress::new(pattern, options);
        Self { serial, state: State::Offline, sender, progress, loses: false, answer: Some(answer) }
    }

    /// Whether the client must send `unsubscribe` when the subscription ends.
    pub(super) fn is_known_to_broker(&self) -> bool {
        matches!(self.state, State::Asked { .. } | State::Live)
    }

    /// Whether the application waits for the subscription to begin.
    pub(super) fn is_awaited(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }

    /// Whether the broker has ever accepted the subscription.
    pub(super) fn was_joined(&self) -> bool {
        self.answer.is_none()
    }

    /// The subscription's key, if it is to get what arrives now. Before the broker's `subscribed` whatever arrives was
    /// meant for another subscription, or for this one before it was paused.
    pub(super) fn live_key(&self, pattern: &Pattern) -> Option<Key> {
        (self.state == State::Live).then(|| Key { pattern: pattern.clone(), serial: self.serial })
    }

    /// Takes note of the broker's `subscribed`; whether something was lost.
    pub(super) fn joined(&mut self, position: Option<Position>, recovered: bool) -> bool {
        self.state = State::Live;
        let joined = self.progress.joined(position, recovered);
        if let Some(answer) = self.answer.take() {
            // The caller may be gone; then so is its end of the queue, and the next sweep finds it.
            let _ = answer.send(Ok(()));
        }
        joined == Joined::Lossy || std::mem::take(&mut self.loses)
    }

    /// Puts an event into the queue, unless it is a message the reader has had.
    pub(super) fn push(&mut self, event: Event) -> Pushed {
        let Event::Message(message) = &event else { return self.sender.try_push(event) };
        let (topic, position) = (message.topic.clone(), message.position);
        if !self.progress.is_new(&topic, position) {
            return Pushed::Done;
        }
        let pushed = self.sender.try_push(event);
        if matches!(pushed, Pushed::Done) {
            self.progress.delivered(&topic, position);
        }
        pushed
    }

    /// Ends the subscription. The reader receives the reason, unless this side ended it.
    pub(super) fn end(self, error: Error) {
        if let Some(answer) = self.answer {
            let _ = answer.send(Err(error));
        } else if !matches!(error, Error::Closed) {
            self.sender.push_last(Event::Ended(error));
        }
    }
}
