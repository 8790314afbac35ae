//! The body of `POST /publish`: many publications in one call.

use crate::code::ErrorCode;
use crate::decode::DecodeError;
use crate::decode::{self, Field, FieldValue, Object, Rejection};
use crate::payload::Payload;
use crate::topic::Topic;

use super::value;

/// One publication of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchEntry {
    /// The topic to publish to.
    pub topic: Topic,
    /// The payload to publish.
    pub payload: Payload,
    /// Idempotency key: a repeated publish with the same key is accepted once.
    pub key: Option<String>,
}

/// Reads a batch, `{"messages":[{"topic", "data" or "data_base64", "key"?}]}`, of at most `entries_max` publications. A
/// wrong entry harms no other.
///
/// # Errors
/// The outer error says that there is no list of entries to be had, or one that is too long; an inner one, always
/// [`DecodeError::Rejected`], what is wrong with that entry.
pub fn decode_batch(
    text: &str,
    entries_max: usize,
) -> Result<Vec<Result<BatchEntry, DecodeError>>, DecodeError> {
    let body = value::expect_object(text, "the body must be one JSON object with a list `messages`")?;
    let list = entries(&body, entries_max).map_err(|rejection| rejection.of(None))?;
    Ok(list.into_iter().map(|value| entry(value).map_err(|rejection| rejection.of(None))).collect())
}

fn entries<'a>(
    body: &Object<value::JsonValue<'a>>,
    entries_max: usize,
) -> Result<Vec<value::JsonValue<'a>>, Rejection> {
    let expected = "a list of objects, each with `topic` and `data`";
    let list = body.optional(Field::Messages).ok_or_else(|| body.missing(Field::Messages, expected))?;
    if !list.as_written().starts_with('[') {
        return Err(body.wrong(Field::Messages, expected));
    }
    // It is valid JSON and a list, so the only thing that can be wrong with it is its length.
    value::list(list.as_written(), entries_max).map_err(|_| Rejection {
        code: ErrorCode::LimitExceeded,
        message: format!("one call takes at most {entries_max} messages: split it"),
    })
}

fn entry(value: value::JsonValue<'_>) -> Result<BatchEntry, Rejection> {
    let object = value
        .as_object()
        .ok_or_else(|| Rejection::bad_frame("an entry must be an object with `topic` and `data`"))?;
    let (topic, payload, key) = decode::publication(&object)?;
    Ok(BatchEntry { topic, payload, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadView;

    #[test]
    fn a_wrong_entry_harms_no_other() {
        let text = r#"{"messages":[{"topic":"a","data":"x","key":"k","more":1},{"topic":"a.*","data":1},7,
            {"topic":"b","data_base64":"AAE="},{"topic":"b"},{"data":1}]}"#;
        let entries = decode_batch(text, 100).unwrap();
        let codes: Vec<_> = entries
            .iter()
            .map(|entry| match entry {
                Ok(_) => None,
                Err(DecodeError::Rejected { code, .. }) => Some(*code),
                Err(DecodeError::Unreadable(_)) => panic!("an entry is never unreadable"),
            })
            .collect();
        let bad = Some(ErrorCode::BadFrame);
        assert_eq!(codes, [None, Some(ErrorCode::BadTopic), bad, None, bad, bad]);
        let first = entries[0].as_ref().unwrap();
        assert_eq!((first.topic.as_str(), first.key.as_deref()), ("a", Some("k")));
        assert_eq!(entries[3].as_ref().unwrap().payload.view(), PayloadView::Binary(&[0, 1]));
    }

    #[test]
    fn a_body_of_another_shape_is_refused_as_a_whole() {
        for text in ["", "[]", "{", "null", "{\"messages\":[]} x"] {
            assert!(matches!(decode_batch(text, 100), Err(DecodeError::Unreadable(_))), "{text}");
        }
        for text in ["{}", r#"{"messages":null}"#, r#"{"messages":{}}"#, r#"{"messages":1}"#] {
            assert!(matches!(decode_batch(text, 100), Err(DecodeError::Rejected { .. })), "{text}");
        }
        assert_eq!(decode_batch(r#"{"messages":[]}"#, 100), Ok(vec![]));
    }

    #[test]
    fn a_batch_is_bounded() {
        let batch = r#"{"messages":[1,2,3]}"#;
        assert_eq!(decode_batch(batch, 3).unwrap().len(), 3);
        let refusal = decode_batch(batch, 2).unwrap_err();
        assert!(matches!(refusal, DecodeError::Rejected { code: ErrorCode::LimitExceeded, .. }), "{refusal}");
    }
}
