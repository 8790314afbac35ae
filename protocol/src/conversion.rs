//! Converts payloads: from and to JSON, MessagePack, and the bare bytes of a transport without frames.
//!
//! It stands above both encodings, so that neither they nor the payload know the other.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, SeqDeserializer, StrDeserializer};

use crate::frame::Message;
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

    /// Writes `value` as a JSON payload: text if it is a string, else the JSON value.
    ///
    /// # Errors
    /// [`PayloadError::Type`] if serde cannot write the value as JSON, such as a map whose keys are lists;
    /// [`PayloadError::TooDeep`] if it nests too deep.
    pub fn json_of<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let text = serde_json::to_string(value).map_err(|error| PayloadError::Type(error.to_string()))?;
        Self::from_json(&text)
    }

    /// Writes `value` as a MessagePack payload: text for a string, binary for bytes, else the value, structs as maps with
    /// the names of their fields.
    ///
    /// # Errors
    /// [`PayloadError::Type`] if serde cannot write the value; [`PayloadError::TooDeep`] if it nests too deep.
    pub fn msgpack_of<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|error| PayloadError::Type(error.to_string()))?;
        Self::from_msgpack(&bytes)
    }

    /// Reads the payload as a `T`, whichever encoding it came in. Text is read as a string, binary as a sequence of bytes.
    ///
    /// # Errors
    /// [`PayloadError::Type`] if the payload is not of this type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let of_value = |error: ValueError| PayloadError::Type(error.to_string());
        match self.view() {
            PayloadView::Text(text) => T::deserialize(StrDeserializer::new(text)).map_err(of_value),
            PayloadView::Binary(bytes) => {
                T::deserialize(SeqDeserializer::new(bytes.iter().copied())).map_err(of_value)
            }
            PayloadView::Json(text) => {
                serde_json::from_str(text).map_err(|error| PayloadError::Type(error.to_string()))
            }
            PayloadView::MessagePack(bytes) => {
                rmp_serde::from_slice(bytes).map_err(|error| PayloadError::Type(error.to_string()))
            }
        }
    }
}

impl Message {
    /// Reads the payload as a `T`, see [`Payload::decode`].
    ///
    /// # Errors
    /// [`PayloadError::Type`] if the payload is not of this type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.payload.decode()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u64,
        lines: Vec<(String, f64)>,
        note: Option<String>,
    }

    #[test]
    fn typed_payloads_are_read_back_whichever_encoding_they_came_in() {
        let order = Order { id: u64::MAX, lines: vec![("tea".to_owned(), 2.5)], note: None };
        for payload in [Payload::json_of(&order).unwrap(), Payload::msgpack_of(&order).unwrap()] {
            assert_eq!(payload.decode::<Order>().unwrap(), order, "{payload:?}");
            assert_eq!(payload.to_json_payload().decode::<Order>().unwrap(), order);
        }
        let json = r#"{"id":18446744073709551615,"lines":[["tea",2.5]],"note":null}"#;
        assert_eq!(Payload::msgpack_of(&order).unwrap().to_bare(), json.as_bytes());
    }

    #[test]
    fn a_string_is_text_and_bytes_are_binary() {
        assert_eq!(Payload::json_of("hi").unwrap(), Payload::text("hi"));
        assert_eq!(Payload::msgpack_of("hi").unwrap(), Payload::text("hi"));
        assert_eq!(Payload::text("hi").decode::<String>().unwrap(), "hi");
        assert_eq!(Payload::binary([1, 2]).decode::<Vec<u8>>().unwrap(), [1, 2]);
    }

    #[test]
    fn a_payload_of_another_type_is_an_error_that_says_which() {
        let error = Payload::text("hi").decode::<Order>().unwrap_err().to_string();
        assert!(error.contains("invalid type: string \"hi\", expected struct Order"), "{error}");
        let error = Payload::from_json(r#"{"id":-1}"#).unwrap().decode::<Order>().unwrap_err().to_string();
        assert!(error.contains("-1"), "{error}");
        let keys = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert!(matches!(Payload::json_of(&keys), Err(PayloadError::Type(_))));
        assert!(Payload::msgpack_of(&keys).is_err(), "a key that is a list");
    }
}
