//! The webhook events `occupied` and `vacated`.

use std::net::{Shutdown, SocketAddr};

use fanwire_tests::{Application, Broker, Events, Http, Opcode, WebSocket, get, post};
use serde_json::{Value, json};

use super::allow;

/// Reports occupied topics at once, and vacated topics soon.
const WEBHOOKS: &str = "[webhooks]\nevents = ['occupied', 'vacated']\ndelay = '1ms'\nvacated_after = '100ms'";

/// Returns the events, each as in `occupied a`.
fn reported(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    events.iter().map(|event| format!("{} {}", text(&event["hook"]), text(&event["topic"]))).collect()
}

fn check_reported(application: &Application, expected: &[&str]) {
    assert_eq!(reported(&application.await_events(expected.len())), expected);
}

fn subscriber(address: SocketAddr, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    socket
}

fn leave(mut socket: WebSocket) {
    socket.send_frame(true, Opcode::CLOSE, b"");
    socket.read_to_close();
}

#[test]
fn only_the_first_subscriber_and_the_last_are_reported() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&application.config(WEBHOOKS), &["--workers", "3"]);
    let sockets: Vec<WebSocket> = (0..7).map(|_| subscriber(broker.address(), "a")).collect();
    // Seven subscribers are spread over three workers; only the first to join and the last to leave are reported.
    check_reported(&application, &["occupied a"]);
    for socket in sockets {
        assert_eq!(application.events().len(), 1);
        leave(socket);
    }
    check_reported(&application, &["occupied a", "vacated a"]);
    let again = subscriber(broker.address(), "a");
    check_reported(&application, &["occupied a", "vacated a", "occupied a"]);
    again.stream().shutdown(Shutdown::Both).expect("it is open");
    check_reported(&application, &["occupied a", "vacated a", "occupied a", "vacated a"]);
}

#[test]
fn unsubscribing_is_leaving() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&application.config(WEBHOOKS), &[]);
    let mut socket = subscriber(broker.address(), "a");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    socket.ask(&json!({"type": "unsubscribe", "id": 3, "topic": "a"}));
    check_reported(&application, &["occupied a", "vacated a"]);
}

#[test]
fn a_session_that_returns_at_once_causes_no_vacated_event() {
    let application = Application::start(allow);
    let keys = WEBHOOKS.replace("'100ms'", "'1h'");
    let broker = Broker::with_file(&application.config(&keys), &["--workers", "2"]);
    for _ in 0..10 {
        leave(subscriber(broker.address(), "a"));
        leave(subscriber(broker.address(), "a.>"));
    }
    let _last = subscriber(broker.address(), "last");
    check_reported(&application, &["occupied a", "occupied a.>", "occupied last"]);
    broker.await_metric("fanwire_webhook_graces", 2.0);
}

#[test]
fn every_transport_occupies() {
    let application = Application::start(allow);
    let broker = Broker::with_file(&application.config(WEBHOOKS), &["--workers", "2"]);
    let address = broker.address();
    let mut expected = Vec::new();
    let mut check = |topic: &str, begin: &dyn Fn(&str) -> Box<dyn FnOnce()>| {
        let end = begin(topic);
        expected.push(format!("occupied {topic}"));
        assert_eq!(reported(&application.await_events(expected.len())), expected);
        end();
        expected.push(format!("vacated {topic}"));
        assert_eq!(reported(&application.await_events(expected.len())), expected);
    };
    check("json", &|topic| {
        let socket = subscriber(address, topic);
        Box::new(move || leave(socket))
    });
    check("bare", &|topic| {
        let socket = WebSocket::open(address, &format!("/topics/{topic}"));
        Box::new(move || leave(socket))
    });
    check("sse", &|topic| {
        let events = Events::open(address, &format!("/topics/{topic}"), "");
        Box::new(move || drop(events))
    });
    check("stream", &|topic| {
        let events = Events::open(address, &format!("/stream?topic={topic}"), "");
        Box::new(move || drop(events))
    });
    check("poll", &|topic| {
        let mut http = Http::connect(address);
        http.send(format!("GET /topics/{topic}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let topic = topic.to_owned();
        Box::new(move || {
            post(address, &format!("/topics/{topic}"), "text/plain", b"x");
            assert_eq!(http.read().json()["messages"][0]["data"], "x");
        })
    });
    // A pattern occupies itself, under its own name, and none of the topics that it matches.
    check("patterns.>", &|pattern| {
        let socket = subscriber(address, pattern);
        post(address, "/topics/patterns.a", "text/plain", b"x");
        Box::new(move || leave(socket))
    });
}

#[test]
fn polls_that_come_again_and_again_are_one_subscriber() {
    let application = Application::start(allow);
    // A whole second is between the end of the last poll and the vacated event.
    let keys = WEBHOOKS.replace("'100ms'", "'1s'");
    let broker = Broker::with_file(&application.config(&keys), &["--workers", "2"]);
    let address = broker.address();
    let mut cursor = get(address, "/topics/a").json()["cursor"].as_str().expect("a cursor").to_owned();
    for number in 0..30 {
        // Every other poll finds a message and does not wait; the others wait for one.
        let mut http = Http::connect(address);
        let publish = || post(address, "/topics/a", "text/plain", number.to_string().as_bytes());
        if number % 2 == 0 {
            publish();
        }
        http.send(
            format!("GET /topics/a?wait=60&since={cursor} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        if number % 2 == 1 {
            broker.await_metric("fanwire_connections{transport=\"poll\"}", 1.0);
            publish();
        }
        let answer = http.read().json();
        assert_eq!(answer["messages"][0]["data"], number.to_string(), "{answer}");
        answer["cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
    }
    check_reported(&application, &["occupied a", "vacated a"]);
    // A poll that never waits, because there is always a message, is a subscriber; a read of history is not.
    get(address, "/topics/a");
    post(address, "/topics/b", "text/plain", b"x");
    get(address, "/topics/b?wait=60");
    check_reported(&application, &["occupied a", "vacated a", "occupied b", "vacated b"]);
}

#[test]
fn only_configured_topics_are_reported() {
    let application = Application::start(allow);
    let keys = format!("{WEBHOOKS}\ntopics = ['chat.*', 'room']");
    let broker = Broker::with_file(&application.config(&keys), &[]);
    let topics = ["other", "chat", "chat.a.b", "chat.a", "room", "elsewhere.>", "chat.>"];
    let sockets: Vec<WebSocket> = topics.iter().map(|topic| subscriber(broker.address(), topic)).collect();
    let occupied = ["occupied chat.a", "occupied room", "occupied chat.>"];
    check_reported(&application, &occupied);
    sockets.into_iter().for_each(leave);
    // Sessions on different workers end in any order.
    let mut vacated = reported(&application.await_events(6)).split_off(3);
    vacated.sort();
    assert_eq!(vacated, ["vacated chat.>", "vacated chat.a", "vacated room"]);
}

#[test]
fn events_of_a_topic_stay_in_order_while_sessions_come_and_go() {
    let application = Application::start(allow);
    let keys = WEBHOOKS.replace("'100ms'", "'1ms'");
    let broker = Broker::with_file(&application.config(&keys), &["--workers", "4"]);
    let address = broker.address();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..20 {
                    leave(subscriber(address, ["a", "b", "c.>"][number % 3]));
                }
            });
        }
    });
    // After all have left, occupied and vacated events alternate, and vacated is the last.
    let states = fanwire_tests::eventually("all are vacated", || {
        let mut states = std::collections::BTreeMap::<String, bool>::new();
        for event in application.events() {
            let is_occupied = event["hook"] == "occupied";
            let before = states.insert(event["topic"].as_str().expect("text").to_owned(), is_occupied);
            assert_ne!(before.unwrap_or(false), is_occupied, "by turns: {event}");
        }
        states.values().all(|is_occupied| !is_occupied).then_some(states).filter(|states| states.len() == 3)
    });
    assert_eq!(states.len(), 3);
}
