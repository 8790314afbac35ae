//! The layout of frames, once for both encodings: which fields, in which order, and which of them are left out.
//!
//! This file knows no encoding. [`FrameEncoder`] is what it asks of one; [`crate::json`] and [`crate::msgpack`] have
//! the two there are. The order of fields is fixed, so that a frame is the same bytes wherever it is encoded.

use crate::frame::{ClientFrame, Member, Message, Receipt, Reply, Request, ServerFrame, SubscribeOptions};
use crate::payload::Payload;
use crate::position::{Epoch, Position};
use crate::since::Since;
use crate::topic::{Pattern, Topic};

/// An encoding, as the layout of frames needs it. Names are plain ASCII letters and `_`, so no encoding has to
/// escape them.
pub trait FrameEncoder {
    /// Writes the frame itself: an object whose fields `write` adds.
    fn root(&mut self, write: impl FnOnce(&mut Self));

    /// Adds a field that holds text.
    fn string(&mut self, name: &'static str, value: &str);

    /// Adds a field that holds a word of the protocol's own, made of ASCII letters, digits and `_` only, which
    /// no encoding has to escape.
    fn word(&mut self, name: &'static str, value: &[u8]);

    /// Adds a field that holds a whole number.
    fn number(&mut self, name: &'static str, value: u64);

    /// Adds a field that holds true or false.
    fn boolean(&mut self, name: &'static str, value: bool);

    /// Adds a payload as `name`; in an encoding without binary, binary goes as base64 under `name_base64` instead.
    fn payload(&mut self, name: &'static str, name_base64: &'static str, payload: &Payload);

    /// Adds a field that holds an object whose fields `write` adds.
    fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Self));

    /// Adds a field that holds a list of objects, one for each of `items`.
    fn objects<T>(&mut self, name: &'static str, items: &[T], write: impl Fn(&mut Self, &T));
}

/// Writes a frame of a client.
pub(crate) fn client_frame<E: FrameEncoder>(encoder: &mut E, frame: &ClientFrame) {
    encoder.root(|encoder| {
        encoder.word("type", request_type(&frame.request).as_bytes());
        if let Some(id) = frame.id {
            encoder.number("id", u64::from(id));
        }
        request_fields(encoder, &frame.request);
    });
}

/// Writes a frame of the broker.
pub(crate) fn server_frame<E: FrameEncoder>(encoder: &mut E, frame: &ServerFrame) {
    match frame {
        ServerFrame::Message(message) => message_frame(encoder, message),
        ServerFrame::Reply { id, reply } => encoder.root(|encoder| {
            encoder.word("type", reply_type(reply).as_bytes());
            encoder.number("id", u64::from(*id));
            reply_fields(encoder, reply);
        }),
        _ => encoder.root(|encoder| said_unasked(encoder, frame)),
    }
}

/// Writes a `message` frame: the one frame that is written for every publication.
pub(crate) fn message_frame<E: FrameEncoder>(encoder: &mut E, message: &Message) {
    encoder.root(|encoder| {
        encoder.word("type", b"message");
        message_fields(encoder, message);
    });
}

/// Writes a message as it stands in a page of history: without `type`.
pub(crate) fn message_entry<E: FrameEncoder>(encoder: &mut E, message: &Message) {
    encoder.root(|encoder| message_fields(encoder, message));
}

/// Writes who is present as an HTTP answer has it: the `presence` frame without `type` and `id`.
pub(crate) fn presence_page<E: FrameEncoder>(encoder: &mut E, topic: &Topic, members: &[Member], more: bool) {
    encoder.root(|encoder| presence_fields(encoder, topic, members, more));
}

/// Writes a presence event as an event stream has it: the `join` or `leave` frame without `type`.
pub(crate) fn member_event<E: FrameEncoder>(encoder: &mut E, topic: &Topic, member: &Member) {
    encoder.root(|encoder| {
        encoder.string("topic", topic.as_str());
        member_fields(encoder, member);
    });
}

fn presence_fields<E: FrameEncoder>(encoder: &mut E, topic: &Topic, members: &[Member], more: bool) {
    encoder.string("topic", topic.as_str());
    encoder.objects("members", members, member_fields);
    if more {
        encoder.boolean("more", true);
    }
}

fn message_fields<E: FrameEncoder>(encoder: &mut E, message: &Message) {
    encoder.string("topic", message.topic.as_str());
    if let Some(position) = message.position {
        encoder.number("offset", position.offset);
        epoch(encoder, position.epoch);
    }
    if let Some(ts) = message.ts {
        encoder.number("ts", ts);
    }
    optional_string(encoder, "from", message.from.as_deref());
    encoder.payload("data", "data_base64", &message.payload);
}

fn request_type(request: &Request) -> &'static str {
    match request {
        Request::Connect { .. } => "connect",
        Request::Subscribe { .. } => "subscribe",
        Request::Unsubscribe { .. } => "unsubscribe",
        Request::Publish { .. } => "publish",
        Request::History { .. } => "history",
        Request::Presence { .. } => "presence",
        Request::Refresh { .. } => "refresh",
        Request::Call { .. } => "request",
        Request::Ping => "ping",
    }
}

fn request_fields<E: FrameEncoder>(encoder: &mut E, request: &Request) {
    match request {
        Request::Connect { token, name } => {
            optional_string(encoder, "token", token.as_deref());
            optional_string(encoder, "name", name.as_deref());
        }
        Request::Subscribe { pattern, options } => {
            encoder.string("topic", pattern.as_str());
            subscribe_options(encoder, options);
        }
        Request::Unsubscribe { pattern } => encoder.string("topic", pattern.as_str()),
        Request::Publish { topic, payload, key, echo } => {
            encoder.string("topic", topic.as_str());
            optional_string(encoder, "key", key.as_deref());
            if !echo {
                encoder.boolean("echo", false);
            }
            encoder.payload("data", "data_base64", payload);
        }
        Request::History { topic, since, limit, reverse } => {
            encoder.string("topic", topic.as_str());
            optional_since(encoder, since.as_ref());
            optional_number(encoder, "limit", limit.map(u64::from));
            if *reverse {
                encoder.boolean("reverse", true);
            }
        }
        Request::Presence { topic } => encoder.string("topic", topic.as_str()),
        Request::Refresh { token } => encoder.string("token", token),
        Request::Call { method, data } => {
            encoder.string("method", method);
            encoder.payload("data", "data_base64", data);
        }
        Request::Ping => {}
    }
}

fn subscribe_options<E: FrameEncoder>(encoder: &mut E, options: &SubscribeOptions) {
    optional_since(encoder, options.since.as_ref());
    optional_number(encoder, "last", options.last.map(u64::from));
    optional_string(encoder, "token", options.token.as_deref());
}

fn reply_type(reply: &Reply) -> &'static str {
    match reply {
        Reply::Connected { .. } => "connected",
        Reply::Subscribed { .. } => "subscribed",
        Reply::Unsubscribed { .. } => "unsubscribed",
        Reply::Published(_) => "published",
        Reply::History { .. } => "history",
        Reply::Presence { .. } => "presence",
        Reply::Refreshed { .. } => "refreshed",
        Reply::Response { .. } => "response",
        Reply::Pong => "pong",
    }
}

fn reply_fields<E: FrameEncoder>(encoder: &mut E, reply: &Reply) {
    match reply {
        Reply::Connected { connection, user, ping_interval, server } => {
            encoder.string("connection", connection);
            optional_string(encoder, "user", user.as_deref());
            encoder.number("ping_interval", u64::from(*ping_interval));
            encoder.string("server", server);
        }
        Reply::Subscribed { pattern, position, recovered } => {
            subscribed_fields(encoder, pattern, *position, *recovered);
        }
        Reply::Unsubscribed { pattern } => encoder.string("topic", pattern.as_str()),
        Reply::Published(Receipt { topic, position: at, duplicate }) => {
            encoder.string("topic", topic.as_str());
            position(encoder, *at);
            if *duplicate {
                encoder.boolean("duplicate", true);
            }
        }
        Reply::History { topic, position: at, messages, more, gap } => {
            encoder.string("topic", topic.as_str());
            position(encoder, *at);
            encoder.objects("messages", messages, message_fields);
            encoder.boolean("more", *more);
            if *gap {
                encoder.boolean("gap", true);
            }
        }
        Reply::Presence { topic, members, more } => presence_fields(encoder, topic, members, *more),
        Reply::Refreshed { expires } => optional_number(encoder, "expires", *expires),
        Reply::Response { data } => encoder.payload("data", "data_base64", data),
        Reply::Pong => {}
    }
}

/// The frames that answer no request and are no messages. Replies and messages are written elsewhere and do not come
/// here.
fn said_unasked<E: FrameEncoder>(encoder: &mut E, frame: &ServerFrame) {
    match frame {
        ServerFrame::Reply { .. } | ServerFrame::Message(_) => {}
        ServerFrame::Error { id, code, message } => {
            encoder.string("type", "error");
            optional_number(encoder, "id", id.map(u64::from));
            encoder.string("code", code.as_str());
            encoder.string("message", message);
        }
        ServerFrame::Join { topic, member } => {
            encoder.string("type", "join");
            encoder.string("topic", topic.as_str());
            member_fields(encoder, member);
        }
        ServerFrame::Leave { topic, member } => {
            encoder.string("type", "leave");
            encoder.string("topic", topic.as_str());
            member_fields(encoder, member);
        }
        ServerFrame::Subscribed { pattern, position, recovered } => {
            encoder.string("type", "subscribed");
            subscribed_fields(encoder, pattern, *position, *recovered);
        }
        ServerFrame::Unsubscribed { pattern, code, reason } => {
            encoder.string("type", "unsubscribed");
            encoder.string("topic", pattern.as_str());
            encoder.string("code", code.as_str());
            encoder.string("reason", reason);
        }
        ServerFrame::Lagged { topic, missed } => {
            encoder.string("type", "lagged");
            optional_string(encoder, "topic", topic.as_ref().map(|topic| topic.as_str()));
            encoder.number("missed", *missed);
        }
        ServerFrame::Closing { code, reason, reconnect, after_ms } => {
            encoder.string("type", "closing");
            encoder.number("code", u64::from(*code));
            encoder.string("reason", reason);
            encoder.boolean("reconnect", *reconnect);
            optional_number(encoder, "after_ms", *after_ms);
        }
    }
}

fn subscribed_fields<E: FrameEncoder>(
    encoder: &mut E,
    pattern: &Pattern,
    at: Option<Position>,
    recovered: bool,
) {
    encoder.string("topic", pattern.as_str());
    if let Some(at) = at {
        position(encoder, at);
    }
    encoder.boolean("recovered", recovered);
}

fn member_fields<E: FrameEncoder>(encoder: &mut E, member: &Member) {
    encoder.string("user", &member.user);
    encoder.string("connection", &member.connection);
    if let Some(info) = &member.info {
        encoder.payload("info", "info_base64", info);
    }
}

fn optional_since<E: FrameEncoder>(encoder: &mut E, since: Option<&Since>) {
    match since {
        None => {}
        Some(Since::Earliest) => encoder.string("since", crate::cursor::EARLIEST),
        Some(Since::Position(at)) => encoder.object("since", |encoder| position(encoder, *at)),
        Some(Since::Cursor(cursor)) => encoder.string("since", &cursor.to_string()),
        Some(Since::Time(moment)) => encoder.object("since", |encoder| encoder.number("ts", *moment)),
    }
}

fn position<E: FrameEncoder>(encoder: &mut E, position: Position) {
    epoch(encoder, position.epoch);
    encoder.number("offset", position.offset);
}

/// Writes the same text as the epoch's `Display`, but without the formatting machinery: every message has one.
fn epoch<E: FrameEncoder>(encoder: &mut E, epoch: Epoch) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 16];
    let mut rest = epoch.number();
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = DIGITS[(rest & 0xf) as usize];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    encoder.word("epoch", &text[start..]);
}

fn optional_string<E: FrameEncoder>(encoder: &mut E, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        encoder.string(name, value);
    }
}

fn optional_number<E: FrameEncoder>(encoder: &mut E, name: &'static str, value: Option<u64>) {
    if let Some(value) = value {
        encoder.number(name, value);
    }
}
