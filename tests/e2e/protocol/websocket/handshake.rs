//! The opening handshake (RFC 6455 §4.2): what is one, what is not, and what the answer says.

use std::net::SocketAddr;

use fanwire_tests::{Broker, Http, Opcode, Response, WebSocket, request};

/// The headers of a handshake; the key is the example of RFC 6455 §1.3.
const HEADERS: [&str; 5] = [
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The handshake to `path` with the headers of the name in `instead` replaced by `instead`, or taken out if it has no value.
fn handshake(path: &str, instead: &[&str]) -> String {
    let name = |header: &str| header.split(':').next().unwrap_or("").to_ascii_lowercase();
    let kept = HEADERS.iter().filter(|header| !instead.iter().any(|new| name(new) == name(header)));
    let added = instead.iter().filter(|header| !header.ends_with(':'));
    let headers: String = kept.chain(added).map(|header| format!("{header}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\n{headers}\r\n")
}

fn ask(address: SocketAddr, text: &str) -> Response {
    let mut http = Http::connect(address);
    http.send(text.as_bytes());
    http.read_head()
}

#[test]
fn names_and_words_may_be_in_any_case_and_in_lists() {
    let broker = Broker::start(&[]);
    for instead in [
        &["upgrade: WebSocket"][..],
        &["Upgrade: h2c, websocket"],
        &["connection: keep-alive, UPGRADE"],
        &["Connection: keep-alive", "Connection: upgrade"],
        &["SEC-WEBSOCKET-VERSION: 13"],
    ] {
        for path in ["/ws", "/topics/a", "/topics/a.%3E"] {
            let answer = ask(broker.address(), &handshake(path, instead));
            assert_eq!(answer.status, 101, "{path} {instead:?}: {answer:?}");
            assert_eq!(answer.header("upgrade"), Some("websocket"));
            assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
            assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        }
    }
}

#[test]
fn what_is_no_handshake_is_refused_with_a_reason() {
    let broker = Broker::start(&[]);
    let cases: [(&[&str], u16); 9] = [
        (&["Connection:"], 426),
        (&["Connection: close"], 426),
        (&["Sec-WebSocket-Version:"], 426),
        (&["Sec-WebSocket-Version: 8"], 426),
        (&["Sec-WebSocket-Version: 14"], 426),
        (&["Sec-WebSocket-Key:"], 400),
        (&["Sec-WebSocket-Key: c2hvcnQ="], 400),
        (&["Sec-WebSocket-Key: this is no base64 at all"], 400),
        (
            &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
            400,
        ),
    ];
    for (instead, status) in cases {
        for path in ["/ws", "/topics/a"] {
            let mut http = Http::connect(broker.address());
            http.send(handshake(path, instead).as_bytes());
            let answer = http.read();
            assert_eq!(answer.status, status, "{path} {instead:?}");
            answer.check_problem(status, "bad_frame");
            if status == 426 {
                assert_eq!(answer.header("sec-websocket-version"), Some("13"), "RFC 6455 §4.4");
            }
        }
    }
    let old = handshake("/ws", &[]).replace("HTTP/1.1", "HTTP/1.0");
    request(broker.address(), &old).check_problem(426, "bad_frame");
    let post = handshake("/ws", &["Connection: Upgrade, close"]).replacen("GET", "POST", 1);
    request(broker.address(), &post).check_problem(405, "method_not_allowed");
}

#[test]
fn nothing_that_was_not_offered_is_agreed_on() {
    let broker = Broker::start(&[]);
    let offers =
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"];
    for path in ["/ws", "/topics/a"] {
        let answer = ask(broker.address(), &handshake(path, offers));
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        assert_eq!(answer.header("sec-websocket-protocol"), None);
    }
    for (offered, chosen) in [
        ("fanwire.v1.json", "fanwire.v1.json"),
        ("fanwire.v1.msgpack", "fanwire.v1.msgpack"),
        ("fanwire.v2, fanwire.v1.msgpack, fanwire.v1.json", "fanwire.v1.msgpack"),
        (" fanwire.v1.json ,fanwire.v1.msgpack", "fanwire.v1.json"),
    ] {
        let offer = format!("Sec-WebSocket-Protocol: {offered}");
        let answer = ask(broker.address(), &handshake("/ws", &[&offer]));
        assert_eq!(
            (answer.status, answer.header("sec-websocket-protocol")),
            (101, Some(chosen)),
            "{offered}"
        );
    }
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let broker = Broker::start(&[]);
    let mut http = Http::connect(broker.address());
    let frames = b"\x81\x85\0\0\0\0early\x89\x81\0\0\0\0p\x81\x82\0\0";
    http.send(&[handshake("/topics/early", &[]).as_bytes(), frames].concat());
    assert_eq!(http.read_head().status, 101);
    http.send(b"\0\0ok");
    let mut got = Vec::new();
    while got.len() < 14 {
        got.extend(http.read_raw().expect("the connection goes on"));
    }
    // A pong is answered at once and need not wait for a publication that makes its round (RFC 6455 §5.5.3).
    for expected in [&b"\x81\x05early"[..], b"\x8a\x01p", b"\x81\x02ok"] {
        assert!(got.windows(expected.len()).any(|window| window == expected), "{expected:?} in {got:?}");
    }
}

#[test]
fn what_follows_a_refused_handshake_is_a_request_or_nothing() {
    let broker = Broker::start(&[]);
    let mut listener = WebSocket::open(broker.address(), "/topics/refused");
    let mut http = Http::connect(broker.address());
    // A proxy that believed in the upgrade would let these frames through as if they were a WebSocket's.
    let frames = b"\x81\x85\0\0\0\0early";
    http.send(&[handshake("/topics/refused", &["Sec-WebSocket-Version: 8"]).as_bytes(), frames].concat());
    http.read().check_problem(426, "bad_frame");
    let mut rest = Vec::new();
    while let Some(bytes) = http.read_raw() {
        rest.extend(bytes);
    }
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&rest));
    listener.send_frame(true, Opcode::TEXT, b"only this");
    assert_eq!(listener.read().payload, b"only this");
}
