//! Publishing over HTTP: one publication a request, or many.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use fanwire_core::access::{Action, Refusal, decide};
use fanwire_core::keys::IdempotencyKey;
use fanwire_core::publication::Publish;
use fanwire_protocol::{DecodeError, ErrorCode, Pattern, Payload, PayloadView, Topic, json};
use http::{Extensions, HeaderMap, Request};
use serde::Serialize;

use super::HttpState;
use super::body::{json_response, read_body};
use super::content_type::{BodyKind, is_absent};
use super::parameters::refuse_parameters;
use crate::auth::Admission;
use crate::engine::Accepted;
use crate::problem::Problem;
use crate::sessions::{ClientAddress, PublishClient, PublishMeter};
use crate::topic_path;

/// The header that names a publish, so that repeating it is harmless.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The maximum length of an idempotency key in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The description of a valid key in errors.
const KEY_EXPECTED: &str = "expected 1 to 255 bytes without control characters";

/// `POST /topics/{topic}`: publishes the body.
pub(super) async fn publish_one(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let identity = admission.into_identity()?;
    let topic = topic_path::parse_topic(parts.uri.path().strip_prefix(topic_path::PREFIX).unwrap_or(""))?;
    refuse_parameters(&parts.uri, &[])?;
    let key = idempotency_key(&parts.headers)?;
    let kind = BodyKind::of(&parts.headers)?;
    // What the head decides is answered before the body: a client that waits for '100 Continue' need not send it.
    decide(&state.engine.rules(), &identity, Action::Publish, &Pattern::from(topic.clone()))?;
    let body = read_body(body, state.limits.message_bytes_max, state.limits.body_timeout).await?;
    if is_absent(&parts.headers, &body) {
        return Err(Problem::bad_request(
            "the request has no body: send what is to be published as the body of the request",
        ));
    }
    let payload = kind.payload(&body)?;
    let form = form_of(&payload);
    let key = key.map(IdempotencyKey::from);
    let publish = Publish { topic: topic.clone(), payload, key, from: None, except: None };
    let (meter, address) = (meter_of(&parts.extensions), address_of(&parts.extensions));
    let client = PublishClient { identity: &identity, meter: &meter, address, connection: None };
    let accepted = state.publishing.publish_and_wait(publish, client).await?;
    state.publishing.relieved().await;
    Ok(json_response(&receipt(&topic, &accepted, form)))
}

/// `POST /publish`: publishes many. A publication that fails does not affect the others.
pub(super) async fn publish_many(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let identity = admission.into_identity()?;
    let (parts, body) = request.into_parts();
    refuse_parameters(&parts.uri, &[])?;
    BodyKind::of(&parts.headers)?.check_json()?;
    let (meter, address) = (meter_of(&parts.extensions), address_of(&parts.extensions));
    let body = read_body(body, state.limits.batch_bytes_max, state.limits.body_timeout).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    let entries = json::decode_batch(text, state.limits.batch_messages_max)?;
    let (mut topics, mut publishes) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for entry in entries {
        let named = entry.as_ref().ok();
        topics.push(named.map(|entry| (entry.topic.clone(), form_of(&entry.payload))));
        publishes.push(match entry {
            Ok(json::BatchEntry { topic, payload, key }) => {
                let key = key.map(IdempotencyKey::from);
                Ok(Publish { topic, payload, key, from: None, except: None })
            }
            Err(DecodeError::Rejected { code, message, .. }) => Err(Refusal { code, message }),
            Err(DecodeError::Unreadable(message)) => Err(Refusal { code: ErrorCode::BadFrame, message }),
        });
    }
    let client = PublishClient { identity: &identity, meter: &meter, address, connection: None };
    let receipts = state.publishing.publish_all(publishes, client).await;
    let mut results = Vec::with_capacity(receipts.len());
    for (topic, accepted) in topics.into_iter().zip(receipts) {
        results.push(match (topic, accepted) {
            (Some((topic, form)), Ok(accepted)) => receipt(&topic, &accepted, form),
            (_, Err(refusal)) => failure(&state, refusal),
            (None, Ok(_)) => continue,
        });
    }
    Ok(json_response(&Results { results }))
}

/// The result of one publication.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Accepted {
        topic: String,
        epoch: String,
        offset: u64,
        subscribers: u64,
        /// The kind of payload that the subscribers receive: `text`, `binary` or `json`.
        payload: &'static str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    Failed {
        error: Failure,
    },
}

/// The reason why one publication of many was refused.
#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

/// The results of all publications of one request, in their order.
#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// Returns the meter of the connection, which the dispatch puts into each request.
fn meter_of(extensions: &Extensions) -> Arc<PublishMeter> {
    extensions.get().cloned().unwrap_or_default()
}

/// Returns the address of the client, which the dispatch adds to each request.
fn address_of(extensions: &Extensions) -> IpAddr {
    extensions.get().map_or(IpAddr::from([0, 0, 0, 0]), |ClientAddress(address)| *address)
}

fn failure(state: &HttpState, Refusal { code, message }: Refusal) -> Outcome {
    state.counters.error(code);
    Outcome::Failed { error: Failure { code: code.as_str(), message } }
}

/// Returns the word by which a receipt names the kind of a payload.
fn form_of(payload: &Payload) -> &'static str {
    match payload.view() {
        PayloadView::Text(_) => "text",
        PayloadView::Binary(_) => "binary",
        PayloadView::Json(_) | PayloadView::MessagePack(_) => "json",
    }
}

fn receipt(topic: &Topic, accepted: &Accepted, payload: &'static str) -> Outcome {
    Outcome::Accepted {
        topic: topic.to_string(),
        epoch: accepted.position.epoch.to_string(),
        offset: accepted.position.offset,
        subscribers: accepted.subscribers,
        payload,
        duplicate: accepted.is_duplicate,
    }
}

/// Reads the header that makes repeating a publish safe.
///
/// # Errors
/// If there are several, or one that is not valid.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(key) if is_key(key) && values.next().is_none() => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!("Idempotency-Key: {KEY_EXPECTED}"))),
    }
}

/// Returns whether `key` can be an idempotency key. Control characters would forge lines in logs and terminals.
fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_one_line_of_printable_characters() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static(value));
            }
            idempotency_key(&headers)
        };
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["order-17"]).unwrap().as_deref(), Some("order-17"));
        for values in [&[""][..], &["a\tb"], &["a", "b"]] {
            assert_eq!(read(values).unwrap_err().code().as_str(), "bad_frame", "{values:?}");
        }
        for key in ["\u{1b}[2J", "a\nb", "\u{85}", "", &"k".repeat(256)] {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
