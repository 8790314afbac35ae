//! Durable topics on a real store: what only the engine can be asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanwire_core::limits::HistoryLimits;
use fanwire_core::publication::Publish;
use fanwire_core::rules::Access;
use fanwire_core::rules::{Rule, Rules, TopicPolicy};
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Payload, Position, Since};

use super::super::{Accepted, Engine, ReceiptTo, Resumed};
use super::{MIB, topic};
use crate::hub::{Inbox, Pressure};
use crate::store::{Keep, Store, StoreConfig};
use crate::telemetry::Shared;

/// A folder that is removed with everything in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanwire-engine-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn durable(scratch: &Scratch, history: HistoryLimits) -> Arc<Engine> {
    let policy = TopicPolicy { history, durable: true, ..TopicPolicy::DEFAULT };
    let rule = Rule { pattern: ">".parse().unwrap(), policy, publish: None, subscribe: None };
    let counters: Arc<Shared> = Arc::default();
    let pressure = Arc::new(Pressure::new(usize::MAX / 2, counters.clone()));
    let inboxes = vec![Arc::new(Inbox::new(pressure.clone()))];
    let store = Store::open(&scratch.0, StoreConfig::default(), Arc::new(|_| {})).unwrap();
    let rules = Rules::new(vec![rule], Access::Anyone);
    Arc::new(Engine::new(inboxes, pressure, rules, MIB, counters, Some(store), Duration::ZERO))
}

const ALL: HistoryLimits = HistoryLimits { messages: usize::MAX, bytes: usize::MAX, ttl_ms: u64::MAX / 2000 };

fn publish(engine: &Arc<Engine>, name: &str) -> Accepted {
    let publish =
        Publish { topic: topic(name), payload: Payload::text("x"), key: None, from: None, except: None };
    let (to, receipt) = ReceiptTo::waiter();
    assert_eq!(engine.publish(publish, to), Ok(None), "it has to be on disk first");
    receipt.blocking_recv().unwrap().unwrap()
}

fn resume(engine: &Arc<Engine>, name: &str, start: &Start) -> Resumed {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.resume(&topic(name), start)).unwrap()
}

#[test]
fn memory_is_asked_before_the_disk_and_holds_only_the_newest() {
    let scratch = Scratch::new("tail");
    let engine = durable(&scratch, ALL);
    let first = publish(&engine, "a").position;
    let since = |offset| Start::Since(Since::Position(Position { offset, ..first }));
    assert!(engine.join(&topic("a"), 0, &since(1)).is_some(), "what was just published is in memory");
    engine.clear(&topic("a"));
    assert!(engine.join(&topic("a"), 0, &since(0)).is_none(), "now it is on disk only");
    let resumed = resume(&engine, "a", &since(0));
    assert_eq!((resumed.recovered, resumed.head, resumed.piece.at), (true, first, first));
    assert_eq!(resumed.piece.publications.len(), 1);
    assert_eq!(engine.counters.history_evictions.load(Ordering::Relaxed), 0, "nothing was lost");
}

#[test]
fn whoever_is_ahead_of_what_was_delivered_listens_from_there() {
    let scratch = Scratch::new("ahead");
    let engine = durable(&scratch, ALL);
    let first = publish(&engine, "a").position;
    let ahead = Position { offset: first.offset + 5, ..first };
    let joined = engine.join_after(&topic("a"), 0, ahead).unwrap();
    assert_eq!((joined.head, joined.missed.len()), (ahead, 0));
    let foreign = Position { epoch: Epoch::FOREIGN, ..first };
    assert!(engine.join_after(&topic("a"), 0, foreign).is_none());
}

#[test]
fn a_topic_that_is_forgotten_begins_anew_under_another_epoch() {
    let scratch = Scratch::new("forget");
    let engine = durable(&scratch, ALL);
    let first = publish(&engine, "a").position;
    let store = engine.store.as_ref().unwrap();
    engine.forget(store, &topic("a"));
    assert_eq!(publish(&engine, "a").position.offset, 2, "one that is in use is not forgotten");
    engine.topics.clear();
    engine.forget(store, &topic("a"));
    let again = publish(&engine, "a").position;
    assert_eq!(again.offset, 1);
    assert_ne!(again.epoch, first.epoch);
    let resumed = resume(&engine, "a", &Start::Since(Since::Position(first)));
    assert!(!resumed.recovered, "positions of the old epoch say nothing");
    assert_eq!((resumed.head, resumed.piece.publications.len()), (again, 1));
}

#[test]
fn tidying_leaves_what_no_rule_speaks_of_and_what_is_still_kept() {
    let scratch = Scratch::new("tidy");
    let engine = durable(&scratch, HistoryLimits { messages: 2, ..ALL });
    for _ in 0..5 {
        publish(&engine, "a");
    }
    engine.tidy_store();
    engine.topics.clear();
    let resumed = resume(&engine, "a", &Start::Since(Since::Earliest));
    assert_eq!((resumed.head.offset, resumed.piece.publications.len()), (5, 2));
    engine.change_rules(Rules::default());
    engine.tidy_store();
    let record = engine.store.as_ref().unwrap().load(&topic("a"), &Keep::ALL).unwrap();
    assert_eq!(record.map(|record| record.head), Some(5));
}

#[test]
fn a_topic_on_its_way_to_the_disk_is_not_dropped() {
    let scratch = Scratch::new("pending");
    let engine = durable(&scratch, ALL);
    engine.with_topic(&topic("a"), |locked, _| {
        locked.expect_commit();
        assert!(!locked.is_idle(u64::MAX));
        locked.commit_failed();
        assert!(locked.is_idle(u64::MAX));
    });
}
