//! What comes too fast: publications of a session or to a topic, connections from an address, hand-shakes without end.

use std::time::{Duration, Instant};

use fanwire_tests::{Broker, Http, WebSocket, eventually, get, post};
use serde_json::json;

use crate::fixtures::honest::Honest;

const REFUSED_BY_SESSION: &str = "fanwire_publishes_refused_total{reason=\"session_rate\"}";
const REFUSED_BY_TOPIC: &str = "fanwire_publishes_refused_total{reason=\"topic_rate\"}";

/// A rule of one publication a second, two at once, on `slow.>`.
const SLOW_TOPICS: &str = "[[topic]]\nmatch = 'slow.>'\nrate = { per_second = 1, burst = 2 }\n";

#[test]
fn a_topic_takes_what_its_rule_says_over_every_way_in() {
    let broker = Broker::with_file(SLOW_TOPICS, &[]);
    let publish = |topic: &str| post(broker.address(), &format!("/topics/{topic}"), "text/plain", b"x");
    for _ in 0..2 {
        assert_eq!(publish("slow.http").status, 200);
    }
    let refused = publish("slow.http");
    refused.check_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("'slow.http'") && detail.contains("1 publications a second"), "{detail}");
    assert_eq!(publish("slow.other").status, 200, "each topic of the rule has a rate of its own");
    assert_eq!(publish("quick").status, 200);

    let mut socket = WebSocket::open(broker.address(), "/ws");
    let frame = |id: u32| json!({"type": "publish", "id": id, "topic": "slow.frames", "data": id});
    assert_eq!(socket.ask(&frame(1))["type"], "published");
    assert_eq!(socket.ask(&frame(2))["type"], "published");
    let error = socket.ask(&frame(3));
    assert_eq!((&error["type"], &error["code"]), (&"error".into(), &"rate_limited".into()), "{error}");
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 4}))["type"], "pong", "the session goes on");

    let mut bare = WebSocket::open(broker.address(), "/topics/slow.bare?echo=false");
    for _ in 0..3 {
        bare.send_text("x");
    }
    // A bare WebSocket has no frame to say it in.
    assert_eq!(bare.read_to_close().0, Some(4429));
    broker.await_metric(REFUSED_BY_TOPIC, 3.0);
    broker.await_metric(REFUSED_BY_SESSION, 0.0);
}

#[test]
fn a_client_that_waits_for_retry_after_is_served() {
    let broker = Broker::with_file(SLOW_TOPICS, &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut accepted = 0;
    let started = Instant::now();
    let mut id = 0;
    while accepted < 4 {
        id += 1;
        let answer = socket.ask(&json!({"type": "publish", "id": id, "topic": "slow.a", "data": id}));
        if answer["type"] == "published" {
            accepted += 1;
            continue;
        }
        let message = answer["message"].as_str().expect("an error has a message");
        let wait = message.split("publish again in ").nth(1).and_then(|rest| rest.strip_suffix(" ms"));
        let wait: u64 =
            wait.and_then(|wait| wait.parse().ok()).expect("the refusal says when to publish again");
        assert!((1..=1000).contains(&wait), "{message}");
        std::thread::sleep(Duration::from_millis(wait));
    }
    assert!(id <= 7, "after each wait there is room: {id} attempts");
    assert!(started.elapsed() >= Duration::from_millis(1900), "two of four had to wait a second each");
}

#[test]
fn in_a_batch_only_what_comes_too_fast_fails() {
    let broker = Broker::with_file(SLOW_TOPICS, &[]);
    let messages: Vec<_> = (0..4)
        .flat_map(|number| {
            [json!({"topic": "slow.a", "data": number}), json!({"topic": "free", "data": number})]
        })
        .collect();
    let body = json!({"messages": messages}).to_string();
    let answer = post(broker.address(), "/publish", "application/json", body.as_bytes());
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].as_array().expect("results").clone();
    let codes: Vec<_> = results.iter().map(|result| result["error"]["code"].as_str()).collect();
    let limited = Some("rate_limited");
    assert_eq!(codes, [None, None, None, None, limited, None, limited, None]);
}

#[test]
fn a_session_publishes_as_fast_as_it_may_and_others_are_not_held_to_its_account() {
    let broker = Broker::with(&["limits.publish_rate_per_session=1/3"]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut other = WebSocket::open(broker.address(), "/ws");
    let frame = |id: u32| json!({"type": "publish", "id": id, "topic": format!("t.{id}"), "data": id});
    for id in 1..=3 {
        assert_eq!(socket.ask(&frame(id))["type"], "published");
    }
    let error = socket.ask(&frame(4));
    assert_eq!(error["code"], "rate_limited");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("publish_rate_per_session")));
    assert_eq!(other.ask(&frame(1))["type"], "published");
    let mut http = Http::connect(broker.address());
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            http.send(b"POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");
            http.read().status
        })
        .collect();
    assert_eq!(statuses, [200, 200, 200, 429], "an HTTP connection counts as a session");
    broker.await_metric(REFUSED_BY_SESSION, 2.0);
}

#[test]
fn a_session_that_goes_on_flooding_is_closed_with_4429() {
    let broker = Broker::with(&["limits.publish_rate_per_session=1"]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for id in 0..5_000 {
        socket.send_json(&json!({"type": "publish", "id": id, "topic": "flood", "data": "x"}));
    }
    let closing = socket.check_closing(4429);
    assert_eq!(closing["reconnect"], true);
    broker.await_metric("fanwire_closes_total{reason=\"rate_limited\"}", 1.0);
    let refused = broker.metric(REFUSED_BY_SESSION);
    assert!((100.0..400.0).contains(&refused), "told {refused} times before it was closed");
    honest.check();
}

#[test]
fn connections_from_one_address_come_as_fast_as_they_may() {
    let broker = Broker::with(&["limits.connection_rate_per_address=1/5"]);
    let mut answers: Vec<_> = (0..8).map(|_| get(broker.address(), "/healthz")).collect();
    let last = answers.pop().expect("eight answers");
    last.check_problem(429, "rate_limited");
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(answers[4].status, 200);
    eventually("the address is let in again", || {
        (get(broker.address(), "/healthz").status == 200).then_some(())
    });
    let metric = "fanwire_connections_refused_total{reason=\"connection_rate_per_address\"}";
    let refused = eventually("the metric can be read", || {
        let page = get(broker.address(), "/metrics").text();
        page.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok())
    });
    assert!(refused >= 2.0, "{refused}");
}

#[test]
fn connections_from_everywhere_together_come_as_fast_as_they_may() {
    let broker = Broker::with(&["limits.connection_rate=5/10"]);
    let mut held: Vec<WebSocket> = (0..5).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    let mut refused = 0.0;
    // A crowd that comes back at once: some are let in, the others told when to try again.
    for _ in 0..50 {
        let answer = get(broker.address(), "/healthz");
        if answer.status != 200 {
            answer.check_problem(503, "rate_limited");
            assert_eq!(answer.header("retry-after"), Some("1"));
            refused += 1.0;
        }
    }
    assert!(refused >= 20.0, "{refused}");
    // A client that waits for `Retry-After` is let in, and open sessions notice nothing.
    eventually("a newcomer is let in", || (get(broker.address(), "/healthz").status == 200).then_some(()));
    for socket in &mut held {
        assert_eq!(socket.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    }
    let counted = eventually("the metric can be read", || {
        let page = get(broker.address(), "/metrics").text();
        let name = "fanwire_connections_refused_total{reason=\"connection_rate\"}";
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
    });
    assert!(counted >= refused, "{counted} of {refused}");
}

#[test]
fn open_handshakes_make_room_for_new_connections() {
    let broker = Broker::with(&["limits.handshakes_max=64", "limits.handshake_timeout=60s"]);
    let mut honest = Honest::begin(&broker);
    let held: Vec<Http> = (0..200)
        .map(|_| {
            let mut http = Http::connect(broker.address());
            http.send(b"GET /ws HTTP/1.1\r\nHo");
            http
        })
        .collect();
    eventually("the oldest have made room", || {
        let name = "fanwire_handshakes_failed_total{reason=\"crowded_out\"}";
        (broker.metric(name) >= 100.0).then_some(())
    });
    honest.check();
    assert!(broker.metric("fanwire_handshakes") <= 64.0);
    drop(held);
}
