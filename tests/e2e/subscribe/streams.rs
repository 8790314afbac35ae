//! Event streams over many topics: joined at once, in order, with presence; and streams that are refused for a passing reason.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use fanwire_tests::{
    AUTH, Application, Broker, DataDirectory, Events, HookAnswer, WebSocket, eventually, get, nth_offset,
    post, request, token_for,
};
use serde_json::{Value, json};

use crate::fixtures::texts::{publish, subscribe};

/// Returns the next message of a stream with `envelope=true`.
fn next_message(events: &mut Events) -> Value {
    loop {
        let event = events.next_event().expect("the stream goes on");
        assert_ne!(event.kind, "gap", "nothing is lost");
        if event.kind == "message" {
            return serde_json::from_str(&event.data).expect("it is JSON");
        }
    }
}

#[test]
fn topics_of_a_stream_are_joined_at_once_however_long_the_application_takes() {
    let address: Arc<OnceLock<SocketAddr>> = Arc::default();
    let broker_address = address.clone();
    let application = Application::start(move |call| {
        // While the application is asked about the second topic, another client publishes to the first.
        if call.json()["topic"] == "second" {
            publish(*broker_address.get().expect("it runs"), "first", "meanwhile");
        }
        HookAnswer::Json(json!({"allow": true}))
    });
    let broker = Broker::with_file(&application.config("callouts = ['subscribe']"), &[]);
    address.set(broker.address()).expect("once");
    for number in 0..5 {
        publish(broker.address(), "first", &number.to_string());
    }
    let path = "/stream?topic=first&topic=second&since=earliest&envelope=true";
    let mut events = Events::open(broker.address(), path, "");
    let offsets: Vec<_> = (0..6).map(|_| next_message(&mut events)["offset"].as_u64()).collect();
    assert_eq!(offsets, (1..=6).map(|count| Some(nth_offset(count))).collect::<Vec<_>>());
}

#[test]
fn a_stream_over_many_durable_topics_gives_each_in_order_and_resumes_from_any_id() {
    let directory = DataDirectory::new();
    let rules = "[[topic]]\nmatch = 'kept.>'\ndurable = true\n";
    let names: Vec<String> = (0..20).map(|number| format!("kept.{number}")).collect();
    let broker = directory.serve(rules);
    for round in 1..=3 {
        names.iter().for_each(|name| drop(publish(broker.address(), name, &round.to_string())));
    }
    let broker = directory.restart(broker, rules);
    let address = broker.address();
    let is_over = Arc::new(AtomicBool::new(false));
    let publisher = {
        let (names, is_over) = (names.clone(), is_over.clone());
        std::thread::spawn(move || {
            for round in 4.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                names.iter().for_each(|name| drop(publish(address, name, &round.to_string())));
            }
        })
    };
    let topics: Vec<String> = names.iter().map(|name| format!("topic={name}")).collect();
    let path = format!("/stream?{}&since=earliest&envelope=true", topics.join("&"));
    let mut seen = vec![0; names.len()];
    let mut last_event_id: Option<String> = None;
    for messages in [1, 7, 30, 100] {
        let headers = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let mut events = Events::open(address, &path, &headers);
        for _ in 0..messages {
            let message = next_message(&mut events);
            let index = names.iter().position(|name| message["topic"] == **name).expect("it was asked for");
            seen[index] += 1;
            assert_eq!(message["data"], seen[index].to_string(), "{message}");
        }
        last_event_id = events.last_event_id.clone();
    }
    is_over.store(true, Ordering::Relaxed);
    publisher.join().expect("it publishes");
}

#[test]
fn presence_events_come_over_streams_with_envelopes_and_in_polls() {
    let text = format!("{AUTH}[[topic]]\nmatch = 'room.>'\npresence = true\nsubscribe = 'anyone'\n");
    let broker = Broker::with_file(&text, &[]);
    let address = broker.address();
    let (eve, paul) = (token_for("eve", &[], &[]), token_for("paul", &[], &[]));
    let path = format!("/stream?topic=room.1&topic=room.2&envelope=true&token={eve}");
    let mut events = Events::open(address, &path, "");
    let id = eventually("the stream says where it begins", || events.next_block()?.id);
    let poll =
        std::thread::spawn(move || get(address, &format!("/topics/room.2?wait=30&token={paul}")).json());
    let joined = events.next_event().expect("the poll is a member");
    let data: Value = serde_json::from_str(&joined.data).expect("it is JSON");
    assert_eq!(
        (joined.kind.as_str(), &data["user"], &data["topic"]),
        ("join", &json!("paul"), &json!("room.2"))
    );
    assert_eq!((data.get("type"), joined.id), (None, None), "{id}");
    let ann = token_for("ann", &[], &[]);
    let socket = WebSocket::open(address, &format!("/topics/room.2?token={ann}"));
    let answer = poll.join().expect("it is answered");
    let event = &answer["presence"][0];
    assert_eq!(
        (&event["type"], &event["user"], &event["topic"]),
        (&json!("join"), &json!("ann"), &json!("room.2"))
    );
    assert_eq!((&answer["messages"], &answer["gap"]), (&json!([]), &json!(false)), "{answer}");
    drop(socket);
}

#[test]
fn a_stream_refused_for_a_passing_reason_says_when_to_reconnect() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = nowhere.local_addr().expect("an address");
    drop(nowhere);
    let config = Application::config_of(dead, "callouts = ['connect']\ntimeout = '1s'");
    let broker = Broker::with_file(&config, &[]);
    let mut waits = Vec::new();
    for path in ["/topics/t", "/stream?topic=a&topic=b", "/topics/t?since=earliest", "/topics/u"] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        let answer = request(broker.address(), &text);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        let stream = answer.text();
        let line = |name: &str| {
            let line = stream.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
            line.trim().to_owned()
        };
        let data: Value = serde_json::from_str(&line("data:")).expect("it is JSON");
        assert_eq!(line("event:"), "closing");
        assert_eq!((&data["code"], &data["reconnect"]), (&json!(1001), &json!(true)), "{data}");
        assert_eq!(line("retry:"), data["after_ms"].to_string());
        waits.push(data["after_ms"].as_u64().expect("a number"));
    }
    assert!(waits.iter().all(|wait| (1_000..=10_000).contains(wait)), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 1, "clients do not all reconnect at once: {waits:?}");
    // Others are told by the status.
    get(broker.address(), "/topics/t").check_problem(503, "unavailable");
}

#[test]
fn an_id_that_is_no_cursor_is_a_gap_and_a_polyfills_parameter_resumes() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    publish(address, "t", "one");
    let mut events = Events::open(address, "/topics/t", "Last-Event-ID: 42\r\n");
    let gap = events.next_event().expect("it begins");
    assert_eq!(gap.kind, "gap");
    assert_eq!(events.next_data(), "one");
    let id = events.last_event_id.clone().expect("each event has one");
    publish(address, "t", "two");
    for name in ["lastEventId", "lastEventID"] {
        let mut events = Events::open(address, &format!("/topics/t?since=earliest&{name}={id}"), "");
        assert_eq!(events.next_data(), "two", "{name}");
    }
    let mut newest = Events::open(address, "/topics/t?last=1", "");
    assert_eq!(newest.next_data(), "two");
}

#[test]
fn a_stream_that_skips_is_told_as_soon_as_it_has_caught_up() {
    let rules = "[limits]\noutbox_bytes_max = '1MiB'\n[[topic]]\nmatch = 'fast'\nslow = 'skip'\n";
    let broker = Broker::with_file(rules, &[]);
    let address = broker.address();
    let mut events = Events::open(address, "/topics/fast", "");
    let payload = "x".repeat(200_000);
    let mut sent = 0;
    while broker.metric("fanwire_dropped_deliveries_total{reason=\"skipped\"}") < 1.0 {
        assert!(sent < 500, "100 MB into an outbox of 1 MiB");
        post(address, "/topics/fast", "text/plain", payload.as_bytes());
        sent += 1;
    }
    // Nothing is published any more.
    loop {
        let event = events.next_event().expect("the stream goes on");
        if event.kind == "gap" {
            assert!(event.data.contains("\"missed\":"), "{}", event.data);
            break;
        }
    }
    drop(subscribe(address, "fast"));
}
