//! Stopping while clients read nothing: each has the time of `limits.close_timeout`, all of them at once.

use std::time::{Duration, Instant};

use fanwire_tests::{Broker, Events, Http, WebSocket, eventually, post};

use crate::fixtures::texts::{publish, subscribe};

/// Fills the sockets and the outboxes of the subscribers of `topic`.
fn fill(broker: &Broker, topic: &str, bytes: usize) {
    for _ in 0..bytes.div_ceil(1_000_000) {
        let answer = post(broker.address(), &format!("/topics/{topic}"), "text/plain", &[b'x'; 1_000_000]);
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn clients_that_read_nothing_are_closed_side_by_side_and_delay_no_other_client() {
    let mut broker = Broker::with(&[
        "limits.close_timeout=5s",
        "limits.drain_timeout=300s",
        "limits.outbox_bytes_max=64MiB",
        "workers=2",
    ]);
    let address = broker.address();
    let sockets: Vec<WebSocket> = (0..4).map(|_| subscribe(address, "deaf")).collect();
    let streams: Vec<Events> = (0..4).map(|_| Events::open(address, "/topics/deaf", "")).collect();
    // More than the operating system takes for a socket, and less than an outbox holds.
    fill(&broker, "deaf", 24_000_000);
    let answers: Vec<Http> = (0..4)
        .map(|_| {
            let mut http = Http::connect(address);
            http.send(b"GET /topics/deaf?since=earliest HTTP/1.1\r\nHost: x\r\n\r\n");
            http
        })
        .collect();
    let mut honest = subscribe(address, "honest");
    publish(address, "honest", "hello");
    assert_eq!(honest.read_json()["data"], "hello");
    eventually("bytes wait", || (broker.metric("fanwire_outbox_bytes") > 1_000_000.0).then_some(()));
    let started = Instant::now();
    broker.terminate();
    honest.check_closing(1001);
    // One after the other, the twelve would take a minute.
    assert!(broker.wait().success());
    assert!(started.elapsed() < Duration::from_secs(30), "stopped after {:?}", started.elapsed());
    drop((sockets, streams, answers));
}
