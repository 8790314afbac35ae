//! From a request to the part that answers it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use fanwire_protocol::ErrorCode;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tower_service::Service;

use super::preamble::Preamble;
use super::refusal::problem_of;
use crate::auth::{Admission, SharedOrigins, Verdict};
use crate::config::Limits;
use crate::http::{HttpState, Readiness, router};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, ConnectionInfo, Worker};
use crate::transports::{ResponseBody, TransportRequest, Transports};

/// What pages of another origin may send, once they are let in.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, last-event-id";

/// The answering side of one worker.
pub(super) struct Dispatch {
    worker: Rc<Worker>,
    transports: Transports,
    router: Router,
    origins: Arc<SharedOrigins>,
    readiness: Arc<Readiness>,
    beginning: Preamble,
}

impl Dispatch {
    pub(super) fn new(
        worker: Rc<Worker>,
        http: HttpState,
        origins: Arc<SharedOrigins>,
        beginning: Preamble,
    ) -> Self {
        let transports = Transports::new(worker.clone());
        let readiness = http.readiness.clone();
        Self { worker, transports, router: router(http), origins, readiness, beginning }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.worker.limits
    }

    /// How connections begin before HTTP.
    pub(super) fn beginning(&self) -> &Preamble {
        &self.beginning
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        guard: Rc<ConnectionGuard>,
    ) -> Response<ResponseBody> {
        if !settle_host(&mut request) {
            let detail = "a request must have one Host header, which says whom it is for (RFC 9112 §3.2)";
            return self.counted(answer_problem(Problem::bad_request(detail)));
        }
        let (origin, may_use_cookies) = match self.origins.judge(request.headers()) {
            Verdict::None => (None, true),
            Verdict::Allowed { origin, may_use_cookies } => (Some(origin), may_use_cookies),
            Verdict::RefusedHost(host) => return self.counted(refuse_host(&host)),
            Verdict::Refused(origin) => return self.counted(refuse_origin(&origin)),
        };
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if is_preflight {
            preflight()
        } else if Transports::serves(&request) && self.readiness.is_draining() {
            // A session opened now would have to be sent away at once.
            answer_problem(Readiness::draining())
        } else if Transports::serves(&request) {
            let (guard, client) = match self.guard_of(&request, guard) {
                Ok(found) => found,
                Err(problem) => return self.counted(answer_problem(problem)),
            };
            let admission = self.admit(&request, may_use_cookies).await;
            let connection_info = ConnectionInfo { connection: self.worker.next_connection(), client };
            let asked =
                TransportRequest { request, guard, admission, connection_info, disconnect_report: None };
            self.transports.serve(asked).await.unwrap_or_else(answer_problem)
        } else {
            self.route(request, &guard, may_use_cookies).await
        };
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if may_use_cookies && self.worker.authenticator.current().cookie.is_some() {
                let name = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
                headers.insert(name, HeaderValue::from_static("true"));
            }
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        self.counted(response)
    }

    async fn admit(&self, request: &Request<Incoming>, may_use_cookies: bool) -> Admission {
        let authenticator = self.worker.authenticator.current();
        let query = request.uri().query().unwrap_or("");
        authenticator.admit(request.headers(), query, may_use_cookies).await
    }

    /// The ticket of a request to a transport, and whose request it is. The ticket is that of its connection, which serves nothing else meanwhile; or, where many
    /// requests share a connection, one of its own.
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
        let proxies = &self.beginning.proxies;
        let client = proxies.client_of(request.headers(), guard.peer());
        let network = (!proxies.trusts(client)).then(|| client.into());
        guard.count_for(network).map_err(problem_of)?;
        tracing::debug!(%client, path = request.uri().path(), "a session is asked for");
        Ok((guard, client))
    }

    /// Asks the router. Handlers that need to know who asks find the [`Admission`] among the extensions.
    async fn route(
        &self,
        mut request: Request<Incoming>,
        guard: &ConnectionGuard,
        may_use_cookies: bool,
    ) -> Response<ResponseBody> {
        request.extensions_mut().insert(guard.publish_meter());
        let admission = self.admit(&request, may_use_cookies).await;
        request.extensions_mut().insert(admission);
        let Ok(response) = self.router.clone().call(request.map(axum::body::Body::new)).await;
        response.map(ResponseBody::Routed)
    }

    /// The same response, its error counted if it is one.
    fn counted(&self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        if let Some(code) = response.extensions().get::<ErrorCode>() {
            self.worker.counters.error(*code);
        }
        response
    }
}

/// Whether a request says whom it is for, and only once. HTTP/1.0 does not ask for that; HTTP/2 says it in `:authority`, which
/// becomes the `Host` that everybody else looks at (RFC 9113 §8.3.1).
fn settle_host<B>(request: &mut Request<B>) -> bool {
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    if let Some(authority) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        match request.headers().get(header::HOST) {
            Some(host) if *host != authority => return false,
            _ => drop(request.headers_mut().insert(header::HOST, authority)),
        }
    }
    let count = request.headers().get_all(header::HOST).iter().count();
    count == 1 || (count == 0 && request.version() < Version::HTTP_11)
}

fn answer_problem(problem: Problem) -> Response<ResponseBody> {
    problem.into_response().map(ResponseBody::full)
}

fn refuse_host(host: &str) -> Response<ResponseBody> {
    tracing::info!(host, "host refused");
    let detail = format!(
        "this broker is open to this machine only, and was asked for as '{host}', which may be anybody's name for it: use \
         'localhost', add the origin of that name to 'origins' in the configuration, or ask for credentials with [auth]"
    );
    answer_problem(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail))
}

fn refuse_origin(origin: &str) -> Response<ResponseBody> {
    tracing::info!(origin, "origin refused");
    let detail = if origin == "null" {
        "pages from 'null', that is from a file or a sandbox, may not use this broker: serve the page over HTTP, from \
         this machine ('php -S localhost:8000' will do) or from the broker's own host"
            .to_owned()
    } else {
        format!(
            "pages from '{origin}' may not use this broker: add the origin to 'origins' in its configuration, or serve \
             the page from the broker's own host"
        )
    };
    answer_problem(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail))
}

/// The answer to a page of another origin that asks what it may send (WHATWG Fetch §3.2).
fn preflight() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}
