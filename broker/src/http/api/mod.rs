//! `/api/v1/…`, the server API: what administrators and the application's back end see of the broker and do to its sessions.
//!
//! Every URL here is for an admin key, or for every client while the broker is open. [`admin_only`] checks that for the whole router,
//! so that no handler can forget it. Errors are problems, as everywhere over HTTP.
//!
//! # How to add a request
//!
//! 1. Write a handler in a file of its own, named after what it does, and give it a route in [`router`]. Add its path to
//!    [`PATHS`] and to the table in `tests/e2e/server_api/guard.rs`, which checks that only an administrator gets through.
//! 2. Read names in the path with [`SessionName`], [`UserName`] or [`TopicName`], which decode them and answer an invalid one. Read the
//!    query with [`Parameters`](query::Parameters), and a body with [`Fields::read`], which bounds it and names the wrong field.
//! 3. Reach sessions through `state.mailboxes`. A session lives on the thread of its worker and cannot be sent away. So a handler sends a
//!    closure, which receives the [`Worker`](crate::sessions::Worker) there and returns what can be sent back:
//!    - `run_on_owner` runs it on the worker that owns a connection.
//!    - `run_on_all` runs it on every worker and collects the results: for requests about a user, and for lists. For a page, let each worker
//!      return the first `limit` entries, then merge, sort, and keep `limit`.
//!
//!    Both give up after five seconds, which is answered with 503. A closure must be quick and must not wait, because it holds up its
//!    worker. Counters and topics need no worker.
//! 4. Answer with [`json_response`](super::body::json_response). Bound every list by [`fitting`](super::body::fitting).

mod disconnect;
mod fields;
mod history;
mod name;
mod query;
mod send;
mod sessions;
mod stats;
mod subscribe;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::Serialize;

use fields::Fields;
use name::{SessionName, TopicName, UserName};

use super::content_type::BodyKind;
use super::parameters::refuse_parameters;
use super::{HttpState, not_allowed, nothing_at};
use crate::auth::Admission;
use crate::problem::Problem;
use crate::telemetry::{ApiOperation, WorkerCounters};

/// Returns the router of everything under `/api/v1`.
pub(super) fn router(counters: Arc<WorkerCounters>) -> Router<HttpState> {
    Router::new()
        .route("/stats", get(stats::stats))
        .route("/topics", get(topics::list))
        .route("/topics/{topic}", get(topics::one))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{connection}", get(sessions::one))
        .route("/sessions/{connection}/disconnect", post(disconnect::session))
        .route("/sessions/{connection}/send", post(send::session))
        .route("/sessions/{connection}/subscribe", post(subscribe::subscribe_session))
        .route("/sessions/{connection}/unsubscribe", post(subscribe::unsubscribe_session))
        .route("/users/{user}/disconnect", post(disconnect::user))
        .route("/users/{user}/send", post(send::user))
        .route("/users/{user}/subscribe", post(subscribe::subscribe_user))
        .route("/users/{user}/unsubscribe", post(subscribe::unsubscribe_user))
        .route("/topics/{topic}/history", delete(history::clear))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(strict))
        .layer(middleware::from_fn(admin_only))
        .layer(middleware::from_fn_with_state(counters, counted))
}

/// The path under which all of this stands.
pub(super) const PREFIX: &str = "/api/v1";

/// The paths below [`PREFIX`] that a misspelt path is compared with.
const PATHS: [&str; 14] = [
    "/stats",
    "/topics",
    "/topics/{topic}",
    "/topics/{topic}/history",
    "/sessions",
    "/sessions/{connection}",
    "/sessions/{connection}/disconnect",
    "/sessions/{connection}/send",
    "/sessions/{connection}/subscribe",
    "/sessions/{connection}/unsubscribe",
    "/users/{user}/disconnect",
    "/users/{user}/send",
    "/users/{user}/subscribe",
    "/users/{user}/unsubscribe",
];

async fn unknown_path(request: Request) -> Problem {
    nothing_at(PREFIX, request.uri().path(), &PATHS)
}

async fn unknown_method(request: Request) -> Problem {
    not_allowed(PREFIX, &request)
}

/// Refuses what would change the meaning of a request if the broker ignored it: query parameters of URLs that take none, and bodies
/// that are no JSON. Lists read their own parameters.
async fn strict(request: Request, next: Next) -> Result<Response, Problem> {
    if !matches!(request.uri().path(), "/topics" | "/sessions") {
        refuse_parameters(request.uri(), &[])?;
    }
    BodyKind::of(request.headers())?.check_json()?;
    Ok(next.run(request).await)
}

/// Refuses every client but administrators. On an open broker every client may pass.
async fn admin_only(
    Extension(admission): Extension<Admission>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    admission.check_admin()?;
    Ok(next.run(request).await)
}

/// Counts every request by its result.
async fn counted(State(counters): State<Arc<WorkerCounters>>, request: Request, next: Next) -> Response {
    let call = ApiOperation::of(request.method(), request.uri().path());
    let response = next.run(request).await;
    counters.api_requests.answered(call, response.status());
    response
}

/// The number of sessions that a request affected.
#[derive(Serialize)]
struct Affected {
    sessions: usize,
}
