//! Every field of every request with every kind of wrong value, in both encodings; frames cut anywhere; nesting and lengths
//! without meaning.

use fanwire_protocol::{PAYLOAD_DEPTH_MAX, Reply, ServerFrame, json, msgpack};
use fanwire_tests::{Broker, Opcode, WebSocket};
use serde_json::{Value, json};

use super::errors::to_msgpack;
use crate::fixtures::honest::Honest;

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    SmallNumber,
    Flag,
    Place,
}

/// A request without the field, the field, and what it takes.
const FIELDS: [(&str, &str, Takes); 19] = [
    (r#"{"type":"ping"}"#, "id", Takes::SmallNumber),
    (r#"{"type":"connect"}"#, "token", Takes::Text),
    (r#"{"type":"connect"}"#, "name", Takes::Text),
    (r#"{"type":"subscribe"}"#, "topic", Takes::Text),
    (r#"{"type":"subscribe","topic":"a"}"#, "since", Takes::Place),
    (r#"{"type":"subscribe","topic":"a"}"#, "last", Takes::SmallNumber),
    (r#"{"type":"subscribe","topic":"a"}"#, "token", Takes::Text),
    (r#"{"type":"unsubscribe"}"#, "topic", Takes::Text),
    (r#"{"type":"publish","data":1}"#, "topic", Takes::Text),
    (r#"{"type":"publish","topic":"a"}"#, "data_base64", Takes::Text),
    (r#"{"type":"publish","topic":"a","data":1}"#, "key", Takes::Text),
    (r#"{"type":"publish","topic":"a","data":1}"#, "echo", Takes::Flag),
    (r#"{"type":"history"}"#, "topic", Takes::Text),
    (r#"{"type":"history","topic":"a"}"#, "since", Takes::Place),
    (r#"{"type":"history","topic":"a"}"#, "limit", Takes::SmallNumber),
    (r#"{"type":"history","topic":"a"}"#, "reverse", Takes::Flag),
    (r#"{"type":"presence"}"#, "topic", Takes::Text),
    (r#"{"type":"refresh"}"#, "token", Takes::Text),
    (r#"{"type":"request","data":1}"#, "method", Takes::Text),
];

/// Values as they stand in JSON that a field of this kind does not take. Some are larger than any number of the machine.
fn wrong_values(takes: Takes) -> Vec<&'static str> {
    let mut values =
        vec!["[]", "[1]", "{}", r#"{"a":1}"#, "-1", "1.5", "1e400", "-0.0", "18446744073709551616"];
    values.push("99999999999999999999999999999999999999999999999999");
    if takes != Takes::Text {
        values.extend([r#""""#, r#""1""#, r#""true""#]);
    }
    if takes != Takes::Flag {
        values.extend(["true", "false"]);
    }
    if takes != Takes::SmallNumber {
        values.extend(["0", "7"]);
    } else {
        values.extend(["4294967296", "18446744073709551615", "1e3", "1.0"]);
    }
    if takes == Takes::Place {
        values.extend([
            r#"{"epoch":"a"}"#,
            r#"{"offset":1}"#,
            r#"{"epoch":1,"offset":1}"#,
            r#"{"epoch":"a","offset":"1"}"#,
            r#"{"epoch":"a","offset":-1}"#,
            r#"{"epoch":"a","offset":1e3}"#,
            r#"{"epoch":"a","offset":18446744073709551616}"#,
            r#"{"epoch":["a"],"offset":{}}"#,
            r#"{"ts":-1}"#,
            r#"{"ts":"2026-11-21T06:40:00Z"}"#,
            r#"{"ts":1.5}"#,
            r#"{"ts":18446744073709551616}"#,
            r#"{"ts":1,"epoch":"a","offset":1}"#,
            r#"{"ts":1,"offset":1}"#,
            r#""10m""#,
            r#""2026-11-21T06:40:00Z""#,
        ]);
    }
    values
}

/// The request with the field, and with an `id` unless that is the field.
fn request(base: &str, field: &str, value: &str) -> String {
    let id = if field == "id" { "" } else { r#""id":7,"# };
    format!("{{{id}\"{field}\":{value},{}", &base[1..])
}

fn check_wrong(sent: &str, field: &str, answer: Result<ServerFrame, fanwire_protocol::DecodeError>) {
    let Ok(ServerFrame::Error { id, code, message }) = answer else { panic!("{sent} got {answer:?}") };
    assert_eq!(code.as_str(), "bad_frame", "{sent}: {message}");
    assert_eq!(id, (field != "id").then_some(7), "{sent}: {message}");
    assert!(message.contains(field), "the message names the field: {sent} got {message}");
}

#[test]
fn no_field_takes_a_value_of_another_kind() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for (base, field, takes) in FIELDS {
        for value in wrong_values(takes) {
            let sent = request(base, field, value);
            socket.send_text(&sent);
            let answer = socket.read();
            check_wrong(&sent, field, json::decode_server(std::str::from_utf8(&answer.payload).unwrap()));
        }
    }
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    honest.check();
}

#[test]
fn no_field_takes_a_value_of_another_kind_in_msgpack() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open_msgpack(broker.address());
    for (base, field, takes) in FIELDS {
        for value in wrong_values(takes) {
            let sent = request(base, field, value);
            // What is too large for MessagePack's numbers cannot be said in it.
            let Ok(frame) = serde_json::from_str::<Value>(&sent) else { continue };
            socket.send_frame(true, Opcode::BINARY, &to_msgpack(&frame));
            check_wrong(&sent, field, msgpack::decode_server(&socket.read().payload));
        }
    }
    honest.check();
}

#[test]
fn the_largest_numbers_that_can_be_meant_are_taken() {
    let broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let since = r#"{"epoch":"no such epoch","offset":18446744073709551615}"#;
    for (sent, kind) in [
        (format!(r#"{{"type":"subscribe","id":4294967295,"topic":"a","since":{since}}}"#), "subscribed"),
        (r#"{"type":"subscribe","id":4294967295,"topic":"b","last":4294967295}"#.to_owned(), "subscribed"),
        (
            format!(
                r#"{{"type":"history","id":4294967295,"topic":"a","since":{since},"limit":4294967295,"reverse":true}}"#
            ),
            "history",
        ),
        (
            r#"{"type":"history","id":4294967295,"topic":"a","since":{"ts":18446744073709551615},"limit":1}"#
                .to_owned(),
            "history",
        ),
        (
            r#"{"type":"subscribe","id":4294967295,"topic":"c","since":{"ts":18446744073709551615}}"#
                .to_owned(),
            "subscribed",
        ),
        (r#"{"type":"subscribe","id":4294967295,"topic":"d","since":{"ts":0}}"#.to_owned(), "subscribed"),
    ] {
        socket.send_text(&sent);
        let reply = socket.read_json();
        assert_eq!(
            (&reply["type"], &reply["id"]),
            (&kind.into(), &json!(4_294_967_295u32)),
            "{sent}: {reply}"
        );
    }
}

#[test]
fn a_frame_cut_anywhere_is_no_frame() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let text = r#"{"type":"publish","id":3,"topic":"cut.ä","data":{"a":[1,"\u00e4",null]},"key":"k"}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        socket.send_text(&text[..end]);
        assert_eq!(socket.read_json()["code"], "bad_frame", "cut at {end}");
        socket.check_closing(4400);
    }
    let bytes = to_msgpack(&value);
    for end in 0..bytes.len() {
        let mut socket = WebSocket::open_msgpack(broker.address());
        socket.send_frame(true, Opcode::BINARY, &bytes[..end]);
        assert_eq!(socket.read_to_close().0, Some(4400), "cut at {end}");
    }
    honest.check();
    assert_eq!(broker.metric("fanwire_publications_total"), 1.0, "only the honest one");
}

/// Publishes `data` in MessagePack and returns the code of the error, if it is one, or that of the close.
fn publish_msgpack(broker: &Broker, data: &[u8]) -> Result<(), String> {
    let head = b"\x84\xa4type\xa7publish\xa2id\x07\xa5topic\xa1a\xa4data";
    let mut socket = WebSocket::open_msgpack(broker.address());
    socket.send_frame(true, Opcode::BINARY, &[head, data].concat());
    match msgpack::decode_server(&socket.read().payload) {
        Ok(ServerFrame::Reply { id: 7, reply: Reply::Published(_) }) => Ok(()),
        Ok(ServerFrame::Error { code, message, .. }) => {
            assert!(message.len() > 10, "{message}");
            Err(code.to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn payloads_nest_so_deep_and_no_deeper() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for levels in [PAYLOAD_DEPTH_MAX, PAYLOAD_DEPTH_MAX + 1, 10_000, 150_000] {
            let data = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            socket.send_text(&format!(r#"{{"type":"publish","id":7,"topic":"a","data":{data}}}"#));
            let answer = socket.read_json();
            let expected = if levels > PAYLOAD_DEPTH_MAX { "error" } else { "published" };
            assert_eq!((&answer["type"], &answer["id"]), (&expected.into(), &json!(7)), "{levels}: {answer}");
        }
    }
    for open in [&b"\x91"[..], b"\x81\xa1a", b"\xdc\0\x01", b"\xdd\0\0\0\x01", b"\xde\0\x01\xa1a"] {
        for levels in [PAYLOAD_DEPTH_MAX, PAYLOAD_DEPTH_MAX + 1, 10_000, 150_000] {
            let expected = if levels > PAYLOAD_DEPTH_MAX { Err("bad_frame".to_owned()) } else { Ok(()) };
            let data = [open.repeat(levels), vec![1]].concat();
            assert_eq!(publish_msgpack(&broker, &data), expected, "{open:?} {levels} times");
        }
    }
    honest.check();
}

#[test]
fn lengths_that_nothing_follows_take_no_memory() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let before = broker.metric("process_resident_memory_bytes");
    for announced in [
        &b"\xdb\xff\xff\xff\xff"[..],
        b"\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ] {
        for data in [announced.to_vec(), [&[0x91], announced].concat(), [announced, &[1; 1000]].concat()] {
            assert_eq!(publish_msgpack(&broker, &data), Err("bad_frame".to_owned()), "{data:.10?}");
        }
    }
    for ext in [&b"\xd4\x01\x01"[..], b"\xc7\x01\x01\x01", b"\xd6\xff\0\0\0\0", b"\x91\xd4\x01\x01", b"\xc1"]
    {
        assert_eq!(publish_msgpack(&broker, ext), Err("bad_frame".to_owned()), "{ext:?}");
    }
    let grown = broker.metric("process_resident_memory_bytes") - before;
    assert!(grown < 32e6, "{grown} bytes");
    honest.check();
}
