//! The number of topics: what creates one, and what is refused beyond the limit.

use fanwire_tests::{Broker, WebSocket, get, post};
use serde_json::json;

use crate::fixtures::texts::{publish, subscribe};

/// How many names are read that never existed.
const NAMES: usize = 100_000;

/// How many requests are on their way at once.
const WINDOW: usize = 500;

#[test]
fn reading_names_that_never_existed_creates_no_topic() {
    let broker = Broker::with_file(
        "[[topic]]\nmatch = 'room.>'\npresence = true\nrate = 1\n[[topic]]\nmatch = '>'\n",
        &["--workers", "1"],
    );
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for first in (0..NAMES).step_by(WINDOW) {
        for number in first..first + WINDOW {
            socket.send_json(&json!({"type": "history", "id": number, "topic": format!("no.{number}")}));
        }
        for number in first..first + WINDOW {
            let reply = socket.read_json();
            assert_eq!((&reply["type"], &reply["id"]), (&json!("history"), &json!(number)), "{reply}");
            assert_eq!((&reply["messages"], reply.get("gap")), (&json!([]), None), "{reply}");
        }
    }
    for number in 0..100 {
        let reply = socket.ask(&json!({"type": "presence", "id": 1, "topic": format!("room.{number}")}));
        assert_eq!(reply["members"], json!([]), "{reply}");
        assert_eq!(get(broker.address(), &format!("/topics/no.{number}")).json()["messages"], json!([]));
        let details = get(broker.address(), &format!("/topics/no.{number}?wait=0")).json();
        assert_eq!(details["gap"], false, "{details}");
    }
    assert_eq!(broker.metric("fanwire_topics"), 0.0);
}

#[test]
fn a_reader_of_a_topic_that_does_not_exist_yet_resumes_once_it_does() {
    let broker = Broker::with(&[]);
    let empty = get(broker.address(), "/topics/later").json();
    let cursor = empty["cursor"].as_str().expect("a cursor").to_owned();
    publish(broker.address(), "later", "first");
    let answer = get(broker.address(), &format!("/topics/later?since={cursor}")).json();
    assert_eq!((&answer["gap"], &answer["messages"][0]["data"]), (&json!(false), &json!("first")));
}

#[test]
fn a_topic_beyond_the_limit_is_refused_by_name_and_existing_ones_are_unharmed() {
    let broker = Broker::with(&["limits.topics_max=2"]);
    publish(broker.address(), "a", "x");
    let mut existing = subscribe(broker.address(), "b");
    let refused = post(broker.address(), "/topics/c", "text/plain", b"x");
    refused.check_problem(400, "limit_exceeded");
    assert!(refused.text().contains("limits.topics_max"), "{}", refused.text());
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "c"}));
    assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("limit_exceeded")), "{reply}");
    let reply = socket.ask(&json!({"type": "publish", "id": 2, "topic": "c", "data": 1}));
    assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("limit_exceeded")), "{reply}");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 3, "topic": "*"}));
    assert_eq!(reply["type"], "subscribed", "a pattern needs no topic: {reply}");
    publish(broker.address(), "b", "still here");
    assert_eq!(existing.read_json()["data"], "still here");
    assert_eq!(broker.metric("fanwire_topics"), 2.0);
    assert!(broker.metric("fanwire_topics_refused_total") >= 3.0);
}
