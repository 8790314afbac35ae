//! Writes MessagePack, always in the shortest form, straight into the buffer that is sent.

use rmp::encode::ByteBuf;

use super::from_json;
use crate::{FrameEncoder, Payload, PayloadView};

/// The end of a buffer in memory, where writing cannot fail: the type of rmp's errors has no value.
pub(super) struct Writer(ByteBuf);

impl Writer {
    /// A writer that goes on where `bytes` end.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self(ByteBuf::from_vec(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// Everything written so far.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.0.as_mut_vec()
    }

    pub(super) fn text(&mut self, text: &str) {
        let Ok(()) = rmp::encode::write_str(&mut self.0, text);
    }

    /// Writes a name or a word of the protocol's own, given as the bytes of its ASCII characters. All of them are so short that
    /// their length goes into the first byte.
    #[inline(always)]
    fn short_text(&mut self, ascii: &[u8]) {
        debug_assert!(ascii.len() < 32, "a longer text needs a longer header");
        let bytes = self.bytes_mut();
        bytes.push(rmp::Marker::FixStr(ascii.len() as u8).to_u8());
        bytes.extend_from_slice(ascii);
    }

    pub(super) fn unsigned(&mut self, number: u64) {
        let Ok(_) = rmp::encode::write_uint(&mut self.0, number);
    }

    pub(super) fn signed(&mut self, number: i64) {
        let Ok(_) = rmp::encode::write_sint(&mut self.0, number);
    }

    pub(super) fn float(&mut self, number: f64) {
        let Ok(()) = rmp::encode::write_f64(&mut self.0, number);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        let Ok(()) = rmp::encode::write_bool(&mut self.0, value);
    }

    pub(super) fn nil(&mut self) {
        let Ok(()) = rmp::encode::write_nil(&mut self.0);
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) {
        let Ok(()) = rmp::encode::write_bin(&mut self.0, bytes);
    }

    pub(super) fn array(&mut self, len: u32) {
        let Ok(_) = rmp::encode::write_array_len(&mut self.0, len);
    }

    pub(super) fn map(&mut self, len: u32) {
        let Ok(_) = rmp::encode::write_map_len(&mut self.0, len);
    }
}

/// Appends what `write` writes to `out`.
pub(super) fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut MsgpackEncoder)) {
    let mut encoder = MsgpackEncoder { writer: Writer::after(std::mem::take(out)), fields: 0 };
    write(&mut encoder);
    *out = encoder.writer.into_bytes();
}

/// Writes one frame to the end of a buffer.
pub(super) struct MsgpackEncoder {
    writer: Writer,
    /// How many fields the map being written has so far.
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
