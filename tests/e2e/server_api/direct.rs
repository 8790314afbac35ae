//! What is said to one session, or to all of a user, without a topic in between.

use fanwire_tests::{Events, Http, WebSocket, eventually, token_for};
use serde_json::{Value, json};

use crate::fixtures::server_api::{ADMIN, affected, call, call_as, guarded_broker, session_of};

#[test]
fn a_user_hears_it_in_every_session_that_can_tell_it_apart() {
    let broker = guarded_broker("");
    let address = broker.address();
    let token = token_for("ann", &[">"], &[">"]);
    let mut sockets: Vec<_> = (0..4).map(|_| session_of(&broker, "ann").0).collect();
    let subprotocol = "Sec-WebSocket-Protocol: fanwire.v1.msgpack\r\n";
    let packed = WebSocket::try_open(address, &format!("/ws?token={token}"), subprotocol);
    let mut packed = packed.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"));
    let mut stream = Events::open(address, &format!("/topics/a?token={token}"), "");
    let mut many = Events::open(address, &format!("/stream?topic=a&topic=b&token={token}"), "");
    let mut whole = Events::open(address, &format!("/topics/a?envelope=true&token={token}"), "");
    let mut bare = WebSocket::open(address, &format!("/topics/a?token={token}"));
    let (mut other, _) = session_of(&broker, "bob");
    eventually("all sessions are there", || {
        let page = call(&broker, "GET", "/sessions", &Value::Null).json();
        (page["total"] == 10).then_some(())
    });
    assert_eq!(affected(&broker, "/users/ann/send", &json!({"data": {"order": 7}})), 8);
    let expected = json!({"type": "message", "topic": "$direct", "data": {"order": 7}});
    for socket in &mut sockets {
        assert_eq!(socket.read_json(), expected);
    }
    let frame = String::from_utf8_lossy(&packed.read().payload).into_owned();
    assert!(frame.contains("$direct") && frame.contains("order"), "{frame}");
    for (stream, kind) in [(&mut stream, "direct"), (&mut many, "direct"), (&mut whole, "message")] {
        let event = stream.next_event().expect("an event");
        assert_eq!(event.kind, kind);
        assert_eq!(serde_json::from_str::<Value>(&event.data).expect("it is JSON"), expected);
    }
    // Neither the bare socket nor another user has heard it.
    bare.send_text("next");
    assert_eq!(bare.read().payload, b"next");
    assert_eq!(other.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
    assert_eq!(affected(&broker, "/users/unknown/send", &json!({"data": 1})), 0);
}

#[test]
fn it_comes_in_the_order_in_which_it_was_said() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    let mut http = Http::connect(broker.address());
    for number in 0..30 {
        let post = format!(
            "POST /topics/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\n\
             Content-Length: 4\r\n\r\n{number:04}",
            token_for("bob", &["a"], &[])
        );
        http.send(post.as_bytes());
        assert_eq!(http.read().status, 200);
        let text = json!({"data": format!("{number:04}")});
        assert_eq!(affected(&broker, &format!("/sessions/{connection}/send"), &text), 1);
    }
    for number in 0..30 {
        for topic in ["a", "$direct"] {
            let message = socket.read_json();
            assert_eq!(
                (&message["topic"], &message["data"]),
                (&json!(topic), &json!(format!("{number:04}")))
            );
        }
    }
}

#[test]
fn binary_and_numbers_arrive_as_they_were_sent() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    let path = format!("/sessions/{connection}/send");
    for body in [r#"{"data_base64":"AAEC"}"#, r#"{"data":18446744073709551615}"#, r#"{"data":"text"}"#] {
        let answer = call_as(Some(ADMIN), broker.address(), "POST", &path, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let frame = socket.read();
        let text = String::from_utf8(frame.payload).expect("it is JSON");
        let expected = format!("{{\"type\":\"message\",\"topic\":\"$direct\",{}", &body[1..]);
        assert_eq!(text, expected);
    }
}

#[test]
fn every_session_may_subscribe_to_its_direct_messages_and_none_may_publish_them() {
    let broker = guarded_broker("");
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.ask(&json!({"type": "connect", "id": 1, "token": token_for("ann", &[">"], &[])}));
    let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "$direct"}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    let reply = socket.ask(&json!({"type": "publish", "id": 3, "topic": "$direct", "data": "x"}));
    assert_eq!(reply["code"], "forbidden", "{reply}");
    assert_eq!(affected(&broker, "/users/ann/send", &json!({"data": "hello"})), 1);
    assert_eq!(socket.read_json()["data"], "hello");
    // Once, although it is subscribed to.
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 4}))["type"], "pong");
}

#[test]
fn what_is_sent_badly_is_said() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    let path = format!("/sessions/{connection}/send");
    for (body, name) in [
        ("", "data"),
        ("{}", "data"),
        (r#"{"data":1,"data_base64":"AA=="}"#, "data"),
        (r#"{"data_base64":"?"}"#, "data_base64"),
        (r#"{"data_base64":7}"#, "data_base64"),
        (r#"{"data":1,"topic":"a"}"#, "topic"),
        (r#"{"data":}"#, "JSON object"),
    ] {
        let answer = call_as(Some(ADMIN), broker.address(), "POST", &path, body);
        answer.check_problem(400, "bad_frame");
        assert!(answer.text().contains(name), "{body}: {}", answer.text());
    }
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(1_100_000));
    call_as(Some(ADMIN), broker.address(), "POST", &path, &large).check_problem(413, "too_large");
    let huge = format!("{{\"data\":\"{}\"}}", "x".repeat(2_000_000));
    call_as(Some(ADMIN), broker.address(), "POST", &path, &huge).check_problem(413, "too_large");
    call(&broker, "POST", "/sessions/ffffff/send", &json!({"data": 1})).check_problem(404, "not_found");
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
}
