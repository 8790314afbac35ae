//! A message with a long payload, encoded as an entry of an answer part by part: escaped text can be six times as long as the
//! text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_formats::ENTRY;
use fanwire_protocol::{Message, Payload, PayloadView, json};

/// The length in bytes of the parts of a payload. A multiple of three, so that base64 needs no padding in between.
pub(super) const PART_BYTES: usize = 12 * 1024;

/// An entry whose payload is being written.
pub(super) struct LongMessage {
    /// The bytes before the payload; empty once they are written.
    head: Vec<u8>,
    payload: Payload,
    /// The number of payload bytes that are written.
    at: usize,
}

impl LongMessage {
    /// An entry of `message`.
    pub(super) fn new(message: &Message) -> Self {
        let payload = message.payload.to_json_payload();
        let (placeholder, tail) = match payload.view() {
            PayloadView::Binary(_) => (Payload::binary([]), END_OF_TEXT.len()),
            PayloadView::Text(_) => (Payload::text(""), END_OF_TEXT.len()),
            PayloadView::Json(_) | PayloadView::MessagePack(_) => {
                (Payload::from_json("null").expect("null is JSON"), b"null}".len())
            }
        };
        let mut head = Vec::new();
        ENTRY.encoder.message(&Message { payload: placeholder, ..message.clone() }, &mut head);
        // The payload is the last field of an entry.
        head.truncate(head.len() - tail);
        Self { head, payload, at: 0 }
    }

    /// Appends the next part. Returns whether it was the last.
    pub(super) fn write_part(&mut self, out: &mut Vec<u8>) -> bool {
        out.append(&mut self.head);
        match self.payload.view() {
            PayloadView::Text(text) => {
                let mut end = (self.at + PART_BYTES).min(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                let start = out.len();
                json::write_string(&text[self.at..end], out);
                // The quotes stand around the whole, not around each part.
                out.pop();
                out.remove(start);
                self.at = end;
                self.end_with(END_OF_TEXT, out)
            }
            PayloadView::Binary(bytes) => {
                let end = (self.at + PART_BYTES).min(bytes.len());
                let encoded = STANDARD.encode(&bytes[self.at..end]);
                out.extend_from_slice(encoded.as_bytes());
                self.at = end;
                self.end_with(END_OF_TEXT, out)
            }
            PayloadView::Json(text) => {
                let end = (self.at + PART_BYTES).min(text.len());
                out.extend_from_slice(&text.as_bytes()[self.at..end]);
                self.at = end;
                self.end_with(b"}", out)
            }
            PayloadView::MessagePack(_) => unreachable!("it was converted to JSON"),
        }
    }

    fn end_with(&self, end: &[u8], out: &mut Vec<u8>) -> bool {
        let is_last = self.at == self.payload.len();
        if is_last {
            out.extend_from_slice(end);
        }
        is_last
    }
}

/// The bytes after a payload in quotes.
const END_OF_TEXT: &[u8] = b"\"}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_long_message_are_the_whole_entry() {
        let control = "\u{1}".repeat(PART_BYTES + 7);
        let wide = "aä€😀\"\\\n".repeat(PART_BYTES);
        for payload in [
            Payload::text(control.as_str()),
            Payload::text(wide.as_str()),
            Payload::binary(vec![7; 3 * PART_BYTES + 1]),
            Payload::from_json(&format!("[\"{}\"]", "x".repeat(2 * PART_BYTES))).unwrap(),
            Payload::from_msgpack(&[&[0x91, 0xda, 0x80, 0][..], &[b'y'; 0x8000]].concat()).unwrap(),
            Payload::text(""),
        ] {
            let message =
                Message { topic: "a".parse().unwrap(), payload, position: None, ts: Some(1), from: None };
            let mut expected = Vec::new();
            ENTRY.encoder.message(&message, &mut expected);
            let mut long = LongMessage::new(&message);
            let mut parts = Vec::new();
            while !long.write_part(&mut parts) {}
            assert_eq!(String::from_utf8(parts).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}
