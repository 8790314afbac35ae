//! A presence event, or the number of subscribers, on its way to the subscribers of a topic.

use bytes::Bytes;
use fanwire_protocol::{ServerFrame, Topic};

use crate::format::{EncodedFrames, Format};
use crate::presence::PresenceEvent;
use crate::rules::SlowPolicy;
use crate::subscribers::SessionKey;

/// One event of the broker's own being delivered. All workers share it, and each format is encoded once.
#[derive(Debug)]
pub struct Notice {
    topic: Topic,
    event: Event,
    /// The worker and session that must not receive it: the one that has just joined.
    pub except: Option<(usize, SessionKey)>,
    /// The rule for sessions that cannot take it.
    pub slow: SlowPolicy,
    frames: EncodedFrames,
}

/// The change that a notice announces.
#[derive(Debug)]
enum Event {
    /// A change of the members.
    Presence(PresenceEvent),
    /// The number of subscribers.
    Subscribers(u64),
}

impl Notice {
    /// A delivery of the number of subscribers to all subscribers of `topic`.
    pub fn of_subscribers(topic: Topic, count: u64, slow: SlowPolicy) -> Self {
        let frames = EncodedFrames::default();
        Self { topic, event: Event::Subscribers(count), except: None, slow, frames }
    }

    /// A delivery of `event` to all subscribers of `topic` but `except`.
    pub fn new(
        topic: Topic,
        event: PresenceEvent,
        except: Option<(usize, SessionKey)>,
        slow: SlowPolicy,
    ) -> Self {
        Self { topic, event: Event::Presence(event), except, slow, frames: EncodedFrames::default() }
    }

    /// Returns the topic of the event.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the encoded event in `format`; empty if the format has no such frame.
    pub fn frame(&self, format: &Format) -> Bytes {
        self.frames.of(format, || {
            let (mut out, topic) = (Vec::new(), self.topic.clone());
            match &self.event {
                Event::Presence(PresenceEvent::Join(member)) => {
                    format.encoder.frame(&ServerFrame::Join { topic, member: member.clone() }, &mut out);
                }
                Event::Presence(PresenceEvent::Leave(member)) => {
                    format.encoder.frame(&ServerFrame::Leave { topic, member: member.clone() }, &mut out);
                }
                Event::Subscribers(count) => format.encoder.subscribers(&topic, *count, &mut out),
            }
            Bytes::from(out)
        })
    }
}
