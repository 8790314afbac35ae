//! What must hold for whatever bytes arrive. Each function is one fuzz target: it panics when a promise is broken.
//!
//! Only promises of the public interface are checked here; how inputs are found is libFuzzer's business, and where it
//! starts from that of `seeds`.

use fanwire_protocol::{
    ClientFrame, Cursor, Epoch, Message, Pattern, Payload, PayloadView, Request, Since, Topic, TopicError,
    json, msgpack,
};
use serde_json::Value;

/// A client's frame that is read is written so that it is read as the same.
pub fn json_client(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(frame) = json::decode_client(text) {
        let written = json_text(|out| json::encode_client(&frame, out));
        assert_eq!(json::decode_client(&written), Ok(frame), "{written}");
    }
}

/// A broker's frame that is read is written so that it is read as the same.
pub fn json_server(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(frame) = json::decode_server(text) {
        let written = json_text(|out| json::encode_server(&frame, out));
        assert_eq!(json::decode_server(&written), Ok(frame), "{written}");
    }
}

/// As [`json_client`]; and the frame can be given to JSON.
pub fn msgpack_client(bytes: &[u8]) {
    if let Ok(frame) = msgpack::decode_client(bytes) {
        check_with_another_reader(bytes);
        let mut written = Vec::new();
        msgpack::encode_client(&frame, &mut written);
        let text = json_text(|out| json::encode_client(&frame, out));
        assert!(json::decode_client(&text).is_ok(), "{text}");
        assert_eq!(msgpack::decode_client(&written), Ok(frame), "{written:02x?}");
    }
}

/// As [`json_server`]; and the frame can be given to JSON.
pub fn msgpack_server(bytes: &[u8]) {
    if let Ok(frame) = msgpack::decode_server(bytes) {
        check_with_another_reader(bytes);
        let mut written = Vec::new();
        msgpack::encode_server(&frame, &mut written);
        let text = json_text(|out| json::encode_server(&frame, out));
        assert!(json::decode_server(&text).is_ok(), "{text}");
        assert_eq!(msgpack::decode_server(&written), Ok(frame), "{written:02x?}");
    }
}

/// What is read as a frame is one MessagePack value to an independent reader too, and it ends where the bytes end.
fn check_with_another_reader(bytes: &[u8]) {
    let mut rest = bytes;
    let read = rmp_serde::from_read::<_, serde::de::IgnoredAny>(&mut rest);
    assert!(read.is_ok() && rest.is_empty(), "{read:?}, {} bytes left of {bytes:02x?}", rest.len());
}

/// An entry of a batch is what a `publish` of the same content would be.
pub fn batch(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for entry in json::decode_batch(text, 1000).unwrap_or_default().into_iter().flatten() {
        let request =
            Request::Publish { topic: entry.topic, payload: entry.payload, key: entry.key, echo: true };
        let frame = ClientFrame { id: None, request };
        let written = json_text(|out| json::encode_client(&frame, out));
        assert_eq!(json::decode_client(&written), Ok(frame), "{written}");
    }
}

/// Names keep to the rules of topics, and matching agrees with the plainest way to write it. The first line is a
/// pattern, the second a topic.
pub fn names(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let topic = Topic::new(second);
    let pattern = Pattern::new(first);
    check_name(first, &pattern);
    let (Ok(topic), Ok(pattern)) = (topic, pattern) else { return };
    assert_eq!(topic.as_str(), second);
    assert!(Pattern::from(topic.clone()).matches(&topic));
    let levels: Vec<_> = topic.levels().collect();
    let wanted: Vec<_> = pattern.levels().collect();
    let hidden = topic.is_reserved() && matches!(wanted[0], "*" | ">");
    assert_eq!(
        pattern.matches(&topic),
        !hidden && matches_plainly(&wanted, &levels),
        "{pattern} and {topic}"
    );
}

fn check_name(name: &str, pattern: &Result<Pattern, TopicError>) {
    let topic = Topic::new(name);
    match pattern {
        Ok(pattern) => {
            assert_eq!(pattern.to_string(), name);
            assert!((1..=255).contains(&name.len()) && name.split('.').count() <= 32, "{name:?}");
            assert!(!name.split('.').any(str::is_empty), "{name:?}");
            assert!(!name.contains(|c: char| c.is_whitespace() || c.is_control()), "{name:?}");
            assert_eq!(pattern.is_wild(), name.contains(['*', '>']), "{name:?}");
            assert_eq!(pattern.to_topic(), topic.ok(), "{name:?}");
        }
        Err(error) => assert_eq!(topic, Err(*error), "{name:?}"),
    }
}

fn matches_plainly(pattern: &[&str], levels: &[&str]) -> bool {
    match (pattern, levels) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        ([wanted, pattern @ ..], [level, levels @ ..]) => {
            (*wanted == "*" || wanted == level) && matches_plainly(pattern, levels)
        }
        _ => false,
    }
}

/// A cursor that is read is written so that it is read as the same, has an answer for every topic, and is taken for no
/// moment; and an age is so long before now, whenever that is.
pub fn cursor(bytes: &[u8]) {
    const NOW_MS: u64 = 1_767_225_600_000;
    let Ok(text) = str::from_utf8(bytes) else { return };
    match (Since::from_text(text, NOW_MS), Since::from_text(text, NOW_MS + 1)) {
        (Ok(Since::Time(moment)), Ok(Since::Time(later))) => {
            assert!(later == moment || moment <= NOW_MS && (later == moment + 1), "{text}");
        }
        (one, other) => assert_eq!(one, other, "{text}"),
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        let written = cursor.to_string();
        assert_eq!(Since::from_text(&written, NOW_MS), Ok(Since::Cursor(cursor.clone())), "{text}");
        if let Ok(topic) = Topic::new("a.topic") {
            let position = cursor.position_in(&topic, Epoch::from_random(1));
            assert_eq!(Cursor::one(position).to_string().parse(), Ok(Cursor::one(position)));
        }
    }
}

/// JSON that another parser reads is a payload, and has the same value after a way through MessagePack.
pub fn json_to_msgpack(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let value: Option<Value> = serde_json::from_str(text).ok();
    let Ok(payload) = Payload::from_json(text) else {
        assert!(value.is_none(), "{text} was refused");
        return;
    };
    let there = through_msgpack(&payload);
    if let PayloadView::Text(_) = payload.view() {
        assert_eq!(there, payload);
        return;
    }
    let back = json_of(&there);
    if let Some(value) = value {
        assert_eq!(serde_json::from_str::<Value>(&back).ok(), Some(value), "{text} became {back}");
    }
    assert_stays(&back);
}

/// MessagePack that may be published can be shown as JSON, which stays the same from then on.
pub fn msgpack_to_json(bytes: &[u8]) {
    let Ok(payload) = Payload::from_msgpack(bytes) else { return };
    assert_eq!(through_msgpack(&payload), payload, "MessagePack stays as it was written");
    if let PayloadView::MessagePack(_) = payload.view() {
        assert_stays(&json_of(&payload));
    }
}

/// The JSON text a MessagePack payload once became is what it becomes again after another way there and back.
fn assert_stays(text: &str) {
    match Payload::from_json(text) {
        Ok(payload) => assert_eq!(json_of(&through_msgpack(&payload)), text),
        Err(error) => panic!("{text} came out of a payload, but is none: {error}"),
    }
}

fn through_msgpack(payload: &Payload) -> Payload {
    let Ok(topic) = Topic::new("t") else { panic!("'t' is a topic") };
    let message = Message { topic, payload: payload.clone(), position: None, ts: None, from: None };
    let mut bytes = Vec::new();
    msgpack::encode_message(&message, &mut bytes);
    match msgpack::decode_server(&bytes) {
        Ok(fanwire_protocol::ServerFrame::Message(message)) => message.payload,
        other => panic!("{bytes:02x?} gave {other:?}"),
    }
}

fn json_of(payload: &Payload) -> String {
    String::from_utf8(payload.to_bare().into_owned()).unwrap_or_else(|error| panic!("JSON is UTF-8: {error}"))
}

fn json_text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap_or_else(|error| panic!("JSON is UTF-8: {error}"))
}
