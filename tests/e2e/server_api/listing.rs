//! Sessions as they are listed: all of them, page by page, whichever worker has them.

use std::collections::BTreeSet;

use fanwire_tests::Events;
use serde_json::{Value, json};

use crate::fixtures::server_api::{call, guarded_broker, session_of};

#[test]
fn every_session_of_every_worker_is_listed_once() {
    let broker = guarded_broker("");
    let sessions: Vec<_> = (0..7).map(|number| session_of(&broker, &format!("user-{number}"))).collect();
    let (mut seen, mut path) = (Vec::new(), "/sessions?limit=2".to_owned());
    loop {
        let page = call(&broker, "GET", &path, &Value::Null).json();
        assert_eq!(page["total"], 7, "{page}");
        let listed = page["sessions"].as_array().expect("a list");
        assert!((1..=2).contains(&listed.len()), "{page}");
        seen.extend(listed.iter().map(|session| session["connection"].as_str().expect("a name").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/sessions?limit=2&after={next}");
    }
    let expected: BTreeSet<&String> = sessions.iter().map(|(_, connection)| connection).collect();
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn one_session_is_shown_with_what_it_is_subscribed_to() {
    let broker = guarded_broker("");
    let (mut socket, connection) = session_of(&broker, "ann");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "b.1"}));
    socket.ask(&json!({"type": "subscribe", "id": 3, "topic": "a.*"}));
    socket.ask(&json!({"type": "subscribe", "id": 4, "topic": "gone"}));
    socket.ask(&json!({"type": "unsubscribe", "id": 5, "topic": "gone"}));
    let shown = call(&broker, "GET", &format!("/sessions/{connection}"), &Value::Null).json();
    assert_eq!(shown["connection"], connection.as_str(), "{shown}");
    assert_eq!(
        (&shown["user"], &shown["name"], &shown["transport"]),
        (&json!("ann"), &json!("tab"), &json!("ws"))
    );
    assert_eq!((&shown["topics"], &shown["subscriptions"]), (&json!(["a.*", "b.1"]), &json!(2)), "{shown}");
    assert!(shown["opened"].as_u64().is_some_and(|opened| opened > 1_600_000_000_000), "{shown}");
    drop(socket);
    fanwire_tests::eventually("the session is gone", || {
        let answer = call(&broker, "GET", &format!("/sessions/{connection}"), &Value::Null);
        (answer.status == 404).then_some(())
    });
}

#[test]
fn streams_are_sessions_too() {
    let broker = guarded_broker("");
    let token = fanwire_tests::token_for("ann", &[], &["a"]);
    let _stream = Events::open(broker.address(), "/topics/a", &format!("Authorization: Bearer {token}\r\n"));
    let page = call(&broker, "GET", "/sessions", &Value::Null).json();
    assert_eq!(page["sessions"][0]["transport"], "sse", "{page}");
    assert_eq!(page["sessions"][0]["user"], "ann", "{page}");
}

#[test]
fn sessions_are_found_by_user_transport_and_topic() {
    let broker = guarded_broker("");
    let (mut first, ann) = session_of(&broker, "ann");
    let (mut second, bob) = session_of(&broker, "bob");
    first.ask(&json!({"type": "subscribe", "id": 2, "topic": "shop.*"}));
    second.ask(&json!({"type": "subscribe", "id": 2, "topic": "shop.orders"}));
    let token = fanwire_tests::token_for("ann", &[], &[">"]);
    let stream = format!("Authorization: Bearer {token}\r\n");
    let _stream = Events::open(broker.address(), "/topics/shop.news", &stream);
    let check = |query: &str, expected: &[&str]| {
        let page = call(&broker, "GET", &format!("/sessions?{query}"), &Value::Null).json();
        let found = page["sessions"].as_array().expect("a list").iter();
        let found: BTreeSet<&str> =
            found.map(|session| session["connection"].as_str().expect("a name")).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{query}: {page}");
        assert_eq!(page["total"], 3, "{page}");
    };
    check("user=ann&transport=ws", &[&ann]);
    check("user=unknown", &[]);
    check("topic=shop.orders", &[&ann, &bob]);
    check("topic=shop.orders&user=bob", &[&bob]);
    check("transport=bare", &[]);
    check("slow=true", &[]);
    let sse = call(&broker, "GET", "/sessions?transport=sse&topic=shop.news", &Value::Null).json();
    assert_eq!(sse["sessions"][0]["user"], "ann", "{sse}");
}

#[test]
fn a_session_that_does_not_read_is_shown_as_slow() {
    let broker = guarded_broker(
        "[[topic]]\nmatch = 'flood'\nslow = 'skip'\n[limits]\nmessage_bytes_max = '64KiB'\noutbox_bytes_max = '256KiB'\n",
    );
    let (mut socket, connection) = session_of(&broker, "ann");
    socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "flood"}));
    let (mut quick, _) = session_of(&broker, "bob");
    let payload = "x".repeat(60_000);
    let slow = fanwire_tests::eventually("its outbox fills", || {
        let receipt = quick.ask(&json!({"type": "publish", "id": 3, "topic": "flood", "data": payload}));
        assert_eq!(receipt["type"], "published", "{receipt}");
        let page = call(&broker, "GET", "/sessions?slow=true", &Value::Null).json();
        page["sessions"].get(0).cloned()
    });
    assert_eq!((&slow["connection"], &slow["slow"]), (&json!(connection), &json!(true)), "{slow}");
    assert_eq!(
        (&slow["address"], &slow["outbox_bytes_max"]),
        (&json!("127.0.0.1"), &json!(262_144)),
        "{slow}"
    );
    assert!(slow["outbox_bytes"].as_u64() >= Some(131_072), "{slow}");
}

#[test]
fn what_is_asked_for_badly_is_said() {
    let broker = guarded_broker("");
    let queries = [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("after=zz", "after"),
        ("transport=pigeon", "transport"),
        ("topic=a.*", "topic"),
        ("slow=maybe", "slow"),
    ];
    for (query, name) in queries {
        let answer = call(&broker, "GET", &format!("/sessions?{query}"), &Value::Null);
        answer.check_problem(400, "bad_frame");
        assert!(answer.text().contains(name), "{}", answer.text());
    }
}
