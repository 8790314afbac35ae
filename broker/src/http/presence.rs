//! `GET /topics/{topic}/presence`: the members of a topic.

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use fanwire_protocol::{Member, Topic, json};
use http::{StatusCode, header};

use super::body::LIST_BYTES_MAX;
use super::parameters::refuse_parameters;
use super::{HttpState, topic_only};
use crate::auth::Admission;
use crate::problem::Problem;
use crate::sessions::no_presence;
use crate::topic_path;

/// Answers the members of a topic, as the `presence` frame does. A request for the topic itself belongs to a transport, unless
/// no transport knows its method.
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
    let Some((members, more)) = state.lookups.members(&identity, &topic).await? else {
        let refusal = no_presence(&topic);
        return Err(Problem::new(StatusCode::NOT_FOUND, refusal.code, refusal.message));
    };
    let count = fitting_members(&topic, &members);
    let mut body = Vec::new();
    json::encode_presence(&topic, &members[..count], more || count < members.len(), &mut body);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// Returns how many members, from the first, fit into one response once they are encoded.
fn fitting_members(topic: &Topic, members: &[Member]) -> usize {
    let (mut bytes, mut encoded) = (0, Vec::new());
    let is_beyond = |member: &Member| {
        encoded.clear();
        json::encode_presence(topic, std::slice::from_ref(member), false, &mut encoded);
        bytes += encoded.len();
        bytes > LIST_BYTES_MAX
    };
    members.iter().position(is_beyond).unwrap_or(members.len())
}
