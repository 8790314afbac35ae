//! `POST /request/{method}`: an RPC callout to the application behind the broker.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::{Payload, PayloadView};
use http::{Request, header};

use super::HttpState;
use super::body::read_body;
use super::content_type::{BodyKind, is_absent};
use super::parameters::refuse_parameters;
use crate::auth::Admission;
use crate::problem::Problem;

/// Passes the body to the application and answers with the response of the application, each as the payload that its
/// `Content-Type` names. No body without a type is the JSON value null.
pub(super) async fn call(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let identity = admission.into_identity()?;
    let (parts, body) = request.into_parts();
    refuse_parameters(&parts.uri, &[])?;
    let kind = BodyKind::of(&parts.headers)?;
    let body = read_body(body, state.limits.message_bytes_max, state.limits.body_timeout).await?;
    let data = if is_absent(&parts.headers, &body) {
        Payload::from_json("null").map_err(|error| Problem::bad_request(error.to_string()))?
    } else {
        kind.payload(&body)?
    };
    let answer = state.lookups.request(&identity, &method, &data).await?.to_json_payload();
    let content_type = match answer.view() {
        PayloadView::Text(_) => "text/plain; charset=utf-8",
        PayloadView::Binary(_) => "application/octet-stream",
        PayloadView::Json(_) | PayloadView::MessagePack(_) => "application/json",
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, answer.to_bare().into_owned()).into_response())
}
