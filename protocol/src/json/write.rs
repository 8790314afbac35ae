//! Writes JSON, compact and straight into the buffer that is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::from_msgpack;
use crate::{FrameEncoder, Payload, PayloadView};

/// Writes one frame to the end of a buffer.
pub(super) struct JsonEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> JsonEncoder<'a> {
    /// An encoder that appends to `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes a field's name. No value ends with `{`, so that byte means that this is the first field.
    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl FrameEncoder for JsonEncoder<'_> {
    fn root(&mut self, write: impl FnOnce(&mut Self)) {
        self.out.push(b'{');
        write(self);
        self.out.push(b'}');
    }

    fn string(&mut self, name: &'static str, value: &str) {
        self.name(name);
        write_string(value, self.out);
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn payload(&mut self, name: &'static str, name_base64: &'static str, payload: &Payload) {
        let view = payload.view();
        self.name(if payload.is_binary() { name_base64 } else { name });
        match view {
            PayloadView::Text(text) => write_string(text, self.out),
            PayloadView::Binary(bytes) => write_base64(bytes, self.out),
            PayloadView::Json(text) => self.out.extend_from_slice(text.as_bytes()),
            PayloadView::MessagePack(bytes) => from_msgpack::write_value(bytes, self.out),
        }
    }

    fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.root(write);
    }

    fn objects<T>(&mut self, name: &'static str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.name(name);
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.root(|encoder| write(encoder, item));
        }
        self.out.push(b']');
    }
}

/// Appends `text` as a JSON string. Only what RFC 8259 §7 demands is escaped.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..plain]);
        write_escape(rest[plain], out);
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends `bytes` as a JSON string of standard base64 with padding (RFC 4648 §4).
pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written =
        STANDARD.encode_slice(bytes, &mut out[start..]).expect("base64 has four bytes for every three begun");
    out.truncate(start + written);
    out.push(b'"');
}

/// Where the first byte stands that cannot be in a JSON string as it is. Whole blocks are looked at first, in a form
/// that compiles to vector instructions.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 16;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let clean = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |found, byte| found | needs_escape(*byte)))
        .count()
        * BLOCK;
    bytes[clean..].iter().position(|byte| needs_escape(*byte)).map(|index| clean + index)
}

fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let [high, low] = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_read_back_wherever_it_stands() {
        for code in (0..0x120).chain([0x2028, 0x2029, 0xd7ff, 0xe000, 0xffff, 0x1f600]) {
            let character = char::from_u32(code).unwrap();
            for before in [0, 1, 15, 16, 17, 40] {
                let text = format!("{}{character}b\"", "a".repeat(before));
                let mut out = Vec::new();
                write_string(&text, &mut out);
                let read: String = serde_json::from_slice(&out).unwrap();
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in
            [(&b""[..], "\"\""), (b"a", "\"YQ==\""), (b"ab", "\"YWI=\""), (b"abc", "\"YWJj\"")]
        {
            let mut out = Vec::new();
            write_base64(bytes, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
