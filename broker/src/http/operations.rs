//! What operators and their tools ask: does it live, can it work, what has it counted.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};

use super::HttpState;
use crate::problem::Problem;

/// Whether the broker can accept and deliver.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    is_draining: AtomicBool,
}

impl Readiness {
    /// Notes that the broker is shutting down.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether sessions can be opened and publications accepted.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining.load(Ordering::Acquire)
    }

    /// What to answer to whoever needs a broker that is ready.
    pub(crate) fn problem() -> Problem {
        let detail = "the broker is shutting down: use another one, or come back when it has restarted";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail)
            .with_header(header::RETRY_AFTER, "5")
    }
}

/// `/healthz`: the process lives and answers.
pub(super) async fn health() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "alive\n").into_response()
}

/// `/readyz`: the broker accepts and delivers.
pub(super) async fn ready(State(state): State<HttpState>) -> Result<Response, Problem> {
    if state.readiness.is_ready() {
        return Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n").into_response());
    }
    Err(Readiness::problem())
}

/// `/metrics`: everything counted, in the text format of Prometheus.
pub(super) async fn metrics(State(state): State<HttpState>) -> Result<Response, Problem> {
    let page = state.metrics.render().map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        let detail = "the metrics could not be written: the broker's log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, detail)
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response())
}
