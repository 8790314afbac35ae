//! Errors of the REST API as its libraries show them: a status and a line of plain text.

use axum::response::{IntoResponse, Response};
use fanwire_core::access::Refusal;
use fanwire_formats::pusher::ChannelError;
use fanwire_protocol::ErrorCode;
use http::{HeaderValue, StatusCode, header};

use crate::problem::Problem;
use crate::pusher::RestSignatureError;

/// A request that is refused.
#[derive(Debug)]
pub(super) struct RestError {
    status: StatusCode,
    code: ErrorCode,
    text: String,
}

impl RestError {
    pub(super) fn new(status: StatusCode, code: ErrorCode, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// Returns 400: the request is not valid.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadFrame, text)
    }

    /// Returns 404: there is no such app or path.
    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::BadFrame, text)
    }

    /// Returns 413. Applications look for these words to tell that an event is too large.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let text = format!(
            "The data content of this event exceeds the allowed maximum ({bytes_max} bytes): send less, or raise event_bytes_max of \
             the app"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, text)
    }
}

impl From<RestSignatureError> for RestError {
    fn from(error: RestSignatureError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, error.to_string())
    }
}

impl From<ChannelError> for RestError {
    fn from(error: ChannelError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadTopic, error.to_string())
    }
}

impl From<Refusal> for RestError {
    fn from(refusal: Refusal) -> Self {
        let (code, text) = (refusal.code, refusal.message.clone());
        Self { status: Problem::from(refusal).status(), code, text }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text + "\n").into_response();
        // The dispatch counts errors by this extension.
        response.extensions_mut().insert(self.code);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
