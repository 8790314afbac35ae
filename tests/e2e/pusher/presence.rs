//! Presence channels: their members, and how subscribers learn of changes.

use fanwire_tests::Broker;
use serde_json::json;

use super::fixture::{APP, Pusher, Rest, broker, data_of};

const ANN: &str = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
const BOB: &str = r#"{"user_id":"bob","user_info":"text"}"#;

#[test]
fn members_are_listed_added_and_removed() {
    let broker = broker("");
    let mut ann = Pusher::connect(broker.address());
    let members = ann.subscribe("presence-a", Some(ANN));
    let hash = json!({"10": {"name": "Mr. Channels"}});
    assert_eq!(members, json!({"presence": {"ids": ["10"], "hash": hash, "count": 1}}));
    let mut bob = Pusher::connect(broker.address());
    let members = bob.subscribe("presence-a", Some(BOB));
    assert_eq!(members["presence"]["count"], 2, "{members}");
    assert_eq!(members["presence"]["hash"], json!({"10": {"name": "Mr. Channels"}, "bob": "text"}));
    let added = ann.expect("pusher_internal:member_added", "presence-a");
    assert_eq!(data_of(&added), json!({"user_id": "bob", "user_info": "text"}));
    bob.send("pusher:unsubscribe", json!({"channel": "presence-a"}));
    let removed = ann.expect("pusher_internal:member_removed", "presence-a");
    assert_eq!(data_of(&removed), json!({"user_id": "bob"}));
    bob.expect_nothing();
    ann.expect_nothing();
}

#[test]
fn a_user_is_a_member_once_over_all_connections() {
    let broker = broker("");
    let mut ann = Pusher::connect(broker.address());
    ann.subscribe("presence-a", Some(ANN));
    let (mut one, mut other) = (Pusher::connect(broker.address()), Pusher::connect(broker.address()));
    one.subscribe("presence-a", Some(BOB));
    let members = other.subscribe("presence-a", Some(BOB));
    assert_eq!(members["presence"]["count"], 2, "{members}");
    ann.expect("pusher_internal:member_added", "presence-a");
    one.send("pusher:unsubscribe", json!({"channel": "presence-a"}));
    one.expect_nothing();
    ann.expect_nothing();
    Rest::get("/channels/presence-a?info=user_count,subscription_count")
        .expect(broker.address(), r#"{"occupied":true,"subscription_count":2,"user_count":2}"#);
    let users = Rest::get("/channels/presence-a/users").send(broker.address()).json();
    let mut users: Vec<&str> =
        users["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, ["10", "bob"]);
    other.send("pusher:unsubscribe", json!({"channel": "presence-a"}));
    ann.expect("pusher_internal:member_removed", "presence-a");
}

#[test]
fn a_connection_may_be_another_user_in_each_channel() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("presence-a", Some(ANN));
    client.subscribe("presence-b", Some(BOB));
    for (channel, user) in [("presence-a", "10"), ("presence-b", "bob")] {
        let answer = Rest::get(&format!("/channels/{channel}/users"));
        answer.expect(broker.address(), &format!(r#"{{"users":[{{"id":"{user}"}}]}}"#));
    }
}

#[test]
fn a_broken_connection_leaves_after_the_grace_and_a_closed_one_at_once() {
    let broker = Broker::with_file(&format!("{APP}[limits]\npresence_grace = '1s'\n"), &[]);
    let mut ann = Pusher::connect(broker.address());
    ann.subscribe("presence-a", Some(ANN));
    let mut bob = Pusher::connect(broker.address());
    bob.subscribe("presence-a", Some(BOB));
    ann.expect("pusher_internal:member_added", "presence-a");
    drop(bob);
    let mut again = Pusher::connect(broker.address());
    again.subscribe("presence-a", Some(BOB));
    ann.expect_nothing();
    drop(again);
    ann.expect("pusher_internal:member_removed", "presence-a");
}

#[test]
fn a_subscription_needs_a_member_that_is_signed() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let channel = "presence-a";
    let auth = client.auth(channel, Some(ANN));
    client.send("pusher:subscribe", json!({"channel": channel, "auth": auth, "channel_data": BOB}));
    assert_eq!(client.expect_refused(channel)["status"], 401);
    client.ask(channel, None);
    let refused = client.expect_refused(channel);
    assert!(refused["error"].as_str().unwrap().contains("channel_data"), "{refused}");
    for data in ["", "{}", "text", r#"{"user_id":null}"#, r#"{"user_id":{}}"#, r#"{"user_id":""}"#] {
        client.ask(channel, Some(data));
        assert_eq!(client.expect_refused(channel)["status"], 400, "{data}");
    }
    client.subscribe(channel, Some(ANN));
}
