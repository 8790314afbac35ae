//! Sessions that read too slowly, on topics whose rule lets them skip.

use fanwire_tests::{Broker, Events, Opcode, WebSocket};
use serde_json::json;

use super::{publish, subscribe};

fn broker(slow: &str) -> Broker {
    Broker::with_file(
        &format!("[[topic]]\nmatch = 'flood'\nslow = '{slow}'\n"),
        &["--set", "limits.outbox_bytes_max=2MiB"],
    )
}

/// Publishes until the broker has skipped something for the session that does not read; returns how many were published.
fn flood(broker: &Broker) -> u64 {
    let mut publisher = WebSocket::open(broker.address(), "/topics/flood?echo=false");
    let payload = vec![b'x'; 100_000];
    let mut sent = 0;
    while broker.metric("fanwire_dropped_deliveries_total{reason=\"skipped\"}") < 5.0 {
        assert!(sent < 1_000, "100 MB into an outbox of 2 MiB");
        publisher.send_frame(true, Opcode::BINARY, &payload);
        sent += 1;
        broker.await_metric("fanwire_publications_total", f64::from(sent as u32));
    }
    u64::from(sent as u32)
}

fn check_told(slow: &str) -> (u64, u64, Vec<u64>) {
    let broker = broker(slow);
    let mut lazy = subscribe(broker.address(), "flood");
    let mut fast = subscribe(broker.address(), "other");
    let published = flood(&broker);
    publish(broker.address(), "other", "still served");
    assert_eq!(fast.read_json()["data"], "still served");
    let (mut heard, mut missed) = (Vec::new(), 0);
    while heard.len() as u64 + missed < published {
        let frame = lazy.read_json();
        match frame["type"].as_str() {
            Some("message") => heard.push(frame["offset"].as_u64().expect("an offset")),
            Some("lagged") => {
                assert_eq!(frame["topic"], "flood");
                missed += frame["missed"].as_u64().expect("a number");
            }
            _ => panic!("neither message nor lagged: {frame}"),
        }
    }
    assert_eq!(lazy.ask(&json!({"type": "ping", "id": 9}))["type"], "pong", "the session goes on");
    (published, missed, heard)
}

#[test]
fn a_session_that_may_skip_is_told_how_many_it_missed() {
    let (published, missed, heard) = check_told("skip");
    assert!(missed >= 5);
    assert!(heard.is_sorted());
    assert_eq!(heard.len() as u64 + missed, published);
}

#[test]
fn a_session_that_wants_the_latest_gets_the_latest() {
    let (published, missed, heard) = check_told("latest");
    assert!(missed >= 5);
    assert!(heard.is_sorted());
    assert_eq!(heard.last(), Some(&published), "the newest has arrived");
}

#[test]
fn an_event_stream_that_nobody_reads_is_ended_and_does_not_linger() {
    let broker = Broker::with(&["limits.outbox_bytes_max=2MiB", "limits.close_timeout=1s"]);
    let deaf = Events::open(broker.address(), "/topics/flood", "");
    let mut publisher = WebSocket::open(broker.address(), "/topics/flood?echo=false");
    let payload = vec![b'x'; 100_000];
    let mut sent = 0;
    while broker.metric("fanwire_dropped_deliveries_total{reason=\"outbox_full\"}") < 1.0 {
        assert!(sent < 1_000, "100 MB into an outbox of 2 MiB");
        publisher.send_frame(true, Opcode::BINARY, &payload);
        sent += 1;
        broker.await_metric("fanwire_publications_total", f64::from(sent));
    }
    broker.await_metric("fanwire_connections{transport=\"sse\"}", 0.0);
    broker.await_metric("fanwire_closes_total{reason=\"too_slow\"}", 1.0);
    broker.await_metric("fanwire_outbox_bytes", 0.0);
    drop(deaf);
}
