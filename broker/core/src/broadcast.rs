//! A publication on its way to its subscribers, with the frames made of it so far.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fanwire_protocol::{Message, PayloadView};

use crate::encoding::Encoding;
use crate::publication::Publication;
use crate::rules::SlowPolicy;
use crate::subscribers::SessionKey;

/// One publication being delivered. All workers share it, so each encoding is made once, by whoever needs it first;
/// it goes when the last delivery is done, and history keeps only the publication.
#[derive(Debug)]
pub struct Broadcast {
    /// What is delivered.
    pub publication: Arc<Publication>,
    /// The worker and session that must not receive it.
    pub except: Option<(usize, SessionKey)>,
    /// What happens to sessions that cannot take it.
    pub slow: SlowPolicy,
    /// The message with its MessagePack payload converted to JSON, for all encodings that show it as JSON.
    converted: OnceLock<Box<Message>>,
    frames: [OnceLock<Bytes>; Encoding::SHARED],
}

impl Broadcast {
    /// Starts the delivery of `publication` to everybody but `except`, who are cut off if they are too slow.
    pub fn new(publication: Arc<Publication>, except: Option<(usize, SessionKey)>) -> Self {
        let frames = [const { OnceLock::new() }; Encoding::SHARED];
        Self { publication, except, slow: SlowPolicy::Disconnect, converted: OnceLock::new(), frames }
    }

    /// The same delivery under another policy for slow sessions.
    #[must_use]
    pub fn with_slow(mut self, slow: SlowPolicy) -> Self {
        self.slow = slow;
        self
    }

    /// The publication as it goes over the wire in `encoding`; empty for [`Encoding::Unshared`].
    pub fn frame(&self, encoding: Encoding) -> Bytes {
        let Some(index) = encoding.index() else { return Bytes::new() };
        let frame = self.frames[index].get_or_init(|| {
            let mut out = Vec::with_capacity(self.publication.message.payload.len() + 192);
            encoding.encode(self.message_for(encoding), &mut out);
            Bytes::from(out)
        });
        frame.clone()
    }

    /// The message with a payload that `encoding` can write as it is. The one conversion that several encodings need is
    /// made once.
    fn message_for(&self, encoding: Encoding) -> &Message {
        let message = &self.publication.message;
        let is_foreign = matches!(message.payload.view(), PayloadView::MessagePack(_));
        if !is_foreign || encoding == Encoding::MessagePack {
            return message;
        }
        self.converted.get_or_init(|| {
            let payload = message.payload.to_json_payload();
            Box::new(Message { payload, ..message.clone() })
        })
    }
}
