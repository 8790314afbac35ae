//! Channels are topics: native clients and those of Pusher publish to, receive and are present in the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_tests::{AUTH, Broker, WebSocket, get, post, token_for};
use serde_json::{Value, json};

use super::fixture::{APP, Pusher, broker, data_of, trigger};
use crate::fixtures::texts::{publish, subscribe};

#[test]
fn an_event_is_ordinary_json_for_native_subscribers() {
    let broker = broker("");
    let mut native = subscribe(broker.address(), "a");
    for (data, inside) in [
        (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#),
        ("9007199254740993", "9007199254740993"),
        ("plain", r#""plain""#),
        ("", r#""""#),
        (r#""q""#, r#""\"q\"""#),
    ] {
        trigger(broker.address(), "a", "new", data);
        let frame = String::from_utf8(native.read().payload).unwrap();
        assert!(frame.contains(&format!(r#""data":{{"event":"new","data":{inside}}}"#)), "{frame}");
    }
    let history = get(broker.address(), "/topics/a?since=earliest").text();
    assert!(history.contains(r#"{"event":"new","data":{"a": 1.0}}"#), "{history}");
}

#[test]
fn a_native_publication_is_an_event_and_counts_its_subscribers() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    let receipt = publish(address, "a", "hello");
    assert_eq!(receipt["subscribers"], 1);
    assert_eq!(client.next(), json!({"event": "message", "channel": "a", "data": "hello"}));
    let send = |kind: &str, body: &[u8]| assert_eq!(post(address, "/topics/a", kind, body).status, 200);
    for (body, event, data) in [
        (r#"{"event":"new","data":{"a": 1.0}}"#, "new", r#"{"a": 1.0}"#),
        (r#"{"event":"new","data":"text"}"#, "new", "text"),
        (r#"{"event":"new","data":null}"#, "new", "null"),
        (r#"{"other": 1}"#, "message", r#"{"other": 1}"#),
        (r#"{"event":"new"}"#, "message", r#"{"event":"new"}"#),
        ("[1, 2]", "message", "[1, 2]"),
        (r#"{"event":"client-x","data":1}"#, "message", r#"{"event":"client-x","data":1}"#),
        (r#"{"event":"pusher:error","data":{}}"#, "message", r#"{"event":"pusher:error","data":{}}"#),
        (
            r#"{"event":"pusher_internal:member_added","data":"{}"}"#,
            "message",
            r#"{"event":"pusher_internal:member_added","data":"{}"}"#,
        ),
    ] {
        send("application/json", body.as_bytes());
        assert_eq!(client.next(), json!({"event": event, "channel": "a", "data": data}));
    }
    send("application/octet-stream", &[0, 255]);
    assert_eq!(client.next(), json!({"event": "binary", "channel": "a", "data": STANDARD.encode([0, 255])}));
    let mut packed = WebSocket::open_msgpack(address);
    packed.send_frame(
        true,
        fanwire_tests::Opcode::BINARY,
        &[
            0x83, 0xa4, b't', b'y', b'p', b'e', 0xa7, b'p', b'u', b'b', b'l', b'i', b's', b'h', 0xa5, b't',
            b'o', b'p', b'i', b'c', 0xa1, b'a', 0xa4, b'd', b'a', b't', b'a', 0x92, 1, 2,
        ],
    );
    assert_eq!(client.next(), json!({"event": "message", "channel": "a", "data": "[1,2]"}));
}

#[test]
fn presence_is_one_over_native_clients_and_those_of_pusher() {
    let broker = Broker::with_file(&format!("{APP}prefix = ''\n{AUTH}"), &[]);
    let address = broker.address();
    let token = token_for("ann", &[], &["presence-a"]);
    let mut native = WebSocket::open(address, &format!("/ws?token={token}"));
    let reply = native.ask(&json!({"type": "subscribe", "id": 1, "topic": "presence-a"}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    let mut client = Pusher::connect(address);
    let members = client.subscribe("presence-a", Some(r#"{"user_id":"bob","user_info":{"x":1}}"#));
    let mut ids: Vec<&str> =
        members["presence"]["ids"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["ann", "bob"]);
    let join = native.read_json();
    assert_eq!(
        (&join["type"], &join["user"], &join["info"]),
        (&"join".into(), &"bob".into(), &json!({"x": 1}))
    );
    let reply = native.ask(&json!({"type": "unsubscribe", "id": 2, "topic": "presence-a"}));
    assert_eq!(reply["type"], "unsubscribed", "{reply}");
    let removed = client.expect("pusher_internal:member_removed", "presence-a");
    assert_eq!(data_of(&removed), json!({"user_id": "ann"}));
}

#[test]
fn private_channels_are_closed_to_native_clients_even_on_an_open_broker() {
    let broker = broker("[[topic]]\nmatch = 'private-open'\npublish = 'anyone'\nsubscribe = 'anyone'\n");
    let address = broker.address();
    for topic in ["private-a", "presence-a", "private-encrypted-a", "%23server-to-user-7"] {
        let answer = post(address, &format!("/topics/{topic}"), "text/plain", b"x");
        answer.check_problem(403, "forbidden");
        get(address, &format!("/topics/{topic}")).check_problem(403, "forbidden");
        get(address, &format!("/topics/{topic}/presence")).check_problem(403, "forbidden");
    }
    let mut native = WebSocket::open(address, "/ws");
    for pattern in ["private-a", ">", "*", "presence-x.>", "$pusher.3.user.7", "$pusher.>"] {
        let reply = native.ask(&json!({"type": "subscribe", "id": 1, "topic": pattern}));
        assert_eq!(reply["type"], "error", "{pattern}: {reply}");
    }
    for topic in ["public", "a.private-b", "private-open"] {
        let reply = native.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}));
        assert_eq!(reply["type"], "subscribed", "{topic}: {reply}");
    }
    assert_eq!(post(address, "/topics/private-open", "text/plain", b"x").status, 200);
}

#[test]
fn all_see_one_order_whatever_they_are_connected_over() {
    let broker = Broker::with_file(&format!("workers = 2\n{APP}"), &[]);
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    let mut native = subscribe(address, "a");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100 {
                trigger(address, "a", "e", &format!("r{number}"));
            }
        });
        scope.spawn(|| {
            for number in 0..100 {
                let body = format!(r#"{{"event":"e","data":"n{number}"}}"#);
                assert_eq!(post(address, "/topics/a", "application/json", body.as_bytes()).status, 200);
            }
        });
    });
    let by_pusher: Vec<Value> = (0..200).map(|_| client.next()["data"].clone()).collect();
    let natively: Vec<Value> = (0..200).map(|_| native.read_json()["data"]["data"].clone()).collect();
    assert_eq!(by_pusher, natively);
}

#[test]
fn the_server_api_shows_the_connection_and_its_name() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    let sessions = get(address, "/api/v1/sessions").json();
    let session = &sessions["sessions"][0];
    assert_eq!(session["transport"], "pusher", "{sessions}");
    assert_eq!(session["name"], client.socket_id.as_str(), "{sessions}");
    let connection = session["connection"].as_str().unwrap();
    let sent = post(
        address,
        &format!("/api/v1/sessions/{connection}/send"),
        "application/json",
        br#"{"data":"hi"}"#,
    );
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(client.next(), json!({"event": "message", "data": "hi"}));
    let closed =
        post(address, &format!("/api/v1/sessions/{connection}/disconnect"), "application/json", b"{}");
    assert_eq!(closed.status, 200);
    assert_eq!(client.closed().0, 4440);
}
