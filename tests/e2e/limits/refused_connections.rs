//! Connections that a limit refuses, or that arrive while the broker drains: each request receives the answer that lets its client
//! return.

use fanwire_tests::{Broker, Certificate, Http, Response, WebSocket, eventually, get};
use serde_json::Value;

const STREAM: &str = "GET /topics/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
const MAX: &str = "limits.connections_max=2";
const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// A connection that holds its place, and reads metrics.
struct Held(Http);

impl Held {
    fn over(mut http: Http) -> Self {
        http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.read().status, 200);
        Self(http)
    }

    fn await_answers(&mut self, answer: &str, count: f64) {
        let name = format!("fanwire_refusal_answers_total{{answer=\"{answer}\"}} ");
        eventually(&name, || {
            self.0.send(METRICS.as_bytes());
            let page = self.0.read().text();
            let line = page.lines().find_map(|line| line.strip_prefix(&name)).expect("a metric");
            (line.parse::<f64>() == Ok(count)).then_some(())
        });
    }
}

/// Takes both places of a broker with [`MAX`].
fn fill(broker: &Broker) -> [Held; 2] {
    [(); 2].map(|()| Held::over(Http::connect(broker.address())))
}

fn answer_over(mut http: Http, request: &str) -> Response {
    http.send(request.as_bytes());
    http.read()
}

/// Checks that `answer` is a stream that tells a browser when to reconnect, and ends.
fn check_closing_stream(answer: &Response, error: &str) {
    assert_eq!(answer.status, 200, "a browser ends for good at any other status");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = answer.text();
    let retry = text.lines().find_map(|line| line.strip_prefix("retry: ")).expect("a time");
    let retry_ms: u64 = retry.parse().expect("milliseconds");
    assert!((1000..=10_000).contains(&retry_ms), "{retry_ms}");
    assert!(text.contains("event: closing\n") && text.ends_with("\n\n"), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((data["error"].as_str(), data["reconnect"].as_bool()), (Some(error), Some(true)), "{data}");
}

#[test]
fn an_event_stream_beyond_a_limit_is_answered_so_that_the_browser_returns() {
    let broker = Broker::with(&[MAX]);
    let mut held = fill(&broker);
    let open = || Http::connect(broker.address());
    let streams: Vec<Response> = (0..8).map(|_| answer_over(open(), STREAM)).collect();
    streams.iter().for_each(|answer| check_closing_stream(answer, "limit_exceeded"));
    let times: std::collections::HashSet<String> = streams.iter().map(Response::text).collect();
    assert!(times.len() > 1, "the clients return at different times");
    check_closing_stream(
        &answer_over(open(), &STREAM.replace("/topics/a", "/stream?topic=a")),
        "limit_exceeded",
    );
    // Everything else receives the status.
    for request in [
        "GET /topics/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let answer = answer_over(open(), request);
        answer.check_problem(503, "limit_exceeded");
        assert_eq!(answer.header("retry-after"), Some("5"), "{request}");
        assert_eq!(answer.header("connection"), Some("close"), "{request}");
    }
    let refused = WebSocket::try_open(broker.address(), "/ws", "").err().expect("no place");
    refused.check_problem(503, "limit_exceeded");
    held[0].await_answers("event_stream", 9.0);
    held[0].await_answers("problem", 4.0);
}

#[test]
fn rates_of_connections_and_limits_of_an_address_are_answered_in_the_same_way() {
    for (setting, error) in [
        ("limits.connection_rate=1/1", "rate_limited"),
        ("limits.connection_rate_per_address=1/1", "rate_limited"),
        ("limits.connections_per_address_max=1", "limit_exceeded"),
    ] {
        let broker = Broker::with(&[setting]);
        // The broker needed a connection to show that it has started; a rate lets one more in some time later.
        let mut held = Vec::new();
        let answer = eventually(setting, || {
            let mut http = Http::connect(broker.address());
            http.send(STREAM.as_bytes());
            let head = http.read_head();
            if head.header("transfer-encoding").is_some() {
                held.push(http);
                return None;
            }
            Some(http.read_body(head))
        });
        check_closing_stream(&answer, error);
    }
}

#[test]
fn pages_of_other_origins_may_read_the_refusal_as_any_other_answer() {
    let broker = Broker::with(&[MAX, "origins=https://app.example"]);
    let _held = fill(&broker);
    let ask = |line: &str, origin: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n");
        answer_over(Http::connect(broker.address()), &format!("{request}Accept: text/event-stream\r\n\r\n"))
    };
    let stream = ask("GET /topics/a", "https://app.example");
    check_closing_stream(&stream, "limit_exceeded");
    assert_eq!(stream.header("access-control-allow-origin"), Some("https://app.example"));
    let problem = ask("POST /topics/a", "https://app.example");
    problem.check_problem(503, "limit_exceeded");
    assert_eq!(problem.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(
        problem.header("access-control-expose-headers").is_some_and(|names| names.contains("retry-after"))
    );
    assert_eq!(problem.header("x-content-type-options"), Some("nosniff"));
    ask("GET /topics/a", "https://other.example").check_problem(403, "forbidden");
    let preflight = "OPTIONS /topics/a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n\
                     Access-Control-Request-Method: POST\r\n\r\n";
    assert_eq!(answer_over(Http::connect(broker.address()), preflight).status, 204);
}

#[test]
fn refused_connections_that_send_no_request_hold_nothing_for_long_and_keep_nothing_up() {
    let broker = Broker::with(&[MAX]);
    let mut held = fill(&broker);
    let mut silent: Vec<Http> = (0..300).map(|_| Http::connect(broker.address())).collect();
    silent.iter_mut().skip(100).for_each(|http| http.send(b"GET /topics/a HTTP/1.1\r\nHo"));
    // Sessions are served meanwhile.
    held[1].0.send(METRICS.as_bytes());
    assert_eq!(held[1].0.read().status, 200);
    let answers: Vec<Option<Vec<u8>>> = silent.iter_mut().map(Http::read_raw).collect();
    assert!(
        answers.iter().any(|answer| answer.as_ref().is_some_and(|text| text.starts_with(b"HTTP/1.1 503 ")))
    );
    assert!(answers.iter().any(Option::is_none), "beyond the bound there is no answer");
    eventually("answers are given again", || {
        let mut http = Http::connect(broker.address());
        http.send(STREAM.as_bytes());
        http.read_raw().filter(|text| text.starts_with(b"HTTP/1.1 200 "))
    });
    let mut endless = Http::connect(broker.address());
    endless.send(format!("GET /topics/a HTTP/1.1\r\nX: {}", "x".repeat(15 * 1024)).as_bytes());
    endless.send("x".repeat(2 * 1024).as_bytes());
    assert!(endless.read_raw().is_none_or(|answer| answer.starts_with(b"HTTP/1.1 431 ")));
}

#[test]
fn a_client_that_a_proxy_names_is_answered_when_it_is_refused() {
    let broker = Broker::with(&[
        "proxy.trusted=127.0.0.1",
        "proxy.protocol=v1v2",
        "limits.connections_per_address_max=1",
    ]);
    let open = || {
        let mut http = Http::connect(broker.address());
        http.send(b"PROXY TCP4 203.0.113.1 127.0.0.1 4660 7400\r\n");
        http
    };
    let _held = Held::over(open());
    check_closing_stream(&answer_over(open(), STREAM), "limit_exceeded");
    answer_over(open(), "GET /topics/a HTTP/1.1\r\nHost: x\r\n\r\n").check_problem(503, "limit_exceeded");
}

#[test]
fn refused_clients_are_answered_over_tls_too() {
    let certificate = Certificate::new();
    let [own, key] = certificate.settings();
    let broker = Broker::with(&[&own, &key, MAX]);
    let connect = || certificate.connect(broker.address());
    let _held = [(); 2].map(|()| Held::over(connect()));
    check_closing_stream(&answer_over(connect(), STREAM), "limit_exceeded");
    answer_over(connect(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").check_problem(503, "limit_exceeded");
}

#[test]
fn an_event_stream_that_begins_while_the_broker_drains_is_answered_so_that_the_browser_returns() {
    let mut broker = Broker::with(&["limits.drain_timeout=20s", "limits.close_timeout=20s"]);
    // A session that does not answer the close keeps the broker draining.
    let held = WebSocket::open(broker.address(), "/ws");
    broker.terminate();
    // A connection that arrives at the moment when the broker stops accepting ends without an answer.
    eventually("the broker drains", || {
        let mut http = Http::connect(broker.address());
        http.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
        http.read_raw().filter(|answer| answer.starts_with(b"HTTP/1.1 503 "))
    });
    check_closing_stream(&answer_over(Http::connect(broker.address()), STREAM), "unavailable");
    answer_over(Http::connect(broker.address()), "GET /topics/a HTTP/1.1\r\nHost: x\r\n\r\n")
        .check_problem(503, "unavailable");
    assert_eq!(get(broker.address(), "/healthz").status, 200);
    drop(held);
    assert!(broker.wait().success());
}
