//! Presence: who is there, told in the topic's order, each user once whatever happens to connections.

use std::net::{Shutdown, SocketAddr};

use fanwire_tests::{Broker, Events, Opcode, SECRET, WebSocket, eventually, get, signed_with, token_for};
use serde_json::{Value, json};

use crate::fixtures::texts::publish;

/// A broker that keeps presence in rooms, and lets in anonymous clients and those with a token of this test.
pub(super) fn broker(grace: &str) -> Broker {
    let text = format!(
        "[auth]\nsecret = \"{SECRET}\"\nanonymous = true\n\
         [limits]\npresence_grace = \"{grace}\"\n\
         [[topic]]\nmatch = 'room.>'\npresence = true\npublish = 'anyone'\nsubscribe = 'anyone'\n\
         [[topic]]\nmatch = '>'\npublish = 'anyone'\nsubscribe = 'anyone'\n"
    );
    Broker::with_file(&text, &["--workers", "2"])
}

/// A session of a user, subscribed to a topic.
pub(super) fn enter(address: SocketAddr, user: &str, topic: &str) -> WebSocket {
    let token = token_for(user, &[], &[]);
    let mut socket = WebSocket::open(address, &format!("/ws?token={token}"));
    subscribe(&mut socket, topic);
    socket
}

fn subscribe(socket: &mut WebSocket, topic: &str) {
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
}

/// Breaks a connection, and waits until the broker has noticed.
pub(super) fn break_off(address: SocketAddr, mut socket: WebSocket) {
    subscribe(&mut socket, "beside");
    socket.stream().shutdown(Shutdown::Both).expect("it is open");
    eventually("the broken connection is noticed", || {
        (publish(address, "beside", "is a subscriber left?")["subscribers"] == 0).then_some(())
    });
}

/// The users that are present, in order.
fn members(socket: &mut WebSocket, topic: &str) -> Vec<String> {
    let reply = socket.ask(&json!({"type": "presence", "id": 2, "topic": topic}));
    assert_eq!((&reply["type"], &reply["topic"]), (&json!("presence"), &json!(topic)), "{reply}");
    let name = |member: &Value| member["user"].as_str().expect("text").to_owned();
    let mut users: Vec<String> = reply["members"].as_array().expect("a list").iter().map(name).collect();
    users.sort();
    users
}

pub(super) fn check_moved(socket: &mut WebSocket, kind: &str, user: &str) -> Value {
    let frame = socket.read_json();
    assert_eq!((&frame["type"], &frame["user"]), (&json!(kind), &json!(user)), "{frame}");
    assert!(frame["topic"].as_str().is_some_and(|topic| topic.starts_with("room.")), "{frame}");
    assert!(frame["connection"].as_str().is_some_and(|connection| !connection.is_empty()), "{frame}");
    frame
}

#[test]
fn who_is_there_can_be_asked_by_url() {
    let broker = broker("1h");
    let _ann = enter(broker.address(), "ann", "room.url");
    let _bob = enter(broker.address(), "bob", "room.url");
    let answer = get(broker.address(), "/topics/room.url/presence");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let page = answer.json();
    let mut users: Vec<&str> = page["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member["user"].as_str().expect("text"))
        .collect();
    users.sort_unstable();
    assert_eq!((&page["topic"], users), (&json!("room.url"), vec!["ann", "bob"]), "{page}");
    assert_eq!(get(broker.address(), "/topics/room.empty/presence").json()["members"], json!([]));
    get(broker.address(), "/topics/hall/presence").check_problem(404, "unavailable");
    get(broker.address(), "/topics/room.*/presence").check_problem(400, "bad_topic");
    // A topic whose own name ends so has its slash encoded, and is a topic like any other.
    assert_eq!(get(broker.address(), "/topics/hall%2Fpresence").json()["messages"], json!([]));
}

#[test]
fn the_first_tab_joins_and_the_last_one_leaves() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.1");
    assert_eq!(members(&mut ann, "room.1"), ["ann"]);
    let mut bob = enter(broker.address(), "bob", "room.1");
    let joined = check_moved(&mut ann, "join", "bob");
    let mut second = enter(broker.address(), "bob", "room.1");
    assert_eq!(members(&mut second, "room.1"), ["ann", "bob"]);
    bob.ask(&json!({"type": "unsubscribe", "id": 3, "topic": "room.1"}));
    publish(broker.address(), "room.1", "still here");
    assert_eq!(
        ann.read_json()["data"],
        "still here",
        "the second tab was no second join, and the first no leave"
    );
    second.ask(&json!({"type": "unsubscribe", "id": 3, "topic": "room.1"}));
    let left = check_moved(&mut ann, "leave", "bob");
    assert_eq!(left["connection"], joined["connection"], "the member that leaves is the one that came");
    assert_eq!(members(&mut ann, "room.1"), ["ann"]);
}

#[test]
fn who_comes_and_goes_is_told_in_the_order_of_the_messages() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.order");
    for round in 0..20 {
        publish(broker.address(), "room.order", &format!("before {round}"));
        let mut bob = enter(broker.address(), "bob", "room.order");
        publish(broker.address(), "room.order", &format!("between {round}"));
        bob.ask(&json!({"type": "unsubscribe", "id": 3, "topic": "room.order"}));
        assert_eq!(ann.read_json()["data"], format!("before {round}"));
        check_moved(&mut ann, "join", "bob");
        assert_eq!(ann.read_json()["data"], format!("between {round}"));
        check_moved(&mut ann, "leave", "bob");
    }
}

#[test]
fn a_good_bye_is_told_at_once_and_a_broken_connection_after_a_grace() {
    let broker = broker("1500ms");
    let mut ann = enter(broker.address(), "ann", "room.1");
    let mut bob = enter(broker.address(), "bob", "room.1");
    check_moved(&mut ann, "join", "bob");
    bob.send_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes());
    drop(bob);
    check_moved(&mut ann, "leave", "bob");
    let bob = enter(broker.address(), "bob", "room.1");
    check_moved(&mut ann, "join", "bob");
    break_off(broker.address(), bob);
    assert_eq!(members(&mut ann, "room.1"), ["ann", "bob"], "he may come right back");
    check_moved(&mut ann, "leave", "bob");
    assert_eq!(members(&mut ann, "room.1"), ["ann"]);
}

#[test]
fn who_comes_right_back_was_never_away() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.1");
    for round in 0..5 {
        let bob = enter(broker.address(), "bob", "room.1");
        if round == 0 {
            check_moved(&mut ann, "join", "bob");
        }
        break_off(broker.address(), bob);
    }
    publish(broker.address(), "room.1", "nothing else");
    assert_eq!(ann.read_json()["data"], "nothing else");
}

#[test]
fn what_the_application_says_of_a_user_is_shown() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.1");
    let claims =
        json!({"sub": "bob", "exp": 4_000_000_000_u64, "fanwire": {"info": {"name": "Bob", "age": 7}}});
    let token = signed_with(SECRET, &json!({"alg": "HS256"}), &claims);
    let mut bob = WebSocket::open(broker.address(), &format!("/ws?token={token}"));
    subscribe(&mut bob, "room.1");
    let joined = check_moved(&mut ann, "join", "bob");
    assert_eq!(joined["info"], json!({"name": "Bob", "age": 7}));
    let reply = ann.ask(&json!({"type": "presence", "id": 9, "topic": "room.1"}));
    let members = reply["members"].as_array().expect("a list").clone();
    assert!(members.iter().any(|member| member["info"]["name"] == "Bob"), "{reply}");
}

#[test]
fn sessions_without_a_user_count_by_themselves() {
    let broker = broker("1h");
    let mut first = WebSocket::open(broker.address(), "/ws");
    subscribe(&mut first, "room.1");
    let mut second = WebSocket::open(broker.address(), "/ws");
    subscribe(&mut second, "room.1");
    check_moved(&mut first, "join", "");
    assert_eq!(members(&mut second, "room.1"), ["", ""]);
}

#[test]
fn a_topic_without_presence_says_so_and_tells_nothing() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "plain");
    let reply = ann.ask(&json!({"type": "presence", "id": 2, "topic": "plain"}));
    assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("unavailable")));
    assert!(reply["message"].as_str().is_some_and(|message| message.contains("presence = true")), "{reply}");
    let _bob = enter(broker.address(), "bob", "plain");
    publish(broker.address(), "plain", "nothing else");
    assert_eq!(ann.read_json()["data"], "nothing else");
    assert_eq!(members(&mut ann, "room.empty"), [""; 0]);
}

#[test]
fn every_transport_is_present_and_a_stream_is_told() {
    let broker = broker("1h");
    let token = token_for("eve", &[], &[]);
    let mut events = Events::open(broker.address(), &format!("/topics/room.1?token={token}"), "");
    let mut ann = enter(broker.address(), "ann", "room.1");
    assert_eq!(members(&mut ann, "room.1"), ["ann", "eve"]);
    let joined = eventually("the stream tells who came", || {
        let event = events.next_block()?;
        (event.kind == "join").then_some(event.data)
    });
    let frame: Value = serde_json::from_str(&joined).expect("it is JSON");
    assert_eq!((&frame["topic"], &frame["user"]), (&json!("room.1"), &json!("ann")));
    assert_eq!(frame.get("type"), None, "the type of the event says it: {frame}");
    let token = token_for("bare", &[], &[]);
    let mut bare = WebSocket::open(broker.address(), &format!("/topics/room.1?token={token}"));
    check_moved(&mut ann, "join", "bare");
    enter(broker.address(), "bob", "room.1");
    publish(broker.address(), "room.1", "payload");
    assert_eq!(bare.read().payload, b"payload", "a bare socket is given payloads only");
}

#[test]
fn a_pattern_subscriber_receives_presence_events_and_is_no_member() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.>");
    assert_eq!(members(&mut ann, "room.1"), [""; 0]);
    let _bob = enter(broker.address(), "bob", "room.1");
    let joined = check_moved(&mut ann, "join", "bob");
    assert_eq!(joined["topic"], "room.1");
}

#[test]
fn more_members_than_are_named_at_once_are_announced() {
    let broker = broker("1h");
    let mut ann = enter(broker.address(), "ann", "room.1");
    let others: Vec<_> =
        (0..4).map(|number| enter(broker.address(), &format!("u{number}"), "room.1")).collect();
    assert_eq!(members(&mut ann, "room.1").len(), 5);
    drop(others);
    let config = "[limits]\npresence_members_max = 2\n[[topic]]\nmatch = '>'\npresence = true\n";
    let broker = Broker::with_file(config, &[]);
    let mut all: Vec<_> = (0..3).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
    for socket in &mut all {
        subscribe(socket, "room.1");
    }
    let reply = all[2].ask(&json!({"type": "presence", "id": 2, "topic": "room.1"}));
    assert_eq!(
        (reply["members"].as_array().map(Vec::len), &reply["more"]),
        (Some(2), &json!(true)),
        "{reply}"
    );
}
