//! Sign-in, and the events for one user.

use serde_json::json;

use super::fixture::{Pusher, Rest, broker, data_of, trigger};

const USER: &str = r#"{"id":"7","user_info":{"name":"Ann"}}"#;

#[test]
fn a_client_signs_in_and_receives_the_events_of_its_user() {
    let broker = broker("");
    let address = broker.address();
    let (mut one, mut tab, mut other) =
        (Pusher::connect(address), Pusher::connect(address), Pusher::connect(address));
    for client in [&mut one, &mut tab] {
        let success = client.sign_in(USER);
        assert_eq!(success["event"], "pusher:signin_success", "{success}");
        assert_eq!(data_of(&success), json!({ "user_data": USER }));
        client.send("pusher:subscribe", json!({"channel": "#server-to-user-7"}));
        client.expect("pusher_internal:subscription_succeeded", "#server-to-user-7");
    }
    trigger(address, "#server-to-user-7", "note", r#"{"a":1}"#);
    for client in [&mut one, &mut tab] {
        let event = json!({"event": "note", "channel": "#server-to-user-7", "data": r#"{"a":1}"#});
        assert_eq!(client.next(), event);
    }
    other.expect_nothing();
    let channels = Rest::get("/channels").send(address).text();
    assert!(!channels.contains('#') && !channels.contains("$pusher"), "{channels}");
    Rest::get("/channels/%23server-to-user-7").refused(address, 400);
}

#[test]
fn the_channel_of_a_user_is_for_that_user_only() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let channel = "#server-to-user-7";
    client.send("pusher:subscribe", json!({"channel": channel}));
    assert_eq!(client.expect_refused(channel)["status"], 401);
    client.ask(channel, None);
    client.expect_refused(channel);
    client.sign_in(USER);
    client.send("pusher:subscribe", json!({"channel": "#server-to-user-8"}));
    client.expect_refused("#server-to-user-8");
    client.subscribe(channel, None);
}

#[test]
fn a_wrong_signature_and_a_second_user_are_refused() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.send("pusher:signin", json!({"auth": "k:00", "user_data": USER}));
    client.expect_error();
    for data in ["", "{}", "x", r#"{"id":null}"#, r#"{"id":""}"#] {
        let answer = client.sign_in(data);
        assert_eq!(answer["event"], "pusher:error", "{data}: {answer}");
    }
    assert_eq!(client.sign_in(USER)["event"], "pusher:signin_success");
    assert_eq!(client.sign_in(USER)["event"], "pusher:signin_success", "the same user again");
    assert_eq!(client.sign_in(r#"{"id":"8"}"#)["event"], "pusher:error", "another user");
    client.expect_nothing();
}

#[test]
fn a_signed_in_user_joins_presence_without_channel_data() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("public", None);
    client.sign_in(USER);
    let members = client.subscribe("presence-a", None);
    assert_eq!(members["presence"]["hash"], json!({"7": {"name": "Ann"}}));
}

#[test]
fn the_application_terminates_the_connections_of_a_user() {
    let broker = broker("");
    let address = broker.address();
    let (mut one, mut tab, mut other) =
        (Pusher::connect(address), Pusher::connect(address), Pusher::connect(address));
    one.sign_in(USER);
    tab.sign_in(USER);
    tab.subscribe("#server-to-user-7", None);
    other.sign_in(r#"{"id":"8"}"#);
    let terminate = |user: &str| Rest::post(&format!("/users/{user}/terminate_connections"), &json!({}));
    terminate("unknown").expect(address, "{}");
    terminate("7").expect(address, "{}");
    assert_eq!(one.closed().0, 4009);
    assert_eq!(tab.closed().0, 4009);
    other.expect_nothing();
}

#[test]
fn a_user_learns_which_of_the_users_it_watches_come_and_go() {
    let broker = broker("");
    let address = broker.address();
    let mut seven = Pusher::connect(address);
    seven.sign_in(USER);
    let mut watcher = Pusher::connect(address);
    let success = watcher.sign_in(r#"{"id":"1","watchlist":["7",8]}"#);
    assert_eq!(success["event"], "pusher:signin_success");
    let expect = |client: &mut Pusher, events: serde_json::Value| {
        let next = client.next();
        assert_eq!(next["event"], "pusher_internal:watchlist_events", "{next}");
        assert_eq!(next.get("channel"), None);
        assert_eq!(data_of(&next), json!({ "events": events }));
    };
    let change = |name: &str, user: &str| json!([{"name": name, "user_ids": [user]}]);
    expect(
        &mut watcher,
        json!([{"name": "online", "user_ids": ["7"]}, {"name": "offline", "user_ids": ["8"]}]),
    );
    let mut tab = Pusher::connect(address);
    tab.sign_in(USER);
    let mut eight = Pusher::connect(address);
    eight.sign_in(r#"{"id":"8"}"#);
    expect(&mut watcher, change("online", "8"));
    drop(eight);
    expect(&mut watcher, change("offline", "8"));
    drop(seven);
    tab.expect_nothing();
    watcher.expect_nothing();
    drop(tab);
    expect(&mut watcher, change("offline", "7"));
    watcher.expect_nothing();
}

#[test]
fn of_a_watchlist_that_is_too_long_the_first_hundred_are_taken() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let ids: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    client.sign_in(&json!({"id": "me", "watchlist": ids}).to_string());
    let lists = client.next();
    assert_eq!(data_of(&lists)["events"][0]["user_ids"].as_array().unwrap().len(), 100);
    assert_eq!(client.expect_error().1, 4302);
    client.expect_nothing();
}
