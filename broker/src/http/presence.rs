//! `GET /topics/{topic}/presence`: the members of a topic.

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::json;
use http::{StatusCode, header};

use super::parameters::refuse_parameters;
use super::{HttpState, topic_only};
use crate::auth::Admission;
use crate::problem::Problem;
use crate::sessions::no_presence;
use crate::topic_path;

/// Names who is present in a topic, as the `presence` frame does. A request for the topic itself is a transport's, unless
/// its method is none that a transport knows.
pub(super) async fn members(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    request: Request,
) -> Result<Response, Problem> {
    let Some(name) = topic_path::of_presence(request.uri().path()) else {
        return Err(topic_only(request).await);
    };
    let topic = topic_path::parse_topic(name)?;
    refuse_parameters(request.uri(), &[])?;
    let identity = admission.into_identity()?;
    let Some((members, more)) = state.inquiry.members(&identity, &topic).await? else {
        let refusal = no_presence(&topic);
        return Err(Problem::new(StatusCode::NOT_FOUND, refusal.code, refusal.message));
    };
    let mut body = Vec::new();
    json::encode_presence(&topic, &members, more, &mut body);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}
