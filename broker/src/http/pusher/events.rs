//! `POST events` and `POST batch_events`: publishing.
//!
//! Everything is checked before the first event is published, so a request that is refused has published nothing.

use axum::response::Response;
use fanwire_core::identity::{Grants, Holder, Identity};
use fanwire_core::keys::IdempotencyKey;
use fanwire_core::publication::Publish;
use fanwire_core::subscribers::SessionKey;
use fanwire_formats::pusher::{check_channel, event_payload, is_of_service};
use fanwire_protocol::{ErrorCode, Payload, Topic};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::channels::{Info, info_of};
use super::error::RestError;
use super::{Signed, json};
use crate::http::publish::idempotency_key;
use crate::pusher::SocketId;
use crate::sessions::PublishClient;

/// The maximum number of channels of one event.
const CHANNELS_MAX: usize = 100;

/// The maximum number of events in a batch.
pub(super) const BATCH_EVENTS_MAX: usize = 10;

/// The longest name of an event, in characters.
const NAME_CHARS_MAX: usize = 200;

/// The body of `POST events`, and an entry of a batch.
#[derive(Deserialize)]
struct EventBody {
    name: Option<String>,
    data: Option<Value>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    socket_id: Option<String>,
    #[serde(default)]
    info: Option<String>,
}

#[derive(Deserialize)]
struct BatchBody {
    batch: Vec<EventBody>,
}

/// An event that has passed all checks.
struct Event {
    /// The channels and their topics.
    channels: Vec<(String, Topic)>,
    payload: Payload,
    except: Option<SocketId>,
    info: Vec<Info>,
}

/// `POST events`: publishes one event to one or more channels.
pub(super) async fn publish(signed: &Signed) -> Result<Response, RestError> {
    let body: EventBody = read(&signed.body)?;
    let event = check(signed, body)?;
    let infos = publish_all(signed, vec![event]).await?;
    let channels: Map<String, Value> =
        infos.into_iter().flatten().filter_map(|(channel, info)| Some((channel, info?))).collect();
    if channels.is_empty() {
        return Ok(json(b"{}".to_vec()));
    }
    let answer = Map::from_iter([("channels".to_owned(), Value::Object(channels))]);
    Ok(json(Value::Object(answer).to_string().into_bytes()))
}

/// `POST batch_events`: publishes several events, each to one channel.
pub(super) async fn publish_batch(signed: &Signed) -> Result<Response, RestError> {
    let body: BatchBody = read(&signed.body)?;
    if body.batch.len() > BATCH_EVENTS_MAX {
        let text = format!(
            "Batch too large: {} events, and at most {BATCH_EVENTS_MAX} are possible",
            body.batch.len()
        );
        return Err(RestError::new(StatusCode::BAD_REQUEST, ErrorCode::LimitExceeded, text));
    }
    let mut events = Vec::with_capacity(body.batch.len());
    for (index, entry) in body.batch.into_iter().enumerate() {
        if entry.channels.is_some() {
            return Err(RestError::bad_request(format!(
                "batch[{index}]: an event of a batch has one 'channel'"
            )));
        }
        events.push(check(signed, entry)?);
    }
    let infos: Vec<Option<Value>> =
        publish_all(signed, events).await?.into_iter().flatten().map(|(_, info)| info).collect();
    if infos.iter().all(Option::is_none) {
        return Ok(json(b"{}".to_vec()));
    }
    let batch = infos.into_iter().map(|info| info.unwrap_or_else(|| Value::Object(Map::new()))).collect();
    let answer = Map::from_iter([("batch".to_owned(), Value::Array(batch))]);
    Ok(json(Value::Object(answer).to_string().into_bytes()))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, RestError> {
    serde_json::from_slice(body).map_err(|error| {
        RestError::bad_request(format!("the body is not the JSON that this path takes: {error}"))
    })
}

fn check(signed: &Signed, body: EventBody) -> Result<Event, RestError> {
    let app = &signed.app;
    let name = body.name.ok_or_else(|| RestError::bad_request("the event has no 'name'"))?;
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(RestError::bad_request(format!(
            "the name of an event has 1 to {NAME_CHARS_MAX} characters"
        )));
    }
    if is_of_service(&name) {
        let text =
            "names that begin with 'pusher:' or 'pusher_internal:' are the service's own: use another name";
        return Err(RestError::bad_request(text));
    }
    let data = match body.data {
        Some(Value::String(data)) => data,
        Some(_) => {
            return Err(RestError::bad_request(
                "'data' must be a string: write other values as JSON, and that as a string",
            ));
        }
        None => return Err(RestError::bad_request("the event has no 'data'")),
    };
    if data.len() > app.event_bytes_max {
        return Err(RestError::too_large(app.event_bytes_max));
    }
    let names = match (body.channels, body.channel) {
        (Some(channels), None) => channels,
        (None, Some(channel)) => vec![channel],
        _ => return Err(RestError::bad_request("the event needs 'channel' or 'channels', and not both")),
    };
    if names.is_empty() || names.len() > CHANNELS_MAX {
        let text = format!("an event has 1 to {CHANNELS_MAX} channels, and this one has {}", names.len());
        return Err(RestError::bad_request(text));
    }
    let info = Info::parse(body.info.as_deref().unwrap_or(""))?;
    let mut channels: Vec<(String, Topic)> = Vec::with_capacity(names.len());
    for name in names {
        check_channel(&name)?;
        Info::check(&info, &name)?;
        let topic = app.topic_of(&name)?;
        if !channels.iter().any(|(_, known)| *known == topic) {
            channels.push((name, topic));
        }
    }
    let except = match body.socket_id.as_deref() {
        Some(text) => {
            Some(text.parse().map_err(|error| RestError::bad_request(format!("socket_id: {error}")))?)
        }
        None => None,
    };
    let payload =
        event_payload(&name, &data, None).map_err(|error| RestError::bad_request(error.to_string()))?;
    if payload.len() > signed.state.limits.message_bytes_max {
        return Err(RestError::too_large(app.event_bytes_max));
    }
    Ok(Event { channels, payload, except, info })
}

/// The channels of one event, each with the attributes that were asked for.
type Infos = Vec<(String, Option<Value>)>;

/// Publishes events in their order. Returns what was asked for about the channels of each.
async fn publish_all(signed: &Signed, events: Vec<Event>) -> Result<Vec<Infos>, RestError> {
    let key = idempotency_key(&signed.headers).map_err(|problem| RestError::bad_request(problem.detail()))?;
    let (mut of_clients, mut of_users, mut grants) = (Vec::new(), Vec::new(), Vec::new());
    for (index, event) in events.iter().enumerate() {
        let except = except_of(signed, event.except).await?;
        for (_, topic) in &event.channels {
            // A batch may have several events for one channel, of which none repeats another.
            let key = key.as_ref().map(|key| IdempotencyKey::from(format!("{index}:{key}")));
            let (topic, payload) = (topic.clone(), event.payload.clone());
            let publish = Publish { topic, payload, key, from: None, except };
            if publish.topic.is_reserved() {
                of_users.push(publish);
            } else {
                grants.push(publish.topic.clone().into());
                of_clients.push(Ok(publish));
            }
        }
    }
    let grants = Grants { publish: grants, subscribe: Vec::new() };
    // The secret of the app is the application's own, so the application is not asked about its own events.
    let identity = Identity::holder(Holder { grants, is_admin: true, ..Holder::default() });
    let client = PublishClient {
        identity: &identity,
        meter: &signed.meter,
        address: signed.address,
        connection: None,
    };
    let publishing = &signed.state.publishing;
    for accepted in publishing.publish_all(of_clients, client).await {
        accepted?;
    }
    for publish in of_users {
        publishing.publish_reserved(publish).await?;
    }
    publishing.relieved().await;
    let mut infos = Vec::with_capacity(events.len());
    for event in events {
        let mut of_event = Vec::with_capacity(event.channels.len());
        for (channel, topic) in event.channels {
            let info = match event.info.is_empty() {
                true => None,
                false => Some(info_of(signed, &channel, &topic, &event.info).await?),
            };
            of_event.push((channel, info));
        }
        infos.push(of_event);
    }
    Ok(infos)
}

/// Returns the worker and session of a connection that is to be left out. A connection that is gone needs no exception.
async fn except_of(
    signed: &Signed,
    except: Option<SocketId>,
) -> Result<Option<(usize, SessionKey)>, RestError> {
    let Some(socket_id) = except else { return Ok(None) };
    let found = signed.state.mailboxes.run_on_owner(socket_id.connection, move |worker| {
        let session = worker.registry.session(socket_id.connection)?;
        let is_same = session.name().is_some_and(|name| name == socket_id.to_string());
        is_same.then(|| (worker.hub.worker(), session.key()))
    });
    Ok(found.await?)
}
