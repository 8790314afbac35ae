//! The parts that all tests of the store use, and tests of what the store guarantees without failures.

mod archive;
mod backup;
mod clock;
mod crash;
mod damage;
mod failing;
mod numbering;
mod opening;
mod placement;
mod retention;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanwire_protocol::{Payload, Position};

use super::publication::KEY_TTL_MS;
use super::*;

/// Far more than anything here takes, so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// A moment of the wall clock, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

/// An empty directory that is removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fanwire-store-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("fanwire.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All events of a store since it was opened.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    fn observer(&self) -> Observer {
        let events = self.clone();
        Arc::new(move |event| events.0.lock().unwrap().push(event))
    }

    fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

fn open(directory: &Path) -> Store {
    Store::open(directory, StoreConfig::default(), Arc::new(|_| {})).unwrap()
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn epoch(number: u64) -> Epoch {
    Epoch::from_random(number)
}

fn text(name: &str, payload: &str) -> Append {
    Append {
        topic: topic(name),
        epoch: epoch(7),
        payload: Payload::text(payload),
        from: None,
        key: None,
        ts: NOW,
        cost: 10,
        keep: Keep::ALL,
        origin: None,
    }
}

fn keyed(name: &str, key: &str, ts: u64) -> Append {
    Append { key: Some(key.to_owned()), ts, ..text(name, key) }
}

/// Submits a publication; its outcome arrives on the channel.
fn submit(store: &Store, append: Append) -> Receiver<Result<Committed, StoreError>> {
    let (sender, receiver) = mpsc::channel();
    store.append(append, Box::new(move |result| drop(sender.send(result)))).unwrap();
    receiver
}

fn append(store: &Store, append: Append) -> Result<Committed, StoreError> {
    submit(store, append).recv_timeout(PATIENCE).unwrap()
}

/// Holds the writer until the returned sender is used or dropped, so that what is submitted meanwhile becomes one group.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (holding, held) = mpsc::channel();
    let done = move |_| {
        holding.send(()).unwrap();
        let _ = released.recv_timeout(PATIENCE);
    };
    store.forget_topic(&topic("not.known"), Box::new(done)).unwrap();
    held.recv_timeout(PATIENCE).unwrap();
    release
}

fn bounds() -> Bounds {
    Bounds { through: u64::MAX, limit: usize::MAX, bytes_max: usize::MAX, keep: Keep::ALL }
}

fn offsets(stretch: &Stretch) -> Vec<u64> {
    stretch.publications.iter().map(|publication| publication.offset).collect()
}

fn texts(store: &Store, name: &str, number: u64) -> Vec<String> {
    let stretch = store.read_after(&topic(name), epoch(number), 0, &bounds()).unwrap().unwrap();
    stretch.publications.iter().map(|it| String::from_utf8(it.payload.to_bare().into()).unwrap()).collect()
}

#[test]
fn positions_continue_after_a_restart() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    assert_eq!(store.load(&topic("a"), &Keep::ALL), Ok(None));
    for number in 1..=3 {
        let committed = append(&store, text("a", &number.to_string())).unwrap();
        assert_eq!(committed.position, Position { epoch: epoch(7), offset: number });
    }
    drop(store);
    let store = open(&scratch.0);
    let record = TopicRecord { epoch: epoch(7), head: 3, floor: 0, floor_ts: 0, bytes: 30, newest_ts: NOW };
    assert_eq!(store.load(&topic("a"), &Keep::ALL), Ok(Some(record)));
    // Another epoch is proposed now; the topic keeps its own.
    let committed = append(&store, Append { epoch: epoch(8), ..text("a", "4") }).unwrap();
    assert_eq!(
        committed,
        Committed { position: Position { epoch: epoch(7), offset: 4 }, ts: NOW, is_duplicate: false }
    );
    assert_eq!(texts(&store, "a", 7), ["1", "2", "3", "4"]);
    assert_eq!(store.health(), Ok(()));
}

#[test]
fn a_key_is_remembered_for_its_time_over_restarts() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let check = |store: &Store, name: &str, ts: u64, offset: u64, is_duplicate: bool| {
        let committed = append(store, keyed(name, "k", ts)).unwrap();
        assert_eq!(
            (committed.position.offset, committed.is_duplicate),
            (offset, is_duplicate),
            "{name} {ts}"
        );
    };
    // Far more than this test takes: the clock of the keys continues meanwhile.
    let margin = 60_000;
    check(&store, "a", NOW, 1, false);
    check(&store, "a", NOW + KEY_TTL_MS - margin, 1, true);
    check(&store, "b", NOW, 1, false);
    drop(store);
    let store = open(&scratch.0);
    check(&store, "a", NOW + KEY_TTL_MS - margin, 1, true);
    check(&store, "a", NOW + KEY_TTL_MS, 2, false);
    assert_eq!(texts(&store, "a", 7).len(), 2);
}

#[test]
fn expired_keys_are_deleted() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for number in 0..3_000 {
        // Steps far longer than this test takes: the clock of the keys continues meanwhile.
        drop(submit(&store, keyed("a", &number.to_string(), NOW + number * 60_000)));
    }
    let now = NOW + 2_899 * 60_000 + KEY_TTL_MS;
    store.forget_keys(now).unwrap();
    append(&store, keyed("a", "last", now)).unwrap();
    append(&store, keyed("a", "later", now)).unwrap();
    append(&store, text("a", "without")).unwrap();
    let reader = rusqlite::Connection::open(scratch.database()).unwrap();
    let count: u32 = reader.query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 102);
}

#[test]
fn a_key_repeated_within_one_group_is_accepted_once() {
    let (scratch, events) = (Scratch::new(), Events::default());
    let store = Store::open(&scratch.0, StoreConfig::default(), events.observer()).unwrap();
    let release = hold(&store);
    let receipts: Vec<_> = ["a", "b", "a", "c", "a"].map(|key| submit(&store, keyed("t", key, NOW))).into();
    drop(release);
    let answers: Vec<_> = receipts
        .iter()
        .map(|receipt| receipt.recv_timeout(PATIENCE).unwrap().unwrap())
        .map(|committed| (committed.position.offset, committed.is_duplicate))
        .collect();
    assert_eq!(answers, [(1, false), (2, false), (1, true), (3, false), (1, true)]);
    assert_eq!(texts(&store, "t", 7), ["a", "b", "c"]);
    drop(store);
    let groups: Vec<_> = events
        .all()
        .into_iter()
        .filter_map(
            |event| if let Event::Committed { publications, .. } = event { Some(publications) } else { None },
        )
        .collect();
    assert_eq!(groups, [5], "what gathered while the writer was busy is one commit");
}

#[test]
fn callbacks_come_in_order_and_after_the_commit() {
    let scratch = Scratch::new();
    let store = Arc::new(open(&scratch.0));
    let (sender, receiver) = mpsc::channel();
    for number in 1..=500_u64 {
        let (sender, reader) = (sender.clone(), store.clone());
        let done = move |result: Result<Committed, StoreError>| {
            let head = reader.load(&topic("a"), &Keep::ALL).unwrap().unwrap().head;
            sender.send((number, result.unwrap().position.offset, head)).unwrap();
        };
        store.append(text("a", "x"), Box::new(done)).unwrap();
    }
    for number in 1..=500 {
        let (submitted, offset, head) = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!((submitted, offset), (number, number));
        assert!(head >= offset, "{offset} was confirmed when only {head} could be read");
    }
}

#[test]
fn what_waits_is_written_before_the_store_closes() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let release = hold(&store);
    let receipts: Vec<_> = (0..100).map(|_| submit(&store, text("a", "x"))).collect();
    drop(release);
    drop(store);
    assert!(receipts.iter().all(|receipt| receipt.try_recv().unwrap().is_ok()));
    assert_eq!(texts(&open(&scratch.0), "a", 7).len(), 100);
}

#[test]
fn payloads_and_publishers_survive_in_their_encoding() {
    let scratch = Scratch::new();
    let originals = [
        (Payload::text("grüße"), None),
        (Payload::text(""), Some("ada")),
        (Payload::binary(&[0, 159, 255][..]), Some("")),
        (Payload::from_json("{\"n\": 18446744073709551615}").unwrap(), None),
        (Payload::from_msgpack(&[0x92, 0xc0, 0xc4, 1, 7]).unwrap(), Some("bob")),
        (Payload::binary(vec![7; 1 << 20]), None),
    ];
    let store = open(&scratch.0);
    for (payload, from) in &originals {
        let publish = Append { payload: payload.clone(), from: from.map(Arc::from), ..text("a", "") };
        append(&store, publish).unwrap();
    }
    drop(store);
    let stretch = open(&scratch.0).read_after(&topic("a"), epoch(7), 0, &bounds()).unwrap().unwrap();
    assert_eq!(stretch.publications.len(), originals.len());
    for (stored, (payload, from)) in stretch.publications.iter().zip(&originals) {
        assert_eq!((stored.payload.view(), stored.from.as_deref()), (payload.view(), *from));
        assert_eq!(stored.ts, NOW);
    }
}

#[test]
fn readings_keep_to_their_bounds() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    for number in 1..=9 {
        append(&store, Append { ts: NOW + 10 * number, ..text("a", "four") }).unwrap();
    }
    let check = |stretch: Result<Option<Stretch>, StoreError>, expected: &[u64], more: bool| {
        let stretch = stretch.unwrap().unwrap();
        assert_eq!((offsets(&stretch).as_slice(), stretch.more, stretch.floor), (expected, more, 0));
    };
    let all = bounds();
    let (a, own) = (&topic("a"), epoch(7));
    check(store.read_after(a, own, 6, &all), &[7, 8, 9], false);
    check(store.read_after(a, own, 6, &Bounds { through: 8, ..all }), &[7, 8], false);
    check(store.read_after(a, own, 0, &Bounds { limit: 2, ..all }), &[1, 2], true);
    check(store.read_after(a, own, 7, &Bounds { limit: 2, ..all }), &[8, 9], false);
    check(store.read_after(a, own, 0, &Bounds { bytes_max: 18, ..all }), &[1, 2, 3], true);
    check(store.read_after(a, own, 0, &Bounds { bytes_max: 0, ..all }), &[1], true);
    check(store.read_after(a, own, 9, &all), &[], false);
    check(store.read_after(a, own, u64::MAX, &all), &[], false);
    check(store.read_before(a, own, u64::MAX, &Bounds { limit: 3, ..all }), &[9, 8, 7], true);
    check(store.read_before(a, own, 3, &all), &[2, 1], false);
    check(store.read_before(a, own, 9, &Bounds { through: 2, ..all }), &[2, 1], false);
    check(store.read_before(a, own, 0, &all), &[], false);
    assert_eq!(store.read_after(a, epoch(8), 0, &all), Ok(None));
    assert_eq!(store.read_before(&topic("b"), own, 0, &all), Ok(None));
    for (ts, expected) in [(0, 0), (NOW + 10, 0), (NOW + 11, 1), (NOW + 50, 4), (NOW + 90, 8), (NOW + 91, 9)]
    {
        assert_eq!(store.offset_before(a, own, ts, &Keep::ALL), Ok(Some(expected)), "{ts}");
    }
    assert_eq!(store.offset_before(a, epoch(8), NOW, &Keep::ALL), Ok(None));
}

#[test]
fn topics_are_listed_page_by_page() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    let mut names: Vec<String> = (0..250).map(|number| format!("t.{number}")).collect();
    let receipts: Vec<_> = names.iter().map(|name| submit(&store, text(name, "x"))).collect();
    assert!(receipts.iter().all(|receipt| receipt.recv_timeout(PATIENCE).unwrap().is_ok()));
    names.sort();
    let mut listed: Vec<Topic> = Vec::new();
    loop {
        let page = store.topics(listed.last(), 100, |_| Keep::ALL).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 100 && page.iter().all(|(_, record)| record.head == 1));
        listed.extend(page.into_iter().map(|(topic, _)| topic));
    }
    assert_eq!(listed.iter().map(Topic::as_str).collect::<Vec<_>>(), names);
}

#[test]
fn readings_are_bounded_in_encoded_bytes() {
    let scratch = Scratch::new();
    let store = open(&scratch.0);
    // Each takes 6,000 bytes in JSON.
    let receipts: Vec<_> = (0..50).map(|_| submit(&store, text("a", &"\u{1}".repeat(1_000)))).collect();
    assert!(receipts.iter().all(|receipt| receipt.recv_timeout(PATIENCE).unwrap().is_ok()));
    let bounds = Bounds { bytes_max: 60_100, ..bounds() };
    let stretch = store.read_after(&topic("a"), epoch(7), 0, &bounds).unwrap().unwrap();
    assert_eq!((stretch.publications.len(), stretch.more), (10, true));
}
