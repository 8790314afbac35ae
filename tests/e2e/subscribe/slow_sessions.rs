//! Sessions that read too slowly, on topics whose rule lets them skip.

use fanwire_tests::{Broker, Events, Opcode, WebSocket, nth_offset};
use serde_json::json;

use crate::fixtures::readers::subscribe_msgpack;
use crate::fixtures::texts::{publish, subscribe};

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
    assert_eq!(heard.last(), Some(&nth_offset(published)), "the newest has arrived");
}

#[test]
fn an_unread_event_stream_is_ended_and_does_not_linger() {
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

#[test]
fn one_session_that_does_not_read_costs_the_others_nothing() {
    const OUTBOX_BYTES: usize = 2 << 20;
    const PAYLOAD_BYTES: usize = 400_000;
    let broker = Broker::with(&[
        "workers=2",
        "limits.outbox_bytes_max=2MiB",
        "limits.close_timeout=60s",
        // However slow the machine is, those who only listen are not taken for dead: they answer no pings here.
        "limits.ping_interval=5m",
    ]);
    let address = broker.address();
    let mut deaf = subscribe(address, "flood");
    let mut deaf_msgpack = subscribe_msgpack(address, "flood");
    let mut sessions: Vec<_> = (0..2).map(|_| subscribe(address, "flood")).collect();
    let mut bare: Vec<_> = (0..2).map(|_| WebSocket::open(address, "/topics/flood")).collect();
    let mut events: Vec<_> = (0..2).map(|_| Events::open(address, "/topics/flood", "")).collect();
    let mut publisher = WebSocket::open(address, "/topics/flood?echo=false");
    let filling = "x".repeat(PAYLOAD_BYTES);
    let mut sent = 0;
    while broker.metric("fanwire_dropped_deliveries_total{reason=\"outbox_full\"}") < 2.0 {
        assert!(sent < 250, "100 MB into an outbox of 2 MiB");
        let text = format!("{sent} {filling}");
        publisher.send_text(&text);
        for socket in &mut sessions {
            assert!(socket.read_json()["data"] == text.as_str(), "who reads gets everything");
        }
        for socket in &mut bare {
            assert!(socket.read().payload == text.as_bytes(), "who reads gets everything");
        }
        for stream in &mut events {
            assert!(stream.next_data() == text, "who reads gets everything");
        }
        sent += 1;
        let waiting = broker.metric("fanwire_outbox_bytes");
        let bound = 2 * (OUTBOX_BYTES + PAYLOAD_BYTES);
        assert!(waiting <= bound as f64, "{waiting} bytes wait for two sessions");
    }
    // What was begun is read to its end; then they are told why.
    assert_eq!(deaf.check_closing(4413)["reconnect"], true);
    assert_eq!(deaf_msgpack.read_to_close().0, Some(4413));
    drop((deaf, deaf_msgpack));
    broker.await_metric("fanwire_closes_total{reason=\"too_slow\"}", 2.0);
    broker.await_metric("fanwire_outbox_bytes", 0.0);
    broker.await_metric("fanwire_connections{transport=\"ws\"}", 2.0);
}
