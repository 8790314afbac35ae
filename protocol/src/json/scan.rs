//! JSON payloads: what text is one, and what may not be in it.
//!
//! The grammar is serde_json's business. What is checked here on top is what would hurt the readers behind the broker:
//! nesting that makes a recursive parser overflow, and escapes of half a surrogate pair, which no UTF-8 text (and so
//! no MessagePack str) can hold.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::payload::{PAYLOAD_DEPTH_MAX, Payload, PayloadError};

const HALF_SURROGATE: &str = "an escape holds one half of a surrogate pair";

/// Reads a payload, see [`Payload::from_json`].
pub(crate) fn payload_from_json(text: &str) -> Result<Payload, PayloadError> {
    let value: &RawValue =
        serde_json::from_str(text).map_err(|error| PayloadError::Json(error.to_string()))?;
    payload_from_value(value.get())
}

/// The payload that one valid JSON value stands for.
pub(super) fn payload_from_value(value: &str) -> Result<Payload, PayloadError> {
    if value.starts_with('"') {
        let text = string_content(value).ok_or_else(|| PayloadError::Json(HALF_SURROGATE.into()))?;
        return Ok(Payload::text(&*text));
    }
    if value.starts_with(['[', '{']) {
        check_container(value.as_bytes())?;
    }
    Ok(Payload::json_unchecked(value))
}

/// The text a valid JSON value is, if it is a string that stands for a text.
pub(super) fn string_content(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if has_backslash(inner.as_bytes()) {
        return serde_json::from_str(value).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Whether there is any escape. All bytes of a block are looked at, which compiles to vector instructions.
fn has_backslash(bytes: &[u8]) -> bool {
    let is_in = |block: &[u8]| block.iter().fold(false, |found, byte| found | (*byte == b'\\'));
    let (blocks, rest) = bytes.as_chunks::<16>();
    blocks.iter().any(|block| is_in(block)) || is_in(rest)
}

/// Checks the depth and the escapes of a valid array or object.
fn check_container(bytes: &[u8]) -> Result<(), PayloadError> {
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > PAYLOAD_DEPTH_MAX {
                    return Err(PayloadError::TooDeep);
                }
            }
            b']' | b'}' => depth -= 1,
            b'"' => at = check_string(bytes, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks the escapes of a string that begins before `at`, and gives the place after its closing quote.
fn check_string(bytes: &[u8], mut at: usize) -> Result<usize, PayloadError> {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                at += escape_len(&bytes[at..]).ok_or_else(|| PayloadError::Json(HALF_SURROGATE.into()))?
            }
            _ => {}
        }
    }
    Ok(at)
}

/// The length of what follows the backslash of a valid escape, with the other half of a surrogate pair; `None` if
/// there is only one half.
fn escape_len(after: &[u8]) -> Option<usize> {
    match code_unit(after) {
        None => Some(1),
        Some(0xd800..=0xdbff) => {
            let second = after.get(5..)?.strip_prefix(b"\\")?;
            matches!(code_unit(second), Some(0xdc00..=0xdfff)).then_some(11)
        }
        Some(0xdc00..=0xdfff) => None,
        Some(_) => Some(5),
    }
}

/// The UTF-16 code unit of a `uXXXX` escape.
fn code_unit(after: &[u8]) -> Option<u16> {
    let digits = after.strip_prefix(b"u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadView;

    #[test]
    fn a_json_string_is_text_and_any_other_value_is_kept_as_written() {
        let check = |text: &str, expected: PayloadView<'_>| {
            assert_eq!(Payload::from_json(text).unwrap().view(), expected, "{text}");
        };
        check(r#""""#, PayloadView::Text(""));
        check(r#" "a\n\ud83d\ude00\/" "#, PayloadView::Text("a\n😀/"));
        check(" null\n", PayloadView::Json("null"));
        check(r#"{"a" : [1, 2.50]}"#, PayloadView::Json(r#"{"a" : [1, 2.50]}"#));
        check(r#"["[[[\"[[", "\ud83d\ude00"]"#, PayloadView::Json(r#"["[[[\"[[", "\ud83d\ude00"]"#));
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in
            ["", " ", "{", "[1,]", "1 2", "01", "nul", "'a'", "\"a", "\"\n\"", "{\"a\":}", "NaN", "\"\\x\""]
        {
            assert!(matches!(Payload::from_json(text), Err(PayloadError::Json(_))), "{text:?}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
        for text in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#"["\ud800"]"#,
            r#"["\ud800\n"]"#,
            r#"["\udc00\ud800"]"#,
            r#"{"\uDBFF\u0041":1}"#,
        ] {
            assert!(matches!(Payload::from_json(text), Err(PayloadError::Json(_))), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_allowed_to_the_limit_and_costs_no_stack_beyond_it() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Payload::from_json(&nested(PAYLOAD_DEPTH_MAX)).is_ok());
        assert_eq!(Payload::from_json(&nested(PAYLOAD_DEPTH_MAX + 1)), Err(PayloadError::TooDeep));
        assert_eq!(Payload::from_json(&nested(1_000_000)), Err(PayloadError::TooDeep));
        let wide = format!("[{}1]", "[],".repeat(10_000));
        assert!(Payload::from_json(&wide).is_ok());
    }
}
