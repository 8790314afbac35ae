//! `/api/v1/…`: what administrators and the application's back end see of the broker and do to its sessions.
//!
//! Everything here is for an admin key, or for everybody while the broker is open; [`admin_only`] sees to that for the whole
//! router, so that no call can forget it. Errors are problems, as everywhere over HTTP.
//!
//! # How to add a call
//!
//! 1. Write a handler in a file of its own, named after what it does, and give it a route in [`router`]. Add it to the table in
//!    `tests/e2e/server_api/guard.rs`, which holds that nobody but an administrator gets through.
//! 2. Take names out of the path with [`SessionName`] or [`UserName`], which undo percent-encoding and answer by themselves
//!    what cannot be one; out of the query with [`Parameters`](query::Parameters). Read a body with [`Fields::read`], which bounds it and names the field that is wrong.
//! 3. Reach sessions through `state.mailboxes`. A session lives on its worker's thread and nothing of it can be sent away, so what
//!    is sent is a closure, which is given the [`Worker`](crate::sessions::Worker) there and returns what can be sent back:
//!    - [`WorkerMailboxes::run_on_owner`](crate::sessions::Calls::ask_owner) asks the one worker that a connection belongs to.
//!    - [`WorkerMailboxes::run_on_all`](crate::sessions::Calls::ask_all) asks every worker and gathers the answers: the shape for
//!      everything about a user, and for lists. For a page of sessions let each worker give the first `limit` after the
//!      last one seen (`worker.registry.page(after, limit)`), then merge, sort by connection, and keep `limit`.
//!
//!    Both give up after five seconds, which is answered by 503. A closure must be quick
//!    and never wait: it holds up its worker. What has no session in it, such as counters or topics, needs no call.
//! 4. Answer with [`json_response`](super::body::json_response).

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
use super::{HttpState, nothing_at, unknown_method};
use crate::auth::Admission;
use crate::problem::Problem;
use crate::telemetry::{ApiOperation, WorkerCounters};

/// Everything under `/api/v1`.
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

/// Counts every call, whatever becomes of it.
async fn counted(State(counters): State<Arc<WorkerCounters>>, request: Request, next: Next) -> Response {
    let call = ApiOperation::of(request.method(), request.uri().path());
    let response = next.run(request).await;
    counters.api_requests.answered(call, response.status());
    response
}

/// How many sessions a call has had its effect on.
#[derive(Serialize)]
struct Affected {
    sessions: usize,
}
