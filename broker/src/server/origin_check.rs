//! Checks before every answer: the size of the head, the transfer coding, the host, and whether the page that a request comes from may use the broker.
//!
//! This file does not know what a request is for.

use std::net::IpAddr;
use std::sync::Arc;

use fanwire_protocol::ErrorCode;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};

use super::cors::Readers;
use super::head_limit::HeadLimit;
use super::preamble::Preamble;
use crate::auth::{Authority, Scheme, SharedAuthenticator, SharedOrigins, Verdict};
use crate::http::is_shared_file;
use crate::log_limit::LogLimit;
use crate::problem::{Problem, ProblemCode, quoted};
use crate::proxy::Proxies;

static ORIGIN_REFUSED: LogLimit = LogLimit::new("origin refused");
static HOST_REFUSED: LogLimit = LogLimit::new("host refused");

/// The checks of requests. All clones use the same lists, which may change while the broker runs.
#[derive(Clone)]
pub(super) struct OriginCheck {
    origins: Arc<SharedOrigins>,
    authenticator: Arc<SharedAuthenticator>,
    proxies: Arc<Proxies>,
    has_tls: bool,
    head_limit: HeadLimit,
}

impl OriginCheck {
    /// Creates the checks for requests that arrive by `preamble`.
    pub(super) fn new(
        origins: Arc<SharedOrigins>,
        authenticator: Arc<SharedAuthenticator>,
        preamble: &Preamble,
        head_limit: HeadLimit,
    ) -> Self {
        let has_tls = preamble.certificates.is_some();
        Self { origins, authenticator, proxies: preamble.proxies.clone(), has_tls, head_limit }
    }

    /// Returns the bound on the heads of requests.
    pub(super) fn head_limit(&self) -> HeadLimit {
        self.head_limit
    }

    /// Checks a request as [`OriginCheck::judge_origin`] does, and the size of its head.
    pub(super) fn judge<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
    ) -> Result<(bool, Readers), (Problem, Readers)> {
        let is_small = self.head_limit.check(request);
        let (may_use_cookies, readers) = self.judge_origin(request, peer)?;
        match is_small {
            Ok(()) => Ok((may_use_cookies, readers)),
            Err(problem) => Err((problem, readers)),
        }
    }

    /// Decides whether the page that a request comes from may use the broker. Returns whether its cookies count, and which
    /// pages may read the response.
    fn judge_origin<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
    ) -> Result<(bool, Readers), (Problem, Readers)> {
        check_coding(request.headers()).map_err(|problem| (problem, Readers::Unnamed))?;
        let host = settle_host(request).map_err(|problem| (problem, Readers::Unnamed))?;
        let scheme = self.scheme_of(request, peer);
        let is_shared = is_shared_file(request.method(), request.uri().path());
        match self.origins.judge(request.headers(), host.as_ref(), &scheme) {
            Verdict::None if is_shared => Ok((true, Readers::All)),
            Verdict::None => Ok((true, Readers::Unnamed)),
            Verdict::Allowed { origin, may_use_cookies } => {
                let has_credentials = may_use_cookies && self.authenticator.current().cookie.is_some();
                Ok((may_use_cookies, Readers::Origin { origin, has_credentials }))
            }
            Verdict::RefusedHost => Err((refuse_host(request.headers()), Readers::Unnamed)),
            Verdict::Refused { .. } if is_shared => Ok((false, Readers::All)),
            Verdict::Refused { origin, header } => {
                // The page may read why it is refused, and nothing else. No page can read the answer to a preflight.
                let header = header.filter(|_| request.method() != Method::OPTIONS);
                let readers = header
                    .map_or(Readers::Unnamed, |origin| Readers::Origin { origin, has_credentials: false });
                Err((refuse_origin(&origin), readers))
            }
        }
    }

    /// Returns the scheme by which the client reaches the broker: https under TLS, or if a trusted proxy says so.
    fn scheme_of<B>(&self, request: &Request<B>, peer: IpAddr) -> Scheme {
        let is_secure = self.has_tls || self.proxies.says_https(request.headers(), peer);
        if is_secure { Scheme::Https } else { Scheme::Http }
    }
}

/// Checks that a body has no other transfer coding than chunked: the broker would take compressed bytes for the body.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_known = headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if is_known {
        return Ok(());
    }
    let detail = "the broker reads no transfer coding but 'chunked': send the body as it is";
    let problem = Problem::new(StatusCode::NOT_IMPLEMENTED, ProblemCode::NotImplemented, detail);
    Err(problem.with_header(header::CONNECTION, "close"))
}

/// Returns the host that a request is for, and makes it the only `Host` header. HTTP/1.0 may name none. HTTP/2 names it in
/// `:authority` (RFC 9113 §8.3.1), and a request line with a whole URL counts for more than `Host` (RFC 9112 §3.2.2).
///
/// # Errors
/// If the request names no host, several, or what cannot be one.
fn settle_host<B>(request: &mut Request<B>) -> Result<Option<Authority>, Problem> {
    let bad = |detail: &str| Problem::bad_request(detail).with_header(header::CONNECTION, "close");
    let target = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(authority) = target {
        let authority = authority.map_err(|_| bad("the URL in the request line has no valid host"))?;
        if request.version() == Version::HTTP_2
            && request.headers().get(header::HOST).is_some_and(|host| *host != authority)
        {
            return Err(bad("':authority' and 'Host' name different hosts (RFC 9113 §8.3.1)"));
        }
        request.headers_mut().insert(header::HOST, authority);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(None),
        (Some(host), None) => host,
        _ => return Err(bad("a request must have one Host header (RFC 9112 §3.2)")),
    };
    let authority = host.to_str().ok().and_then(Authority::parse);
    authority.map(Some).ok_or_else(|| {
        bad("the Host header is not valid: expected a name or an address, and perhaps a port, as in 'broker.example:7400'")
    })
}

fn refuse_host(headers: &HeaderMap) -> Problem {
    let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let host = quoted(&String::from_utf8_lossy(host));
    if let Some(left_out) = HOST_REFUSED.allow() {
        tracing::info!(
            host,
            left_out,
            "host refused: add the origin of this name to 'origins', or require credentials with [auth]"
        );
    }
    let detail = format!(
        "this broker is open to this machine only, and the request names it '{host}', which may be any page's name for it: use \
         'localhost', add the origin of that name to 'origins' in the configuration, or require credentials with [auth]"
    );
    Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail)
}

fn refuse_origin(origin: &str) -> Problem {
    let detail = if origin == "null" {
        "pages without an origin ('null': opened from a file, or in a sandbox) may not use this broker, and 'origins' \
         cannot list them: serve the page over HTTP, from this machine ('php -S localhost:8000', \
         'python3 -m http.server 8000') or from the broker's own host"
            .to_owned()
    } else {
        format!(
            "pages from '{origin}' may not use this broker: add the origin to 'origins' in its configuration, or serve \
             the page from the broker's own host"
        )
    };
    if let Some(left_out) = ORIGIN_REFUSED.allow() {
        let remedy = if origin == "null" {
            "serve the page over HTTP instead of from a file".to_owned()
        } else {
            format!("to let its pages in, write origins = [\"{origin}\"] or pass --allow-origin {origin}")
        };
        tracing::info!(origin, left_out, "origin refused: {remedy}");
    }
    Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail)
}
