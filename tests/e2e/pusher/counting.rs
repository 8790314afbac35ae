//! The number of subscribers, which an app may have sent to them.

use fanwire_tests::eventually;
use serde_json::json;

use super::fixture::{Pusher, broker, data_of};
use crate::fixtures::texts::subscribe;

#[test]
fn subscribers_receive_their_number_whenever_it_changes() {
    let broker = broker("subscription_count = true\n");
    let mut one = Pusher::connect(broker.address());
    one.subscribe("a", None);
    let event = "pusher_internal:subscription_count";
    let expect = |client: &mut Pusher, count: u64| {
        assert_eq!(data_of(&client.expect(event, "a")), json!({ "subscription_count": count }));
    };
    expect(&mut one, 1);
    let mut other = Pusher::connect(broker.address());
    other.subscribe("a", None);
    expect(&mut other, 2);
    expect(&mut one, 2);
    let native = subscribe(broker.address(), "a");
    expect(&mut one, 3);
    drop(native);
    expect(&mut one, 2);
    other.send("pusher:unsubscribe", json!({"channel": "a"}));
    expect(&mut one, 1);
    one.subscribe("presence-a", Some(r#"{"user_id":"7"}"#));
    one.expect_nothing();
}

#[test]
fn a_large_channel_announces_once_for_many_changes() {
    let broker = broker("subscription_count = true\n");
    let mut first = Pusher::connect(broker.address());
    first.subscribe("a", None);
    let many: Vec<Pusher> = (0..130)
        .map(|_| {
            let mut client = Pusher::connect(broker.address());
            client.subscribe("a", None);
            client
        })
        .collect();
    let mut counts = Vec::new();
    eventually("the number of all", || {
        counts.push(data_of(&first.next())["subscription_count"].as_u64().unwrap());
        (counts.last() == Some(&(many.len() as u64 + 1))).then_some(())
    });
    let (small, large): (Vec<u64>, Vec<u64>) = counts.iter().partition(|count| **count <= 100);
    assert_eq!(small, (1..=100).collect::<Vec<u64>>());
    assert!(large.len() <= 3, "of 31 changes: {large:?}");
}

#[test]
fn by_default_they_do_not() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("a", None);
    client.expect_nothing();
}
