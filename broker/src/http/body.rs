//! Bodies of requests read within bounds, and answers written as JSON.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;

use crate::problem::Problem;

/// `value` as an answer that nobody keeps.
pub(super) fn json_response(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("text and numbers can always be written as JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// Reads a body of at most `bytes_max`, which must arrive within `timeout`.
///
/// # Errors
/// If it is larger, takes longer, or breaks off.
pub(super) async fn read_body(body: Body, bytes_max: usize, timeout: Duration) -> Result<Bytes, Problem> {
    let collected = tokio::time::timeout(timeout, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail =
                format!("the body is larger than the {bytes_max} bytes this broker takes: send less at once");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, detail))
        }
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body could not be read: {error}"))),
        Err(_) => {
            let detail =
                format!("the body did not arrive within {} s: send it at once", timeout.as_secs_f64());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BadFrame, detail)
                .with_header(header::CONNECTION, "close"))
        }
    }
}
