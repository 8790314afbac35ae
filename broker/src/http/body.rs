//! Reads bodies of requests within bounds, and writes responses as JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;

use crate::problem::{Problem, ProblemCode};

/// Returns `value` as a JSON response that no cache keeps.
pub(super) fn json_response(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("text and numbers can always be written as JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// The maximum size in bytes of the entries of one list in a response, as they are encoded. A list that would be larger ends early,
/// and the response says so.
pub(super) const LIST_BYTES_MAX: usize = 1024 * 1024;

/// Returns how many of `entries`, from the first, fit into [`LIST_BYTES_MAX`] once they are encoded. At least one always fits, so that
/// a client that pages gets on.
pub(super) fn fitting<T: Serialize>(entries: &[T]) -> usize {
    let mut bytes = 0;
    let is_beyond = |entry: &T| {
        bytes += encoded_bytes(entry);
        bytes > LIST_BYTES_MAX
    };
    entries.iter().position(is_beyond).map_or(entries.len(), |fitting| fitting.max(1))
}

/// Returns the size of an entry of a list once it is encoded.
pub(super) fn encoded_bytes(entry: &impl Serialize) -> usize {
    serde_json::to_vec(entry).map_or(0, |json| json.len() + 1)
}

/// Reads a body of at most `bytes_max`, which must arrive within `timeout`.
///
/// # Errors
/// If the body is larger, takes longer, or breaks off. A length in the head that is too large is refused before the body.
pub(super) async fn read_body(body: Body, bytes_max: usize, timeout: Duration) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body could not be read: {error}"))),
        Err(_) => {
            let detail = format!(
                "the body did not arrive within {} s: send it right after the head of the request",
                timeout.as_secs_f64()
            );
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ProblemCode::TimedOut, detail)
                .with_header(header::CONNECTION, "close"))
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let detail =
        format!("the body is larger than the {bytes_max} bytes that this broker takes: send less at once");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_where_its_encoded_bytes_do() {
        assert_eq!(fitting::<&str>(&[]), 0);
        assert_eq!(fitting(&["a"; 1000]), 1000);
        // Each control character is six bytes in JSON.
        let escaped = "\u{1}".repeat(10_000);
        assert_eq!(fitting(&vec![escaped; 1000]), LIST_BYTES_MAX / 60_003);
        assert_eq!(fitting(&["x".repeat(2 * LIST_BYTES_MAX), String::new()]), 1);
    }
}
