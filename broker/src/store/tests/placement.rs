//! Files that are moved away or replaced under an open store: nothing is acknowledged that the next start would not find.

use std::fs;
use std::path::Path;

use super::{Events, PATIENCE, Scratch, append, open, text, texts};
use crate::store::{Event, Store, StoreConfig, StoreError};

fn refusal(store: &Store) -> String {
    match append(store, text("a", "lost")) {
        Err(StoreError::Unavailable(reason)) => reason.to_string(),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Waits until the store reports that it failed, without a publish.
fn await_failure(events: &Events) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !events.all().iter().any(|event| matches!(event, Event::Failed(_))) {
        assert!(std::time::Instant::now() < deadline, "{:?}", events.all());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn with_store(change: impl FnOnce(&Path, &Store, &Events)) {
    let (scratch, events) = (Scratch::new(), Events::default());
    let directory = scratch.0.join("data");
    fs::create_dir(&directory).unwrap();
    let store = Store::open(&directory, StoreConfig::default(), events.observer()).unwrap();
    append(&store, text("a", "kept")).unwrap();
    change(&directory, &store, &events);
}

#[test]
fn a_directory_that_is_moved_away_refuses_publishes_until_it_is_back() {
    with_store(|directory, store, events| {
        let away = directory.with_extension("away");
        fs::rename(directory, &away).unwrap();
        let reason = refusal(store);
        assert!(reason.contains("was removed") && reason.contains("restart the broker"), "{reason}");
        assert!(store.health().is_err());
        fs::rename(&away, directory).unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        while store.health().is_err() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(append(store, text("a", "after")).unwrap().position.offset, 2);
        assert_eq!(texts(store, "a", 7), ["kept", "after"]);
        assert!(events.all().contains(&Event::Recovered));
    });
}

#[test]
fn a_directory_that_is_removed_is_noticed_without_a_publish() {
    with_store(|directory, store, events| {
        fs::remove_dir_all(directory).unwrap();
        await_failure(events);
        refusal(store);
    });
}

#[test]
fn a_log_that_is_removed_refuses_publishes() {
    with_store(|directory, store, _| {
        fs::remove_file(directory.join("fanwire.db-wal")).unwrap();
        refusal(store);
    });
}

#[test]
fn a_directory_that_is_replaced_is_neither_written_nor_read() {
    with_store(|directory, store, _| {
        fs::rename(directory, directory.with_extension("away")).unwrap();
        fs::create_dir(directory).unwrap();
        let other = open(directory);
        append(&other, text("a", "from elsewhere")).unwrap();
        let reason = refusal(store);
        assert!(reason.contains("was replaced"), "{reason}");
        let read = store.read_after(&super::topic("a"), super::epoch(7), 0, &super::bounds());
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        assert_eq!(texts(&other, "a", 7), ["from elsewhere"]);
    });
}
