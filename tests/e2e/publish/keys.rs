//! Idempotency keys: whose they are, and that none is forgotten before its time.

use fanwire_tests::{Broker, Response, SECRET, WebSocket, request, token_for};
use serde_json::{Value, json};

/// Publishes with a key over HTTP, with a token if there is one.
fn publish(broker: &Broker, topic: &str, key: &str, token: Option<&str>) -> Response {
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    request(
        broker.address(),
        &format!(
            "POST /topics/{topic} HTTP/1.1\r\nHost: x\r\n{authorization}Idempotency-Key: {key}\r\n\
             Content-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        ),
    )
}

fn is_duplicate(receipt: &Value) -> bool {
    receipt["duplicate"] == true
}

#[test]
fn the_same_key_of_two_users_means_two_publications_and_of_one_user_the_same_on_every_transport() {
    let rule = format!(
        "[auth]\nsecret = \"{SECRET}\"\nanonymous = true\n\
         [[topic]]\nmatch = '>'\npublish = 'anyone'\nsubscribe = 'anyone'\n"
    );
    let broker = Broker::with_file(&rule, &[]);
    let (ann, bob) = (token_for("ann", &[], &[]), token_for("bob", &[], &[]));
    let first = publish(&broker, "orders", "order-17", Some(&ann)).json();
    assert!(!is_duplicate(&first));
    assert!(
        !is_duplicate(&publish(&broker, "orders", "order-17", Some(&bob)).json()),
        "it is another user's"
    );
    assert!(
        !is_duplicate(&publish(&broker, "orders", "order-17", None).json()),
        "no publisher has used it yet"
    );
    let mut socket = WebSocket::open(broker.address(), &format!("/ws?token={ann}"));
    let repeat = json!({"type": "publish", "id": 1, "topic": "orders", "data": "x", "key": "order-17"});
    let again = socket.ask(&repeat);
    assert_eq!((is_duplicate(&again), &again["offset"]), (true, &first["offset"]), "{again}");
    // A client without a token is known by its address, so that a repeat after a reconnect is recognized.
    for _ in 0..2 {
        let mut anonymous = WebSocket::open(broker.address(), "/ws");
        assert!(is_duplicate(&anonymous.ask(&repeat)));
    }
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about topics in memory")]
fn a_publish_is_refused_when_its_key_cannot_be_remembered_and_none_is_forgotten_early() {
    let broker = Broker::with(&["history.bytes_max=1MiB"]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let mut keyed =
        |key: &str| socket.ask(&json!({"type": "publish", "id": 1, "topic": "t", "data": "x", "key": key}));
    let refusal =
        (0..10_000).map(|number| keyed(&format!("k{number}"))).find(|reply| reply["type"] == "error");
    let refusal = refusal.expect("memory is bounded");
    assert_eq!(refusal["code"], "limit_exceeded", "{refusal}");
    assert!(is_duplicate(&keyed("k0")), "the oldest is remembered");
    let plain = socket.ask(&json!({"type": "publish", "id": 2, "topic": "t", "data": "x"}));
    assert_eq!(plain["type"], "published", "{plain}");
    assert!(broker.metric("fanwire_idempotency_keys_refused_total") >= 1.0);
    assert!(broker.metric("fanwire_idempotency_key_bytes") <= f64::from(1 << 20) / 2.0);
}
