//! The golden vectors in `protocol/vectors`, which the clients in other languages read as well. Their bytes are the
//! contract: a change that makes one of these tests fail breaks every client that is out there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use fanwire_protocol::{
    ClientFrame, DecodeError, ErrorCode, Message, Payload, Reply, Request, ServerFrame, json, msgpack,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameVector {
    name: String,
    direction: Direction,
    #[serde(default)]
    decode_only: bool,
    same_as: Option<String>,
    json: Option<String>,
    msgpack: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Client,
    Server,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversion {
    name: String,
    from: Source,
    json: String,
    msgpack: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Source {
    Json,
    Msgpack,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    name: String,
    direction: Direction,
    encoding: Source,
    error: Kind,
    code: Option<String>,
    id: Option<u32>,
    json: Option<String>,
    msgpack: Option<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Unreadable,
    Rejected,
}

#[derive(Debug, Clone, PartialEq)]
enum Frame {
    Client(ClientFrame),
    Server(ServerFrame),
}

impl Frame {
    fn from_json(direction: Direction, text: &str) -> Result<Self, DecodeError> {
        match direction {
            Direction::Client => json::decode_client(text).map(Frame::Client),
            Direction::Server => json::decode_server(text).map(Frame::Server),
        }
    }

    fn from_msgpack(direction: Direction, hex: &str) -> Result<Self, DecodeError> {
        match direction {
            Direction::Client => msgpack::decode_client(&from_hex(hex)).map(Frame::Client),
            Direction::Server => msgpack::decode_server(&from_hex(hex)).map(Frame::Server),
        }
    }

    fn to_json(&self) -> String {
        let mut out = Vec::new();
        match self {
            Frame::Client(frame) => json::encode_client(frame, &mut out),
            Frame::Server(frame) => json::encode_server(frame, &mut out),
        }
        String::from_utf8(out).unwrap()
    }

    fn to_msgpack(&self) -> String {
        let mut out = Vec::new();
        match self {
            Frame::Client(frame) => msgpack::encode_client(frame, &mut out),
            Frame::Server(frame) => msgpack::encode_server(frame, &mut out),
        }
        to_hex(&out)
    }

    /// Every variant must have a word here and in [`KINDS`]; the compiler asks for the first.
    fn kind(&self) -> &'static str {
        match self {
            Frame::Client(ClientFrame { request, .. }) => match request {
                Request::Connect { .. } => "connect",
                Request::Subscribe { .. } => "subscribe",
                Request::Unsubscribe { .. } => "unsubscribe",
                Request::Publish { .. } => "publish",
                Request::History { .. } => "history",
                Request::Presence { .. } => "presence",
                Request::Refresh { .. } => "refresh",
                Request::Call { .. } => "request",
                Request::Ping => "ping",
            },
            Frame::Server(ServerFrame::Reply { reply, .. }) => match reply {
                Reply::Connected { .. } => "reply connected",
                Reply::Subscribed { .. } => "reply subscribed",
                Reply::Unsubscribed { .. } => "reply unsubscribed",
                Reply::Published(_) => "reply published",
                Reply::History { .. } => "reply history",
                Reply::Presence { .. } => "reply presence",
                Reply::Refreshed { .. } => "reply refreshed",
                Reply::Response { .. } => "reply response",
                Reply::Pong => "reply pong",
            },
            Frame::Server(frame) => match frame {
                ServerFrame::Reply { .. } => "reply",
                ServerFrame::Error { .. } => "error",
                ServerFrame::Message(_) => "message",
                ServerFrame::Join { .. } => "join",
                ServerFrame::Leave { .. } => "leave",
                ServerFrame::Subscribed { .. } => "subscribed by the application",
                ServerFrame::Unsubscribed { .. } => "unsubscribed",
                ServerFrame::Lagged { .. } => "lagged",
                ServerFrame::Closing { .. } => "closing",
            },
        }
    }
}

#[rustfmt::skip]
const KINDS: [&str; 26] = [
    "connect", "subscribe", "unsubscribe", "publish", "history", "presence", "refresh", "request", "ping",
    "reply connected", "reply subscribed", "reply unsubscribed", "reply published", "reply history", "reply presence",
    "reply refreshed", "reply response", "reply pong",
    "error", "message", "join", "leave", "subscribed by the application", "unsubscribed", "lagged", "closing",
];

fn read<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn frame_vectors() -> Vec<FrameVector> {
    let mut vectors: Vec<FrameVector> = read("client.json");
    assert!(vectors.iter().all(|vector| vector.direction == Direction::Client));
    let server: Vec<FrameVector> = read("server.json");
    assert!(server.iter().all(|vector| vector.direction == Direction::Server));
    vectors.extend(server);
    vectors
}

fn from_hex(hex: &str) -> Vec<u8> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits in {hex}");
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_are_read_from_and_written_as_the_vectors_in_both_encodings() {
    for vector in frame_vectors().iter().filter(|vector| !vector.decode_only) {
        let (name, direction) = (&vector.name, vector.direction);
        let [text, hex] = [&vector.json, &vector.msgpack].map(|written| written.as_deref().unwrap());
        let from_json = Frame::from_json(direction, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let from_msgpack =
            Frame::from_msgpack(direction, hex).unwrap_or_else(|error| panic!("{name}: {error}"));
        // A payload is kept in the encoding it came in, so the two frames are compared by what they are written as.
        for frame in [from_json, from_msgpack] {
            assert_eq!(frame.to_json(), text, "{name}");
            assert_eq!(frame.to_msgpack(), hex, "{name}");
        }
    }
}

#[test]
fn other_ways_to_write_a_frame_mean_the_same() {
    let vectors = frame_vectors();
    let named: BTreeMap<_, _> =
        vectors.iter().filter(|vector| !vector.decode_only).map(|vector| (&vector.name, vector)).collect();
    let mut read = 0;
    for vector in vectors.iter().filter(|vector| vector.decode_only) {
        let (name, direction) = (&vector.name, vector.direction);
        let same = named[vector.same_as.as_ref().unwrap()];
        let expected = Frame::from_json(direction, same.json.as_deref().unwrap());
        if let Some(text) = &vector.json {
            assert_eq!(Frame::from_json(direction, text), expected, "{name}");
            read += 1;
        }
        if let Some(hex) = &vector.msgpack {
            assert_eq!(Frame::from_msgpack(direction, hex), expected, "{name}");
            read += 1;
        }
    }
    assert!(read > 10, "only {read} frames were read");
}

#[test]
fn every_kind_of_frame_and_every_error_code_has_a_vector() {
    let mut kinds = BTreeSet::new();
    let mut codes = BTreeSet::new();
    let mut names = BTreeSet::new();
    for vector in frame_vectors() {
        assert!(
            names.insert((vector.direction == Direction::Client, vector.name.clone())),
            "{} twice",
            vector.name
        );
        let Some(text) = vector.json.filter(|_| !vector.decode_only) else { continue };
        let frame = Frame::from_json(vector.direction, &text).unwrap();
        kinds.insert(frame.kind());
        if let Frame::Server(ServerFrame::Error { code, .. }) = frame {
            codes.insert(code.as_str());
        }
    }
    assert_eq!(kinds, BTreeSet::from(KINDS));
    assert_eq!(codes, ErrorCode::ALL.map(ErrorCode::as_str).into());
}

/// The message that carries `payload` and nothing else, and what stands before and after the payload in it.
fn lone(payload: Payload) -> Message {
    Message { topic: "t".parse().unwrap(), payload, position: None, ts: None, from: None }
}

fn written_in_json(payload: Payload) -> String {
    let mut out = Vec::new();
    json::encode_message(&lone(payload), &mut out);
    let text = String::from_utf8(out).unwrap();
    let data =
        text.strip_prefix(r#"{"type":"message","topic":"t","data":"#).and_then(|rest| rest.strip_suffix('}'));
    data.unwrap().to_owned()
}

fn written_in_msgpack(payload: Payload) -> String {
    let mut out = Vec::new();
    msgpack::encode_message(&lone(payload), &mut out);
    to_hex(out.strip_prefix(b"\x83\xa4type\xa7message\xa5topic\xa1t\xa4data").unwrap())
}

#[test]
fn payloads_become_in_the_other_encoding_what_the_vectors_say() {
    for Conversion { name, from, json, msgpack } in read("conversions.json") {
        if from != Source::Msgpack {
            let payload = Payload::from_json(&json).unwrap();
            assert_eq!(written_in_msgpack(payload.clone()), msgpack, "{name}");
            assert_eq!(written_in_json(payload), json, "{name}: JSON must stay as it was written");
        }
        if from != Source::Json {
            let payload = Payload::from_msgpack(&from_hex(&msgpack)).unwrap();
            assert_eq!(String::from_utf8_lossy(&payload.to_bare()), json, "{name}");
            assert_eq!(written_in_json(payload.clone()), json, "{name}");
            assert_eq!(
                written_in_msgpack(payload),
                msgpack,
                "{name}: MessagePack must stay as it was written"
            );
        }
    }
}

#[test]
fn invalid_frames_are_refused_as_the_vectors_say() {
    for vector in read::<Invalid>("invalid.json") {
        let name = &vector.name;
        let read = match vector.encoding {
            Source::Json => Frame::from_json(vector.direction, vector.json.as_deref().unwrap()),
            _ => Frame::from_msgpack(vector.direction, vector.msgpack.as_deref().unwrap()),
        };
        match read {
            Ok(frame) => panic!("{name} was read as {frame:?}"),
            Err(DecodeError::Unreadable(message)) => {
                assert_eq!(vector.error, Kind::Unreadable, "{name}: {message}");
            }
            Err(DecodeError::Rejected { id, code, message }) => {
                assert_eq!(vector.error, Kind::Rejected, "{name}: {message}");
                assert_eq!(
                    (Some(code.as_str()), id),
                    (vector.code.as_deref(), vector.id),
                    "{name}: {message}"
                );
            }
        }
    }
}
