//! Events that clients send: to the other subscribers of private and presence channels.

use serde_json::json;

use super::fixture::{APP, Pusher, broker, trigger};

fn send(client: &mut Pusher, channel: &str, event: &str, data: serde_json::Value) {
    client.socket.send_json(&json!({"event": event, "channel": channel, "data": data}));
}

#[test]
fn a_client_event_reaches_the_others_with_its_data_as_a_string() {
    let broker = broker("");
    let (mut one, mut other) = (Pusher::connect(broker.address()), Pusher::connect(broker.address()));
    for client in [&mut one, &mut other] {
        client.subscribe("private-a", None);
    }
    for (data, expected) in
        [(json!({"a": 1}), r#"{"a":1}"#), (json!("text"), "text"), (json!(17), "17"), (json!(null), "null")]
    {
        send(&mut one, "private-a", "client-x", data);
        assert_eq!(other.next(), json!({"event": "client-x", "channel": "private-a", "data": expected}));
    }
    one.expect_nothing();
}

#[test]
fn on_a_presence_channel_it_names_its_user() {
    let broker = broker("");
    let (mut one, mut other) = (Pusher::connect(broker.address()), Pusher::connect(broker.address()));
    other.subscribe("presence-a", Some(r#"{"user_id":"other"}"#));
    one.subscribe("presence-a", Some(r#"{"user_id":10}"#));
    other.expect("pusher_internal:member_added", "presence-a");
    one.socket
        .send_json(&json!({"event": "client-x", "channel": "presence-a", "data": "1", "user_id": "forged"}));
    let event = json!({"event": "client-x", "channel": "presence-a", "data": "1", "user_id": "10"});
    assert_eq!(other.next(), event);
}

#[test]
fn it_is_refused_elsewhere_and_the_connection_stays() {
    let broker = broker("");
    let (mut one, mut other) = (Pusher::connect(broker.address()), Pusher::connect(broker.address()));
    for client in [&mut one, &mut other] {
        client.subscribe("private-a", None);
        client.subscribe("public", None);
        client.subscribe("private-encrypted-a", None);
    }
    let large = "x".repeat(10 * 1024 + 1);
    let long = format!("client-{}", "n".repeat(200));
    for (channel, event, data) in [
        ("public", "client-x", "1"),
        ("private-encrypted-a", "client-x", "1"),
        ("private-never", "client-x", "1"),
        ("private-a b", "client-x", "1"),
        ("#server-to-user-1", "client-x", "1"),
        ("private-a", "x", "1"),
        ("private-a", "pusher:x", "1"),
        ("private-a", "pusher_internal:member_added", "{}"),
        ("private-a", long.as_str(), "1"),
        ("private-a", "client-x", large.as_str()),
    ] {
        send(&mut one, channel, event, json!(data));
        let (_, code) = one.expect_error();
        assert!(code.is_null(), "{channel} {event}: {code}");
    }
    one.socket.send_json(&json!({"event": "client-x", "data": "1"}));
    one.expect_error();
    one.expect_nothing();
    other.expect_nothing();
}

#[test]
fn more_than_the_rate_is_4301_and_dropped() {
    let broker = broker("client_event_rate = { per_second = 1, burst = 3 }\n");
    let (mut one, mut other) = (Pusher::connect(broker.address()), Pusher::connect(broker.address()));
    for client in [&mut one, &mut other] {
        client.subscribe("private-a", None);
    }
    for number in 0..4 {
        send(&mut one, "private-a", "client-x", json!(number));
    }
    let (_, code) = one.expect_error();
    assert_eq!(code, 4301);
    for number in 0..3 {
        assert_eq!(other.next()["data"], number.to_string());
    }
    trigger(broker.address(), "private-a", "e", "after");
    assert_eq!(other.next()["data"], "after");
    one.expect("e", "private-a");
}

#[test]
fn an_app_can_switch_them_off() {
    let broker = broker("client_events = false\n");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("private-a", None);
    send(&mut client, "private-a", "client-x", json!("1"));
    assert!(client.expect_error().0.contains("client_events"));
    assert!(!APP.contains("client_events"), "on by default");
}
