//! Errors over HTTP: `application/problem+json` (RFC 9457), with the codes that frames carry and a few that only HTTP needs.

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_protocol::{DecodeError, ErrorCode, TopicError};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// The maximum number of characters of a request that an error repeats.
pub(crate) const QUOTED_CHARS_MAX: usize = 200;

/// The code of a problem, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemCode {
    /// A code that frames carry too.
    Frame(ErrorCode),
    /// 404: there is nothing at this path, or no session of this name.
    NotFound,
    /// 405: the path exists, but not with this method.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    TimedOut,
    /// 415: the body has a media type, charset or content coding that the broker does not read.
    UnsupportedMediaType,
    /// 501: the request uses a part of HTTP that the broker does not implement.
    NotImplemented,
}

impl ProblemCode {
    /// Returns the code as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ProblemCode::Frame(code) => code.as_str(),
            ProblemCode::NotFound => "not_found",
            ProblemCode::MethodNotAllowed => "method_not_allowed",
            ProblemCode::TimedOut => "timed_out",
            ProblemCode::UnsupportedMediaType => "unsupported_media_type",
            ProblemCode::NotImplemented => "not_implemented",
        }
    }

    /// Returns the code under which metrics count the problem: the codes of HTTP alone count as `bad_frame`.
    fn counted_as(self) -> ErrorCode {
        match self {
            ProblemCode::Frame(code) => code,
            _ => ErrorCode::BadFrame,
        }
    }
}

impl From<ErrorCode> for ProblemCode {
    fn from(code: ErrorCode) -> Self {
        Self::Frame(code)
    }
}

/// An error as HTTP answers it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ProblemCode,
    detail: String,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// The members of RFC 9457, and two more: `code`, and `message`, which is `detail` under the name that frames and batches use.
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
    /// Creates a problem with any status and code. `detail` says what is wrong and what to do.
    pub(crate) fn new(status: StatusCode, code: impl Into<ProblemCode>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), headers: Vec::new() }
    }

    /// Returns 400: the request is not valid.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadFrame, detail)
    }

    /// Returns 400: `name` is not a valid topic or pattern.
    pub(crate) fn bad_topic(name: &str, error: TopicError) -> Self {
        let detail = format!("'{}' is no topic: {error}", quoted(name));
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadTopic, detail)
    }

    /// Returns 415: the broker does not read a body of this kind.
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ProblemCode::UnsupportedMediaType, detail)
    }

    /// Returns 400: the request names more than one request or session may have.
    pub(crate) fn limit_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::LimitExceeded, detail)
    }

    /// Adds a header that helps the client.
    pub(crate) fn with_header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Returns the code for programs.
    #[cfg(test)]
    pub(crate) fn code(&self) -> ProblemCode {
        self.code
    }

    /// Returns the code of frames under which the problem counts.
    pub(crate) fn counted_as(&self) -> ErrorCode {
        self.code.counted_as()
    }

    /// Returns the status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what is wrong and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns whether the same request may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Returns the time of `Retry-After`, if there is one, in milliseconds.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| *name == header::RETRY_AFTER)?;
        value.to_str().ok()?.parse::<u64>().ok()?.checked_mul(1000)
    }

    /// Returns the problem as an HTTP response.
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
        // The dispatch counts errors by this extension.
        response.extensions_mut().insert(self.code.counted_as());
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
            // Every rate refills at least one publication a second, so a client that waits a second is served.
            ErrorCode::RateLimited => problem.with_header(header::RETRY_AFTER, "1"),
            // RFC 9110 §15.5.2: the answer names the kind of credentials that it accepts.
            ErrorCode::Unauthorized | ErrorCode::TokenExpired => {
                problem.with_header(header::WWW_AUTHENTICATE, "Bearer")
            }
            _ => problem,
        }
    }
}

/// Returns a part of a request as errors may repeat it: without control characters, and not longer than
/// [`QUOTED_CHARS_MAX`].
pub(crate) fn quoted(text: &str) -> String {
    text.escape_debug().take(QUOTED_CHARS_MAX).collect()
}

/// Returns the status that belongs to a code of frames.
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
