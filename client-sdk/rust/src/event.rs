//! The events of a subscription.

use fanwire_protocol::{Member, Message, Topic};

use crate::error::Error;

/// An event of a [`Subscription`](crate::subscription::Subscription).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A publication. Each one with a position is yielded once, in the topic's order, however often the connection
    /// breaks in between.
    Message(Message),
    /// Between the message before this and the one after it, something was or may have been published that will not
    /// be delivered: the topic no longer held it when the client came back, the subscription is a pattern (patterns
    /// cannot be resumed), or the broker skipped messages for a reader that was too slow.
    Lost {
        /// The number of messages, if the broker counted them.
        missed: Option<u64>,
    },
    /// A user's first connection joined the topic, which keeps presence. Changes while this client was
    /// disconnected are not reported: call [`Client::presence`](crate::client::Client::presence) after each reconnect.
    Join {
        /// The topic of the event.
        topic: Topic,
        /// The member that joined.
        member: Member,
    },
    /// A user's last connection left.
    Leave {
        /// The topic of the event.
        topic: Topic,
        /// The member that left.
        member: Member,
    },
    /// The subscription ended, and not because this side wanted it to. Nothing comes after this.
    Ended(Error),
}

impl Event {
    /// The message, if this is one.
    pub fn into_message(self) -> Option<Message> {
        match self {
            Event::Message(message) => Some(message),
            _ => None,
        }
    }
}
