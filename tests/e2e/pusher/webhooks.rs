//! Webhooks of an app: what is reported, how it is signed, and that nothing is lost when the application is away.

use std::sync::atomic::{AtomicUsize, Ordering};

use fanwire_tests::{Application, Broker, HookAnswer, HookCall, eventually};
use serde_json::{Value, json};

use super::fixture::{APP, KEY, Pusher, sign};

const ALL: &str = "'channel_occupied', 'channel_vacated', 'member_added', 'member_removed', 'client_event', 'cache_miss', \
                   'subscription_count'";

fn accepting() -> Application {
    Application::start(|_| HookAnswer::Json(json!({})))
}

fn broker(application: &Application, events: &str) -> Broker {
    let hooks = application.config("");
    let url = hooks.lines().find_map(|line| line.strip_prefix("url = ")).expect("a URL");
    let webhooks = format!("webhooks = [{{ url = {url}, events = [{events}] }}]\n");
    Broker::with_file(&format!("{APP}subscription_count = true\n{webhooks}"), &[])
}

/// Returns all events of these calls.
fn events_of(calls: &[HookCall]) -> Vec<Value> {
    calls.iter().flat_map(|call| call.json()["events"].as_array().expect("events").clone()).collect()
}

/// Waits for these events, in this order, among those of the names in `of`.
fn expect(application: &Application, of: &[&str], expected: &[Value]) {
    let seen = || -> Vec<Value> {
        let all = events_of(&application.calls());
        all.into_iter().filter(|event| of.iter().any(|name| event["name"] == *name)).collect()
    };
    eventually("the events", || (seen().len() >= expected.len()).then_some(()));
    assert_eq!(seen(), expected);
}

#[test]
fn a_call_is_signed_and_has_the_form_that_libraries_read() {
    let application = accepting();
    let broker = broker(&application, ALL);
    let mut client = Pusher::connect(broker.address());
    client.send("pusher:subscribe", json!({"channel": "news"}));
    let call = &application.await_calls(1)[0];
    let header =
        |name: &str| call.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-pusher-key"), Some(KEY));
    assert_eq!(header("x-pusher-signature"), Some(&*sign(&call.body)));
    let body = call.json();
    let now_ms = fanwire_tests::unix_seconds() * 1000;
    assert!(body["time_ms"].as_u64().unwrap().abs_diff(now_ms) < 60_000, "{body}");
    assert_eq!(body["events"][0], json!({"name": "channel_occupied", "channel": "news"}));
    broker.await_metric("fanwire_pusher_webhook_events_delivered_total", 2.0);
}

#[test]
fn channels_and_members_are_reported_and_what_does_not_last_is_not() {
    let application = accepting();
    let broker = broker(&application, ALL);
    let ann = r#"{"user_id":"ann"}"#;
    let mut client = Pusher::connect(broker.address());
    client.subscribe("presence-a", Some(ann));
    for _ in 0..3 {
        client.send("pusher:unsubscribe", json!({"channel": "presence-a"}));
        client.subscribe("presence-a", Some(ann));
    }
    client.send("pusher:unsubscribe", json!({"channel": "presence-a"}));
    let channel = |name: &str| json!({"name": name, "channel": "presence-a"});
    let member = |name: &str| json!({"name": name, "channel": "presence-a", "user_id": "ann"});
    let names = ["channel_occupied", "channel_vacated"];
    expect(&application, &names, &[channel("channel_occupied"), channel("channel_vacated")]);
    let names = ["member_added", "member_removed"];
    expect(&application, &names, &[member("member_added"), member("member_removed")]);
}

#[test]
fn events_of_clients_missing_events_and_numbers_are_reported() {
    let application = accepting();
    let broker = broker(&application, "'client_event', 'cache_miss', 'subscription_count'");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("presence-a", Some(r#"{"user_id":"7"}"#));
    for (event, data) in [("client-x", json!({"a": 1})), ("client-y", json!("text"))] {
        client.socket.send_json(&json!({"event": event, "channel": "presence-a", "data": data}));
    }
    client.subscribe("cache-a", None);
    let socket_id = client.socket_id.clone();
    let event = |event: &str, data: &str| {
        json!({"name": "client_event", "channel": "presence-a", "event": event, "data": data,
               "socket_id": socket_id, "user_id": "7"})
    };
    expect(&application, &["client_event"], &[event("client-x", r#"{"a":1}"#), event("client-y", "text")]);
    expect(&application, &["cache_miss"], &[json!({"name": "cache_miss", "channel": "cache-a"})]);
    let count = json!({"name": "subscription_count", "channel": "cache-a", "subscription_count": 1});
    expect(&application, &["subscription_count"], &[count]);
    expect(&application, &["channel_occupied", "member_added"], &[]);
}

#[test]
fn an_answer_that_is_no_success_is_repeated_until_it_is_one() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let application = Application::start(|_| {
        let refusals = ["400 Bad Request", "500 Internal Server Error", "302 Found"];
        match refusals.get(CALLS.fetch_add(1, Ordering::SeqCst)) {
            Some(status) => HookAnswer::Raw(format!(
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )),
            None => HookAnswer::Json(json!({})),
        }
    });
    let broker = broker(&application, "'channel_occupied'");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("a", None);
    let calls = application.await_calls(4);
    let expected = json!([{"name": "channel_occupied", "channel": "a"}]);
    assert!(calls.iter().all(|call| call.json()["events"] == expected), "{calls:?}");
    broker.await_metric("fanwire_pusher_webhook_events_delivered_total", 1.0);
    assert_eq!(broker.metric("fanwire_pusher_webhook_retries_total"), 3.0);
}

#[test]
fn a_broker_that_stops_reports_what_ends_with_it() {
    let application = accepting();
    let mut broker = broker(&application, "'channel_vacated', 'member_removed'");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("presence-a", Some(r#"{"user_id":"7"}"#));
    broker.terminate();
    assert_eq!(client.closed().0, 4200);
    assert!(broker.wait().success());
    let mut names: Vec<Value> =
        events_of(&application.calls()).into_iter().map(|event| event["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["channel_vacated", "member_removed"]);
}
