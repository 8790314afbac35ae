//! Errors over HTTP: `application/problem+json` (RFC 9457), with the code that frames carry too.

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_protocol::{DecodeError, ErrorCode, TopicError};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// An error as it is answered over HTTP.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// The members of RFC 9457, and two of our own: `code`, and `message`, which is `detail` under the name that frames and
/// batches use.
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    message: &'a str,
}

impl Problem {
    /// A problem with any status and code; `detail` says what is wrong and what to do.
    pub(crate) fn new(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new() }
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadFrame, detail)
    }

    /// 400: `name` breaks a rule of names.
    pub(crate) fn bad_topic(name: &str, error: TopicError) -> Self {
        let detail = format!("'{}' is no topic: {error}", name.escape_debug());
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadTopic, detail)
    }

    /// 400: more is asked for than one request or session may hold.
    pub(crate) fn limit_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::LimitExceeded, detail)
    }

    /// The same problem with a header that helps the client.
    pub(crate) fn with_header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The word for programs.
    #[cfg(test)]
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            message: &self.detail,
        };
        let body = serde_json::to_vec(&body).expect("text and numbers can always be written as JSON");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        // For whoever counts errors on the way out.
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unreadable(message) => Self::bad_request(message),
            DecodeError::Rejected { code, message, .. } => Self::new(status_of(code), code, message),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(status_of(refusal.code), refusal.code, refusal.message);
        match refusal.code {
            // Every rate gives at least one a second back, so whoever waits a second is served.
            ErrorCode::RateLimited => problem.with_header(header::RETRY_AFTER, "1"),
            // RFC 9110 §15.5.2 wants to be told what kind of credentials would do.
            ErrorCode::Unauthorized | ErrorCode::TokenExpired => {
                problem.with_header(header::WWW_AUTHENTICATE, "Bearer")
            }
            _ => problem,
        }
    }
}

/// The status that goes with a code.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadFrame | ErrorCode::BadTopic | ErrorCode::NotSubscribed | ErrorCode::LimitExceeded => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::Unauthorized | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::HistoryOff => StatusCode::NOT_FOUND,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
