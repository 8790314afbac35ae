//! Every close code that can be reached, announced by `closing` on `/ws`.
//!
//! 4401 is reached in `access`. Not to be reached yet: 4429 and 4440, which come with rates and the admin interface.

use fanwire_protocol::{CloseCode, ServerFrame, msgpack};
use fanwire_tests::{Broker, Opcode, WebSocket};
use serde_json::json;

use crate::fixtures::honest::Honest;

#[test]
fn what_is_no_frame_at_all_ends_the_session_with_4400() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        "",
        "no json",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"ping\"} x",
        "\u{0}",
        deep.as_str(),
    ] {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        socket.send_text(text);
        let error = socket.read_json();
        assert_eq!(
            (&error["type"], &error["code"]),
            (&"error".into(), &"bad_frame".into()),
            "{text:.20}: {error}"
        );
        assert_eq!(socket.check_closing(4400)["reconnect"], false);
    }
    honest.check();
}

#[test]
fn what_is_no_msgpack_frame_ends_the_session_with_4400() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let deep = [vec![0x91; 10_000], vec![1]].concat();
    let cases: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("not a map", b"\x01"),
        ("a reserved marker", b"\xc1"),
        ("a map of 4 GiB entries", b"\xdf\xff\xff\xff\xff"),
        ("a string of 4 GiB", b"\x81\xdb\xff\xff\xff\xffx"),
        ("binary of 4 GiB", b"\x81\xa4type\xc6\xff\xff\xff\xff"),
        ("something after the end", b"\x81\xa4type\xa4ping\x01"),
        ("10,000 arrays in each other", &deep),
    ];
    for (what, bytes) in cases {
        let mut socket = WebSocket::open_msgpack(broker.address());
        socket.send_frame(true, Opcode::BINARY, bytes);
        let (code, before) = socket.read_to_close();
        assert_eq!(code, Some(4400), "{what}");
        let frames: Vec<_> =
            before.iter().map(|frame| msgpack::decode_server(&frame.payload).unwrap()).collect();
        assert!(matches!(frames[0], ServerFrame::Error { .. }), "{what}: {frames:?}");
        assert!(matches!(frames[1], ServerFrame::Closing { code: 4400, .. }), "{what}: {frames:?}");
    }
    honest.check();
}

#[test]
fn the_wrong_kind_of_message_ends_the_session_with_1003() {
    let broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_frame(true, Opcode::BINARY, b"\x81\xa4type\xa4ping");
    socket.check_closing(1003);
    let mut socket = WebSocket::open_msgpack(broker.address());
    socket.send_text("{\"type\":\"ping\"}");
    assert_eq!(socket.read_to_close().0, Some(1003));
}

#[test]
fn a_message_beyond_the_limit_ends_the_session_with_1009() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_text(&json!({"type": "publish", "topic": "a", "data": "x".repeat(10_000)}).to_string());
    socket.check_closing(1009);
    let mut bare = WebSocket::open(broker.address(), "/topics/big");
    bare.send_text(&"x".repeat(1024));
    assert_eq!(bare.read().payload.len(), 1024);
    bare.send_text(&"x".repeat(1025));
    assert_eq!(bare.read_to_close().0, Some(1009));
    // A header is enough: the payload that it announces is not waited for.
    let mut announced = WebSocket::open(broker.address(), "/topics/big");
    announced.send_raw(&[0x82, 0x80 | 126, 0x04, 0x01, 0, 0, 0, 0]);
    assert_eq!(announced.read_to_close().0, Some(1009), "1025 bytes announced");
    let mut endless = WebSocket::open(broker.address(), "/topics/big");
    endless.send_frame(false, Opcode::BINARY, &[1; 1000]);
    for _ in 0..20 {
        endless.send_frame(false, Opcode::CONTINUATION, &[1; 1000]);
    }
    assert_eq!(endless.read_to_close().0, Some(1009), "fragments without end");
    honest.check();
}

#[test]
fn protocol_errors_and_bad_text_are_announced_too() {
    let broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_raw(b"\x81\x05hello");
    socket.check_closing(1002);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_frame(true, Opcode::TEXT, b"\xff");
    socket.check_closing(1007);
}

#[test]
fn a_bare_session_that_may_not_publish_is_closed_with_4403() {
    let broker = Broker::start(&[]);
    for path in ["/topics/a.*", "/topics/$sys.a"] {
        let mut socket = WebSocket::open(broker.address(), path);
        socket.send_text("let me");
        assert_eq!(socket.read_to_close().0, Some(4403), "{path}");
    }
}

#[test]
fn a_silent_session_is_pinged_then_closed_with_4408_and_one_that_answers_is_not() {
    let broker = Broker::with(&["limits.ping_interval=1s", "limits.ping_timeout=1s"]);
    let mut alive = WebSocket::open(broker.address(), "/ws");
    let keeper = std::thread::spawn(move || {
        for _ in 0..3 {
            assert_eq!(alive.read().opcode, Opcode::PING);
            alive.send_frame(true, Opcode::PONG, b"");
        }
        assert_eq!(alive.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    });
    let mut silent = WebSocket::open(broker.address(), "/ws");
    assert_eq!(silent.read().opcode, Opcode::PING);
    assert_eq!(silent.check_closing(4408)["reconnect"], true);
    keeper.join().unwrap();
    broker.await_metric("fanwire_closes_total{reason=\"timed_out\"}", 1.0);
}

#[test]
fn only_the_session_that_does_not_read_is_closed_with_4413() {
    let broker = Broker::with(&["limits.outbox_bytes_max=1MiB", "limits.close_timeout=60s"]);
    let mut honest = Honest::begin(&broker);
    let mut deaf = WebSocket::open(broker.address(), "/ws");
    assert_eq!(deaf.ask(&json!({"type": "subscribe", "id": 1, "topic": "flood"}))["type"], "subscribed");
    let mut fast = WebSocket::open(broker.address(), "/topics/flood");
    let payload = vec![b'x'; 100_000];
    let mut sent = 0;
    while broker.metric("fanwire_dropped_deliveries_total{reason=\"outbox_full\"}") < 1.0 {
        assert!(sent < 1_000, "100 MB into an outbox of 1 MiB");
        fast.send_frame(true, Opcode::BINARY, &payload);
        assert_eq!(fast.read().payload.len(), payload.len(), "who reads gets everything");
        sent += 1;
    }
    honest.check();
    let closing = deaf.check_closing(4413);
    assert_eq!(closing["reconnect"], true);
    broker.await_metric("fanwire_closes_total{reason=\"too_slow\"}", 1.0);
    broker.await_metric("fanwire_outbox_bytes", 0.0);
}

#[test]
fn a_broker_that_stops_says_so_and_when_to_come_back() {
    let mut broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut bare = WebSocket::open(broker.address(), "/topics/a");
    let mut msgpack = WebSocket::open_msgpack(broker.address());
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    broker.terminate();
    let closing = socket.check_closing(1001);
    assert_eq!(closing["reconnect"], true);
    assert!(closing["after_ms"].as_u64().is_some_and(|after_ms| after_ms < 60_000), "{closing}");
    assert_eq!(bare.read_to_close().0, Some(1001));
    assert_eq!(msgpack.read_to_close().0, Some(1001));
    assert!(broker.wait().success());
}

#[test]
fn a_stuck_session_does_not_keep_the_broker_from_stopping() {
    let mut broker = Broker::with(&["limits.drain_timeout=2s", "limits.close_timeout=1h"]);
    let mut deaf = WebSocket::open(broker.address(), "/ws");
    assert_eq!(deaf.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}))["type"], "subscribed");
    let mut fast = WebSocket::open(broker.address(), "/topics/a?echo=false");
    for _ in 0..30 {
        fast.send_frame(true, Opcode::BINARY, &[1; 100_000]);
    }
    broker.await_metric("fanwire_publications_total", 30.0);
    broker.terminate();
    assert!(broker.wait().success());
}

#[test]
fn what_the_table_says_of_reconnecting_is_what_is_sent() {
    for code in CloseCode::ALL {
        let come_back = matches!(code.number(), 1001 | 4408 | 4413 | 4429);
        assert_eq!(code.should_reconnect(), come_back, "{code:?}");
    }
}
