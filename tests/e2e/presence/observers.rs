//! Observers: they receive what subscribers receive, without being subscribers or members.

use fanwire_tests::{Application, Events, HookAnswer, WebSocket, eventually, get, token_for};
use serde_json::{Value, json};

use crate::fixtures::credentials::{get_with, publish_with};
use crate::fixtures::server_api::{ADMIN, guarded_broker};
use crate::fixtures::texts::publish;

/// Two rules, so that a pattern is one of the topics of a stream.
const ROOM: &str = "[[topic]]\nmatch = 'room'\npresence = true\npublish = 'anyone'\nsubscribe = 'anyone'\n\
                    [[topic]]\nmatch = '>'\npublish = 'anyone'\nsubscribe = 'anyone'\n";

#[test]
fn an_observer_receives_publications_and_is_neither_counted_nor_a_member() {
    let application = Application::start(|_| HookAnswer::Json(json!({"allow": true})));
    let webhooks =
        "[webhooks]\nevents = ['occupied', 'vacated', 'join', 'leave', 'disconnect']\ndelay = '10ms'";
    let broker = guarded_broker(&format!("{ROOM}{}", application.config(webhooks)));
    let address = broker.address();
    let bearer = format!("Authorization: Bearer {ADMIN}\r\n");
    let mut stream = Events::open(address, "/topics/room?observe=true", &bearer);
    let mut many = Events::open(address, "/stream?topic=room&topic=*&observe=true", &bearer);
    let mut bare = WebSocket::try_open(address, "/topics/room?observe=true", &bearer).expect("it opens");
    let mut socket = WebSocket::try_open(address, "/ws?observe=true", &bearer).expect("it opens");
    assert_eq!(socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "room"}))["type"], "subscribed");
    let poll =
        std::thread::spawn(move || get_with(address, "/topics/room?observe=true&wait=20", &bearer).json());
    let metrics = || get_with(address, "/metrics", &format!("Authorization: Bearer {ADMIN}\r\n")).text();
    eventually("the poll waits", || {
        metrics().contains("fanwire_connections{transport=\"poll\"} 1\n").then_some(())
    });
    let token = token_for("ann", &[">"], &[">"]);
    let receipt = publish_with(address, "room", "one", Some(&token)).json();
    assert_eq!(receipt["subscribers"], 0, "{receipt}");
    assert_eq!((stream.next_data(), many.next_data()), ("one".to_owned(), "one".to_owned()));
    assert_eq!(bare.read().payload, b"one");
    assert_eq!(socket.read_json()["data"], "one");
    assert_eq!(poll.join().expect("it is answered")["messages"][0]["data"], "one");
    let members = get_with(address, "/topics/room/presence", &format!("Authorization: Bearer {ADMIN}\r\n"));
    assert_eq!(members.json()["members"], json!([]), "{}", members.text());
    assert!(metrics().contains("fanwire_subscriptions 0\n"), "{}", metrics());
    // The first event that the application receives is about a subscriber.
    let _subscriber = WebSocket::open(address, &format!("/topics/room?token={token}"));
    let event = application.await_events(1).remove(0);
    assert_eq!((&event["hook"], &event["topic"]), (&json!("occupied"), &json!("room")), "{event}");
    assert_eq!(publish_with(address, "room", "two", Some(&token)).json()["subscribers"], 1);
    // Presence events reach an observer, too.
    assert_eq!(stream.next_event().map(|event| event.kind).as_deref(), Some("join"));
    assert_eq!(stream.next_data(), "two");
}

#[test]
fn only_administrators_observe_and_on_an_open_broker_any_client() {
    let broker = guarded_broker(ROOM);
    let address = broker.address();
    let bearer = format!("Authorization: Bearer {}\r\n", token_for("ann", &[">"], &[">"]));
    for path in ["/topics/room?observe=true&wait=1", "/stream?topic=room&observe=true"] {
        let problem = get_with(address, path, &bearer);
        problem.check_problem(403, "forbidden");
        assert!(problem.text().contains("admin = true"), "{}", problem.text());
        get(address, path).check_problem(403, "forbidden");
    }
    let refused = WebSocket::try_open(address, "/ws?observe=true", &bearer).err().expect("it is refused");
    assert_eq!(refused.status, 403);
    let open = fanwire_tests::Broker::start(&["--workers", "2"]);
    let mut stream = Events::open(open.address(), "/topics/a?observe=true", "");
    assert_eq!(publish(open.address(), "a", "x")["subscribers"], Value::from(0));
    assert_eq!(stream.next_data(), "x");
}
