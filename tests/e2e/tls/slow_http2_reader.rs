//! A slow but honest reader over HTTP/2: frames are written by hand, so that the test decides when the window opens (RFC 9113).

use std::time::{Duration, Instant};

use fanwire_tests::{Broker, Certificate, Http};

use super::super::fixtures::http2::{self, Http2};

/// Starts a broker whose idle connections end soon, with two publications of a megabyte each.
fn broker(certificate: &Certificate) -> Broker {
    let settings = certificate.settings();
    let mut all: Vec<&str> = settings.iter().map(String::as_str).collect();
    all.extend(["limits.handshake_timeout=1s", "limits.close_timeout=1s"]);
    Broker::with(&all)
}

fn publish(http: &mut Http, size: usize) {
    let head = format!(
        "POST /topics/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
    );
    http.send(head.as_bytes());
    http.send(&vec![b'x'; size]);
    assert_eq!(http.read().status, 200);
}

#[test]
fn a_slow_reader_of_a_large_answer_is_not_taken_for_idle() {
    let certificate = Certificate::new();
    let broker = broker(&certificate);
    let mut http = certificate.connect(broker.address());
    publish(&mut http, 500_000);
    let http = certificate.try_connect(broker.address(), &["h2"]).expect("the broker speaks HTTP/2");
    let mut http2 = Http2::begin(http);
    http2.get(1, "/topics/a");
    // The window opens by 16 KiB each 100 ms: the answer takes longer than an idle connection and its end together.
    let (started, mut received, mut window) = (Instant::now(), 0, http2::WINDOW);
    while received < 500_000 {
        let frame = http2.read_frame().expect("the answer is not cut off");
        assert_ne!(frame.kind, http2::RST_STREAM, "after {received} bytes");
        if frame.kind != http2::DATA {
            continue;
        }
        received += frame.payload.len();
        window -= frame.payload.len();
        if window == 0 {
            std::thread::sleep(Duration::from_millis(100));
            http2.open_window(1, http2::WINDOW);
            window = http2::WINDOW;
        }
    }
    assert!(started.elapsed() > Duration::from_millis(2_500), "it was slow: {:?}", started.elapsed());
}

#[test]
fn a_reader_that_opens_no_window_is_taken_for_idle() {
    let certificate = Certificate::new();
    let broker = broker(&certificate);
    let mut http = certificate.connect(broker.address());
    publish(&mut http, 500_000);
    let http = certificate.try_connect(broker.address(), &["h2"]).expect("the broker speaks HTTP/2");
    let mut http2 = Http2::begin(http);
    http2.get(1, "/topics/a");
    let mut received = 0;
    while let Some(frame) = http2.read_frame() {
        if frame.kind == http2::DATA {
            received += frame.payload.len();
        }
    }
    assert_eq!(received, http2::WINDOW, "the broker ends the connection");
}

#[test]
fn a_stream_that_is_not_read_is_reset_and_the_others_of_its_connection_are_served() {
    let certificate = Certificate::new();
    let settings = certificate.settings();
    let mut all: Vec<&str> = settings.iter().map(String::as_str).collect();
    all.extend(["limits.write_timeout=1s", "limits.ping_interval=1h"]);
    let broker = Broker::with(&all);
    let http = certificate.try_connect(broker.address(), &["h2"]).expect("the broker speaks HTTP/2");
    let mut http2 = Http2::begin(http);
    // An answer that is whole in memory and one that is made piece by piece; the window of neither ever opens.
    publish(&mut certificate.connect(broker.address()), 500_000);
    let mut stream = 0;
    for path in ["/openapi.json", "/topics/a"] {
        let unread = stream + 1;
        stream = unread;
        http2.get(unread, path);
        let (mut received, mut polls) = (0, 0);
        loop {
            let frame = http2.read_frame().expect("the connection lives on");
            match (frame.stream, frame.kind) {
                (other, http2::RST_STREAM) if other == unread => break,
                (other, http2::DATA) if other == unread => received += frame.payload.len(),
                _ => {}
            }
            // The other streams move meanwhile.
            if received == http2::WINDOW && polls < 200 {
                polls += 1;
                stream += 2;
                http2.get(stream, "/healthz");
            }
        }
        assert_eq!(received, http2::WINDOW, "{path}");
        assert!(polls > 0, "{path}");
        stream += 1;
    }
    stream += 1;
    http2.get(stream, "/metrics");
    let mut page = Vec::new();
    let closes = loop {
        let frame = http2.read_frame().expect("the connection lives on");
        if frame.stream == stream && frame.kind == http2::DATA {
            page.extend_from_slice(&frame.payload);
            http2.open_window(stream, frame.payload.len());
            let text = String::from_utf8_lossy(&page);
            let name = "fanwire_closes_total{reason=\"too_slow\"} ";
            if let Some(count) = text.lines().find_map(|line| line.strip_prefix(name)) {
                break count.to_owned();
            }
        }
    };
    assert_eq!(closes, "2");
}
