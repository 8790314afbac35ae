//! One tick of a worker's hub: from publications to outboxes, and from an outbox to what is written.

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::fanout::{Delivery, Fanout};
use fanwire_core::outbox::{Outbox, SLICES_MAX};
use fanwire_core::subscribers::{SessionKey, Subscribers};
use fanwire_formats::JSON;
use fanwire_protocol::Pattern;

use super::{REPEAT, broadcast, measured, topic};

/// Sessions that listen to one topic.
const SESSIONS: u32 = 100;

/// Ticks that are counted.
const TICKS: u64 = 50;

/// Chunks that go into outboxes in all of them.
pub(super) const DELIVERIES: u64 = TICKS * SESSIONS as u64;

/// Topics with one session each, of which a tick reaches 64.
const TOPICS: usize = 1000;
const TOPICS_IN_TICK: usize = 64;
pub(super) const TOPIC_DELIVERIES: u64 = TICKS * TOPICS_IN_TICK as u64;

const OUTBOX_BYTES_MAX: usize = 4 << 20;

fn pattern(text: &str) -> Pattern {
    text.parse().expect("the pieces name patterns by the rules")
}

fn outboxes(count: usize) -> Vec<Outbox> {
    (0..count).map(|_| Outbox::new(&JSON, OUTBOX_BYTES_MAX)).collect()
}

/// Runs each batch as a tick: into the outboxes, and out of those that were touched.
fn run(subscribers: &Subscribers, ticks: &[Vec<Arc<Broadcast>>], sessions: usize) {
    let mut outboxes = outboxes(sessions);
    let mut fanout = Fanout::default();
    let mut touched: Vec<usize> = Vec::new();
    // The working memory grows in the first tick, and is then there.
    tick(&mut fanout, subscribers, &ticks[0], &mut outboxes, &mut touched);
    measured(|| {
        for batch in &ticks[1..] {
            tick(&mut fanout, subscribers, batch, &mut outboxes, &mut touched);
        }
    });
}

fn tick(
    fanout: &mut Fanout,
    subscribers: &Subscribers,
    batch: &[Arc<Broadcast>],
    outboxes: &mut [Outbox],
    touched: &mut Vec<usize>,
) {
    fanout.run(0, subscribers, batch, |session, delivery, _| {
        let outbox = &mut outboxes[session.0 as usize];
        if outbox.is_empty() {
            touched.push(session.0 as usize);
        }
        outbox.push(delivery).expect("the outboxes are emptied after every tick");
    });
    for session in touched.drain(..) {
        write(&mut outboxes[session]);
    }
}

/// What a write to the socket does to the outbox, without the socket.
fn write(outbox: &mut Outbox) {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let filled = outbox.fill(&mut slices);
    let bytes = black_box(&slices[..filled]).iter().map(|slice| slice.len()).sum();
    outbox.advance(bytes);
}

/// Ticks of `gathered` publications each to one topic, the first of them unmeasured.
fn ticks(gathered: u64) -> Vec<Vec<Arc<Broadcast>>> {
    let topic = topic("orders.eu.paid");
    (0..=TICKS)
        .map(|tick| (0..gathered).map(|index| broadcast(&topic, 1 + tick * gathered + index)).collect())
        .collect()
}

fn one_topic(patterns: &[&str]) -> Subscribers {
    let mut subscribers = Subscribers::default();
    for text in patterns {
        for session in 0..SESSIONS {
            subscribers.join(&pattern(text), SessionKey(session), &JSON, 0);
        }
    }
    subscribers
}

pub(super) fn one_to_many() {
    run(&one_topic(&["orders.eu.paid"]), &ticks(1), SESSIONS as usize);
}

pub(super) fn gathered() {
    run(&one_topic(&["orders.eu.paid"]), &ticks(64), SESSIONS as usize);
}

pub(super) fn overlapping() {
    run(&one_topic(&["orders.eu.paid", "orders.>"]), &ticks(1), SESSIONS as usize);
}

pub(super) fn by_topic() {
    let topics: Vec<_> = (0..TOPICS).map(|number| topic(&format!("bench.{number:06}"))).collect();
    let mut subscribers = Subscribers::default();
    for (session, topic) in topics.iter().enumerate() {
        subscribers.join(&pattern(topic.as_str()), SessionKey(session as u32), &JSON, 0);
    }
    let ticks: Vec<Vec<_>> = (0..=TICKS as usize)
        .map(|tick| {
            let numbers = (0..TOPICS_IN_TICK).map(|index| (tick * TOPICS_IN_TICK + index) % TOPICS);
            numbers.map(|number| broadcast(&topics[number], 1 + tick as u64)).collect()
        })
        .collect();
    run(&subscribers, &ticks, TOPICS);
}

pub(super) fn outbox() {
    let chunk = broadcast(&topic("orders.eu.paid"), 1).bytes(&JSON);
    let mut outbox = Outbox::new(&JSON, OUTBOX_BYTES_MAX);
    measured(|| {
        for _ in 0..REPEAT {
            outbox.push(Delivery::Chunk(chunk.clone(), 1)).expect("the outbox is emptied every time");
            write(&mut outbox);
        }
    });
}
