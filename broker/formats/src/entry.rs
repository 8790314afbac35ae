//! The entries of an HTTP answer in JSON: messages, presence events, and reports of what was missed.

use fanwire_core::format::Encoder;
use fanwire_protocol::{Message, ServerFrame, json};

/// Writes each as one JSON object without separators.
pub(crate) struct Entry;

impl Encoder for Entry {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        json::encode_message_entry(message, out);
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        if let ServerFrame::Join { .. } | ServerFrame::Leave { .. } | ServerFrame::Lagged { .. } = frame {
            json::encode_server(frame, out);
        }
    }
}
