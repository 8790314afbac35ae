//! Patterns, wherever subscribing works.

use fanwire_tests::{Broker, Events, WebSocket, get};
use serde_json::json;

use super::{publish, subscribe};

#[test]
fn patterns_match_levels_and_leave_the_brokers_own_topics_alone() {
    let broker = Broker::start(&["--workers", "2"]);
    let mut one = subscribe(broker.address(), "orders.*.paid");
    let mut tail = subscribe(broker.address(), "orders.>");
    let mut all = subscribe(broker.address(), ">");
    for topic in ["orders.a.paid", "orders.a.open", "orders", "orders.a.b.paid", "orders.b.paid"] {
        publish(broker.address(), topic, topic);
    }
    let check = |socket: &mut WebSocket, expected: &[&str]| {
        for topic in expected {
            let frame = socket.read_json();
            assert_eq!((&frame["topic"], &frame["data"]), (&json!(topic), &json!(topic)));
        }
    };
    check(&mut one, &["orders.a.paid", "orders.b.paid"]);
    check(&mut tail, &["orders.a.paid", "orders.a.open", "orders.a.b.paid", "orders.b.paid"]);
    check(&mut all, &["orders.a.paid", "orders.a.open", "orders", "orders.a.b.paid", "orders.b.paid"]);
}

#[test]
fn overlapping_subscriptions_deliver_once_and_end_one_by_one() {
    let broker = Broker::start(&[]);
    let mut socket = subscribe(broker.address(), "a.b");
    for pattern in ["a.*", ">"] {
        socket.ask(&json!({"type": "subscribe", "id": 2, "topic": pattern}));
    }
    let mut left = vec!["a.b", "a.*", ">"];
    while !left.is_empty() {
        publish(broker.address(), "a.b", &left.len().to_string());
        assert_eq!(socket.read_json()["data"], left.len().to_string());
        let reply = socket.ask(&json!({"type": "unsubscribe", "id": 3, "topic": left.remove(0)}));
        assert_eq!(reply["type"], "unsubscribed");
    }
    assert_eq!(publish(broker.address(), "a.b", "nobody")["subscribers"], 0);
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 4}))["type"], "pong");
}

#[test]
fn patterns_work_over_events_bare_sockets_and_polls() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    let mut events = Events::open(address, "/topics/room.*", "");
    let mut bare = WebSocket::open(address, "/topics/room.%3E");
    let poll = std::thread::spawn(move || get(address, "/topics/room.*?wait=10").json());
    broker.await_metric("fanwire_subscriptions", 3.0);
    publish(address, "room.1", "hello");
    assert_eq!(events.next_data(), "hello");
    assert_eq!(bare.read().payload, b"hello");
    let answer = poll.join().expect("the poll is answered");
    assert_eq!(
        (&answer["messages"][0]["topic"], &answer["messages"][0]["data"]),
        (&json!("room.1"), &json!("hello"))
    );
    // Who comes back to a pattern has missed what came in between, and is told.
    let cursor = answer["cursor"].as_str().expect("a cursor");
    assert_eq!(get(address, &format!("/topics/room.*?since={cursor}")).json()["gap"], true);
    let last = events.last_event_id.clone().expect("a pattern gives ids too");
    let mut again = Events::open(address, "/topics/room.*", &format!("Last-Event-ID: {last}\r\n"));
    assert_eq!(again.next_event().map(|event| event.kind), Some("gap".to_owned()));
}
