//! Starts and ends subscriptions of sessions at the request of the application.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use fanwire_core::access::Refusal;
use fanwire_core::session::Start;
use fanwire_protocol::{ErrorCode, Pattern, Request, json};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::fields::BODY_BYTES_MAX;
use super::{Fields, SessionName, UserName};
use crate::http::HttpState;
use crate::http::body::{LIST_BYTES_MAX, encoded_bytes, json_response};
use crate::problem::Problem;
use crate::sessions::{SessionCommand, SessionHandle};

/// The time that the sessions have to execute a command.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of a reason in bytes.
const REASON_BYTES_MAX: usize = 1024;

/// The result for all sessions of a user.
#[derive(Default, Serialize)]
struct Outcome {
    sessions: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failure>,
    /// Whether more sessions failed than `failed` contains.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

impl Outcome {
    /// Adds a session that failed, if the list has room for it. `bytes` is the size of the list so far.
    fn fail(&mut self, failure: Failure, bytes: &mut usize) {
        *bytes += encoded_bytes(&failure);
        if *bytes > LIST_BYTES_MAX {
            self.more = true;
        } else {
            self.failed.push(failure);
        }
    }
}

/// A session that failed to execute the command.
#[derive(Serialize)]
struct Failure {
    connection: String,
    code: &'static str,
    message: String,
}

/// The result of a command, once the session has executed it.
type CommandResult = oneshot::Receiver<Result<(), Refusal>>;

/// Handles requests for `POST /api/v1/sessions/{connection}/subscribe`.
pub(super) async fn subscribe_session(
    State(state): State<HttpState>,
    name: SessionName,
    body: Body,
) -> Result<Response, Problem> {
    let (pattern, start) = read_subscription(body, &state).await?;
    command_session(&state, &name, move || SessionCommand::Subscribe {
        pattern: pattern.clone(),
        start: start.clone(),
    })
    .await
}

/// Handles requests for `POST /api/v1/sessions/{connection}/unsubscribe`.
pub(super) async fn unsubscribe_session(
    State(state): State<HttpState>,
    name: SessionName,
    body: Body,
) -> Result<Response, Problem> {
    let (pattern, reason) = read_ending(body, &state).await?;
    command_session(&state, &name, move || SessionCommand::Unsubscribe { pattern, reason }).await
}

/// Handles requests for `POST /api/v1/users/{user}/subscribe`.
pub(super) async fn subscribe_user(
    State(state): State<HttpState>,
    UserName(user): UserName,
    body: Body,
) -> Result<Response, Problem> {
    let (pattern, start) = read_subscription(body, &state).await?;
    command_user(
        &state,
        user,
        |session| session.can_be_subscribed(),
        move || SessionCommand::Subscribe { pattern: pattern.clone(), start: start.clone() },
    )
    .await
}

/// Handles requests for `POST /api/v1/users/{user}/unsubscribe`.
pub(super) async fn unsubscribe_user(
    State(state): State<HttpState>,
    UserName(user): UserName,
    body: Body,
) -> Result<Response, Problem> {
    let (pattern, reason) = read_ending(body, &state).await?;
    let subscribed = pattern.clone();
    command_user(
        &state,
        user,
        move |session| session.is_subscribed(&subscribed),
        move || SessionCommand::Unsubscribe { pattern: pattern.clone(), reason: reason.clone() },
    )
    .await
}

async fn command_session(
    state: &HttpState,
    name: &SessionName,
    command: impl FnOnce() -> SessionCommand + Send + 'static,
) -> Result<Response, Problem> {
    let connection = name.0;
    let results = state
        .mailboxes
        .run_on_owner(connection, move |worker| {
            worker.registry.session(connection).map(|session| session.command(command()))
        })
        .await?;
    let result = results.ok_or_else(|| name.is_unknown())?;
    match outcome(result, Instant::now() + SESSIONS_TIMEOUT).await {
        None => Err(name.is_unknown()),
        Some(Ok(())) => Ok(json_response(&Outcome { sessions: 1, ..Outcome::default() })),
        Some(Err(refusal)) if refusal.code == ErrorCode::Unavailable => {
            Err(Problem::new(StatusCode::CONFLICT, refusal.code, refusal.message))
        }
        Some(Err(refusal)) if refusal.code == ErrorCode::Unauthorized => {
            // The session lacks credentials, not the caller.
            Err(Problem::new(StatusCode::CONFLICT, ErrorCode::Unavailable, refusal.message))
        }
        Some(Err(refusal)) => Err(refusal.into()),
    }
}

async fn command_user(
    state: &HttpState,
    user: String,
    concerns: impl Fn(&SessionHandle) -> bool + Clone + Send + 'static,
    command: impl Fn() -> SessionCommand + Clone + Send + 'static,
) -> Result<Response, Problem> {
    let results = state
        .mailboxes
        .run_on_all(move |worker| {
            let sessions = worker.registry.sessions_of(&user);
            let concerned = sessions.iter().filter(|session| concerns(session));
            concerned.map(|session| (session.connection(), session.command(command()))).collect::<Vec<_>>()
        })
        .await?;
    let deadline = Instant::now() + SESSIONS_TIMEOUT;
    let (mut all, mut bytes) = (Outcome::default(), 0);
    for (connection, result) in results.into_iter().flatten() {
        match outcome(result, deadline).await {
            // The session has ended meanwhile.
            None => {}
            Some(Ok(())) => all.sessions += 1,
            Some(Err(Refusal { code, message })) => {
                let connection = format!("{connection:x}");
                all.fail(Failure { connection, code: code.as_str(), message }, &mut bytes);
            }
        }
    }
    Ok(json_response(&all))
}

/// Returns the result of a command, or `None` if the session has ended.
async fn outcome(result: CommandResult, deadline: Instant) -> Option<Result<(), Refusal>> {
    match timeout_at(deadline, result).await {
        Ok(result) => result.ok(),
        Err(_) => {
            let message = "the session has not executed the command in time; it may do so later".to_owned();
            Some(Err(Refusal { code: ErrorCode::Unavailable, message }))
        }
    }
}

/// Reads the topic and the start point, as in a `subscribe` frame.
async fn read_subscription(body: Body, state: &HttpState) -> Result<(Pattern, Start), Problem> {
    let mut fields = Fields::read(body, BODY_BYTES_MAX, state.limits.body_timeout).await?;
    let mut frame = String::from("{\"type\":\"subscribe\"");
    for name in ["topic", "since", "last"] {
        if let Some(value) = fields.take::<Box<RawValue>>(name, "a JSON value")? {
            frame.push_str(&format!(",\"{name}\":{}", value.get()));
        }
    }
    fields.finish("'topic', 'since' and 'last'")?;
    frame.push('}');
    match json::decode_client(&frame).map(|frame| frame.request)? {
        Request::Subscribe { pattern, options } => Ok((pattern, Start::of(options.since, options.last))),
        _ => Err(Problem::bad_request("topic: expected a topic or pattern")),
    }
}

/// Reads the subscription to end and the reason.
async fn read_ending(body: Body, state: &HttpState) -> Result<(Pattern, String), Problem> {
    let mut fields = Fields::read(body, BODY_BYTES_MAX, state.limits.body_timeout).await?;
    let topic: Option<String> = fields.take("topic", "a topic or pattern")?;
    let reason: Option<String> = fields.take("reason", "text")?;
    fields.finish("'topic' and 'reason'")?;
    let topic = topic.ok_or_else(|| Problem::bad_request("topic: expected a topic or pattern"))?;
    let pattern = Pattern::new(&topic).map_err(|error| Problem::bad_topic(&topic, error))?;
    let reason = reason.unwrap_or_else(|| "the application has ended this subscription".to_owned());
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "reason: expected a text of 1 to {REASON_BYTES_MAX} bytes"
        )));
    }
    Ok((pattern, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_failures_that_is_cut_says_so() {
        let (mut all, mut bytes) = (Outcome::default(), 0);
        for number in 0..1000 {
            let (connection, message) = (format!("{number:x}"), "x".repeat(2000));
            all.fail(Failure { connection, code: "forbidden", message }, &mut bytes);
        }
        let body = serde_json::to_vec(&all).unwrap();
        assert!(all.more && all.failed.len() > 400 && body.len() < LIST_BYTES_MAX + 1000, "{}", body.len());
        assert_eq!(serde_json::to_string(&Outcome::default()).unwrap(), r#"{"sessions":0}"#);
    }
}
