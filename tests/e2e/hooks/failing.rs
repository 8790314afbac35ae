//! Applications that are dead, slow or answer nonsense: clients that need them are refused, and others are not delayed.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use fanwire_tests::{Application, Broker, HOOKS_SECRET, HookAnswer, WebSocket, nth_offset, post};
use serde_json::json;

use super::allow;

/// Checks that a publish is refused whose callout is answered by `answer`, and that the log contains `reason`.
fn check_refused(answer: HookAnswer, keys: &str, reason: &str) {
    let application = Application::start(move |_| answer.clone());
    let broker = Broker::with_file(&application.config(&format!("callouts = ['publish']\n{keys}")), &[]);
    check_unavailable(&broker, reason);
}

fn check_unavailable(broker: &Broker, reason: &str) {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "publish", "id": 1, "topic": "a", "data": 1}));
    assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("unavailable")), "{reply}");
    let reported = reply["message"].as_str().expect("an error has a message");
    for internal in ["127.0.0.1", "http:", "500", "rubbish", HOOKS_SECRET] {
        assert!(!reported.contains(internal), "clients do not learn this: {reported}");
    }
    post(broker.address(), "/topics/a", "text/plain", b"x").check_problem(503, "unavailable");
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
    broker.await_metric("fanwire_callouts_total{outcome=\"failed\"}", 2.0);
    broker.await_metric("fanwire_callouts_active", 0.0);
    let log = broker.log();
    assert!(log.contains(reason), "'{reason}' in {log}");
    assert!(!log.contains(HOOKS_SECRET), "{log}");
}

fn raw(head: &str, body: &str) -> HookAnswer {
    HookAnswer::Raw(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

#[test]
fn a_server_error_is_a_no() {
    check_refused(raw("500 Internal Server Error", "{\"allow\":true}"), "", "it answered 500");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Application::start(allow);
    let url = elsewhere.config("");
    let url = url.split('\'').nth(1).unwrap();
    check_refused(
        raw(&format!("307 Temporary Redirect\r\nLocation: {url}"), "{\"allow\":true}"),
        "",
        "redirects are not followed",
    );
    assert!(elsewhere.calls().is_empty());
}

#[test]
fn rubbish_is_a_no() {
    for body in
        ["<html>rubbish", "", "true", "{\"allow\":\"yes\"}", "{\"allow\":1}", "{}", "[]", "{\"allow\":true"]
    {
        check_refused(raw("200 OK", body), "", "the answer is not valid");
    }
    check_refused(raw("200 OK", "{\"allow\":true,\"data\":1,\"data_base64\":\"\"}"), "", "both 'data'");
    check_refused(HookAnswer::Raw("rubbish\r\n\r\n".to_owned()), "", "it cannot be reached");
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"allow\":true}";
    check_refused(HookAnswer::Raw(cut.to_owned()), "", "it cannot be reached");
}

#[test]
fn an_answer_that_is_too_large_is_a_no() {
    let body = format!("{{\"allow\":true,\"data\":\"{}\"}}", "x".repeat(2000));
    check_refused(raw("200 OK", &body), "answer_bytes_max = 1000", "the answer has more than 1000 bytes");
    check_refused(raw("200 OK", &body), "[limits]\nmessage_bytes_max = 1500", "the maximum is 1500");
}

#[test]
fn no_answer_is_a_no() {
    check_refused(HookAnswer::Silence, "timeout = '300ms'", "no whole answer came within 0.3 s");
}

#[test]
fn an_application_that_is_down_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config =
        format!("[hooks]\nurl = 'http://{free}/'\nsecret = '{HOOKS_SECRET}'\ncallouts = ['publish']\n");
    check_unavailable(&Broker::with_file(&config, &[]), "it cannot be reached");
}

#[test]
fn a_silent_application_holds_up_only_those_who_need_it() {
    const TIMEOUT: Duration = Duration::from_secs(6);
    let application = Application::start(|_| HookAnswer::Silence);
    let keys = "callouts = ['publish', 'subscribe', 'request']\ncallout_topics = ['asked.>']\ntimeout = '6s'";
    let broker = Broker::with_file(&application.config(keys), &[]);
    let begun = Instant::now();
    let mut stuck: Vec<WebSocket> = (0..80).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    for socket in &mut stuck {
        socket.send_json(&json!({"type": "publish", "id": 1, "topic": "asked.a", "data": 1}));
    }
    let check_stuck = |waiting: f64| {
        broker.await_metric("fanwire_callouts_active", 64.0);
        broker.await_metric("fanwire_callouts_waiting", waiting);
    };
    check_stuck(16.0);
    // Meanwhile other sessions continue: those without a callout, and those that wait only for a response.
    let mut free = WebSocket::open(broker.address(), "/ws");
    free.send_json(&json!({"type": "request", "id": 1, "method": "m", "data": 0}));
    assert_eq!(free.ask(&json!({"type": "subscribe", "id": 2, "topic": "free"}))["type"], "subscribed");
    for number in 0..100 {
        free.send_json(&json!({"type": "publish", "topic": "free", "data": number}));
        assert_eq!(free.read_json()["data"], number);
    }
    // All callouts are still pending, so none of this has waited for them.
    check_stuck(17.0);
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    // A waiting callout fails after the time-out; the wait for a permit is part of it.
    for socket in stuck.iter_mut().chain([&mut free]) {
        let reply = socket.read_json();
        assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("unavailable")), "{reply}");
    }
    assert!((TIMEOUT..TIMEOUT * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    broker.await_metric("fanwire_callouts_total{outcome=\"failed\"}", 81.0);
    broker.await_metric("fanwire_callouts_active", 0.0);
    broker.await_metric("fanwire_callouts_waiting", 0.0);
    assert_eq!(free.ask(&json!({"type": "ping", "id": 3}))["type"], "pong");
}

#[test]
fn session_has_a_bounded_number_of_pending_requests() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let application = Application::start(move |call| {
        // A receiver without a sender lets the call continue.
        let _open = gate.lock().expect("no call panics").recv();
        HookAnswer::Json(json!({"allow": true, "data": call.json()["data"]}))
    });
    let keys = "callouts = ['request']\ncallouts_at_once_max = 1000\ntimeout = '20s'";
    let broker = Broker::with_file(&application.config(keys), &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for number in 0..100 {
        socket.send_json(&json!({"type": "request", "id": number, "method": "m", "data": number}));
    }
    application.await_calls(64);
    // Other sessions have bounds of their own.
    let mut other = WebSocket::open(broker.address(), "/ws");
    other.send_json(&json!({"type": "request", "id": 1, "method": "m", "data": "other"}));
    application.await_calls(65);
    drop(open);
    assert_eq!(other.read_json()["data"], "other");
    let mut answered = [false; 100];
    for _ in 0..100 {
        let response = socket.read_json();
        let number = response["data"].as_u64().expect("a number") as usize;
        assert_eq!(response["id"], number, "{response}");
        assert!(!std::mem::replace(&mut answered[number], true), "twice: {response}");
    }
    let most = application.calls_at_once();
    assert!((64..=65).contains(&most), "64 of the one, and the other's: {most}");
}

#[test]
fn there_are_no_more_questions_at_once_than_configured() {
    let application = Application::start(|call| {
        // Long enough for further calls to overlap, if they were made.
        std::thread::sleep(Duration::from_millis(20));
        allow(call)
    });
    let broker =
        Broker::with_file(&application.config("callouts = ['publish']\ncallouts_at_once_max = 3"), &[]);
    let messages: Vec<_> = (0..30).map(|number| json!({"topic": "a", "data": number})).collect();
    let body = json!({"messages": messages}).to_string();
    let results = post(broker.address(), "/publish", "application/json", body.as_bytes()).json();
    let offsets: Vec<_> =
        results["results"].as_array().unwrap().iter().map(|result| result["offset"].as_u64()).collect();
    assert_eq!(offsets, (1..=30).map(|count| Some(nth_offset(count))).collect::<Vec<_>>());
    assert_eq!(application.calls_at_once(), 3);
}

#[test]
fn too_many_who_wait_are_refused_at_once() {
    let application = Application::start(|_| HookAnswer::Silence);
    let keys = "callouts = ['publish']\ntimeout = '15s'\ncallouts_at_once_max = 1\ncallouts_waiting_max = 1";
    let broker = Broker::with_file(&application.config(keys), &[]);
    let mut stuck: Vec<WebSocket> = (0..2).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    for socket in &mut stuck {
        socket.send_json(&json!({"type": "publish", "topic": "a", "data": 1}));
    }
    broker.await_metric("fanwire_callouts_waiting", 1.0);
    post(broker.address(), "/topics/a", "text/plain", b"x").check_problem(503, "unavailable");
    // A callout that had waited for its time-out would be refused in other words.
    assert!(broker.log().contains("hooks.callouts_waiting_max"), "{}", broker.log());
}

#[test]
fn callouts_that_wait_hold_a_bounded_number_of_bytes() {
    let application = Application::start(|_| HookAnswer::Silence);
    let keys = "callouts = ['publish']\ntimeout = '15s'\ncallouts_at_once_max = 1\ncallouts_bytes_max = 1500";
    let broker = Broker::with_file(&application.config(keys), &[]);
    let publish =
        |length: usize| json!({"type": "publish", "id": 1, "topic": "a", "data": "x".repeat(length)});
    let mut large = WebSocket::open(broker.address(), "/ws");
    large.send_json(&publish(1000));
    broker.await_metric("fanwire_callouts_active", 1.0);
    assert!(broker.metric("fanwire_callouts_bytes") > 1000.0);
    let mut small = WebSocket::open(broker.address(), "/ws");
    small.send_json(&publish(1));
    broker.await_metric("fanwire_callouts_waiting", 1.0);
    let reply = WebSocket::open(broker.address(), "/ws").ask(&publish(1000));
    assert_eq!(reply["code"], "unavailable", "{reply}");
    assert!(broker.log().contains("hooks.callouts_bytes_max"), "{}", broker.log());
    drop((large, small));
    broker.await_metric("fanwire_callouts_bytes", 0.0);
    // A callout that is larger than the maximum is made if there is no other.
    let mut larger = WebSocket::open(broker.address(), "/ws");
    larger.send_json(&publish(5000));
    broker.await_metric("fanwire_callouts_active", 1.0);
}
