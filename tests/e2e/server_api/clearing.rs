//! Clearing history: it is gone, and a session that resumes from an older position receives a gap.

use fanwire_tests::{Broker, DataDirectory, WebSocket, get, post};
use serde_json::{Value, json};

use crate::fixtures::server_api::call_as;

fn publish(broker: &Broker, text: &str) -> Value {
    let answer = post(broker.address(), "/topics/a", "text/plain", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn clear(broker: &Broker) -> Value {
    let answer = call_as(None, broker.address(), "DELETE", "/topics/a/history", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn held(broker: &Broker) -> Vec<String> {
    let page = get(broker.address(), "/topics/a?since=earliest&limit=1000").json();
    let messages = page["messages"].as_array().expect("messages").iter();
    messages.map(|message| message["data"].as_str().expect("text").to_owned()).collect()
}

/// Clears a topic and checks what every reader receives.
fn check(broker: &Broker) -> Value {
    let mut live = WebSocket::open(broker.address(), "/ws");
    live.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}));
    let positions: Vec<Value> = (0..5).map(|number| publish(broker, &number.to_string())).collect();
    let cleared = clear(broker);
    let newest = &positions[4];
    assert_eq!((&cleared["epoch"], &cleared["offset"]), (&newest["epoch"], &newest["offset"]), "{cleared}");
    assert_eq!(held(broker), Vec::<String>::new());
    publish(broker, "after");
    assert_eq!(held(broker), ["after"]);
    for expected in ["0", "1", "2", "3", "4", "after"] {
        assert_eq!(live.read_json()["data"], expected, "live subscribers notice nothing");
    }
    for (since, recovered) in [(&positions[2], false), (&positions[4], true)] {
        let mut back = WebSocket::open(broker.address(), "/ws");
        let since = json!({"epoch": since["epoch"], "offset": since["offset"]});
        let reply = back.ask(&json!({"type": "subscribe", "id": 1, "topic": "a", "since": since}));
        assert_eq!(reply["recovered"], recovered, "{since}: {reply}");
        assert_eq!(back.read_json()["data"], "after");
    }
    positions[2].clone()
}

#[test]
fn history_in_memory_is_cleared() {
    let broker = Broker::start(&["--workers", "2"]);
    check(&broker);
    broker.await_metric("fanwire_history_publications", 1.0);
    // What is cleared twice, or never was, is empty all the same.
    clear(&broker);
    clear(&broker);
    assert_eq!(held(&broker), Vec::<String>::new());
}

#[test]
fn history_on_disk_is_cleared_for_good() {
    let directory = DataDirectory::new();
    let durable = "[[topic]]\nmatch = '>'\ndurable = true\n";
    let broker = directory.serve(durable);
    let lost = check(&broker);
    let broker = directory.restart(broker, durable);
    assert_eq!(held(&broker), ["after"]);
    let mut back = WebSocket::open(broker.address(), "/ws");
    let since = json!({"epoch": lost["epoch"], "offset": lost["offset"]});
    let reply = back.ask(&json!({"type": "subscribe", "id": 1, "topic": "a", "since": since}));
    assert_eq!(reply["recovered"], false, "{reply}");
    drop(back);
    // A topic that only the disk knows can be cleared, too.
    let broker = directory.restart(broker, durable);
    let cleared = clear(&broker);
    assert_eq!(held(&broker), Vec::<String>::new());
    let next = publish(&broker, "next");
    assert_eq!(next["epoch"], cleared["epoch"]);
    assert!(next["offset"].as_u64() > cleared["offset"].as_u64(), "{next} is not after {cleared}");
}

#[test]
fn only_topics_have_history() {
    let broker = Broker::start(&[]);
    for path in ["/topics/a.*/history", "/topics/a%20b/history"] {
        call_as(None, broker.address(), "DELETE", path, "").check_problem(400, "bad_topic");
    }
    call_as(None, broker.address(), "DELETE", "/topics/a/past", "").check_problem(404, "not_found");
}
