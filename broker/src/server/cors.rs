//! Cross-origin resource sharing: what a page of another origin may send, and what it may read (WHATWG Fetch §3.2).

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::problem::Problem;
use crate::transports::ResponseBody;

/// The methods that pages of other origins may use.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, DELETE";

/// The request headers that the broker reads. They are allowed whatever a preflight asks for.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, last-event-id";

/// The response headers that a page may read beside those that browsers always show.
const EXPOSED_HEADERS: &str = "retry-after, allow, www-authenticate";

/// The maximum number of further request headers that one preflight is allowed.
const REQUESTED_HEADERS_MAX: usize = 32;

/// The maximum length of the name of such a header, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The time for which a browser may remember a preflight, in seconds.
const MAX_AGE: &str = "600";

/// The pages that may read a response.
pub(super) enum Readers {
    /// The request comes from no page of another origin.
    Unnamed,
    /// Pages of every origin. The response holds nothing that is not public.
    All,
    /// Pages of this origin.
    Origin { origin: HeaderValue, has_credentials: bool },
}

impl Readers {
    /// Adds the headers that let these pages read the response.
    pub(super) fn admit_to(self, headers: &mut HeaderMap) {
        match self {
            Readers::Unnamed => return,
            Readers::All => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Readers::Origin { origin, has_credentials } => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.append(header::VARY, HeaderValue::from_static("origin"));
                if has_credentials {
                    let name = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
                    headers.insert(name, HeaderValue::from_static("true"));
                }
            }
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Returns the response to a request, with the headers that every response has.
pub(super) fn finish(
    result: Result<Response<ResponseBody>, Problem>,
    readers: Readers,
) -> Response<ResponseBody> {
    let mut response = result.unwrap_or_else(|problem| problem.into_response().map(ResponseBody::full));
    readers.admit_to(response.headers_mut());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // A browser must not take a payload for a page or a script (WHATWG Fetch §3.6).
        let value = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, value);
    }
    response
}

/// Returns the response to a preflight with these headers.
pub(super) fn preflight(request: &HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(request));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
    response
}

/// Returns the headers that the page may send: those that the broker reads, and those that the preflight names. Libraries for tracing
/// and caching add headers that the broker ignores. Browsers never let a page set a header that would be dangerous (WHATWG
/// Fetch §2.2.2, forbidden request-headers), and the broker takes nothing from a header that it does not read.
fn allowed_headers(request: &HeaderMap) -> HeaderValue {
    let requested = request
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| is_harmless(name) && !ALLOWED_HEADERS.split(", ").any(|known| known == name));
    let mut names = ALLOWED_HEADERS.to_owned();
    for name in requested.take(REQUESTED_HEADERS_MAX) {
        names.push_str(", ");
        names.push_str(&name);
    }
    HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

/// Returns whether `name`, in lower case, is a header name that a page may set.
fn is_harmless(name: &str) -> bool {
    const FORBIDDEN: [&str; 22] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "access-control-request-private-network",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let is_token = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    // Proxies in between believe these, and so may the broker (`[proxy]`).
    let is_of_proxies = name.starts_with("x-forwarded-")
        || name.starts_with("proxy-")
        || name.starts_with("sec-")
        || matches!(name, "forwarded" | "x-real-ip");
    is_token && name != "*" && !is_of_proxies && !FORBIDDEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(requested: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_str(requested).unwrap());
        allowed_headers(&headers).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_preflight_is_allowed_the_harmless_headers_that_it_names() {
        let base = ALLOWED_HEADERS.to_owned();
        assert_eq!(
            allowed("x-requested-with,Traceparent, cache-control"),
            format!("{base}, x-requested-with, traceparent, cache-control")
        );
        assert_eq!(allowed("authorization"), base);
        for name in [
            "host",
            "cookie",
            "x-forwarded-for",
            "sec-fetch-site",
            "proxy-x",
            "*",
            "a b",
            "a\tb",
            "",
            &"n".repeat(65),
        ] {
            assert_eq!(allowed(name), base, "{name}");
        }
        let many: Vec<String> = (0..1000).map(|number| format!("x-{number}")).collect();
        assert_eq!(allowed(&many.join(",")).matches(", ").count(), 3 + REQUESTED_HEADERS_MAX);
    }
}
