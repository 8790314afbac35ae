//! Streams over several topics: whatever delays the subscriptions, the order of the events is the order of a replay.

use std::collections::HashMap;
use std::time::Duration;

use fanwire_tests::{Application, Broker, DataDirectory, Events, HookAnswer, PATIENCE, get};
use serde_json::json;

use crate::fixtures::texts::publish;

/// Reads `count` events with the text `topic number`, checks that the numbers of each topic follow each other without a gap, and
/// returns the id of the first event.
fn check_order(stream: &mut Events, count: usize, next: &mut HashMap<String, usize>) -> String {
    let mut first_id = None;
    for _ in 0..count {
        let text = stream.next_data();
        let (topic, number) = text.split_once(' ').expect("a topic and a number");
        let expected = next.entry(topic.to_owned()).or_insert(1);
        assert_eq!(number, expected.to_string(), "{topic}");
        *expected += 1;
        first_id.get_or_insert(stream.last_event_id.clone().expect("an id"));
    }
    first_id.expect("an event")
}

/// Publishes to both topics while a stream over them is opened, cuts it after the first event, and resumes at its id.
fn check_stream(broker: &Broker, path: &str, numbers: usize) {
    let address = broker.address();
    for number in 1..=numbers / 2 {
        for topic in ["a", "b"] {
            publish(address, topic, &format!("{topic} {number}"));
        }
    }
    let publisher = std::thread::spawn(move || {
        for number in numbers / 2 + 1..=numbers {
            for topic in ["a", "b"] {
                publish(address, topic, &format!("{topic} {number}"));
            }
        }
    });
    let mut stream = Events::open(address, &format!("{path}&since=earliest"), "");
    let id = check_order(&mut stream, 2 * numbers, &mut HashMap::new());
    drop(stream);
    publisher.join().expect("it publishes all");
    let mut again = Events::open(address, path, &format!("Last-Event-ID: {id}\r\n"));
    let mut next = HashMap::from([("a".to_owned(), 2)]);
    check_order(&mut again, 2 * numbers - 1, &mut next);
}

#[test]
fn slow_callouts_do_not_change_the_order_of_a_stream() {
    let application = Application::start(|call| {
        // The publisher publishes meanwhile. How much it does has no effect on the verdict.
        std::thread::sleep(Duration::from_millis(if call.body.contains("\"b\"") { 100 } else { 0 }));
        HookAnswer::Json(json!({"allow": true}))
    });
    let broker = Broker::with_file(&application.config("callouts = ['subscribe']"), &["--workers", "2"]);
    check_stream(&broker, "/stream?topic=a&topic=b", 100);
}

#[test]
fn topics_on_disk_and_in_memory_keep_their_order_in_one_stream() {
    let rule =
        "[[topic]]\nmatch = 'b'\ndurable = true\n[[topic]]\nmatch = '>'\nhistory = { messages = 10000 }\n";
    for _ in 0..3 {
        let directory = DataDirectory::new();
        let broker = directory.serve(rule);
        // More than memory holds of a durable topic.
        check_stream(&broker, "/stream?topic=a&topic=b", 1200);
    }
}

#[test]
fn the_callouts_of_a_stream_are_made_side_by_side_and_within_a_bound() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let application = Application::start(move |call| {
        // The first callouts wait until as many as may be have come; a broker that makes one after the other never gets there.
        if call.body.contains("first") {
            let _released = held.lock().expect("no thread panics").recv_timeout(PATIENCE);
        }
        let allow = !call.body.contains("secret");
        HookAnswer::Json(json!({ "allow": allow }))
    });
    let broker = Broker::with_file(&application.config("callouts = ['subscribe']"), &["--workers", "1"]);
    for end in ["", "&wait=1"] {
        let (address, calls) = (broker.address(), application.calls().len());
        let topics: Vec<String> = (0..40)
            .map(|number| format!("topic={}.{number}", if number < 16 { "first" } else { "rest" }))
            .collect();
        let path = format!("/stream?{}&since=earliest{end}", topics.join("&"));
        let opening = std::thread::spawn(move || {
            if path.ends_with("wait=1") {
                get(address, &path).status
            } else {
                Events::open(address, &path, "").next_block().map_or(0, |_| 200)
            }
        });
        application.await_calls(calls + 16);
        (0..16).for_each(|_| release.send(()).expect("the application runs"));
        assert_eq!(opening.join().expect("it is answered"), 200);
        assert_eq!(application.calls().len(), calls + 40, "one callout for each topic");
    }
    assert_eq!(application.calls_at_once(), 16);
    let refused = get(broker.address(), "/stream?topic=a&topic=secret&topic=b");
    refused.check_problem(403, "forbidden");
}
