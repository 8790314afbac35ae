//! From a request to the part of the broker that answers it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use fanwire_protocol::ErrorCode;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tower_service::Service;

use super::cors;
use super::http2_streams;
use super::origin_check::OriginCheck;
use super::preamble::Preamble;
use super::refusal::problem_of;
use super::request_body::RequestBody;
use crate::auth::Admission;
use crate::config::Limits;
use crate::http::{HttpState, Readiness, router};
use crate::problem::Problem;
use crate::sessions::{ClientAddress, ConnectionGuard, ConnectionInfo, Worker};
use crate::telemetry::WorkerCounters;
use crate::transports::{ResponseBody, TransportRequest, Transports};

/// The methods that some URL of the broker takes, as `OPTIONS *` answers.
const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// The answering side of one worker.
pub(super) struct Dispatch {
    worker: Rc<Worker>,
    transports: Transports,
    router: Router,
    origin_check: OriginCheck,
    readiness: Arc<Readiness>,
    preamble: Preamble,
}

impl Dispatch {
    /// Creates the dispatch of a worker.
    pub(super) fn new(
        worker: Rc<Worker>,
        http: HttpState,
        origin_check: OriginCheck,
        preamble: Preamble,
    ) -> Self {
        let transports = Transports::new(worker.clone(), http.pusher_apps.clone());
        let readiness = http.readiness.clone();
        Self { worker, transports, router: router(http), origin_check, readiness, preamble }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.worker.limits
    }

    /// Returns the bound on the head of a request for the HTTP library.
    pub(super) fn head_bytes_max(&self) -> usize {
        self.origin_check.head_limit().total_bytes_max()
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
        let (result, readers) = match self.origin_check.judge(&mut request, guard.peer()) {
            Ok((may_use_cookies, readers)) => (self.serve(request, guard, may_use_cookies).await, readers),
            Err((problem, readers)) => (Err(problem), readers),
        };
        let response = cors::finish(result, readers);
        if let Some(code) = response.extensions().get::<ErrorCode>() {
            self.worker.counters.error(*code);
        }
        response
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
            guard.for_stream(http2_streams::abort_signal()).map_err(problem_of)?
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
