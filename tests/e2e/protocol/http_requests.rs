//! HTTP requests out of shape: two readings of one length, lines that are no headers, bytes that are no HTTP, heads and
//! bodies cut anywhere. Nothing of them may ever count as a second request (RFC 9112 §11.2).

use std::net::Shutdown;

use fanwire_tests::{Broker, Http, eventually, nth_offset};

use crate::fixtures::honest::Honest;

/// A whole request that must never be seen inside another one.
const SMUGGLED: &str =
    "POST /topics/smuggled HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";

/// Sends `bytes` and returns what the broker answers before it hangs up.
fn exchange(broker: &Broker, bytes: &[u8]) -> String {
    let mut http = Http::connect(broker.address());
    http.send(bytes);
    read_to_end(http)
}

/// The same, but the client says that this was all. A whole request would be given up too: who hangs up waits for nothing.
fn exchange_cut(broker: &Broker, bytes: &[u8]) -> String {
    let mut http = Http::connect(broker.address());
    http.send(bytes);
    // The broker may have hung up already.
    let _gone = http.stream().shutdown(Shutdown::Write);
    read_to_end(http)
}

fn read_to_end(mut http: Http) -> String {
    let mut all = Vec::new();
    while let Some(piece) = http.read_raw() {
        all.extend(piece);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The statuses of the answers in `text`.
fn statuses(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.1 ").filter_map(|(at, found)| text.get(at + found.len()..)?.get(..3)).collect()
}

fn check_one_answer(broker: &Broker, what: &str, head: &str, allowed: &[&str]) {
    let answer = exchange(broker, format!("{head}{SMUGGLED}").as_bytes());
    let statuses = statuses(&answer);
    assert!(!answer.contains("smuggled"), "{what}: {answer}");
    assert_eq!(statuses.len(), 1, "{what}: {answer}");
    assert!(allowed.contains(&statuses[0]), "{what}: {answer}");
}

#[test]
fn a_length_with_two_readings_ends_the_connection() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let head = |headers: &str| {
        format!("POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n{headers}\r\n")
    };
    // RFC 9112 §6.1: such a request may be refused or read as chunked, but the connection must end after it.
    let both = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n";
    check_one_answer(&broker, "both lengths", &format!("{}1\r\nx\r\n0\r\n\r\n", head(both)), &["200", "400"]);
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n";
    check_one_answer(
        &broker,
        "both lengths, turned",
        &format!("{}1\r\nx\r\n0\r\n\r\n", head(both)),
        &["200", "400"],
    );
    for headers in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1\u{b}\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
    ] {
        check_one_answer(&broker, headers, &head(headers), &["400", "501"]);
    }
    honest.check();
}

#[test]
fn chunks_out_of_shape_end_the_connection() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let long_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(100_000));
    let many_trailers = format!("1\r\nx\r\n0\r\n{}\r\n", "T: t\r\n".repeat(20_000));
    for body in [
        "x\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "1 1\r\nx\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nx",
        "10000000000000000\r\nx",
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1;\nx\r\n0\r\n\r\n",
        long_extension.as_str(),
        many_trailers.as_str(),
    ] {
        let head = format!(
            "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        );
        check_one_answer(&broker, &format!("{body:.40}"), &head, &["400", "413"]);
    }
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
    honest.check();
}

#[test]
fn a_chunked_body_is_counted_as_it_comes() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let head = "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("{:x}\r\n{}\r\n", 100, "x".repeat(100)).repeat(10_000);
    let mut http = Http::connect(broker.address());
    http.send(format!("{head}{body}").as_bytes());
    http.read().check_problem(413, "too_large");
    let mut http = Http::connect(broker.address());
    http.send(format!("{head}400\r\n{}\r\n0\r\n\r\n", "x".repeat(1024)).as_bytes());
    assert_eq!(http.read().status, 200);
}

#[test]
fn a_body_that_is_too_large_is_never_read_as_a_request() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let body = SMUGGLED.repeat(10_000);
    let head = format!(
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(&broker, format!("{head}{body}").as_bytes());
    assert!(!answer.contains("smuggled"), "{answer}");
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
}

#[test]
fn lines_that_are_no_headers_are_refused() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    for line in [
        "no colon here\r\n",
        ": no name\r\n",
        "Bad Name: x\r\n",
        "X-Nul: a\0b\r\n",
        "X-Return: a\rb\r\n",
        " folded: into the line before\r\n",
        "X-\u{e4}: x\r\n",
    ] {
        let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{line}\r\n");
        check_one_answer(&broker, line, &head, &["400"]);
    }
    for line in [
        "GET /healthz",
        "GET /healthz HTTP/1.2",
        "GET  /healthz HTTP/1.1",
        "GET /hea lthz HTTP/1.1",
        "G\0T / HTTP/1.1",
    ] {
        check_one_answer(&broker, line, &format!("{line}\r\nHost: x\r\n\r\n"), &["400", "505"]);
    }
    honest.check();
}

#[test]
fn a_request_without_a_host_is_refused() {
    let broker = Broker::start(&[]);
    // RFC 9112 §3.2: no `Host`, or more than one, is a 400.
    for host in ["", "Host: a\r\nHost: b\r\n"] {
        let answer =
            exchange(&broker, format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{host}\r\n").as_bytes());
        assert_eq!(statuses(&answer), ["400"], "{host:?}: {answer}");
    }
    let answer = exchange(&broker, b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200"), "HTTP/1.0 knows no Host: {answer}");
}

#[test]
fn bytes_that_are_no_http_are_not_answered_as_if_they_were() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let tls = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz012345";
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let zeros = [0; 100_000];
    for bytes in [&tls[..], http2, &zeros, b"\r\n\r\n\r\n", b"{\"type\":\"ping\"}\r\n", b"\x81\x80\0\0\0\0"] {
        let answer = exchange_cut(&broker, bytes);
        let statuses = statuses(&answer);
        assert!(statuses.iter().all(|status| *status == "400" || *status == "505"), "{answer}");
    }
    honest.check();
}

#[test]
fn unknown_methods_are_refused_by_name() {
    let broker = Broker::start(&[]);
    for method in ["BREW", "get", "TRACE", "PATCH", "PROPFIND", "DELETE"] {
        for path in ["/topics/a", "/publish", "/healthz", "/ws", "/stream?topic=a"] {
            let mut http = Http::connect(broker.address());
            http.send(
                format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )
                .as_bytes(),
            );
            let answer = http.read();
            answer.check_problem(405, "method_not_allowed");
            assert!(
                answer.header("allow").is_some_and(|allow| allow.contains("GET") || allow == "POST"),
                "{path}"
            );
        }
    }
    let head = exchange(&broker, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "no body: {head}");
    for (target, expected) in [("CONNECT x:80", "404"), ("OPTIONS *", "204")] {
        let answer = exchange(
            &broker,
            format!("{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert_eq!(statuses(&answer), [expected], "{target}: {answer}");
    }
}

#[test]
fn percent_encoded_nonsense_is_no_topic() {
    let broker = Broker::start(&[]);
    let long = format!("/topics/{}", "a".repeat(256));
    let deep = format!("/topics/{}", ["a"; 33].join("."));
    let spaces = format!("/topics/{}", "%20".repeat(85));
    for (path, code) in [
        ("/topics/%00", "bad_topic"),
        ("/topics/a%0d%0aX-Injected:%20yes", "bad_topic"),
        ("/topics/a%09b", "bad_topic"),
        ("/topics/a%C2%A0b", "bad_topic"),
        ("/topics/a%2e%2eb", "bad_topic"),
        ("/topics/%2e", "bad_topic"),
        ("/topics/%c0%ae", "bad_frame"),
        ("/topics/%ed%a0%80", "bad_frame"),
        ("/topics/%f4%90%80%80", "bad_frame"),
        (&long, "bad_topic"),
        (&deep, "bad_topic"),
        (&spaces, "bad_topic"),
    ] {
        for request in [
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/event-stream\r\n\r\n"
            ),
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"),
        ] {
            let answer = fanwire_tests::request(broker.address(), &request);
            answer.check_problem(400, code);
            assert_eq!(answer.header("x-injected"), None);
        }
    }
    // A percent sign that begins no escape stands for itself (WHATWG URL §1.3), and so does a slash.
    for (path, topic) in
        [("/topics/50%", "50%"), ("/topics/%zz", "%zz"), ("/topics/a%2Fb", "a/b"), ("/topics/a/b", "a/b")]
    {
        let answer = fanwire_tests::post(broker.address(), path, "text/plain", b"x");
        assert_eq!((answer.status, &answer.json()["topic"]), (200, &topic.into()), "{path}");
    }
}

#[test]
fn a_request_cut_anywhere_has_no_effect() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let whole =
        "POST /topics/cut HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    for end in 0..whole.len() {
        let answer = exchange_cut(&broker, &whole.as_bytes()[..end]);
        assert!(!answer.contains(" 200 "), "cut at {end}: {answer}");
    }
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
    let mut http = Http::connect(broker.address());
    http.send(whole.as_bytes());
    assert_eq!(http.read().status, 200);
    drop(http);
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
    honest.check();
}

#[test]
fn thousands_of_single_bytes_are_one_request() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let body = "slowly".repeat(500);
    let request = format!(
        "POST /topics/slow HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut http = Http::connect(broker.address());
    for byte in request.as_bytes() {
        http.send(&[*byte]);
    }
    assert_eq!(http.read().status, 200);
    http.send(b"GET /topics/slow HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(http.read().json()["messages"][0]["data"], body.as_str());
    honest.check();
}

#[test]
fn requests_sent_all_at_once_are_answered_in_order() {
    let broker = Broker::start(&[]);
    let mut http = Http::connect(broker.address());
    let publish = |number: usize| {
        format!(
            "POST /topics/order HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n{number:03}"
        )
    };
    let all: String = (0..100).map(publish).collect();
    http.send(all.as_bytes());
    for count in 1..=100 {
        let answer = http.read();
        assert_eq!((answer.status, &answer.json()["offset"]), (200, &nth_offset(count).into()));
    }
    http.send(b"GET /topics/order?since=earliest HTTP/1.1\r\nHost: x\r\n\r\n");
    let history = http.read().json();
    let data: Vec<_> =
        history["messages"].as_array().unwrap().iter().map(|message| &message["data"]).collect();
    assert_eq!(data.len(), 100);
    assert!(data.is_sorted_by_key(|data| data.as_str()), "{data:?}");
}

#[test]
fn an_address_takes_its_share_and_no_more() {
    let broker = Broker::with(&["limits.connections_per_address_max=2"]);
    let held: Vec<Http> = (0..2)
        .map(|_| {
            let mut http = Http::connect(broker.address());
            http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(http.read().status, 200);
            http
        })
        .collect();
    Http::connect(broker.address()).read().check_problem(503, "limit_exceeded");
    drop(held);
    eventually("there is room again", || {
        let mut http = Http::connect(broker.address());
        http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        (http.read().status == 200).then_some(())
    });
}
