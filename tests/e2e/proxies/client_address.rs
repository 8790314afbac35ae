//! Behind proxies: whose statements about the client's address are believed, in headers and in the PROXY protocol. Real proxies are in
//! `real_proxies`.

use fanwire_tests::{Broker, Certificate, Http, WebSocket, eventually, get};
use serde_json::json;

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Opens a session that a proxy forwards for these addresses.
fn forwarded(broker: &Broker, addresses: &str) -> Result<WebSocket, fanwire_tests::Response> {
    WebSocket::try_open(broker.address(), "/ws", &format!("X-Forwarded-For: {addresses}\r\n"))
}

#[test]
fn limits_count_the_clients_of_a_trusted_proxy_and_not_the_proxy() {
    let broker = Broker::with(&["proxy.trusted=127.0.0.1", "limits.connections_per_address_max=2"]);
    let first = forwarded(&broker, "203.0.113.1").expect("a first");
    let _second = forwarded(&broker, "198.51.100.9, 203.0.113.1").expect("a second");
    let refused = forwarded(&broker, "203.0.113.1").err().expect("no third");
    refused.check_problem(503, "limit_exceeded");
    let _other = forwarded(&broker, "203.0.113.2").expect("another client is served");
    let _unnamed: Vec<WebSocket> = (0..5).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    drop(first);
    eventually("what the first took is given back", || forwarded(&broker, "203.0.113.1").ok());
    assert!(
        broker.metric("fanwire_connections_refused_total{reason=\"connections_per_address_max\"}") >= 1.0
    );
}

#[test]
fn a_client_that_names_others_itself_is_counted_as_itself() {
    let broker = Broker::with(&["limits.connections_per_address_max=3"]);
    let sessions: Vec<_> = (1..=3).map(|number| forwarded(&broker, &format!("203.0.113.{number}"))).collect();
    assert!(sessions.iter().all(Result::is_ok));
    forwarded(&broker, "203.0.113.4").err().expect("no fourth").check_problem(503, "limit_exceeded");
}

#[test]
fn one_connection_of_a_proxy_may_speak_for_one_client_after_the_other() {
    let broker = Broker::with(&["proxy.trusted=127.0.0.1", "limits.connections_per_address_max=1"]);
    let _held = forwarded(&broker, "203.0.113.1").expect("a session");
    let mut http = Http::connect(broker.address());
    for (client, status) in [("203.0.113.2", 200), ("203.0.113.1", 503), ("203.0.113.3", 200)] {
        let request = format!("GET /topics/a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\n\r\n");
        http.send(request.as_bytes());
        assert_eq!(http.read().status, status, "{client}");
    }
}

/// A PROXY header of version 2 for a client at 203.0.113.`last`.
fn second_version(last: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&[203, 0, 113, last, 127, 0, 0, 1, 0x12, 0x34, 0x1c, 0xe8]);
    header
}

fn with_proxy_protocol(settings: &[&str]) -> Broker {
    let own = ["proxy.trusted=127.0.0.1", "proxy.protocol=v1v2", "limits.connections_per_address_max=1"];
    Broker::with(&own.iter().chain(settings).copied().collect::<Vec<_>>())
}

/// Sends a header of the PROXY protocol, then opens a session. Returns the refusal if there is one.
fn proxied(broker: &Broker, header: &[u8]) -> Result<WebSocket, fanwire_tests::Response> {
    let mut http = Http::connect(broker.address());
    http.send(header);
    let handshake = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    http.send(handshake.as_bytes());
    let answer = http.read_head();
    if answer.status != 101 {
        return Err(http.read_body(answer));
    }
    let (stream, _) = http.into_parts();
    Ok(WebSocket::over(stream))
}

#[test]
fn the_proxy_protocol_names_the_client_in_both_versions() {
    let broker = with_proxy_protocol(&[]);
    let mut first = proxied(&broker, b"PROXY TCP4 203.0.113.1 127.0.0.1 4660 7400\r\n").expect("a session");
    let mut second = proxied(&broker, &second_version(2)).expect("another client's session");
    assert_eq!(first.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    assert_eq!(second.ask(&json!({"type": "ping", "id": 1}))["type"], "pong");
    let refused = proxied(&broker, &second_version(1)).err().expect("the first client has one already");
    refused.check_problem(503, "limit_exceeded");
    // The proxy asks for itself, as often as it likes.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut http = Http::connect(broker.address());
        http.send(header);
        http.send(REQUEST);
        assert_eq!(http.read().status, 200);
    }
}

fn failures(broker: &Broker, reason: &str) -> f64 {
    let mut http = Http::connect(broker.address());
    http.send(b"PROXY UNKNOWN\r\nGET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let page = http.read().text();
    let name = format!("fanwire_handshakes_failed_total{{reason=\"{reason}\"}} ");
    page.lines()
        .find_map(|line| line.strip_prefix(&name))
        .and_then(|count| count.parse().ok())
        .expect("a metric")
}

#[test]
fn a_trusted_proxy_that_sends_no_header_or_never_ends_it_is_hung_up_on() {
    let broker = with_proxy_protocol(&["limits.handshake_timeout=1s"]);
    let mut without = Http::connect(broker.address());
    without.send(REQUEST);
    let mut unfinished = Http::connect(broker.address());
    unfinished.send(b"PROXY TCP4 203.0.113.1");
    let mut announced = Http::connect(broker.address());
    announced.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff");
    assert!(without.is_hung_up());
    assert!(announced.is_hung_up());
    assert!(unfinished.is_hung_up());
    assert_eq!((failures(&broker, "proxy"), failures(&broker, "timed_out")), (2.0, 1.0));
}

#[test]
fn a_proxy_header_comes_before_tls() {
    let certificate = Certificate::new();
    let [own, key] = certificate.settings();
    let broker = with_proxy_protocol(&[&own, &key]);
    let mut http = certificate.connect_after(broker.address(), &second_version(1));
    http.send(REQUEST);
    assert_eq!(http.read().status, 200);
}

#[test]
fn strangers_speak_for_themselves_only_whatever_header_they_send() {
    let broker = Broker::with(&["proxy.trusted=10.0.0.0/8", "proxy.protocol=v1v2"]);
    assert_eq!(get(broker.address(), "/healthz").status, 200, "no header is asked of them");
    let mut http = Http::connect(broker.address());
    http.send(b"PROXY TCP4 203.0.113.1 127.0.0.1 4660 7400\r\n");
    http.send(REQUEST);
    assert_eq!(http.read().status, 400);
}
