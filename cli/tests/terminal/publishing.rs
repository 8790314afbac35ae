//! `fanwire pub`.

use fanwire_client::{ErrorCode, Payload, PayloadView};
use fanwire_protocol::{ClientFrame, Request, ServerFrame};

use crate::fake_broker::{FakeBroker, Peer};
use crate::process::{End, Process};

fn silent_success() -> End {
    End { code: Some(0), stdout: String::new(), stderr: String::new() }
}

/// Reads one publish and gives it a receipt.
async fn accept_publish(peer: &mut Peer, offset: u64) -> (Payload, Option<String>) {
    let ClientFrame { id: Some(id), request: Request::Publish { payload, key, .. } } = peer.read().await
    else {
        panic!("expected an acknowledged publish");
    };
    peer.receipt(id, offset).await;
    (payload, key)
}

async fn check(arguments: &[&str], input: &[u8], expected: PayloadView<'_>) {
    let broker = FakeBroker::start().await;
    let mut process = Process::start(&broker.url, arguments);
    process.feed(input);
    let mut peer = broker.accept().await;
    let (payload, _) = accept_publish(&mut peer, 1).await;
    assert_eq!(payload.view(), expected, "{arguments:?}");
    assert!(peer.try_read().await.is_none(), "it closes the connection");
    assert_eq!(process.end().await, silent_success(), "{arguments:?}");
}

#[tokio::test]
async fn what_is_published_is_what_was_said() {
    check(&["pub", "a", "Hello, {}!"], b"", PayloadView::Text("Hello, {}!")).await;
    check(&["pub", "a", "--json", "{\"id\":17}"], b"", PayloadView::Json("{\"id\":17}")).await;
    check(&["pub", "a", "--msgpack", "text"], b"", PayloadView::Text("text")).await;
    check(&["pub", "a"], b"from\nstdin\n", PayloadView::Text("from\nstdin")).await;
    check(&["pub", "a", "-"], b"dash", PayloadView::Text("dash")).await;
    check(&["pub", "a", "--json"], b"[1,2]\n", PayloadView::Json("[1,2]")).await;
    check(&["pub", "a", "--binary"], b"\xff\x00\n", PayloadView::Binary(b"\xff\x00\n")).await;
    check(&["pub", "a", "--", "--not-an-option"], b"", PayloadView::Text("--not-an-option")).await;
}

#[tokio::test]
async fn lines_are_published_in_order_as_they_come() {
    let broker = FakeBroker::start().await;
    let mut process = Process::start(&broker.url, &["pub", "--lines", "a"]);
    let mut peer = broker.accept().await;
    let mut stdin = process.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"0\n").unwrap();
    assert_eq!(accept_publish(&mut peer, 1).await.0, Payload::text("0"), "before the input ends");
    let rest: String = (1..1000).map(|number| format!("{number}\n")).collect();
    std::io::Write::write_all(&mut stdin, rest.as_bytes()).unwrap();
    drop(stdin);
    for number in 1..1000 {
        assert_eq!(accept_publish(&mut peer, number).await.0, Payload::text(number.to_string()));
    }
    assert!(peer.try_read().await.is_none());
    assert_eq!(process.end().await, silent_success());
}

#[tokio::test]
async fn a_line_that_is_no_payload_stops_with_its_number() {
    let broker = FakeBroker::start().await;
    let mut process = Process::start(&broker.url, &["pub", "--lines", "--json", "a"]);
    process.feed(b"1\n{oops\n3\n");
    let mut peer = broker.accept().await;
    accept_publish(&mut peer, 1).await;
    let end = process.end().await;
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.starts_with("fanwire pub: line 2: "), "{}", end.stderr);
}

#[tokio::test]
async fn a_key_goes_with_the_publish() {
    let broker = FakeBroker::start().await;
    let process = Process::start(&broker.url, &["pub", "--key", "order-17", "a", "x"]);
    let mut peer = broker.accept().await;
    let (_, key) = accept_publish(&mut peer, 1).await;
    assert_eq!(key.as_deref(), Some("order-17"));
    assert!(peer.try_read().await.is_none());
    assert_eq!(process.end().await, silent_success());
}

#[tokio::test]
async fn a_refusal_is_one_line_and_a_failure() {
    let broker = FakeBroker::start().await;
    let process = Process::start(&broker.url, &["pub", "a", "x"]);
    let mut peer = broker.accept().await;
    let id = peer.read().await.id;
    let message = "the payload is too large".to_owned();
    peer.say(&ServerFrame::Error { id, code: ErrorCode::TooLarge, message }).await;
    let end = process.end().await;
    assert_eq!(end.code, Some(1));
    assert_eq!(end.stderr, "fanwire pub: the payload is too large (too_large)\n");
}

#[tokio::test]
async fn without_a_broker_it_says_where_it_looked_and_how_to_start_one() {
    let broker = FakeBroker::start().await;
    let url = broker.url.clone();
    drop(broker);
    for arguments in [&["pub", "a", "x"][..], &["sub", "a"]] {
        let end = Process::start(&url, arguments).end().await;
        assert_eq!(end.code, Some(1));
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
        assert!(end.stderr.contains(&url) && end.stderr.contains("fanwire serve"), "{}", end.stderr);
    }
}

#[tokio::test]
async fn what_cannot_be_published_is_said_before_a_broker_is_asked() {
    for (arguments, expected) in [
        (&["pub", "a", "--json", "{oops"][..], "not valid JSON"),
        (&["pub", "--lines", "a", "x"], "--lines reads standard input"),
        (&["pub", "--ca-file", "/nonexistent/ca.pem", "a", "x"], "/nonexistent/ca.pem"),
        (&["pub", "--token-file", "/nonexistent/token", "a", "x"], "/nonexistent/token"),
    ] {
        let end = Process::start("127.0.0.1:1", arguments).end().await;
        assert_eq!(end.code, Some(1), "{arguments:?}: {}", end.stderr);
        assert!(end.stderr.contains(expected), "{arguments:?}: {}", end.stderr);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    }
}

#[tokio::test]
async fn a_token_comes_from_the_environment_or_a_file_and_never_from_an_argument() {
    let end = Process::start("127.0.0.1:1", &["pub", "--token", "secret", "a", "x"]).end().await;
    assert_eq!(end.code, Some(2), "{}", end.stderr);

    let broker = FakeBroker::start().await;
    let _process =
        Process::start_with(&broker.url, &["pub", "a", "x"], &[("FANWIRE_TOKEN", "from-environment")]);
    assert_eq!(broker.accept().await.token.as_deref(), Some("from-environment"));

    let path = std::env::temp_dir().join(format!("fanwire-token-{}", std::process::id()));
    std::fs::write(&path, "from-file\n").unwrap();
    let arguments = ["pub", "--token-file", path.to_str().unwrap(), "a", "x"];
    let _process = Process::start_with(&broker.url, &arguments, &[("FANWIRE_TOKEN", "from-environment")]);
    assert_eq!(broker.accept().await.token.as_deref(), Some("from-file"));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn every_help_has_examples() {
    for arguments in [&["--help"][..], &["pub", "--help"], &["sub", "--help"]] {
        let end = Process::start("", arguments).end().await;
        assert_eq!(end.code, Some(0));
        assert!(end.stdout.contains("Examples:"), "{}", end.stdout);
    }
}
