//! Bytes of publications that change on disk: such a publication is left out, and everything else stays in use.

use std::fs;

use super::{Events, Scratch, append, bounds, epoch, offsets, open, text, topic};
use crate::store::{Event, Store, StoreConfig};

/// Replaces `from` by `to` wherever it stands in the database.
fn replace(scratch: &Scratch, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(scratch.database()).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the bytes are on disk");
    bytes[at..at + to.len()].copy_from_slice(to);
    fs::write(scratch.database(), bytes).unwrap();
}

#[test]
fn a_damaged_publication_is_left_out_counted_and_reported() {
    let (scratch, events) = (Scratch::new(), Events::default());
    let store = open(&scratch.0);
    for number in 1..=5 {
        append(&store, text("a", &format!("payload {number}"))).unwrap();
    }
    drop(store);
    replace(&scratch, b"payload 3", b"payload 8");
    let store = Store::open(&scratch.0, StoreConfig::default(), events.observer()).unwrap();
    let forward = store.read_after(&topic("a"), epoch(7), 0, &bounds()).unwrap().unwrap();
    assert_eq!((offsets(&forward), forward.damaged, forward.last), (vec![1, 2, 4, 5], 1, 5));
    let backward = store.read_before(&topic("a"), epoch(7), u64::MAX, &bounds()).unwrap().unwrap();
    assert_eq!((offsets(&backward), backward.damaged, backward.last), (vec![5, 4, 2, 1], 1, 1));
    let reported = Event::PublicationDamaged { topic: topic("a"), offset: 3 };
    assert_eq!(events.all(), [reported.clone(), reported]);
    assert_eq!(store.health(), Ok(()), "one publication does not stop the others");
    assert_eq!(append(&store, text("a", "new")).unwrap().position.offset, 6);
}

#[test]
fn a_damaged_sender_or_kind_is_noticed_as_well() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for name in ["ada", "bob"] {
        let publish = crate::store::Append { from: Some(name.into()), ..text("a", "same") };
        append(&store, publish).unwrap();
    }
    drop(store);
    replace(&scratch, b"adasame", b"eve");
    let connection = rusqlite::Connection::open(scratch.database()).unwrap();
    connection.execute_batch("UPDATE publications SET kind = 1 WHERE sender = 'bob'").unwrap();
    connection.close().unwrap();
    let stretch = open(&scratch.0).read_after(&topic("a"), epoch(7), 0, &bounds()).unwrap().unwrap();
    assert_eq!((offsets(&stretch), stretch.damaged), (vec![], 2));
}
