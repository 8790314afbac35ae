//! Bare WebSockets: payloads and nothing else.

use fanwire_core::format::Encoder;
use fanwire_protocol::{Message, ServerFrame};

use crate::websocket::{binary_message, text_message};

/// Writes each payload as a text message, or as a binary message if it is binary. There are no frames.
pub(crate) struct Bare;

impl Encoder for Bare {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        if message.payload.is_binary() {
            binary_message(out, |out| out.extend_from_slice(&message.payload.to_bare()));
        } else {
            text_message(out, |out| out.extend_from_slice(&message.payload.to_bare()));
        }
    }

    fn frame(&self, _frame: &ServerFrame, _out: &mut Vec<u8>) {}
}
