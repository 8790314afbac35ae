//! The protocol in JSON over WebSockets.

use fanwire_core::format::Encoder;
use fanwire_protocol::{Message, ServerFrame, json};

use crate::websocket::text_message;

/// Writes each frame as a JSON object in a text message.
pub(crate) struct Json;

impl Encoder for Json {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        text_message(out, |out| json::encode_message(message, out));
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        text_message(out, |out| json::encode_server(frame, out));
    }
}
