//! Subscriptions: signatures, names of channels, and what happens on the channel when one is refused.

use fanwire_tests::{AUTH, Broker};
use serde_json::json;

use super::fixture::{APP, KEY, Pusher, Rest, SECRET, broker, sign, trigger};

#[test]
fn public_and_private_channels_are_joined_and_left() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.send("pusher:subscribe", json!({"channel": "news"}));
    let succeeded = client.next();
    assert_eq!(
        succeeded,
        json!({"event": "pusher_internal:subscription_succeeded", "channel": "news", "data": "{}"})
    );
    for channel in ["private-a", "private-encrypted-a"] {
        assert_eq!(client.subscribe(channel, None), json!({}), "{channel}");
    }
    client.socket.send_text(r#"{"event":"pusher:subscribe","data":"{\"channel\":\"text\"}"}"#);
    client.expect("pusher_internal:subscription_succeeded", "text");
    trigger(broker.address(), "news", "new", "1");
    assert_eq!(client.next(), json!({"event": "new", "channel": "news", "data": "1"}));
    client.send("pusher:unsubscribe", json!({"channel": "news"}));
    client.send("pusher:unsubscribe", json!({"channel": "never"}));
    client.expect_nothing();
    trigger(broker.address(), "news", "new", "2");
    trigger(broker.address(), "private-a", "new", "3");
    assert_eq!(client.next()["data"], "3", "nothing of a channel that was left");
    client.subscribe("news", None);
}

#[test]
fn the_documented_signature_is_the_one_that_is_checked() {
    // The vectors of the documentation, whose socket id no broker can give; the same function signs in these tests.
    let private = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
    assert_eq!(sign("1234.1234:private-foobar"), private);
    let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
    let presence = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
    assert_eq!(sign(&format!("1234.1234:presence-foobar:{data}")), presence);
}

#[test]
fn a_refused_subscription_is_answered_on_the_channel_and_the_connection_stays() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let other = Pusher::connect(broker.address());
    let channel = "private-a";
    for auth in [
        json!(null),
        json!(""),
        json!(KEY),
        json!(format!("{KEY}:")),
        json!(format!("{KEY}:{}", "0".repeat(64))),
        json!(format!("other:{}", sign(&format!("{}:{channel}", client.socket_id)))),
        json!(client.auth("private-b", None)),
        json!(other.auth(channel, None)),
    ] {
        client.send("pusher:subscribe", json!({"channel": channel, "auth": auth}));
        let refused = client.expect_refused(channel);
        assert_eq!((&refused["type"], &refused["status"]), (&"AuthError".into(), &401.into()), "{refused}");
        let error = refused["error"].as_str().unwrap();
        assert!(!error.contains(SECRET), "{error}");
        assert!(!error.contains(&sign(&format!("{}:{channel}", client.socket_id))), "{error}");
        let says_what = error.contains(&format!("{}:{channel}", client.socket_id)) || error.contains(KEY);
        assert!(says_what, "{error}");
    }
    client.subscribe(channel, None);
}

#[test]
fn names_that_are_no_channels_are_refused_on_the_channel() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    let long = "a".repeat(165);
    for name in ["a b", "#a", "a*", ">", "*", "$a", "a/b", "ä", "", &long] {
        client.send("pusher:subscribe", json!({"channel": name}));
        assert_eq!(client.expect_refused(name)["status"], 400, "{name}");
    }
    let longest = "a".repeat(164);
    for name in ["a-_=@,.;Z9", "a..b", ".a", "a.", &longest, &vec!["a"; 40].join(".")] {
        client.subscribe(name, None);
        trigger(broker.address(), name, "e", "x");
        client.expect("e", name);
    }
    client.send("pusher:subscribe", json!({"channel": ".".repeat(164)}));
    client.expect_refused(&".".repeat(164));
}

#[test]
fn a_limit_of_subscriptions_refuses_on_the_channel() {
    let broker = Broker::with_file(&format!("{APP}[limits]\nsubscriptions_per_session_max = 1\n"), &[]);
    let mut client = Pusher::connect(broker.address());
    client.subscribe("a", None);
    client.send("pusher:subscribe", json!({"channel": "b"}));
    let refused = client.expect_refused("b");
    assert_eq!(refused["type"], "LimitReached", "{refused}");
}

#[test]
fn rules_decide_about_public_channels_as_for_an_anonymous_client() {
    let rules = "prefix = 'shop'\n[[topic]]\nmatch = 'shop.staff'\nsubscribe = 'authenticated'\n\
                 [[topic]]\nmatch = 'shop.open'\nsubscribe = 'anyone'\n";
    for auth in ["", AUTH] {
        let broker = Broker::with_file(&format!("{APP}{rules}{auth}"), &[]);
        let mut client = Pusher::connect(broker.address());
        client.subscribe("open", None);
        client.subscribe("unruled", None);
        client.subscribe("private-a", None);
        client.send("pusher:subscribe", json!({"channel": "staff"}));
        let refused = client.expect_refused("staff");
        assert_eq!(refused["type"], "AuthError", "{refused}");
        for channel in ["open", "unruled", "private-a", "staff"] {
            trigger(broker.address(), channel, "e", channel);
        }
        for channel in ["open", "unruled", "private-a"] {
            assert_eq!(client.expect("e", channel)["data"], channel);
        }
    }
}

#[test]
fn a_cached_channel_begins_with_its_last_event() {
    let broker = broker("");
    let address = broker.address();
    let mut first = Pusher::connect(address);
    for channel in ["cache-a", "private-cache-a", "private-encrypted-cache-a"] {
        first.subscribe(channel, None);
        assert_eq!(first.next(), json!({"event": "pusher:cache_miss", "channel": channel, "data": "{}"}));
        trigger(address, channel, "old", "1");
        trigger(address, channel, "last", r#"{"a": 1.0}"#);
        let mut late = Pusher::connect(address);
        late.subscribe(channel, None);
        let last = json!({"event": "last", "channel": channel, "data": r#"{"a": 1.0}"#});
        assert_eq!(late.next(), last, "{channel}");
        late.expect_nothing();
        for event in ["old", "last"] {
            first.expect(event, channel);
        }
    }
    first.subscribe("a", None);
    first.expect_nothing();
}

#[test]
fn events_of_clients_are_not_cached() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("private-cache-a", None);
    client.expect("pusher:cache_miss", "private-cache-a");
    trigger(broker.address(), "private-cache-a", "kept", "1");
    client.expect("kept", "private-cache-a");
    for _ in 0..3 {
        client.socket.send_json(&json!({"event": "client-x", "channel": "private-cache-a", "data": "2"}));
    }
    client.expect_nothing();
    let mut late = Pusher::connect(broker.address());
    late.subscribe("private-cache-a", None);
    late.expect("kept", "private-cache-a");
    let answer = Rest::get("/channels/private-cache-a?info=cache").send(broker.address()).json();
    assert_eq!(answer["cache"]["data"], "1", "{answer}");
    let ttl = answer["cache"]["ttl"].as_u64().unwrap();
    assert!((1700..=1800).contains(&ttl), "half an hour: {answer}");
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "restarts the broker, whose archive is in memory")]
fn the_last_event_of_a_durable_channel_survives_a_restart() {
    let directory = temporary_directory();
    let text = format!("{APP}[[topic]]\nmatch = 'cache-d'\ndurable = true\n");
    let arguments = ["--data-dir", directory.to_str().unwrap()];
    let broker = Broker::with_file(&text, &arguments);
    trigger(broker.address(), "cache-d", "kept", "1");
    broker.kill();
    let broker = Broker::with_file(&text, &arguments);
    let mut client = Pusher::connect(broker.address());
    client.subscribe("cache-d", None);
    assert_eq!(client.expect("kept", "cache-d")["data"], "1");
    trigger(broker.address(), "cache-d", "next", "2");
    client.expect("next", "cache-d");
    let _left_behind = std::fs::remove_dir_all(directory);
}

fn temporary_directory() -> std::path::PathBuf {
    let directory = fanwire_tests::temporary("data");
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    directory
}
