//! Many at once: half-open connections, floods, rubbish. An honest client beside them is served at once.

use std::time::Duration;

use fanwire_tests::{Broker, Http, Opcode, WebSocket, post};
use serde_json::json;

use crate::fixtures::honest::Honest;

#[test]
fn half_open_connections_take_nothing_from_others() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut half_open: Vec<Http> = (0..500).map(|_| Http::connect(broker.address())).collect();
    for (number, http) in half_open.iter_mut().enumerate() {
        match number % 3 {
            0 => {}
            1 => http.send(b"GET /ws HTT"),
            _ => http.send(b"POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx"),
        }
    }
    honest.check_served_at_once();
    drop(half_open);
    // Two connections stay: the honest session and the one that asks.
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
}

#[test]
fn unfinished_messages_cost_what_has_arrived_and_not_what_was_announced() {
    let broker = Broker::start(&[]);
    let before = broker.metric("process_resident_memory_bytes");
    let sockets: Vec<WebSocket> = (0..500)
        .map(|_| {
            let mut socket = WebSocket::open(broker.address(), "/ws");
            // A text message of 1 MiB is announced, and one byte of it sent.
            socket.send_raw(&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, b'{']);
            socket
        })
        .collect();
    let mut honest = Honest::begin(&broker);
    honest.check_served_at_once();
    let grown = broker.metric("process_resident_memory_bytes") - before;
    assert!(grown < 500.0 * 32.0 * 1024.0, "{} KiB each", grown / 500.0 / 1024.0);
    drop(sockets);
}

#[test]
fn a_flood_of_pings_or_of_requests_is_answered_without_harm_to_others() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for _ in 0..2_000 {
        socket.send_frame(true, Opcode::PING, b"flood");
    }
    honest.check_served_at_once();
    for _ in 0..2_000 {
        assert_eq!(socket.read().opcode, Opcode::PONG);
    }
    for id in 0..2_000 {
        socket.send_json(&json!({"type": "ping", "id": id}));
    }
    honest.check_served_at_once();
    for id in 0..2_000 {
        assert_eq!(socket.read_json()["id"], id);
    }
}

#[test]
fn a_flood_of_requests_with_unread_answers_is_bounded() {
    let broker = Broker::with(&["limits.outbox_bytes_max=1MiB"]);
    let mut honest = Honest::begin(&broker);
    post(broker.address(), "/topics/big", "text/plain", &[b'x'; 200_000]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // 2 GB of answers are asked for; the broker stops listening long before.
    for id in 0..10_000 {
        socket.send_json(&json!({"type": "history", "id": id, "topic": "big"}));
    }
    honest.check_served_at_once();
    let resident = broker.metric("process_resident_memory_bytes");
    assert!(resident < 200e6, "{resident} bytes");
}

#[test]
fn a_message_in_a_thousand_pieces_arrives() {
    let broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/topics/pieces");
    socket.send_frame(false, Opcode::TEXT, b"");
    for _ in 0..1_000 {
        socket.send_frame(false, Opcode::CONTINUATION, b"x");
    }
    socket.send_frame(true, Opcode::CONTINUATION, b"");
    assert_eq!(socket.read().payload, [b'x'; 1_000]);
}

/// Rubbish to every way in, from a seed that is printed if it brings something to light: `FANWIRE_SEED` runs it again.
#[test]
fn rubbish_never_reaches_another_session() {
    let seed = std::env::var("FANWIRE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("FANWIRE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let frames = [
        r#"{"type":"subscribe","id":1,"topic":"a.b","since":"earliest"}"#,
        r#"{"type":"publish","id":2,"topic":"a.b","data":{"x":[1,2,3]}}"#,
        r#"{"type":"history","id":3,"topic":"a.b","limit":10,"reverse":true}"#,
        "GET /topics/a?since=earliest HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{\"messages\":[{\"topic\":\"a\",\"data\":1}]}    ",
    ];
    for round in 0..300 {
        let mut bytes = random.choice(frames).unwrap_or("").as_bytes().to_vec();
        for _ in 0..random.usize(0..6) {
            let index = random.usize(..bytes.len());
            bytes[index] = random.u8(..);
        }
        bytes.truncate(random.usize(1..=bytes.len()));
        match random.u8(..4) {
            0 => Http::connect(broker.address()).send(&bytes),
            1 => WebSocket::open(broker.address(), "/ws").send_frame(true, Opcode::TEXT, &bytes),
            2 => WebSocket::open_msgpack(broker.address()).send_frame(true, Opcode::BINARY, &bytes),
            _ => WebSocket::open(broker.address(), "/ws").send_raw(&bytes),
        }
        if round % 50 == 0 {
            honest.check_served_at_once();
        }
    }
    honest.check_served_at_once();
}
