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
