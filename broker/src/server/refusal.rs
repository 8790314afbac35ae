//! The answers to connections, and to requests that count as connections, that a limit refuses.

use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};

use crate::problem::Problem;
use crate::telemetry::RefusalReason;

/// Returns the answer for a connection that is refused for `reason`.
pub(super) fn problem_of(reason: RefusalReason) -> Problem {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, retry_after, detail) = match reason {
        RefusalReason::ConnectionRate => (
            unavailable,
            ErrorCode::RateLimited,
            "1",
            "more clients connect at once than the broker accepts: try again in a second, and later each time",
        ),
        RefusalReason::ConnectionRatePerAddress => (
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            "1",
            "connections from your address come too fast: try again in a second, and keep connections open",
        ),
        RefusalReason::ConnectionsPerAddressMax => (
            unavailable,
            ErrorCode::LimitExceeded,
            "5",
            "too many connections from your address: close some first",
        ),
        RefusalReason::ConnectionsMax | RefusalReason::NoSocket => (
            unavailable,
            ErrorCode::LimitExceeded,
            "5",
            "the broker has as many connections as it may have: try again later, or use another broker",
        ),
    };
    Problem::new(status, code, detail).with_header(header::RETRY_AFTER, retry_after)
}
