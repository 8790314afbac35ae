//! Server-Sent Events, byte by byte where it matters.

use fanwire_tests::{Broker, Events, Http, STEPPED_ARCHIVE, WebSocket, nth_offset, post};
use serde_json::{Value, json};

use crate::fixtures::texts::{publish, publish_later};

#[test]
fn a_stream_begins_with_how_long_to_wait_and_where_it_stands() {
    let broker = Broker::start(&[]);
    let receipt = publish(broker.address(), "start", "before");
    let mut http = Http::connect(broker.address());
    http.send(b"GET /topics/start HTTP/1.1\r\nHost: x\r\nAccept: text/html, text/event-stream;q=0.9\r\n\r\n");
    let head = http.read_head();
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    publish(broker.address(), "start", "two\nlines\n");
    let mut text = String::new();
    while !text.contains("lines") {
        text.push_str(&String::from_utf8(http.read_chunk().expect("the stream goes on")).expect("UTF-8"));
    }
    let epoch = receipt["epoch"].as_str().expect("text");
    let (first, second) = (nth_offset(1), nth_offset(2));
    let expected = format!(
        "retry: 1000\n\nid: {epoch}:{first}\n\nid: {epoch}:{second}\ndata: two\ndata: lines\ndata: \n\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn envelopes_say_what_bare_payloads_cannot() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let mut events = Events::open(address, "/stream?topic=e.a&topic=e.b&envelope=true", "");
    let mut session = WebSocket::open(address, "/ws");
    for (id, topic) in [(1, "e.a"), (2, "e.b")] {
        session.ask(&json!({"type": "subscribe", "id": id, "topic": topic}));
    }
    for (topic, content_type, body) in [
        ("e.a", "text/plain", &b"text\n\nof lines"[..]),
        ("e.b", "application/octet-stream", &[0, 255]),
        ("e.a", "application/json", b"{\"a\":\n[1]}"),
    ] {
        assert_eq!(post(address, &format!("/topics/{topic}"), content_type, body).status, 200);
        let envelope: Value = serde_json::from_str(&events.next_data()).expect("an envelope is JSON");
        assert_eq!(envelope, session.read_json());
        assert_eq!((&envelope["type"], &envelope["topic"]), (&json!("message"), &json!(topic)));
    }
}

#[test]
fn a_stream_of_many_topics_can_be_cut_at_its_very_beginning() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    publish(address, "early.a", "seen");
    let path = "/stream?topic=early.a&topic=early.b";
    let mut events = Events::open(address, path, "");
    let id = std::iter::from_fn(|| events.next_block()).find_map(|block| block.id).expect("an id");
    drop(events);
    let publish_next = if STEPPED_ARCHIVE { publish_later } else { publish };
    publish_next(address, "early.b", "missed b");
    publish_next(address, "early.a", "missed a");
    let mut again = Events::open(address, path, &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!((again.next_data(), again.next_data()), ("missed b".to_owned(), "missed a".to_owned()));
    let mut with_earliest = Events::open(address, &format!("{path}&since=earliest"), "");
    for text in ["seen", "missed b", "missed a"] {
        assert_eq!(with_earliest.next_data(), text, "topics are mixed in the order of publishing");
    }
}

#[test]
fn a_busy_stream_needs_no_comments_and_a_quiet_one_gets_them() {
    let broker = Broker::with(&["limits.sse_comment_interval=1s"]);
    let mut events = Events::open(broker.address(), "/topics/quiet.*", "");
    let comments = std::iter::from_fn(|| events.next_block()).filter(|block| block.has_comment);
    assert_eq!(comments.take(2).count(), 2);
    publish(broker.address(), "quiet.a", "not lost among them");
    assert_eq!(events.next_data(), "not lost among them");
}

#[test]
fn what_waits_for_a_stream_is_written_before_it_ends() {
    let mut broker = Broker::start(&["--workers", "2"]);
    let mut events = Events::open(broker.address(), "/topics/flush", "");
    let mut many = Events::open(broker.address(), "/stream?topic=flush&topic=other", "");
    for number in 0..100 {
        publish(broker.address(), "flush", &format!("{number} {}", "x".repeat(10_000)));
    }
    broker.terminate();
    for stream in [&mut events, &mut many] {
        for number in 0..100 {
            assert!(stream.next_data().starts_with(&format!("{number} ")), "{number}");
        }
        let closing = stream.next_event().expect("a last event");
        assert_eq!(closing.kind, "closing");
        let said: Value = serde_json::from_str(&closing.data).expect("JSON");
        assert_eq!((&said["code"], &said["reconnect"]), (&json!(1001), &json!(true)));
        let after_ms = said["after_ms"].as_u64().expect("a time");
        assert_eq!(closing.retry, Some(after_ms.to_string()), "a browser waits as long as it is asked to");
        assert!(stream.next_event().is_none(), "the stream ends");
    }
    assert!(broker.wait().success());
}
