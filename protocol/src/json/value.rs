//! Splits a JSON object into raw values and says what a raw value is. serde_json does the parsing; nothing is
//! decoded before it is asked for, and skipping a value takes no stack however deep it nests.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scan;
use crate::decode::DecodeError;
use crate::decode::{Field, FieldValue, Object};
use crate::payload::{Payload, PayloadError};

/// The text of one valid JSON value, with no white space around it.
#[derive(Clone, Copy)]
pub(super) struct JsonValue<'a>(&'a str);

/// Splits a frame into its fields.
pub(super) fn frame_object(text: &str) -> Result<Object<JsonValue<'_>>, DecodeError> {
    expect_object(text, "a frame must be one JSON object")
}

/// Splits an object into its fields. The error begins with `expected`.
pub(super) fn expect_object<'a>(text: &'a str, expected: &str) -> Result<Object<JsonValue<'a>>, DecodeError> {
    object(text).map_err(|error| {
        // An error of syntax contains the place only; one of type would repeat the input.
        let why = if error.is_data() { "this is another value".into() } else { error.to_string() };
        DecodeError::Unreadable(format!("{expected}: {why}"))
    })
}

fn object(text: &str) -> serde_json::Result<Object<JsonValue<'_>>> {
    // The fields are put where they stay: an object is too large to be handed from one function to the next.
    let mut object = Object::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(FieldsVisitor(&mut object))?;
    deserializer.end()?;
    Ok(object)
}

/// The elements of a JSON list, or an error once there are more than `max`.
pub(super) fn list(text: &str, max: usize) -> serde_json::Result<Vec<JsonValue<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let elements = deserializer.deserialize_seq(ListVisitor { max })?;
    deserializer.end()?;
    Ok(elements)
}

impl<'a> JsonValue<'a> {
    /// The value as it was written.
    pub(super) fn as_written(self) -> &'a str {
        self.0
    }
}

impl<'a> FieldValue<'a> for JsonValue<'a> {
    fn is_null(self) -> bool {
        self.0 == "null"
    }

    fn as_text(self) -> Option<Cow<'a, str>> {
        scan::string_content(self.0)
    }

    fn as_unsigned(self) -> Option<u64> {
        // `parse` alone would take a leading `+`, which is no JSON and so cannot stand here.
        self.0.parse().ok()
    }

    fn as_boolean(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn as_payload(self) -> Result<Payload, PayloadError> {
        scan::payload_from_value(self.0)
    }

    fn as_object(self) -> Option<Object<Self>> {
        object(self.0).ok()
    }

    fn as_list(self) -> Option<Vec<Self>> {
        list(self.0, usize::MAX).ok()
    }
}

/// Puts the fields that have a name into the object.
struct FieldsVisitor<'a, 'de>(&'a mut Object<JsonValue<'de>>);

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match name {
                Some(field) => self.0.put(field, JsonValue(map.next_value::<&RawValue>()?.get())),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, if it names a field of some frame.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Field::from_name(name.as_bytes())))
            }
        }

        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct ListVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<JsonValue<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            if elements.len() == self.max {
                return Err(A::Error::custom(format_args!("more than {} elements", self.max)));
            }
            elements.push(JsonValue(element.get()));
        }
        Ok(elements)
    }
}
