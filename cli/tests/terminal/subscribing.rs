//! `fanwire sub`.

use fanwire_client::{ErrorCode, Payload, Since};
use fanwire_protocol::{Request, ServerFrame};

use crate::fake_broker::{FakeBroker, Peer, at};
use crate::process::Process;

async fn follow(broker: &FakeBroker, arguments: &[&str]) -> (Process, Peer) {
    let process = Process::start(&broker.url, arguments);
    let mut peer = broker.accept().await;
    peer.accept_subscribe(Some(at(0)), true).await;
    (process, peer)
}

fn text(text: &str) -> Payload {
    Payload::text(text)
}

#[tokio::test]
async fn every_message_is_printed_as_it_comes_byte_for_byte() {
    for encoding in [&["sub", "a"][..], &["sub", "--msgpack", "a"]] {
        let broker = FakeBroker::start().await;
        let (mut process, mut peer) = follow(&broker, encoding).await;
        peer.message("a", 1, text("hello")).await;
        assert_eq!(process.stdout_line().await, "hello\\n");
        peer.message("a", 2, Payload::binary([0u8, 255].as_slice())).await;
        assert_eq!(process.stdout_line().await, "\\x00\\xff\\n");
        peer.message("a", 3, Payload::from_json("{\"a\":1}").unwrap()).await;
        assert_eq!(process.stdout_line().await, "{\\\"a\\\":1}\\n");
    }
}

#[tokio::test]
async fn several_topics_and_patterns_are_told_apart_and_nothing_is_printed_twice() {
    let broker = FakeBroker::start().await;
    let mut process = Process::start(&broker.url, &["sub", "a.b", "a.*", "a.b"]);
    let mut peer = broker.accept().await;
    assert_eq!(peer.accept_subscribe(Some(at(0)), true).await.0, "a.b");
    assert_eq!(peer.accept_subscribe(None, true).await.0, "a.*");
    for (topic, offset) in [("a.b", 1), ("a.c", 1), ("a.b", 2)] {
        peer.message(topic, offset, text("x")).await;
    }
    let mut lines = [process.stdout_line().await, process.stdout_line().await, process.stdout_line().await];
    lines.sort();
    assert_eq!(lines, ["a.b\\tx\\n", "a.b\\tx\\n", "a.c\\tx\\n"]);
}

#[tokio::test]
async fn json_is_the_message_object_on_one_line() {
    let broker = FakeBroker::start().await;
    let (process, mut peer) = follow(&broker, &["sub", "--json", "--count", "1", "a"]).await;
    peer.message("a", 1, Payload::from_json("{\"a\":\n1}").unwrap()).await;
    while peer.try_read().await.is_some() {}
    let end = process.end().await;
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let line = end.stdout.strip_suffix("\\n").unwrap().replace("\\\"", "\"");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "type": "message", "topic": "a", "offset": 1, "epoch": "7", "ts": 1, "data": {"a": 1},
    });
    assert_eq!(object, expected);
}

#[tokio::test]
async fn it_stops_after_the_count_asked_for() {
    let broker = FakeBroker::start().await;
    let (process, mut peer) = follow(&broker, &["sub", "--count", "2", "a"]).await;
    for offset in 1..=5 {
        peer.message("a", offset, text("x")).await;
    }
    while peer.try_read().await.is_some() {}
    let end = process.end().await;
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "x\\nx\\n"));
}

#[tokio::test]
async fn it_begins_where_it_is_told() {
    for (arguments, since, last) in [
        (&["sub", "--since", "earliest", "a"][..], Some(Since::Earliest), None),
        (&["sub", "--last", "5", "a"], None, Some(5)),
        (&["sub", "--since", "7:3", "a"], Some(Since::Position(at(3))), None),
        (&["sub", "--since", "2026-11-21T06:40:00Z", "a"], Some(Since::Time(1_795_243_200_000)), None),
    ] {
        let broker = FakeBroker::start().await;
        let _process = Process::start(&broker.url, arguments);
        let Request::Subscribe { options, .. } = broker.accept().await.read().await.request else {
            panic!("expected a subscribe");
        };
        assert_eq!((options.since, options.last), (since, last), "{arguments:?}");
    }
    for place in ["yesterday", "-10m", "2026-11-21", "5f3a:-1", "99999999999999999999d"] {
        let end = Process::start("127.0.0.1:1", &["sub", &format!("--since={place}"), "a"]).end().await;
        assert_eq!(end.code, Some(2), "{place}");
        assert!(end.stderr.contains("--since"), "{}", end.stderr);
    }
}

#[tokio::test]
async fn a_broken_connection_is_said_and_resumed() {
    let broker = FakeBroker::start().await;
    let (mut process, mut peer) = follow(&broker, &["sub", "a"]).await;
    peer.message("a", 1, text("one")).await;
    assert_eq!(process.stdout_line().await, "one\\n");
    peer.cut();
    assert!(process.stderr_line().await.ends_with("; reconnecting\n"));
    let mut peer = broker.accept().await;
    assert_eq!(process.stderr_line().await, "fanwire sub: connected again\n");
    let (_, options) = peer.accept_subscribe(Some(at(9)), false).await;
    assert_eq!(options.since, Some(Since::Position(at(1))));
    assert_eq!(process.stderr_line().await, "fanwire sub: messages of 'a' may have been missed\n");
    peer.message("a", 9, text("nine")).await;
    assert_eq!(process.stdout_line().await, "nine\\n");
}

#[tokio::test]
async fn ctrl_c_ends_it_cleanly() {
    let broker = FakeBroker::start().await;
    let (mut process, mut peer) = follow(&broker, &["sub", "a"]).await;
    // Once a message is printed, Ctrl-C is being listened for.
    peer.message("a", 1, text("x")).await;
    process.stdout_line().await;
    process.interrupt();
    while peer.try_read().await.is_some() {}
    let end = process.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let broker = FakeBroker::start().await;
    let (mut process, mut peer) = follow(&broker, &["sub", "a"]).await;
    peer.message("a", 1, text("x")).await;
    process.stdout_line().await;
    process.close_stdout();
    peer.message("a", 2, text("x")).await;
    while peer.try_read().await.is_some() {}
    let end = process.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_subscription_that_is_refused_or_ended_is_a_failure_with_the_reason() {
    let broker = FakeBroker::start().await;
    let process = Process::start(&broker.url, &["sub", "a"]);
    let mut peer = broker.accept().await;
    let id = peer.read().await.id;
    peer.say(&ServerFrame::Error { id, code: ErrorCode::Forbidden, message: "not for you".to_owned() }).await;
    let end = process.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(1), "fanwire sub: not for you (forbidden)\n"));

    let (process, mut peer) = follow(&broker, &["sub", "a"]).await;
    let closing =
        ServerFrame::Closing { code: 4440, reason: "enough".to_owned(), reconnect: false, after_ms: None };
    peer.say(&closing).await;
    peer.close(4440).await;
    let end = process.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(1), "fanwire sub: enough (close code 4440)\n"));
}

#[tokio::test]
async fn terminal_shows_control_characters_unless_raw_is_asked_for() {
    for (option, expected) in
        [("", "\\u{1b}]52;c;eA==\\u{7}x\\ny\r\n"), ("--raw", "\u{1b}]52;c;eA==\u{7}x\r\ny\r\n")]
    {
        let broker = FakeBroker::start().await;
        let command = format!("{} sub --count 1 {option} a 2>/dev/null", env!("CARGO_BIN_EXE_fanwire"));
        // util-linux's `script` runs the command on a terminal of its own.
        let child = std::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("FANWIRE_URL", &broker.url)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut peer = broker.accept().await;
        peer.accept_subscribe(Some(at(0)), true).await;
        peer.message("a", 1, text("\u{1b}]52;c;eA==\u{7}x\ny")).await;
        while peer.try_read().await.is_some() {}
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        let output = crate::fake_broker::in_time(ended).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{option}");
    }
}
