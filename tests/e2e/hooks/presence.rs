//! The webhook events `join` and `leave`.

use std::net::SocketAddr;

use fanwire_tests::{Application, Broker, Opcode, SECRET, WebSocket, token_of, unix_seconds};
use serde_json::{Value, json};

use super::allow;

fn broker(application: &Application, keys: &str) -> Broker {
    let text = format!(
        "[auth]\nsecret = '{SECRET}'\n[limits]\npresence_grace = '100ms'\n{}\
         [[topic]]\nmatch = 'room.>'\npresence = true\nsubscribe = 'anyone'\n",
        application.config(&format!("[webhooks]\nevents = ['join', 'leave']\ndelay = '1ms'\n{keys}"))
    );
    Broker::with_file(&text, &["--workers", "2"])
}

fn enter(address: SocketAddr, user: &str, topic: &str) -> WebSocket {
    let claims = json!({"sub": user, "exp": unix_seconds() + 3600, "fanwire": {"info": {"name": user}}});
    let mut socket = WebSocket::open(address, &format!("/ws?token={}", token_of(&claims)));
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    socket
}

fn leave(mut socket: WebSocket) {
    socket.send_frame(true, Opcode::CLOSE, b"");
    socket.read_to_close();
}

fn reported(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let line = |event: &Value| {
        format!("{} {} {}", text(&event["hook"]), text(&event["user"]), text(&event["topic"]))
    };
    events.iter().map(line).collect()
}

#[test]
fn users_come_and_go_once_over_all_their_connections() {
    let application = Application::start(allow);
    let broker = broker(&application, "");
    let ann = enter(broker.address(), "ann", "room.1");
    let second = enter(broker.address(), "ann", "room.1");
    let bob = enter(broker.address(), "bob", "room.1");
    leave(ann);
    leave(bob);
    let mut expected = vec!["join ann room.1", "join bob room.1", "leave bob room.1"];
    assert_eq!(reported(&application.await_events(3)), expected);
    // The grace of a broken connection passes before the user leaves.
    drop(second);
    expected.push("leave ann room.1");
    let events = application.await_events(4);
    assert_eq!(reported(&events), expected);
    assert_eq!(events[0]["info"], json!({"name": "ann"}));
    assert_eq!(
        events[0]["connection"], events[3]["connection"],
        "the member that leaves is the one that came"
    );
}

#[test]
fn only_configured_topics_are_reported() {
    let application = Application::start(allow);
    let broker = broker(&application, "topics = ['room.2']");
    let _one = enter(broker.address(), "ann", "room.1");
    let _two = enter(broker.address(), "ann", "room.2");
    assert_eq!(reported(&application.await_events(1)), ["join ann room.2"]);
}
