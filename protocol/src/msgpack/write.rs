//! Writes frames in MessagePack, straight into the buffer that is sent.

use super::from_json;
use super::writer::Writer;
use crate::encode::FrameEncoder;
use crate::payload::{Payload, PayloadView};

/// Appends what `write` writes to `out`.
pub(super) fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut MsgpackEncoder)) {
    let mut encoder = MsgpackEncoder { writer: Writer::after(std::mem::take(out)), fields: 0 };
    write(&mut encoder);
    *out = encoder.writer.into_bytes();
}

/// Writes one frame to the end of a buffer.
pub(super) struct MsgpackEncoder {
    writer: Writer,
    /// The number of fields of the map being written.
    fields: u8,
}

impl MsgpackEncoder {
    /// Inlined, so that the names of a frame, which are all constants, are written in a few stores each.
    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.fields += 1;
        self.writer.short_text(name.as_bytes());
    }
}

impl FrameEncoder for MsgpackEncoder {
    /// The number of fields stands before them and is known after them. No frame has more than the 15 that fit into
    /// the one byte of a short map's header, so that byte is put right at the end.
    fn root(&mut self, write: impl FnOnce(&mut Self)) {
        let header = self.writer.bytes_mut().len();
        self.writer.map(0);
        let outer = std::mem::take(&mut self.fields);
        write(self);
        debug_assert!(self.fields < 16, "a map of more than 15 fields needs a longer header");
        self.writer.bytes_mut()[header] |= self.fields;
        self.fields = outer;
    }

    #[inline(always)]
    fn string(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.writer.text(value);
    }

    #[inline(always)]
    fn word(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.writer.short_text(value);
    }

    #[inline(always)]
    fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.writer.unsigned(value);
    }

    fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.writer.boolean(value);
    }

    fn payload(&mut self, name: &'static str, _name_base64: &'static str, payload: &Payload) {
        self.name(name);
        match payload.view() {
            PayloadView::Text(text) => self.writer.text(text),
            PayloadView::Binary(bytes) => self.writer.binary(bytes),
            PayloadView::Json(text) => from_json::write_value(text, &mut self.writer),
            PayloadView::MessagePack(bytes) => self.writer.bytes_mut().extend_from_slice(bytes),
        }
    }

    fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.root(write);
    }

    fn objects<T>(&mut self, name: &'static str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.name(name);
        let len = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.writer.array(len);
        for item in items.iter().take(len as usize) {
            self.root(|encoder| write(encoder, item));
        }
    }
}
