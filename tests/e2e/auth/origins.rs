//! Origins that look like a trusted one and are not (RFC 6454). No browser writes some of them; other programs might.

use fanwire_tests::{Broker, Http};

#[test]
fn look_alikes_of_loopback_are_foreign() {
    let broker = Broker::start(&[]);
    let mut let_in = Vec::new();
    for origin in [
        "",
        "null",
        "localhost",
        "http://",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://localhost:80@evil.example",
        "http://evil.example#localhost",
        "http://[::1].evil.example",
        "http://[::1]evil.example",
        "http://notlocalhost",
        "http://0.0.0.0",
        "http://1.2.3.4",
        "http://[::2]",
        "http://localhost\u{2024}evil.example",
        "http://localhost http://evil.example",
        "http://localhost, http://evil.example",
    ] {
        for path in ["/topics/a", "/ws"] {
            let mut http = Http::connect(broker.address());
            http.send(
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n")
                    .as_bytes(),
            );
            let answer = http.read();
            if answer.status == 403 {
                answer.check_problem(403, "forbidden");
                // The page of a well-formed origin may read the refusal; no other header may follow from its words.
                let readers = answer.header("access-control-allow-origin");
                assert!(readers.is_none() || readers == Some(origin), "'{origin}'");
                assert_eq!(answer.header("access-control-allow-credentials"), None, "'{origin}'");
            } else {
                let_in.push(format!("{origin} at {path}"));
            }
        }
    }
    assert!(let_in.is_empty(), "{let_in:#?}");
}

#[test]
fn an_origin_of_raw_bytes_is_refused_and_not_repeated_as_it_came() {
    let broker = Broker::start(&[]);
    let mut http = Http::connect(broker.address());
    http.send(
        b"GET /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: http://localhost\xff\xfe\r\n\r\n",
    );
    http.read().check_problem(403, "forbidden");
    let long = format!("http://{}.example", "e".repeat(5_000));
    let mut http = Http::connect(broker.address());
    http.send(
        format!("GET /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {long}\r\n\r\n")
            .as_bytes(),
    );
    let answer = http.read();
    answer.check_problem(403, "forbidden");
    assert!(answer.body.len() < 2_000, "what is repeated is short");
}

#[test]
fn loopback_in_every_spelling_is_let_in() {
    let broker = Broker::start(&[]);
    for origin in [
        "http://localhost",
        "https://localhost:8443",
        "http://LOCALHOST:3000",
        "http://app.localhost:3000",
        "http://127.0.0.1",
        "http://127.8.8.8:80",
        "http://[::1]:3000",
    ] {
        let mut http = Http::connect(broker.address());
        http.send(
            format!("GET /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n")
                .as_bytes(),
        );
        let answer = http.read();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("origin")));
    }
}
