//! What `/api/v1/stats` says, held against what was done and against `/metrics`.

use fanwire_tests::{Broker, STEPPED_ARCHIVE};
use serde_json::{Value, json};

use crate::fixtures::server_api::{ADMIN, call, call_as, guarded_broker, session_of};

fn stats(broker: &Broker) -> Value {
    let answer = call(broker, "GET", "/stats", &Value::Null);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    answer.json()
}

#[test]
fn what_was_done_is_counted_in_all_and_by_worker() {
    let broker = guarded_broker("");
    let (mut ann, _) = session_of(&broker, "ann");
    let (mut bob, _) = session_of(&broker, "bob");
    ann.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    bob.ask(&json!({"type": "subscribe", "id": 2, "topic": "a"}));
    for number in 0..5 {
        bob.ask(&json!({"type": "publish", "id": 3, "topic": "a", "data": number, "echo": false}));
    }
    for number in 0..5 {
        assert_eq!(ann.read_json()["data"], number);
    }
    assert_eq!(
        bob.ask(&json!({"type": "publish", "id": 4, "topic": "$own", "data": 1}))["code"],
        "forbidden"
    );
    let stats = stats(&broker);
    assert_eq!(
        (&stats["totals"]["publications"], &stats["totals"]["deliveries"]),
        (&json!(5), &json!(5)),
        "{stats}"
    );
    assert_eq!((&stats["connections"]["ws"], &stats["subscriptions"]), (&json!(2), &json!(2)), "{stats}");
    assert_eq!((&stats["topics"], &stats["history"]["publications"]), (&json!(1), &json!(5)), "{stats}");
    assert_eq!(stats["errors"]["forbidden"], 1, "{stats}");
    assert_eq!(
        (&stats["hooks"]["configured"], &stats["store"]["configured"]),
        (&json!(false), &json!(STEPPED_ARCHIVE))
    );
    let workers = stats["workers"].as_array().expect("a list");
    assert_eq!(workers.len(), 2);
    assert_eq!(workers.iter().map(|worker| worker["deliveries"].as_u64().expect("a count")).sum::<u64>(), 5);
    assert!(stats["process"]["resident_memory_bytes"].as_f64() > Some(1e6), "{stats}");
    assert!(stats["started"].as_u64() <= stats["now"].as_u64(), "{stats}");
    assert!(!stats.to_string().contains(ADMIN), "a key is in the answer");
}

#[test]
fn rates_follow_what_is_going_on() {
    let broker = Broker::start(&[]);
    let ask = || call_as(None, broker.address(), "GET", "/stats", "").json();
    assert_eq!(ask()["rates"]["publications"], 0.0);
    fanwire_tests::eventually("publications show in the rate", || {
        fanwire_tests::post(broker.address(), "/topics/a", "text/plain", b"x");
        (ask()["rates"]["publications"].as_f64() > Some(0.5)).then_some(())
    });
    fanwire_tests::eventually("and go again", || {
        (ask()["rates"]["publications"].as_f64() == Some(0.0)).then_some(())
    });
}

#[test]
fn every_count_of_the_metrics_is_there() {
    let broker = Broker::start(&[]);
    let answer = call_as(None, broker.address(), "GET", "/stats", "").text();
    let metrics = fanwire_tests::get(broker.address(), "/metrics").text();
    let labels = |label: &str| {
        let label = format!("{label}=\"");
        let values = metrics.split(&label).skip(1).filter_map(|rest| rest.split('"').next());
        values.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let all: Vec<String> = ["transport", "reason", "code"].iter().flat_map(|label| labels(label)).collect();
    assert!(all.len() > 40, "{all:?}");
    for name in all {
        assert!(answer.contains(&format!("\"{name}\":")), "{name} in {answer}");
    }
}
