//! Formats: the core's view of how publications are written for the clients of one wire format.
//!
//! A format is a slot in the tables of encoded frames and a few properties. An [`Encoder`] writes the bytes. The core
//! knows no concrete format: the `fanwire-formats` crate owns the static table of them, and framing (RFC 6455, Server-Sent
//! Events) is part of an encoder's work. A frame is encoded at most once per slot and then shared, so the call through
//! the encoder is never made per subscriber.

use std::fmt;

use fanwire_protocol::{Message, ServerFrame, Topic};

/// The number of slots in each table of encoded frames.
pub const FORMATS_MAX: usize = 8;

/// A wire format: the way in which its clients are written to. Formats are static; two formats never share a slot.
pub struct Format {
    /// The index into the tables of encoded frames, below [`FORMATS_MAX`].
    pub slot: usize,
    /// The name of the format, for logs and metrics.
    pub label: &'static str,
    /// The way in which the deliveries of one tick are handed to a session.
    pub delivery: DeliveryMode,
    /// Whether the format has frames for replies and for requests. If not, what a session receives is named by its URL.
    pub has_frames: bool,
    /// Whether a refused request closes the session, because the format has no frame for an error.
    pub refuses_by_close: bool,
    /// Whether the encoder writes MessagePack payloads as they are. For all others the payload is converted to JSON, once.
    pub keeps_messagepack: bool,
    /// The encoder that writes the bytes.
    pub encoder: &'static dyn Encoder,
}

/// The way in which the deliveries of one tick are handed to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The frames of a topic are joined into one chunk, which all sessions of the format share.
    Joined,
    /// Each frame is handed over with its topic and position: the transport writes something of its own around it.
    Separate,
}

/// Writes the bytes of one format, framing included.
pub trait Encoder: Sync {
    /// Appends `message`, a publication.
    fn message(&self, message: &Message, out: &mut Vec<u8>);

    /// Appends a frame of the broker's own. Appends nothing if the format has no such frame.
    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>);
}

impl Format {
    /// Appends that the session missed `missed` publications of `topic` because it is slow.
    pub fn lagged(&self, topic: &Topic, missed: u64, out: &mut Vec<u8>) {
        self.encoder.frame(&ServerFrame::Lagged { topic: Some(topic.clone()), missed }, out);
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Format({})", self.label)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot
    }
}

/// A format for the unit tests of this crate: payloads, each followed by a space.
#[cfg(test)]
pub(crate) mod testing {
    use super::{DeliveryMode, Encoder, Format, Message, ServerFrame};

    struct Plain;

    impl Encoder for Plain {
        fn message(&self, message: &Message, out: &mut Vec<u8>) {
            out.extend_from_slice(&message.payload.to_bare());
        }

        fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
            if let ServerFrame::Lagged { topic: Some(topic), missed } = frame {
                out.extend_from_slice(format!("<{topic} lagged {missed}>").as_bytes());
            }
        }
    }

    const fn plain(slot: usize, delivery: DeliveryMode) -> Format {
        Format {
            slot,
            label: "plain",
            delivery,
            has_frames: true,
            refuses_by_close: false,
            keeps_messagepack: false,
            encoder: &Plain,
        }
    }

    /// A format whose frames are joined into chunks.
    pub(crate) static PLAIN: Format = plain(0, DeliveryMode::Joined);

    /// Handed over one by one.
    pub(crate) static SEPARATE: Format = plain(1, DeliveryMode::Separate);
}
