//! The engine over an archive in memory whose offsets are sparse, that answers late, and in which other brokers publish too.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanwire_core::fanout::Fanout;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::rules::{Rules, TopicPolicy};
use fanwire_core::session::Start;
use fanwire_core::subscribers::{SessionKey, Subscribers};
use fanwire_formats::JSON;
use fanwire_protocol::{Epoch, Payload, Position, Since};

use super::{Bench, MIB, bench_with, rules, topic};
use crate::engine::stepped::{Kept, Stepped};
use crate::engine::{Arrival, Engine, EngineParts, Scope, conformance};
use crate::hub::{Batch, Inbox, Pressure};
use crate::telemetry::Shared;

fn over(archive: Arc<Stepped>) -> Bench {
    over_with(archive, Rules::default())
}

fn over_with(archive: Arc<Stepped>, rules: Rules) -> Bench {
    let counters: Arc<Shared> = Arc::default();
    let pressure = Arc::new(Pressure::new(usize::MAX / 2, counters.clone()));
    let inboxes: Vec<_> = (0..2).map(|_| Arc::new(Inbox::new(pressure.clone()))).collect();
    let engine = Engine::new(EngineParts {
        inboxes: inboxes.clone(),
        pressure,
        rules,
        topics_max: 10,
        memory_bytes_max: MIB,
        replay_bytes_max: 1 << 20,
        counters: counters.clone(),
        archive: Some(archive),
        observer: None,
        presence_grace: Duration::ZERO,
    });
    Bench { engine: Arc::new(engine), inboxes, counters }
}

fn stepped(scope: Scope) -> Arc<Stepped> {
    Arc::new(Stepped::open(Arc::new(Mutex::new(Kept::default())), scope, fastrand::u64(..), no_pressure()))
}

fn no_pressure() -> Arc<Pressure> {
    Arc::new(Pressure::new(usize::MAX / 2, Arc::default()))
}

/// Waits until something has come to the inbox of a worker.
fn delivered(bench: &Bench, worker: usize) -> Vec<u64> {
    loop {
        let offsets = bench.waiting(worker);
        if !offsets.is_empty() {
            return offsets;
        }
        std::thread::yield_now();
    }
}

#[test]
fn an_archive_in_steps_of_seven_keeps_every_promise() {
    conformance::check(&|| {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let seed = fastrand::u64(..);
        Box::new(move || Arc::new(Stepped::open(kept.clone(), Scope::Durable, seed, no_pressure())))
    });
}

#[test]
fn what_another_broker_publishes_reaches_subscribers_and_memory() {
    let archive = stepped(Scope::All);
    let bench = over(archive.clone());
    let resumed = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(bench.engine.resume(&topic("a"), &Start::Now))
        .unwrap();
    let joined = bench.engine.join_after(&topic("a"), 1, resumed.piece.at).unwrap();
    let first = archive.publish_elsewhere(&topic("a"), Payload::text("x"), 1);
    assert_eq!((delivered(&bench, 1), joined.head.offset), (vec![first.offset], 0));
    archive.publish_elsewhere(&topic("other"), Payload::text("x"), 1);
    let second = archive.publish_elsewhere(&topic("a"), Payload::text("y"), 1);
    assert_eq!(delivered(&bench, 1), [second.offset]);
    let since = Start::Since(Since::Position(first));
    let joined = bench.engine.join(&topic("a"), 0, &since).expect("memory holds what has arrived");
    assert_eq!((joined.missed.len(), joined.recovered, joined.head), (1, true, second));
}

#[test]
fn archived_publications_of_a_topic_share_its_name_and_are_joined_into_one_chunk() {
    let archive = stepped(Scope::All);
    let bench = over(archive.clone());
    let pattern = "a.*".parse().unwrap();
    bench.engine.join_pattern(&pattern, 0);
    let positions: Vec<_> =
        (0..3).map(|_| archive.publish_elsewhere(&topic("a.b"), Payload::text("x"), 1)).collect();
    let mut batch = Batch::default();
    while batch.broadcasts.last().is_none_or(|newest| newest.publication.offset < positions[2].offset) {
        bench.inboxes[0].take(&mut batch, usize::MAX);
        std::thread::yield_now();
    }
    let mut subscribers = Subscribers::default();
    subscribers.join(&pattern, SessionKey(0), &JSON, 0);
    let mut chunks = Vec::new();
    Fanout::default().run(0, &subscribers, &batch.broadcasts, |_, delivery, _| chunks.push(delivery.count()));
    assert_eq!(chunks, [3]);
}

#[test]
fn what_is_published_elsewhere_creates_no_topic_unless_a_pattern_matches() {
    let archive = stepped(Scope::All);
    let bench = over(archive.clone());
    archive.publish_elsewhere(&topic("a.b"), Payload::text("x"), 1);
    bench.engine.join_pattern(&"c.*".parse().unwrap(), 0);
    let matching = archive.publish_elsewhere(&topic("c.d"), Payload::text("x"), 1);
    assert_eq!(delivered(&bench, 0), [matching.offset]);
    assert_eq!(bench.counters.topics.load(Ordering::Relaxed), 1);
}

#[test]
fn a_publication_that_never_arrived_is_reported_as_lost() {
    let bench = bench_with(rules(TopicPolicy { durable: true, ..TopicPolicy::DEFAULT }), MIB, 10);
    bench.engine.topics.with(&topic("a"), |locked, _| locked.load(None)).unwrap();
    let arrive = |offset, after| {
        let position = Position { epoch: Epoch::from_random(5), offset };
        let payload = Payload::text("x");
        let arrival =
            Arrival { topic: topic("a"), position, after, ts: 1, payload, from: None, origin: None };
        bench.engine.topics.arrive(vec![arrival]);
        position
    };
    let (first, second) = (arrive(7, 0), arrive(14, 7));
    let join = |position| bench.engine.join(&topic("a"), 0, &Start::Since(Since::Position(position)));
    assert_eq!(join(first).unwrap().missed.len(), 1);
    let fourth = arrive(28, 21);
    assert!(join(second).is_none(), "memory cannot answer: 21 is in the archive only");
    assert_eq!(join(fourth).unwrap().missed.len(), 0);
}

#[test]
fn a_topic_whose_receipt_is_awaited_is_not_removed() {
    let bench = bench_with(rules(TopicPolicy { durable: true, ..TopicPolicy::DEFAULT }), MIB, 10);
    bench
        .engine
        .topics
        .with(&topic("a"), |locked, _| {
            locked.commits().begin();
            assert!(!locked.is_idle(u64::MAX));
            locked.commits().refused();
            assert!(locked.is_idle(u64::MAX));
        })
        .unwrap();
}

#[test]
fn a_session_ahead_of_what_has_arrived_subscribes_from_there() {
    let archive = stepped(Scope::All);
    let bench = over(archive.clone());
    bench.engine.topics.with(&topic("a"), |locked, _| locked.load(None)).unwrap();
    let first = archive.publish_elsewhere(&topic("a"), Payload::text("x"), 1);
    bench.engine.join_pattern(&">".parse().unwrap(), 1);
    while bench.engine.head(&topic("a")) != Some(first) {
        std::thread::yield_now();
    }
    let ahead = Position { offset: first.offset + 50, ..first };
    let joined = bench.engine.join_after(&topic("a"), 0, ahead).unwrap();
    assert_eq!((joined.head, joined.missed.len()), (ahead, 0));
    let foreign = Position { epoch: Epoch::FOREIGN, ..first };
    assert!(bench.engine.join_after(&topic("a"), 0, foreign).is_none());
}

#[test]
fn a_topic_that_keeps_nothing_is_delivered_without_positions() {
    let archive = stepped(Scope::All);
    let bench = over_with(
        archive.clone(),
        rules(TopicPolicy { history: HistoryLimits::OFF, ..TopicPolicy::DEFAULT }),
    );
    bench.engine.topics.with(&topic("a"), |locked, _| locked.load(None)).unwrap();
    bench.engine.join(&topic("a"), 0, &Start::Now).unwrap();
    let mut last = None;
    for text in ["x", "y"] {
        let position = archive.publish_elsewhere(&topic("a"), Payload::text(text), 1);
        let broadcast = loop {
            if let Some(broadcast) = bench.taken(0).pop() {
                break broadcast;
            }
            std::thread::yield_now();
        };
        let message = &broadcast.publication.message;
        assert_eq!(
            (message.position, message.ts, broadcast.publication.offset),
            (None, None, position.offset)
        );
        let since = |position| bench.engine.join(&topic("a"), 0, &Start::Since(Since::Position(position)));
        assert_eq!(since(position).map(|joined| joined.missed.len()), Some(0));
        assert!(last.is_none_or(|last| since(last).is_none()), "what was missed is not in memory");
        last = Some(position);
    }
}
