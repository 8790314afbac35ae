//! TLS: every transport under it, HTTP/2, and certificates that are renewed while the broker runs.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use fanwire_tests::{Broker, Certificate, Events, Opcode, Response, WebSocket, eventually, nth_offset};
use serde_json::json;

/// Starts a broker that shows `certificate`, with more settings.
fn broker(certificate: &Certificate, settings: &[&str]) -> Broker {
    let [own, key] = certificate.settings();
    let all: Vec<&str> = [own.as_str(), key.as_str()].into_iter().chain(settings.iter().copied()).collect();
    Broker::with(&all)
}

fn ask(certificate: &Certificate, broker: &Broker, request: &str) -> Response {
    let mut http = certificate.connect(broker.address());
    http.send(request.as_bytes());
    http.read()
}

fn get(certificate: &Certificate, broker: &Broker, path: &str) -> Response {
    ask(certificate, broker, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

fn publish(certificate: &Certificate, broker: &Broker, topic: &str, text: &str) {
    let request = format!(
        "POST /topics/{topic} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: \
         {}\r\n\r\n{text}",
        text.len()
    );
    assert_eq!(ask(certificate, broker, &request).status, 200);
}

fn metric(certificate: &Certificate, broker: &Broker, name: &str) -> f64 {
    let page = get(certificate, broker, "/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no metric {name} in\n{page}")).parse().expect("a metric is a number")
}

fn open(certificate: &Certificate, broker: &Broker, path: &str) -> WebSocket {
    let http = certificate.connect(broker.address());
    WebSocket::try_open_over(http, "localhost", path, "").unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[test]
fn every_transport_works_under_tls() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let mut socket = open(&certificate, &broker, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}));
    assert_eq!(reply["type"], "subscribed");
    let mut bare = open(&certificate, &broker, "/topics/a");
    let mut events =
        Events::try_open_over(certificate.connect(broker.address()), "/topics/a", "").expect("a stream");
    publish(&certificate, &broker, "a", "over HTTP");
    bare.send_text("over a bare socket");
    for text in ["over HTTP", "over a bare socket"] {
        assert_eq!(socket.read_json()["data"], text);
        assert_eq!(bare.read().payload, text.as_bytes());
        assert_eq!(events.next_data(), text);
    }
    let history = get(&certificate, &broker, "/topics/a").json();
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(2));
    assert!(metric(&certificate, &broker, "fanwire_certificate_expires_timestamp_seconds") > 3.7e9);
}

#[test]
fn large_messages_and_bursts_arrive_whole_and_in_order_under_tls() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let mut reader = open(&certificate, &broker, "/topics/big");
    let mut writer = open(&certificate, &broker, "/topics/big?echo=false");
    // Larger than the socket's own buffers, so that the broker has to wait for them under TLS too.
    for number in 0..8_u8 {
        writer.send_frame(true, Opcode::BINARY, &vec![number; 1_000_000]);
    }
    for number in 0..8_u8 {
        let frame = reader.read();
        assert!(
            frame.payload.len() == 1_000_000 && frame.payload.iter().all(|byte| *byte == number),
            "{number}"
        );
    }
    for number in 0..5_000 {
        writer.send_text(&number.to_string());
    }
    for number in 0..5_000 {
        assert_eq!(reader.read().payload, number.to_string().as_bytes());
    }
}

#[test]
fn a_session_that_does_not_read_under_tls_is_closed_and_the_broker_can_still_be_stopped() {
    let certificate = Certificate::new();
    let settings = ["limits.outbox_bytes_max=1MiB", "limits.close_timeout=1s"];
    let mut broker = broker(&certificate, &settings);
    let deaf = open(&certificate, &broker, "/topics/flood");
    let mut reader = open(&certificate, &broker, "/topics/flood");
    let mut writer = open(&certificate, &broker, "/topics/flood?echo=false");
    for number in 0..40 {
        writer.send_frame(true, Opcode::BINARY, &vec![number; 500_000]);
        assert_eq!(reader.read().payload.first(), Some(&number));
    }
    let name = "fanwire_closes_total{reason=\"too_slow\"}";
    eventually("it is closed as too slow", || (metric(&certificate, &broker, name) >= 1.0).then_some(()));
    let name = "fanwire_connections{transport=\"bare\"}";
    eventually("it is given up", || (metric(&certificate, &broker, name) <= 2.0).then_some(()));
    broker.terminate();
    assert_eq!(reader.read_to_close().0, Some(1001), "the farewell goes out under TLS");
    drop((deaf, writer, reader));
    assert!(broker.wait().success());
}

/// Starts curl over HTTP/2, its output piped, that does not ask whose certificate it is shown.
fn curl(arguments: &[String]) -> Child {
    let mut command = Command::new("curl");
    command.args(["--silent", "--insecure", "--http2", "--no-buffer"]).args(arguments);
    command.stdout(Stdio::piped()).spawn().expect("curl, which .ci/test-tools installs")
}

fn output(mut child: Child) -> String {
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("curl writes text");
    assert!(child.wait().expect("a child of ours").success(), "{text}");
    text
}

#[test]
fn http_2_serves_publishing_polling_and_pages() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let base = format!("https://{}", broker.address());
    let version = "%{http_version} %{http_code}".to_owned();
    let ask = |arguments: &[&str]| {
        let mut all = vec!["--write-out".to_owned(), version.clone()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        output(curl(&all))
    };
    let topic = format!("{base}/topics/a");
    let receipt = ask(&["--header", "Content-Type: text/plain", "--data", "hello", &topic]);
    let offset = format!("\"offset\":{},", nth_offset(1));
    assert!(receipt.contains(&offset) && receipt.ends_with("2 200"), "{receipt}");
    let history = ask(&[&topic]);
    assert!(history.contains("\"data\":\"hello\"") && history.ends_with("2 200"), "{history}");
    assert!(ask(&[&format!("{base}/healthz")]).ends_with("2 200"));
    // A page of the broker's own is known by :authority, which takes the place of Host.
    let own = format!("Origin: {base}");
    assert!(ask(&["--header", &own, &topic]).ends_with("2 200"));
    let foreign = ask(&["--header", "Origin: https://evil.example", &topic]);
    assert!(foreign.ends_with("2 403"), "{foreign}");
    let upgrade = ask(&[&format!("{base}/ws")]);
    assert!(upgrade.contains("WebSocket") && upgrade.ends_with("2 426"), "{upgrade}");
}

#[test]
fn one_http_2_connection_carries_more_streams_than_browsers_allow_connections() {
    const STREAMS: usize = 20;
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let mut arguments: Vec<String> =
        ["--parallel", "--parallel-max", "50", "--header", "Accept: text/event-stream"]
            .map(str::to_owned)
            .into();
    arguments.extend((0..STREAMS).map(|number| format!("https://{}/topics/s.{number}", broker.address())));
    let mut child = curl(&arguments);
    let sse = "fanwire_connections{transport=\"sse\"}";
    eventually("all streams are open", || {
        (metric(&certificate, &broker, sse) >= STREAMS as f64).then_some(())
    });
    let http = metric(&certificate, &broker, "fanwire_connections{transport=\"http\"}");
    assert!(http <= 3.0, "{http} connections: curl's one or two, and the one that asks");
    for number in 0..STREAMS {
        publish(&certificate, &broker, &format!("s.{number}"), &format!("for {number};"));
    }
    let mut text = String::new();
    let mut piped = child.stdout.take().expect("piped");
    let mut piece = [0; 4096];
    while (0..STREAMS).any(|number| !text.contains(&format!("data: for {number};"))) {
        let count = piped.read(&mut piece).expect("curl writes");
        assert!(count > 0, "curl has ended after {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    eventually("all streams are gone", || (metric(&certificate, &broker, sse) == 0.0).then_some(()));
}

#[test]
fn a_renewed_certificate_is_taken_over_and_sessions_go_on() {
    let mut certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let mut socket = open(&certificate, &broker, "/topics/a");
    certificate.renew(2021, 2080);
    eventually("the new certificate is shown by itself", || {
        certificate.try_connect(broker.address(), &["http/1.1"]).ok()
    });
    certificate.renew(2022, 2070);
    broker.reload();
    eventually("the newest certificate is shown after SIGHUP", || {
        certificate.try_connect(broker.address(), &["http/1.1"]).ok()
    });
    publish(&certificate, &broker, "a", "still here");
    assert_eq!(socket.read().payload, b"still here");
}

#[test]
fn a_bad_renewal_is_refused_and_the_old_certificate_is_shown_on() {
    let certificate = Certificate::new();
    let broker = broker(&certificate, &[]);
    let (good, key) =
        (std::fs::read(certificate.path()).unwrap(), std::fs::read(certificate.key_path()).unwrap());
    // An answer shows that the broker handles signals.
    assert_eq!(get(&certificate, &broker, "/healthz").status, 200);
    let other = Certificate::new();
    let foreign = std::fs::read(other.path()).unwrap();
    for bad in [&b"rubbish"[..], &foreign, b""] {
        std::fs::write(certificate.path(), bad).unwrap();
        broker.reload();
        for _ in 0..5 {
            let connected = certificate.try_connect(broker.address(), &["http/1.1"]);
            assert!(connected.is_ok(), "{:?}", connected.err());
        }
    }
    std::fs::write(certificate.path(), good).unwrap();
    std::fs::write(certificate.key_path(), key).unwrap();
    broker.reload();
    assert_eq!(get(&certificate, &broker, "/healthz").status, 200);
}

/// What `fanwire serve` says when it does not start with these files.
fn refusal(certificate: &std::path::Path, key: &std::path::Path) -> String {
    let output = Command::new(fanwire_tests::binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--set"])
        .arg(format!("tls.certificate={}", certificate.display()))
        .arg("--set")
        .arg(format!("tls.key={}", key.display()))
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("errors are UTF-8")
}

#[test]
fn files_that_are_no_certificate_to_show_are_refused_with_a_sentence() {
    let (good, other) = (Certificate::new(), Certificate::new());
    let (old, early) = (Certificate::between(2001, 2002), Certificate::between(2080, 2090));
    let missing = good.path().with_file_name("missing.pem");
    let rubbish = good.path().with_file_name("rubbish.pem");
    std::fs::write(&rubbish, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
    for (certificate, key, expected) in [
        (&missing, &good.key_path(), "missing.pem: No such file"),
        (&good.path(), &missing, "missing.pem: No such file"),
        (&rubbish, &good.key_path(), "rubbish.pem: not a PEM file"),
        (&good.key_path(), &good.key_path(), "holds no certificate"),
        (&good.path(), &good.path(), "holds no private key"),
        (&good.path(), &other.key_path(), "is not the private key of the first certificate in"),
        (&old.path(), &old.key_path(), "expired on Jan  1 00:00:00 2002"),
        (&early.path(), &early.key_path(), "is not valid before Jan  1 00:00:00 2080"),
    ] {
        let said = refusal(certificate, key);
        assert!(said.contains("fanwire serve: tls: ") && said.contains(expected), "{expected}: {said}");
    }
}
