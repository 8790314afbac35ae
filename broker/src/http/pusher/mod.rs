//! `/apps/{id}/…`: the REST API of the Pusher protocol, for the server libraries of Pusher.
//!
//! Every request is signed with the secret of its app. This file owns the paths and the check of signatures; the handlers run
//! after it. Answers are those that the libraries expect, byte for byte.

mod channels;
mod error;
mod events;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use fanwire_core::session::{Close, CustomClose};
use fanwire_protocol::{CloseCode, ErrorCode};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use super::HttpState;
use super::body::read_body;
use crate::clock;
use crate::problem::{Problem, ProblemCode, quoted};
use crate::pusher::{PusherApp, RestSignatureError};
use crate::sessions::{ClientAddress, PublishMeter};
use error::RestError;

/// The beginning of all paths; the id of the app follows.
const PREFIX: &str = "/apps/";

/// The room in a body for everything but the data of events: names, and up to a hundred channels.
const BODY_BYTES_AROUND: usize = 64 * 1024;

/// The factor by which text can grow as a JSON string.
const ESCAPED_MAX: usize = 6;

/// The code with which connections of a user are closed whose application says so.
const TERMINATED: u16 = 4009;

/// A request whose signature is good.
struct Signed {
    state: HttpState,
    app: Arc<PusherApp>,
    parameters: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    address: std::net::IpAddr,
    meter: Arc<PublishMeter>,
}

/// A path of the API below that of the app.
enum Operation {
    Events,
    BatchEvents,
    Channels,
    Channel(String),
    Users(String),
    Terminate(String),
}

impl Operation {
    /// Returns the operation of a path, and its method.
    fn of(path: &str) -> Option<(Self, Method)> {
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
        };
        let segments: Vec<&str> = path.split('/').collect();
        Some(match segments[..] {
            ["events"] => (Self::Events, Method::POST),
            ["batch_events"] => (Self::BatchEvents, Method::POST),
            ["channels"] => (Self::Channels, Method::GET),
            ["channels", channel] if !channel.is_empty() => (Self::Channel(decode(channel)?), Method::GET),
            ["channels", channel, "users"] => (Self::Users(decode(channel)?), Method::GET),
            ["users", user, "terminate_connections"] => (Self::Terminate(decode(user)?), Method::POST),
            _ => return None,
        })
    }
}

/// Returns the router of all paths below [`PREFIX`].
pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/apps/{*path}", any(serve))
}

/// Answers a request below [`PREFIX`].
async fn serve(
    State(state): State<HttpState>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    Extension(meter): Extension<Arc<PublishMeter>>,
    request: Request<Body>,
) -> Response {
    if state.pusher_apps.current().is_empty() {
        let detail = format!(
            "there is nothing at {}: this broker has no Pusher app, which [[pusher.app]] in its configuration would add",
            quoted(request.uri().path())
        );
        return Problem::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, detail)
            .into_response()
            .map(Body::from);
    }
    let answer = answer(state, address, meter, request).await;
    answer.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(
    state: HttpState,
    address: std::net::IpAddr,
    meter: Arc<PublishMeter>,
    request: Request<Body>,
) -> Result<Response, RestError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let below = path.strip_prefix(PREFIX).unwrap_or_default();
    let (id, rest) = below.split_once('/').unwrap_or((below, ""));
    let app = state.pusher_apps.current().by_id(id).cloned().ok_or_else(|| {
        RestError::not_found(format!("there is no app with the id '{}': check PUSHER_APP_ID", quoted(id)))
    })?;
    let (operation, method) = Operation::of(rest).ok_or_else(|| {
        RestError::not_found(format!(
            "there is nothing at {}: the paths below /apps/{id}/ are events, batch_events, channels, channels/CHANNEL, \
             channels/CHANNEL/users and users/USER/terminate_connections",
            quoted(path)
        ))
    })?;
    if parts.method != method {
        return Ok(wrong_method(&method));
    }
    let body = read(body, &app, &operation, &state).await?;
    let parameters: Vec<(String, String)> =
        form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    check(&app, &method, path, &parameters, &body)?;
    let signed = Signed { state, app, parameters, headers: parts.headers, body, address, meter };
    match operation {
        Operation::Events => events::publish(&signed).await,
        Operation::BatchEvents => events::publish_batch(&signed).await,
        Operation::Channels => channels::list(&signed).await,
        Operation::Channel(channel) => channels::one(&signed, &channel).await,
        Operation::Users(channel) => channels::users(&signed, &channel),
        Operation::Terminate(user) => terminate(&signed, user).await,
    }
}

/// Reads the body, which may be as large as the events of the app allow.
async fn read(
    body: Body,
    app: &PusherApp,
    operation: &Operation,
    state: &HttpState,
) -> Result<Bytes, RestError> {
    let events = match operation {
        Operation::Events => 1,
        Operation::BatchEvents => events::BATCH_EVENTS_MAX,
        _ => 0,
    };
    let around = BODY_BYTES_AROUND * events.max(1);
    let bytes_max = (app.event_bytes_max * ESCAPED_MAX).saturating_mul(events).saturating_add(around);
    read_body(body, bytes_max, state.limits.body_timeout).await.map_err(|problem| match problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => RestError::too_large(app.event_bytes_max),
        status => RestError::new(status, problem.counted_as(), problem.detail()),
    })
}

/// Checks the signature. A path with escapes may have been signed with or without them.
fn check(
    app: &PusherApp,
    method: &Method,
    path: &str,
    parameters: &[(String, String)],
    body: &[u8],
) -> Result<(), RestError> {
    let now = clock::unix_ms() / 1000;
    let checked = app.check_request(method.as_str(), path, parameters, body, now);
    let Err(RestSignatureError::Signature(_)) = checked else { return Ok(checked?) };
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    if decoded != path && app.check_request(method.as_str(), &decoded, parameters, body, now).is_ok() {
        return Ok(());
    }
    Ok(checked?)
}

fn wrong_method(method: &Method) -> Response {
    let text = format!("this path takes {method}");
    let error = RestError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadFrame, text);
    let mut response = error.into_response();
    let allow = if *method == Method::GET { "GET" } else { "POST" };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// `POST users/{user}/terminate_connections`: closes all connections that are signed in as the user.
async fn terminate(signed: &Signed, user: String) -> Result<Response, RestError> {
    let custom = CustomClose { number: TERMINATED, reconnect: false };
    let close = Close {
        custom: Some(custom),
        ..Close::new(CloseCode::Disconnected, "the application has terminated the connections of this user")
    };
    let guest = signed.app.guest();
    let of_user = user.clone();
    let ended = signed.state.mailboxes.run_on_all(move |worker| {
        let sessions = worker.registry.sessions_of(&of_user);
        sessions.iter().filter(|session| session.rests_on(&guest) && session.disconnect(&close)).count()
    });
    let sessions: usize = ended.await?.iter().sum();
    tracing::info!(
        user,
        sessions,
        app = &*signed.app.id,
        "the application has terminated connections of a user"
    );
    Ok(json(b"{}".to_vec()))
}

/// Returns a response that is this JSON.
fn json(body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}
