//! Tests of the engine on one thread and on several.

use std::sync::atomic::Ordering;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::keys::IdempotencyKey;
use fanwire_core::rules::{Access, Rule, TopicPolicy};
use fanwire_protocol::{Payload, Since};

use super::*;
use crate::hub::Batch;

const MIB: u64 = 1024 * 1024;

mod arrivals;
mod limits;

struct Bench {
    engine: Arc<Engine>,
    inboxes: Vec<Arc<Inbox>>,
    counters: Arc<Shared>,
}

fn bench(memory_bytes_max: u64) -> Bench {
    bench_with(Rules::default(), memory_bytes_max, 1_000_000)
}

fn bench_with(rules: Rules, memory_bytes_max: u64, topics_max: u64) -> Bench {
    let counters: Arc<Shared> = Arc::default();
    let pressure = Arc::new(Pressure::new(usize::MAX / 2, counters.clone()));
    let inboxes: Vec<_> = (0..2).map(|_| Arc::new(Inbox::new(pressure.clone()))).collect();
    let engine = Engine::new(EngineParts {
        inboxes: inboxes.clone(),
        pressure,
        rules,
        topics_max,
        memory_bytes_max,
        replay_bytes_max: 1 << 20,
        counters: counters.clone(),
        archive: None,
        observer: None,
        presence_grace: Duration::ZERO,
    });
    Bench { engine: Arc::new(engine), inboxes, counters }
}

/// Rules of one rule for all topics.
fn rules(policy: TopicPolicy) -> Rules {
    let rule = Rule { pattern: ">".parse().unwrap(), policy, publish: None, subscribe: None };
    Rules::new(vec![rule], Access::Anyone)
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

impl Bench {
    fn try_publish(&self, name: &str, key: Option<IdempotencyKey>) -> Result<Accepted, Refusal> {
        let payload = Payload::text("x".repeat(1000));
        let publish = Publish { topic: topic(name), payload, key, from: None, except: None };
        self.engine
            .publish(publish, ReceiptTo::waiter().0)
            .map(|accepted| accepted.expect("memory answers at once"))
    }

    fn publish(&self, name: &str, key: Option<&str>) -> Accepted {
        self.try_publish(name, key.map(|key| IdempotencyKey::from(key.to_owned()))).unwrap()
    }

    fn taken(&self, worker: usize) -> Vec<Arc<Broadcast>> {
        let mut batch = Batch::default();
        self.inboxes[worker].take(&mut batch, usize::MAX);
        batch.broadcasts
    }

    fn waiting(&self, worker: usize) -> Vec<u64> {
        self.taken(worker).iter().map(|broadcast| broadcast.publication.offset).collect()
    }

    fn history_bytes(&self) -> u64 {
        self.counters.history_bytes.load(Ordering::Relaxed)
    }
}

#[test]
fn a_publication_goes_to_the_workers_with_subscribers_and_to_no_other() {
    let bench = bench(MIB);
    bench.engine.join(&topic("a"), 1, &Start::Now);
    assert_eq!(bench.publish("a", None).subscribers, 1);
    assert_eq!(bench.publish("b", None).subscribers, 0);
    assert_eq!((bench.waiting(0), bench.waiting(1)), (vec![], vec![1]));
    bench.engine.leave(&topic("a"), 1, None, Departure::Left);
    bench.publish("a", None);
    assert!(bench.waiting(1).is_empty());
}

#[test]
fn patterns_are_found_however_late_they_come() {
    let bench = bench(MIB);
    let pattern: Pattern = "a.*".parse().unwrap();
    bench.publish("a.b", None);
    bench.engine.join_pattern(&pattern, 0);
    assert_eq!(bench.publish("a.b", None).subscribers, 1);
    assert_eq!(bench.waiting(0), [2]);
    bench.engine.leave_pattern(&pattern, 0);
    assert_eq!(bench.publish("a.b", None).subscribers, 0);
    assert!(bench.waiting(0).is_empty());
}

#[test]
fn a_repeated_key_receives_the_first_receipt_and_is_delivered_once() {
    let bench = bench(MIB);
    bench.engine.join(&topic("a"), 0, &Start::Now);
    let first = bench.publish("a", Some("k"));
    let second = bench.publish("a", Some("k"));
    assert!(!first.is_duplicate && second.is_duplicate);
    assert_eq!(first.position, second.position);
    assert_ne!(
        bench.publish("b", Some("k")).position.epoch,
        first.position.epoch,
        "keys are the topic's own"
    );
    assert_eq!(bench.waiting(0), [1]);
}

#[test]
fn a_session_that_returns_receives_what_it_missed() {
    let bench = bench(MIB);
    let first = bench.publish("a", None).position;
    bench.publish("a", None);
    let joined = bench.engine.join(&topic("a"), 0, &Start::Since(Since::Position(first))).unwrap();
    assert_eq!(joined.missed.iter().map(|missed| missed.offset).collect::<Vec<_>>(), [2]);
    assert_eq!((joined.recovered, joined.head.offset), (true, 2));
}

#[test]
fn history_stays_within_its_memory_and_the_longest_unused_goes_first() {
    let bench = bench(100_000);
    bench.publish("old", None);
    let first = bench.publish("new", None).position;
    while bench.history_bytes() <= 100_000 {
        bench.publish(&format!("filler.{}", fastrand::u32(..)), None);
    }
    bench.engine.housekeeping().evict();
    assert!(bench.history_bytes() <= 100_000 * 7 / 8);
    assert!(bench.counters.history_evictions.load(Ordering::Relaxed) > 0);
    let joined =
        bench.engine.join(&topic("new"), 0, &Start::Since(Since::Position(Position { offset: 0, ..first })));
    assert!(!joined.unwrap().recovered, "what was dropped is reported as lost");
}

#[test]
fn publishers_drop_history_themselves_if_eviction_does_not_keep_up() {
    let bench = bench(100_000);
    for number in 0..1_000 {
        bench.publish(&format!("t.{number}"), None);
        assert!(bench.history_bytes() <= 100_000 + 100_000 / 8 + 2_000);
    }
}

#[test]
fn history_is_accounted_for_to_the_byte() {
    let bench = bench(MIB);
    for _ in 0..250 {
        bench.publish("a", None);
    }
    assert_eq!(bench.counters.history_publications.load(Ordering::Relaxed), 100);
    bench.engine.topics.evict_one(&topic("a"));
    assert_eq!(bench.history_bytes(), 0);
    assert_eq!(bench.counters.history_publications.load(Ordering::Relaxed), 0);
}

#[test]
fn every_subscriber_sees_concurrent_publications_in_one_order() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 500;
    let bench = bench(64 * MIB);
    for worker in 0..2 {
        bench.engine.join(&topic("a"), worker, &Start::Now);
    }
    std::thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| (0..EACH).for_each(|_| _ = bench.publish("a", None)));
        }
    });
    let expected: Vec<u64> = (1..=PUBLISHERS * EACH).collect();
    assert_eq!(bench.waiting(0), expected);
    assert_eq!(bench.waiting(1), expected);
}
