//! Durable topics that are younger than the moment from which a client reads: nothing was lost, so no loss is reported, not even after
//! a restart.

use std::process::Command;

use fanwire_tests::{Broker, DataDirectory, Events, WebSocket, binary, get};
use serde_json::json;

use super::DURABLE;
use crate::fixtures::texts::publish;

/// Runs `fanwire sub` from ten minutes ago to its end, and returns what it printed to both streams.
fn sub(broker: &Broker, topic: &str) -> (String, String) {
    let url = broker.address().to_string();
    let output = Command::new(binary())
        .args(["sub", "--url", &url, topic, "--no-follow", "--since", "10m"])
        .output()
        .expect("it runs");
    assert!(output.status.success());
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Reads `topic` from ten minutes ago in every way, and checks that no loss is reported.
fn check_no_loss(broker: &Broker, topic: &str, texts: &[&str]) {
    let address = broker.address();
    let answer = get(address, &format!("/topics/{topic}?since=10m")).json();
    assert_eq!(answer["gap"], false, "{topic}: {answer}");
    assert_eq!(answer["messages"].as_array().map(Vec::len), Some(texts.len()), "{topic}: {answer}");
    let ts = answer["messages"][0]["ts"].as_u64().unwrap_or_else(|| u64::from(u32::MAX) * 1000) - 600_000;
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic, "since": {"ts": ts}}));
    assert_eq!(reply["recovered"], true, "{topic}: {reply}");
    let mut stream = Events::open(address, &format!("/topics/{topic}?since=10m"), "");
    publish(address, topic, "newest");
    let received: Vec<String> = (0..=texts.len()).map(|_| stream.next_data()).collect();
    assert_eq!(received.last().map(String::as_str), Some("newest"), "{topic}: a gap would come first");
    let (stdout, stderr) = sub(broker, topic);
    assert!(stdout.ends_with("newest\n") && stderr.is_empty(), "{topic}: {stdout} {stderr}");
}

#[test]
fn a_durable_topic_that_is_younger_than_the_moment_has_lost_nothing() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    check_no_loss(&broker, "a", &[]);
    publish(broker.address(), "b", "one");
    check_no_loss(&broker, "b", &["one"]);
    let broker = directory.restart(broker, DURABLE);
    check_no_loss(&broker, "a", &["newest"]);
    check_no_loss(&broker, "never.used", &[]);
}

#[test]
fn a_topic_in_memory_says_where_it_begins_and_warns_of_no_loss() {
    let broker = Broker::start(&[]);
    // Another broker may have served the topic before this one started, so the moment is not covered.
    assert_eq!(get(broker.address(), "/topics/a?since=10m").json()["gap"], true);
    publish(broker.address(), "a", "one");
    let (stdout, stderr) = sub(&broker, "a");
    assert_eq!(stdout, "one\n");
    assert!(stderr.contains("begins later than --since") && !stderr.contains("missed"), "{stderr}");
}
