//! What operators see and do: metrics, health, starting, stopping.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fanwire_tests::{Broker, Events, Http, Opcode, WebSocket, binary, get, nth_offset, serve_command};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::fixtures::texts::{publish, subscribe};

#[test]
fn metrics_move_with_what_happens_and_come_back() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let session = subscribe(address, "m");
    let bare = WebSocket::open(address, "/topics/m");
    let events = Events::open(address, "/topics/m", "");
    for (transport, count) in [("ws", 1.0), ("bare", 1.0), ("sse", 1.0)] {
        broker.await_metric(&format!("fanwire_connections{{transport=\"{transport}\"}}"), count);
    }
    broker.await_metric("fanwire_subscriptions", 3.0);
    publish(address, "m", "12345");
    broker.await_metric("fanwire_publications_total", 1.0);
    broker.await_metric("fanwire_publication_bytes_total", 5.0);
    broker.await_metric("fanwire_deliveries_total", 3.0);
    broker.await_metric("fanwire_history_publications", 1.0);
    broker.await_metric("fanwire_topics", 1.0);
    assert!(broker.metric("fanwire_delivery_latency_seconds_count") >= 1.0);
    assert!(broker.metric("fanwire_history_bytes") > 5.0);
    assert!(
        broker.metric("fanwire_sent_bytes_total") > 0.0
            && broker.metric("fanwire_received_bytes_total") > 0.0
    );
    drop((session, bare, events));
    for transport in ["ws", "bare", "sse"] {
        broker.await_metric(&format!("fanwire_connections{{transport=\"{transport}\"}}"), 0.0);
    }
    broker.await_metric("fanwire_subscriptions", 0.0);
    broker.await_metric("fanwire_closes_total{reason=\"by_client\"}", 3.0);
    assert_eq!(broker.metric("fanwire_connections_opened_total{transport=\"ws\"}"), 1.0);
}

#[test]
fn many_requests_go_over_one_connection_and_old_clients_are_served_too() {
    let broker = Broker::start(&[]);
    let mut http = Http::connect(broker.address());
    let request =
        "POST /topics/k HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";
    http.send(request.repeat(10).as_bytes());
    for count in 1..=10 {
        assert_eq!(http.read().json()["offset"], nth_offset(count));
    }
    let mut old = Http::connect(broker.address());
    old.send(b"GET /topics/k HTTP/1.0\r\n\r\n");
    assert_eq!(old.read().json()["messages"].as_array().map(Vec::len), Some(10));
    let mut events = Http::connect(broker.address());
    events.send(b"GET /topics/k?since=earliest HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
    let head = events.read_head();
    assert_eq!((head.status, head.header("transfer-encoding")), (200, None));
    let mut text = String::new();
    while !text.contains("data: x\n\n") {
        text.push_str(&String::from_utf8(events.read_raw().expect("events")).expect("text"));
    }
    let mut page = Http::connect(broker.address());
    page.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(page.read_head().status, 200);
    assert!(page.is_hung_up(), "a HEAD has no body");
}

#[test]
fn pages_of_allowed_origins_may_read_and_ask_first() {
    let broker = Broker::start(&["--allow-origin", "https://app.example"]);
    let preflight = "OPTIONS /topics/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: https://app.example\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: idempotency-key\r\n\r\n";
    let answer = fanwire_tests::request(broker.address(), preflight);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, Some("https://app.example"))
    );
    assert!(
        answer.header("access-control-allow-headers").is_some_and(|names| names.contains("idempotency-key"))
    );
    assert!(answer.header("access-control-allow-methods").is_some_and(|names| names.contains("POST")));
}

#[test]
fn stopping_lets_every_session_finish() {
    // Far beyond what the test waits for.
    let mut broker = Broker::with(&["workers=2", "limits.close_timeout=1h", "limits.drain_timeout=1h"]);
    let address = broker.address();
    let mut events = Events::open(address, "/topics/stop", "");
    let poll = std::thread::spawn(move || get(address, "/topics/stop?wait=60").json());
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 1.0);
    let mut session = subscribe(address, "stop");
    broker.terminate();
    let closing = events.next_event().expect("a last event");
    assert_eq!(closing.kind, "closing");
    assert!(closing.retry.is_some() && closing.data.contains("1001"), "{closing:?}");
    assert!(events.next_event().is_none(), "the stream ends");
    assert_eq!(poll.join().expect("the poll is answered")["messages"], json!([]));
    session.check_closing(1001);
    assert!(broker.wait().success());
}

#[test]
fn a_client_that_does_not_answer_the_close_does_not_delay_the_stop() {
    // Far beyond what the test waits for.
    let mut broker = Broker::with(&["limits.close_timeout=1h", "limits.drain_timeout=1h"]);
    let mut session = subscribe(broker.address(), "stop");
    broker.terminate();
    // The client reads everything that it is sent, and keeps its side of the connection open.
    let closing = session.read_json();
    assert_eq!((&closing["type"], &closing["code"]), (&json!("closing"), &json!(1001)), "{closing}");
    assert_eq!(session.read().opcode, Opcode::CLOSE);
    assert!(broker.wait().success());
}

#[test]
fn a_closed_log_pipe_ends_nothing() {
    let mut broker = serve_command()
        .args(["--listen", "127.0.0.1:0", "--set", "log.filter=debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the broker's binary starts");
    drop(broker.stderr.take());
    let banner = BufReader::new(broker.stdout.take().expect("standard output is piped"));
    let address = banner
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("http://")?.1.split_whitespace().next()?.parse().ok())
        .expect("the broker says where it listens");
    // Asking for a session is logged, and so is that the broker drains.
    let mut events = Events::open(address, "/topics/unread", "");
    kill_process(Pid::from_child(&broker), Signal::TERM).expect("the broker is there to be told");
    assert_eq!(events.next_event().map(|event| event.kind).as_deref(), Some("closing"));
    assert!(broker.wait().expect("the broker is our child").success());
}

#[test]
fn what_waits_is_written_before_the_close() {
    let mut broker = Broker::start(&[]);
    let mut session = subscribe(broker.address(), "flush");
    for number in 0..100 {
        publish(broker.address(), "flush", &format!("{number} {}", "x".repeat(10_000)));
    }
    broker.terminate();
    for number in 0..100 {
        let frame = session.read_json();
        assert!(
            frame["data"].as_str().is_some_and(|data| data.starts_with(&format!("{number} "))),
            "{number}"
        );
    }
    session.check_closing(1001);
    assert!(broker.wait().success());
}

#[test]
fn an_idle_event_stream_is_kept_open_by_comments() {
    let broker = Broker::with(&["limits.sse_comment_interval=1s"]);
    let mut events = Events::open(broker.address(), "/topics/quiet", "");
    let comments =
        std::iter::from_fn(|| events.next_block()).filter(|block| block.has_comment).take(2).count();
    assert_eq!(comments, 2);
}

fn fails(arguments: &[&str]) -> String {
    let output =
        Command::new(binary()).arg("serve").args(arguments).stdin(Stdio::null()).output().expect("it starts");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "nothing is promised");
    String::from_utf8(output.stderr).expect("errors are text")
}

#[test]
fn a_broker_that_cannot_start_says_why_and_what_to_do() {
    let broker = Broker::start(&[]);
    let taken = broker.address().to_string();
    assert!(fails(&["--listen", &taken]).contains(&taken));
    let open = fails(&["--listen", "0.0.0.0:0"]);
    assert!(open.contains("--open") && open.contains("0.0.0.0"), "{open}");
    let unknown = fails(&["--set", "limits.mesage_bytes_max=1"]);
    assert!(unknown.contains("limits.message_bytes_max"), "the nearest key is named: {unknown}");
    assert!(fails(&["--log", "=,="]).contains("log.filter"));
    assert!(fails(&["--config", "/nowhere/at/all.toml"]).contains("/nowhere/at/all.toml"));
    for error in [open, unknown] {
        assert_eq!(error.trim_end().lines().count(), 1, "one clear line: {error}");
    }
}

#[test]
fn a_reload_takes_over_rules_and_origins_and_no_nonsense() {
    let file = std::env::temp_dir().join(format!("fanwire-reload-{}.toml", std::process::id()));
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write("");
    let broker = Broker::start(&["--config", file.to_str().expect("a path is text")]);
    let address = broker.address();
    publish(address, "changing", "kept");
    let status = |path: &str, headers: &str| {
        fanwire_tests::request(
            address,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"),
        )
        .status
    };
    let origin = "Origin: https://new.example\r\n";
    assert_eq!((status("/topics/changing", ""), status("/topics/a", origin)), (200, 403));
    write("origins = ['https://new.example']\n[[topic]]\nmatch = 'changing'\nhistory = false\n");
    broker.reload();
    fanwire_tests::eventually("the rule holds", || (status("/topics/changing", "") == 404).then_some(()));
    fanwire_tests::eventually("the origin is let in", || (status("/topics/a", origin) == 200).then_some(()));
    broker.await_metric("fanwire_history_publications", 0.0);
    write("nonsense = 1\n");
    broker.reload();
    write("[[topic]]\nmatch = 'other'\nhistory = false\n");
    broker.reload();
    fanwire_tests::eventually("the next one is taken over", || {
        (status("/topics/other", "") == 404).then_some(())
    });
    assert_eq!(status("/topics/changing", ""), 200);
    std::fs::remove_file(&file).expect("the file is there");
}

#[test]
fn help_has_examples() {
    for subcommand in ["serve", "pub", "sub", "bench", "health"] {
        let output = Command::new(binary()).args([subcommand, "--help"]).output().expect("it starts");
        let text = String::from_utf8(output.stdout).expect("help is text");
        assert!(output.status.success() && text.contains("Examples:"), "{subcommand}: {text}");
    }
}

#[test]
fn health_is_told_by_exit_code() {
    let mut broker = Broker::start(&[]);
    let health = |url: String| {
        let output = Command::new(binary()).args(["health", "--url", &url]).output();
        output.expect("it starts").status.success()
    };
    let url = format!("http://{}/readyz", broker.address());
    assert!(health(url.clone()));
    broker.terminate();
    assert!(broker.wait().success());
    assert!(!health(url));
}
