//! Publishing over HTTP: one publication a request, or many.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::publication::Publish;
use fanwire_protocol::{DecodeError, ErrorCode, Payload, Topic, json};
use http::{Extensions, HeaderMap, Request, header};
use serde::Serialize;

use super::HttpState;
use super::body::{json_response, read_body};
use crate::auth::Admission;
use crate::engine::Accepted;
use crate::problem::Problem;
use crate::sessions::{PublishClient, PublishMeter};
use crate::topic_path;

/// The header that names a publish, so that repeating it is harmless.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// `POST /topics/{topic}`: publishes the body.
pub(super) async fn publish_one(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let identity = admission.into_identity()?;
    let topic = topic_path::parse_topic(parts.uri.path().strip_prefix(topic_path::PREFIX).unwrap_or(""))?;
    let key = idempotency_key(&parts.headers)?;
    let body = read_body(body, state.limits.message_bytes_max, state.limits.body_timeout).await?;
    let payload = payload_of(&parts.headers, &body)?;
    let publish = Publish { topic: topic.clone(), payload, key, from: None, except: None };
    let meter = meter_of(&parts.extensions);
    let client = PublishClient { identity: &identity, meter: &meter, connection: None };
    let accepted = state.publishing.publish_and_wait(publish, client).await?;
    state.publishing.relieved().await;
    Ok(json_response(&receipt(&topic, &accepted)))
}

/// `POST /publish`: publishes many; one that fails harms no other.
pub(super) async fn publish_many(
    State(state): State<HttpState>,
    Extension(admission): Extension<Admission>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let meter = meter_of(request.extensions());
    let identity = admission.into_identity()?;
    let body =
        read_body(request.into_body(), state.limits.batch_bytes_max, state.limits.body_timeout).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    let entries = json::decode_batch(text, state.limits.batch_messages_max)?;
    let (mut topics, mut publishes) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for entry in entries {
        topics.push(entry.as_ref().ok().map(|entry| entry.topic.clone()));
        publishes.push(match entry {
            Ok(json::BatchEntry { topic, payload, key }) => {
                Ok(Publish { topic, payload, key, from: None, except: None })
            }
            Err(DecodeError::Rejected { code, message, .. }) => Err(Refusal { code, message }),
            Err(DecodeError::Unreadable(message)) => Err(Refusal { code: ErrorCode::BadFrame, message }),
        });
    }
    let client = PublishClient { identity: &identity, meter: &meter, connection: None };
    let receipts = state.publishing.publish_all(publishes, client).await;
    let mut results = Vec::with_capacity(receipts.len());
    for (topic, accepted) in topics.into_iter().zip(receipts) {
        results.push(match (topic, accepted) {
            (Some(topic), Ok(accepted)) => receipt(&topic, &accepted),
            (_, Err(refusal)) => failure(&state, refusal),
            (None, Ok(_)) => continue,
        });
    }
    Ok(json_response(&Results { results }))
}

/// What became of one publication.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Accepted {
        topic: String,
        epoch: String,
        offset: u64,
        subscribers: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    Failed {
        error: Failure,
    },
}

/// Why one publication of many was not accepted.
#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

/// What became of all publications of one call, in order.
#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// What the connection has published of late, which whoever hands requests over puts into them.
fn meter_of(extensions: &Extensions) -> Arc<PublishMeter> {
    extensions.get().cloned().unwrap_or_default()
}

fn failure(state: &HttpState, Refusal { code, message }: Refusal) -> Outcome {
    state.counters.error(code);
    Outcome::Failed { error: Failure { code: code.as_str(), message } }
}

fn receipt(topic: &Topic, accepted: &Accepted) -> Outcome {
    Outcome::Accepted {
        topic: topic.to_string(),
        epoch: accepted.position.epoch.to_string(),
        offset: accepted.position.offset,
        subscribers: accepted.subscribers,
        duplicate: accepted.is_duplicate,
    }
}

/// What the body is, by its `Content-Type`.
pub(super) fn payload_of(headers: &HeaderMap, body: &Bytes) -> Result<Payload, Problem> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        if body.is_empty() {
            return Err(Problem::bad_request(
                "there is no body: what to publish goes into the body of the request",
            ));
        }
        return Ok(Payload::binary(&**body));
    };
    let content_type = content_type.to_str().unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let text = || {
        std::str::from_utf8(body).map_err(|_| {
            Problem::bad_request(format!("the body is not UTF-8, which {media_type} must be here"))
        })
    };
    if media_type == "application/json" {
        return Payload::from_json(text()?).map_err(|error| Problem::bad_request(error.to_string()));
    }
    if media_type.starts_with("text/") {
        return Ok(Payload::text(text()?));
    }
    Ok(Payload::binary(&**body))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "Idempotency-Key: expected 1 to {KEY_BYTES_MAX} printable characters"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::PayloadView;
    use http::HeaderValue;

    use super::*;

    fn payload(content_type: &'static str, body: &'static [u8]) -> Result<Payload, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        payload_of(&headers, &Bytes::from_static(body))
    }

    #[test]
    fn the_content_type_says_what_the_body_is() {
        assert_eq!(payload("text/plain", b"hi").unwrap().view(), PayloadView::Text("hi"));
        assert_eq!(payload("Text/HTML; charset=utf-8", b"").unwrap().view(), PayloadView::Text(""));
        assert_eq!(payload("application/json", b" {} ").unwrap().to_bare().trim_ascii(), b"{}");
        assert_eq!(
            payload("application/json; charset=utf-8", b"\"hi\"").unwrap().view(),
            PayloadView::Text("hi")
        );
        assert_eq!(
            payload("application/octet-stream", b"\xff").unwrap().view(),
            PayloadView::Binary(b"\xff")
        );
        assert_eq!(
            payload("application/x-www-form-urlencoded", b"hi").unwrap().view(),
            PayloadView::Binary(b"hi")
        );
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        for (content_type, body) in [
            ("text/plain", &b"\xff"[..]),
            ("application/json", b"\xff"),
            ("application/json", b""),
            ("application/json", b"{"),
        ] {
            assert!(payload(content_type, body).is_err(), "{content_type}: {body:?}");
        }
        assert!(payload_of(&HeaderMap::new(), &Bytes::new()).is_err());
    }
}
