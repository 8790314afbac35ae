//! Reads what clients ask, and the publications of a batch, which look like a `publish` without its `type`.

use std::borrow::Cow;

use super::{Field, FieldValue, Object, Rejection};
use crate::cursor::{Cursor, EARLIEST};
use crate::decode::DecodeError;
use crate::frame::{ClientFrame, Request, SubscribeOptions};
use crate::payload::Payload;
use crate::since::Since;
use crate::topic::Topic;

const KEY_BYTES_MAX: usize = 255;

/// Reads a frame of a client.
pub(crate) fn client_frame<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<ClientFrame, DecodeError> {
    let frame_type = object.frame_type()?;
    let id = object.id()?;
    let request = request(&frame_type, object).map_err(|rejection| rejection.of(id))?;
    Ok(ClientFrame { id, request })
}

/// Reads what is to be published, where and under which idempotency key.
pub(crate) fn publication<'a, V: FieldValue<'a>>(
    object: &Object<V>,
) -> Result<(Topic, Payload, Option<String>), Rejection> {
    Ok((object.topic()?, object.data()?, key(object)?))
}

fn request<'a, V: FieldValue<'a>>(frame_type: &str, object: &Object<V>) -> Result<Request, Rejection> {
    match frame_type {
        "publish" => {
            let (topic, payload, key) = publication(object)?;
            let echo = object.boolean(Field::Echo)?.unwrap_or(true);
            Ok(Request::Publish { topic, payload, key, echo })
        }
        "ping" => Ok(Request::Ping),
        "connect" => Ok(Request::Connect {
            token: object.text(Field::Token)?.map(Cow::into_owned),
            name: object.text(Field::Name)?.map(Cow::into_owned),
        }),
        "subscribe" => Ok(Request::Subscribe { pattern: object.pattern()?, options: options(object)? }),
        "unsubscribe" => Ok(Request::Unsubscribe { pattern: object.pattern()? }),
        "history" => Ok(Request::History {
            topic: object.topic()?,
            since: since(object)?,
            limit: limit(object)?,
            reverse: object.boolean(Field::Reverse)?.unwrap_or(false),
        }),
        "presence" => Ok(Request::Presence { topic: object.topic()? }),
        "refresh" => Ok(Request::Refresh { token: object.required_text(Field::Token)?.into_owned() }),
        "request" => Ok(Request::Call {
            method: object.required_text(Field::Method)?.into_owned(),
            data: object.data()?,
        }),
        _ => Err(Rejection::bad_frame(
            "`type` is unknown: it must be connect, subscribe, unsubscribe, publish, history, presence, refresh, \
             request or ping",
        )),
    }
}

fn key<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<Option<String>, Rejection> {
    let Some(key) = object.text(Field::Key)? else { return Ok(None) };
    // Control characters would forge lines in logs and terminals.
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        let expected = format!("1 to {KEY_BYTES_MAX} bytes of UTF-8 without control characters");
        return Err(object.wrong(Field::Key, &expected));
    }
    Ok(Some(key.into_owned()))
}

fn options<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<SubscribeOptions, Rejection> {
    let options = SubscribeOptions {
        since: since(object)?,
        last: object.small_number(Field::Last)?,
        token: object.text(Field::Token)?.map(Cow::into_owned),
    };
    if options.since.is_some() && options.last.is_some() {
        return Err(Rejection::bad_frame("`since` and `last` exclude each other: send one of them"));
    }
    Ok(options)
}

fn since<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<Option<Since>, Rejection> {
    let Some(value) = object.optional(Field::Since) else { return Ok(None) };
    let wrong = || {
        object.wrong(
            Field::Since,
            "\"earliest\", a cursor as the broker gave it, or an object with either `epoch` and `offset` or `ts`",
        )
    };
    if let Some(text) = value.as_text() {
        if text == EARLIEST {
            return Ok(Some(Since::Earliest));
        }
        let cursor: Cursor = text.parse().map_err(|_| wrong())?;
        return Ok(Some(Since::Cursor(cursor)));
    }
    let place = value.as_object().ok_or_else(wrong)?.within("since.");
    let Some(moment) = place.number(Field::Ts)? else {
        return place.required_position().map(|position| Some(Since::Position(position)));
    };
    if place.optional(Field::Epoch).is_some() || place.optional(Field::Offset).is_some() {
        return Err(Rejection::bad_frame(
            "`since.ts` and a position (`since.epoch`, `since.offset`) exclude each other: send one of them",
        ));
    }
    Ok(Some(Since::Time(moment)))
}

/// A page without room for a single publication would leave its reader where it stands, asking for ever.
fn limit<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<Option<u32>, Rejection> {
    match object.small_number(Field::Limit)? {
        Some(0) => Err(object.wrong(Field::Limit, "a whole number from 1 to 4294967295")),
        limit => Ok(limit),
    }
}
