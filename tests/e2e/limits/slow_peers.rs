//! Slow and leaving peers: half a frame, unread streams, abandoned polls, and a broker that is leaving.

use std::io::Write;
use std::time::Duration;

use fanwire_tests::{Broker, Events, Http, Opcode, WebSocket, eventually, post};
use serde_json::json;

use crate::fixtures::honest::Honest;

#[test]
fn half_a_frame_does_not_keep_a_session_alive() {
    let broker = Broker::with(&["limits.ping_interval=1s", "limits.ping_timeout=1s"]);
    let halves = [&b"\x81"[..], b"\x81\xfe\x01", b"\x81\x85\0\0\0\0hel", b"\x01\x81\0\0\0\0a"];
    let sockets = halves.map(|half| {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        socket.send_raw(half);
        socket
    });
    for mut socket in sockets {
        assert_eq!(socket.read().opcode, Opcode::PING);
        socket.check_closing(4408);
    }
    broker.await_metric("fanwire_connections{transport=\"ws\"}", 0.0);
}

#[test]
fn a_slow_frame_holds_up_no_other_session() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/topics/dribble");
    let text = vec![b'x'; 5_000];
    let frame = [&[0x81, 0xfe, 0x13, 0x88, 0, 0, 0, 0][..], &text].concat();
    for (index, byte) in frame.iter().enumerate() {
        socket.send_raw(&[*byte]);
        if index % 1_000 == 0 {
            honest.check();
        }
    }
    assert_eq!(socket.read().payload, text);
    honest.check();
}

#[test]
fn an_unread_event_stream_is_ended_and_holds_up_no_other_session() {
    let broker = Broker::with(&["limits.outbox_bytes_max=1MiB", "limits.close_timeout=1s"]);
    let mut honest = Honest::begin(&broker);
    let mut reader = Events::open(broker.address(), "/topics/flood", "");
    let _deaf = Events::open(broker.address(), "/topics/flood", "");
    broker.await_metric("fanwire_connections{transport=\"sse\"}", 2.0);
    let mut publisher = WebSocket::open(broker.address(), "/topics/flood?echo=false");
    let payload = "x".repeat(100_000);
    let mut sent = 0;
    while broker.metric("fanwire_connections{transport=\"sse\"}") > 1.0 {
        assert!(sent < 1_000, "100 MB into an outbox of 1 MiB");
        publisher.send_text(&payload);
        assert!(reader.next_data() == payload, "who reads gets everything");
        sent += 1;
    }
    honest.check();
    publisher.send_text("after the flood");
    assert_eq!(reader.next_data(), "after the flood");
    broker.await_metric("fanwire_outbox_bytes", 0.0);
}

#[test]
fn those_who_leave_while_they_wait_leave_nothing_behind() {
    let broker = Broker::start(&[]);
    let mut waiting: Vec<Http> = (0..200).map(|_| Http::connect(broker.address())).collect();
    for (number, http) in waiting.iter_mut().enumerate() {
        let request = match number % 4 {
            0 => format!("GET /topics/leave.{number}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"),
            1 => format!("GET /stream?topic=leave.{number}&topic=b&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"),
            2 => {
                format!("GET /topics/leave.{number} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
            }
            _ => "GET /topics/leave.%3E HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".to_owned(),
        };
        http.send(request.as_bytes());
    }
    // 50 topics each, and one more for each of the 50 requests to /stream.
    broker.await_metric("fanwire_subscriptions", 250.0);
    drop(waiting);
    broker.await_metric("fanwire_subscriptions", 0.0);
    broker.await_metric("fanwire_connections{transport=\"sse\"}", 0.0);
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
}

#[test]
fn a_listener_that_said_more_than_its_request_is_missed_at_the_next_comment() {
    let broker = Broker::with(&["limits.sse_comment_interval=1s"]);
    let mut http = Http::connect(broker.address());
    // A server that reads no further than one request does not see, behind these bytes, that the client has hung up.
    http.send(b"GET /topics/more HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\nGET /");
    assert_eq!(http.read_head().status, 200);
    broker.await_metric("fanwire_connections{transport=\"sse\"}", 1.0);
    drop(http);
    broker.await_metric("fanwire_connections{transport=\"sse\"}", 0.0);
    broker.await_metric("fanwire_subscriptions", 0.0);
}

#[test]
fn sessions_that_subscribe_to_all_they_may_and_vanish_leave_no_topic() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    for round in 0..5 {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        for number in 0..1_000 {
            let topic = if number % 2 == 0 {
                format!("mass.{round}.{number}")
            } else {
                format!("mass.*.{round}.{number}.>")
            };
            socket.send_json(&json!({"type": "subscribe", "topic": topic}));
        }
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "one.more"}));
        assert_eq!(reply["code"], "limit_exceeded");
        socket.stream().shutdown(std::net::Shutdown::Both).unwrap();
    }
    broker.await_metric("fanwire_subscriptions", 1.0);
    honest.check();
}

#[test]
fn an_unread_answer_holds_up_no_other_client() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    for _ in 0..20 {
        post(broker.address(), "/topics/big", "text/plain", &[b'x'; 500_000]);
    }
    let lazy: Vec<Http> = (0..20)
        .map(|_| {
            let mut http = Http::connect(broker.address());
            http.send(b"GET /topics/big?since=earliest HTTP/1.1\r\nHost: x\r\n\r\n");
            http
        })
        .collect();
    honest.check();
    drop(lazy);
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
}

#[test]
fn a_draining_broker_tells_its_probe_that_it_is_not_ready() {
    let mut broker = Broker::with(&["limits.drain_timeout=10s"]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    // Connections that have begun a request before the end are still answered.
    let mut half_asked: Vec<Http> = ["/readyz", "/topics/a", "/topics/a?wait=60", "/healthz"]
        .map(|path| {
            let mut http = Http::connect(broker.address());
            http.send(format!("GET {path} HTTP/1.1\r\nHo").as_bytes());
            http
        })
        .into();
    broker.await_metric("fanwire_connections{transport=\"http\"}", 5.0);
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    broker.terminate();
    socket.check_closing(1001);
    for http in &mut half_asked {
        http.send(b"st: x\r\n\r\n");
    }
    let answers: Vec<_> = half_asked.iter_mut().map(Http::read).collect();
    for refused in &answers[..3] {
        refused.check_problem(503, "unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(answers[3].status, 200, "alive until the end");
    drop((half_asked, socket));
    assert!(broker.wait().success());
}

#[test]
fn a_publication_on_its_way_when_the_broker_stops_is_answered() {
    let mut broker = Broker::with(&["limits.drain_timeout=10s"]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut http = Http::connect(broker.address());
    http.send(
        b"POST /topics/last HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwo",
    );
    broker.await_metric("fanwire_connections{transport=\"http\"}", 2.0);
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    broker.terminate();
    socket.check_closing(1001);
    http.send(b"rd");
    let answer = http.read();
    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    drop((http, socket));
    assert!(broker.wait().success());
}

#[test]
fn a_client_that_only_connects_is_let_go() {
    let broker = Broker::with(&["limits.handshake_timeout=1s"]);
    let mut dribbling = Http::connect(broker.address());
    // A byte now and then must not prolong the time for the head.
    let ended = eventually("a head that dribbles in is given up", || {
        let sent = dribbling.stream().write_all(b"G");
        std::thread::sleep(Duration::from_millis(100));
        sent.is_err().then_some(true)
    });
    assert!(ended);
    assert!(dribbling.is_hung_up() || dribbling.read_raw().is_some());
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
}
