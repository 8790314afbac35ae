//! Bad requests over HTTP: each gets a problem with the right status and code, and harms no other.

use fanwire_tests::{Broker, Events, Http, PATIENCE, Response, WebSocket, get, nth_offset, post, request};
use serde_json::json;

use crate::fixtures::honest::Honest;

fn with_headers(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n{headers}\r\n")
}

#[test]
fn what_cannot_be_understood_is_a_problem_that_says_why() {
    let broker = Broker::with(&["limits.stream_topics_max=2", "limits.batch_messages_max=2"]);
    let mut honest = Honest::begin(&broker);
    let address = broker.address();
    for (path, code) in [
        ("/topics/a%20b", "bad_topic"),
        ("/topics/a..b", "bad_topic"),
        ("/topics/", "bad_topic"),
        ("/topics/a.%3E.b", "bad_topic"),
        ("/topics/%ff%fe", "bad_frame"),
        ("/topics/a?since=nonsense", "bad_frame"),
        ("/topics/a?since=abc:-1", "bad_frame"),
        ("/topics/a?since=abc:99999999999999999999999", "bad_frame"),
        ("/topics/a?limit=0", "bad_frame"),
        ("/topics/a?limit=-5", "bad_frame"),
        ("/topics/a?limit=x", "bad_frame"),
        ("/topics/a?wait=61", "bad_frame"),
        ("/topics/a?wait=-1", "bad_frame"),
        ("/topics/a?wait=soon", "bad_frame"),
        ("/topics/a?echo=maybe", "bad_frame"),
        ("/stream", "bad_frame"),
        ("/stream?topic=", "bad_topic"),
        ("/stream?topic=a&topic=b%20c", "bad_topic"),
        ("/stream?topic=a&topic=b&topic=c", "limit_exceeded"),
    ] {
        get(address, path).check_problem(400, code);
        if let Err(refusal) = Events::try_open(address, path, "Connection: close\r\n") {
            assert_eq!(refusal.status, 400, "{path}");
        } else {
            assert!(path.contains("limit") || path.contains("wait") || path.contains("echo"), "{path}");
        }
    }
    for (body, code) in [
        ("", "bad_frame"),
        ("{}", "bad_frame"),
        ("[]", "bad_frame"),
        ("{\"messages\":7}", "bad_frame"),
        ("{\"messages\":[1,2,3]}", "limit_exceeded"),
        ("\u{0}", "bad_frame"),
    ] {
        post(address, "/publish", "application/json", body.as_bytes()).check_problem(400, code);
    }
    let refusal = post(address, "/publish", "application/json", b"[]");
    assert!(
        refusal.text().contains("the body must be one JSON object with a list `messages`"),
        "{}",
        refusal.text()
    );
    let refusal = post(address, "/api/v1/topics", "application/json", b"{}");
    assert!(refusal.text().contains("/api/v1/topics does not take POST"), "{}", refusal.text());
    post(address, "/publish", "application/json", b"\xff").check_problem(400, "bad_frame");
    post(address, "/topics/a", "application/json", b"").check_problem(400, "bad_frame");
    post(address, "/topics/a", "application/json", b"{\"a\":").check_problem(400, "bad_frame");
    post(address, "/topics/a", "text/plain", b"\xff").check_problem(400, "bad_frame");
    post(address, "/topics/a.*", "text/plain", b"x").check_problem(400, "bad_topic");
    request(address, "POST /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .check_problem(400, "bad_frame");
    honest.check();
}

#[test]
fn nesting_too_deep_is_refused_at_the_publisher() {
    let broker = Broker::start(&[]);
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(post(broker.address(), "/topics/a", "application/json", deep(128).as_bytes()).status, 200);
    for levels in [129, 10_000, 400_000] {
        let answer = post(broker.address(), "/topics/a", "application/json", deep(levels).as_bytes());
        answer.check_problem(400, "bad_frame");
    }
}

#[test]
fn each_entry_of_a_batch_stands_for_itself() {
    let broker = Broker::start(&[]);
    let body = json!({"messages": [
        {"topic": "a", "data": 1},
        {"topic": "a b", "data": 2},
        {"topic": "$sys", "data": 3},
        {"topic": "a"},
        {"topic": "a", "data": 4},
    ]});
    let answer = post(broker.address(), "/publish", "application/json", body.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    let results = answer.json();
    let codes: Vec<_> =
        results["results"].as_array().unwrap().iter().map(|entry| entry["error"]["code"].as_str()).collect();
    assert_eq!(codes, [None, Some("bad_topic"), Some("forbidden"), Some("bad_frame"), None]);
    assert_eq!(results["results"][4]["offset"], nth_offset(2));
}

#[test]
fn statuses_say_what_kind_of_wrong_it_is() {
    let broker = Broker::with(&["limits.message_bytes_max=1KiB", "limits.batch_bytes_max=2KiB"]);
    let address = broker.address();
    get(address, "/nothing/here").check_problem(404, "not_found");
    for (method, path, allow) in [
        ("DELETE", "/topics/a", "GET, HEAD, POST"),
        ("GET", "/publish", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("PUT", "/topics/a", "GET, HEAD, POST"),
        ("POST", "/stream?topic=a", "GET, HEAD"),
    ] {
        let answer =
            request(address, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        answer.check_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    post(address, "/topics/a", "text/plain", &[b'x'; 1025]).check_problem(413, "too_large");
    assert_eq!(post(address, "/topics/a", "text/plain", &[b'x'; 1024]).status, 200);
    post(address, "/publish", "application/json", &[b' '; 2049]).check_problem(413, "too_large");
    post(address, "/topics/$sys", "text/plain", b"x").check_problem(403, "forbidden");
    get(address, "/ws").check_problem(426, "bad_frame");
}

#[test]
fn a_topic_without_history_says_so() {
    let broker = Broker::with_file("[[topic]]\nmatch = 'mute'\nhistory = false\n", &[]);
    get(broker.address(), "/topics/mute").check_problem(404, "history_off");
    let answer = get(broker.address(), "/topics/mute?wait=0.05");
    assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])));
}

#[test]
fn foreign_origins_are_refused_by_name_on_every_way_in() {
    let broker =
        Broker::start(&["--allow-origin", "https://app.example", "--allow-origin", "https://broker.example"]);
    let address = broker.address();
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil.com",
        "http://localhost.evil.example",
        "https://broker.example:8443",
    ] {
        let header = format!("Origin: {origin}\r\n");
        for path in ["/topics/a", "/stream?topic=a", "/metrics", "/healthz"] {
            let refusal = request(address, &with_headers(path, &header));
            refusal.check_problem(403, "forbidden");
            assert!(refusal.text().contains(origin), "{}", refusal.text());
            assert_eq!(refusal.header("access-control-allow-origin"), Some(origin), "it can be read");
            assert_eq!(refusal.header("access-control-allow-credentials"), None);
        }
        let publish = format!(
            "POST /topics/a HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\n{header}Content-Type: text/plain\r\n\
             Content-Length: 1\r\n\r\nx"
        );
        request(address, &publish).check_problem(403, "forbidden");
        for path in ["/ws", "/topics/a"] {
            assert_eq!(
                WebSocket::try_open(address, path, &header).err().map(|refusal| refusal.status),
                Some(403)
            );
        }
    }
    for origin in [
        "https://app.example",
        "http://localhost:3000",
        "http://127.0.0.1:1",
        "http://[::1]",
        "https://broker.example",
    ] {
        let answer = request(address, &with_headers("/topics/a", &format!("Origin: {origin}\r\n")));
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
        assert!(WebSocket::try_open(address, "/ws", &format!("Origin: http://{address}\r\n")).is_ok());
    }
    let twice = "Origin: http://localhost\r\nOrigin: https://evil.example\r\n";
    request(address, &with_headers("/topics/a", twice)).check_problem(403, "forbidden");
}

#[test]
fn a_head_that_is_too_long_or_too_slow_ends_the_connection() {
    let broker = Broker::with(&["limits.header_bytes_max=8KiB", "limits.handshake_timeout=1s"]);
    let mut honest = Honest::begin(&broker);
    let long = with_headers("/topics/a", &format!("X-Long: {}\r\n", "x".repeat(20_000)));
    assert_eq!(request(broker.address(), &long).status, 431);
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    assert_eq!(request(broker.address(), &with_headers("/topics/a", &many)).status, 431);
    let mut slow = Http::connect(broker.address());
    slow.send(b"GET /topics/a HTTP/1.1\r\nHost: x\r\n");
    let started = std::time::Instant::now();
    while slow.read_raw().is_some() {}
    assert!(started.elapsed() < PATIENCE, "a head without end is not waited for");
    let mut silent = Http::connect(broker.address());
    assert!(silent.is_hung_up(), "who says nothing at all is not waited for either");
    honest.check();
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    let broker = Broker::with(&["limits.body_timeout=500ms"]);
    let mut http = Http::connect(broker.address());
    http.send(
        b"POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nabc",
    );
    http.read().check_problem(408, "timed_out");
    assert_eq!(broker.metric("fanwire_publications_total"), 0.0);
}

#[test]
fn ambiguous_lengths_never_smuggle_a_second_request() {
    let broker = Broker::start(&[]);
    let smuggled =
        "POST /topics/smuggled HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";
    for headers in [
        format!("Content-Length: 0\r\nContent-Length: {}\r\n", smuggled.len()),
        "Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 1 1\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
    ] {
        let mut http = Http::connect(broker.address());
        http.send(format!("POST /topics/a HTTP/1.1\r\nHost: x\r\n{headers}\r\n{smuggled}").as_bytes());
        http.stream().shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        while let Some(bytes) = http.read_raw() {
            all.extend(bytes);
        }
        assert!(
            !String::from_utf8_lossy(&all).contains("\"smuggled\""),
            "{headers}: {}",
            String::from_utf8_lossy(&all)
        );
    }
}

#[test]
fn a_refused_upgrade_leaves_a_connection_that_still_speaks_http() {
    let broker = Broker::start(&[]);
    let mut http = Http::connect(broker.address());
    http.send(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let refusal = http.read();
    refusal.check_problem(426, "bad_frame");
    assert_eq!(refusal.header("sec-websocket-version"), Some("13"));
    http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(http.read().status, 200);
    for headers in ["Sec-WebSocket-Protocol: mqtt\r\n", "Sec-WebSocket-Protocol: fanwire.v9\r\n"] {
        let refusal =
            WebSocket::try_open(broker.address(), "/ws", headers).err().map(|refusal| refusal.status);
        assert_eq!(refusal, Some(400), "{headers}");
    }
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_come_in_when_others_leave() {
    let broker = Broker::with(&["limits.connections_max=3"]);
    let held: Vec<Http> = (0..3)
        .map(|_| {
            let mut http = Http::connect(broker.address());
            http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(http.read().status, 200);
            http
        })
        .collect();
    let mut refused = Http::connect(broker.address());
    let answer: Response = refused.read();
    answer.check_problem(503, "limit_exceeded");
    assert!(answer.header("retry-after").is_some());
    drop(held);
    fanwire_tests::eventually("there is room again", || {
        let mut http = Http::connect(broker.address());
        http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        (http.read().status == 200).then_some(())
    });
    assert!(broker.metric("fanwire_connections_refused_total{reason=\"connections_max\"}") >= 1.0);
}

#[test]
fn a_draining_broker_is_not_ready_and_opens_no_session() {
    let mut broker = Broker::with(&["limits.drain_timeout=3s", "limits.close_timeout=3s"]);
    assert_eq!(get(broker.address(), "/readyz").status, 200);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.ask(&json!({"type": "ping", "id": 1}));
    broker.terminate();
    // The session does not answer the close, so the broker drains for as long as `close_timeout` allows.
    socket.check_closing(1001);
    for path in ["/readyz", "/topics/a?wait=1", "/ws"] {
        let answer = get(broker.address(), path);
        answer.check_problem(503, "unavailable");
        assert!(answer.header("retry-after").is_some(), "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
    }
    assert_eq!(get(broker.address(), "/healthz").status, 200, "it is alive until it has drained");
    assert!(broker.wait().success());
}
