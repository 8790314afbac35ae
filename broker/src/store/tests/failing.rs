//! A disk that is full, a database that is damaged, and a queue that is.

use std::fs;
use std::sync::Arc;

use super::{
    Events, NOW, PATIENCE, Scratch, append, bounds, epoch, hold, keyed, offsets, open, submit, text, texts,
    topic,
};
use crate::store::{Event, Keep, Store, StoreConfig, StoreError};

#[test]
fn a_full_disk_refuses_publishes_loses_nothing_and_recovers() {
    let (scratch, events) = (Scratch::new(), Events::default());
    let config = StoreConfig { file_bytes_max: Some(1 << 20), ..StoreConfig::default() };
    let store = Store::open(&scratch.0, config, events.observer()).unwrap();
    let payload = "x".repeat(8_000);
    let mut accepted = 0;
    let error = loop {
        match append(&store, keyed("a", &format!("{accepted} {payload}"), NOW)) {
            Ok(committed) => assert_eq!(committed.position.offset, accepted + 1),
            Err(error) => break error,
        }
        accepted += 1;
    };
    assert!(matches!(&error, StoreError::NoSpace(reason) if reason.contains("full")), "{error:?}");
    assert!(accepted > 20, "{accepted}");
    assert!(store.health().unwrap_err().contains("full"));
    // Everything of a group that fails is refused, and none of it is seen.
    let release = hold(&store);
    let small = submit(&store, text("a", "small enough to be written before the group fails"));
    let large: Vec<_> = (0..3).map(|number| submit(&store, text(&format!("b.{number}"), &payload))).collect();
    let repeated = submit(&store, keyed("a", &format!("0 {payload}"), NOW));
    drop(release);
    for receipt in large.iter().chain([&small, &repeated]) {
        assert!(matches!(receipt.recv_timeout(PATIENCE).unwrap(), Err(StoreError::NoSpace(_))));
    }
    assert_eq!(store.load(&topic("b.0"), &Keep::ALL), Ok(None));
    assert_eq!(texts(&store, "a", 7).len() as u64, accepted);
    // Room is made, in the same group as a publish that needs it.
    let release = hold(&store);
    store.trim(&topic("a"), Keep { messages: 5, ..Keep::ALL }).unwrap();
    let receipt = submit(&store, text("a", &payload));
    drop(release);
    assert_eq!(receipt.recv_timeout(PATIENCE).unwrap().unwrap().position.offset, accepted + 1);
    assert_eq!(store.health(), Ok(()));
    let stretch = store.read_after(&topic("a"), epoch(7), 0, &bounds()).unwrap().unwrap();
    assert_eq!(offsets(&stretch), (accepted - 4..=accepted + 1).collect::<Vec<_>>());
    drop(store);
    let turns: Vec<_> =
        events.all().into_iter().filter(|event| !matches!(event, Event::Committed { .. })).collect();
    assert!(matches!(turns.first(), Some(Event::Failed(reason)) if reason.contains("full")), "{turns:?}");
    assert_eq!(turns.last(), Some(&Event::Recovered));
}

#[test]
fn clearing_a_topic_works_when_the_bound_of_the_file_is_reached() {
    let scratch = Scratch::new();
    let config = StoreConfig { file_bytes_max: Some(1 << 20), ..StoreConfig::default() };
    let store = Store::open(&scratch.0, config, Arc::new(|_| {})).unwrap();
    let payload = "x".repeat(8_000);
    let fill = || (0..).take_while(|_| append(&store, text("a", &payload)).is_ok()).count();
    let first = fill();
    assert!(first > 20, "{first}");
    let (sender, receiver) = std::sync::mpsc::channel();
    store.clear_topic(&topic("a"), Box::new(move |result| sender.send(result).unwrap())).unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), Ok(()));
    // The rows are deleted within the next commits.
    let deadline = std::time::Instant::now() + PATIENCE;
    while append(&store, text("a", "small")).is_err() {
        assert!(std::time::Instant::now() < deadline);
    }
    assert!(fill() > first / 2);
}

/// Overwrites the page of the database that holds `payload`.
fn overwrite_page(scratch: &Scratch, payload: &str) {
    let mut bytes = fs::read(scratch.database()).unwrap();
    let at = bytes.windows(payload.len()).position(|window| window == payload.as_bytes()).unwrap();
    let page = at / 4_096 * 4_096;
    bytes[page..page + 64].fill(0xff);
    fs::write(scratch.database(), bytes).unwrap();
}

#[test]
fn damage_is_reported_and_nothing_is_written_any_more() {
    let (scratch, events) = (Scratch::new(), Events::default());
    let store = open(&scratch.0);
    for number in 0..200 {
        drop(submit(&store, text("a", &format!("a{number}{}", "-".repeat(300)))));
        drop(submit(&store, text("b", &format!("b{number}{}", "-".repeat(300)))));
    }
    drop(store);
    overwrite_page(&scratch, "a100---");
    let store = Store::open(&scratch.0, StoreConfig::default(), events.observer()).unwrap();
    assert_eq!(store.health(), Ok(()), "damage inside is found when it is met");
    let read = store.read_after(&topic("a"), epoch(7), 0, &bounds());
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    assert!(store.health().is_err());
    assert!(matches!(append(&store, text("b", "x")), Err(StoreError::Damaged(_))));
    // What is whole can still be read.
    assert_eq!(texts(&store, "b", 7).len(), 200);
    drop(store);
    assert!(matches!(events.all().as_slice(), [Event::Failed(_)]), "{:?}", events.all());
}

#[test]
fn a_publication_that_has_vanished_is_damage_and_not_a_short_answer() {
    for (which, expected) in [(5, "between"), (1, "between")] {
        let scratch = Scratch::new();
        let store = open(&scratch.0);
        for _ in 0..9 {
            append(&store, text("a", "x")).unwrap();
        }
        let connection = rusqlite::Connection::open(scratch.database()).unwrap();
        connection.execute("DELETE FROM publications WHERE id % 1024 = ?1", [which]).unwrap();
        let error = store.read_after(&topic("a"), epoch(7), 0, &bounds()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn publishers_have_to_wait_under_pressure_and_are_refused_beyond_it() {
    let (scratch, events) = (Scratch::new(), Events::default());
    let config = StoreConfig { queue_bytes_max: 20_000, ..StoreConfig::default() };
    let store = Store::open(&scratch.0, config, events.observer()).unwrap();
    let release = hold(&store);
    let payload = "x".repeat(1_000);
    let mut receipts = Vec::new();
    let refused = loop {
        let (sender, receiver) = std::sync::mpsc::channel();
        match store.append(text("a", &payload), Box::new(move |result| sender.send(result).unwrap())) {
            Ok(()) => receipts.push(receiver),
            Err(error) => break error,
        }
        let is_over = store.queued_bytes() > 20_000;
        assert_eq!(events.all().contains(&Event::PressureRaised), is_over);
    };
    assert_eq!(refused, StoreError::Full);
    assert!((40_000..42_000).contains(&store.queued_bytes()), "{}", store.queued_bytes());
    drop(release);
    assert!(receipts.iter().all(|receipt| receipt.recv_timeout(PATIENCE).unwrap().is_ok()));
    append(&store, text("a", "x")).unwrap();
    drop(store);
    let turns: Vec<_> =
        events.all().into_iter().filter(|event| !matches!(event, Event::Committed { .. })).collect();
    assert_eq!(turns, [Event::PressureRaised, Event::PressureRelieved]);
}

#[test]
fn the_last_callback_may_drop_the_store() {
    let scratch = Scratch::new();
    let store = Arc::new(open(&scratch.0));
    let (sender, receiver) = std::sync::mpsc::channel();
    let release = hold(&store);
    let last = store.clone();
    let done = move |result| {
        drop(last);
        sender.send(result).unwrap();
    };
    store.append(text("a", "x"), Box::new(done)).unwrap();
    drop(store);
    drop(release);
    assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok());
}
