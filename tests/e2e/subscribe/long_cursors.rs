//! Cursors over many topics: short, accepted wherever the stream itself was accepted, and exact about each topic.

use std::net::SocketAddr;

use fanwire_tests::{Broker, DataDirectory, Events, get, request};
use serde_json::json;

use crate::fixtures::texts::{publish, subscribe};

const TOPICS: usize = 64;

/// Returns the names of as many topics as a stream may have, each of `bytes` bytes.
fn topics(bytes: usize) -> Vec<String> {
    (0..TOPICS).map(|number| format!("{number:03}{}", "x".repeat(bytes - 3))).collect()
}

fn stream_over(topics: &[String]) -> String {
    let names: Vec<String> = topics.iter().map(|topic| format!("topic={topic}")).collect();
    format!("/stream?{}", names.join("&"))
}

/// Opens a stream, cuts it after an event, publishes, resumes, and checks that nothing is lost or doubled. Returns the id.
fn check_resumes(address: SocketAddr, path: &str, topics: &[String]) -> String {
    let mut stream = Events::open(address, path, "");
    for topic in topics {
        publish(address, topic, "one");
    }
    for _ in topics {
        assert_eq!(stream.next_data(), "one");
    }
    let id = stream.last_event_id.clone().expect("an id");
    drop(stream);
    publish(address, &topics[0], "two");
    publish(address, &topics[TOPICS - 1], "three");
    let mut again = Events::open(address, path, &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!((again.next_data(), again.next_data()), ("two".to_owned(), "three".to_owned()));
    id
}

#[test]
fn a_stream_over_as_many_topics_as_may_be_has_a_short_id() {
    let broker = Broker::start(&[]);
    let topics = topics(20);
    let id = check_resumes(broker.address(), &stream_over(&topics), &topics);
    assert!(id.len() < 600, "{} bytes: {id}", id.len());
}

#[test]
fn whatever_head_begins_a_stream_its_id_can_be_sent_too() {
    // The longest names, and a bound on the head that they reach to the byte.
    let topics = topics(255);
    let path = stream_over(&topics);
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    let broker = Broker::with(&[&format!("limits.header_bytes_max={}", head.len())]);
    let address = broker.address();
    let id = check_resumes(address, &path, &topics);
    // A URL with a place to begin is repeated with the header, and clients of several topics write another form.
    let longest = "m.".to_owned() + &"A".repeat((TOPICS * 20 * 4).div_ceil(3));
    let mut stream =
        Events::open(address, &format!("{path}&since={longest}"), &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(stream.next_data(), "two");
    let too_long = head.replace("Host: x", "Host: x\r\nX-Y: z");
    let refused = request(address, &too_long);
    refused.check_problem(431, "too_large");
    assert!(refused.text().contains("limits.header_bytes_max"), "{}", refused.text());
}

#[test]
fn one_cursor_resumes_every_topic_over_every_transport() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    for topic in ["a", "b"] {
        publish(address, topic, "one");
    }
    let answer = get(address, "/stream?topic=a&topic=b&since=earliest").json();
    let cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
    assert!(cursor.starts_with("t."), "{cursor}");
    publish(address, "b", "two");
    for path in ["/stream?topic=b&topic=a", "/topics/b", "/stream?topic=b"] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = get(address, &format!("{path}{separator}since={cursor}")).json();
        assert_eq!(
            (&answer["gap"], &answer["messages"][0]["data"]),
            (&json!(false), &json!("two")),
            "{path}"
        );
        assert_eq!(answer["messages"].as_array().map(Vec::len), Some(1), "{path}");
    }
    let mut socket = subscribe(address, "a");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "b", "since": cursor}));
    assert_eq!(reply["recovered"], true, "{reply}");
    assert_eq!(socket.read_json()["data"], "two");
    let unknown = get(address, &format!("/topics/c?since={cursor}")).json();
    assert_eq!(unknown["gap"], true, "the cursor knows nothing of this topic");
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "restarts the broker, whose archive is in memory")]
fn a_cursor_of_durable_topics_outlives_the_broker_and_one_of_memory_is_a_gap() {
    let directory = DataDirectory::new();
    let config = "[[topic]]\nmatch = 'kept.*'\ndurable = true\n[[topic]]\nmatch = '>'\n";
    let broker = directory.serve(config);
    for topic in ["kept.a", "kept.b", "memory"] {
        publish(broker.address(), topic, "one");
    }
    let path = "/stream?topic=kept.a&topic=kept.b&topic=memory";
    let answer = get(broker.address(), &format!("{path}&since=earliest")).json();
    let cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
    publish(broker.address(), "kept.b", "two");
    drop(broker);
    let broker = directory.serve(config);
    let address = broker.address();
    // Nothing of the topics is in memory yet.
    let mut stream =
        Events::open(address, "/stream?topic=kept.a&topic=kept.b", &format!("Last-Event-ID: {cursor}\r\n"));
    assert_eq!(stream.next_data(), "two");
    let answer = get(address, &format!("/topics/kept.b?since={cursor}")).json();
    assert_eq!((&answer["gap"], &answer["messages"][0]["data"]), (&json!(false), &json!("two")));
    let answer = get(address, &format!("/topics/memory?since={cursor}")).json();
    assert_eq!(answer["gap"], true, "the memory of the first broker is gone");
}
