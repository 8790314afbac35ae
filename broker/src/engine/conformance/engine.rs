//! The engine over an archive: what sessions and readers of history can rely on, whichever archive it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanwire_core::limits::HistoryLimits;
use fanwire_core::publication::Publish;
use fanwire_core::rules::{Access, Rule, Rules, TopicPolicy};
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Payload, Position, Since};

use super::{Open, PATIENCE, numbers, runtime, text_of, topic};
use crate::engine::{Accepted, Archive, Engine, EngineParts, Joined, Reading, ReceiptTo, Resumed};
use crate::hub::{Batch, Inbox, Pressure};
use crate::telemetry::Shared;

pub(super) const EVERYTHING: HistoryLimits =
    HistoryLimits { messages: usize::MAX, bytes: usize::MAX, ttl_ms: u64::MAX / 2000 };

/// Runs this part of the suite.
pub(super) fn check(empty: &dyn Fn() -> Open) {
    for promise in [
        what_a_receipt_reports_can_be_read_and_is_delivered,
        a_session_that_returns_receives_everything_once,
        a_session_catches_up_while_others_publish,
        history_is_read_in_pages,
        a_cleared_topic_reports_the_loss,
        a_topic_in_use_is_not_forgotten,
        reading_creates_no_topic,
    ] {
        promise(&empty());
    }
}

/// An engine over an archive, whose topics are all durable.
pub(super) struct Broker {
    pub(super) engine: Arc<Engine>,
    inbox: Arc<Inbox>,
    counters: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Broker {
    fn over(archive: Arc<dyn Archive>) -> Self {
        Self::keeping(EVERYTHING, archive)
    }

    /// An engine whose topics keep `history`.
    pub(super) fn keeping(history: HistoryLimits, archive: Arc<dyn Archive>) -> Self {
        let policy = TopicPolicy { history, durable: true, ..TopicPolicy::DEFAULT };
        let rule = Rule { pattern: ">".parse().unwrap(), policy, publish: None, subscribe: None };
        let counters: Arc<Shared> = Arc::default();
        let pressure = Arc::new(Pressure::new(usize::MAX / 2, counters.clone()));
        let inbox = Arc::new(Inbox::new(pressure.clone()));
        let engine = Engine::new(EngineParts {
            inboxes: vec![inbox.clone()],
            pressure,
            rules: Rules::new(vec![rule], Access::Anyone),
            topics_max: 100,
            memory_bytes_max: 1 << 20,
            replay_bytes_max: 1 << 20,
            counters: counters.clone(),
            archive: Some(archive),
            observer: None,
            presence_grace: Duration::ZERO,
        });
        Self { engine: Arc::new(engine), inbox, counters, runtime: runtime() }
    }

    pub(super) fn publish(&self, name: &str, number: u64) -> Accepted {
        publish(&self.engine, name, number)
    }

    /// Subscribes and returns what was missed, whether all of it was recovered, and where live delivery begins.
    pub(super) fn subscribe(&self, name: &str, start: &Start) -> (Vec<String>, bool, Position) {
        let text_of = |publications: Vec<Arc<fanwire_core::publication::Publication>>| -> Vec<String> {
            publications.iter().map(|publication| text_of(&publication.message.payload)).collect()
        };
        if let Some(Joined { head, missed, recovered, .. }) = self.engine.join(&topic(name), 0, start) {
            return (text_of(missed), recovered, head);
        }
        let resumed = self.runtime.block_on(self.engine.resume(&topic(name), start)).unwrap();
        let Resumed { recovered, piece, .. } = resumed;
        let (mut missed, mut at) = (text_of(piece.publications), piece.at);
        loop {
            if let Some(joined) = self.engine.join_after(&topic(name), 0, at) {
                missed.extend(text_of(joined.missed));
                return (missed, recovered, joined.head);
            }
            let piece = self.runtime.block_on(self.engine.read_on(&topic(name), at)).unwrap();
            assert!(!piece.has_gap);
            missed.extend(text_of(piece.publications));
            at = piece.at;
        }
    }

    /// Returns what is on its way to the subscribers now.
    pub(super) fn delivered(&self) -> Vec<(u64, String)> {
        let mut batch = Batch::default();
        self.inbox.take(&mut batch, usize::MAX);
        let publications = batch.broadcasts.iter().map(|broadcast| &broadcast.publication);
        publications.map(|held| (held.offset, text_of(&held.message.payload))).collect()
    }

    /// Reads a page of history: the texts, and whether it has a gap.
    pub(super) fn read(&self, name: &str, reading: Reading) -> (Vec<String>, bool) {
        let name = topic(name);
        let page = self.runtime.block_on(self.engine.read_history(&name, reading, 1 << 20)).unwrap().page;
        (page.publications.iter().map(|held| text_of(&held.message.payload)).collect(), page.gap)
    }

    /// Waits for live deliveries until `last` has come; those up to `head` were missed, and are left out.
    fn live(&self, head: Position, last: &str) -> Vec<String> {
        let (mut live, mut batch) = (Vec::new(), Batch::default());
        let deadline = std::time::Instant::now() + PATIENCE;
        while live.last().is_none_or(|text: &String| text != last) {
            assert!(std::time::Instant::now() < deadline, "{live:?} and never {last}");
            batch.broadcasts.clear();
            if !self.inbox.take(&mut batch, usize::MAX) {
                self.runtime.block_on(async {
                    let _ = tokio::time::timeout(Duration::from_millis(20), self.inbox.filled()).await;
                });
            }
            let after =
                batch.broadcasts.iter().filter(|broadcast| broadcast.publication.offset > head.offset);
            live.extend(after.map(|broadcast| text_of(&broadcast.publication.message.payload)));
        }
        live
    }
}

fn publish(engine: &Engine, name: &str, number: u64) -> Accepted {
    let payload = Payload::text(number.to_string());
    let publish = Publish { topic: topic(name), payload, key: None, from: None, except: None };
    let (to, receipt) = ReceiptTo::waiter();
    assert_eq!(engine.publish(publish, to), Ok(None), "the archive decides");
    receipt.blocking_recv().unwrap().unwrap()
}

/// A receipt may be sent by the archive before the publication arrives. The publisher must not notice.
fn what_a_receipt_reports_can_be_read_and_is_delivered(open: &Open) {
    let broker = Broker::over(open());
    broker.subscribe("a", &Start::Now);
    for number in 0..200 {
        let accepted = broker.publish("a", number);
        let delivered = [(accepted.position.offset, number.to_string())];
        assert_eq!(broker.delivered(), delivered, "it is on its way to the subscribers");
        assert_eq!((broker.engine.head(&topic("a")), accepted.subscribers), (Some(accepted.position), 1));
        let before = Since::Position(accepted.position.bound_before());
        let reading = Reading::Forward { since: Some(before), limit: 9 };
        let history = broker.engine.history(&topic("a"), &reading, 1 << 20).expect("memory holds it");
        assert_eq!(history.page.publications.len(), 1);
    }
}

fn a_session_that_returns_receives_everything_once(open: &Open) {
    let broker = Broker::over(open());
    let (missed, recovered, head) = broker.subscribe("a", &Start::Now);
    assert!(missed.is_empty() && recovered);
    let positions: Vec<Position> = (0..5).map(|number| broker.publish("a", number).position).collect();
    assert_eq!(broker.live(head, "4"), numbers(0..5));
    drop(broker);
    let broker = Broker::over(open());
    let since = |index: usize| Start::Since(Since::Position(positions[index]));
    for index in 0..5 {
        let (missed, recovered, head) = broker.subscribe("a", &since(index));
        assert_eq!((missed, recovered, head), (numbers(index as u64 + 1..5), true, positions[4]));
    }
    let foreign = Position { epoch: Epoch::FOREIGN, ..positions[0] };
    let (missed, recovered, _) = broker.subscribe("a", &Start::Since(Since::Position(foreign)));
    assert_eq!((missed, recovered), (numbers(0..5), false));
    assert_eq!(broker.subscribe("a", &Start::Last(2)).0, numbers(3..5));
    assert_eq!(broker.subscribe("a", &Start::Since(Since::Earliest)).0, numbers(0..5));
    let next = broker.publish("a", 5);
    assert_eq!(next.position.is_after(positions[4]), Some(true));
    assert_eq!(broker.live(positions[4], "5"), ["5"]);
    assert_eq!(broker.counters.durable_publications.load(Ordering::Relaxed), 1);
}

fn a_session_catches_up_while_others_publish(open: &Open) {
    let broker = Broker::over(open());
    for number in 0..50 {
        broker.publish("a", number);
    }
    drop(broker);
    let broker = Broker::over(open());
    let engine = broker.engine.clone();
    let publisher =
        std::thread::spawn(move || (50..150).for_each(|number| _ = publish(&engine, "a", number)));
    let (mut seen, recovered, head) = broker.subscribe("a", &Start::Since(Since::Earliest));
    publisher.join().unwrap();
    if seen.last().is_none_or(|last| last != "149") {
        seen.extend(broker.live(head, "149"));
    }
    assert_eq!((seen, recovered), (numbers(0..150), true));
}

fn history_is_read_in_pages(open: &Open) {
    let broker = Broker::over(open());
    let positions: Vec<Position> = (0..7).map(|number| broker.publish("a", number).position).collect();
    let read = |reading: Reading| {
        let history =
            broker.runtime.block_on(broker.engine.read_history(&topic("a"), reading, 1 << 20)).unwrap();
        let texts: Vec<String> =
            history.page.publications.iter().map(|held| text_of(&held.message.payload)).collect();
        (texts, history.page.gap, history.page.more, history.head)
    };
    let at = |index: usize| Some(Since::Position(positions[index]));
    let newest = Reading::Forward { since: at(2), limit: 9 };
    assert!(broker.engine.history(&topic("a"), &newest, 1 << 20).is_some(), "memory holds what has arrived");
    // Once with the newest publications in memory, and once from the archive only.
    for _ in 0..2 {
        let forward = read(Reading::Forward { since: at(2), limit: 3 });
        assert_eq!(forward, (numbers(3..6), false, true, positions[6]));
        let backward = read(Reading::Backward { until: at(2), limit: 9 });
        assert_eq!(backward, (vec!["1".to_owned(), "0".to_owned()], false, false, positions[6]));
        let newest = read(Reading::Backward { until: None, limit: 2 });
        assert_eq!(newest, (vec!["6".to_owned(), "5".to_owned()], false, true, positions[6]));
        broker.engine.topics.forget_all();
    }
}

fn a_cleared_topic_reports_the_loss(open: &Open) {
    let broker = Broker::over(open());
    let positions: Vec<Position> = (0..3).map(|number| broker.publish("a", number).position).collect();
    let cleared = broker.runtime.block_on(broker.engine.clear_history(&topic("a"))).unwrap();
    assert_eq!(cleared, positions[2]);
    let since = |index: usize| Start::Since(Since::Position(positions[index]));
    let (missed, recovered, _) = broker.subscribe("a", &since(1));
    assert_eq!((missed.len(), recovered), (0, false));
    let (missed, recovered, _) = broker.subscribe("a", &since(2));
    assert_eq!((missed.len(), recovered), (0, true));
}

fn a_topic_in_use_is_not_forgotten(open: &Open) {
    let broker = Broker::over(open());
    let first = broker.publish("a", 0).position;
    let archived = broker.engine.archived.as_ref().unwrap();
    archived.forget(&topic("a"));
    let second = broker.publish("a", 1).position;
    assert_eq!(second.is_after(first), Some(true), "one that is in use is not forgotten");
    broker.engine.topics.forget_all();
    archived.forget(&topic("a"));
    let again = broker.publish("a", 2).position;
    assert_ne!(again.epoch, first.epoch);
    let (missed, recovered, _) = broker.subscribe("a", &Start::Since(Since::Position(second)));
    assert_eq!((missed, recovered), (numbers(2..3), false), "positions of the old epoch say nothing");
}

fn reading_creates_no_topic(open: &Open) {
    let broker = Broker::over(open());
    broker.publish("a", 0);
    broker.engine.topics.forget_all();
    broker.counters.topics.store(0, Ordering::Relaxed);
    for name in ["a", "b", "c"] {
        let reading = Reading::Forward { since: None, limit: 9 };
        let (engine, name) = (&broker.engine, topic(name));
        broker.runtime.block_on(engine.read_history(&name, reading, 1 << 20)).unwrap();
        broker.runtime.block_on(engine.catalog().describe(&name)).unwrap();
        assert!(engine.head(&name).is_none() && engine.take_of_rate(&name).is_ok());
    }
    assert_eq!(broker.counters.topics.load(Ordering::Relaxed), 0);
    // Reading backwards, nothing was lost before a topic that the archive does not know.
    let backward = |until| {
        let reading = Reading::Backward { until, limit: 9 };
        broker.runtime.block_on(broker.engine.read_history(&topic("b"), reading, 1 << 20)).unwrap()
    };
    let head = backward(None).head;
    assert!(!backward(Some(Since::Position(head.bound_after()))).page.gap);
    assert!(backward(Some(Since::Position(Position { epoch: Epoch::FOREIGN, ..head }))).page.gap);
}
