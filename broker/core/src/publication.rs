//! A publication before and after the broker accepted it.

use std::sync::Arc;

use fanwire_protocol::{Message, Payload, Topic};

use crate::held::{HeldShare, HeldSum};
use crate::keys::IdempotencyKey;
use crate::subscribers::SessionKey;

/// The memory of a publication beside its payload: the counted pointer, the message around the payload, and
/// its entry in the log. Rounded up, so that the cap on memory is kept.
const OVERHEAD_BYTES: usize = 192;

/// The bytes of an entry of a JSON answer beside topic and payload: the names of its members, its position, time and user.
const ENTRY_BYTES: usize = 160;

/// A request to publish: checked, but not accepted yet.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The topic of the publication.
    pub topic: Topic,
    /// The payload, opaque to the broker.
    pub payload: Payload,
    /// The user who publishes, when known.
    pub from: Option<Arc<str>>,
    /// The idempotency key: a second publish with the same key receives the receipt of the first.
    pub key: Option<IdempotencyKey>,
    /// The worker and session that must not receive it: the publisher's own, if it asked for no echo.
    pub except: Option<(usize, SessionKey)>,
}

/// A publication that the broker accepted. It has its position and time, and never changes again.
#[derive(Debug)]
pub struct Publication {
    /// The message that subscribers and readers of history receive.
    pub message: Message,
    /// Its offset within the topic's epoch; here too because messages of topics without history have no position.
    pub offset: u64,
    /// The time at which it was accepted, in microseconds of the broker's monotonic clock.
    pub accepted_us: u64,
    /// Its share of the memory that publications take up.
    held: HeldShare,
}

impl Publication {
    /// A publication of `message` at `offset`, accepted at `accepted_us`. Its memory counts in `held` until it is dropped.
    pub fn new(message: Message, offset: u64, accepted_us: u64, held: &HeldSum) -> Self {
        let held = held.share(Self::cost_of(&message.payload));
        Self { message, offset, accepted_us, held }
    }

    /// Returns the sum in which the publication counts. Frames made of it count there too.
    pub fn held(&self) -> HeldSum {
        self.held.sum()
    }

    /// Returns the memory accounted for the publication, in bytes.
    pub fn cost(&self) -> usize {
        Self::cost_of(&self.message.payload)
    }

    /// Returns an upper bound of the bytes of the publication in an answer that is JSON.
    pub fn encoded_bytes_max(&self) -> usize {
        self.message.payload.json_len_max() + self.message.topic.as_str().len() + ENTRY_BYTES
    }

    /// Returns the memory accounted for a publication of `payload`, in bytes.
    pub fn cost_of(payload: &Payload) -> usize {
        payload.len() + OVERHEAD_BYTES
    }
}
