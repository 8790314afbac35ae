//! How events get to the application: together, in order, again and again until it takes them, and within bounds.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fanwire_tests::{Application, Broker, HookAnswer, HookCall, WebSocket, eventually, post};
use serde_json::{Value, json};

use super::{allow, status};

const WEBHOOKS: &str = "[webhooks]\nevents = ['disconnect', 'occupied']\ndelay = '1ms'\nbackoff_max = '50ms'";

/// Answers the first calls by `answers`, and accepts all further ones.
fn at_first(answers: Vec<HookAnswer>) -> impl Fn(&HookCall) -> HookAnswer + Send + Sync + 'static {
    let calls = AtomicUsize::new(0);
    move |call| answers.get(calls.fetch_add(1, Ordering::SeqCst)).cloned().unwrap_or_else(|| allow(call))
}

/// Causes one webhook event: the first subscription to this topic.
fn happen(broker: &Broker, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    assert_eq!(socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}))["type"], "subscribed");
    socket
}

fn topics(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["topic"].as_str()).collect()
}

/// Checks that an event that is first answered by `answer` is delivered again, and that the log reports this once.
fn check_delivered_again(answer: HookAnswer, keys: &str, reason: &str) {
    let application = Application::start(at_first(vec![answer.clone(), answer]));
    let broker = Broker::with_file(&application.config(&format!("{keys}\n{WEBHOOKS}")), &[]);
    let _socket = happen(&broker, "a");
    let calls: Vec<Value> = application.await_calls(3).iter().map(HookCall::json).collect();
    for (index, call) in calls.iter().enumerate() {
        assert_eq!(call["attempt"], index + 1, "{call}");
        assert_eq!(call["events"], calls[0]["events"], "the same event, by the same id");
        assert_ne!(call["id"], calls[(index + 1) % 3]["id"], "each call has its own id");
    }
    broker.await_metric("fanwire_webhook_events_delivered_total", 1.0);
    assert_eq!(broker.metric("fanwire_webhook_retries_total"), 2.0);
    let log = broker.log();
    assert_eq!(log.matches("could not be delivered").count(), 1, "once, not for each attempt: {log}");
    assert!(log.contains(reason), "'{reason}' in {log}");
    assert!(log.contains("events are delivered again"), "{log}");
    let _other = happen(&broker, "b");
    assert_eq!(topics(&application.await_events(2)), ["a", "b"]);
    assert_eq!(application.calls()[3].json()["attempt"], 1, "a success ends the back-off");
}

#[test]
fn what_the_application_cannot_take_now_is_delivered_again() {
    check_delivered_again(status("500 Internal Server Error", ""), "", "it answered 500");
    check_delivered_again(status("503 Service Unavailable", ""), "", "it answered 503");
    check_delivered_again(status("408 Request Timeout", ""), "", "it answered 408");
    check_delivered_again(status("429 Too Many Requests", ""), "", "it answered 429");
}

#[test]
fn what_breaks_off_or_never_ends_is_delivered_again() {
    check_delivered_again(HookAnswer::Raw(String::new()), "", "it cannot be reached");
    check_delivered_again(HookAnswer::Raw("rubbish\r\n\r\n".to_owned()), "", "it cannot be reached");
    check_delivered_again(HookAnswer::Silence, "timeout = '100ms'", "no whole answer came within 0.1 s");
}

#[test]
fn events_are_delivered_in_order_once_the_application_is_up() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker = Broker::with_file(&Application::config_of(free, WEBHOOKS), &[]);
    let names: Vec<String> = (0..50).map(|number| format!("topic.{number}")).collect();
    let _sockets: Vec<WebSocket> = names.iter().map(|name| happen(&broker, name)).collect();
    eventually("several attempts", || (broker.metric("fanwire_webhook_retries_total") >= 3.0).then_some(()));
    assert_eq!(broker.metric("fanwire_webhook_events_waiting"), 50.0);
    assert!(broker.metric("fanwire_webhook_events_waiting_bytes") > 50.0 * 60.0);
    let application = Application::start_at(free, allow);
    assert_eq!(topics(&application.await_events(50)), names);
    broker.await_metric("fanwire_webhook_events_waiting", 0.0);
    assert_eq!(broker.metric("fanwire_webhook_events_delivered_total"), 50.0);
}

#[test]
fn retry_after_is_respected() {
    let answer = status("429 Too Many Requests", "\r\nRetry-After: 2");
    let times = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (times.clone(), at_first(vec![answer]));
    let application = Application::start(move |call| {
        seen.lock().unwrap().push(Instant::now());
        answer(call)
    });
    let broker = Broker::with_file(&application.config(WEBHOOKS), &[]);
    let _socket = happen(&broker, "a");
    application.await_calls(2);
    let times = times.lock().unwrap();
    // The back-off alone would be 50 ms at most.
    assert!(times[1] - times[0] >= Duration::from_secs(2), "{:?}", times[1] - times[0]);
}

#[test]
fn what_the_application_refuses_is_dropped_and_counted() {
    let elsewhere = Application::start(allow);
    let location = elsewhere.config("").split('\'').nth(1).unwrap().to_owned();
    for (line, headers) in [
        ("400 Bad Request", String::new()),
        ("404 Not Found", String::new()),
        ("401 Unauthorized", String::new()),
        ("307 Temporary Redirect", format!("\r\nLocation: {location}")),
        ("301 Moved Permanently", format!("\r\nLocation: {location}")),
    ] {
        let answer = status(line, &headers);
        let application = Application::start(at_first(vec![answer.clone(), answer]));
        let broker = Broker::with_file(&application.config(WEBHOOKS), &[]);
        let mut sockets = Vec::new();
        for (count, topic) in ["a", "b"].into_iter().enumerate() {
            sockets.push(happen(&broker, topic));
            broker
                .await_metric("fanwire_webhook_events_dropped_total{reason=\"refused\"}", count as f64 + 1.0);
        }
        sockets.push(happen(&broker, "c"));
        let call = application.await_calls(3).swap_remove(2).json();
        assert_eq!((&call["attempt"], &call["lost"]), (&json!(1), &json!(2)), "{call}");
        assert_eq!(topics(call["events"].as_array().unwrap()), ["c"], "{call}");
        let log = broker.log();
        assert_eq!(log.matches("refuses webhook events").count(), 1, "{log}");
        assert!(log.contains(&line[..3]), "{log}");
    }
    assert!(elsewhere.calls().is_empty(), "redirects are not followed");
}

#[test]
fn batches_are_bounded_and_no_event_is_delivered_twice() {
    let application = Application::start(allow);
    let keys = "[webhooks]\nevents = ['disconnect']\ndelay = '50ms'\nbatch_events_max = 7";
    let broker = Broker::with_file(&application.config(keys), &["--workers", "2"]);
    let sockets: Vec<WebSocket> = (0..100).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    drop(sockets);
    assert_eq!(application.await_events(100).len(), 100);
    let mut ids = BTreeSet::new();
    let calls = application.calls();
    for call in &calls {
        let call = call.json();
        let events = call["events"].as_array().unwrap();
        assert!((1..=7).contains(&events.len()), "{call}");
        for event in events {
            assert!(ids.insert(event["id"].to_string()), "reported twice: {event}");
        }
    }
    assert!(calls.len() < 50, "many go together: {}", calls.len());
    assert_eq!(application.calls_at_once(), 1, "one call at a time keeps the order");
}

#[test]
fn batches_are_bounded_in_bytes() {
    let application = Application::start(allow);
    let keys = "[webhooks]\nevents = ['occupied']\ndelay = '200ms'\nbatch_bytes_max = 1000";
    let broker = Broker::with_file(&application.config(keys), &[]);
    let long = "x".repeat(200);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for number in 0..20 {
        socket.send_json(&json!({"type": "subscribe", "topic": format!("{long}{number}")}));
    }
    assert_eq!(application.await_events(20).len(), 20);
    for call in application.calls() {
        let events = call.json()["events"].as_array().unwrap().len();
        assert!((1..=3).contains(&events), "each has 280 bytes or so: {events}");
    }
}

/// An application that accepts nothing before the test permits it.
fn stuck() -> (mpsc::Sender<()>, Application) {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let application = Application::start(move |call| {
        // A receiver without a sender lets the call continue.
        let _open = gate.lock().expect("no call panics").recv();
        allow(call)
    });
    (open, application)
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_how_many() {
    let (open, application) = stuck();
    let keys = format!("timeout = '20s'\n{WEBHOOKS}\nqueue_events_max = 10");
    let broker = Broker::with_file(&application.config(&keys), &[]);
    let first = happen(&broker, "first");
    application.await_calls(1);
    let _more: Vec<WebSocket> = (0..30).map(|number| happen(&broker, &format!("topic.{number}"))).collect();
    // One event is in the call in progress and stays; nine others fit.
    broker.await_metric("fanwire_webhook_events_dropped_total{reason=\"full\"}", 21.0);
    assert_eq!(broker.metric("fanwire_webhook_events_waiting"), 10.0);
    drop(open);
    let events = application.await_events(10);
    let expected: Vec<String> =
        ["first".to_owned()].into_iter().chain((21..30).map(|number| format!("topic.{number}"))).collect();
    assert_eq!(topics(&events), expected);
    let calls: Vec<Value> = application.calls().iter().map(HookCall::json).collect();
    let lost: Vec<&Value> = calls.iter().map(|call| &call["lost"]).collect();
    assert_eq!(lost, [&json!(0), &json!(21)], "what is lost is never lost silently");
    assert_eq!(broker.log().matches("the oldest are dropped and counted").count(), 1, "{}", broker.log());
    drop(first);
    assert_eq!(application.await_events(11)[10]["hook"], "disconnect");
    assert_eq!(application.calls().last().unwrap().json()["lost"], 0);
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let (_stuck, application) = stuck();
    let keys = format!("timeout = '20s'\n{WEBHOOKS}\nqueue_bytes_max = 2000");
    let broker = Broker::with_file(&application.config(&keys), &[]);
    let long = "x".repeat(200);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for number in 0..100 {
        socket.send_json(&json!({"type": "subscribe", "topic": format!("{long}{number}")}));
    }
    eventually("the queue is full", || {
        (broker.metric("fanwire_webhook_events_dropped_total{reason=\"full\"}") >= 90.0).then_some(())
    });
    let waiting = broker.metric("fanwire_webhook_events_waiting_bytes");
    assert!((1000.0..=2000.0).contains(&waiting), "{waiting}");
}

#[test]
fn old_events_are_dropped() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker =
        Broker::with_file(&Application::config_of(free, &format!("{WEBHOOKS}\nage_max = '300ms'")), &[]);
    let _old = happen(&broker, "old");
    broker.await_metric("fanwire_webhook_events_dropped_total{reason=\"expired\"}", 1.0);
    let application = Application::start_at(free, allow);
    let _new = happen(&broker, "new");
    let call = application.await_calls(1).swap_remove(0).json();
    assert_eq!(topics(call["events"].as_array().unwrap()), ["new"]);
    assert_eq!(call["lost"], 1);
}

/// Checks that a broker whose application does not answer publishes, delivers, opens and ends sessions without delay.
fn check_unharmed(broker: &Broker, application: &Application) {
    for round in 0..20 {
        let mut sockets: Vec<WebSocket> = (0..5).map(|_| happen(broker, "free")).collect();
        for number in 0..20 {
            assert_eq!(post(broker.address(), "/topics/free", "text/plain", b"x").status, 200);
            for socket in &mut sockets {
                assert_eq!(socket.read_json()["data"], "x", "{round} {number}");
            }
        }
    }
    // If each of the 400 publishes had waited for a call, there would be as many calls.
    let calls = application.calls().len();
    assert!(calls < 200, "{calls} calls");
}

#[test]
fn a_stuck_application_costs_other_work_nothing() {
    let (_stuck, application) = stuck();
    let keys = format!("timeout = '20s'\n{WEBHOOKS}\nqueue_events_max = 100");
    let broker = Broker::with_file(&application.config(&keys), &["--workers", "2"]);
    let _socket = happen(&broker, "a");
    application.await_calls(1);
    check_unharmed(&broker, &application);
    assert_eq!(application.calls().len(), 1, "it was stuck all the time");
    eventually("the oldest grows old", || {
        (broker.metric("fanwire_webhook_events_oldest_seconds") >= 1.0).then_some(())
    });
}

#[test]
fn an_application_that_dies_during_a_call_costs_other_work_nothing() {
    let application = Application::start(|_| HookAnswer::Raw("HTTP/1.1 200 OK\r\nContent-Le".to_owned()));
    let broker = Broker::with_file(&application.config(WEBHOOKS), &["--workers", "2"]);
    let _socket = happen(&broker, "a");
    application.await_calls(3);
    check_unharmed(&broker, &application);
    assert_eq!(broker.metric("fanwire_webhook_events_delivered_total"), 0.0);
    assert!(
        broker.metric("fanwire_webhook_events_waiting") > 100.0,
        "nothing is dropped while there is room"
    );
}
