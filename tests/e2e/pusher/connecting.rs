//! Connections: how they begin, what they are refused with, and how they end.

use fanwire_tests::{Broker, Opcode, WebSocket, eventually, get, temporary};
use serde_json::json;

use super::fixture::{APP, KEY, Pusher, Rest, broker, close_of, data_of};

#[test]
fn a_connection_begins_with_a_socket_id_and_answers_pings() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let numbers: Vec<&str> = client.socket_id.split('.').collect();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| number.parse::<u64>().is_ok()), "{numbers:?}");
    client.send("pusher:ping", json!({}));
    client.socket.send_text(r#"{"event":"pusher:ping","data":"{}"}"#);
    client.socket.send_text(r#"{"event":"pusher:ping"}"#);
    for _ in 0..3 {
        let pong = client.next();
        assert_eq!(pong, json!({"event": "pusher:pong", "data": "{}"}));
    }
    client.send("pusher:pong", json!({}));
    client.expect_nothing();
    let other = Pusher::connect(broker.address());
    assert_ne!(client.socket_id, other.socket_id);
    assert_eq!(broker.metric("fanwire_connections{transport=\"pusher\"}"), 2.0);
}

#[test]
fn protocols_5_to_7_are_spoken_and_refusals_are_closes_after_the_upgrade() {
    let broker = broker("");
    for version in ["5", "6", "7"] {
        let mut socket = WebSocket::open(broker.address(), &format!("/app/{KEY}?protocol={version}"));
        assert_eq!(socket.read_json()["event"], "pusher:connection_established");
    }
    for (path, code, says) in [
        ("/app/unknown?protocol=7".to_owned(), 4001, "unknown"),
        (format!("/app/{KEY}"), 4008, "protocol"),
        (format!("/app/{KEY}?protocol=x"), 4006, "protocol"),
        (format!("/app/{KEY}?protocol=4"), 4007, "5 to 7"),
        (format!("/app/{KEY}?protocol=8"), 4007, "5 to 7"),
    ] {
        let (number, reason) = close_of(&mut WebSocket::open(broker.address(), &path));
        assert_eq!(number, code, "{path}");
        assert!(reason.contains(says), "{reason}");
    }
    assert_eq!(get(broker.address(), &format!("/app/{KEY}?protocol=7")).status, 426);
}

#[test]
fn without_an_app_there_is_nothing_at_these_paths() {
    let broker = Broker::start(&[]);
    for path in ["/app/k?protocol=7", "/apps/3/channels", "/apps/3/events"] {
        get(broker.address(), path).check_problem(404, "not_found");
    }
    let refusal = WebSocket::try_open(broker.address(), "/app/k?protocol=7", "").err().unwrap();
    refusal.check_problem(404, "not_found");
}

#[test]
fn what_cannot_be_followed_is_an_error_and_the_connection_stays() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    for text in [
        "not json",
        "[]",
        "{}",
        r#"{"event":1}"#,
        r#"{"event":"pusher:unknown","data":{}}"#,
        r#"{"event":"pusher_internal:member_added","channel":"a","data":"{}"}"#,
        r#"{"event":"message","channel":"a","data":"x"}"#,
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:subscribe","data":{}}"#,
        r#"{"event":"pusher:subscribe","data":[]}"#,
        r#"{"event":"pusher:unsubscribe","data":{"channel":7}}"#,
        r#"{"event":"pusher:signin","data":{}}"#,
        &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
    ] {
        client.socket.send_text(text);
        let (_, code) = client.expect_error();
        assert!(code.is_null(), "{text}: {code}");
    }
    client.socket.send_frame(true, Opcode::BINARY, b"{}");
    client.expect_error();
    client.expect_nothing();
    client.socket.send_text("\u{0}");
    client.expect_error();
}

#[test]
fn a_broker_that_stops_says_4200_so_that_clients_come_back_at_once() {
    let broker = broker("");
    let client = Pusher::connect(broker.address());
    broker.terminate();
    let (code, reason) = client.closed();
    assert_eq!(code, 4200);
    assert!(reason.contains("shutting down"), "{reason}");
}

#[test]
fn a_client_that_answers_no_ping_is_closed_with_4201() {
    let broker =
        Broker::with_file(&format!("{APP}[limits]\nping_interval = '1s'\nping_timeout = '1s'\n"), &[]);
    let client = Pusher::connect(broker.address());
    assert_eq!(client.closed().0, 4201);
}

#[test]
fn a_reload_adds_and_removes_apps() {
    let file = temporary("toml");
    std::fs::write(&file, APP).unwrap();
    let broker = Broker::start(&["--config", file.to_str().unwrap()]);
    let stays = Pusher::connect(broker.address());
    std::fs::write(&file, "[[pusher.app]]\nid = '9'\nkey = 'other'\nsecret = 's'\n").unwrap();
    broker.reload();
    let (code, _) = stays.closed();
    assert_eq!(code, 4003, "the app is gone");
    let mut socket = WebSocket::open(broker.address(), "/app/other?protocol=7");
    assert_eq!(data_of(&socket.read_json())["activity_timeout"], 120);
    let (code, _) = close_of(&mut WebSocket::open(broker.address(), &format!("/app/{KEY}?protocol=7")));
    assert_eq!(code, 4001);
    assert!(Rest::get("/channels").refused(broker.address(), 404).contains("'3'"));
    let _left_behind = std::fs::remove_file(file);
}

#[test]
fn a_secret_is_read_from_its_file_and_shown_nowhere() {
    let secret = temporary("secret");
    std::fs::write(&secret, format!("{}\n", super::fixture::SECRET)).unwrap();
    let text = format!("[[pusher.app]]\nid = '3'\nkey = '{KEY}'\nsecret_file = '{}'\n", secret.display());
    let broker = Broker::with_file(&text, &[]);
    Rest::get("/channels").expect(broker.address(), r#"{"channels":{}}"#);
    assert!(!broker.log().contains(super::fixture::SECRET));
    let _left_behind = std::fs::remove_file(secret);
}

#[test]
fn a_new_secret_holds_for_open_connections() {
    let file = temporary("toml");
    let old = APP.replace(super::fixture::SECRET, "the secret before");
    std::fs::write(&file, old).unwrap();
    let broker = Broker::start(&["--config", file.to_str().unwrap()]);
    let mut client = Pusher::connect(broker.address());
    client.ask("private-a", None);
    client.expect_refused("private-a");
    std::fs::write(&file, APP).unwrap();
    broker.reload();
    eventually("the new secret", || {
        (Rest::get("/channels").send(broker.address()).status == 200).then_some(())
    });
    client.subscribe("private-a", None);
    let _left_behind = std::fs::remove_file(file);
}
