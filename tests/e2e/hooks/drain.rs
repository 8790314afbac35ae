//! Webhook events when the broker stops.

use fanwire_tests::{Application, Broker, Events, HookAnswer, WebSocket};
use serde_json::{Value, json};

use super::allow;

fn subscriber(broker: &Broker, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    assert_eq!(socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}))["type"], "subscribed");
    socket
}

fn count(events: &[Value], hook: &str) -> usize {
    events.iter().filter(|event| event["hook"] == hook).count()
}

#[test]
fn a_stopping_broker_reports_every_session_that_ends() {
    let application = Application::start(allow);
    // The delays are long, so only the drain can deliver the batch and end the grace.
    let keys = "[webhooks]\nevents = ['disconnect', 'occupied', 'vacated', 'join', 'leave']\ndelay = '1h'\nvacated_after = '1h'";
    let text = format!(
        "[limits]\npresence_grace = '1h'\n{}[[topic]]\nmatch = 'room'\npresence = true\n",
        application.config(keys)
    );
    let mut broker = Broker::with_file(&text, &["--workers", "2"]);
    let mut sockets: Vec<WebSocket> = (0..10).map(|_| subscriber(&broker, "room")).collect();
    let mut bare = WebSocket::open(broker.address(), "/topics/room");
    let mut events = Events::open(broker.address(), "/topics/a", "");
    assert!(application.calls().is_empty());
    broker.terminate();
    for socket in &mut sockets {
        socket.read_to_close();
    }
    bare.read_to_close();
    while events.next_event().is_some() {}
    drop((sockets, bare, events));
    assert_eq!(broker.wait().code(), Some(0));
    let reported = application.events();
    let counts = ["join", "leave", "occupied", "vacated", "disconnect"].map(|hook| count(&reported, hook));
    assert_eq!(counts, [11, 11, 2, 2, 12], "{reported:?}");
    for event in reported.iter().filter(|event| event["hook"] == "disconnect") {
        assert_eq!(event["code"], 1001, "{event}");
    }
}

#[test]
fn sessions_that_do_not_end_are_reported_too() {
    let application = Application::start(allow);
    let text = format!(
        "[limits]\ndrain_timeout = '2s'\nclose_timeout = '1h'\n{}",
        application.config("[webhooks]\nevents = ['disconnect']")
    );
    let mut broker = Broker::with_file(&text, &[]);
    let _deaf: Vec<WebSocket> = (0..5).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(0));
    assert_eq!(count(&application.events(), "disconnect"), 5);
}

#[test]
fn a_dead_application_does_not_keep_a_broker_from_stopping() {
    let application = Application::start(|_| HookAnswer::Silence);
    let keys = "timeout = '20s'\n[webhooks]\nevents = ['disconnect']\ndelay = '1ms'";
    let text = format!("[limits]\ndrain_timeout = '2s'\n{}", application.config(keys));
    let mut broker = Broker::with_file(&text, &[]);
    let mut sockets: Vec<WebSocket> = (0..5).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    sockets.pop();
    application.await_calls(1);
    broker.terminate();
    for socket in &mut sockets {
        socket.read_to_close();
    }
    drop(sockets);
    assert_eq!(broker.wait().code(), Some(0));
    // It has given up what was on its way, and not waited for the time-out.
    let log = broker.log();
    assert!(log.contains("before all webhook events were delivered"), "{log}");
    assert!(log.contains("\"events\":5"), "{log}");
}
