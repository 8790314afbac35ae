//! A disk that is full: publishes are refused in words, `/readyz` says so, and what was acknowledged stays.

use fanwire_tests::{Broker, DataDirectory, Http, SmallDisk, WebSocket, eventually, get, post};
use serde_json::{Value, json};

use super::DURABLE;
use crate::fixtures::server_api::call_as;

fn small(directory: &DataDirectory, bytes: &str) -> Broker {
    let file_bytes_max = format!("store.file_bytes_max={bytes}");
    Broker::with_file(DURABLE, &["--data-dir", directory.text(), "--set", &file_bytes_max])
}

/// Publishes until it is refused, and returns how many were acknowledged, and the refusal.
fn fill(broker: &Broker) -> (usize, Value) {
    let body = "x".repeat(10_000);
    for count in 0..10_000 {
        let answer = post(broker.address(), "/topics/full", "text/plain", body.as_bytes());
        if answer.status != 200 {
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (503, Some("application/problem+json"))
            );
            return (count, answer.json());
        }
    }
    panic!("the disk took all");
}

#[test]
fn a_full_disk_refuses_in_words_and_loses_nothing() {
    let directory = DataDirectory::new();
    let broker = small(&directory, "1MiB");
    let (count, refusal) = fill(&broker);
    assert!(count > 10, "{count} were taken");
    assert_eq!(refusal["code"], "unavailable");
    assert!(refusal["detail"].as_str().is_some_and(|detail| detail.contains("disk")), "{refusal}");
    let ready = get(broker.address(), "/readyz");
    assert_eq!((ready.status, &ready.json()["code"]), (503, &json!("unavailable")), "{}", ready.text());
    assert!(broker.metric("fanwire_store_failures_total") >= 1.0);
    assert_eq!(get(broker.address(), "/healthz").status, 200, "it lives");
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let big = "x".repeat(10_000);
    let reply = socket.ask(&json!({"type": "publish", "id": 7, "topic": "full", "data": big}));
    assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("unavailable")), "{reply}");
    let mut bare = WebSocket::open(broker.address(), "/topics/full");
    bare.send_text(&big);
    assert_eq!(bare.read_to_close().0, Some(1001), "a bare socket has no other word for it");
    let held = get(broker.address(), "/topics/full?since=earliest&limit=1000").json();
    assert_eq!(held["messages"].as_array().map(Vec::len), Some(count), "all that was acknowledged is there");
    drop(broker);
    let broker = small(&directory, "64MiB");
    let held = get(broker.address(), "/topics/full?since=earliest&limit=1000").json();
    assert_eq!(held["messages"].as_array().map(Vec::len), Some(count), "after a restart too");
    let receipt = post(broker.address(), "/topics/full", "text/plain", b"more").json();
    assert_eq!(receipt["offset"], count + 1);
    assert_eq!(get(broker.address(), "/readyz").status, 200);
}

#[test]
fn memory_topics_go_on_while_the_disk_is_full() {
    let directory = DataDirectory::new();
    let rules = "[[topic]]\nmatch = 'full'\ndurable = true\n";
    let arguments = ["--data-dir", directory.text(), "--set", "store.file_bytes_max=1MiB"];
    let broker = Broker::with_file(rules, &arguments);
    fill(&broker);
    assert_eq!(post(broker.address(), "/topics/memory", "text/plain", b"x").status, 200);
    let batch = json!({"messages": [
        {"topic": "full", "data": "x".repeat(20_000)},
        {"topic": "memory", "data": "y"},
    ]});
    let answer = post(broker.address(), "/publish", "application/json", batch.to_string().as_bytes()).json();
    assert_eq!(answer["results"][0]["error"]["code"], "unavailable", "{answer}");
    assert_eq!(answer["results"][1]["offset"], 2, "{answer}");
}

#[test]
fn a_disk_that_has_room_again_is_used_again() {
    let directory = DataDirectory::new();
    let rules = "[[topic]]\nmatch = 'full'\ndurable = true\nhistory = { ttl = '2s' }\n";
    let arguments = ["--data-dir", directory.text(), "--set", "store.file_bytes_max=1MiB"];
    let broker = Broker::with_file(rules, &arguments);
    fill(&broker);
    // What has become too old makes room as soon as a publish needs some.
    eventually("publishes are taken again", || {
        let answer = post(broker.address(), "/topics/full", "text/plain", b"again");
        (answer.status == 200).then_some(())
    });
    eventually("the broker is ready again", || {
        (get(broker.address(), "/readyz").status == 200).then_some(())
    });
}

#[test]
fn a_publish_that_waits_for_the_disk_is_answered_before_the_broker_stops() {
    let directory = DataDirectory::new();
    // A client that does not hang up by itself is waited for no longer than it takes to be sure.
    let arguments = ["--data-dir", directory.text(), "--set", "limits.close_timeout=200ms"];
    let mut broker = Broker::with_file(DURABLE, &arguments);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for id in 0..500 {
        socket.send_json(&json!({"type": "publish", "id": id, "topic": "last", "data": "x"}));
    }
    // The first receipt shows that the broker has begun to take them.
    assert_eq!(socket.read_json()["type"], "published");
    broker.terminate();
    let (code, frames) = socket.read_to_close();
    assert_eq!(code, Some(1001));
    let receipts =
        1 + frames.iter().filter(|frame| frame.payload.starts_with(b"{\"type\":\"published\"")).count();
    assert!(broker.wait().success());
    let broker = directory.serve(DURABLE);
    let mut http = Http::connect(broker.address());
    http.send(b"GET /topics/last?since=earliest&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let held = http.read().json()["messages"].as_array().map_or(0, Vec::len);
    assert_eq!(held, receipts, "what was written was acknowledged, and the other way round");
}

#[test]
fn clearing_history_frees_a_disk_that_the_log_has_filled() {
    let disk = SmallDisk::new("6m");
    let broker = Broker::on_small_disk(DURABLE, &disk);
    let (count, _) = fill(&broker);
    assert!(count > 50, "{count} were taken");
    assert_eq!(get(broker.address(), "/readyz").status, 503);
    let cleared = call_as(None, broker.address(), "DELETE", "/topics/full/history", "");
    assert_eq!(cleared.status, 200, "{}", cleared.text());
    eventually("the disk has room again", || (get(broker.address(), "/readyz").status == 200).then_some(()));
    // All of it can be used again, several times.
    for _ in 0..3 {
        let (again, _) = fill(&broker);
        assert!(again > count / 2, "{again} after {count}");
        let cleared = call_as(None, broker.address(), "DELETE", "/topics/full/history", "");
        assert_eq!(cleared.status, 200, "{}", cleared.text());
        eventually("the disk has room again", || {
            (get(broker.address(), "/readyz").status == 200).then_some(())
        });
    }
    let receipt = post(broker.address(), "/topics/full", "text/plain", b"more");
    assert_eq!(receipt.status, 200, "{}", receipt.text());
}

#[test]
fn a_broker_starts_on_a_full_disk_and_clearing_history_frees_it() {
    let disk = SmallDisk::new("6m");
    for is_killed in [true, false] {
        let mut broker = Broker::on_small_disk(DURABLE, &disk);
        let (count, _) = fill(&broker);
        assert!(count > 50, "{count} were taken");
        if is_killed {
            broker.kill();
        } else {
            broker.terminate();
            assert!(broker.wait().success(), "{}", broker.log());
        }
        disk.fill();
        let broker = Broker::on_small_disk(DURABLE, &disk);
        let cleared = call_as(None, broker.address(), "DELETE", "/topics/full/history", "");
        assert_eq!(cleared.status, 200, "{}", cleared.text());
        let body = "x".repeat(10_000);
        eventually("the disk has room again", || {
            let answer = post(broker.address(), "/topics/full", "text/plain", body.as_bytes());
            (answer.status == 200 && get(broker.address(), "/readyz").status == 200).then_some(())
        });
        broker.kill();
        std::fs::remove_file(disk.outside().join("other")).expect("it is ours");
    }
}
