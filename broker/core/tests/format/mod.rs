//! A format for tests: each publication is an event with its position in `id:` and its text in `data:`.

use std::io::Write;

use fanwire_core::format::{DeliveryMode, Encoder, Format};
use fanwire_protocol::{Cursor, Message, ServerFrame};

struct Events;

impl Encoder for Events {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        if let Some(position) = message.position {
            writeln!(out, "id: {}", Cursor::one(position)).expect("writing to memory does not fail");
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&message.payload.to_bare());
        out.extend_from_slice(b"\n\n");
    }

    fn frame(&self, _frame: &ServerFrame, _out: &mut Vec<u8>) {}
}

/// The format of all sessions in these tests.
pub(crate) static EVENTS: Format = Format {
    slot: 0,
    label: "events",
    delivery: DeliveryMode::Joined,
    has_frames: false,
    refuses_by_close: false,
    keeps_messagepack: false,
    encoder: &Events,
};
