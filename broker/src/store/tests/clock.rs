//! A wall clock that is set back: keys are remembered for their time, and what had expired stays expired.

use super::{NOW, Scratch, append, bounds, epoch, keyed, offsets, open, text, topic};
use crate::store::publication::KEY_TTL_MS;
use crate::store::{Append, Bounds, Keep};

const HOUR: u64 = 60 * 60 * 1000;

#[test]
fn keys_are_remembered_when_the_clock_is_an_hour_back() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let first = append(&store, keyed("a", "k", NOW)).unwrap();
    let again = append(&store, keyed("a", "k", NOW - HOUR)).unwrap();
    assert_eq!((again.position, again.is_duplicate), (first.position, true));
    store.forget_keys(NOW - HOUR).unwrap();
    drop(store);
    let store = open(&scratch.0);
    let again = append(&store, keyed("a", "k", NOW - HOUR)).unwrap();
    assert_eq!((again.position, again.is_duplicate), (first.position, true), "after a restart");
    // A key that was accepted meanwhile ages with the others.
    append(&store, keyed("a", "late", NOW - HOUR)).unwrap();
    store.forget_keys(NOW + KEY_TTL_MS / 2).unwrap();
    assert!(append(&store, keyed("a", "late", NOW - HOUR)).unwrap().is_duplicate);
    let expired = append(&store, keyed("a", "late", NOW + 2 * KEY_TTL_MS)).unwrap();
    assert!(!expired.is_duplicate, "a wrong clock does not keep keys for ever");
}

#[test]
fn what_had_expired_does_not_come_back_with_the_clock() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for number in 0..4 {
        append(&store, Append { ts: NOW + number * HOUR, ..text("a", "x") }).unwrap();
    }
    let floor_at = |now: u64| {
        let keep = Keep { now, ttl_ms: HOUR, ..Keep::ALL };
        let stretch = store.read_after(&topic("a"), epoch(7), 0, &Bounds { keep, ..bounds() }).unwrap();
        let stretch = stretch.unwrap();
        (stretch.floor, offsets(&stretch))
    };
    assert_eq!(floor_at(NOW + 3 * HOUR), (2, vec![3, 4]));
    assert_eq!(floor_at(NOW), (2, vec![3, 4]));
    assert_eq!(floor_at(NOW + 4 * HOUR), (3, vec![4]));
}
