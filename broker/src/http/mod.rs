//! The HTTP interface beside the transports: publishing, presence, requests, health, metrics, pages.

mod api;
mod body;
mod operations;
mod pages;
mod presence;
mod publish;
mod request;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use fanwire_protocol::ErrorCode;
use http::StatusCode;
use http::header::ALLOW;

pub(crate) use operations::Readiness;

use crate::config::Limits;
use crate::engine::Engine;
use crate::problem::Problem;
use crate::sessions::{Inquiry, PublishPipeline, WorkerMailboxes};
use crate::telemetry::{Metrics, Overview, WorkerCounters};

/// What the handlers of one worker need.
#[derive(Clone)]
pub(crate) struct HttpState {
    pub(crate) publishing: PublishPipeline,
    pub(crate) inquiry: Inquiry,
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Arc<Engine>,
    pub(crate) overview: Arc<Overview>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) mailboxes: WorkerMailboxes,
}

/// Every URL that is not a transport's.
pub(crate) fn router(state: HttpState) -> Router {
    Router::new()
        .route("/topics/{*topic}", get(presence::members).post(publish::publish_one).fallback(topic_only))
        .route("/stream", any(transport_only))
        .route("/publish", post(publish::publish_many))
        .route("/request/{method}", post(request::ask))
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .nest("/api/v1", api::router(state.counters.clone()))
        .merge(pages::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(state)
}

async fn unknown_path(request: Request) -> Problem {
    let detail = format!(
        "there is nothing at {}: topics are at /topics/{{topic}}, WebSocket sessions at /ws, and / has the rest",
        request.uri().path().chars().take(200).collect::<String>()
    );
    Problem::new(StatusCode::NOT_FOUND, ErrorCode::BadFrame, detail)
}

async fn unknown_method(request: Request) -> Problem {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadFrame, detail)
}

/// Answers every method but GET on a URL that a transport serves.
async fn transport_only(request: Request) -> Problem {
    unknown_method(request).await.with_header(ALLOW, "GET")
}

/// Answers every method but POST, and GET, which a transport serves, on a topic's URL.
async fn topic_only(request: Request) -> Problem {
    unknown_method(request).await.with_header(ALLOW, "GET, POST")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Problem::into_response(self).map(axum::body::Body::from)
    }
}
