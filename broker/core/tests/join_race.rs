//! The race between joining and publishing, in every order of threads that a scheduler finds.
//!
//! The locks are those of `broker/src/engine` and `broker/src/hub`, in their order: a topic is locked to publish and to
//! join, and its worker's inbox is locked below it. The log and the subscribers are the real ones. Whatever the order, the
//! joiner must see everything after its position once: what was missed, then what is live.

mod format;

use std::sync::Arc;

use fanwire_core::held::HeldSum;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::TopicLog;
use fanwire_core::publication::Publish;
use fanwire_core::subscribers::{SessionKey, Subscribers};
use fanwire_protocol::{Epoch, Pattern, Payload, StartPoint, Topic};
use shuttle::sync::Mutex;

const LIMITS: HistoryLimits = HistoryLimits { messages: 100, bytes: usize::MAX, ttl_ms: 1_000_000 };
const PUBLISHERS: usize = 2;
const EACH: usize = 3;
const SCHEDULES: usize = 3_000;

/// How joining is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    /// As the broker does: what was missed, the head and the interest under one hold of the topic's lock.
    Whole,
    /// What was missed first, and the interest under another hold.
    InterestLater,
    /// The head taken under another hold than what was missed.
    HeadLater,
    /// Receiving from the beginning of the inbox, whatever was replayed.
    FromTheBeginning,
}

/// A topic, locked to publish and to join.
struct TopicState {
    log: TopicLog,
    has_subscriber: bool,
}

struct World {
    topic: Mutex<TopicState>,
    /// The offsets that wait for the one worker.
    inbox: Mutex<Vec<u64>>,
}

fn name() -> Topic {
    "t".parse().expect("a topic")
}

fn publish(world: &World) {
    let mut topic = world.topic.lock().expect("no thread panics under this lock");
    let publish = Publish { topic: name(), payload: Payload::text(""), key: None, from: None, except: None };
    let publication = topic.log.append(publish, &name(), &LIMITS, 0, 0, &HeldSum::default());
    if topic.has_subscriber {
        world.inbox.lock().expect("no thread panics under this lock").push(publication.offset);
    }
}

/// Joins from the beginning; returns what was missed and the head.
fn join(world: &World, how: Join) -> (Vec<u64>, u64) {
    let lock = || world.topic.lock().expect("no thread panics under this lock");
    let missed = |topic: &TopicState| {
        topic.log.since(StartPoint::Earliest).publications.iter().map(|missed| missed.offset).collect()
    };
    match how {
        Join::Whole | Join::FromTheBeginning => {
            let mut topic = lock();
            topic.has_subscriber = true;
            let after = if how == Join::Whole { topic.log.head().offset } else { 0 };
            (missed(&topic), after)
        }
        Join::InterestLater => {
            let topic = lock();
            let joined = (missed(&topic), topic.log.head().offset);
            drop(topic);
            lock().has_subscriber = true;
            joined
        }
        Join::HeadLater => {
            let mut topic = lock();
            topic.has_subscriber = true;
            let missed = missed(&topic);
            drop(topic);
            let after = lock().log.head().offset;
            (missed, after)
        }
    }
}

/// One run under the scheduler: publishers on their threads, and a worker on which one session is subscribed already, so that
/// publications are in the inbox when another session joins.
fn race(how: Join) {
    let log = TopicLog::new(Epoch::from_random(1), 0);
    let world = Arc::new(World {
        topic: Mutex::new(TopicState { log, has_subscriber: true }),
        inbox: Mutex::new(Vec::new()),
    });
    if how == Join::InterestLater {
        world.topic.lock().expect("no thread panics under this lock").has_subscriber = false;
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let world = world.clone();
            shuttle::thread::spawn(move || (0..EACH).for_each(|_| publish(&world)))
        })
        .collect();
    let (mut seen, after) = join(&world, how);
    let mut subscribers = Subscribers::default();
    subscribers.join(&Pattern::from(name()), SessionKey(0), &format::EVENTS, after);
    for publisher in publishers {
        publisher.join().expect("publishers do not panic");
    }
    let subscriber = subscribers.of_topic(&name())[0];
    let inbox = world.inbox.lock().expect("no thread panics under this lock");
    seen.extend(inbox.iter().filter(|offset| **offset > subscriber.after));
    let all: Vec<u64> = (1..=(PUBLISHERS * EACH) as u64).collect();
    assert_eq!(seen, all, "{how:?}");
}

#[test]
fn a_joiner_sees_everything_once_in_every_order_of_threads() {
    shuttle::check_random(|| race(Join::Whole), SCHEDULES);
    shuttle::check_pct(|| race(Join::Whole), SCHEDULES, 3);
}

#[test]
fn every_other_way_of_joining_goes_wrong_in_some_order() {
    for how in [Join::InterestLater, Join::HeadLater, Join::FromTheBeginning] {
        let found = std::panic::catch_unwind(|| shuttle::check_random(move || race(how), SCHEDULES));
        assert!(found.is_err(), "{how:?} is not found to be wrong");
    }
}
