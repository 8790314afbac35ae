//! API keys, the administrator's paths, and that nothing secret is seen anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_tests::{AUTH, Broker, SECRET, WebSocket, get, token_for};
use serde_json::json;

use crate::fixtures::credentials::{get_with, publish_with};

pub(super) const KEY: &str = "fwk_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw";
pub(super) const ADMIN: &str = "fwk_YWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRt";

pub(super) fn hash_of(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    format!("sha256:{}", URL_SAFE_NO_PAD.encode(digest))
}

fn keys() -> String {
    format!(
        "[[key]]\nname = 'shop'\nhash = '{}'\npublish = ['orders.>']\n\
         [[key]]\nname = 'operator'\nhash = '{}'\nadmin = true\n",
        hash_of(KEY),
        hash_of(ADMIN)
    )
}

#[test]
fn a_key_may_do_what_it_was_given() {
    let broker = Broker::with_file(&keys(), &[]);
    assert_eq!(publish_with(broker.address(), "orders.1", "x", Some(KEY)).status, 200);
    publish_with(broker.address(), "chat.1", "x", Some(KEY)).check_problem(403, "forbidden");
    publish_with(broker.address(), "orders.1", "x", Some(ADMIN)).check_problem(403, "forbidden");
    publish_with(broker.address(), "orders.1", "x", Some(&KEY[..20])).check_problem(401, "unauthorized");
    publish_with(broker.address(), "orders.1", "x", Some(&hash_of(KEY))).check_problem(401, "unauthorized");
    // Without a key for tokens, nothing is a good token.
    let token = token_for("ann", &[">"], &[]);
    publish_with(broker.address(), "orders.1", "x", Some(&token)).check_problem(401, "unauthorized");
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": KEY}));
    assert_eq!((&reply["type"], reply.get("user")), (&json!("connected"), None), "{reply}");
}

#[test]
fn figures_are_for_the_administrator() {
    let broker = Broker::with_file(&format!("{AUTH}anonymous = true\n{}", keys()), &[]);
    let with = |credential: &str| {
        get_with(broker.address(), "/metrics", &format!("Authorization: Bearer {credential}"))
    };
    get(broker.address(), "/metrics").check_problem(401, "unauthorized");
    with(KEY).check_problem(403, "forbidden");
    with(&token_for("ann", &[">"], &[">"])).check_problem(403, "forbidden");
    with("rubbish").check_problem(401, "unauthorized");
    let page = with(ADMIN);
    assert_eq!(page.status, 200);
    let text = page.text();
    for secret in [SECRET, KEY, ADMIN, &hash_of(KEY)] {
        assert!(!text.contains(secret), "{secret} is in the figures");
    }
    assert_eq!(get(Broker::start(&[]).address(), "/metrics").status, 200, "an open broker shows them to all");
}

#[test]
fn logs_hold_no_secret_even_at_their_most_talkative() {
    let mut broker = Broker::with_file(&format!("{AUTH}cookie = 'seat'\n{}", keys()), &["--log", "trace"]);
    let address = broker.address();
    let token = token_for("ann", &["a"], &["a"]);
    let bad = format!("{}x", &token[..token.len() - 1]);
    for shown in [&token, &bad, &KEY.to_owned(), &ADMIN.to_owned()] {
        get(address, &format!("/topics/a?token={shown}"));
        get_with(address, "/topics/a", &format!("Authorization: Bearer {shown}"));
        get_with(address, "/topics/a", &format!("Cookie: seat={shown}"));
        let mut socket = WebSocket::open(address, "/ws");
        socket.ask(&json!({"type": "connect", "id": 1, "token": shown}));
        socket.send_json(&json!({"type": "refresh", "id": 2, "token": shown}));
        WebSocket::open(address, &format!("/ws?token={shown}"));
    }
    broker.terminate();
    assert!(broker.wait().success());
    let text = broker.log();
    assert!(text.contains("API key accepted"), "the log is as talkative as it was told to be");
    let hashes = [hash_of(KEY), hash_of(ADMIN)];
    let secrets = [SECRET, KEY, ADMIN, &token, &bad, &hashes[0], &hashes[1]];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
