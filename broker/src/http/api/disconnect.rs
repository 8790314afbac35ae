//! Ends sessions: one, or all of a user.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use fanwire_core::session::{Close, CustomClose};
use fanwire_protocol::CloseCode;

use super::fields::BODY_BYTES_MAX;
use super::{Affected, Fields, SessionName, UserName};
use crate::http::HttpState;
use crate::http::body::json_response;
use crate::problem::Problem;

/// The maximum length of a reason in bytes. A close frame has room for 123 of them, `closing` for all.
const REASON_BYTES_MAX: usize = 1024;

/// `POST /api/v1/sessions/{connection}/disconnect`: ends one session.
pub(super) async fn session(
    State(state): State<HttpState>,
    name: SessionName,
    body: Body,
) -> Result<Response, Problem> {
    let close = read_close(body, &state).await?;
    let connection = name.0;
    let reason = close.reason.clone();
    let ended = state
        .mailboxes
        .run_on_owner(connection, move |worker| {
            worker.registry.session(connection).map(|session| session.disconnect(&close))
        })
        .await?;
    // A session that is closing already counts as ended.
    if ended != Some(true) {
        return Err(name.is_unknown());
    }
    tracing::info!(connection = format!("{connection:x}"), reason, "session disconnected by the API");
    Ok(json_response(&Affected { sessions: 1 }))
}

/// `POST /api/v1/users/{user}/disconnect`: ends all sessions of a user.
pub(super) async fn user(
    State(state): State<HttpState>,
    UserName(user): UserName,
    body: Body,
) -> Result<Response, Problem> {
    let close = read_close(body, &state).await?;
    let (whose, reason) = (user.clone(), close.reason.clone());
    let ended = state
        .mailboxes
        .run_on_all(move |worker| {
            let sessions = worker.registry.sessions_of(&whose);
            sessions.iter().filter(|session| session.disconnect(&close)).count()
        })
        .await?;
    let sessions = ended.iter().sum();
    tracing::info!(user, reason, sessions, "user disconnected by the API");
    Ok(json_response(&Affected { sessions }))
}

/// Reads from the body how to close the sessions.
async fn read_close(body: Body, state: &HttpState) -> Result<Close, Problem> {
    let mut fields = Fields::read(body, BODY_BYTES_MAX, state.limits.body_timeout).await?;
    let code: Option<u16> = fields.take("code", CODE_EXPECTED)?;
    let reason: Option<String> = fields.take("reason", REASON_EXPECTED)?;
    let reconnect: Option<bool> = fields.take("reconnect", "true or false")?;
    fields.finish("'code', 'reason' and 'reconnect'")?;
    let number = code.unwrap_or(CloseCode::Disconnected.number());
    if !is_for_applications(number) {
        return Err(Problem::bad_request(format!("code: expected {CODE_EXPECTED}")));
    }
    let reason = reason.unwrap_or_else(|| "disconnected by an operator or by the application".to_owned());
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Problem::bad_request(format!("reason: expected {REASON_EXPECTED}")));
    }
    let custom = CustomClose { number, reconnect: reconnect.unwrap_or(false) };
    Ok(Close { custom: Some(custom), ..Close::new(CloseCode::Disconnected, reason) })
}

const CODE_EXPECTED: &str = "4440, or a number of your own: 4000 to 4399, or 4500 to 4999";

const REASON_EXPECTED: &str = "a text of 1 to 1024 bytes";

/// Returns whether applications may close with this code: none of the broker's own, except the code that means exactly this.
fn is_for_applications(number: u16) -> bool {
    number == CloseCode::Disconnected.number() || matches!(number, 4000..=4399 | 4500..=4999)
}
