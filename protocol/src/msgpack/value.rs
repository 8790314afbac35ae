//! Splits a MessagePack map into raw values, says what a raw value is, and checks payloads.

use std::borrow::Cow;

use super::token::{Malformed, Reader, Token};
use crate::decode::DecodeError;
use crate::decode::{Field, FieldValue, Object};
use crate::payload::{PAYLOAD_DEPTH_MAX, Payload, PayloadError};

/// The bytes of one whole MessagePack value.
#[derive(Clone, Copy)]
pub(super) struct MsgpackValue<'a>(&'a [u8]);

/// Splits a frame into its fields.
pub(super) fn frame_object(bytes: &[u8]) -> Result<Object<MsgpackValue<'_>>, DecodeError> {
    object(bytes).map_err(|Malformed(why)| {
        DecodeError::Unreadable(format!("a frame must be one MessagePack map: {why}"))
    })
}

/// Reads a payload, see [`Payload::from_msgpack`].
pub(crate) fn payload_from_msgpack(bytes: &[u8]) -> Result<Payload, PayloadError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    if !reader.is_at_end() {
        return Err(TRAILING.into());
    }
    MsgpackValue(bytes).as_payload()
}

const TRAILING: Malformed = Malformed("something follows it");
const NOT_UTF8: PayloadError = PayloadError::MessagePack("a str is not UTF-8");
const CONTAINER_KEY: PayloadError =
    PayloadError::MessagePack("a map key is an array or a map, which no JSON can show");

impl From<Malformed> for PayloadError {
    fn from(Malformed(why): Malformed) -> Self {
        PayloadError::MessagePack(why)
    }
}

fn object(bytes: &[u8]) -> Result<Object<MsgpackValue<'_>>, Malformed> {
    let mut reader = Reader::new(bytes);
    let Token::Map(pairs) = reader.token()? else { return Err(Malformed("it is another value")) };
    let mut object = Object::new();
    for _ in 0..pairs {
        let key = reader.skip()?;
        let value = MsgpackValue(reader.skip()?);
        if let Ok(Token::Text(name)) = Reader::new(key).token()
            && let Some(field) = Field::from_name(name)
        {
            object.put(field, value);
        }
    }
    if !reader.is_at_end() {
        return Err(TRAILING);
    }
    Ok(object)
}

impl<'a> MsgpackValue<'a> {
    /// The first token, which is the whole value unless it is an array or a map.
    fn token(self) -> Option<Token<'a>> {
        Reader::new(self.0).token().ok()
    }
}

impl<'a> FieldValue<'a> for MsgpackValue<'a> {
    fn is_null(self) -> bool {
        self.token() == Some(Token::Nil)
    }

    fn as_text(self) -> Option<Cow<'a, str>> {
        match self.token() {
            Some(Token::Text(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn as_unsigned(self) -> Option<u64> {
        match self.token() {
            Some(Token::Unsigned(number)) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(self) -> Option<bool> {
        match self.token() {
            Some(Token::Boolean(value)) => Some(value),
            _ => None,
        }
    }

    fn as_payload(self) -> Result<Payload, PayloadError> {
        match Reader::new(self.0).token()? {
            Token::Text(bytes) => std::str::from_utf8(bytes).map(Payload::text).map_err(|_| NOT_UTF8),
            Token::Binary(bytes) => Ok(Payload::binary(bytes)),
            _ => {
                check_payload(self.0)?;
                Ok(Payload::msgpack_unchecked(self.0))
            }
        }
    }

    fn as_object(self) -> Option<Object<Self>> {
        object(self.0).ok()
    }

    fn as_list(self) -> Option<Vec<Self>> {
        let mut reader = Reader::new(self.0);
        let Ok(Token::Array(len)) = reader.token() else { return None };
        // The value is whole, so there are at least as many bytes as elements.
        (0..len).map(|_| reader.skip().map(MsgpackValue).ok()).collect()
    }
}

/// An array or map that is being read: how many values are left in it, and whether every other one is a key.
#[derive(Clone, Copy)]
struct Level {
    values: u64,
    is_map: bool,
}

/// Checks that one whole value is no deeper than allowed, has text that is UTF-8, keys that have a text, and no ext.
fn check_payload(bytes: &[u8]) -> Result<(), PayloadError> {
    let mut reader = Reader::new(bytes);
    let mut levels: Vec<Level> = Vec::new();
    loop {
        let is_key = levels.last().is_some_and(|level| level.is_map && level.values.is_multiple_of(2));
        if let Some(level) = levels.last_mut() {
            level.values -= 1;
        }
        let opened = match reader.token()? {
            Token::Text(text) if std::str::from_utf8(text).is_err() => return Err(NOT_UTF8),
            Token::Ext => return Err(PayloadError::Ext),
            Token::Array(_) | Token::Map(_) if is_key => return Err(CONTAINER_KEY),
            Token::Array(len) => Some(Level { values: u64::from(len), is_map: false }),
            Token::Map(len) => Some(Level { values: 2 * u64::from(len), is_map: true }),
            _ => None,
        };
        if let Some(level) = opened {
            if levels.len() == PAYLOAD_DEPTH_MAX {
                return Err(PayloadError::TooDeep);
            }
            levels.push(level);
        }
        while levels.last().is_some_and(|level| level.values == 0) {
            levels.pop();
        }
        if levels.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadView;

    #[test]
    fn str_is_text_bin_is_binary_and_any_other_value_is_kept_as_written() {
        let check = |bytes: &[u8], expected: PayloadView<'_>| {
            assert_eq!(Payload::from_msgpack(bytes).unwrap().view(), expected, "{bytes:02x?}");
        };
        check(&[0xa1, b'a'], PayloadView::Text("a"));
        check(&[0xc4, 0], PayloadView::Binary(&[]));
        check(&[0xc0], PayloadView::MessagePack(&[0xc0]));
        let long_form = [0xdf, 0, 0, 0, 2, 0xcd, 0, 1, 0xc2, 0xa0, 0xdc, 0, 1, 0x90];
        check(&long_form, PayloadView::MessagePack(&long_form));
    }

    #[test]
    fn what_json_subscribers_could_not_be_given_is_refused() {
        let check = |bytes: &[u8], expected: PayloadError| {
            assert_eq!(Payload::from_msgpack(bytes), Err(expected), "{bytes:02x?}");
        };
        check(&[0xd4, 1, 2], PayloadError::Ext);
        check(&[0x91, 0x81, 0xa0, 0xd6, 0xff, 0, 0, 0, 0], PayloadError::Ext);
        check(&[0xa1, 0xff], NOT_UTF8);
        check(&[0x81, 0xa1, 0xff, 0xc0], NOT_UTF8);
        check(&[0x81, 0x90, 0xc0], CONTAINER_KEY);
        check(&[0x82, 0xa0, 0x90, 0x80, 0xc0], CONTAINER_KEY);
        check(&[0xc0, 0xc0], TRAILING.into());
        check(&[], PayloadError::MessagePack("it ends before all that it announces"));
        check(&[0x92, 0xc0], PayloadError::MessagePack("it ends before all that it announces"));
    }

    #[test]
    fn nesting_is_allowed_to_the_limit_and_costs_no_stack_beyond_it() {
        let nested = |depth: usize| [vec![0x91; depth - 1], vec![0x90]].concat();
        assert!(Payload::from_msgpack(&nested(PAYLOAD_DEPTH_MAX)).is_ok());
        assert_eq!(Payload::from_msgpack(&nested(PAYLOAD_DEPTH_MAX + 1)), Err(PayloadError::TooDeep));
        assert_eq!(Payload::from_msgpack(&nested(1_000_000)), Err(PayloadError::TooDeep));
    }
}
