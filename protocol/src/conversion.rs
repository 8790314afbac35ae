//! Converts payloads: from and to JSON, MessagePack, and the bare bytes of a transport without frames.
//!
//! It stands above both encodings, so that neither they nor the payload know the other.

use std::borrow::Cow;

use crate::json;
use crate::msgpack;
use crate::payload::{Payload, PayloadError, PayloadView};

impl Payload {
    /// The payload that a JSON text stands for: text if it is a string, else the value exactly as it is written.
    ///
    /// # Errors
    /// If `text` is not one JSON value (RFC 8259) or nests too deep.
    pub fn from_json(text: &str) -> Result<Self, PayloadError> {
        json::payload_from_json(text)
    }

    /// The payload that a MessagePack value stands for: text for str, binary for bin, else the value as it is written.
    ///
    /// # Errors
    /// If `bytes` are not one MessagePack value, nest too deep, or hold an ext value.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, PayloadError> {
        msgpack::payload_from_msgpack(bytes)
    }

    /// The same payload as JSON readers are given it: a MessagePack value becomes a JSON value, anything else stays as it is.
    #[must_use]
    pub fn to_json_payload(&self) -> Payload {
        match self.view() {
            PayloadView::MessagePack(bytes) => Self::json_unchecked(&json::from_msgpack_value(bytes)),
            _ => self.clone(),
        }
    }

    /// The payload with nothing around it: text and binary as they are, any other value as JSON text.
    pub fn to_bare(&self) -> Cow<'_, [u8]> {
        match self.view() {
            PayloadView::Text(text) | PayloadView::Json(text) => Cow::Borrowed(text.as_bytes()),
            PayloadView::Binary(bytes) => Cow::Borrowed(bytes),
            PayloadView::MessagePack(bytes) => Cow::Owned(json::from_msgpack_value(bytes).into_bytes()),
        }
    }
}
