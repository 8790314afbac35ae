//! Offsets are never assigned twice under one epoch: databases that lack commits, and copies, begin new epochs.

use std::fs;
use std::path::{Path, PathBuf};

use fanwire_protocol::Epoch;

use super::{Events, PATIENCE, Scratch, append, epoch, open, text, topic};
use crate::store::{Append, Done, Event, Keep, Store, StoreConfig, StoreError};

/// The files of a database as they were at a moment, while the store was open.
struct Moment {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Moment {
    fn of(scratch: &Scratch) -> Self {
        Self { database: fs::read(scratch.database()).unwrap(), log: fs::read(log(scratch)).unwrap() }
    }

    /// Puts the files back in place, with so many bytes of the log.
    fn put_back(&self, scratch: &Scratch, log_bytes: usize) {
        fs::write(scratch.database(), &self.database).unwrap();
        fs::write(log(scratch), &self.log[..log_bytes]).unwrap();
    }
}

fn log(scratch: &Scratch) -> PathBuf {
    scratch.0.join("fanwire.db-wal")
}

fn publish(store: &Store, count: u64) {
    for _ in 0..count {
        append(store, text("a", "x")).unwrap();
    }
}

/// Opens the store and returns the epoch and head of the topic, and why the epochs are new if they are.
fn reopened(directory: &Path) -> (Epoch, u64, Option<String>) {
    let events = Events::default();
    let store = Store::open(directory, StoreConfig::default(), events.observer()).unwrap();
    let record = store.load(&topic("a"), &Keep::ALL).unwrap().unwrap();
    let reason = events.all().into_iter().find_map(|event| match event {
        Event::EpochsRenewed(reason) => Some(reason.to_string()),
        _ => None,
    });
    // What is published now continues under the epoch that was loaded.
    let next = append(&store, Append { epoch: epoch(99), ..text("a", "next") }).unwrap();
    assert_eq!((next.position.epoch, next.position.offset), (record.epoch, record.head + 1));
    (record.epoch, record.head, reason)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        // As `cp -a` does.
        let modified = entry.metadata().unwrap().modified().unwrap();
        fs::File::options().write(true).open(&target).unwrap().set_modified(modified).unwrap();
    }
}

#[test]
fn the_end_of_the_process_without_loss_keeps_the_epoch() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    publish(&store, 10);
    let moment = Moment::of(&scratch);
    drop(store);
    moment.put_back(&scratch, moment.log.len());
    assert_eq!(reopened(&scratch.0), (epoch(7), 10, None));
    assert_eq!(reopened(&scratch.0), (epoch(7), 11, None));
}

#[test]
fn a_lost_tail_of_the_log_begins_new_epochs() {
    for kept in [0, 1, 2] {
        let scratch = Scratch::new();
        let store = open(&scratch.0);
        publish(&store, 5);
        let early = Moment::of(&scratch);
        publish(&store, 5);
        let late = Moment::of(&scratch);
        drop(store);
        // All of the log that came later is lost, or all but some bytes.
        let log_bytes = early.log.len() + kept * 1_000;
        late.put_back(&scratch, log_bytes.min(late.log.len() - 1));
        let (renewed, head, reason) = reopened(&scratch.0);
        assert!((5..10).contains(&head), "{head}");
        assert_ne!(renewed, epoch(7));
        assert!(reason.as_ref().is_some_and(|reason| reason.contains("lacks")), "{reason:?}");
        assert_eq!(reopened(&scratch.0), (renewed, head + 1, None), "once is enough");
    }
}

#[test]
fn a_lost_topic_begins_new_epochs() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    publish(&store, 5);
    let early = Moment::of(&scratch);
    append(&store, text("b", "x")).unwrap();
    let late = Moment::of(&scratch);
    drop(store);
    late.put_back(&scratch, early.log.len());
    let (renewed, head, reason) = reopened(&scratch.0);
    assert_ne!(renewed, epoch(7));
    assert_eq!(head, 5);
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("lacks the topic")), "{reason:?}");
}

#[test]
fn a_newest_publication_that_was_deleted_is_no_loss() {
    type Deletion = fn(&Store);
    let deletions: [Deletion; 3] = [
        |store| submit_removal(|done| store.clear_topic(&topic("b"), done)),
        |store| submit_removal(|done| store.forget_topic(&topic("b"), done)),
        |store| {
            store.trim(&topic("b"), Keep { messages: 0, ..Keep::ALL }).unwrap();
            // What is behind the trim in the queue is written after it.
            submit_removal(|done| store.clear_topic(&topic("not.known"), done));
        },
    ];
    for (number, delete) in deletions.into_iter().enumerate() {
        let scratch = Scratch::new();
        let store = open(&scratch.0);
        publish(&store, 2);
        append(&store, text("b", "x")).unwrap();
        append(&store, text("b", "y")).unwrap();
        delete(&store);
        drop(store);
        assert_eq!(reopened(&scratch.0), (epoch(7), 2, None), "{number}");
    }
}

/// Removes something and waits until it is done.
fn submit_removal(remove: impl FnOnce(Done<()>) -> Result<(), StoreError>) {
    let (sender, removed) = std::sync::mpsc::channel();
    remove(Box::new(move |result| drop(sender.send(result)))).unwrap();
    removed.recv_timeout(PATIENCE).unwrap().unwrap();
}

#[test]
fn a_mark_costs_no_page_of_the_database() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    publish(&store, 1);
    let (before, started) = (fs::metadata(log(&scratch)).unwrap().len(), std::time::Instant::now());
    publish(&store, 10);
    let seconds = started.elapsed().as_secs();
    let frames = (fs::metadata(log(&scratch)).unwrap().len() - before) / (4096 + 24);
    // Besides the page of the publications, the time is stored about once a second.
    assert!(frames <= 10 + 1 + seconds, "{frames} frames in {seconds} s");
}

#[test]
fn a_removed_log_begins_new_epochs() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    publish(&store, 1);
    drop(store);
    let store = open(&scratch.0);
    publish(&store, 5);
    let moment = Moment::of(&scratch);
    drop(store);
    moment.put_back(&scratch, 0);
    let (renewed, head, reason) = reopened(&scratch.0);
    assert_ne!(renewed, epoch(7));
    assert_eq!(head, 1);
    assert!(reason.is_some());
}

#[test]
fn an_older_database_put_in_place_begins_new_epochs() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    publish(&store, 5);
    drop(store);
    let older = fs::read(scratch.database()).unwrap();
    let store = open(&scratch.0);
    publish(&store, 5);
    drop(store);
    fs::write(scratch.database(), older).unwrap();
    let (renewed, head, reason) = reopened(&scratch.0);
    assert_ne!(renewed, epoch(7));
    assert_eq!(head, 5);
    assert!(reason.is_some());
}

#[test]
fn a_copied_directory_begins_new_epochs() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let store = open(&scratch.0);
    publish(&store, 5);
    drop(store);
    let backup = elsewhere.0.join("backup");
    copy(&scratch.0, &backup);
    let (renewed, ..) = reopened(&backup);
    assert_ne!(renewed, epoch(7));
    assert_eq!(reopened(&scratch.0), (epoch(7), 5, None), "the original is left as it is");
}

#[test]
fn a_directory_copied_back_over_the_files_begins_new_epochs() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let store = open(&scratch.0);
    publish(&store, 5);
    drop(store);
    let backup = elsewhere.0.join("backup");
    copy(&scratch.0, &backup);
    let store = open(&scratch.0);
    publish(&store, 5);
    drop(store);
    copy(&backup, &scratch.0);
    let (renewed, head, reason) = reopened(&scratch.0);
    assert_ne!(renewed, epoch(7));
    assert_eq!(head, 5);
    assert!(reason.is_some_and(|reason| reason.contains("two marks")));
}

#[test]
fn a_directory_that_is_only_renamed_keeps_its_epochs() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.0.join("first"), scratch.0.join("second"));
    fs::create_dir(&first).unwrap();
    publish(&open(&first), 5);
    fs::rename(&first, &second).unwrap();
    assert_eq!(reopened(&second), (epoch(7), 5, None));
}

#[test]
fn a_mark_that_is_damaged_or_gone_begins_new_epochs() {
    for is_gone in [true, false] {
        let scratch = Scratch::new();
        publish(&open(&scratch.0), 3);
        for entry in fs::read_dir(&scratch.0).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("fanwire.mark-") {
                if is_gone {
                    fs::remove_file(entry.path()).unwrap();
                } else {
                    fs::write(entry.path(), "something else").unwrap();
                }
            }
        }
        let (renewed, head, reason) = reopened(&scratch.0);
        assert!(renewed != epoch(7) && head == 3 && reason.is_some());
    }
}
