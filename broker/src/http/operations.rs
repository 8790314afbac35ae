//! URLs for operators and their tools: liveness, readiness and metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};

use super::HttpState;
use crate::auth::Admission;
use crate::problem::Problem;

/// The readiness of the broker to accept and deliver.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    is_draining: AtomicBool,
    /// The reason why durable topics cannot be used, while they cannot.
    store_failure: Mutex<Option<Arc<str>>>,
}

impl Readiness {
    /// Notes that the broker is shutting down.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Notes the reason why durable topics cannot be used, or `None` once they can be used again.
    pub(crate) fn store_failed(&self, reason: Option<Arc<str>>) {
        *self.store_failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Returns whether the broker drains. Then no session opens any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Returns the reason why durable topics cannot be used, while they cannot.
    pub(crate) fn store_failure(&self) -> Option<Arc<str>> {
        self.store_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the reason why the broker is not ready, if there is one.
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

    /// Returns the answer to a request that a draining broker does not serve.
    pub(crate) fn draining() -> Problem {
        let detail =
            "the broker is shutting down: use another broker, or try again when this one has restarted";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail)
            .with_header(header::RETRY_AFTER, "5")
    }
}

/// `/healthz`: the process is alive and answers.
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

/// `/metrics`: all metrics in the text format of Prometheus. For administrators, unless the broker is open.
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
