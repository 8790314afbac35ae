//! Writes MessagePack values, always in the shortest form.

use rmp::encode::ByteBuf;

/// The end of a buffer in memory, where writing cannot fail: the type of rmp's errors has no value.
pub(super) struct Writer(ByteBuf);

impl Writer {
    /// A writer that appends to `bytes`.
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
    pub(super) fn short_text(&mut self, ascii: &[u8]) {
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
