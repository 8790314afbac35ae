//! `GET channels`, `GET channels/{channel}` and its users.

use serde_json::json;

use super::fixture::{APP, Pusher, Rest, broker};
use fanwire_tests::Broker;

#[test]
fn the_channels_with_subscribers_are_listed() {
    let broker = broker("");
    let address = broker.address();
    Rest::get("/channels").expect(address, r#"{"channels":{}}"#);
    let mut client = Pusher::connect(address);
    client.subscribe("news", None);
    client.subscribe("a..b", None);
    client.subscribe("presence-a", Some(r#"{"user_id":"7"}"#));
    Rest::get("/channels").expect(address, r#"{"channels":{"a..b":{},"news":{},"presence-a":{}}}"#);
    Rest::get("/channels?filter_by_prefix=presence-&info=user_count")
        .expect(address, r#"{"channels":{"presence-a":{"user_count":1}}}"#);
    Rest::get("/channels?info=subscription_count").expect(
        address,
        r#"{"channels":{"a..b":{"subscription_count":1},"news":{"subscription_count":1},"presence-a":{"subscription_count":1}}}"#,
    );
    Rest::get("/channels?filter_by_prefix=none").expect(address, r#"{"channels":{}}"#);
    for query in
        ["?info=user_count", "?info=other", "?info=cache", "?filter_by_prefix=private-&info=user_count"]
    {
        Rest::get(&format!("/channels{query}")).refused(address, 400);
    }
    client.send("pusher:unsubscribe", json!({"channel": "news"}));
    client.expect_nothing();
    Rest::get("/channels").expect(address, r#"{"channels":{"a..b":{},"presence-a":{}}}"#);
}

#[test]
fn one_channel_is_described_whether_it_is_occupied_or_not() {
    let broker = broker("");
    let address = broker.address();
    Rest::get("/channels/a").expect(address, r#"{"occupied":false}"#);
    Rest::get("/channels/a?info=subscription_count")
        .expect(address, r#"{"occupied":false,"subscription_count":0}"#);
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    Rest::get("/channels/a").expect(address, r#"{"occupied":true}"#);
    Rest::get("/channels/cache-a?info=cache").expect(address, r#"{"cache":null,"occupied":false}"#);
    for path in ["/channels/a?info=user_count", "/channels/a%20b", "/channels/a?info=x", "/channels/a/users"]
    {
        Rest::get(path).refused(address, 400);
    }
    Rest::get("/channels/presence-none/users").expect(address, r#"{"users":[]}"#);
}

#[test]
fn apps_see_their_own_channels_only() {
    let two = format!(
        "{APP}prefix = 'shop'\n[[pusher.app]]\nid = '4'\nkey = 'k4'\nsecret = 's4'\nprefix = 'other'\n"
    );
    let broker = Broker::with_file(&two, &[]);
    let mut client = Pusher::connect(broker.address());
    client.subscribe("a", None);
    Rest::get("/channels").expect(broker.address(), r#"{"channels":{"a":{}}}"#);
    let topics = fanwire_tests::get(broker.address(), "/api/v1/topics").json();
    assert_eq!(topics["topics"][0]["topic"], "shop.a", "{topics}");
}
