//! The HTTP interface beside the transports: publishing, presence, requests, health, metrics, pages.

mod api;
mod body;
mod content_type;
mod operations;
mod pages;
mod parameters;
mod presence;
mod publish;
mod pusher;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::StatusCode;
use http::header::ALLOW;

pub(crate) use operations::Readiness;
pub(crate) use pages::is_shared_file;

use crate::config::Limits;
use crate::engine::{Catalog, Engine};
use crate::problem::{Problem, ProblemCode, QUOTED_CHARS_MAX, quoted};
use crate::pusher::SharedPusherApps;
use crate::sessions::{Lookups, PublishPipeline, WorkerMailboxes};
use crate::telemetry::{Metrics, Overview, WorkerCounters};

/// The paths that a misspelt path is compared with.
const PATHS: [&str; 12] = [
    "/console",
    "/fanwire.js",
    "/fanwire.mjs",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/publish",
    "/readyz",
    "/request/{method}",
    "/stream",
    "/topics/{topic}",
    "/ws",
];

/// The state of the handlers of one worker.
#[derive(Clone)]
pub(crate) struct HttpState {
    pub(crate) publishing: PublishPipeline,
    pub(crate) lookups: Lookups,
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Arc<Engine>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) overview: Arc<Overview>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) mailboxes: WorkerMailboxes,
    pub(crate) pusher_apps: Arc<SharedPusherApps>,
}

/// Returns the router of all URLs that no transport serves.
pub(crate) fn router(state: HttpState) -> Router {
    Router::new()
        .route("/topics/{*topic}", get(presence::members).post(publish::publish_one).fallback(topic_only))
        .route("/stream", any(transport_only))
        .route("/publish", post(publish::publish_many))
        .route("/request/{method}", post(request::call))
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .nest(api::PREFIX, api::router(state.counters.clone()))
        .merge(pages::router())
        .merge(pusher::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(state)
}

async fn unknown_path(request: Request) -> Problem {
    nothing_at("", request.uri().path(), &PATHS)
}

/// Returns 404 for `path` below `prefix`, with the path of `known` that looks most like it, if one is near.
fn nothing_at(prefix: &str, path: &str, known: &[&str]) -> Problem {
    let hint = match nearest(path, known) {
        Some(near) => format!("did you mean {prefix}{near}?"),
        None => "topics are at /topics/{topic}, WebSocket sessions at /ws, and /openapi.json has the rest"
            .to_owned(),
    };
    let detail = format!("there is nothing at {prefix}{}: {hint}", quoted(path));
    Problem::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, detail)
}

/// Returns the known path that looks most like `path`, if a reader would take one for the other: at most one of four
/// characters differs. Segments in braces, and what stands in their place, are not compared.
fn nearest<'a>(path: &str, known: &[&'a str]) -> Option<&'a str> {
    if path.len() > QUOTED_CHARS_MAX {
        return None;
    }
    let near = known.iter().filter_map(|known| {
        let path = path.strip_suffix('/').unwrap_or(path);
        let (asked, fixed): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), known.split('/').collect());
        let is_comparable = asked.len() == fixed.len();
        let pairs = asked.iter().zip(&fixed).filter(|(_, fixed)| !fixed.starts_with('{'));
        let distance: usize = pairs.clone().map(|(asked, fixed)| strsim::levenshtein(asked, fixed)).sum();
        let length: usize = pairs.map(|(_, fixed)| fixed.len()).sum();
        (is_comparable && distance * 4 <= length).then_some((distance, *known))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

async fn unknown_method(request: Request) -> Problem {
    not_allowed("", &request)
}

/// Returns 405 for a request whose path is below `prefix`.
fn not_allowed(prefix: &str, request: &Request) -> Problem {
    let (path, method) = (quoted(request.uri().path()), quoted(request.method().as_str()));
    let detail = format!("{prefix}{path} does not take {method}: 'Allow' names the methods that it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ProblemCode::MethodNotAllowed, detail)
}

/// Answers the methods that the URL of a transport does not take.
async fn transport_only(request: Request) -> Problem {
    unknown_method(request).await.with_header(ALLOW, "GET, HEAD")
}

/// Answers the methods that the URL of a topic does not take.
async fn topic_only(request: Request) -> Problem {
    unknown_method(request).await.with_header(ALLOW, "GET, HEAD, POST")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Problem::into_response(self).map(axum::body::Body::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_suggested_only_where_it_is_near() {
        for (path, expected) in [
            ("/topcs/a", Some("/topics/{topic}")),
            ("/metric", Some("/metrics")),
            ("/metrics/", Some("/metrics")),
            ("/publsh", Some("/publish")),
            ("/topics", None),
            ("/nothing/here", None),
            ("/", None),
            ("/wp-login.php", None),
        ] {
            assert_eq!(nearest(path, &PATHS), expected, "{path}");
        }
        assert_eq!(nearest(&"/".repeat(100_000), &PATHS), None);
    }
}
