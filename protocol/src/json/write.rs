//! Writes frames in JSON, compact and straight into the buffer that is sent.

use super::from_msgpack;
use super::text::{write_base64, write_clean, write_string};
use crate::encode::FrameEncoder;
use crate::payload::{Payload, PayloadView};

/// Writes one frame to the end of a buffer.
pub(super) struct JsonEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> JsonEncoder<'a> {
    /// An encoder that appends to `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes a field's name. No value ends with `{`, so that byte means that this is the first field. Inlined, so that the
    /// names of a frame, which are all constants, are written in a few stores each.
    #[inline(always)]
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

    #[inline(always)]
    fn string(&mut self, name: &'static str, value: &str) {
        self.name(name);
        write_string(value, self.out);
    }

    #[inline(always)]
    fn word(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        write_clean(value, self.out);
    }

    #[inline(always)]
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
