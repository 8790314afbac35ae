//! A presence event on its way to the subscribers of its topic.

use std::sync::OnceLock;

use bytes::Bytes;
use fanwire_protocol::{ServerFrame, Topic};

use crate::format::{FORMATS_MAX, Format};
use crate::presence::PresenceEvent;
use crate::rules::SlowPolicy;
use crate::subscribers::SessionKey;

/// One presence event being delivered. All workers share it, and each format is encoded once.
#[derive(Debug)]
pub struct Notice {
    topic: Topic,
    event: PresenceEvent,
    /// The worker and session that must not receive it: the one that has just joined.
    pub except: Option<(usize, SessionKey)>,
    /// The rule for sessions that cannot take it.
    pub slow: SlowPolicy,
    /// By the slot of the format.
    frames: [OnceLock<Bytes>; FORMATS_MAX],
}

impl Notice {
    /// A delivery of `event` to all subscribers of `topic` but `except`.
    pub fn new(
        topic: Topic,
        event: PresenceEvent,
        except: Option<(usize, SessionKey)>,
        slow: SlowPolicy,
    ) -> Self {
        Self { topic, event, except, slow, frames: [const { OnceLock::new() }; FORMATS_MAX] }
    }

    /// Returns the topic of the event.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the encoded event in `format`; empty if the format has no such frame.
    pub fn frame(&self, format: &Format) -> Bytes {
        let frame = self.frames[format.slot].get_or_init(|| {
            let topic = self.topic.clone();
            let frame = match self.event.clone() {
                PresenceEvent::Join(member) => ServerFrame::Join { topic, member },
                PresenceEvent::Leave(member) => ServerFrame::Leave { topic, member },
            };
            let mut out = Vec::new();
            format.encoder.frame(&frame, &mut out);
            Bytes::from(out)
        });
        frame.clone()
    }
}
