//! Streams of durable topics that a client opens and does not read: they cost that client its own stream and nothing else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanwire_tests::{Broker, DataDirectory, Http, eventually, get, post};
use serde_json::json;

use super::DURABLE;

/// Far longer than reading a page takes, and shorter than a client that does not read keeps its stream.
const BOUND: Duration = Duration::from_secs(5);

/// More topics than the broker reads at once.
const TOPICS: usize = 6;

/// Publishes 4 MB to `topic`, more than sockets and outboxes hold.
fn fill(address: SocketAddr, topic: &str) {
    let data = "x".repeat(4000);
    let entry = json!({"topic": topic, "data": data});
    let body = json!({"messages": vec![entry; 200]}).to_string();
    for _ in 0..5 {
        assert_eq!(post(address, "/publish", "application/json", body.as_bytes()).status, 200);
    }
}

fn open_unread(broker: &Broker, path: &str) -> Http {
    let mut http = Http::connect(broker.address());
    http.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n").as_bytes());
    http
}

/// Waits until nothing more is sent: the sockets of the unread streams are full.
fn await_standstill(broker: &Broker) {
    let mut last = f64::NAN;
    let mut same = 0;
    eventually("the sockets are full", || {
        let sent = broker.metric("fanwire_sent_bytes_total");
        same = if sent > 1e6 && (sent - last).abs() < 1e-9 { same + 1 } else { 0 };
        last = sent;
        (same >= 20).then_some(())
    });
}

#[test]
fn unread_streams_do_not_keep_others_from_reading_the_disk() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let unread: Vec<String> = (0..TOPICS).map(|number| format!("unread.{number}")).collect();
    unread.iter().for_each(|topic| fill(broker.address(), topic));
    for number in 0..20 {
        assert_eq!(post(broker.address(), &format!("/topics/cold.{number}"), "text/plain", b"x").status, 200);
    }
    let mut broker = broker;
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
    // After the restart every topic is on disk only. Each read takes a while, so that some are under way when the sockets
    // are full.
    let broker = directory.serve_with_failpoints(DURABLE, "store.read=sleep(20ms)");
    let topics: Vec<String> = unread.iter().map(|topic| format!("topic={topic}")).collect();
    let all = topics.join("&");
    let _streams = [
        open_unread(&broker, &format!("/stream?{all}&since=earliest")),
        open_unread(&broker, &format!("/stream?{all}&since=earliest&envelope=true")),
        open_unread(&broker, &format!("/topics/{}?since=earliest&envelope=true", unread[0])),
        open_unread(&broker, &format!("/topics/{}?since=earliest", unread[1])),
    ];
    await_standstill(&broker);
    for number in 0..20 {
        let began = Instant::now();
        let page = get(broker.address(), &format!("/topics/cold.{number}?since=earliest")).json();
        assert_eq!(page["messages"][0]["data"], "x", "{page}");
        assert!(began.elapsed() < BOUND, "cold.{number} took {:?}", began.elapsed());
    }
}
