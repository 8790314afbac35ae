//! The contract of an archive as a test suite, which the tests of each implementation run.
//!
//! Nothing here computes with offsets, beyond bounds beside them. A check that fails names the promise of `Archive` that is broken.

mod engine;
mod simulation;

use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use fanwire_protocol::{Epoch, Payload, PayloadView, Position, StartPoint, Topic};

use super::archive::{
    Append, Archive, Arrival, Bounds, Committed, Keep, Pending, Range, Removal, StoredPublication, Stretch,
};

/// Far more than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A moment of the wall clock, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

/// Opens the same archive again and again; the one before has been dropped.
pub(crate) type Open = Box<dyn Fn() -> Arc<dyn Archive>>;

/// Runs the whole suite. `empty` opens a new archive, and what it returns opens that archive again.
pub(crate) fn check(empty: &dyn Fn() -> Open) {
    for promise in [
        an_unknown_topic_has_nothing,
        publications_arrive_in_order_and_are_read_as_they_were,
        reads_begin_at_any_position_and_tell_of_loss,
        pages_follow_on_in_both_directions,
        reads_begin_at_bounds_where_nothing_is_published,
        moments_find_what_was_accepted_since,
        what_need_not_be_kept_is_not_read,
        a_repeated_key_adds_nothing,
        clearing_leaves_the_numbering,
        a_forgotten_topic_begins_anew,
    ] {
        let open = empty();
        promise(&Bench::new(open()));
    }
    engine::check(empty);
    simulation::check(empty);
}

/// An archive, and everything that has arrived from it.
struct Bench {
    archive: Arc<dyn Archive>,
    arrived: Arc<(Mutex<Vec<Arrival>>, Condvar)>,
    runtime: tokio::runtime::Runtime,
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn bounds(limit: usize) -> Bounds {
    Bounds { limit, bytes_max: usize::MAX, keep: Keep::ALL }
}

fn text_of(payload: &Payload) -> String {
    match payload.view() {
        PayloadView::Text(text) => text.to_owned(),
        other => panic!("{other:?}"),
    }
}

fn texts(publications: &[StoredPublication]) -> Vec<String> {
    publications.iter().map(|publication| text_of(&publication.payload)).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

impl Bench {
    fn new(archive: Arc<dyn Archive>) -> Self {
        let arrived: Arc<(Mutex<Vec<Arrival>>, Condvar)> = Arc::default();
        let into = arrived.clone();
        archive.deliver_to(Box::new(move |arrivals| {
            into.0.lock().unwrap().extend(arrivals);
            into.1.notify_all();
        }));
        Self { archive, arrived, runtime: runtime() }
    }

    fn append(&self, append: Append) -> Committed {
        let (sender, receipt) = mpsc::channel();
        self.archive.append(append, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receipt.recv_timeout(PATIENCE).unwrap().unwrap()
    }

    /// Publishes the numbers of `range` to `name`, ten milliseconds apart, and returns their positions.
    fn fill(&self, name: &str, range: std::ops::Range<u64>) -> Vec<Position> {
        range.map(|number| self.append(append(name, number)).position).collect()
    }

    /// Waits for the arrivals of a topic.
    fn arrivals(&self, name: &str, count: usize) -> Vec<Arrival> {
        let of = |arrived: &[Arrival]| -> Vec<Arrival> {
            arrived.iter().filter(|arrival| arrival.topic == topic(name)).cloned().collect()
        };
        let arrived = self.arrived.0.lock().unwrap();
        let waits = |arrived: &mut Vec<Arrival>| of(arrived).len() < count;
        let (arrived, _) = self.arrived.1.wait_timeout_while(arrived, PATIENCE, waits).unwrap();
        of(&arrived)
    }

    fn wait<T>(&self, pending: Pending<T>) -> T {
        self.runtime.block_on(pending).unwrap()
    }

    fn read(&self, name: &str, range: Range, bounds: Bounds) -> Stretch {
        self.wait(self.archive.read(&topic(name), range, bounds)).unwrap()
    }

    fn remove(&self, name: &str, removal: Removal) {
        let (sender, removed) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.archive.remove(&topic(name), removal, done).unwrap();
        removed.recv_timeout(PATIENCE).unwrap().unwrap();
    }
}

fn append(name: &str, number: u64) -> Append {
    Append {
        topic: topic(name),
        epoch: Epoch::from_random(7),
        payload: Payload::text(number.to_string()),
        from: None,
        key: None,
        ts: NOW + 10 * number,
        cost: 100,
        keep: Keep::ALL,
        origin: None,
    }
}

fn an_unknown_topic_has_nothing(bench: &Bench) {
    bench.fill("another", 0..3);
    assert_eq!(bench.wait(bench.archive.load(&topic("a"), Keep::ALL)), None);
    for range in [
        Range::Since(StartPoint::Earliest),
        Range::Newest(9),
        Range::Before(StartPoint::Earliest),
        Range::Since(StartPoint::Moment(NOW)),
    ] {
        assert_eq!(bench.wait(bench.archive.read(&topic("a"), range, bounds(9))), None, "{range:?}");
    }
}

fn publications_arrive_in_order_and_are_read_as_they_were(bench: &Bench) {
    let payloads =
        [Payload::text("grüße"), Payload::binary(&[0, 255][..]), Payload::from_json("{}").unwrap()];
    let mut positions = Vec::new();
    for (payload, number) in payloads.iter().zip(0..) {
        let (payload, from) = (payload.clone(), Some(Arc::from("ann")));
        let origin = Some((1, fanwire_core::subscribers::SessionKey(9)));
        // The clock goes back; the times of the topic do not.
        let ts = NOW - 10 * number;
        let committed = bench.append(Append { payload, from, origin, ts, ..append("a", number) });
        assert_eq!((committed.ts, committed.is_duplicate), (NOW, false));
        positions.push(committed.position);
        bench.fill("between", number..number + 1);
    }
    let arrivals = bench.arrivals("a", 3);
    let mut before = 0;
    for (arrival, position) in arrivals.iter().zip(&positions) {
        assert_eq!((arrival.position, arrival.ts), (*position, NOW));
        assert!(arrival.after < position.offset && arrival.after >= before, "{arrival:?} after {before}");
        assert_eq!((arrival.from.as_deref(), arrival.origin.is_some()), (Some("ann"), true));
        before = position.offset;
    }
    let record = bench.wait(bench.archive.load(&topic("a"), Keep::ALL)).unwrap();
    assert_eq!((record.head, record.newest_ts), (positions[2], NOW));
    let stretch = bench.read("a", Range::Since(StartPoint::Earliest), bounds(9));
    assert_eq!(stretch.record, record);
    for ((read, payload), position) in stretch.publications.iter().zip(&payloads).zip(&positions) {
        assert_eq!((read.offset, read.ts, read.from.as_deref()), (position.offset, NOW, Some("ann")));
        assert_eq!(read.payload.view(), payload.view());
    }
}

fn reads_begin_at_any_position_and_tell_of_loss(bench: &Bench) {
    let positions = bench.fill("a", 0..6);
    for (index, position) in positions.iter().enumerate() {
        let stretch = bench.read("a", Range::Since(StartPoint::After(*position)), bounds(9));
        assert_eq!(texts(&stretch.publications), numbers(index as u64 + 1..6));
        assert_eq!((stretch.gap, stretch.more, stretch.reached), (false, false, positions[5].offset));
    }
    let begin = Position { offset: 0, ..positions[0] };
    assert!(!bench.read("a", Range::Since(StartPoint::After(begin)), bounds(9)).gap);
    for unknown in [
        Position { epoch: Epoch::FOREIGN, ..positions[2] },
        Position { offset: u64::MAX >> 8, ..positions[2] },
    ] {
        let stretch = bench.read("a", Range::Since(StartPoint::After(unknown)), bounds(9));
        assert_eq!((texts(&stretch.publications), stretch.gap), (numbers(0..6), true));
    }
    for count in [0, 1, 5, 6, 7, u64::MAX] {
        let stretch = bench.read("a", Range::Newest(count), bounds(9));
        assert_eq!(texts(&stretch.publications), numbers(6 - count.min(6)..6));
        assert!(!stretch.gap);
    }
}

fn pages_follow_on_in_both_directions(bench: &Bench) {
    let positions = bench.fill("a", 0..10);
    let (mut read, mut range) = (Vec::new(), Range::Since(StartPoint::Earliest));
    loop {
        let stretch = bench.read("a", range, bounds(3));
        read.extend(texts(&stretch.publications));
        assert!(!stretch.gap && stretch.publications.len() <= 3);
        range = Range::Since(StartPoint::After(Position { offset: stretch.reached, ..positions[0] }));
        if !stretch.more {
            break;
        }
    }
    assert_eq!(read, numbers(0..10));
    let (mut read, mut range) = (Vec::new(), Range::Before(StartPoint::Earliest));
    loop {
        let stretch = bench.read("a", range, bounds(3));
        read.extend(texts(&stretch.publications));
        assert!(!stretch.gap);
        let Some(oldest) = stretch.publications.last().filter(|_| stretch.more) else { break };
        range = Range::Before(StartPoint::After(Position { offset: oldest.offset, ..positions[0] }));
    }
    read.reverse();
    assert_eq!(read, numbers(0..10));
    let small = Bounds { bytes_max: 1, ..bounds(9) };
    let stretch = bench.read("a", Range::Since(StartPoint::Earliest), small);
    assert_eq!((texts(&stretch.publications), stretch.more), (numbers(0..1), true), "at least one is read");
}

fn reads_begin_at_bounds_where_nothing_is_published(bench: &Bench) {
    let positions = bench.fill("a", 0..5);
    for (position, index) in positions.iter().zip(0u64..) {
        let since = Range::Since(StartPoint::After(position.bound_before()));
        let stretch = bench.read("a", since, bounds(9));
        assert_eq!((texts(&stretch.publications), stretch.gap), (numbers(index..5), false));
        let before = Range::Before(StartPoint::After(position.bound_after()));
        let stretch = bench.read("a", before, bounds(9));
        let mut expected = numbers(0..index + 1);
        expected.reverse();
        assert_eq!((texts(&stretch.publications), stretch.gap), (expected, false));
    }
    let first = Position { offset: 0, ..positions[0] }.bound_after();
    let stretch = bench.read("a", Range::Before(StartPoint::After(first)), bounds(9));
    assert_eq!((stretch.publications.len(), stretch.gap), (0, false), "there was nothing before the first");
    bench.remove("a", Removal::History);
    let stretch = bench.read("a", Range::Since(StartPoint::After(positions[4].bound_before())), bounds(9));
    assert_eq!((stretch.publications.len(), stretch.gap), (0, true), "the newest is not held");
}

fn moments_find_what_was_accepted_since(bench: &Bench) {
    bench.fill("a", 0..6);
    for (moment, first) in [(NOW, 0), (NOW + 1, 1), (NOW + 10, 1), (NOW + 50, 5), (NOW + 51, 6)] {
        let since = bench.read("a", Range::Since(StartPoint::Moment(moment)), bounds(9));
        assert_eq!((texts(&since.publications), since.gap), (numbers(first..6), false), "{moment}");
        let before = bench.read("a", Range::Before(StartPoint::Moment(moment)), bounds(9));
        let mut expected = numbers(0..first);
        expected.reverse();
        assert_eq!(texts(&before.publications), expected, "{moment}");
    }
}

fn what_need_not_be_kept_is_not_read(bench: &Bench) {
    let positions = bench.fill("a", 0..10);
    for keep in [
        Keep { messages: 4, ..Keep::ALL },
        Keep { bytes: 400, ..Keep::ALL },
        Keep { ttl_ms: 30, now: NOW + 90, ..Keep::ALL },
    ] {
        let bounds = Bounds { keep, ..bounds(9) };
        let stretch = bench.read("a", Range::Since(StartPoint::Earliest), bounds);
        assert_eq!((texts(&stretch.publications), stretch.gap), (numbers(6..10), false), "{keep:?}");
        let kept = bench.read("a", Range::Since(StartPoint::After(positions[5])), bounds);
        assert_eq!((texts(&kept.publications), kept.gap), (numbers(6..10), false), "{keep:?}");
        let lost = bench.read("a", Range::Since(StartPoint::After(positions[4])), bounds);
        assert_eq!((texts(&lost.publications), lost.gap), (numbers(6..10), true), "{keep:?}");
        let moment = bench.read("a", Range::Since(StartPoint::Moment(NOW + 50)), bounds);
        assert_eq!((texts(&moment.publications), moment.gap), (numbers(6..10), true), "{keep:?}");
        assert_eq!(bench.wait(bench.archive.load(&topic("a"), keep)).unwrap().head, positions[9]);
        assert!(bench.archive.tidy(NOW + 100, &|_| Some(keep)).is_empty(), "it holds something");
    }
    let much_later = NOW + 30 * 24 * 60 * 60 * 1000;
    let nothing = Keep { ttl_ms: 1000, now: much_later, ..Keep::ALL };
    assert!(bench.archive.tidy(much_later, &|_| None).is_empty(), "no rule speaks of it");
    let stretch = bench.read("a", Range::Since(StartPoint::Earliest), Bounds { keep: nothing, ..bounds(9) });
    assert_eq!((stretch.publications.len(), stretch.record.head), (0, positions[9]));
    assert_eq!(bench.archive.tidy(much_later, &|_| Some(nothing)), [topic("a")]);
}

fn a_repeated_key_adds_nothing(bench: &Bench) {
    let keyed = |name: &str, number, key: &str| {
        bench.append(Append { key: Some(key.to_owned()), ..append(name, number) })
    };
    let first = keyed("a", 0, "k");
    let again = keyed("a", 1, "k");
    assert!(!first.is_duplicate && again.is_duplicate);
    assert_eq!(again.position, first.position);
    assert!(!keyed("b", 2, "k").is_duplicate, "keys are the topic's own");
    assert!(!keyed("a", 3, "another").is_duplicate);
    let arrived: Vec<String> =
        bench.arrivals("a", 2).iter().map(|arrival| text_of(&arrival.payload)).collect();
    assert_eq!(arrived, ["0", "3"]);
}

fn clearing_leaves_the_numbering(bench: &Bench) {
    let positions = bench.fill("a", 0..5);
    bench.remove("a", Removal::History);
    let stretch = bench.read("a", Range::Since(StartPoint::After(positions[3])), bounds(9));
    assert_eq!((stretch.publications.len(), stretch.gap, stretch.record.head), (0, true, positions[4]));
    let next = bench.fill("a", 5..6)[0];
    assert_eq!(next.is_after(positions[4]), Some(true), "the same epoch, a larger offset");
    let stretch = bench.read("a", Range::Since(StartPoint::After(positions[4])), bounds(9));
    assert_eq!((texts(&stretch.publications), stretch.gap), (numbers(5..6), false));
}

fn a_forgotten_topic_begins_anew(bench: &Bench) {
    let old = bench.fill("a", 0..3)[2];
    bench.remove("a", Removal::Numbering);
    assert_eq!(bench.wait(bench.archive.load(&topic("a"), Keep::ALL)), None);
    let epoch = Epoch::from_random(8);
    let again = bench.append(Append { epoch, ..append("a", 3) }).position;
    assert_ne!(again.epoch, old.epoch);
    let stretch = bench.read("a", Range::Since(StartPoint::After(old)), bounds(9));
    assert_eq!((texts(&stretch.publications), stretch.gap), (numbers(3..4), true));
}
