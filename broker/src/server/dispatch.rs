//! From a request to the part of the broker that answers it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use fanwire_protocol::ErrorCode;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tower_service::Service;

use super::cors::{self, Readers};
use super::preamble::Preamble;
use super::refusal::problem_of;
use super::request_body::RequestBody;
use crate::auth::{Admission, Authority, Scheme, SharedOrigins, Verdict};
use crate::config::Limits;
use crate::http::{HttpState, Readiness, is_shared_file, router};
use crate::log_limit::LogLimit;
use crate::problem::{Problem, ProblemCode, quoted};
use crate::sessions::{ClientAddress, ConnectionGuard, ConnectionInfo, Worker};
use crate::telemetry::WorkerCounters;
use crate::transports::{ResponseBody, TransportRequest, Transports};

/// The methods that some URL of the broker takes, as `OPTIONS *` answers.
const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

static ORIGIN_REFUSED: LogLimit = LogLimit::new("origin refused");
static HOST_REFUSED: LogLimit = LogLimit::new("host refused");

/// The answering side of one worker.
pub(super) struct Dispatch {
    worker: Rc<Worker>,
    transports: Transports,
    router: Router,
    origins: Arc<SharedOrigins>,
    readiness: Arc<Readiness>,
    preamble: Preamble,
}

impl Dispatch {
    /// Creates the dispatch of a worker.
    pub(super) fn new(
        worker: Rc<Worker>,
        http: HttpState,
        origins: Arc<SharedOrigins>,
        preamble: Preamble,
    ) -> Self {
        let transports = Transports::new(worker.clone());
        let readiness = http.readiness.clone();
        Self { worker, transports, router: router(http), origins, readiness, preamble }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.worker.limits
    }

    /// Returns the figures of the worker.
    pub(super) fn counters(&self) -> &Arc<WorkerCounters> {
        &self.worker.counters
    }

    /// Returns how connections begin before HTTP.
    pub(super) fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// Answers one HTTP request.
    pub(super) async fn answer(
        &self,
        mut request: Request<RequestBody>,
        guard: Rc<ConnectionGuard>,
    ) -> Response<ResponseBody> {
        let (result, readers) = match self.judge(&mut request, &guard) {
            Ok((may_use_cookies, readers)) => (self.serve(request, guard, may_use_cookies).await, readers),
            Err((problem, readers)) => (Err(problem), readers),
        };
        let mut response = result.unwrap_or_else(|problem| problem.into_response().map(ResponseBody::full));
        readers.admit_to(response.headers_mut());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // A browser must not take a payload for a page or a script (WHATWG Fetch §3.6).
            response
                .headers_mut()
                .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(code) = response.extensions().get::<ErrorCode>() {
            self.worker.counters.error(*code);
        }
        response
    }

    /// Decides whether the page that a request comes from may use the broker. Returns whether its cookies count, and which
    /// pages may read the response.
    fn judge(
        &self,
        request: &mut Request<RequestBody>,
        guard: &ConnectionGuard,
    ) -> Result<(bool, Readers), (Problem, Readers)> {
        check_coding(request.headers()).map_err(|problem| (problem, Readers::Unnamed))?;
        let host = settle_host(request).map_err(|problem| (problem, Readers::Unnamed))?;
        let scheme = self.scheme_of(request, guard);
        let is_shared = is_shared_file(request.method(), request.uri().path());
        match self.origins.judge(request.headers(), host.as_ref(), &scheme) {
            Verdict::None if is_shared => Ok((true, Readers::All)),
            Verdict::None => Ok((true, Readers::Unnamed)),
            Verdict::Allowed { origin, may_use_cookies } => {
                let has_credentials = may_use_cookies && self.worker.authenticator.current().cookie.is_some();
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
    fn scheme_of<B>(&self, request: &Request<B>, guard: &ConnectionGuard) -> Scheme {
        let is_secure = self.preamble.certificates.is_some()
            || self.preamble.proxies.says_https(request.headers(), guard.peer());
        if is_secure { Scheme::Https } else { Scheme::Http }
    }

    async fn serve(
        &self,
        request: Request<RequestBody>,
        guard: Rc<ConnectionGuard>,
        may_use_cookies: bool,
    ) -> Result<Response<ResponseBody>, Problem> {
        if request.method() == Method::OPTIONS {
            return self.answer_options(request, &guard, may_use_cookies).await;
        }
        if !Transports::serves(&request) {
            return Ok(self.route(request, &guard, may_use_cookies).await);
        }
        if self.readiness.is_draining() {
            return Transports::refuse(&request, Readiness::draining());
        }
        let (guard, client) = match self.guard_of(&request, guard) {
            Ok(found) => found,
            Err(problem) => return Transports::refuse(&request, problem),
        };
        let admission = self.admit(&request, may_use_cookies).await;
        let connection_info = ConnectionInfo { connection: self.worker.next_connection(), client };
        // The body stays here until the response is there: no transport reads one.
        let (parts, _body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let asked = TransportRequest { request, guard, admission, connection_info, disconnect_report: None };
        self.transports.serve(asked).await
    }

    /// Answers a preflight, or says which methods a URL takes, as load balancers ask that check whether the broker is there.
    async fn answer_options(
        &self,
        request: Request<RequestBody>,
        guard: &ConnectionGuard,
        may_use_cookies: bool,
    ) -> Result<Response<ResponseBody>, Problem> {
        if request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return Ok(cors::preflight(request.headers()));
        }
        let methods = match request.uri().path() {
            "*" => HeaderValue::from_static(METHODS),
            "/ws" => HeaderValue::from_static("GET, OPTIONS"),
            _ => {
                let response = self.route(request, guard, may_use_cookies).await;
                match response.headers().get(header::ALLOW) {
                    Some(methods) if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
                        let methods = [methods.as_bytes(), b", OPTIONS"].concat();
                        HeaderValue::from_bytes(&methods).unwrap_or(HeaderValue::from_static(METHODS))
                    }
                    _ => return Ok(response),
                }
            }
        };
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, methods);
        Ok(response)
    }

    async fn admit<B>(&self, request: &Request<B>, may_use_cookies: bool) -> Admission {
        let authenticator = self.worker.authenticator.current();
        let query = request.uri().query().unwrap_or("");
        authenticator.admit(request.headers(), query, may_use_cookies).await
    }

    /// Returns the guard of a request to a transport, and the address of its client. The guard is that of the connection,
    /// which serves nothing else meanwhile; where many requests share a connection, each has a guard of its own.
    fn guard_of<B>(
        &self,
        request: &Request<B>,
        guard: Rc<ConnectionGuard>,
    ) -> Result<(Rc<ConnectionGuard>, IpAddr), Problem> {
        let guard = if request.version() < Version::HTTP_2 {
            guard
        } else {
            guard.for_stream().map_err(problem_of)?
        };
        let proxies = &self.preamble.proxies;
        let client = proxies.client_of(request.headers(), guard.peer());
        let network = (!proxies.trusts(client)).then(|| client.into());
        guard.count_for(network).map_err(problem_of)?;
        tracing::debug!(%client, path = request.uri().path(), "a client requests a session");
        Ok((guard, client))
    }

    /// Passes the request to the router. Handlers find the [`Admission`] among the extensions.
    async fn route(
        &self,
        mut request: Request<RequestBody>,
        guard: &ConnectionGuard,
        may_use_cookies: bool,
    ) -> Response<ResponseBody> {
        let client = self.preamble.proxies.client_of(request.headers(), guard.peer());
        request.extensions_mut().insert(ClientAddress(client));
        request.extensions_mut().insert(guard.publish_meter());
        let admission = self.admit(&request, may_use_cookies).await;
        request.extensions_mut().insert(admission);
        let Ok(response) = self.router.clone().call(request.map(axum::body::Body::new)).await;
        response.map(ResponseBody::Routed)
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
