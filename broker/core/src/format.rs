//! Formats: the core's view of how publications are written for the clients of one wire format.
//!
//! A format is a slot in the tables of encoded frames and a few properties. An [`Encoder`] writes the bytes. The core
//! knows no concrete format: the `fanwire-formats` crate owns the static table of them, and framing (RFC 6455, Server-Sent
//! Events) is part of an encoder's work. A frame is encoded at most once per slot and then shared, so the call through
//! the encoder is never made per subscriber.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use fanwire_protocol::{Message, ServerFrame, Topic};

/// The number of slots in each table of encoded frames. A format with a higher slot is kept in a list beside the table: the
/// formats of dialects whose number the configuration decides, and of which most publications need none.
pub const FORMATS_MAX: usize = 8;

/// A wire format: the way in which its clients are written to. Formats are static; two formats never share a slot.
pub struct Format {
    /// The index into the tables of encoded frames; from [`FORMATS_MAX`] on, the number in the lists beside them.
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

    /// Appends the number of subscribers of `topic`. Most formats have no such frame.
    fn subscribers(&self, _topic: &Topic, _count: u64, _out: &mut Vec<u8>) {}
}

/// Encoded frames with the slots of their formats.
type FramesBeyond = Mutex<Vec<(usize, Bytes)>>;

/// The encoded frames of one publication or event, once per format. All workers share it.
#[derive(Debug)]
pub struct EncodedFrames {
    /// By the slot of the format.
    table: [OnceLock<Bytes>; FORMATS_MAX],
    /// By the slot of formats beyond the table.
    beyond: OnceLock<Box<FramesBeyond>>,
}

impl Default for EncodedFrames {
    fn default() -> Self {
        Self { table: [const { OnceLock::new() }; FORMATS_MAX], beyond: OnceLock::new() }
    }
}

impl EncodedFrames {
    /// Returns what `encode` writes for `format`, which is called for the first caller only.
    pub fn of(&self, format: &Format, encode: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(frame) = self.table.get(format.slot) {
            return frame.get_or_init(encode).clone();
        }
        let beyond = self.beyond.get_or_init(Box::default);
        let mut frames = beyond.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = frames.iter().find(|(slot, _)| *slot == format.slot) {
            return frame.clone();
        }
        let frame = encode();
        frames.push((format.slot, frame.clone()));
        frame
    }
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

#[cfg(test)]
mod tests {
    use super::testing::{BEYOND, PLAIN};
    use super::{Bytes, EncodedFrames, Format};

    #[test]
    fn every_format_is_encoded_once_whatever_its_slot() {
        let frames = EncodedFrames::default();
        let check = |format: &Format, encoded: &'static str, expected: &'static str| {
            assert_eq!(frames.of(format, || Bytes::from(encoded)), expected);
        };
        check(&PLAIN, "plain", "plain");
        check(&BEYOND[0], "one", "one");
        check(&BEYOND[1], "other", "other");
        for format in [&PLAIN, &BEYOND[0], &BEYOND[1]] {
            let again = frames.of(format, || panic!("encoded twice"));
            assert!(!again.is_empty());
        }
        check(&BEYOND[0], "again", "one");
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

    /// Formats whose slots are beyond the table.
    pub(crate) static BEYOND: [Format; 2] =
        [plain(100, DeliveryMode::Joined), plain(101, DeliveryMode::Joined)];

    /// Handed over one by one.
    pub(crate) static SEPARATE: Format = plain(1, DeliveryMode::Separate);
}
