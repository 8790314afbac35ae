//! Bodies of requests: answers that come before their end, what their headers say, and what a receipt says of them.

use fanwire_tests::{AUTH, Broker, Http, Response, get, post, request, token_for};
use serde_json::{Value, json};

/// Sends a whole publish of `size` bytes on an open connection and reads the answer.
fn publish_sized(http: &mut Http, path: &str, size: usize) -> Response {
    http.send(
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
        )
        .as_bytes(),
    );
    http.send(&vec![b'x'; size]);
    http.read()
}

#[test]
fn a_refused_body_of_moderate_size_leaves_the_connection_usable() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let mut http = Http::connect(broker.address());
    for round in 0..8 {
        let refused = publish_sized(&mut http, "/topics/a", 8 * 1024);
        refused.check_problem(413, "too_large");
        assert_eq!(refused.header("connection"), None, "round {round}");
        assert_eq!(publish_sized(&mut http, "/topics/a", 100).status, 200, "round {round}");
    }
    for path in ["/nothing/here", "/healthz", "/topics/a..b"] {
        assert_ne!(publish_sized(&mut http, path, 8 * 1024).status, 200, "{path}");
        assert_eq!(publish_sized(&mut http, "/topics/a", 100).status, 200, "after {path}");
    }
}

#[test]
fn the_answer_to_a_body_that_is_not_read_says_close_and_arrives() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB", "limits.batch_bytes_max=1KiB"]);
    for path in ["/topics/a", "/publish", "/request/x", "/api/v1/users/a/send", "/nothing/here", "/healthz"] {
        let mut http = Http::connect(broker.address());
        // The whole body is sent before anything is read, as simple clients do.
        let answer = publish_sized(&mut http, path, 4 * 1024 * 1024);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        assert!(http.is_hung_up(), "{path}");
    }
}

#[test]
fn a_chunked_body_without_end_is_answered_with_close() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB"]);
    let mut http = Http::connect(broker.address());
    let head = "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    http.send(head.as_bytes());
    for _ in 0..64 {
        http.send(format!("{:x}\r\n{}\r\n", 4096, "x".repeat(4096)).as_bytes());
    }
    let answer = http.read();
    answer.check_problem(413, "too_large");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn an_impossible_length_is_refused_at_once() {
    let broker = Broker::with(&["limits.body_timeout=1h"]);
    for path in ["/topics/a", "/publish", "/request/x", "/api/v1/users/a/send"] {
        let answer = request(
            broker.address(),
            &format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"),
        );
        answer.check_problem(413, "too_large");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
    }
}

#[test]
fn expect_continue_is_answered_with_the_refusal_that_the_head_decides() {
    let broker = Broker::with_file(AUTH, &["--set", "limits.message_bytes_max=1KiB"]);
    let token = token_for("ann", &["mine"], &[]);
    let ask = |path: &str, headers: &str| {
        let mut http = Http::connect(broker.address());
        http.send(
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{headers}\r\n").as_bytes(),
        );
        let head = http.read_head();
        if head.status == 100 {
            http.send(b"hi");
            let answer = http.read();
            return (vec![100, answer.status], answer.header("connection").map(str::to_owned));
        }
        let answer = http.read_body(head);
        (vec![answer.status], answer.header("connection").map(str::to_owned))
    };
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let short = "Content-Length: 2\r\n";
    let close = Some("close".to_owned());
    for (path, headers, status) in [
        ("/topics/mine", short.to_owned(), 401),
        ("/publish", short.to_owned(), 401),
        ("/api/v1/users/a/send", short.to_owned(), 401),
        ("/topics/other", format!("{bearer}{short}"), 403),
        ("/api/v1/users/a/send", format!("{bearer}{short}"), 403),
        ("/topics/mine", format!("{bearer}Content-Length: 2048\r\n"), 413),
        ("/topics/mine", format!("{bearer}{short}Content-Encoding: gzip\r\n"), 415),
        ("/topics/mine", format!("{bearer}{short}Content-Type: text/plain; charset=latin1\r\n"), 415),
        ("/publish", format!("{bearer}{short}Content-Type: application/octet-stream\r\n"), 415),
        ("/nothing", format!("{bearer}{short}"), 404),
    ] {
        assert_eq!(ask(path, &headers), (vec![status], close.clone()), "{path} {headers}");
    }
    assert_eq!(ask("/topics/mine", &format!("{bearer}{short}")), (vec![100, 200], None));
}

fn published(broker: &Broker, headers: &str, body: &[u8]) -> (Value, Value) {
    let mut http = Http::connect(broker.address());
    let head = format!(
        "POST /topics/kinds HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    http.send(head.as_bytes());
    http.send(body);
    let receipt = http.read();
    assert_eq!(receipt.status, 200, "{headers}: {}", receipt.text());
    let newest = get(broker.address(), "/topics/kinds?limit=1").json()["messages"][0].clone();
    let data = newest.get("data").or(newest.get("data_base64")).expect("there is a payload").clone();
    (receipt.json()["payload"].clone(), data)
}

#[test]
fn the_receipt_says_what_became_of_the_body() {
    let broker = Broker::start(&[]);
    let urlencoded = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (headers, body, kind, data) in [
        (urlencoded, &b"{\"text\":\"hi\"}"[..], "text", json!("{\"text\":\"hi\"}")),
        ("", b"hi", "text", json!("hi")),
        ("Content-Type:\r\n", b"hi", "text", json!("hi")),
        (urlencoded, b"\xff", "binary", json!("/w==")),
        ("", b"\xff", "binary", json!("/w==")),
        ("Content-Type: text/plain; charset=UTF-8\r\n", b"hi", "text", json!("hi")),
        ("Content-Type: application/octet-stream\r\n", b"hi", "binary", json!("aGk=")),
        ("Content-Type: image/png\r\nContent-Encoding: identity\r\n", b"hi", "binary", json!("aGk=")),
        ("Content-Type: application/json\r\n", b"[1]", "json", json!([1])),
        ("Content-Type: application/json\r\n", b"\"hi\"", "text", json!("hi")),
        ("Content-Type: application/ld+json; charset=\"utf-8\"\r\n", b"{\"a\":1}", "json", json!({"a": 1})),
    ] {
        assert_eq!(published(&broker, headers, body), (json!(kind), data), "{headers} {body:?}");
    }
    let batch = json!({"messages": [{"topic": "a", "data": "x"}, {"topic": "a", "data_base64": "AAEC"}, {"topic": "a", "data": [1]}]});
    let answer =
        post(broker.address(), "/publish", "application/x-www-form-urlencoded", batch.to_string().as_bytes());
    let kinds: Vec<Value> = answer.json()["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["payload"].clone())
        .collect();
    assert_eq!(kinds, ["text", "binary", "json"]);
}

#[test]
fn a_body_that_the_broker_cannot_read_is_refused_by_name() {
    let broker = Broker::with(&["limits.body_timeout=1h"]);
    for path in ["/topics/a", "/publish", "/request/x", "/api/v1/users/a/send"] {
        for (header, named) in [
            ("Content-Encoding: gzip", "gzip"),
            ("Content-Encoding: identity, br", "br"),
            ("Content-Type: application/json; charset=iso-8859-1", "iso-8859-1"),
            ("Content-Type: text/plain;charset=\"utf-16\"", "utf-16"),
        ] {
            let answer = request(
                broker.address(),
                &format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\nContent-Length: 2\r\n\r\n{{}}"
                ),
            );
            answer.check_problem(415, "unsupported_media_type");
            assert!(answer.text().contains(named), "{path} {header}: {}", answer.text());
        }
    }
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
}

#[test]
fn a_transfer_coding_beside_chunked_is_not_implemented() {
    let broker = Broker::start(&[]);
    for coding in ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "deflate,chunked"] {
        let mut http = Http::connect(broker.address());
        http.send(
            format!(
                "POST /topics/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n"
            )
            .as_bytes(),
        );
        let answer = http.read();
        answer.check_problem(501, "not_implemented");
        assert!(http.is_hung_up(), "{coding}");
    }
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
}

#[test]
fn parameters_that_a_url_does_not_take_are_refused() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    post(address, "/publish?tokn=x", "application/json", b"{\"messages\":[]}")
        .check_problem(400, "bad_frame");
    post(address, "/topics/a?echo=false", "text/plain", b"x").check_problem(400, "bad_frame");
    for path in [
        "/topics/a/presence?limit=1",
        "/api/v1/topics?limt=5",
        "/api/v1/sessions?usr=ann",
        "/api/v1/stats?x=1",
        "/api/v1/topics/a?limit=1",
    ] {
        get(address, path).check_problem(400, "bad_frame");
    }
    for path in ["/api/v1/topics?limit=5&search=&token=t", "/api/v1/sessions?user=ann", "/api/v1/stats"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
}

#[test]
fn bodies_of_requests_count_as_bytes_received() {
    let broker = Broker::start(&[]);
    post(broker.address(), "/topics/a", "text/plain", &[b'x'; 100_000]);
    let received = broker.metric("fanwire_received_bytes_total");
    assert!(received >= 100_000.0, "{received}");
}

#[test]
fn control_characters_are_no_idempotency_key() {
    let broker = Broker::start(&[]);
    let answer = request(
        broker.address(),
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: a\tb\r\nContent-Length: 1\r\n\r\nx",
    );
    answer.check_problem(400, "bad_frame");
    let batch = json!({"messages": [{"topic": "a", "data": 1, "key": "\u{1b}[2J"}, {"topic": "a", "data": 1, "key": "a\tb"}]});
    let answer = post(broker.address(), "/publish", "application/json", batch.to_string().as_bytes()).json();
    for result in answer["results"].as_array().expect("results") {
        assert_eq!(result["error"]["code"], "bad_frame", "{result}");
    }
}
