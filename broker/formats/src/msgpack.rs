//! The protocol in MessagePack over WebSockets.

use fanwire_core::format::Encoder;
use fanwire_protocol::{Message, ServerFrame, msgpack};

use crate::websocket::binary_message;

/// Writes each frame as a MessagePack map in a binary message.
pub(crate) struct MessagePack;

impl Encoder for MessagePack {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        binary_message(out, |out| msgpack::encode_message(message, out));
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        binary_message(out, |out| msgpack::encode_server(frame, out));
    }
}
