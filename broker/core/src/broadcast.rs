//! A publication on its way to its subscribers, with the frames made of it so far.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fanwire_protocol::{Message, PayloadView};

use crate::format::{EncodedFrames, Format};
use crate::frame::Frame;
use crate::publication::Publication;
use crate::rules::SlowPolicy;
use crate::subscribers::SessionKey;

/// One publication being delivered. All workers share it, so each format is encoded once, by the worker that needs it
/// first. It is dropped after the last delivery; history keeps only the publication.
#[derive(Debug)]
pub struct Broadcast {
    /// The publication to deliver.
    pub publication: Arc<Publication>,
    /// The worker and session that must not receive it.
    pub except: Option<(usize, SessionKey)>,
    /// The rule for sessions that cannot take it.
    pub slow: SlowPolicy,
    /// The message with its MessagePack payload converted to JSON, for all formats that show it as JSON.
    converted: OnceLock<Box<Message>>,
    frames: EncodedFrames,
}

impl Broadcast {
    /// A delivery of `publication` to all subscribers but `except`. Sessions that are too slow for it are closed.
    pub fn new(publication: Arc<Publication>, except: Option<(usize, SessionKey)>) -> Self {
        let (converted, frames) = (OnceLock::new(), EncodedFrames::default());
        Self { publication, except, slow: SlowPolicy::Disconnect, converted, frames }
    }

    /// Returns the same delivery under another policy for slow sessions.
    #[must_use]
    pub fn with_slow(mut self, slow: SlowPolicy) -> Self {
        self.slow = slow;
        self
    }

    /// Returns the encoded publication in `format`.
    pub fn bytes(&self, format: &Format) -> Bytes {
        self.frames.of(format, || {
            let mut out = Vec::with_capacity(self.publication.message.payload.len() + 192);
            format.encoder.message(self.message_for(format), &mut out);
            self.publication.held().bytes_of(out)
        })
    }

    /// Returns the encoded publication in `format` with its topic and position.
    pub fn frame(&self, format: &Format) -> Frame {
        Frame::new(&self.publication, self.bytes(format))
    }

    /// Returns the message with a payload that `format` can write as it is. The conversion that several formats need is
    /// made once.
    fn message_for(&self, format: &Format) -> &Message {
        let message = &self.publication.message;
        let is_foreign = matches!(message.payload.view(), PayloadView::MessagePack(_));
        if !is_foreign || format.keeps_messagepack {
            return message;
        }
        self.converted.get_or_init(|| {
            let payload = message.payload.to_json_payload();
            Box::new(Message { payload, ..message.clone() })
        })
    }
}
