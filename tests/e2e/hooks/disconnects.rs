//! The webhook event `disconnect`, for every transport and every end.

use std::net::{Shutdown, SocketAddr};

use fanwire_tests::{
    AUTH, Application, Broker, Events, HOOKS_SECRET, Http, Opcode, WebSocket, eventually, get, post,
    token_for, unix_seconds,
};
use serde_json::{Value, json};

use super::allow;

const WEBHOOKS: &str = "[webhooks]\nevents = ['disconnect']\ndelay = '10ms'";

/// Returns the disconnect event after the first `begun` events.
fn check_reported(application: &Application, before: usize, expected: &Value) -> Value {
    let event = application.await_events(before + 1).swap_remove(before);
    for (key, value) in expected.as_object().expect("fields") {
        assert_eq!(&event[key], value, "{key} in {event}");
    }
    event
}

#[test]
fn a_call_brings_events_and_is_signed() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&format!("{AUTH}{}", application.config(WEBHOOKS)), &[]);
    let token = token_for("ann", &[], &[]);
    let mut socket = WebSocket::open(broker.address(), &format!("/ws?token={token}"));
    let connection = socket.ask(&json!({"type": "connect", "id": 1}))["connection"].clone();
    socket.send_frame(true, Opcode::CLOSE, b"\x03\xe9off to lunch");
    let call = application.await_calls(1).swap_remove(0);
    assert!(call.is_signed_with(HOOKS_SECRET), "{call:?}");
    assert!(!call.is_signed_with("another secret"), "{call:?}");
    let mut body = call.json();
    for (name, length) in [("/id", 32), ("/run", 16), ("/events/0/id", 32)] {
        let id = body.pointer_mut(name).map(Value::take);
        assert!(id.as_ref().and_then(Value::as_str).is_some_and(|id| id.len() == length), "{name}: {id:?}");
    }
    let mut age = |name: &str| {
        let ts = body.pointer_mut(name).map(Value::take).and_then(|ts| ts.as_u64()).expect("a time");
        (ts / 1000).abs_diff(unix_seconds())
    };
    assert!(age("/events/0/ts") < 60 && age("/events/0/connected_ts") < 60);
    let event = json!({
        "hook": "disconnect", "id": null, "ts": null, "user": "ann", "connection": connection, "transport": "ws",
        "connected_ts": null, "code": 1001, "reason": "off to lunch"
    });
    let expected =
        json!({"hook": "tell", "id": null, "run": null, "attempt": 1, "lost": 0, "events": [event]});
    assert_eq!(body, expected);
}

/// Opens a connection that stays open.
type Opening = fn(SocketAddr) -> WebSocket;

#[test]
fn every_end_of_a_websocket_is_reported_once_with_its_code() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&application.config(WEBHOOKS), &["--workers", "2"]);
    let openings: [(&str, Opening); 2] = [
        ("ws", |address| WebSocket::open(address, "/ws")),
        ("bare", |address| WebSocket::open(address, "/topics/a")),
    ];
    type End = fn(&mut WebSocket);
    let ends: [(u16, &str, End); 5] = [
        (1000, "the client has left", |socket| socket.send_frame(true, Opcode::CLOSE, b"\x03\xe8")),
        (1005, "the client has left", |socket| socket.send_frame(true, Opcode::CLOSE, b"")),
        (4321, "bye", |socket| socket.send_frame(true, Opcode::CLOSE, b"\x10\xe1bye")),
        (1006, "the connection ended without a close frame", |socket| {
            socket.stream().shutdown(Shutdown::Both).expect("it is open");
        }),
        (1007, "a text message is not UTF-8", |socket| {
            socket.send_frame(true, Opcode::TEXT, b"\xff");
            assert_eq!(socket.read_to_close().0, Some(1007));
        }),
    ];
    let mut reported = 0;
    for (transport, open) in openings {
        for (code, reason, end) in ends {
            let mut socket = open(broker.address());
            end(&mut socket);
            drop(socket);
            let expected =
                json!({"hook": "disconnect", "transport": transport, "code": code, "reason": reason});
            let event = check_reported(&application, reported, &expected);
            assert_eq!(event.get("user"), None, "{event}");
            reported += 1;
        }
    }
    let mut kicked = WebSocket::open(broker.address(), "/ws");
    kicked.send_text("this is no frame");
    assert_eq!(kicked.read_to_close().0, Some(4400));
    drop(kicked);
    check_reported(&application, reported, &json!({"code": 4400}));
    broker.await_metric("fanwire_webhook_events_delivered_total", 11.0);
    broker.await_metric("fanwire_webhook_events_waiting", 0.0);
    broker.await_metric("fanwire_webhook_events_waiting_bytes", 0.0);
    broker.await_metric("fanwire_webhook_events_oldest_seconds", 0.0);
}

#[test]
fn streams_and_polls_end_too() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&application.config(WEBHOOKS), &[]);
    drop(Events::open(broker.address(), "/topics/a", ""));
    let stream = json!({"transport": "sse", "code": 1006});
    check_reported(&application, 0, &stream);
    post(broker.address(), "/topics/a", "text/plain", b"x");
    for path in ["/topics/a", "/topics/a?wait=60", "/stream?topic=b&wait=1"] {
        let before = application.events().len();
        assert_eq!(get(broker.address(), path).status, 200);
        check_reported(
            &application,
            before,
            &json!({"transport": "poll", "code": 1000, "reason": "the poll is over"}),
        );
    }
    let before = application.events().len();
    let mut http = Http::connect(broker.address());
    http.send(b"GET /topics/b?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n");
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 1.0);
    drop(http);
    check_reported(&application, before, &json!({"transport": "poll"}));
    assert_eq!(post(broker.address(), "/topics/a", "text/plain", b"x").status, 200);
    assert_eq!(application.events().len(), before + 1, "publishing over HTTP is no connection");
}

#[test]
fn only_admitted_sessions_are_reported_as_disconnected() {
    let application = Application::start(|call| {
        let call = call.json();
        super::HookAnswer::Json(match call["user"].as_str() {
            Some("banned") => json!({"allow": false}),
            Some("ann") => json!({"allow": true, "user": "Ann A.", "info": {"name": "Ann"}}),
            _ => json!({"allow": true}),
        })
    });
    let config = format!("{AUTH}{}", application.config(&format!("callouts = ['connect']\n{WEBHOOKS}")));
    let broker = Broker::with_file(&config, &[]);
    let with = |user: &str| token_for(user, &[], &["a"]);
    let mut unknown = WebSocket::open(broker.address(), "/ws");
    unknown.send_frame(true, Opcode::CLOSE, b"");
    unknown.read_to_close();
    for path in ["/ws", "/topics/a"] {
        let mut banned = WebSocket::open(broker.address(), &format!("{path}?token={}", with("banned")));
        assert_eq!(banned.read_to_close().0, Some(4403));
        let mut forged = WebSocket::open(broker.address(), &format!("{path}?token=x"));
        assert_eq!(forged.read_to_close().0, Some(4401));
    }
    let mut banned = WebSocket::open(broker.address(), "/ws");
    banned.send_json(&json!({"type": "connect", "id": 1, "token": with("banned")}));
    assert_eq!(banned.read_to_close().0, Some(4403));
    assert_eq!(get(broker.address(), &format!("/topics/a?token={}", with("banned"))).status, 403);
    // A session is reported as the user that the application named, wherever its token came from.
    for in_frame in [true, false] {
        let path = if in_frame { "/ws".to_owned() } else { format!("/ws?token={}", with("ann")) };
        let mut socket = WebSocket::open(broker.address(), &path);
        let mut connect = json!({"type": "connect", "id": 1});
        if in_frame {
            connect["token"] = with("ann").into();
        }
        let connection = socket.ask(&connect)["connection"].clone();
        drop(socket);
        let expected = json!({"user": "Ann A.", "info": {"name": "Ann"}, "connection": connection});
        check_reported(&application, usize::from(!in_frame), &expected);
    }
    // A connection that was allowed without its subscription is reported as well.
    let mut elsewhere = WebSocket::open(broker.address(), &format!("/topics/b?token={}", with("bob")));
    assert_eq!(elsewhere.read_to_close().0, Some(4403));
    check_reported(&application, 2, &json!({"user": "bob", "transport": "bare", "code": 4403}));
    let asked: Vec<Value> = application
        .calls()
        .iter()
        .map(fanwire_tests::HookCall::json)
        .filter(|call| call["hook"] == "connect")
        .collect();
    for event in application.events() {
        let open = asked.iter().any(|call| call["connection"] == event["connection"]);
        assert!(open, "every onClose has had its onOpen: {event} in {asked:?}");
    }
}

#[test]
fn only_configured_events_are_reported() {
    let application = Application::start(allow);
    let broker =
        Broker::with_file(&application.config("[webhooks]\nevents = ['occupied']\ndelay = '10ms'"), &[]);
    drop(WebSocket::open(broker.address(), "/ws"));
    drop(WebSocket::open(broker.address(), "/topics/a"));
    eventually("both have gone", || {
        (broker.metric("fanwire_connections{transport=\"ws\"}") == 0.0
            && broker.metric("fanwire_connections{transport=\"bare\"}") == 0.0)
            .then_some(())
    });
    let mut last = WebSocket::open(broker.address(), "/ws");
    last.ask(&json!({"type": "subscribe", "id": 1, "topic": "last"}));
    let reported: Vec<Value> =
        application.await_events(2).iter().map(|event| event["topic"].clone()).collect();
    assert_eq!(reported, ["a", "last"]);
}

/// An admin key, and its hash as the configuration has it.
const ADMIN: &str = "fwk_YWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRt";
const ADMIN_HASH: &str = "sha256:lJZqVN6QLtsOvKUiIkiQgTeP6TtzzDEK3FpW1SUsShM";

#[test]
fn a_disconnected_session_is_reported_with_the_code_and_reason_of_the_request() {
    let application = Application::start(allow);
    let key = format!("[[key]]\nname = 'operator'\nhash = '{ADMIN_HASH}'\nsubscribe = ['>']\nadmin = true\n");
    let broker =
        Broker::with_file(&format!("{AUTH}{key}{}", application.config(WEBHOOKS)), &["--workers", "2"]);
    let address = broker.address();
    // Connections with the key of the application itself are not reported.
    drop(Events::open(address, "/topics/a", &format!("Authorization: Bearer {ADMIN}\r\n")));
    let token = token_for("ann", &[">"], &[">"]);
    let mut socket = WebSocket::open(address, &format!("/ws?token={token}"));
    let mut bare = WebSocket::open(address, &format!("/topics/a?token={token}"));
    let mut events = Events::open(address, &format!("/topics/a?token={token}"), "");
    let mut poll = Http::connect(address);
    poll.send(format!("GET /topics/a?wait=60&token={token} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let body = json!({"reason": "see you", "code": 4242}).to_string();
    let request = format!(
        "POST /api/v1/users/ann/disconnect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut ended = 0;
    eventually("all four are sent away", || {
        ended += fanwire_tests::request(address, &request).json()["sessions"].as_u64().expect("a number");
        (ended >= 4).then_some(())
    });
    socket.read_to_close();
    bare.read_to_close();
    while events.next_event().is_some() {}
    poll.read();
    drop((socket, bare, events, poll));
    let reported = application.await_events(4);
    let mut transports: Vec<&str> = reported.iter().filter_map(|event| event["transport"].as_str()).collect();
    transports.sort_unstable();
    assert_eq!(transports, ["bare", "poll", "sse", "ws"], "{reported:?}");
    for event in &reported {
        assert_eq!((&event["code"], &event["reason"]), (&json!(4242), &json!("see you")), "{event}");
        assert_eq!(event["user"], "ann", "{event}");
    }
}
