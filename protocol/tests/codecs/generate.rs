//! Generators of everything that can be in a frame.

use std::sync::Arc;

use fanwire_protocol::{
    ClientFrame, CloseCode, Cursor, Epoch, ErrorCode, Member, Message, Pattern, Payload, Position, Receipt,
    Reply, Request, ServerFrame, Since, SubscribeOptions, Topic,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use serde_json::{Map, Number, Value};

pub(crate) fn topic() -> impl Strategy<Value = Topic> {
    vec("[a-zA-Zäöü0-9_$\"\\\\/-]{1,6}", 1..5).prop_map(|levels| levels.join(".").parse().unwrap())
}

pub(crate) fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        topic().prop_map(Pattern::from),
        topic().prop_map(|topic| format!("{topic}.*.x").parse().unwrap()),
        topic().prop_map(|topic| format!("*.{topic}.>").parse().unwrap()),
        Just(">".parse().unwrap()),
    ]
}

fn epoch() -> impl Strategy<Value = Epoch> {
    prop_oneof![
        Just(Epoch::FOREIGN),
        any::<u64>().prop_map(Epoch::from_random),
        (1..20u64).prop_map(Epoch::from_random)
    ]
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), any::<u64>()).prop_map(|(epoch, offset)| Position { epoch, offset })
}

pub(crate) fn cursor() -> impl Strategy<Value = Cursor> {
    prop_oneof![
        position().prop_map(Cursor::one),
        vec((topic(), position()), 0..4)
            .prop_map(|entries| Cursor::many(entries.iter().map(|(topic, position)| (topic, *position)))),
    ]
}

fn since() -> impl Strategy<Value = Since> {
    prop_oneof![
        Just(Since::Earliest),
        position().prop_map(Since::Position),
        cursor().prop_map(Since::Cursor),
        any::<u64>().prop_map(Since::Time),
    ]
}

fn text_payload() -> impl Strategy<Value = Payload> {
    any::<String>().prop_map(Payload::text)
}

fn binary_payload() -> impl Strategy<Value = Payload> {
    vec(any::<u8>(), 0..300).prop_map(Payload::binary)
}

/// A JSON value whose numbers are of every kind.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-40..300i64).prop_map(Value::from),
        any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((any::<String>(), inner), 0..20).prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

/// Any JSON payload that is no string, compact or with white space.
pub(crate) fn json_payload() -> impl Strategy<Value = Payload> {
    (json_value(), any::<bool>()).prop_filter_map("a string is text", |(value, pretty)| {
        let written =
            if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        (!value.is_string()).then(|| Payload::from_json(&written.unwrap()).unwrap())
    })
}

/// The bytes of any MessagePack value that may be published.
pub(crate) fn msgpack_value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = msgpack_scalar();
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(|elements| {
                let mut bytes = Vec::new();
                rmp::encode::write_array_len(&mut bytes, elements.len() as u32).unwrap();
                bytes.extend(elements.into_iter().flatten());
                bytes
            }),
            vec((msgpack_scalar(), inner), 0..20).prop_map(|pairs| {
                let mut bytes = Vec::new();
                rmp::encode::write_map_len(&mut bytes, pairs.len() as u32).unwrap();
                bytes.extend(pairs.into_iter().flat_map(|(key, value)| [key, value].concat()));
                bytes
            }),
        ]
    })
}

fn msgpack_scalar() -> impl Strategy<Value = Vec<u8>> {
    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        bytes
    }
    prop_oneof![
        Just(vec![0xc0]),
        any::<bool>().prop_map(|value| vec![0xc2 + u8::from(value)]),
        any::<u64>().prop_map(|value| written(|out| _ = rmp::encode::write_uint(out, value).unwrap())),
        any::<i64>().prop_map(|value| written(|out| _ = rmp::encode::write_sint(out, value).unwrap())),
        any::<i16>().prop_map(|value| written(|out| rmp::encode::write_i32(out, i32::from(value)).unwrap())),
        any::<f64>().prop_map(|value| written(|out| rmp::encode::write_f64(out, value).unwrap())),
        any::<f32>().prop_map(|value| written(|out| rmp::encode::write_f32(out, value).unwrap())),
        any::<String>().prop_map(|value| written(|out| rmp::encode::write_str(out, &value).unwrap())),
        vec(any::<u8>(), 0..40).prop_map(|value| written(|out| rmp::encode::write_bin(out, &value).unwrap())),
    ]
}

fn msgpack_payload() -> impl Strategy<Value = Payload> {
    msgpack_value().prop_map(|bytes| Payload::from_msgpack(&bytes).unwrap())
}

/// Payloads that a JSON session can publish.
pub(crate) fn payload_in_json() -> BoxedStrategy<Payload> {
    prop_oneof![text_payload(), binary_payload(), json_payload()].boxed()
}

/// Payloads that a MessagePack session can publish.
pub(crate) fn payload_in_msgpack() -> BoxedStrategy<Payload> {
    prop_oneof![text_payload(), binary_payload(), msgpack_payload()].boxed()
}

pub(crate) fn client_frame(payload: &BoxedStrategy<Payload>) -> impl Strategy<Value = ClientFrame> {
    let options = (option::of(since()), option::of(any::<u32>()), option::of(any::<String>())).prop_map(
        |(since, last, token)| SubscribeOptions { last: last.filter(|_| since.is_none()), since, token },
    );
    let request = prop_oneof![
        (option::of(any::<String>()), option::of(any::<String>()))
            .prop_map(|(token, name)| Request::Connect { token, name }),
        (pattern(), options).prop_map(|(pattern, options)| Request::Subscribe { pattern, options }),
        pattern().prop_map(|pattern| Request::Unsubscribe { pattern }),
        (topic(), payload.clone(), option::of("\\PC{1,60}"), any::<bool>())
            .prop_map(|(topic, payload, key, echo)| Request::Publish { topic, payload, key, echo }),
        (topic(), option::of(since()), option::of(1u32..), any::<bool>())
            .prop_map(|(topic, since, limit, reverse)| Request::History { topic, since, limit, reverse }),
        topic().prop_map(|topic| Request::Presence { topic }),
        any::<String>().prop_map(|token| Request::Refresh { token }),
        (any::<String>(), payload.clone()).prop_map(|(method, data)| Request::Call { method, data }),
        Just(Request::Ping),
    ];
    (option::of(any::<u32>()), request).prop_map(|(id, request)| ClientFrame { id, request })
}

pub(crate) fn message(payload: &BoxedStrategy<Payload>) -> impl Strategy<Value = Message> {
    (topic(), payload.clone(), option::of(position()), option::of(any::<u64>()), option::of(any::<String>()))
        .prop_map(|(topic, payload, position, ts, from)| Message {
            topic,
            payload,
            position,
            ts,
            from: from.map(Arc::from),
        })
}

fn member(payload: &BoxedStrategy<Payload>) -> impl Strategy<Value = Member> {
    (any::<String>(), any::<String>(), option::of(payload.clone()))
        .prop_map(|(user, connection, info)| Member { user, connection, info })
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    proptest::sample::select(&ErrorCode::ALL[..])
}

fn reply(payload: &BoxedStrategy<Payload>) -> impl Strategy<Value = Reply> {
    prop_oneof![
        (any::<String>(), option::of(any::<String>()), any::<u32>(), any::<String>()).prop_map(
            |(connection, user, ping_interval, server)| Reply::Connected {
                connection,
                user,
                ping_interval,
                server
            }
        ),
        (pattern(), option::of(position()), any::<bool>())
            .prop_map(|(pattern, position, recovered)| Reply::Subscribed { pattern, position, recovered }),
        pattern().prop_map(|pattern| Reply::Unsubscribed { pattern }),
        (topic(), position(), any::<bool>()).prop_map(|(topic, position, duplicate)| Reply::Published(
            Receipt { topic, position, duplicate }
        )),
        (topic(), position(), vec(message(payload), 0..20), any::<bool>(), any::<bool>()).prop_map(
            |(topic, position, messages, more, gap)| Reply::History { topic, position, messages, more, gap }
        ),
        (topic(), vec(member(payload), 0..20), any::<bool>())
            .prop_map(|(topic, members, more)| Reply::Presence { topic, members, more }),
        any::<Option<u64>>().prop_map(|expires| Reply::Refreshed { expires }),
        payload.clone().prop_map(|data| Reply::Response { data }),
        Just(Reply::Pong),
    ]
}

pub(crate) fn server_frame(payload: &BoxedStrategy<Payload>) -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        (any::<u32>(), reply(payload)).prop_map(|(id, reply)| ServerFrame::Reply { id, reply }),
        (option::of(any::<u32>()), error_code(), any::<String>())
            .prop_map(|(id, code, message)| ServerFrame::Error { id, code, message }),
        message(payload).prop_map(ServerFrame::Message),
        (topic(), member(payload)).prop_map(|(topic, member)| ServerFrame::Join { topic, member }),
        (topic(), member(payload)).prop_map(|(topic, member)| ServerFrame::Leave { topic, member }),
        (pattern(), option::of(position()), any::<bool>()).prop_map(|(pattern, position, recovered)| {
            ServerFrame::Subscribed { pattern, position, recovered }
        }),
        (pattern(), error_code(), any::<String>())
            .prop_map(|(pattern, code, reason)| ServerFrame::Unsubscribed { pattern, code, reason }),
        (option::of(topic()), any::<u64>()).prop_map(|(topic, missed)| ServerFrame::Lagged { topic, missed }),
        (
            proptest::sample::select(&CloseCode::ALL[..]),
            any::<String>(),
            any::<bool>(),
            option::of(any::<u64>())
        )
            .prop_map(|(code, reason, reconnect, after_ms)| ServerFrame::Closing {
                code: code.number(),
                reason,
                reconnect,
                after_ms
            }),
    ]
}
