//! Payloads: what a publication carries, opaque to the broker.
//!
//! This file owns what a payload may be and how it is kept: in the encoding it came in. How it is written into a frame
//! of another encoding is the business of [`crate::json`] and [`crate::msgpack`], and conversions stand in
//! `conversion`.

use std::sync::Arc;

/// How deep arrays and objects in a payload may nest, so that no reader has to recurse further.
pub const PAYLOAD_DEPTH_MAX: usize = 128;

/// Text, binary, or a JSON value other than a string (a JSON string is text). Cloning is cheap.
#[derive(Clone, PartialEq)]
pub struct Payload(Kind);

#[derive(Clone, PartialEq)]
enum Kind {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    /// One valid JSON value that is no string, as it was written.
    Json(Arc<str>),
    /// One valid MessagePack value that is neither str nor bin and contains no ext, as it was written.
    MessagePack(Arc<[u8]>),
}

/// A view of a [`Payload`] in the encoding it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadView<'a> {
    /// The text of the payload.
    Text(&'a str),
    /// The bytes of the payload.
    Binary(&'a [u8]),
    /// The text of a JSON value that is no string.
    Json(&'a str),
    /// The bytes of a MessagePack value that is neither str nor bin.
    MessagePack(&'a [u8]),
}

/// Why bytes are not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not one JSON value.
    #[error("the payload is not valid JSON: {0}")]
    Json(String),
    /// Not one MessagePack value.
    #[error("the payload is not valid MessagePack: {0}")]
    MessagePack(&'static str),
    /// Nested deeper than [`PAYLOAD_DEPTH_MAX`].
    #[error("the payload nests deeper than {PAYLOAD_DEPTH_MAX} levels")]
    TooDeep,
    /// A value that serde cannot write as a payload, or a payload that is not of the type asked for.
    #[error("the payload does not fit the type: {0}")]
    Type(String),
    /// A MessagePack ext value, which JSON subscribers could not be given.
    #[error("MessagePack ext values cannot be published: JSON has nothing to show them as")]
    Ext,
}

impl Payload {
    /// Creates a text payload.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self(Kind::Text(text.into()))
    }

    /// Creates a binary payload.
    pub fn binary(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Kind::Binary(bytes.into()))
    }

    /// Keeps a JSON value already known to be valid, shallow enough and no string.
    pub(crate) fn json_unchecked(text: &str) -> Self {
        Self(Kind::Json(Arc::from(text)))
    }

    /// Keeps a MessagePack value already known to be valid, shallow enough, without ext and neither str nor bin.
    pub(crate) fn msgpack_unchecked(bytes: &[u8]) -> Self {
        Self(Kind::MessagePack(Arc::from(bytes)))
    }

    /// The payload in the encoding it came in.
    pub fn view(&self) -> PayloadView<'_> {
        match &self.0 {
            Kind::Text(text) => PayloadView::Text(text),
            Kind::Binary(bytes) => PayloadView::Binary(bytes),
            Kind::Json(text) => PayloadView::Json(text),
            Kind::MessagePack(bytes) => PayloadView::MessagePack(bytes),
        }
    }

    /// The size of the payload as it came in, in bytes.
    pub fn len(&self) -> usize {
        match self.view() {
            PayloadView::Text(text) | PayloadView::Json(text) => text.len(),
            PayloadView::Binary(bytes) | PayloadView::MessagePack(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is the empty text or empty binary.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the payload is binary, and so needs a binary WebSocket frame or base64 where only text can go.
    pub fn is_binary(&self) -> bool {
        matches!(self.0, Kind::Binary(_))
    }
}

impl std::fmt::Debug for Payload {
    /// Shows the kind and size only: payloads are the users' own and do not belong into logs.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0 {
            Kind::Text(_) => "text",
            Kind::Binary(_) => "binary",
            Kind::Json(_) => "json",
            Kind::MessagePack(_) => "msgpack",
        };
        write!(formatter, "Payload({kind}, {} bytes)", self.len())
    }
}
