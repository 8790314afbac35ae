//! Retention: what readers may see, what is deleted, and that the files stay small.

use std::fs;
use std::sync::Arc;

use super::{NOW, PATIENCE, Scratch, append, bounds, epoch, offsets, open, submit, text, texts, topic};
use crate::store::{Append, Bounds, Keep, Store, StoreConfig, StoreError};

/// Keeps what was accepted at `ts` or later.
fn from(ts: u64) -> Keep {
    let now = NOW + 1_000_000_000;
    Keep { now, ttl_ms: now - ts, ..Keep::ALL }
}

fn counted(messages: u64) -> Keep {
    Keep { messages, ..Keep::ALL }
}

/// Gives the writer `groups` more groups, each of which deletes some of what is to be deleted.
fn turn(store: &Store, groups: usize) {
    for _ in 0..groups {
        drop(super::hold(store));
    }
}

fn change(scratch: &Scratch, sql: &str) {
    rusqlite::Connection::open(scratch.database()).unwrap().execute_batch(sql).unwrap();
}

fn rows(scratch: &Scratch, table: &str) -> u32 {
    let reader = rusqlite::Connection::open(scratch.database()).unwrap();
    reader.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn readers_see_what_the_rule_keeps_and_nothing_else() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let scratch = Scratch::new();
        let store = open(&scratch.0);
        let mut all: Vec<(u64, u64, u64)> = Vec::new();
        let mut receipts = Vec::new();
        let mut ts = NOW;
        for offset in 1..=300 {
            ts += random.u64(0..20);
            let cost = random.u64(1..100);
            all.push((offset, cost, ts));
            // The retention of the topic works meanwhile and must not show.
            receipts.push(submit(&store, Append { cost, ts, keep: counted(200), ..text("a", "x") }));
        }
        assert!(receipts.iter().all(|receipt| receipt.recv_timeout(PATIENCE).unwrap().is_ok()));
        for _ in 0..40 {
            let oldest_ts = NOW + random.u64(0..4_000);
            let keep = Keep {
                messages: random.u64(0..200),
                bytes: if random.bool() { random.u64(0..9_000) } else { u64::MAX },
                ..from(oldest_ts)
            };
            let mut bytes = 0;
            let kept: Vec<u64> = all
                .iter()
                .rev()
                .take(keep.messages as usize)
                .take_while(|(_, cost, ts)| {
                    bytes += cost;
                    bytes <= keep.bytes && *ts >= oldest_ts
                })
                .map(|(offset, ..)| *offset)
                .collect();
            let stretch = store
                .read_before(&topic("a"), epoch(7), u64::MAX, &Bounds { keep, ..bounds() })
                .unwrap()
                .unwrap();
            assert_eq!(offsets(&stretch), kept, "seed {seed} {keep:?}");
            assert_eq!(stretch.floor, kept.last().map_or(300, |oldest| oldest - 1), "seed {seed} {keep:?}");
            let record = store.load(&topic("a"), &keep).unwrap().unwrap();
            let held: u64 = all[stretch.floor as usize..].iter().map(|(_, cost, _)| cost).sum();
            assert_eq!((record.floor, record.bytes), (stretch.floor, held), "seed {seed} {keep:?}");
        }
    }
}

#[test]
fn numbering_continues_when_everything_was_deleted() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for _ in 0..5 {
        append(&store, text("a", "old")).unwrap();
    }
    store.trim(&topic("a"), from(NOW + 1)).unwrap();
    drop(store);
    assert_eq!(rows(&scratch, "publications"), 0);
    let store = open(&scratch.0);
    let record = store.load(&topic("a"), &Keep::ALL).unwrap().unwrap();
    assert_eq!((record.epoch, record.head, record.floor), (epoch(7), 5, 5));
    assert_eq!((record.bytes, record.newest_ts), (0, NOW));
    let stretch = store.read_after(&topic("a"), epoch(7), 2, &bounds()).unwrap().unwrap();
    assert_eq!((stretch.publications.len(), stretch.floor), (0, 5));
    assert_eq!(append(&store, text("a", "new")).unwrap().position.offset, 6);
    assert_eq!(texts(&store, "a", 7), ["new"]);
    assert_eq!(store.load(&topic("a"), &Keep::ALL).unwrap().unwrap().bytes, 10);
}

#[test]
fn a_forgotten_topic_begins_anew_and_its_rows_go() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let receipts: Vec<_> = (0..5_000).map(|_| submit(&store, text("a", "old"))).collect();
    append(&store, Append { key: Some("k".to_owned()), ..text("a", "keyed") }).unwrap();
    assert!(receipts.iter().all(|receipt| receipt.try_recv().unwrap().is_ok()));
    let (sender, receiver) = std::sync::mpsc::channel();
    store.forget_topic(&topic("a"), Box::new(move |result| sender.send(result).unwrap())).unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), Ok(()));
    assert_eq!(store.load(&topic("a"), &Keep::ALL), Ok(None));
    assert_eq!(store.read_after(&topic("a"), epoch(7), 0, &bounds()), Ok(None));
    let again = Append { epoch: epoch(9), key: Some("k".to_owned()), ..text("a", "new") };
    let committed = append(&store, again).unwrap();
    assert_eq!((committed.position.epoch, committed.position.offset), (epoch(9), 1));
    assert!(!committed.is_duplicate, "a key of the forgotten topic means nothing to the new one");
    // Over a restart, too, nothing of it stays.
    drop(store);
    let store = open(&scratch.0);
    turn(&store, 8);
    assert_eq!((rows(&scratch, "publications"), rows(&scratch, "forgotten")), (1, 0));
    assert_eq!(texts(&store, "a", 9), ["new"]);
}

#[test]
fn files_stay_small_however_much_is_published() {
    let scratch = Scratch::new();
    // Small groups, so that nothing here depends on how much happens to gather while the machine is busy.
    let config = StoreConfig { log_bytes_max: 1 << 20, group_count_max: 256, ..StoreConfig::default() };
    let store = Store::open(&scratch.0, config, Arc::new(|_| {})).unwrap();
    let payload = "x".repeat(1_000);
    let size = |name: &str| fs::metadata(scratch.0.join(name)).unwrap().len();
    let mut sizes = Vec::new();
    for round in 0..8 {
        let mut receipts = Vec::new();
        for number in 0..4_000 {
            let keep = counted(500);
            let key = Some(format!("{round}.{number}"));
            let ts = NOW + round * 400_000 + number;
            receipts.push(submit(&store, Append { ts, keep, key, ..text("a", &payload) }));
        }
        store.forget_keys(NOW + round * 400_000 + 4_000).unwrap();
        assert!(receipts.iter().all(|receipt| receipt.recv_timeout(PATIENCE).unwrap().is_ok()));
        turn(&store, 8);
        sizes.push(size("fanwire.db"));
        assert!(size("fanwire.db-wal") < 16 << 20);
    }
    // 32,000 publications of 1 kB were accepted, and not many more than 500 are held.
    assert!(sizes[7] <= sizes[3] + (1 << 20), "{sizes:?}");
    assert!(sizes[7] < 12 << 20, "{sizes:?}");
    let held = rows(&scratch, "publications");
    assert!((500..=564).contains(&held), "{held}");
    assert_eq!(store.load(&topic("a"), &counted(500)).unwrap().unwrap().head, 32_000);
    drop(store);
    let left = fs::metadata(scratch.0.join("fanwire.db-wal")).map_or(0, |log| log.len());
    assert_eq!(left, 0, "the log is in the database when the store is closed");
}

#[test]
fn used_up_offsets_begin_a_new_epoch_and_never_the_same_one() {
    for (proposed, expected) in [(9, epoch(9)), (7, epoch(8))] {
        let scratch = Scratch::new();
        append(&open(&scratch.0), text("a", "old")).unwrap();
        let last = (1_u64 << 39) - 1;
        change(&scratch, &format!("DELETE FROM publications; UPDATE topics SET floor = {}", last - 1));
        let store = open(&scratch.0);
        let publish = Append { epoch: epoch(proposed), ..text("a", "new") };
        let committed = append(&store, publish.clone()).unwrap();
        assert_eq!((committed.position.epoch, committed.position.offset), (epoch(7), last));
        let committed = append(&store, publish).unwrap();
        assert_eq!((committed.position.epoch, committed.position.offset), (expected, 1));
        assert_eq!(store.read_after(&topic("a"), epoch(7), 0, &bounds()), Ok(None));
        let held = store.read_after(&topic("a"), expected, 0, &bounds()).unwrap().unwrap();
        assert_eq!(offsets(&held), [1]);
    }
}

#[test]
fn used_up_topic_ids_are_assigned_again() {
    let scratch = Scratch::new();
    append(&open(&scratch.0), text("a", "x")).unwrap();
    change(&scratch, "UPDATE sqlite_sequence SET seq = 16777214");
    let store = open(&scratch.0);
    for name in ["b", "c", "d"] {
        for offset in 1..=2 {
            assert_eq!(append(&store, text(name, name)).unwrap().position.offset, offset);
        }
        assert_eq!(texts(&store, name, 7), [name, name]);
    }
    assert_eq!(texts(&store, "a", 7), ["x"]);
}

#[test]
fn trimming_what_is_not_known_does_nothing() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    store.trim(&topic("unknown"), counted(0)).unwrap();
    append(&store, text("a", "x")).unwrap();
    store.trim(&topic("a"), Keep::ALL).unwrap();
    turn(&store, 1);
    assert_eq!(store.load(&topic("unknown"), &Keep::ALL), Ok::<_, StoreError>(None));
    assert_eq!(texts(&store, "a", 7), ["x"]);
}
