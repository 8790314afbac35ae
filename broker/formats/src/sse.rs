//! Server-Sent Events (WHATWG HTML §9.2): events and their framing.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_core::format::Encoder;
use fanwire_protocol::{Cursor, Member, Message, PayloadView, ServerFrame, Topic, json};

/// Writes bare payloads with the position in `id:`.
pub(crate) struct OneTopic;

/// Writes bare payloads without `id:`.
pub(crate) struct Payloads;

/// Writes `message` frames without `id:`.
pub(crate) struct Envelopes;

impl Encoder for OneTopic {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        if let Some(position) = message.position {
            id(out, &Cursor::one(position));
        }
        payload_event(message, out);
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        frame_event(frame, out);
    }
}

impl Encoder for Payloads {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        payload_event(message, out);
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        frame_event(frame, out);
    }
}

impl Encoder for Envelopes {
    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        envelope_event(message, out);
    }

    fn frame(&self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match frame {
            // Among envelopes a message needs no event type of its own.
            ServerFrame::Message(message) => envelope_event(message, out),
            _ => frame_event(frame, out),
        }
    }
}

/// Appends the `id:` line of the event that follows.
pub fn id(out: &mut Vec<u8>, cursor: &Cursor) {
    writeln!(out, "id: {cursor}").expect("writing to memory does not fail");
}

/// Appends the event that reports that publications of `topic`, or of all topics of a pattern, were lost, and how many if that
/// is known.
pub fn gap(out: &mut Vec<u8>, topic: &str, missed: Option<u64>) {
    out.extend_from_slice(b"event: gap\ndata: {\"topic\":");
    json::write_string(topic, out);
    if let Some(missed) = missed {
        out.extend_from_slice(format!(",\"missed\":{missed}").as_bytes());
    }
    out.extend_from_slice(b"}\n\n");
}

/// Appends the payload of `message` as one event.
fn payload_event(message: &Message, out: &mut Vec<u8>) {
    if let PayloadView::Binary(bytes) = message.payload.view() {
        out.extend_from_slice(b"event: binary\ndata: ");
        out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        out.push(b'\n');
    } else {
        data(out, &message.payload.to_bare());
    }
    out.push(b'\n');
}

/// Appends the `message` frame of `message` as one event.
fn envelope_event(message: &Message, out: &mut Vec<u8>) {
    // A JSON payload is passed on as it was written, line breaks included.
    let mut frame = Vec::new();
    json::encode_message(message, &mut frame);
    data(out, &frame);
    out.push(b'\n');
}

/// Appends the event of a frame of the broker's own, if there is one.
fn frame_event(frame: &ServerFrame, out: &mut Vec<u8>) {
    match frame {
        ServerFrame::Join { topic, member } => member_event(out, "join", topic, member),
        ServerFrame::Leave { topic, member } => member_event(out, "leave", topic, member),
        ServerFrame::Lagged { topic, missed } => {
            gap(out, topic.as_ref().map_or("", Topic::as_str), Some(*missed));
        }
        ServerFrame::Message(message) => {
            // Among bare payloads a message to this session alone has a type of its own.
            out.extend_from_slice(b"event: direct\n");
            envelope_event(message, out);
        }
        _ => {}
    }
}

/// Appends a presence event. Its JSON is the frame's without `type`, which the event type says.
fn member_event(out: &mut Vec<u8>, event: &str, topic: &Topic, member: &Member) {
    out.extend_from_slice(format!("event: {event}\n").as_bytes());
    let mut json = Vec::new();
    json::encode_member_event(topic, member, &mut json);
    data(out, &json);
    out.push(b'\n');
}

/// Appends `data:` lines. Each of CR, LF and CRLF ends a line for the reader, which joins the lines with LF.
fn data(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    if !has_line_break(text) {
        out.reserve(text.len() + b"data: \n\n".len());
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(text);
        return out.push(b'\n');
    }
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        out.push(b'\n');
        let Some(end) = end else { return };
        let line_break = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + line_break..];
    }
}

/// Returns whether any byte ends a line. Compiles to vector instructions.
fn has_line_break(text: &[u8]) -> bool {
    let is_in = |block: &[u8]| block.iter().fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n'));
    let (blocks, rest) = text.as_chunks::<16>();
    blocks.iter().any(|block| is_in(block)) || is_in(rest)
}
