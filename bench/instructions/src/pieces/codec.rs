//! Reading a client's frame and writing a subscriber's.

use std::hint::black_box;

use fanwire_core::format::Format;
use fanwire_formats::{JSON, MSGPACK, SSE};
use fanwire_protocol::{ClientFrame, Payload, Request, json, msgpack};

use super::{REPEAT, measured, message, payload, topic};

fn publish() -> ClientFrame {
    let request =
        Request::Publish { topic: topic("orders.eu.paid"), payload: payload(), key: None, echo: true };
    ClientFrame { id: Some(7), request }
}

pub(super) fn decode_json() {
    let mut frame = Vec::new();
    json::encode_client(&publish(), &mut frame);
    let text = String::from_utf8(frame).expect("JSON is text");
    measured(|| {
        for _ in 0..REPEAT {
            let _frame = black_box(json::decode_client(black_box(&text)));
        }
    });
}

pub(super) fn decode_msgpack() {
    let mut frame = Vec::new();
    msgpack::encode_client(&publish(), &mut frame);
    measured(|| {
        for _ in 0..REPEAT {
            let _frame = black_box(msgpack::decode_client(black_box(&frame)));
        }
    });
}

pub(super) fn encode_json() {
    encode(&JSON, payload());
}

pub(super) fn encode_msgpack() {
    encode(&MSGPACK, payload());
}

pub(super) fn encode_sse() {
    encode(&SSE, payload());
}

fn encode(format: &Format, payload: Payload) {
    let message = message(&topic("orders.eu.paid"), payload, 1_000_000);
    measured(|| {
        for _ in 0..REPEAT {
            let mut out = Vec::with_capacity(320);
            format.encoder.message(black_box(&message), &mut out);
            black_box(&out);
        }
    });
}

/// A payload that came in MessagePack, for the first subscriber in JSON.
pub(super) fn convert() {
    let mut frame = Vec::new();
    // A map of an identifier, a sum and a list, as an application would send it.
    frame.extend_from_slice(b"\x83\xa2id\xce\x00\x01\x00\x00\xa5total\xcb\x40\x59\x00\x00\x00\x00\x00\x00\xa5items\x93\x01\x02\xa1x");
    let payload = Payload::from_msgpack(&frame).expect("the bytes are one MessagePack map");
    measured(|| {
        for _ in 0..REPEAT {
            black_box(black_box(&payload).to_json_payload());
        }
    });
}
