//! What operators and their tools ask: does it live, can it work, what has it counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};

use super::HttpState;
use crate::auth::Admission;
use crate::problem::Problem;

/// Whether the broker can accept and deliver.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    is_draining: AtomicBool,
    /// Why durable topics cannot be used, while they cannot.
    store_failure: Mutex<Option<Arc<str>>>,
}

impl Readiness {
    /// Notes that the broker is shutting down.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Notes why durable topics cannot be used, or that they can again.
    pub(crate) fn store_failed(&self, reason: Option<Arc<str>>) {
        *self.store_failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Whether the broker is about to stop, so that no session should be opened any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Why durable topics cannot be used, while they cannot.
    pub(crate) fn store_failure(&self) -> Option<Arc<str>> {
        self.store_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What stands in the way of accepting and delivering everything.
    fn obstacle(&self) -> Option<Problem> {
        if self.is_draining() {
            return Some(Self::draining());
        }
        let reason = self.store_failure()?;
        let detail = format!("durable topics cannot be used: {reason}");
        Some(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail)
                .with_header(header::RETRY_AFTER, "5"),
        )
    }

    /// What to answer to whoever needs a broker that is not about to stop.
    pub(crate) fn draining() -> Problem {
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
    match state.readiness.obstacle() {
        None => Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n").into_response()),
        Some(problem) => Err(problem),
    }
}

/// `/metrics`: everything counted, in the text format of Prometheus. For the administrator, unless the broker is open.
pub(super) async fn metrics(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
) -> Result<Response, Problem> {
    admission.check_admin()?;
    let page = state.metrics.render().map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        let detail = "the metrics could not be written: the broker's log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, detail)
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response())
}
