//! Sends a message to one session, or to all sessions of a user, without a topic.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use fanwire_protocol::{DecodeError, ErrorCode, Payload, Request, json};
use http::StatusCode;
use serde_json::value::RawValue;

use super::{Affected, Fields, SessionName, UserName};
use crate::http::HttpState;
use crate::http::body::json_response;
use crate::problem::Problem;
use crate::sessions::direct_message;

/// The maximum size in bytes of a body beside the payload.
const ENVELOPE_BYTES_MAX: usize = 4096;

/// `POST /api/v1/sessions/{connection}/send`: sends a message to one session.
pub(super) async fn session(
    State(state): State<HttpState>,
    name: SessionName,
    body: Body,
) -> Result<Response, Problem> {
    let message = direct_message(read_payload(body, &state).await?);
    let connection = name.0;
    let is_sent = state
        .mailboxes
        .run_on_owner(connection, move |worker| {
            let session = worker.registry.session(connection)?;
            Some(session.send_direct(&message, &worker.counters))
        })
        .await?;
    let is_sent = is_sent.ok_or_else(|| name.is_unknown())?;
    Ok(json_response(&Affected { sessions: usize::from(is_sent) }))
}

/// `POST /api/v1/users/{user}/send`: sends a message to all sessions of a user.
pub(super) async fn user(
    State(state): State<HttpState>,
    UserName(user): UserName,
    body: Body,
) -> Result<Response, Problem> {
    let message = direct_message(read_payload(body, &state).await?);
    let sent = state
        .mailboxes
        .run_on_all(move |worker| {
            let sessions = worker.registry.sessions_of(&user);
            sessions.iter().filter(|session| session.send_direct(&message, &worker.counters)).count()
        })
        .await?;
    Ok(json_response(&Affected { sessions: sent.iter().sum() }))
}

/// Reads the payload that the body holds as `data` or `data_base64`, as in a `publish` frame.
async fn read_payload(body: Body, state: &HttpState) -> Result<Payload, Problem> {
    let bytes_max = state.limits.message_bytes_max;
    let mut fields =
        Fields::read(body, bytes_max * 3 / 2 + ENVELOPE_BYTES_MAX, state.limits.body_timeout).await?;
    let mut frame = String::from("{\"type\":\"publish\",\"topic\":\"x\"");
    for name in ["data", "data_base64"] {
        if let Some(value) = fields.take::<Box<RawValue>>(name, "a JSON value")? {
            frame.push_str(&format!(",\"{name}\":{}", value.get()));
        }
    }
    fields.finish("'data' and 'data_base64'")?;
    frame.push('}');
    let payload = match json::decode_client(&frame).map(|frame| frame.request) {
        Ok(Request::Publish { payload, .. }) => payload,
        Ok(_) => return Err(Problem::bad_request("data: expected a JSON value")),
        Err(DecodeError::Unreadable(message) | DecodeError::Rejected { message, .. }) => {
            return Err(Problem::bad_request(message));
        }
    };
    if payload.len() > bytes_max {
        let detail = format!("data: {} bytes, and this broker takes at most {bytes_max}", payload.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, detail));
    }
    Ok(payload)
}
