//! Where a subscription begins, and what is read of the past. Coming back while others publish stands in `cuts`.

use fanwire_tests::{Broker, Events, WebSocket, nth_offset};
use serde_json::{Value, json};

use crate::fixtures::texts::{publish, subscribe};

/// A broker that keeps enough for the slowest reader here.
fn broker() -> Broker {
    Broker::with_file("[[topic]]\nmatch = '>'\nhistory = { messages = 10000 }\n", &["--workers", "2"])
}

#[test]
fn a_stream_says_where_it_stands_before_the_first_event() {
    let broker = broker();
    publish(broker.address(), "first", "seen");
    let mut events = Events::open(broker.address(), "/topics/first", "");
    let id = std::iter::from_fn(|| events.next_block()).find_map(|block| block.id).expect("an id");
    drop(events);
    publish(broker.address(), "first", "missed");
    let mut again = Events::open(broker.address(), "/topics/first", &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(again.next_data(), "missed");
}

#[test]
fn the_replay_comes_before_what_is_live_and_the_reply_before_both() {
    let broker = broker();
    for number in 0..50 {
        publish(broker.address(), "replay", &number.to_string());
    }
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_json(&json!({"type": "subscribe", "id": 1, "topic": "replay", "last": 10}));
    let reply = socket.read_json();
    assert_eq!(
        (&reply["type"], &reply["offset"], &reply["recovered"]),
        (&json!("subscribed"), &json!(nth_offset(50)), &json!(true))
    );
    publish(broker.address(), "replay", "live");
    let texts: Vec<Value> = (0..11).map(|_| socket.read_json()["data"].clone()).collect();
    let expected: Vec<Value> =
        (40..50).map(|number| json!(number.to_string())).chain([json!("live")]).collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_position_that_is_not_held_is_told_and_what_is_held_is_given() {
    let broker = Broker::with_file("[[topic]]\nmatch = 'short'\nhistory = { messages = 2 }\n", &[]);
    let receipts: Vec<Value> =
        ["1", "2", "3", "4"].map(|text| publish(broker.address(), "short", text)).to_vec();
    let epoch = receipts[0]["epoch"].clone();
    for (since, recovered, expected) in [
        (json!({"epoch": epoch, "offset": nth_offset(4)}), true, &[][..]),
        (json!({"epoch": epoch, "offset": nth_offset(3)}), true, &["4"]),
        (json!({"epoch": epoch, "offset": nth_offset(2)}), true, &["3", "4"]),
        (json!({"epoch": epoch, "offset": nth_offset(1)}), false, &["3", "4"]),
        (json!({"epoch": epoch, "offset": 0}), false, &["3", "4"]),
        (json!({"epoch": epoch, "offset": nth_offset(5)}), false, &["3", "4"]),
        (json!({"epoch": epoch, "offset": u64::MAX}), false, &["3", "4"]),
        (json!({"epoch": "other", "offset": nth_offset(4)}), false, &["3", "4"]),
        (json!({"epoch": "", "offset": nth_offset(4)}), false, &["3", "4"]),
        (json!("earliest"), true, &["3", "4"]),
        (json!(format!("{}:{}", epoch.as_str().expect("text"), nth_offset(3))), true, &["4"]),
    ] {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "short", "since": since}));
        assert_eq!(
            (&reply["recovered"], &reply["offset"]),
            (&json!(recovered), &json!(nth_offset(4))),
            "{since}: {reply}"
        );
        for text in expected {
            assert_eq!(socket.read_json()["data"], *text, "{since}");
        }
        assert_eq!(socket.ask(&json!({"type": "ping", "id": 2}))["type"], "pong", "{since}");
    }
}

#[test]
fn history_frames_page_both_ways() {
    let broker = broker();
    let receipts: Vec<Value> =
        (1..=5).map(|number: u32| publish(broker.address(), "pages", &number.to_string())).collect();
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut read = |extra: Value, expected: &[&str], more: bool| {
        let mut request = json!({"type": "history", "id": 1, "topic": "pages"});
        request.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        let reply = socket.ask(&request);
        assert_eq!(
            (&reply["type"], &reply["offset"], &reply["more"]),
            (&json!("history"), &json!(nth_offset(5)), &json!(more)),
            "{request}"
        );
        let texts: Vec<_> = reply["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|message| message["data"].clone())
            .collect();
        assert_eq!(texts, expected, "{request}");
    };
    let third = json!({"epoch": receipts[2]["epoch"], "offset": receipts[2]["offset"]});
    read(json!({}), &["1", "2", "3", "4", "5"], false);
    read(json!({"limit": 2}), &["1", "2"], true);
    read(json!({"limit": 2, "since": third}), &["4", "5"], false);
    read(json!({"reverse": true, "limit": 2}), &["5", "4"], true);
    read(json!({"reverse": true, "since": third}), &["2", "1"], false);
}

#[test]
fn subscribing_twice_changes_nothing() {
    let broker = broker();
    let mut socket = subscribe(broker.address(), "twice");
    publish(broker.address(), "twice", "1");
    assert_eq!(socket.read_json()["data"], "1");
    let again = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "twice", "since": "earliest"}));
    assert_eq!((&again["type"], &again["offset"]), (&json!("subscribed"), &json!(nth_offset(1))));
    publish(broker.address(), "twice", "2");
    assert_eq!(socket.read_json()["data"], "2", "nothing is replayed and nothing doubled");
}
