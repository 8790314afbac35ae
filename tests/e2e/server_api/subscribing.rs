//! Subscriptions that the application begins and ends for sessions that have not asked.

use fanwire_tests::{Broker, DataDirectory, Events, Http, WebSocket, eventually, token_for};
use serde_json::{Value, json};

use crate::fixtures::server_api::{ADMIN_HASH, affected, call, guarded_broker, session_of};

/// Publishes with a token that may.
fn publish(broker: &Broker, topic: &str, text: &str) -> Value {
    let mut http = Http::connect(broker.address());
    let token = token_for("publisher", &[">"], &[]);
    let head = format!(
        "POST /topics/{topic} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    http.send(head.as_bytes());
    let answer = http.read();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// A session of `user` who may do nothing by itself.
fn powerless(broker: &Broker, user: &str) -> (WebSocket, String) {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": token_for(user, &[], &[])}));
    (socket, reply["connection"].as_str().expect("a name").to_owned())
}

#[test]
fn a_session_is_subscribed_without_a_grant_and_told_so() {
    let broker = guarded_broker("");
    let (mut socket, connection) = powerless(&broker, "ann");
    let first = publish(&broker, "room.1", "first");
    let path = format!("/sessions/{connection}/subscribe");
    assert_eq!(affected(&broker, &path, &json!({"topic": "room.1", "since": "earliest"})), 1);
    let told = socket.read_json();
    let expected = json!({"type": "subscribed", "topic": "room.1", "epoch": first["epoch"], "offset": first["offset"], "recovered": true});
    assert_eq!(told, expected);
    publish(&broker, "room.1", "second");
    for text in ["first", "second"] {
        assert_eq!(socket.read_json()["data"], text);
    }
    // Again changes nothing, and says nothing.
    assert_eq!(affected(&broker, &path, &json!({"topic": "room.1"})), 1);
    publish(&broker, "room.1", "third");
    assert_eq!(socket.read_json()["data"], "third");
    // It outlives the session's next token.
    let refresh = json!({"type": "refresh", "id": 7, "token": token_for("ann", &[], &[])});
    assert_eq!(socket.ask(&refresh)["type"], "refreshed");
    publish(&broker, "room.1", "fourth");
    assert_eq!(socket.read_json()["data"], "fourth");
    let body = json!({"topic": "room.1", "reason": "you have left the room"});
    assert_eq!(affected(&broker, &format!("/sessions/{connection}/unsubscribe"), &body), 1);
    let told = socket.read_json();
    assert_eq!(
        told,
        json!({"type": "unsubscribed", "topic": "room.1", "code": "forbidden", "reason": "you have left the room"})
    );
    assert_eq!(publish(&broker, "room.1", "fifth")["subscribers"], 0);
    let again = call(&broker, "POST", &format!("/sessions/{connection}/unsubscribe"), &body);
    again.check_problem(400, "not_subscribed");
}

#[test]
fn all_sessions_of_a_user_are_subscribed_and_unsubscribed() {
    let broker = guarded_broker("");
    let mut sockets: Vec<_> = (0..5).map(|_| powerless(&broker, "ann").0).collect();
    let (mut other, _) = powerless(&broker, "bob");
    assert_eq!(affected(&broker, "/users/ann/subscribe", &json!({"topic": "room.>"})), 5);
    for socket in &mut sockets {
        assert_eq!(socket.read_json(), json!({"type": "subscribed", "topic": "room.>", "recovered": true}));
    }
    assert_eq!(publish(&broker, "room.1", "x")["subscribers"], 5);
    for socket in &mut sockets {
        assert_eq!(socket.read_json()["data"], "x");
    }
    assert_eq!(affected(&broker, "/users/ann/unsubscribe", &json!({"topic": "room.>"})), 5);
    assert_eq!(affected(&broker, "/users/ann/unsubscribe", &json!({"topic": "room.>"})), 0);
    assert_eq!(publish(&broker, "room.1", "y")["subscribers"], 0);
    assert_eq!(other.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
}

#[test]
fn a_durable_topic_is_replayed_from_disk() {
    let directory = DataDirectory::new();
    let key = format!("[[key]]\nname = 'operator'\nhash = '{ADMIN_HASH}'\nadmin = true\n");
    let configuration = format!("{}{key}[[topic]]\nmatch = '>'\ndurable = true\n", fanwire_tests::AUTH);
    let broker = directory.serve(&configuration);
    for number in 0..20 {
        publish(&broker, "log", &number.to_string());
    }
    let broker = directory.restart(broker, &configuration);
    let (mut socket, connection) = powerless(&broker, "ann");
    let path = format!("/sessions/{connection}/subscribe");
    assert_eq!(affected(&broker, &path, &json!({"topic": "log", "last": 5})), 1);
    assert_eq!(socket.read_json()["type"], "subscribed");
    for number in 15..20 {
        assert_eq!(socket.read_json()["data"], number.to_string());
    }
}

#[test]
fn where_the_url_is_the_subscription_the_session_ends_with_it() {
    let broker = guarded_broker("");
    let address = broker.address();
    let token = token_for("ann", &[">"], &[">"]);
    let mut bare = WebSocket::open(address, &format!("/topics/a?token={token}"));
    let mut stream = Events::open(address, &format!("/topics/a?token={token}"), "");
    let mut poll = Http::connect(address);
    poll.send(format!("GET /topics/a?wait=30&token={token} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let mut elsewhere = Events::open(address, &format!("/topics/b?token={token}"), "");
    eventually("all sessions are there", || {
        let page = call(&broker, "GET", "/sessions", &Value::Null).json();
        (page["total"] == 4).then_some(())
    });
    assert_eq!(affected(&broker, "/users/ann/subscribe", &json!({"topic": "c"})), 0);
    let page = call(&broker, "GET", "/sessions", &Value::Null).json();
    let connection = page["sessions"][0]["connection"].as_str().expect("a name");
    let refused = call(&broker, "POST", &format!("/sessions/{connection}/subscribe"), &json!({"topic": "c"}));
    refused.check_problem(409, "unavailable");
    let body = json!({"topic": "a", "reason": "you have left"});
    assert_eq!(affected(&broker, "/users/ann/unsubscribe", &body), 3);
    assert_eq!(bare.read_to_close().0, Some(4403));
    let event = stream.next_event().expect("a farewell");
    assert!(event.kind == "closing" && event.data.contains("4403"), "{event:?}");
    let answer = poll.read();
    answer.check_problem(403, "forbidden");
    assert!(answer.text().contains("you have left"), "{}", answer.text());
    publish(&broker, "b", "still here");
    assert_eq!(elsewhere.next_data(), "still here");
}

#[test]
fn limits_hold_and_what_is_asked_for_badly_is_said() {
    let broker = guarded_broker("[limits]\nsubscriptions_per_session_max = 2\n");
    let (mut socket, connection) = session_of(&broker, "ann");
    let path = format!("/sessions/{connection}/subscribe");
    for topic in ["a", "b"] {
        assert_eq!(affected(&broker, &path, &json!({"topic": topic})), 1);
        assert_eq!(socket.read_json()["topic"], topic);
    }
    call(&broker, "POST", &path, &json!({"topic": "c"})).check_problem(400, "limit_exceeded");
    let all = call(&broker, "POST", "/users/ann/subscribe", &json!({"topic": "c"})).json();
    assert_eq!((&all["sessions"], &all["failed"][0]["code"]), (&json!(0), &json!("limit_exceeded")), "{all}");
    assert_eq!(all["failed"][0]["connection"], connection.as_str(), "{all}");
    for (body, code, name) in [
        (json!({}), "bad_frame", "topic"),
        (json!({"topic": 7}), "bad_frame", "topic"),
        (json!({"topic": "a b"}), "bad_topic", "topic"),
        (json!({"topic": "a", "since": 7}), "bad_frame", "since"),
        (json!({"topic": "a", "last": "x"}), "bad_frame", "last"),
        (json!({"topic": "a", "token": "x"}), "bad_frame", "token"),
    ] {
        let answer = call(&broker, "POST", &path, &body);
        answer.check_problem(400, code);
        assert!(answer.text().contains(name), "{body}: {}", answer.text());
    }
    let path = format!("/sessions/{connection}/unsubscribe");
    for (body, code) in [
        (json!({}), "bad_frame"),
        (json!({"topic": ""}), "bad_topic"),
        (json!({"topic": "a", "reason": ""}), "bad_frame"),
        (json!({"topic": "a", "since": "earliest"}), "bad_frame"),
    ] {
        call(&broker, "POST", &path, &body).check_problem(400, code);
    }
    call(&broker, "POST", "/sessions/ffffff/subscribe", &json!({"topic": "a"}))
        .check_problem(404, "not_found");
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 9}))["type"], "pong");
}
