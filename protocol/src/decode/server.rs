//! Reads what the broker says, for clients.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Field, FieldValue, Object, Rejection};
use crate::code::ErrorCode;
use crate::decode::DecodeError;
use crate::frame::{Member, Message, Receipt, Reply, ServerFrame};

/// Reads a frame of the broker.
pub(crate) fn server_frame<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<ServerFrame, DecodeError> {
    let frame_type = object.frame_type()?;
    let id = object.id()?;
    frame(&frame_type, id, object).map_err(|rejection| rejection.of(id))
}

fn frame<'a, V: FieldValue<'a>>(
    frame_type: &str,
    id: Option<u32>,
    object: &Object<V>,
) -> Result<ServerFrame, Rejection> {
    match frame_type {
        "message" => message(object).map(ServerFrame::Message),
        "error" => Ok(ServerFrame::Error {
            id,
            code: error_code(object)?,
            message: object.required_text(Field::Message)?.into_owned(),
        }),
        "join" => Ok(ServerFrame::Join { topic: object.topic()?, member: member(object)? }),
        "leave" => Ok(ServerFrame::Leave { topic: object.topic()?, member: member(object)? }),
        // The reply to a request has its `id`; what the broker does on its own has none.
        "subscribed" if id.is_none() => Ok(ServerFrame::Subscribed {
            pattern: object.pattern()?,
            position: object.position()?,
            recovered: object.required_boolean(Field::Recovered)?,
        }),
        "unsubscribed" if id.is_none() => Ok(ServerFrame::Unsubscribed {
            pattern: object.pattern()?,
            code: error_code(object)?,
            reason: object.required_text(Field::Reason)?.into_owned(),
        }),
        "lagged" => Ok(ServerFrame::Lagged {
            topic: object.optional(Field::Topic).map(|_| object.topic()).transpose()?,
            missed: object.required_number(Field::Missed)?,
        }),
        "closing" => Ok(ServerFrame::Closing {
            code: object
                .required_number(Field::Code)?
                .try_into()
                .map_err(|_| object.wrong(Field::Code, "a close code"))?,
            reason: object.required_text(Field::Reason)?.into_owned(),
            reconnect: object.required_boolean(Field::Reconnect)?,
            after_ms: object.number(Field::AfterMs)?,
        }),
        _ => {
            let reply = reply(frame_type, object)?;
            let id = id.ok_or_else(|| object.missing(Field::Id, "the `id` of the request it answers"))?;
            Ok(ServerFrame::Reply { id, reply })
        }
    }
}

fn reply<'a, V: FieldValue<'a>>(frame_type: &str, object: &Object<V>) -> Result<Reply, Rejection> {
    match frame_type {
        "connected" => Ok(Reply::Connected {
            connection: object.required_text(Field::Connection)?.into_owned(),
            user: object.text(Field::User)?.map(Cow::into_owned),
            ping_interval: object
                .small_number(Field::PingInterval)?
                .ok_or_else(|| object.missing(Field::PingInterval, "a number of seconds"))?,
            server: object.required_text(Field::Server)?.into_owned(),
        }),
        "subscribed" => Ok(Reply::Subscribed {
            pattern: object.pattern()?,
            position: object.position()?,
            recovered: object.required_boolean(Field::Recovered)?,
        }),
        "unsubscribed" => Ok(Reply::Unsubscribed { pattern: object.pattern()? }),
        "published" => Ok(Reply::Published(Receipt {
            topic: object.topic()?,
            position: object.required_position()?,
            duplicate: object.boolean(Field::Duplicate)?.unwrap_or(false),
        })),
        "history" => Ok(Reply::History {
            topic: object.topic()?,
            position: object.required_position()?,
            messages: objects(object, Field::Messages, "messages[].", message)?,
            more: object.required_boolean(Field::More)?,
            gap: object.boolean(Field::Gap)?.unwrap_or(false),
        }),
        "presence" => Ok(Reply::Presence {
            topic: object.topic()?,
            members: objects(object, Field::Members, "members[].", member)?,
            more: object.boolean(Field::More)?.unwrap_or(false),
        }),
        "refreshed" => Ok(Reply::Refreshed { expires: object.number(Field::Expires)? }),
        "response" => Ok(Reply::Response { data: object.data()? }),
        "pong" => Ok(Reply::Pong),
        _ => Err(Rejection::bad_frame("`type` is unknown: the broker may be newer than this client")),
    }
}

fn message<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<Message, Rejection> {
    Ok(Message {
        topic: object.topic()?,
        payload: object.data()?,
        position: object.position()?,
        ts: object.number(Field::Ts)?,
        from: object.text(Field::From)?.map(Arc::from),
    })
}

fn member<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<Member, Rejection> {
    Ok(Member {
        user: object.required_text(Field::User)?.into_owned(),
        connection: object.required_text(Field::Connection)?.into_owned(),
        info: object.payload(Field::Info, Field::InfoBase64)?,
    })
}

/// A code of a newer broker is an internal one to this client: something failed that it has no better word for.
fn error_code<'a, V: FieldValue<'a>>(object: &Object<V>) -> Result<ErrorCode, Rejection> {
    let code = object.required_text(Field::Code)?;
    Ok(ErrorCode::from_wire(&code).unwrap_or(ErrorCode::Internal))
}

fn objects<'a, V: FieldValue<'a>, T>(
    object: &Object<V>,
    field: Field,
    within: &'static str,
    read: impl Fn(&Object<V>) -> Result<T, Rejection>,
) -> Result<Vec<T>, Rejection> {
    const EXPECTED: &str = "a list of objects";
    let list = object.optional(field).ok_or_else(|| object.missing(field, EXPECTED))?;
    let list = list.as_list().ok_or_else(|| object.wrong(field, EXPECTED))?;
    let items = list.into_iter().map(|item| {
        let item = item.as_object().ok_or_else(|| object.wrong(field, EXPECTED))?;
        read(&item.within(within))
    });
    items.collect()
}
