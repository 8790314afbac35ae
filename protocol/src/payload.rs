//! Payloads: what a publication carries, opaque to the broker.
//!
//! This file owns what a payload may be and how it is kept: in the encoding it came in. How it is written into a frame
//! of another encoding is the business of [`crate::json`] and [`crate::msgpack`], and conversions stand in
//! `conversion`.

use std::sync::Arc;

/// The maximum depth of arrays and objects in a payload, so that no reader has to recurse further.
pub const PAYLOAD_DEPTH_MAX: usize = 128;

/// Text, binary, or a JSON value other than a string (a JSON string is text). Cloning is cheap.
#[derive(Clone)]
pub struct Payload(Kind);

#[derive(Clone)]
enum Kind {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    /// One valid JSON value that is no string, as it was written.
    Json(Arc<str>),
    /// One valid JSON object that the broker itself has written as the event of a dialect.
    Event(Arc<str>),
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

/// An error of bytes that are not a payload.
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

    /// The payload of an event that the broker writes on behalf of a dialect's client: for every reader the JSON value `text`.
    /// [`Payload::is_event`] tells it from the same text published by any other client.
    ///
    /// # Errors
    /// If `text` is not one JSON value (RFC 8259) or nests too deep.
    pub fn event(text: &str) -> Result<Self, PayloadError> {
        Ok(match Self::from_json(text)?.0 {
            Kind::Json(text) => Self(Kind::Event(text)),
            other => Self(other),
        })
    }

    /// Returns whether the payload was made by [`Payload::event`]. It is not remembered on disk.
    pub fn is_event(&self) -> bool {
        matches!(self.0, Kind::Event(_))
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
            Kind::Json(text) | Kind::Event(text) => PayloadView::Json(text),
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

    /// Returns an upper bound of the bytes that the payload takes in a JSON frame. It is exact for text.
    pub fn json_len_max(&self) -> usize {
        match self.view() {
            PayloadView::Text(text) => 2 + text.bytes().map(escaped_len).sum::<usize>(),
            PayloadView::Json(text) => text.len(),
            PayloadView::Binary(bytes) => 2 + bytes.len().div_ceil(3) * 4,
            // A control character in a str takes six bytes, and no other value grows by more.
            PayloadView::MessagePack(bytes) => bytes.len().saturating_mul(6),
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

/// The bytes that a byte of text takes inside a JSON string (see `json/text.rs`).
fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

impl PartialEq for Payload {
    /// Compares what readers see.
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl std::fmt::Debug for Payload {
    /// Shows the kind and size only: payloads are the users' own and do not belong into logs.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0 {
            Kind::Text(_) => "text",
            Kind::Binary(_) => "binary",
            Kind::Json(_) => "json",
            Kind::Event(_) => "event",
            Kind::MessagePack(_) => "msgpack",
        };
        write!(formatter, "Payload({kind}, {} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_the_json_it_is_and_only_the_broker_makes_one() {
        let (event, same) = (Payload::event(r#"{"event":"a"}"#).unwrap(), r#"{"event":"a"}"#);
        assert!(event.is_event() && event.clone().is_event());
        assert_eq!(event.view(), PayloadView::Json(same));
        let published = Payload::from_json(same).unwrap();
        assert!(!published.is_event());
        assert_eq!(published, event);
        assert!(Payload::event("{").is_err());
    }

    #[test]
    fn the_bound_of_a_json_frame_is_exact_for_text_and_holds_for_all() {
        let written = |payload: &Payload| {
            let message = crate::Message {
                topic: "t".parse().unwrap(),
                payload: payload.clone(),
                position: None,
                ts: None,
                from: None,
            };
            let mut out = Vec::new();
            crate::json::encode_message_entry(&message, &mut out);
            out.len()
        };
        let all: String = (0..0x180).filter_map(char::from_u32).collect();
        let (empty, text) = (Payload::text(""), Payload::text(all));
        assert_eq!(written(&text) - written(&empty), text.json_len_max() - empty.json_len_max());
        let frame = written(&empty) - 2;
        // Past the name of the member that binary payloads have.
        let slack = 16;
        let mut packed = vec![0x93, 0xa3, 1, 1, 1, 0xcb];
        packed.extend_from_slice(&(-1.234_567_890_123_456_7e-300_f64).to_be_bytes());
        packed.push(0xe0);
        for payload in [
            Payload::binary(vec![255; 100]),
            Payload::from_json("{\"a\": [1, 2, 3]}").unwrap(),
            Payload::from_msgpack(&packed).unwrap(),
        ] {
            assert!(written(&payload) <= frame + slack + payload.json_len_max(), "{payload:?}");
        }
    }
}
