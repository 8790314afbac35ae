//! What ends when a token does, and how a session goes on with a new one.

use fanwire_tests::{AUTH, Broker, Events, WebSocket, get, token_for, token_of, unix_seconds};
use serde_json::{Value, json};

use crate::fixtures::credentials::{publish_with, session_of};

/// A token of Ann's that ends after so many seconds.
fn ending_in(seconds: u64, subscribe: &[&str]) -> String {
    let exp = unix_seconds() + seconds;
    token_of(&json!({"sub": "ann", "exp": exp, "fanwire": {"publish": subscribe, "subscribe": subscribe}}))
}

/// Asks and returns the type of the reply, or the code of the error.
fn word(socket: &mut WebSocket, request: &Value) -> String {
    let reply = socket.ask(request);
    let word = if reply["type"] == "error" { &reply["code"] } else { &reply["type"] };
    word.as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn sessions_of_every_transport_end_with_their_token() {
    let broker = Broker::with_file(AUTH, &[]);
    let token = ending_in(2, &["a"]);
    let mut socket = session_of(broker.address(), &token);
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    let mut by_url = WebSocket::open(broker.address(), &format!("/ws?token={token}"));
    let mut bare = WebSocket::open(broker.address(), &format!("/topics/a?token={token}"));
    let mut events = Events::open(broker.address(), &format!("/topics/a?token={token}"), "");
    let address = broker.address();
    let poll =
        std::thread::spawn(move || get(address, &format!("/topics/a?since=earliest&wait=60&token={token}")));
    for socket in [&mut socket, &mut by_url] {
        let error = socket.read_json();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("token_expired")), "{error}");
        socket.check_closing(4401);
    }
    assert_eq!(bare.read_to_close().0, Some(4401));
    let closing = events.next_event().expect("an event that says why");
    let data: Value = serde_json::from_str(&closing.data).unwrap();
    assert_eq!(
        (closing.kind.as_str(), &data["code"], &data["error"]),
        ("closing", &json!(4401), &json!("token_expired"))
    );
    assert!(events.next_event().is_none(), "the stream ends");
    let answer = poll.join().unwrap();
    assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])));
}

#[test]
fn a_session_goes_on_with_a_new_token() {
    let broker = Broker::with_file(AUTH, &[]);
    let mut socket = session_of(broker.address(), &ending_in(2, &["a"]));
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    let exp = unix_seconds() + 600;
    let longer = token_of(&json!({"sub": "ann", "exp": exp, "fanwire": {"subscribe": ["a"]}}));
    let reply = socket.ask(&json!({"type": "refresh", "id": 3, "token": longer}));
    assert_eq!((&reply["type"], &reply["expires"]), (&json!("refreshed"), &json!(exp)), "{reply}");
    // One that was not refreshed ends; when it has, the other is still there.
    let mut other = session_of(broker.address(), &ending_in(2, &[]));
    assert_eq!(other.read_json()["code"], "token_expired");
    let publisher = token_for("bob", &["a"], &[]);
    assert_eq!(publish_with(broker.address(), "a", "still here", Some(&publisher)).status, 200);
    assert_eq!(socket.read_json()["data"], "still here");
}

#[test]
fn a_new_token_that_is_refused_changes_nothing() {
    let broker = Broker::with_file(AUTH, &[]);
    let mut socket = session_of(broker.address(), &token_for("ann", &[], &["a"]));
    for (token, code) in [
        (ending_in(0, &["a"]), "token_expired"),
        ("rubbish".to_owned(), "unauthorized"),
        (token_for("bob", &[], &["a"]), "unauthorized"),
        (token_of(&json!({"exp": unix_seconds() + 60})), "unauthorized"),
    ] {
        assert_eq!(word(&mut socket, &json!({"type": "refresh", "id": 2, "token": token})), code);
    }
    assert_eq!(word(&mut socket, &json!({"type": "subscribe", "id": 3, "topic": "a"})), "subscribed");
    let connect = json!({"type": "connect", "id": 4, "token": token_for("bob", &[], &[])});
    assert_eq!(word(&mut socket, &connect), "unauthorized");
    socket.check_closing(4401);
}

#[test]
fn what_the_new_token_does_not_allow_ends() {
    let broker = Broker::with_file(AUTH, &[]);
    let mut socket = session_of(broker.address(), &token_for("ann", &[], &["a", "b.*"]));
    for topic in ["a", "b.*"] {
        socket.ask(&json!({"type": "subscribe", "id": 2, "topic": topic}));
    }
    let narrower = token_for("ann", &[], &["a"]);
    assert_eq!(word(&mut socket, &json!({"type": "refresh", "id": 3, "token": narrower})), "refreshed");
    let ended = socket.read_json();
    assert_eq!(
        (&ended["type"], &ended["topic"], &ended["code"]),
        (&json!("unsubscribed"), &json!("b.*"), &json!("forbidden"))
    );
    let publisher = token_for("bob", &[">"], &[]);
    for topic in ["b.x", "a"] {
        assert_eq!(publish_with(broker.address(), topic, topic, Some(&publisher)).status, 200);
    }
    assert_eq!(socket.read_json()["data"], "a", "what was published to the other is not delivered");
}

#[test]
fn a_token_may_be_for_one_subscription_alone() {
    let broker = Broker::with_file(AUTH, &[]);
    let mut socket = session_of(broker.address(), &token_for("ann", &[], &[]));
    let subscribe =
        |topic: &str, token: &str| json!({"type": "subscribe", "id": 2, "topic": topic, "token": token});
    assert_eq!(word(&mut socket, &json!({"type": "subscribe", "id": 2, "topic": "a"})), "forbidden");
    assert_eq!(word(&mut socket, &subscribe("a", &token_for("ann", &[], &["b"]))), "forbidden");
    assert_eq!(word(&mut socket, &subscribe("a", &token_for("bob", &[], &["a"]))), "unauthorized");
    assert_eq!(word(&mut socket, &subscribe("a", "rubbish")), "unauthorized");
    assert_eq!(word(&mut socket, &subscribe("a", &ending_in(2, &["a"]))), "subscribed");
    assert_eq!(word(&mut socket, &json!({"type": "history", "id": 3, "topic": "a"})), "forbidden");
    let of_nobody = token_of(&json!({"exp": unix_seconds() + 600, "fanwire": {"subscribe": ["c"]}}));
    assert_eq!(word(&mut socket, &subscribe("c", &of_nobody)), "subscribed");
    let ended = socket.read_json();
    assert_eq!(
        (&ended["type"], &ended["topic"], &ended["code"]),
        (&json!("unsubscribed"), &json!("a"), &json!("token_expired"))
    );
    let publisher = token_for("bob", &[">"], &[]);
    for topic in ["a", "c"] {
        assert_eq!(publish_with(broker.address(), topic, topic, Some(&publisher)).status, 200);
    }
    assert_eq!(socket.read_json()["data"], "c");
    // The history that this one subscription may begin with is part of it.
    let mut again = subscribe("a", &ending_in(2, &["a"]));
    again["since"] = json!("earliest");
    assert_eq!(word(&mut socket, &again), "subscribed");
    assert_eq!(socket.read_json()["data"], "a");
    // Subscribing again with a new token prolongs it.
    assert_eq!(word(&mut socket, &subscribe("a", &ending_in(600, &["a"]))), "subscribed");
    let mut other = session_of(broker.address(), &ending_in(3, &[]));
    assert_eq!(other.read_json()["code"], "token_expired");
    assert_eq!(publish_with(broker.address(), "a", "prolonged", Some(&publisher)).status, 200);
    assert_eq!(socket.read_json()["data"], "prolonged");
}
