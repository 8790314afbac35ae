//! Everything that is counted, at one moment.

use axum::extract::State;
use axum::response::Response;

use crate::http::HttpState;
use crate::http::body::json_response;

/// Handles requests for `GET /api/v1/stats`.
pub(super) async fn stats(State(state): State<HttpState>) -> Response {
    json_response(&state.overview.stats(state.readiness.store_failure()))
}
