//! Streams over several topics: whatever delays the subscriptions, the order of the events is the order of a replay.

use std::collections::HashMap;
use std::time::Duration;

use fanwire_tests::{Application, Broker, DataDirectory, Events, HookAnswer};
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
