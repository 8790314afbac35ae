//! Publications whose bytes change on disk: they are left out with a sign, and everything else stays in use.

use std::net::SocketAddr;

use fanwire_tests::{Broker, DataDirectory, WebSocket, get, post};
use serde_json::{Value, json};

use super::DURABLE;

/// How many publications make a topic so long that its replay is read in several pieces.
const LONG: usize = 3000;

/// Far more connections than a replay needs.
const ATTEMPTS: usize = 10;

fn publish(address: SocketAddr, topic: &str, text: &str) -> Value {
    let answer = post(address, &format!("/topics/{topic}"), "text/plain", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Stops the broker, changes a bit of the publication that contains `text`, and starts a broker again.
fn damage(directory: &DataDirectory, mut broker: Broker, text: &str) -> Broker {
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
    let database = directory.path().join("fanwire.db");
    let mut bytes = std::fs::read(&database).expect("the database");
    let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    bytes[found.expect("it is on disk")] ^= 1;
    std::fs::write(&database, bytes).expect("it is ours");
    directory.serve(DURABLE)
}

fn subscribe(address: SocketAddr, since: &Value) -> (WebSocket, Value) {
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a", "since": since}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    (socket, reply)
}

#[test]
fn a_publication_that_is_damaged_on_disk_is_a_gap_on_every_transport() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let first = publish(broker.address(), "a", "publication 1");
    for number in 2..=5 {
        publish(broker.address(), "a", &format!("publication {number}"));
    }
    let broker = damage(&directory, broker, "publication 3");
    let page = get(broker.address(), "/topics/a?since=earliest").json();
    assert_eq!(
        (page["gap"].as_bool(), page["messages"].as_array().map(Vec::len)),
        (Some(true), Some(4)),
        "{page}"
    );
    let since = json!({"epoch": first["epoch"], "offset": 1});
    let (mut socket, reply) = subscribe(broker.address(), &since);
    assert_eq!(reply["recovered"], false, "{reply}");
    for number in [2, 4, 5] {
        assert_eq!(socket.read_json()["data"], format!("publication {number}"));
    }
    assert!(broker.metric("fanwire_store_damaged_publications_total") >= 2.0);
    assert!(broker.log().contains("is damaged on disk"), "{}", broker.log());
    assert_eq!(get(broker.address(), "/readyz").status, 200, "one publication does not stop the others");
    assert_eq!(publish(broker.address(), "a", "6")["offset"], 6);
}

#[test]
fn damage_in_the_middle_of_a_long_replay_is_reported_once_and_passed() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let numbers: Vec<String> = (1..=LONG).map(|number| format!("number {number}.")).collect();
    for batch in numbers.chunks(1000) {
        let messages: Vec<Value> = batch.iter().map(|data| json!({"topic": "a", "data": data})).collect();
        let body = json!({"messages": messages}).to_string();
        assert_eq!(post(broker.address(), "/publish", "application/json", body.as_bytes()).status, 200);
    }
    let broker = damage(&directory, broker, "number 2500.");
    // Like a client: it resumes after what it received last, until it has everything.
    let (mut since, mut received, mut losses) = (json!("earliest"), Vec::new(), 0);
    for _ in 0..ATTEMPTS {
        let (mut socket, reply) = subscribe(broker.address(), &since);
        losses += usize::from(reply["recovered"] == false);
        while received.len() < LONG - 1 {
            let Some(frame) = socket.try_read_json() else { break };
            if frame["type"] == "message" {
                received.push(frame["data"].as_str().expect("text").to_owned());
                since = json!({"epoch": reply["epoch"], "offset": frame["offset"]});
            }
        }
        if received.len() == LONG - 1 {
            break;
        }
    }
    assert_eq!(losses, 1, "the loss is reported, and once");
    let expected: Vec<String> = numbers.into_iter().filter(|data| data != "number 2500.").collect();
    assert!(received == expected, "everything else comes once and in order");
}
