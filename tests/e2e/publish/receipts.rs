//! Receipts and idempotency keys: how many heard it, and that repeating does no harm.

use std::net::SocketAddr;

use fanwire_protocol::{Payload, Reply, Request, ServerFrame, msgpack};
use fanwire_tests::{Broker, Events, STEPPED_ARCHIVE, WebSocket, get, nth_offset, post, request};
use serde_json::{Value, json};

use crate::fixtures::readers::send_msgpack;
use crate::fixtures::texts::{publish, subscribe};

fn post_with_key(address: SocketAddr, topic: &str, key: &str, text: &str) -> Value {
    let answer = request(
        address,
        &format!(
            "POST /topics/{topic} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_repeated_key_is_delivered_once_whatever_it_comes_over() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let mut subscriber = subscribe(address, "once");
    let first = post_with_key(address, "once", "order-7", "x");
    assert_eq!(first["duplicate"], Value::Null);
    let check = |what: &str, again: &Value| {
        assert_eq!(
            (&again["duplicate"], &again["offset"], &again["epoch"]),
            (&json!(true), &first["offset"], &first["epoch"]),
            "{what}: {again}"
        );
    };
    check("HTTP", &post_with_key(address, "once", "order-7", "something else"));
    let batch =
        br#"{"messages":[{"topic":"once","data":"y","key":"order-7"},{"topic":"once","data":"z","key":"new"},
        {"topic":"once","data":"z","key":"new"},{"topic":"other","data":"o","key":"order-7"}]}"#;
    let batch = post(address, "/publish", "application/json", batch).json();
    check("a batch", &batch["results"][0]);
    assert_eq!(
        (&batch["results"][1]["duplicate"], &batch["results"][2]["duplicate"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(batch["results"][1]["offset"], batch["results"][2]["offset"]);
    assert_eq!(batch["results"][3]["duplicate"], Value::Null, "a key is the topic's own");
    let mut session = WebSocket::open(address, "/ws");
    let again = json!({"type": "publish", "id": 3, "topic": "once", "data": "x", "key": "order-7"});
    check("JSON", &session.ask(&again));
    let mut session = WebSocket::open_msgpack(address);
    let (topic, payload) = ("once".parse().expect("a topic"), Payload::text("x"));
    let publish_again = Request::Publish { topic, payload, key: Some("order-7".to_owned()), echo: true };
    send_msgpack(&mut session, Some(4), publish_again);
    let frame = msgpack::decode_server(&session.read().payload).expect("a frame");
    let ServerFrame::Reply { reply: Reply::Published(receipt), .. } = frame else { panic!("{frame:?}") };
    assert!(receipt.duplicate && first["offset"] == receipt.position.offset, "{receipt:?}");
    publish(address, "once", "last");
    for text in ["x", "z", "last"] {
        assert_eq!(subscriber.read_json()["data"], text);
    }
    let history = get(address, "/topics/once").json();
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(3), "{history}");
}

#[test]
fn of_many_who_publish_under_one_key_at_once_one_is_first() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    for round in 0..5 {
        let key = format!("key-{round}");
        let publishers: Vec<_> = (0..8)
            .map(|_| key.clone())
            .map(|key| std::thread::spawn(move || post_with_key(address, "race", &key, "x")))
            .collect();
        let receipts: Vec<Value> =
            publishers.into_iter().map(|publisher| publisher.join().expect("it is answered")).collect();
        let firsts = receipts.iter().filter(|receipt| receipt["duplicate"].is_null()).count();
        assert_eq!(firsts, 1, "{receipts:?}");
        assert!(receipts.iter().all(|receipt| receipt["offset"] == nth_offset(round + 1)), "{receipts:?}");
    }
}

#[test]
fn a_publish_that_was_refused_does_not_use_up_its_key() {
    let broker = Broker::with(&["limits.message_bytes_max=100"]);
    let mut session = WebSocket::open(broker.address(), "/ws");
    let mut ask = |text: &str| {
        session.ask(&json!({"type": "publish", "id": 1, "topic": "k", "data": text, "key": "k"}))
    };
    assert_eq!(ask(&"x".repeat(101))["code"], "too_large");
    let accepted = ask("small enough");
    assert_eq!((&accepted["type"], &accepted["duplicate"]), (&json!("published"), &Value::Null));
}

#[test]
fn receipts_say_how_many_were_subscribed() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let heard_by = || publish(address, "count.me", "x")["subscribers"].clone();
    assert_eq!(heard_by(), 0);
    let _plain: Vec<_> = (0..3).map(|_| subscribe(address, "count.me")).collect();
    let _patterns = ["count.*", "count.>", ">"].map(|pattern| subscribe(address, pattern));
    let _other = subscribe(address, "count.you");
    assert_eq!(heard_by(), 6);
    let bare = WebSocket::open(address, "/topics/count.me");
    let events = Events::open(address, "/stream?topic=count.me&topic=count.you", "");
    assert_eq!(heard_by(), 8);
    let poll = std::thread::spawn(move || get(address, "/topics/count.me?wait=15&since=earliest").json());
    assert_eq!(poll.join().expect("it is answered")["gap"], false, "there was something to answer at once");
    assert_eq!(heard_by(), 8, "a poll that has been answered does not count");
    drop((bare, events));
    broker.await_metric("fanwire_subscriptions", 7.0);
    let receipt = publish(address, "count.me", "x");
    assert_eq!(
        (&receipt["topic"], &receipt["offset"], &receipt["subscribers"]),
        (&json!("count.me"), &json!(nth_offset(5)), &json!(6))
    );
    let batch = br#"{"messages":[{"topic":"count.me","data":1},{"topic":"count.you","data":2},{"topic":"unheard","data":3}]}"#;
    let batch = post(address, "/publish", "application/json", batch).json();
    let counts: Vec<_> = (0..3).map(|index| batch["results"][index]["subscribers"].clone()).collect();
    assert_eq!(counts, [6, 4, 1], "{batch}");
}

/// Guards both passes of these tests: over the archive in memory, offsets grow in steps of seven.
#[test]
fn offsets_are_those_of_the_archive_that_this_pass_is_for() {
    let broker = Broker::start(&[]);
    for count in 1..=3 {
        assert_eq!(publish(broker.address(), "numbered", "x")["offset"], nth_offset(count));
    }
    let expected = if STEPPED_ARCHIVE { [7, 14, 21] } else { [1, 2, 3] };
    assert_eq!([1, 2, 3].map(nth_offset), expected);
}
