//! Sessions that are sent away, on every transport.

use fanwire_tests::{Broker, Events, Http, WebSocket, eventually, token_for};
use serde_json::{Value, json};

use crate::fixtures::server_api::{ADMIN, affected, call, call_as, guarded_broker, session_of};

#[test]
fn a_session_is_told_why_before_it_is_closed() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    let (mut other, _) = session_of(&broker, "ann");
    let body = json!({"reason": "logged out on the phone"});
    assert_eq!(affected(&broker, &format!("/sessions/{connection}/disconnect"), &body), 1);
    let closing = socket.check_closing(4440);
    assert_eq!((&closing["reason"], &closing["reconnect"]), (&body["reason"], &json!(false)), "{closing}");
    assert_eq!(other.ask(&json!({"type": "ping", "id": 2}))["type"], "pong", "the other one stays");
    eventually("the session is gone", || {
        let again = call(&broker, "POST", &format!("/sessions/{connection}/disconnect"), &Value::Null);
        (again.status == 404).then_some(())
    });
    assert!(broker.log().contains("session disconnected by the API"), "{}", broker.log());
}

#[test]
fn what_was_published_before_is_delivered_before() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    let mut http = Http::connect(broker.address());
    let post = format!(
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n",
        token_for("bob", &["a"], &[])
    );
    for number in 0..50 {
        http.send(format!("{post}{number:04}").as_bytes());
        assert_eq!(http.read().status, 200);
    }
    assert_eq!(affected(&broker, &format!("/sessions/{connection}/disconnect"), &Value::Null), 1);
    let (code, before) = socket.read_to_close();
    assert_eq!(code, Some(4440));
    let messages =
        before.iter().filter(|frame| String::from_utf8_lossy(&frame.payload).contains("\"message\""));
    assert_eq!(messages.count(), 50);
}

#[test]
fn all_sessions_of_a_user_are_ended_whatever_they_are_connected_over() {
    let broker = guarded_broker("");
    let address = broker.address();
    let token = token_for("ann b/ä", &[">"], &[">"]);
    let sockets: Vec<_> = (0..4).map(|_| session_of(&broker, "ann b/ä").0).collect();
    let subprotocol = "Sec-WebSocket-Protocol: fanwire.v1.msgpack\r\n";
    let packed = WebSocket::try_open(address, &format!("/ws?token={token}"), subprotocol);
    let packed = packed.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"));
    let bare = WebSocket::open(address, &format!("/topics/a?token={token}"));
    let mut stream = Events::open(address, &format!("/topics/a?token={token}"), "");
    let mut many = Events::open(address, &format!("/stream?topic=a&topic=b&token={token}"), "");
    let mut poll = Http::connect(address);
    poll.send(format!("GET /topics/a?wait=30&token={token} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let (mut other, _) = session_of(&broker, "anna");
    await_sessions(&broker, 10);
    let body = json!({"code": 4123, "reason": "no longer welcome", "reconnect": false});
    assert_eq!(affected(&broker, "/users/ann%20b%2F%C3%A4/disconnect", &body), 9);
    for mut socket in sockets {
        assert_eq!(socket.check_closing(4123)["reason"], "no longer welcome");
    }
    for mut socket in [packed, bare] {
        assert_eq!(socket.read_to_close().0, Some(4123));
    }
    for stream in [&mut stream, &mut many] {
        let event = stream.next_event().expect("a farewell");
        assert_eq!(event.kind, "closing");
        let said: Value = serde_json::from_str(&event.data).expect("it is JSON");
        assert_eq!((&said["code"], &said["reconnect"]), (&json!(4123), &json!(false)), "{said}");
        assert!(stream.next_block().is_none(), "the stream has ended");
    }
    let answer = poll.read();
    answer.check_problem(403, "forbidden");
    assert!(answer.text().contains("no longer welcome"), "{}", answer.text());
    assert_eq!(other.ask(&json!({"type": "ping", "id": 2}))["type"], "pong", "another user stays");
    assert_eq!(affected(&broker, "/users/unknown/disconnect", &Value::Null), 0);
}

#[test]
fn a_session_that_may_reconnect_receives_reconnect_true() {
    let broker = guarded_broker("");
    let token = token_for("ann", &[], &["a"]);
    let (mut socket, _) = session_of(&broker, "ann");
    let mut poll = Http::connect(broker.address());
    poll.send(format!("GET /topics/a?wait=30&token={token} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    await_sessions(&broker, 2);
    assert_eq!(affected(&broker, "/users/ann/disconnect", &json!({"reconnect": true})), 2);
    assert_eq!(socket.check_closing(4440)["reconnect"], true);
    let answer = poll.read();
    assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])), "{}", answer.text());
}

#[test]
fn a_session_that_reads_nothing_is_ended_all_the_same() {
    let broker = guarded_broker("[limits]\nclose_timeout = '1s'\n");
    let (mut socket, connection) = session_of(&broker, "ann");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    let mut http = Http::connect(broker.address());
    let body = "x".repeat(500_000);
    let post = format!(
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        token_for("bob", &["a"], &[]),
        body.len()
    );
    for _ in 0..8 {
        http.send(post.as_bytes());
        assert_eq!(http.read().status, 200);
    }
    assert_eq!(affected(&broker, &format!("/sessions/{connection}/disconnect"), &Value::Null), 1);
    eventually("the session is gone", || {
        let answer = call(&broker, "GET", &format!("/sessions/{connection}"), &Value::Null);
        (answer.status == 404).then_some(())
    });
}

#[test]
fn a_malformed_disconnect_request_ends_no_session() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    let path = format!("/sessions/{connection}/disconnect");
    for (body, name) in [
        (r#"{"code":"x"}"#, "code"),
        (r#"{"code":1000}"#, "code"),
        (r#"{"code":4401}"#, "code"),
        (r#"{"code":5000}"#, "code"),
        (r#"{"reason":""}"#, "reason"),
        (r#"{"reason":7}"#, "reason"),
        (r#"{"reconnect":"yes"}"#, "reconnect"),
        (r#"{"resaon":"x"}"#, "resaon"),
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ("\u{ff}", "JSON object"),
    ] {
        let answer = call_as(Some(ADMIN), broker.address(), "POST", &path, body);
        answer.check_problem(400, "bad_frame");
        assert!(answer.text().contains(name), "{body}: {}", answer.text());
    }
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(20_000));
    call_as(Some(ADMIN), broker.address(), "POST", &path, &long).check_problem(413, "too_large");
    for name in ["0", "ffffffffffffffff", "fffffffffffffffff", "A", "00", "-1", "x", "%20", "%ff"] {
        let answer = call(&broker, "POST", &format!("/sessions/{name}/disconnect"), &Value::Null);
        let status = if name == "%ff" { 400 } else { 404 };
        answer.check_problem(status, if status == 404 { "not_found" } else { "bad_frame" });
    }
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
}

/// Waits until so many sessions are there.
fn await_sessions(broker: &Broker, count: u64) {
    eventually("all sessions are there", || {
        let page = call(broker, "GET", "/sessions", &Value::Null).json();
        (page["total"] == count).then_some(())
    });
}
