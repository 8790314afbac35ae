//! The bound on the head of a request, `limits.header_bytes_max`.
//!
//! A client that resumes sends a cursor that the broker has given it, beside the URL that the broker has accepted before. So cursors do
//! not count: a stream that was let in can always be resumed. The HTTP library bounds the head before it is complete, at a little more.

use fanwire_protocol::{Cursor, ErrorCode};
use http::{Request, StatusCode};

use crate::config::Limits;
use crate::problem::Problem;

/// The header in which browsers send the last cursor.
const LAST_EVENT_ID: &str = "last-event-id";

/// The parameters that carry a cursor.
const CURSOR_PARAMETERS: [&str; 3] = ["since", "lastEventId", "lastEventID"];

/// The bytes of the names of both places in which a request carries cursors, and what is between them.
const NAMES_BYTES_MAX: usize = 64;

/// The bound on the head of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimit {
    bytes_max: usize,
    /// The maximum number of bytes that do not count.
    cursor_bytes_max: usize,
}

impl HeadLimit {
    /// Returns the bound of `limits`.
    pub(super) fn new(limits: &Limits) -> Self {
        // A URL with a cursor is repeated with a newer one in the header.
        let cursor_bytes_max = 2 * Cursor::text_bytes_max(limits.stream_topics_max) + NAMES_BYTES_MAX;
        Self { bytes_max: limits.header_bytes_max, cursor_bytes_max }
    }

    /// Returns the bound for the HTTP library: what no request can have, whatever it carries.
    pub(super) fn total_bytes_max(self) -> usize {
        self.bytes_max + self.cursor_bytes_max
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    /// If it is too large without its cursors.
    pub(super) fn check<B>(self, request: &Request<B>) -> Result<(), Problem> {
        let bytes = head_bytes(request);
        if bytes <= self.bytes_max
            || bytes - cursor_bytes(request).min(self.cursor_bytes_max) <= self.bytes_max
        {
            return Ok(());
        }
        let detail = format!(
            "the URL and the headers are larger than {} bytes (limits.header_bytes_max): name fewer topics in the URL, use a \
             pattern or /ws, or send fewer cookies",
            self.bytes_max
        );
        Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::TooLarge, detail))
    }
}

/// Returns the size of a head as HTTP/1.1 writes it.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + " HTTP/1.1\r\n".len() + 1;
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + headers.sum::<usize>() + 2
}

/// Returns the bytes of the cursors that a request carries, with their names.
fn cursor_bytes<B>(request: &Request<B>) -> usize {
    let header = request.headers().get(LAST_EVENT_ID).map_or(0, |id| LAST_EVENT_ID.len() + id.len() + 4);
    let parameters = request.uri().query().unwrap_or("").split('&').filter(|parameter| {
        parameter.split_once('=').is_some_and(|(name, _)| CURSOR_PARAMETERS.contains(&name))
    });
    header + parameters.map(|parameter| parameter.len() + 1).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(url_bytes: usize, parameter: &str, id_bytes: usize) -> bool {
        let limit = HeadLimit { bytes_max: 1000, cursor_bytes_max: 500 };
        let url = format!("/stream?topic={}{parameter}", "x".repeat(url_bytes));
        let mut request = Request::get(url);
        if id_bytes > 0 {
            request = request.header(LAST_EVENT_ID, "i".repeat(id_bytes));
        }
        limit.check(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn cursors_do_not_count_and_all_else_does() {
        // The head is 31 bytes longer than its topic.
        assert!(is_accepted(969, "", 0));
        assert!(!is_accepted(970, "", 0));
        assert!(is_accepted(969, "", 400));
        assert!(is_accepted(969, &format!("&since={}", "s".repeat(200)), 200));
        assert!(!is_accepted(969, &format!("&sinse={}", "s".repeat(200)), 200));
        assert!(!is_accepted(969, "", 600), "no cursor is so long");
    }
}
