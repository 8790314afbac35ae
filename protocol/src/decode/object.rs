//! One object of the wire, split into the fields this version knows, and the questions asked of them.
//!
//! Every wrong or missing field is described here, in one way: by its name and what it must be.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::code::ErrorCode;
use crate::decode::DecodeError;
use crate::payload::{Payload, PayloadError};
use crate::position::{Epoch, Position};
use crate::topic::{Pattern, Topic, TopicError};

/// A raw value of an encoding, as the reading of frames needs it. `None` means that the value is of another kind.
pub(crate) trait FieldValue<'a>: Copy {
    /// Whether it is null, which for an optional field is the same as not being there.
    fn is_null(self) -> bool;
    /// The text it is.
    fn as_text(self) -> Option<Cow<'a, str>>;
    /// The whole number from 0 to 2^64 - 1 it is, written as one.
    fn as_unsigned(self) -> Option<u64>;
    /// The truth value it is.
    fn as_boolean(self) -> Option<bool>;
    /// The payload it is; everything is one unless it nests too deep or cannot be shown in the other encoding.
    fn as_payload(self) -> Result<Payload, PayloadError>;
    /// The object it is.
    fn as_object(self) -> Option<Object<Self>>;
    /// The elements of the list it is.
    fn as_list(self) -> Option<Vec<Self>>;
}

macro_rules! fields {
    ($($variant:ident = $name:literal,)*) => {
        /// A field some frame has. What else an object holds is ignored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
        }

        const FIELDS: usize = [$($name),*].len();

        impl Field {
            /// The field of this name.
            pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
                $(
                    if name == $name.as_bytes() {
                        return Some(Field::$variant);
                    }
                )*
                None
            }

            /// The name on the wire.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Field::$variant => $name,)*
                }
            }
        }
    };
}

// The fields of the frames that come most often stand first: names are compared in this order.
fields! {
    Type = "type",
    Id = "id",
    Topic = "topic",
    Data = "data",
    DataBase64 = "data_base64",
    Offset = "offset",
    Epoch = "epoch",
    Ts = "ts",
    From = "from",
    Key = "key",
    Echo = "echo",
    Token = "token",
    Name = "name",
    Since = "since",
    Last = "last",
    Limit = "limit",
    Reverse = "reverse",
    Method = "method",
    Connection = "connection",
    User = "user",
    PingInterval = "ping_interval",
    Server = "server",
    Recovered = "recovered",
    Duplicate = "duplicate",
    Messages = "messages",
    More = "more",
    Gap = "gap",
    Members = "members",
    Info = "info",
    InfoBase64 = "info_base64",
    Expires = "expires",
    Code = "code",
    Message = "message",
    Reason = "reason",
    Missed = "missed",
    Reconnect = "reconnect",
    AfterMs = "after_ms",
}

/// The reason why an object is no valid frame, before it is known which request it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Rejection {
    /// A field is missing, of the wrong type or out of range.
    pub(crate) fn bad_frame(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::BadFrame, message: message.into() }
    }

    fn bad_topic(error: TopicError) -> Self {
        Self { code: ErrorCode::BadTopic, message: format!("`topic`: {error}") }
    }

    /// The error for the request with this `id`.
    pub(crate) fn of(self, id: Option<u32>) -> DecodeError {
        DecodeError::Rejected { id, code: self.code, message: self.message }
    }
}

/// The raw values of an object's known fields. Of a name that occurs twice the last value counts.
pub(crate) struct Object<V> {
    values: [Option<V>; FIELDS],
    /// The prefix of field names in messages, for objects within the frame.
    within: &'static str,
}

impl<V: Copy> Object<V> {
    /// An object without fields.
    pub(crate) fn new() -> Self {
        Self { values: [None; FIELDS], within: "" }
    }

    /// Puts a field's value, in place of an earlier one.
    pub(crate) fn put(&mut self, field: Field, value: V) {
        self.values[field as usize] = Some(value);
    }

    /// Names the place of the object for messages: `within` comes before the names of its fields.
    pub(crate) fn within(self, within: &'static str) -> Self {
        Self { within, ..self }
    }

    fn value(&self, field: Field) -> Option<V> {
        self.values[field as usize]
    }

    /// The rejection of a field that is there but not what it must be.
    pub(crate) fn wrong(&self, field: Field, expected: &str) -> Rejection {
        Rejection::bad_frame(format!("`{}{}` must be {expected}", self.within, field.name()))
    }

    /// The rejection of a field that is not there.
    pub(crate) fn missing(&self, field: Field, expected: &str) -> Rejection {
        Rejection::bad_frame(format!("`{}{}` is missing: it must be {expected}", self.within, field.name()))
    }
}

impl<'a, V: FieldValue<'a>> Object<V> {
    /// The frame's `type`, without which it is no frame.
    pub(crate) fn frame_type(&self) -> Result<Cow<'a, str>, DecodeError> {
        self.value(Field::Type)
            .and_then(V::as_text)
            .ok_or_else(|| DecodeError::Unreadable("a frame is an object with a text field `type`".into()))
    }

    /// Returns the `id` of the frame.
    pub(crate) fn id(&self) -> Result<Option<u32>, DecodeError> {
        self.small_number(Field::Id).map_err(|rejection| rejection.of(None))
    }

    /// The value of an optional field, with null for absent.
    pub(crate) fn optional(&self, field: Field) -> Option<V> {
        self.value(field).filter(|value| !value.is_null())
    }

    /// Returns the text in an optional field.
    pub(crate) fn text(&self, field: Field) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        value.as_text().map(Some).ok_or_else(|| self.wrong(field, "text"))
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, field: Field) -> Result<Cow<'a, str>, Rejection> {
        let value = self.value(field).ok_or_else(|| self.missing(field, "text"))?;
        value.as_text().ok_or_else(|| self.wrong(field, "text"))
    }

    /// An optional whole number.
    pub(crate) fn number(&self, field: Field) -> Result<Option<u64>, Rejection> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        value.as_unsigned().map(Some).ok_or_else(|| self.wrong(field, WHOLE_NUMBER))
    }

    /// A whole number that must be there.
    pub(crate) fn required_number(&self, field: Field) -> Result<u64, Rejection> {
        let value = self.value(field).ok_or_else(|| self.missing(field, WHOLE_NUMBER))?;
        value.as_unsigned().ok_or_else(|| self.wrong(field, WHOLE_NUMBER))
    }

    /// An optional whole number of 32 bits.
    pub(crate) fn small_number(&self, field: Field) -> Result<Option<u32>, Rejection> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        let number = value.as_unsigned().and_then(|number| u32::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(field, "a whole number from 0 to 4294967295"))
    }

    /// An optional truth value.
    pub(crate) fn boolean(&self, field: Field) -> Result<Option<bool>, Rejection> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        value.as_boolean().map(Some).ok_or_else(|| self.wrong(field, "true or false"))
    }

    /// A truth value that must be there.
    pub(crate) fn required_boolean(&self, field: Field) -> Result<bool, Rejection> {
        self.boolean(field)?.ok_or_else(|| self.missing(field, "true or false"))
    }

    /// The `topic`, which must be one topic.
    pub(crate) fn topic(&self) -> Result<Topic, Rejection> {
        let name = self.required_text(Field::Topic)?;
        Topic::new(&name).map_err(Rejection::bad_topic)
    }

    /// The `topic`, which may have wildcards.
    pub(crate) fn pattern(&self) -> Result<Pattern, Rejection> {
        let name = self.required_text(Field::Topic)?;
        Pattern::new(&name).map_err(Rejection::bad_topic)
    }

    /// `epoch` and `offset`, which stand together or not at all.
    pub(crate) fn position(&self) -> Result<Option<Position>, Rejection> {
        match (self.text(Field::Epoch)?, self.number(Field::Offset)?) {
            (None, None) => Ok(None),
            (Some(epoch), Some(offset)) => Ok(Some(Position { epoch: Epoch::from_wire(&epoch), offset })),
            (None, Some(_)) => Err(self.missing(Field::Epoch, "text, as `offset` means nothing without it")),
            (Some(_), None) => Err(self.missing(Field::Offset, WHOLE_NUMBER)),
        }
    }

    /// `epoch` and `offset`, which must be there.
    pub(crate) fn required_position(&self) -> Result<Position, Rejection> {
        self.position()?.ok_or_else(|| self.missing(Field::Epoch, "text, beside a whole number `offset`"))
    }

    /// A payload under one of two names, plain or as base64. Null is a payload under the plain name.
    pub(crate) fn payload(&self, plain: Field, base64: Field) -> Result<Option<Payload>, Rejection> {
        match (self.value(plain), self.optional(base64)) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Rejection::bad_frame(format!(
                "`{within}{}` and `{within}{}` exclude each other: send one of them",
                plain.name(),
                base64.name(),
                within = self.within
            ))),
            (Some(value), None) => value
                .as_payload()
                .map(Some)
                .map_err(|error| Rejection::bad_frame(format!("`{}{}`: {error}", self.within, plain.name()))),
            (None, Some(value)) => value
                .as_text()
                .and_then(|text| STANDARD.decode(text.as_bytes()).ok())
                .map(|bytes| Some(Payload::binary(bytes)))
                .ok_or_else(|| self.wrong(base64, "standard base64 with padding (RFC 4648 section 4)")),
        }
    }

    /// The payload in `data` or `data_base64`, which must be there.
    pub(crate) fn data(&self) -> Result<Payload, Rejection> {
        self.payload(Field::Data, Field::DataBase64)?
            .ok_or_else(|| self.missing(Field::Data, "the payload; binary may go in `data_base64` instead"))
    }
}

const WHOLE_NUMBER: &str = "a whole number from 0 to 18446744073709551615, without fraction or exponent";
