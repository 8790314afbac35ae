//! Patterns, wherever subscribing works.

use fanwire_tests::{Broker, Events, WebSocket, get};
use serde_json::json;

use crate::fixtures::numbers::Numbers;
use crate::fixtures::texts::{publish, subscribe};

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
    assert_eq!(publish(broker.address(), "a.b", "unheard")["subscribers"], 0);
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
    // A client that returns to a pattern may have missed publications, and receives a gap.
    let cursor = answer["cursor"].as_str().expect("a cursor");
    assert_eq!(get(address, &format!("/topics/room.*?since={cursor}")).json()["gap"], true);
    for past in ["last=3", "reverse=true"] {
        get(address, &format!("/topics/room.*?{past}")).check_problem(400, "bad_topic");
    }
    let last = events.last_event_id.clone().expect("a pattern gives ids too");
    let mut again = Events::open(address, "/topics/room.*", &format!("Last-Event-ID: {last}\r\n"));
    assert_eq!(again.next_event().map(|event| event.kind), Some("gap".to_owned()));
}

#[test]
fn joining_and_leaving_a_topic_under_a_pattern_loses_and_doubles_nothing() {
    let broker = Broker::start(&["--workers", "2"]);
    let mut sessions: Vec<_> = (0..2).map(|_| (subscribe(broker.address(), "over.*"), 0)).collect();
    let mut numbers = Numbers::begin(broker.address(), &["over.a"]);
    for round in 0..400 {
        let kind = if round % 2 == 0 { "subscribe" } else { "unsubscribe" };
        numbers.allow(20);
        for (socket, _) in &mut sessions {
            socket.send_json(&json!({"type": kind, "id": round, "topic": "over.a"}));
        }
        for (socket, expected) in &mut sessions {
            loop {
                let frame = socket.read_json();
                if frame["type"] == "message" {
                    assert_eq!(
                        frame["data"],
                        expected.to_string(),
                        "the pattern was subscribed to all the time"
                    );
                    *expected += 1;
                } else {
                    assert_eq!(frame["id"], round, "{frame}");
                    break;
                }
            }
        }
    }
    let total = numbers.allowed;
    numbers.finish();
    publish(broker.address(), "over.a", &total.to_string());
    for (socket, expected) in &mut sessions {
        for number in *expected..=total {
            assert_eq!(
                socket.read_json()["data"],
                number.to_string(),
                "the pattern was subscribed to all the time"
            );
        }
    }
}

#[test]
fn the_brokers_own_topics_match_no_leading_wildcard_and_refuse_every_publisher() {
    let broker = Broker::start(&[]);
    let mut all = subscribe(broker.address(), ">");
    let mut bare = WebSocket::open(broker.address(), "/topics/$sys.a");
    bare.send_text("may I?");
    assert_eq!(bare.read_to_close().0, Some(4403));
    let refused = fanwire_tests::post(broker.address(), "/topics/$sys.a", "text/plain", b"may I?");
    refused.check_problem(403, "forbidden");
    let reply = all.ask(&json!({"type": "publish", "id": 2, "topic": "$sys.a", "data": "may I?"}));
    assert_eq!(reply["code"], "forbidden");
    publish(broker.address(), "a", "others may");
    assert_eq!(all.read_json()["data"], "others may");
}

#[test]
fn a_bare_socket_on_a_pattern_only_listens() {
    let broker = Broker::start(&[]);
    let mut bare = WebSocket::open(broker.address(), "/topics/room.*");
    for topic in ["room.1", "room.2", "hall.1", "room.3"] {
        publish(broker.address(), topic, topic);
    }
    for topic in ["room.1", "room.2", "room.3"] {
        assert_eq!(bare.read().payload, topic.as_bytes());
    }
    bare.send_text("to no topic");
    assert_eq!(bare.read_to_close().0, Some(4403));
}
