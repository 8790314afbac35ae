//! Word of who came to a topic or left it, on its way to the topic's subscribers.

use std::sync::OnceLock;

use bytes::Bytes;
use fanwire_protocol::{ServerFrame, Topic};

use crate::encoding::Encoding;
use crate::presence::PresenceEvent;
use crate::rules::SlowPolicy;
use crate::subscribers::SessionKey;

/// One movement being told. All workers share it, and each encoding is made once.
#[derive(Debug)]
pub struct Notice {
    topic: Topic,
    movement: PresenceEvent,
    /// The worker and session that must not be told: the one that has just come.
    pub except: Option<(usize, SessionKey)>,
    /// What happens to sessions that cannot take it.
    pub slow: SlowPolicy,
    frames: [OnceLock<Bytes>; Encoding::SHARED],
}

impl Notice {
    /// Begins to tell everybody in `topic` but `except`.
    pub fn new(
        topic: Topic,
        movement: PresenceEvent,
        except: Option<(usize, SessionKey)>,
        slow: SlowPolicy,
    ) -> Self {
        Self { topic, movement, except, slow, frames: [const { OnceLock::new() }; Encoding::SHARED] }
    }

    /// Where it happened.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The notice as it goes over the wire; empty for transports that have no such frames.
    pub fn frame(&self, encoding: Encoding) -> Bytes {
        let Some(index) = encoding.index() else { return Bytes::new() };
        let frame = self.frames[index].get_or_init(|| {
            let topic = self.topic.clone();
            let frame = match self.movement.clone() {
                PresenceEvent::Join(member) => ServerFrame::Join { topic, member },
                PresenceEvent::Leave(member) => ServerFrame::Leave { topic, member },
            };
            let mut out = Vec::new();
            encoding.encode_notice(&frame, &mut out);
            Bytes::from(out)
        });
        frame.clone()
    }
}
