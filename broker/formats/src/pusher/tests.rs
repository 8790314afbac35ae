//! What Pusher's clients are sent, byte for byte.

use fanwire_protocol::{Member, Message, Payload, ServerFrame};

use super::{event_payload, format_of, write_error, write_members, write_system_event};

/// Returns the text of the one message in `bytes`.
fn text_of(bytes: &[u8]) -> String {
    let start = match bytes[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    String::from_utf8(bytes[start..].to_vec()).unwrap()
}

fn message(topic: &str, payload: Payload) -> Message {
    Message { topic: topic.parse().unwrap(), payload, position: None, ts: None, from: None }
}

fn check(prefix: &str, topic: &str, payload: Payload, expected: &str) {
    let mut out = Vec::new();
    format_of(prefix).encoder.message(&message(topic, payload), &mut out);
    assert_eq!(text_of(&out), expected);
}

#[test]
fn an_event_names_its_channel_and_its_data_is_a_string() {
    let event = |data: &str| event_payload("new", data, None).unwrap();
    check(
        "",
        "orders",
        event(r#"{"a": 1.0}"#),
        r#"{"event":"new","channel":"orders","data":"{\"a\": 1.0}"}"#,
    );
    check("shop", "shop.orders", event("plain"), r#"{"event":"new","channel":"orders","data":"plain"}"#);
    check("", "%a.%2Eb", event(""), r#"{"event":"new","channel":"a..b","data":""}"#);
    check("", "a", Payload::text("x\"y"), r#"{"event":"message","channel":"a","data":"x\"y"}"#);
    let packed = Payload::from_msgpack(&[0x92, 1, 2]).unwrap();
    check("", "a", packed, r#"{"event":"message","channel":"a","data":"[1,2]"}"#);
    let from = event_payload("client-a", "1", Some("7")).unwrap();
    check("", "presence-a", from, r#"{"event":"client-a","channel":"presence-a","data":"1","user_id":"7"}"#);
}

#[test]
fn each_prefix_has_one_format_with_a_slot_of_its_own() {
    let (one, other) = (format_of("tests.one"), format_of("tests.other"));
    assert!(std::ptr::eq(one, format_of("tests.one")));
    assert_ne!(one.slot, other.slot);
    assert!(one.slot >= fanwire_core::format::FORMATS_MAX);
}

#[test]
fn members_are_announced_on_presence_channels_only() {
    let info = Payload::from_json(r#"{"name": "Ann"}"#).unwrap();
    let member = |info| Member { user: "7".to_owned(), connection: "2a".to_owned(), info };
    let frame = |topic: &str, joins: bool, info| {
        let (topic, member) = (topic.parse().unwrap(), member(info));
        let frame =
            if joins { ServerFrame::Join { topic, member } } else { ServerFrame::Leave { topic, member } };
        let mut out = Vec::new();
        format_of("").encoder.frame(&frame, &mut out);
        out
    };
    assert_eq!(
        text_of(&frame("presence-a", true, Some(info))),
        r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"7\",\"user_info\":{\"name\": \"Ann\"}}"}"#
    );
    assert_eq!(
        text_of(&frame("presence-a", false, None)),
        r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"7\"}"}"#
    );
    assert!(frame("lobby", true, None).is_empty());
}

#[test]
fn a_list_of_members_has_ids_a_hash_and_a_count() {
    let member = |user: &str, info| Member { user: user.to_owned(), connection: "2a".to_owned(), info };
    let members = [member("7", Some(Payload::text("Ann"))), member("", None)];
    let mut out = Vec::new();
    write_members(&members, &mut out);
    let expected = r#"{"presence":{"ids":["7","2a"],"hash":{"7":"Ann","2a":null},"count":2}}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn events_of_the_service_carry_their_data_as_a_string() {
    let mut out = Vec::new();
    write_error("no", Some(4301), &mut out);
    assert_eq!(text_of(&out), r#"{"event":"pusher:error","data":"{\"message\":\"no\",\"code\":4301}"}"#);
    out.clear();
    write_system_event("pusher:pong", None, b"{}", &mut out);
    assert_eq!(text_of(&out), r#"{"event":"pusher:pong","data":"{}"}"#);
}
