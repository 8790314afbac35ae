//! Limits of the engine: what creates topics, how many there may be, and how much they may hold.

use std::sync::atomic::Ordering;

use fanwire_core::keys::{IdempotencyKey, KeyOwner};
use fanwire_core::presence::{Departure, MemberSession};
use fanwire_core::rate::Rate;
use fanwire_core::rules::{Rules, TopicPolicy};
use fanwire_core::session::Start;
use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{ErrorCode, Payload, Since};

use super::{Bench, MIB, bench, bench_with, rules, topic};
use crate::engine::{Reading, TopicOrder, TopicQuery, TopicRow};

fn key(owner: &KeyOwner, text: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::from(text.to_owned()).owned_by(owner.clone()))
}

fn topics(bench: &Bench) -> u64 {
    bench.counters.topics.load(Ordering::Relaxed)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn reading_a_topic_that_does_not_exist_creates_none() {
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let bench = bench_with(rules(TopicPolicy { rate, presence: true, ..TopicPolicy::DEFAULT }), MIB, 10);
    for number in 0..100_000 {
        let name = topic(&format!("t.{number}"));
        let history = bench.engine.history(&name, &Reading::Forward { since: None, limit: 9 }, 1000).unwrap();
        assert!(history.page.publications.is_empty() && !history.page.gap && !history.page.more);
        assert_eq!(bench.engine.members().list(&name, 9), Some((Vec::new(), false)));
        assert_eq!(bench.engine.head(&name), None);
        assert_eq!(bench.engine.take_of_rate(&name), Ok(()));
    }
    let name = topic("t.1");
    assert!(block_on(bench.engine.catalog().describe(&name)).unwrap().state.is_none());
    assert_eq!(block_on(bench.engine.clear_history(&name)).unwrap().offset, 0);
    bench.engine.leave(&name, 0, None, Departure::Left);
    bench.engine.members().expire(u64::MAX);
    assert_eq!(topics(&bench), 0);
}

#[test]
fn the_position_of_a_topic_that_does_not_exist_is_the_one_it_begins_at() {
    let bench = bench(MIB);
    let reading = Reading::Forward { since: None, limit: 9 };
    let head = bench.engine.history(&topic("a"), &reading, 1000).unwrap().head;
    let first = bench.publish("a", None).position;
    assert_eq!((first.epoch, first.offset, head.offset), (head.epoch, 1, 0));
    let joined = bench.engine.join(&topic("a"), 0, &Start::Since(Since::Position(head))).unwrap();
    assert_eq!((joined.recovered, joined.missed.len()), (true, 1));
    bench.engine.topics.forget_all();
    assert_ne!(
        bench.publish("a", None).position.epoch,
        first.epoch,
        "its old positions say nothing any more"
    );
}

#[test]
fn the_rate_of_a_topic_holds_before_the_topic_exists() {
    let rate = Rate { per_second: 1, burst: 2 };
    let bench = bench_with(rules(TopicPolicy { rate: Some(rate), ..TopicPolicy::DEFAULT }), MIB, 10);
    assert!(bench.engine.take_of_rate(&topic("a")).is_ok() && bench.engine.take_of_rate(&topic("a")).is_ok());
    assert!(bench.engine.take_of_rate(&topic("a")).is_err());
    bench.publish("a", None);
    assert!(bench.engine.take_of_rate(&topic("a")).is_err(), "the topic takes over what was taken");
    assert!(bench.engine.take_of_rate(&topic("b")).is_ok());
}

#[test]
fn a_topic_beyond_the_limit_is_refused_and_existing_ones_are_unharmed() {
    let bench = bench_with(Rules::default(), MIB, 2);
    bench.publish("a", None);
    bench.engine.join(&topic("b"), 0, &Start::Now).unwrap();
    let refusal = bench.try_publish("c", None).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::LimitExceeded);
    assert!(refusal.message.contains("limits.topics_max"), "{}", refusal.message);
    assert!(bench.engine.join(&topic("c"), 0, &Start::Now).is_none());
    let refusal = block_on(bench.engine.resume(&topic("c"), &Start::Now)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::LimitExceeded);
    assert_eq!((topics(&bench), bench.counters.topics_refused.load(Ordering::Relaxed)), (2, 3));
    assert_eq!(bench.publish("b", None).subscribers, 1);
    assert!(
        bench.engine.join(&topic("a"), 1, &Start::Last(9)).is_some_and(|joined| joined.missed.len() == 1)
    );
    bench.engine.topics.forget_all();
    bench.counters.topics.store(0, Ordering::Relaxed);
    bench.publish("c", None);
}

#[test]
fn a_key_belongs_to_its_publisher() {
    let bench = bench(MIB);
    let (ann, bob) = (KeyOwner::User("ann".into()), KeyOwner::User("bob".into()));
    let first = bench.try_publish("a", key(&ann, "order-17")).unwrap();
    assert!(!bench.try_publish("a", key(&bob, "order-17")).unwrap().is_duplicate);
    let again = bench.try_publish("a", key(&ann, "order-17")).unwrap();
    assert_eq!((again.is_duplicate, again.position), (true, first.position));
}

#[test]
fn a_keyed_publish_is_refused_when_there_is_no_memory_for_its_key() {
    let bench = bench(MIB);
    let ann = KeyOwner::User("ann".into());
    let mut accepted = 0;
    let refusal = loop {
        match bench.try_publish("a", key(&ann, &accepted.to_string())) {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.code, ErrorCode::LimitExceeded);
    assert!(bench.try_publish("a", key(&ann, "0")).unwrap().is_duplicate, "no key is forgotten early");
    assert!(bench.try_publish("a", key(&KeyOwner::User("bob".into()), "0")).is_ok(), "others are unharmed");
    assert!(bench.try_publish("a", None).is_ok());
    assert!(bench.counters.key_bytes.load(Ordering::Relaxed) <= MIB / 16 + 1000);
}

#[test]
fn keys_and_members_count_with_history_under_one_cap() {
    let bench = bench_with(rules(TopicPolicy { presence: true, ..TopicPolicy::DEFAULT }), 100_000, 1_000_000);
    let enter = |name: &str, connection| {
        let joined = bench.engine.join(&topic(name), 0, &Start::Now);
        let info = Some(Payload::text("x".repeat(1000)));
        let session = MemberSession { user: None, connection, info };
        bench.engine.members().enter(&topic(name), &session, (0, SessionKey(0)));
        joined.is_some()
    };
    let entered = (0..1000).take_while(|connection| enter("room", *connection)).count();
    assert!(entered > 5 && entered < 100, "{entered}");
    let refusal = block_on(bench.engine.resume(&topic("room"), &Start::Now)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::LimitExceeded);
    let presence_bytes = bench.counters.presence_bytes.load(Ordering::Relaxed);
    assert!(presence_bytes > 20_000);
    for number in 0..200 {
        bench.publish(&format!("t.{number}"), None);
    }
    bench.engine.housekeeping().evict();
    assert!(bench.history_bytes() + presence_bytes <= 100_000 * 7 / 8);
    for connection in 0..1000 {
        let session = MemberSession { user: None, connection, info: None };
        bench.engine.leave(&topic("room"), 0, Some(&session), Departure::Left);
    }
    assert_eq!(bench.counters.presence_bytes.load(Ordering::Relaxed), 0);
    assert!(enter("room", 1));
}

#[test]
fn the_list_of_topics_is_counted_while_it_is_kept() {
    let bench = bench(MIB);
    for number in 0..100 {
        bench.publish(&format!("t.{number}"), None);
    }
    let query = TopicQuery {
        search: String::new(),
        prefix: String::new(),
        order: TopicOrder::Name,
        is_descending: false,
        after: None,
        limit: 10,
    };
    assert_eq!(block_on(bench.engine.catalog().list(query)).unwrap().total, 100);
    assert!(bench.counters.catalog_bytes.load(Ordering::Relaxed) >= 100 * size_of::<TopicRow>() as u64);
    bench.engine.catalog.forget_stale(u64::MAX);
    assert_eq!(bench.counters.catalog_bytes.load(Ordering::Relaxed), 0);
}
