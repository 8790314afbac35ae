//! Tokens in every place they may be shown in, and every way in which one is refused.

use fanwire_tests::{
    AUTH, Broker, Events, SECRET, WebSocket, get, signed_with, token_for, token_of, unix_seconds,
};
use serde_json::{Value, json};

use crate::fixtures::credentials::{get_with, publish_with, session_of};

#[test]
fn a_token_is_taken_wherever_it_may_be_shown() {
    let broker = Broker::with_file(&format!("{AUTH}cookie = 'seat'\n"), &[]);
    let token = token_for("ann", &["a"], &["a"]);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let cookie = format!("Cookie: x=1; seat={token}\r\n");
    for (path, headers) in [
        ("/ws".to_owned(), bearer.as_str()),
        ("/ws".to_owned(), cookie.as_str()),
        (format!("/ws?token={token}"), ""),
    ] {
        let mut socket = WebSocket::try_open(broker.address(), &path, headers).unwrap();
        let reply = socket.ask(&json!({"type": "connect", "id": 1}));
        assert_eq!((&reply["type"], &reply["user"]), (&json!("connected"), &json!("ann")), "{path}");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
        assert_eq!(reply["type"], "subscribed", "{reply}");
    }
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": token}));
    assert_eq!((&reply["type"], &reply["user"]), (&json!("connected"), &json!("ann")), "{reply}");
    assert_eq!(get(broker.address(), &format!("/topics/a?token={token}")).status, 200);
    assert_eq!(get_with(broker.address(), "/topics/a", cookie.trim_end()).status, 200);
    assert!(Events::try_open(broker.address(), "/topics/a", &bearer).is_ok());
    assert!(WebSocket::try_open(broker.address(), &format!("/topics/a?token={token}"), "").is_ok());
}

#[test]
fn a_publication_carries_the_user_of_its_publisher() {
    let broker = Broker::with_file(AUTH, &[]);
    let token = token_for("ann", &["a"], &["a"]);
    let mut listener = session_of(broker.address(), &token_for("bob", &[], &["a"]));
    listener.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    assert_eq!(publish_with(broker.address(), "a", "by HTTP", Some(&token)).status, 200);
    let mut speaker = session_of(broker.address(), &token);
    speaker.send_json(&json!({"type": "publish", "topic": "a", "data": "by WebSocket", "from": "eve"}));
    let mut bare =
        WebSocket::try_open(broker.address(), &format!("/topics/a?echo=false&token={token}"), "").unwrap();
    for expected in ["by HTTP", "by WebSocket"] {
        let message = listener.read_json();
        assert_eq!((&message["data"], &message["from"]), (&json!(expected), &json!("ann")), "{message}");
    }
    bare.send_text("by bare WebSocket");
    let message = listener.read_json();
    assert_eq!((&message["data"], &message["from"]), (&json!("by bare WebSocket"), &json!("ann")));
}

#[test]
fn a_request_without_credentials_is_asked_for_some() {
    let broker = Broker::with_file(AUTH, &[]);
    for path in ["/topics/a", "/topics/a?wait=1", "/stream?topic=a", "/metrics"] {
        let answer = get(broker.address(), path);
        answer.check_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
    }
    publish_with(broker.address(), "a", "x", None).check_problem(401, "unauthorized");
    assert_eq!(
        Events::try_open(broker.address(), "/topics/a", "").err().map(|answer| answer.status),
        Some(401)
    );
    for request in [
        json!({"type": "connect", "id": 1}),
        json!({"type": "subscribe", "id": 1, "topic": "a"}),
        json!({"type": "publish", "id": 1, "topic": "a", "data": 1}),
        json!({"type": "ping", "id": 1}),
        json!({"type": "refresh", "id": 1, "token": token_for("ann", &[], &[])}),
    ] {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let error = socket.ask(&request);
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unauthorized")), "{request}");
        socket.check_closing(4401);
    }
    let mut bare = WebSocket::open(broker.address(), "/topics/a");
    assert_eq!(bare.read_to_close().0, Some(4401));
    for path in ["/", "/healthz", "/readyz", "/examples/chat.html"] {
        assert_eq!(get(broker.address(), path).status, 200, "{path}");
    }
}

/// Everything that is no good token, with the code that says so.
fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let now = unix_seconds();
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let claims = json!({"sub": "ann", "exp": now + 60, "fanwire": {"publish": [">"], "subscribe": [">"]}});
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        token_of(&changed)
    };
    let unsigned = {
        let none = signed_with(SECRET, &json!({"alg": "none"}), &claims);
        none[..=none.rfind('.').expect("a token has parts")].to_owned()
    };
    vec![
        ("expired", with("exp", json!(now - 1)), "token_expired"),
        ("not yet valid", with("nbf", json!(now + 600)), "unauthorized"),
        ("without end", with("exp", Value::Null), "unauthorized"),
        ("with text for exp", with("exp", json!((now + 60).to_string())), "unauthorized"),
        ("with text for nbf", with("nbf", json!("0")), "unauthorized"),
        ("with a list for exp", with("exp", json!([now + 60])), "unauthorized"),
        ("for another audience", with("aud", json!("shop")), "unauthorized"),
        ("with a grant that is no pattern", with("fanwire", json!({"publish": ["a..b"]})), "unauthorized"),
        ("unsigned", unsigned, "unauthorized"),
        ("unsigned, with a signature", signed_with(SECRET, &json!({"alg": "none"}), &claims), "unauthorized"),
        ("of another algorithm", signed_with(SECRET, &json!({"alg": "RS256"}), &claims), "unauthorized"),
        (
            "of another key",
            signed_with("another secret, just as long as it", &header, &claims),
            "unauthorized",
        ),
        (
            "with an extension",
            signed_with(SECRET, &json!({"alg": "HS256", "crit": ["x"]}), &claims),
            "unauthorized",
        ),
        ("oversized", with("sub", json!("a".repeat(9000))), "unauthorized"),
        ("of two parts", "e30.e30".to_owned(), "unauthorized"),
        ("garbage", "garbage".to_owned(), "unauthorized"),
        ("an unknown API key", format!("fwk_{}", "A".repeat(43)), "unauthorized"),
    ]
}

#[test]
fn a_bad_token_is_refused_everywhere_with_its_reason() {
    let broker = Broker::with_file(AUTH, &[]);
    for (what, token, code) in bad_tokens() {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let error = socket.ask(&json!({"type": "connect", "id": 7, "token": token}));
        assert_eq!(
            (&error["type"], &error["code"], &error["id"]),
            (&json!("error"), &json!(code), &json!(7)),
            "{what}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.len() > 20 && !message.contains(SECRET) && !message.contains(&token),
            "{what}: {message}"
        );
        assert_eq!(socket.check_closing(4401)["reconnect"], false, "{what}");
        for path in [format!("/ws?token={token}"), format!("/topics/a?token={token}")] {
            let mut socket = WebSocket::open(broker.address(), &path);
            assert_eq!(socket.read_to_close().0, Some(4401), "{what} at {path}");
        }
        get(broker.address(), &format!("/topics/a?token={token}")).check_problem(401, code);
        publish_with(broker.address(), "a", "x", Some(&token)).check_problem(401, code);
    }
    // A good one beside them still is.
    let token = token_for("ann", &["a"], &["a"]);
    assert_eq!(publish_with(broker.address(), "a", "x", Some(&token)).status, 200);
}

#[test]
fn a_session_that_says_nothing_is_closed_in_time() {
    let broker = Broker::with_file(&format!("[limits]\nhandshake_timeout = '1s'\n{AUTH}"), &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let error = socket.read_json();
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unauthorized")), "{error}");
    socket.check_closing(4401);
    let mut known = session_of(broker.address(), &token_for("ann", &[], &[]));
    // The other session's time passes once more; this one's does not matter any more.
    let mut other = WebSocket::open(broker.address(), "/ws");
    assert_eq!(other.read_json()["type"], "error");
    assert_eq!(known.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
}

#[test]
fn anonymous_sessions_may_do_what_is_left_to_anyone() {
    let text = format!(
        "{AUTH}anonymous = true\n[[topic]]\nmatch = 'news.>'\nsubscribe = 'anyone'\n\
         [[topic]]\nmatch = 'chat.>'\npublish = 'authenticated'\nsubscribe = 'anyone'\n"
    );
    let broker = Broker::with_file(&text, &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut check = |request: Value, expected: &str| {
        let reply = socket.ask(&request);
        let word = if reply["type"] == "error" { &reply["code"] } else { &reply["type"] };
        assert_eq!(word, expected, "{request}: {reply}");
    };
    check(json!({"type": "subscribe", "id": 1, "topic": "news.a"}), "subscribed");
    check(json!({"type": "subscribe", "id": 2, "topic": "chat.>"}), "subscribed");
    check(json!({"type": "subscribe", "id": 3, "topic": "other"}), "unauthorized");
    check(json!({"type": "subscribe", "id": 4, "topic": ">"}), "unauthorized");
    check(json!({"type": "publish", "id": 5, "topic": "chat.a", "data": 1}), "unauthorized");
    check(json!({"type": "history", "id": 6, "topic": "other"}), "unauthorized");
    let mut ann = session_of(broker.address(), &token_for("ann", &[], &[]));
    let reply = ann.ask(&json!({"type": "publish", "id": 2, "topic": "chat.a", "data": 1}));
    assert_eq!(reply["type"], "published", "{reply}");
    let reply = ann.ask(&json!({"type": "publish", "id": 3, "topic": "news.a", "data": 1}));
    assert_eq!(reply["code"], "forbidden", "{reply}");
}
