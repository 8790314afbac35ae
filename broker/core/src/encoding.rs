//! What a publication looks like on the wire of each transport, framing included.
//!
//! This file owns the framing: RFC 6455 §5.2 around WebSocket messages, `data:` lines around Server-Sent Events
//! (WHATWG HTML §9.2). What stands inside is the protocol crate's.

use std::io::Write;

use fanwire_protocol::{Cursor, Message, PayloadView, ServerFrame, Topic, json, msgpack};

/// How a session's publications are written. Each of the shared encodings is made once per publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `message` frames in JSON, each in a WebSocket text frame.
    Json,
    /// `message` frames in MessagePack, each in a WebSocket binary frame.
    MessagePack,
    /// Payloads alone, each in a WebSocket text or binary frame.
    Bare,
    /// Server-Sent Events with the position in `id:`.
    Sse,
    /// Not encoded: the session takes publications and writes something of its own around each.
    Unshared,
}

/// What one Server-Sent Event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// The payload alone.
    Bare,
    /// The whole `message` frame in JSON, for streams over many topics.
    Envelope,
}

const OPCODE_TEXT: u8 = 0x1;
const OPCODE_BINARY: u8 = 0x2;
const FINAL: u8 = 0x80;

/// The bytes left free before a message for its header; most messages need exactly these.
const HEADER_GUESS: usize = 4;

impl Encoding {
    /// How many encodings are shared between sessions.
    pub const SHARED: usize = 4;

    /// The place of a shared encoding in an array of [`Encoding::SHARED`].
    pub fn index(self) -> Option<usize> {
        match self {
            Encoding::Json => Some(0),
            Encoding::MessagePack => Some(1),
            Encoding::Bare => Some(2),
            Encoding::Sse => Some(3),
            Encoding::Unshared => None,
        }
    }

    /// Appends a frame of the broker's own as it goes over the wire. Nothing for transports that have no such frames.
    pub fn encode_server(self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match self {
            Encoding::Json => websocket_text(out, |out| json::encode_server(frame, out)),
            Encoding::MessagePack => websocket_binary(out, |out| msgpack::encode_server(frame, out)),
            Encoding::Bare | Encoding::Sse | Encoding::Unshared => {}
        }
    }

    /// Whether a session that reads this is told things in frames, beside publications.
    pub fn has_frames(self) -> bool {
        matches!(self, Encoding::Json | Encoding::MessagePack)
    }

    /// Appends word of who came or left, a [`ServerFrame::Join`] or [`ServerFrame::Leave`]. Nothing for a bare WebSocket, and
    /// for sessions that are given publications only.
    pub fn encode_notice(self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match (self, frame) {
            (Encoding::Sse, ServerFrame::Join { .. }) => sse_frame(out, "join", frame),
            (Encoding::Sse, ServerFrame::Leave { .. }) => sse_frame(out, "leave", frame),
            _ => self.encode_server(frame, out),
        }
    }

    /// Appends word that the session missed `missed` publications of `topic` because it is slow. A bare WebSocket has no
    /// way to be told.
    pub fn encode_lagged(self, topic: &Topic, missed: u64, out: &mut Vec<u8>) {
        match self {
            Encoding::Json | Encoding::MessagePack => {
                self.encode_server(&ServerFrame::Lagged { topic: Some(topic.clone()), missed }, out);
            }
            Encoding::Sse | Encoding::Unshared => sse_gap(out, topic.as_str(), Some(missed)),
            Encoding::Bare => {}
        }
    }

    /// Appends `message` as it goes over the wire. Nothing for [`Encoding::Unshared`].
    pub fn encode(self, message: &Message, out: &mut Vec<u8>) {
        match self {
            Encoding::Json => websocket_text(out, |out| json::encode_message(message, out)),
            Encoding::MessagePack => websocket_binary(out, |out| msgpack::encode_message(message, out)),
            Encoding::Bare if message.payload.is_binary() => {
                websocket_binary(out, |out| out.extend_from_slice(&message.payload.to_bare()));
            }
            Encoding::Bare => websocket_text(out, |out| out.extend_from_slice(&message.payload.to_bare())),
            Encoding::Sse => {
                let cursor = message.position.map(Cursor::one);
                sse_event(out, message, cursor.as_ref(), MessageFormat::Bare);
            }
            Encoding::Unshared => {}
        }
    }
}

/// Appends what `write` writes as one WebSocket text message.
fn websocket_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    websocket_message(out, OPCODE_TEXT, write);
}

/// Appends what `write` writes as one WebSocket binary message.
fn websocket_binary(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    websocket_message(out, OPCODE_BINARY, write);
}

/// Writes the message behind a gap for its header, then makes the gap fit: the length is known only afterwards, and
/// measuring first would mean encoding twice.
fn websocket_message(out: &mut Vec<u8>, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_GUESS]);
    write(out);
    let length = out.len() - start - HEADER_GUESS;
    let first = FINAL | opcode;
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        out.copy_within(start + HEADER_GUESS.., start + 2);
        out.truncate(start + 2 + length);
        out[start..start + 2].copy_from_slice(&[first, short]);
    } else if let Ok(medium) = u16::try_from(length) {
        let [high, low] = medium.to_be_bytes();
        out[start..start + HEADER_GUESS].copy_from_slice(&[first, 126, high, low]);
    } else {
        let mut header = [0; 10];
        header[..2].copy_from_slice(&[first, 127]);
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        out.splice(start..start + HEADER_GUESS, header);
    }
}

/// Appends `message` as one Server-Sent Event; `cursor` becomes its `id:`.
pub fn sse_event(out: &mut Vec<u8>, message: &Message, cursor: Option<&Cursor>, format: MessageFormat) {
    if let Some(cursor) = cursor {
        writeln!(out, "id: {cursor}").expect("writing to memory does not fail");
    }
    match (format, message.payload.view()) {
        (MessageFormat::Envelope, _) => {
            // A JSON payload is passed on as it was written, line breaks included.
            let mut frame = Vec::new();
            json::encode_message(message, &mut frame);
            sse_data(out, &frame);
        }
        (MessageFormat::Bare, PayloadView::Binary(bytes)) => {
            use base64::Engine;
            out.extend_from_slice(b"event: binary\ndata: ");
            out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
            out.push(b'\n');
        }
        (MessageFormat::Bare, _) => sse_data(out, &message.payload.to_bare()),
    }
    out.push(b'\n');
}

/// Appends the event that says that something of `topic`, or of all topics of a pattern, was lost, and how many if known.
pub fn sse_gap(out: &mut Vec<u8>, topic: &str, missed: Option<u64>) {
    out.extend_from_slice(b"event: gap\ndata: {\"topic\":");
    json::write_string(topic, out);
    if let Some(missed) = missed {
        out.extend_from_slice(format!(",\"missed\":{missed}").as_bytes());
    }
    out.extend_from_slice(b"}\n\n");
}

/// Appends an event that carries a frame of the broker's own. Its JSON is one line.
fn sse_frame(out: &mut Vec<u8>, event: &str, frame: &ServerFrame) {
    out.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
    json::encode_server(frame, out);
    out.extend_from_slice(b"\n\n");
}

/// Appends `data:` lines. Each of CR, LF and CRLF ends a line for the reader, which joins the lines with LF.
fn sse_data(out: &mut Vec<u8>, text: &[u8]) {
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

/// Whether any byte ends a line. All bytes of a block are looked at, which compiles to vector instructions.
fn has_line_break(text: &[u8]) -> bool {
    let is_in = |block: &[u8]| block.iter().fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n'));
    let (blocks, rest) = text.as_chunks::<16>();
    blocks.iter().any(|block| is_in(block)) || is_in(rest)
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Epoch, Payload, Position};

    use super::*;

    fn message(payload: Payload) -> Message {
        let position = Some(Position { epoch: Epoch::from_random(10), offset: 7 });
        Message { topic: "a".parse().unwrap(), payload, position, ts: Some(1), from: None }
    }

    #[test]
    fn websocket_headers_fit_the_length() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = "x".repeat(length);
            let mut out = b"before".to_vec();
            Encoding::Bare.encode(&message(Payload::text(text.as_str())), &mut out);
            assert_eq!(out[6..6 + header.len()], header, "length {length}");
            assert_eq!(&out[6 + header.len()..], text.as_bytes(), "length {length}");
        }
    }

    #[test]
    fn bare_binary_goes_into_a_binary_frame() {
        let mut out = Vec::new();
        Encoding::Bare.encode(&message(Payload::binary([1, 2])), &mut out);
        assert_eq!(out, [0x82, 2, 1, 2]);
    }

    fn check_sse(payload: Payload, expected: &str) {
        let mut out = Vec::new();
        Encoding::Sse.encode(&message(payload), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_line_break_of_a_payload_starts_a_data_line() {
        check_sse(Payload::text("a\nb\r\nc\rd"), "id: a:7\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
        check_sse(Payload::text(""), "id: a:7\ndata: \n\n");
        let long = "x".repeat(40);
        for at in 0..=long.len() {
            let (before, after) = long.split_at(at);
            let payload = Payload::text(format!("{before}\n{after}"));
            check_sse(payload, &format!("id: a:7\ndata: {before}\ndata: {after}\n\n"));
        }
        check_sse(Payload::text(long.as_str()), &format!("id: a:7\ndata: {long}\n\n"));
        check_sse(Payload::text("end\n"), "id: a:7\ndata: end\ndata: \n\n");
    }

    #[test]
    fn binary_is_base64_in_an_event_of_its_own_kind() {
        check_sse(Payload::binary([0, 255]), "id: a:7\nevent: binary\ndata: AP8=\n\n");
    }
}
