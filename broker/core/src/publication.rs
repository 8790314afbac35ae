//! A publication before and after the broker accepted it.

use std::sync::Arc;

use fanwire_protocol::{Message, Payload, Topic};

use crate::subscribers::SessionKey;

/// What a publication costs in memory beside its payload: the counted pointer, the message around the payload, and
/// its place in the log. Rounded up, so that the cap on history errs on the safe side.
const OVERHEAD_BYTES: usize = 192;

/// A publication that is asked for: checked, but not accepted yet.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Where to.
    pub topic: Topic,
    /// What.
    pub payload: Payload,
    /// Who publishes, when known.
    pub from: Option<Arc<str>>,
    /// Idempotency key: a second publish with the same key is given the receipt of the first.
    pub key: Option<String>,
    /// The worker and session that must not receive it: the sender's own, when it asked for no echo.
    pub except: Option<(usize, SessionKey)>,
}

/// A publication the broker accepted: it has its place and time and never changes again.
#[derive(Debug)]
pub struct Publication {
    /// What subscribers and readers of history see.
    pub message: Message,
    /// Its offset within the topic's epoch; kept here too because topics without history do not show theirs.
    pub offset: u64,
    /// When it was accepted, in microseconds of the broker's monotonic clock.
    pub accepted_us: u64,
}

impl Publication {
    /// The memory the publication is accounted for, in bytes.
    pub fn cost(&self) -> usize {
        Self::cost_of(&self.message.payload)
    }

    /// The memory a publication of `payload` is accounted for, in bytes.
    pub fn cost_of(payload: &Payload) -> usize {
        payload.len() + OVERHEAD_BYTES
    }
}
