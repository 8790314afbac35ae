//! The store as an archive of the engine.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use super::super::{OpenError, Store, StoreConfig};
use super::{PATIENCE, Scratch, hold, open, text, topic};
use crate::engine::{Archive, ArchiveError, Committed, Removal, conformance};

#[test]
fn the_store_keeps_every_promise_of_an_archive() {
    conformance::check(&|| {
        let scratch = Rc::new(Scratch::new());
        Box::new(move || -> Arc<dyn Archive> { Arc::new(open_when_free(&scratch.0)) })
    });
}

/// Opens a store as soon as the one before it is gone: an engine that was dropped may still be held by a callback under way.
fn open_when_free(directory: &Path) -> Store {
    let until = Instant::now() + PATIENCE;
    loop {
        match Store::open(directory, StoreConfig::default(), Arc::new(|_| {})) {
            Err(OpenError::InUse(_)) if Instant::now() < until => thread::yield_now(),
            opened => return opened.expect("the store before this one is gone"),
        }
    }
}

#[test]
fn a_group_arrives_together_before_its_receipts_and_apart_from_what_follows_a_deletion() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let (sender, events) = mpsc::channel();
    let arrived = sender.clone();
    store.deliver_to(Box::new(move |arrivals| {
        let offsets: Vec<_> =
            arrivals.iter().map(|arrival| (arrival.position.offset, arrival.after)).collect();
        arrived.send(format!("{offsets:?}")).unwrap();
    }));
    let release = hold(&store);
    let append = |payload: &str| {
        let sender = sender.clone();
        let done = move |result: Result<Committed, ArchiveError>| {
            sender.send(result.unwrap().position.offset.to_string()).unwrap();
        };
        Archive::append(&store, text("a", payload), Box::new(done)).unwrap();
    };
    append("1");
    append("2");
    let cleared = sender.clone();
    let done = Box::new(move |_| cleared.send("cleared".to_owned()).unwrap());
    store.remove(&topic("a"), Removal::History, done).unwrap();
    append("3");
    drop(release);
    let all: Vec<_> = (0..6).map(|_| events.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(all, ["[(1, 0), (2, 1)]", "1", "2", "cleared", "[(3, 2)]", "3"]);
}
