//! What the broker prints when it starts, and what its pages and probes answer.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fanwire_tests::{Broker, Http, PATIENCE, WebSocket, get, nth_offset, request, serve_command};

use crate::fixtures::texts::{publish, subscribe};

/// Starts a broker by hand and reads what it prints to where it would print no more.
fn banner(arguments: &[&str]) -> String {
    let mut broker = serve_command()
        .arg("--listen")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the broker's binary starts");
    let mut text = String::new();
    let mut lines = BufReader::new(broker.stdout.take().expect("it is piped")).lines();
    // The command to publish with comes last. It is waited for on a thread, so that its absence is an error and not a hang.
    let (sender, printed) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.by_ref().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    while let Ok(line) = printed.recv_timeout(PATIENCE) {
        text.push_str(&line);
        text.push('\n');
        if line.contains("curl") && line.contains("-d") {
            break;
        }
    }
    broker.kill().expect("it runs");
    broker.wait().expect("it is our child");
    text
}

#[test]
fn the_banner_says_what_a_newcomer_needs() {
    let text = banner(&["127.0.0.1:0"]);
    let url = text.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL");
    let address = url.trim_start_matches("http://");
    for needed in [
        concat!("fanwire ", env!("CARGO_PKG_VERSION")),
        "for this machine only",
        &format!("ws://{address}/ws"),
        &format!("curl -N -H 'Accept: text/event-stream' http://{address}/topics/"),
        &format!("curl -H 'Content-Type: text/plain' -d 'hello' http://{address}/topics/"),
    ] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    let open = banner(&["0.0.0.0:0", "--open"]);
    assert!(
        open.contains("--open") && open.contains("http://127.0.0.1:"),
        "how it is secured, and a URL: {open}"
    );
}

#[test]
fn every_page_the_banner_names_is_there() {
    let broker = Broker::start(&[]);
    for path in ["/", "/examples/chat.html", "/metrics", "/healthz", "/readyz"] {
        let answer = get(broker.address(), path);
        assert_eq!((answer.status, answer.body.is_empty()), (200, false), "{path}");
        let mut http = Http::connect(broker.address());
        http.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        let head = http.read_head();
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, answer.header("content-type")),
            "{path}"
        );
        assert!(http.is_hung_up(), "a HEAD has no body: {path}");
    }
}

#[test]
fn answers_to_pages_of_other_origins_say_whose_they_are() {
    let broker = Broker::start(&[
        "--allow-origin",
        "https://app.example",
        "--allow-origin",
        "https://two.example:8443",
    ]);
    let ask = |method: &str, path: &str, headers: &str| {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        request(broker.address(), &text)
    };
    for origin in
        ["https://app.example", "https://two.example:8443", "http://localhost:3000", "http://127.0.0.1:8000"]
    {
        let header = format!("Origin: {origin}\r\n");
        for (method, path, status) in [
            ("GET", "/topics/a", 200),
            ("GET", "/stream?topic=a", 200),
            ("GET", "/nowhere", 404),
            ("GET", "/topics/a..b", 400),
            ("DELETE", "/topics/a", 405),
        ] {
            let answer = ask(method, path, &header);
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{path}");
            assert!(
                answer.header("vary").is_some_and(|vary| vary.contains("origin")),
                "caches must know: {path}"
            );
        }
        let wanted = "Access-Control-Request-Method: POST\r\n\
                      Access-Control-Request-Headers: content-type, idempotency-key, last-event-id, authorization\r\n";
        for path in ["/topics/a", "/publish"] {
            let answer = ask("OPTIONS", path, &format!("{header}{wanted}"));
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(origin)));
            let allowed = answer.header("access-control-allow-headers").expect("headers are allowed");
            for name in ["content-type", "idempotency-key", "last-event-id", "authorization"] {
                assert!(allowed.contains(name), "{name} in {allowed}");
            }
        }
    }
    let foreign = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let refused = ask("OPTIONS", "/topics/a", foreign);
    refused.check_problem(403, "forbidden");
    assert_eq!(refused.header("access-control-allow-origin"), None);
}

#[test]
fn reading_and_publishing_and_waiting_share_a_connection_in_order() {
    let broker = Broker::start(&[]);
    let mut subscriber = subscribe(broker.address(), "line");
    let mut http = Http::connect(broker.address());
    let post =
        "POST /topics/line HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n";
    // A poll that waits holds up what was asked after it, as HTTP/1.1 wants, and loses none of it.
    http.send(
        format!(
            "{post}1GET /topics/line HTTP/1.1\r\nHost: x\r\n\r\n{post}2\
             GET /topics/line.quiet?wait=0.2 HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n{post}3"
        )
        .as_bytes(),
    );
    assert_eq!(http.read().json()["offset"], nth_offset(1));
    assert_eq!(http.read().json()["messages"][0]["data"], "1");
    assert_eq!(http.read().json()["offset"], nth_offset(2));
    assert_eq!(http.read().json()["messages"], serde_json::json!([]));
    assert_eq!(http.read().status, 404);
    assert_eq!(http.read().json()["offset"], nth_offset(3));
    for text in ["1", "2", "3"] {
        assert_eq!(subscriber.read_json()["data"], text);
    }
}

#[test]
fn errors_closes_and_refusals_are_counted() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let address = broker.address();
    let mut session = WebSocket::open(address, "/ws");
    for (request, code) in [
        (r#"{"type":"subscribe","id":1,"topic":"a..b"}"#, "bad_topic"),
        (r#"{"type":"fly","id":1}"#, "bad_frame"),
        (r#"{"type":"unsubscribe","id":1,"topic":"a"}"#, "not_subscribed"),
        (r#"{"type":"publish","id":1,"topic":"$a","data":1}"#, "forbidden"),
    ] {
        let metric = format!("fanwire_errors_total{{code=\"{code}\"}}");
        let before = broker.metric(&metric);
        session.send_text(request);
        assert_eq!(session.read_json()["code"], code);
        broker.await_metric(&metric, before + 1.0);
    }
    let before = broker.metric("fanwire_errors_total{code=\"too_large\"}");
    let refused = fanwire_tests::post(address, "/topics/a", "text/plain", &[b'x'; 2000]);
    refused.check_problem(413, "too_large");
    broker.await_metric("fanwire_errors_total{code=\"too_large\"}", before + 1.0);
    session.send_text("no frame");
    session.read_json();
    session.check_closing(4400);
    broker.await_metric("fanwire_closes_total{reason=\"bad_frame\"}", 1.0);
    broker.await_metric("fanwire_connections{transport=\"ws\"}", 0.0);
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0, "nothing of this was published");
}

#[test]
fn deliveries_are_counted_one_by_one_over_every_transport() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let _sessions: Vec<_> = (0..3).map(|_| subscribe(address, "count")).collect();
    let _pattern = subscribe(address, ">");
    let poll = std::thread::spawn(move || get(address, "/topics/count?wait=15").json());
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 1.0);
    publish(address, "count", "1");
    poll.join().expect("it is answered");
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 0.0);
    broker.await_metric("fanwire_deliveries_total", 5.0);
    for number in 2..=10 {
        publish(address, "count", &number.to_string());
    }
    broker.await_metric("fanwire_deliveries_total", 5.0 + 9.0 * 4.0);
    broker.await_metric("fanwire_publications_total", 10.0);
    broker.await_metric("fanwire_history_publications", 10.0);
    assert_eq!(broker.metric("fanwire_connections_opened_total{transport=\"poll\"}"), 1.0);
    assert_eq!(broker.metric("fanwire_dropped_deliveries_total{reason=\"outbox_full\"}"), 0.0);
    broker.await_metric("fanwire_inbox_bytes", 0.0);
    broker.await_metric("fanwire_outbox_bytes", 0.0);
    assert_eq!(
        broker.metric("fanwire_delivery_latency_seconds_count"),
        broker.metric("fanwire_delivery_latency_seconds_bucket{le=\"+Inf\"}")
    );
}
