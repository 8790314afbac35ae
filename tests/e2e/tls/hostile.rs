//! TLS as strangers speak it: not at all, where it is not spoken, or without end.

use fanwire_tests::{Broker, Certificate, Http, eventually, request};

fn broker(certificate: &Certificate, settings: &[&str]) -> Broker {
    let [own, key] = certificate.settings();
    let all: Vec<&str> = [own.as_str(), key.as_str()].into_iter().chain(settings.iter().copied()).collect();
    Broker::with(&all)
}

fn failures(certificate: &Certificate, broker: &Broker, reason: &str) -> f64 {
    let mut http = certificate.connect(broker.address());
    http.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let page = http.read().text();
    let name = format!("fanwire_handshakes_failed_total{{reason=\"{reason}\"}} ");
    page.lines()
        .find_map(|line| line.strip_prefix(&name))
        .and_then(|count| count.parse().ok())
        .expect("a metric")
}

#[test]
fn plain_http_to_a_port_that_speaks_tls_is_told_so() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let answer = request(broker.address(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(failures(&certificate, &broker, "plain_on_tls"), 1.0);
}

#[test]
fn tls_to_a_port_that_does_not_speak_it_gets_an_alert() {
    let broker = Broker::start(&[]);
    let error = Certificate::new().try_connect(broker.address(), &[]).err().expect("there is no TLS here");
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
    broker.await_metric("fanwire_handshakes_failed_total{reason=\"tls_on_plain\"}", 1.0);
}

#[test]
fn hand_shakes_that_never_end_or_make_no_sense_are_given_up() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &["limits.handshake_timeout=1s"]);
    // The head of a record of 16 KiB, and one byte of it.
    let mut unfinished = Http::connect(broker.address());
    unfinished.send(&[22, 3, 1, 0x40, 0, 1]);
    let mut silent = Http::connect(broker.address());
    let mut rubbish = Http::connect(broker.address());
    rubbish.send(&[[22, 3, 3, 0, 200].as_slice(), &[0xff; 200]].concat());
    // A record longer than any may be (RFC 8446 §5.1).
    let mut endless = Http::connect(broker.address());
    endless.send(&[22, 3, 1, 0xff, 0xff, 1]);
    assert!(rubbish.read_raw().is_none_or(|alert| alert[0] == 21));
    assert!(endless.read_raw().is_none_or(|alert| alert[0] == 21));
    assert!(silent.is_hung_up());
    assert!(unfinished.is_hung_up());
    assert_eq!(failures(&certificate, &broker, "tls"), 2.0);
    assert_eq!(failures(&certificate, &broker, "timed_out"), 2.0);
}

#[test]
fn a_connection_that_shakes_hands_and_asks_nothing_is_let_go() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &["limits.handshake_timeout=1s", "limits.close_timeout=1s"]);
    let mut first = certificate.connect(broker.address());
    let mut second = certificate.try_connect(broker.address(), &["h2"]).expect("the hand-shake succeeds");
    assert!(first.read_raw().is_none());
    // HTTP/2 may say good-bye in a frame of its own.
    while second.read_raw().is_some() {}
    eventually("both are gone", || {
        let mut http = certificate.connect(broker.address());
        http.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        http.read().text().contains("fanwire_connections{transport=\"http\"} 1\n").then_some(())
    });
}
