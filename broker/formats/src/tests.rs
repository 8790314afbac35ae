//! Framing: headers that fit the length, and payloads that cannot break out of an event.

use fanwire_protocol::{Epoch, Member, Message, Payload, Position, ServerFrame};

use super::{BARE, ENTRY, Format, JSON, MSGPACK, SSE, SSE_ENVELOPES, SSE_PAYLOADS};

fn message(payload: Payload) -> Message {
    let position = Some(Position { epoch: Epoch::from_random(10), offset: 7 });
    Message { topic: "a".parse().unwrap(), payload, position, ts: Some(1), from: None }
}

#[test]
fn no_two_formats_share_a_slot() {
    let all = [&JSON, &MSGPACK, &BARE, &SSE, &SSE_PAYLOADS, &SSE_ENVELOPES, &ENTRY];
    let slots: Vec<usize> = all.iter().map(|format| format.slot).collect();
    assert_eq!(slots, (0..super::SLOT_FREE).collect::<Vec<_>>());
}

#[test]
fn websocket_headers_fit_the_length() {
    for (length, header) in [
        (0, vec![0x81, 0]),
        (125, vec![0x81, 125]),
        (126, vec![0x81, 126, 0, 126]),
        (65_535, vec![0x81, 126, 255, 255]),
        (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let text = "x".repeat(length);
        let mut out = b"before".to_vec();
        BARE.encoder.message(&message(Payload::text(text.as_str())), &mut out);
        assert_eq!(out[6..6 + header.len()], header, "length {length}");
        assert_eq!(&out[6 + header.len()..], text.as_bytes(), "length {length}");
    }
}

#[test]
fn bare_binary_goes_into_a_binary_frame() {
    let mut out = Vec::new();
    BARE.encoder.message(&message(Payload::binary([1, 2])), &mut out);
    assert_eq!(out, [0x82, 2, 1, 2]);
}

fn check(format: &Format, payload: Payload, expected: &str) {
    let mut out = Vec::new();
    format.encoder.message(&message(payload), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn every_line_break_of_a_payload_starts_a_data_line() {
    check(&SSE, Payload::text("a\nb\r\nc\rd"), "id: a:7\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    check(&SSE, Payload::text(""), "id: a:7\ndata: \n\n");
    let long = "x".repeat(40);
    for at in 0..=long.len() {
        let (before, after) = long.split_at(at);
        let payload = Payload::text(format!("{before}\n{after}"));
        check(&SSE, payload, &format!("id: a:7\ndata: {before}\ndata: {after}\n\n"));
    }
    check(&SSE, Payload::text(long.as_str()), &format!("id: a:7\ndata: {long}\n\n"));
    check(&SSE, Payload::text("end\n"), "id: a:7\ndata: end\ndata: \n\n");
}

#[test]
fn binary_is_base64_in_an_event_of_its_own_kind() {
    check(&SSE, Payload::binary([0, 255]), "id: a:7\nevent: binary\ndata: AP8=\n\n");
    check(&SSE_PAYLOADS, Payload::binary([0, 255]), "event: binary\ndata: AP8=\n\n");
}

#[test]
fn a_stream_that_writes_ids_itself_gets_events_without() {
    check(&SSE_PAYLOADS, Payload::text("x"), "data: x\n\n");
    let frame = r#"{"type":"message","topic":"a","offset":7,"epoch":"a","ts":1,"data":"x"}"#;
    check(&SSE_ENVELOPES, Payload::text("x"), &format!("data: {frame}\n\n"));
}

#[test]
fn presence_is_an_event_without_id_on_every_stream() {
    let member = Member { user: "ann".to_owned(), connection: "2a".to_owned(), info: None };
    let frame = ServerFrame::Join { topic: "a".parse().unwrap(), member };
    let json = r#"{"topic":"a","user":"ann","connection":"2a"}"#;
    for format in [&SSE, &SSE_PAYLOADS, &SSE_ENVELOPES] {
        let mut out = Vec::new();
        format.encoder.frame(&frame, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("event: join\ndata: {json}\n\n"));
    }
}
