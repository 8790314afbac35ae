//! `POST /request/{method}`: a question to the application behind the broker, and its answer.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::{Payload, PayloadView};
use http::{Request, header};

use super::HttpState;
use super::body::read_body;
use super::publish::payload_of;
use crate::auth::Admission;
use crate::problem::Problem;

/// Passes the body on and answers with what the application says, each as the payload that its `Content-Type` says it is. No
/// body and no type are the JSON value null.
pub(super) async fn ask(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let identity = admission.into_identity()?;
    let (parts, body) = request.into_parts();
    let body = read_body(body, state.limits.message_bytes_max, state.limits.body_timeout).await?;
    let data = if body.is_empty() && !parts.headers.contains_key(header::CONTENT_TYPE) {
        Payload::from_json("null").map_err(|error| Problem::bad_request(error.to_string()))?
    } else {
        payload_of(&parts.headers, &body)?
    };
    let answer = state.inquiry.request(&identity, &method, &data).await?.to_json_payload();
    let content_type = match answer.view() {
        PayloadView::Text(_) => "text/plain; charset=utf-8",
        PayloadView::Binary(_) => "application/octet-stream",
        PayloadView::Json(_) | PayloadView::MessagePack(_) => "application/json",
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, answer.to_bare().into_owned()).into_response())
}
