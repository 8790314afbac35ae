//! An archive in memory for tests, which does everything differently from the store: its topics share one numbering in steps of
//! seven, receipts and arrivals come late and in any order of the two, on a thread of its own, and publications arrive from
//! elsewhere. Debug builds only; see `server/storage.rs` for how a test starts a broker over it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use fanwire_core::keys::KEY_TTL_MS;
#[cfg(test)]
use fanwire_protocol::Payload;
use fanwire_protocol::{Epoch, Pattern, Position, StartPoint, Topic};
use fastrand::Rng;

use super::archive::{
    Append, Archive, ArchiveError, Arrival, Arrivals, Bounds, Committed, Done, Interest, Keep, Pending,
    Range, Removal, Scope, Status, StoredPublication, Stretch, TopicRecord,
};
use crate::hub::Pressure;

/// By how much an offset is larger than the one before, whichever topic had that.
const STEP: u64 = 7;

/// The number of publications of a topic below which none is dropped.
const SLACK: u64 = 100;

/// The number of calls that wait before publishers have to wait.
const WAITING_MAX: usize = 1000;

/// The time for which a topic that holds nothing stays known, in milliseconds.
const KNOWN_MS: u64 = 24 * 60 * 60 * 1000;

/// The stored data. Several archives may be opened over it, one after the other.
#[derive(Default)]
pub(crate) struct Kept {
    newest_offset: u64,
    topics: HashMap<Topic, KeptTopic>,
}

struct KeptTopic {
    epoch: Epoch,
    head: u64,
    newest_ts: u64,
    /// The newest removed publication: its offset, and the time at which it was accepted.
    floor: (u64, u64),
    held: Vec<(StoredPublication, u64)>,
    keys: HashMap<String, (u64, u64)>,
}

/// Bounds the calls that wait, by making publishers wait.
struct Waiting {
    /// The number of calls, and whether publishers have to wait.
    calls: Mutex<(usize, bool)>,
    pressure: Arc<Pressure>,
}

/// An archive in memory with sparse offsets, for tests.
pub(crate) struct Stepped {
    waiting: Arc<Waiting>,
    kept: Arc<Mutex<Kept>>,
    arrivals: Arc<OnceLock<Arrivals>>,
    calls: Option<mpsc::Sender<Call>>,
    thread: Option<thread::JoinHandle<()>>,
    scope: Scope,
}

type Call = Box<dyn FnOnce() + Send>;

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds this lock can panic part-way.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stepped {
    /// Opens what is `kept`. The order of receipts and arrivals follows from `seed`; publishers wait under `pressure`.
    pub(crate) fn open(kept: Arc<Mutex<Kept>>, scope: Scope, seed: u64, pressure: Arc<Pressure>) -> Self {
        let (calls, received) = mpsc::channel::<Call>();
        let waiting = Arc::new(Waiting { calls: Mutex::default(), pressure });
        let called = waiting.clone();
        let thread = thread::spawn(move || call_late(&received, &called, &mut Rng::with_seed(seed)));
        Self { waiting, kept, arrivals: Arc::default(), calls: Some(calls), thread: Some(thread), scope }
    }

    /// Accepts a publication of another broker.
    #[cfg(test)]
    pub(crate) fn publish_elsewhere(&self, topic: &Topic, payload: Payload, ts: u64) -> Position {
        let append = Append {
            topic: topic.clone(),
            epoch: Epoch::from_random(0xe15e),
            payload,
            from: None,
            key: None,
            ts,
            cost: 100,
            keep: Keep::ALL,
            origin: None,
        };
        let (committed, arrival) = self.kept().accept(append);
        self.deliver(arrival);
        committed.position
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    fn call(&self, call: Call) {
        if let Some(calls) = &self.calls {
            self.waiting.begin();
            // The thread ends only after this archive.
            let _ended = calls.send(call);
        }
    }

    fn deliver(&self, arrival: Option<Arrival>) {
        let arrivals = self.arrivals.clone();
        if let Some(arrival) = arrival {
            self.call(Box::new(move || {
                if let Some(arrivals) = arrivals.get() {
                    arrivals(vec![arrival]);
                }
            }));
        }
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        drop(self.calls.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic of the thread is reported by itself.
            let _panicked = thread.join();
        }
    }
}

impl Waiting {
    fn begin(&self) {
        let mut calls = lock(&self.calls);
        calls.0 += 1;
        if !calls.1 && calls.0 > WAITING_MAX {
            calls.1 = true;
            self.pressure.raise();
        }
    }

    fn end(&self, count: usize) {
        let mut calls = lock(&self.calls);
        calls.0 -= count;
        if calls.1 && calls.0 <= WAITING_MAX / 2 {
            calls.1 = false;
            self.pressure.relieve();
        }
    }
}

/// Makes the calls in their order, some at a time.
fn call_late(received: &mpsc::Receiver<Call>, waiting: &Waiting, random: &mut Rng) {
    let mut due: VecDeque<Call> = VecDeque::new();
    while let Ok(call) = received.recv() {
        due.push_back(call);
        for _ in 0..random.usize(..4) {
            thread::yield_now();
            due.extend(received.try_recv());
        }
        let count = due.len();
        due.drain(..).for_each(|call| call());
        waiting.end(count);
    }
}

impl Kept {
    fn accept(&mut self, append: Append) -> (Committed, Option<Arrival>) {
        let Append { topic, epoch, payload, from, key, ts, cost, origin, keep } = append;
        let next = self.newest_offset + STEP;
        let new = || KeptTopic {
            epoch,
            head: 0,
            newest_ts: 0,
            floor: (0, 0),
            held: Vec::new(),
            keys: HashMap::new(),
        };
        let kept = self.topics.entry(topic.clone()).or_insert_with(new);
        let position = |offset| Position { epoch: kept.epoch, offset };
        if let Some((offset, accepted)) = key.as_ref().and_then(|key| kept.keys.get(key))
            && accepted + KEY_TTL_MS > ts
        {
            return (Committed { position: position(*offset), ts, is_duplicate: true }, None);
        }
        self.newest_offset = next;
        let (position, after) = (position(next), kept.head);
        (kept.head, kept.newest_ts) = (next, ts.max(kept.newest_ts));
        let ts = kept.newest_ts;
        if let Some(key) = key {
            kept.keys.insert(key, (next, ts));
        }
        let stored = StoredPublication { offset: next, ts, from: from.clone(), payload: payload.clone() };
        kept.held.push((stored, cost));
        kept.drop_old(&keep);
        let committed = Committed { position, ts, is_duplicate: false };
        (committed, Some(Arrival { topic, position, after, ts, payload, from, origin }))
    }
}

impl KeptTopic {
    /// Drops what is far beyond what `keep` keeps.
    fn drop_old(&mut self, keep: &Keep) {
        let len = self.held.len() as u64;
        if len > SLACK && len / 2 > keep.messages {
            let old = self.held.len() - keep.messages as usize;
            self.floor =
                self.held.drain(..old).next_back().map_or(self.floor, |(last, _)| (last.offset, last.ts));
        }
    }

    fn record(&self) -> TopicRecord {
        TopicRecord { head: Position { epoch: self.epoch, offset: self.head }, newest_ts: self.newest_ts }
    }

    /// Returns what `keep` leaves, and the newest that it does not.
    fn under(&self, keep: &Keep) -> (Vec<StoredPublication>, (u64, u64)) {
        let (mut left, mut bytes, mut floor) = (Vec::new(), 0, self.floor);
        for (stored, cost) in self.held.iter().rev() {
            bytes += cost;
            if left.len() as u64 >= keep.messages
                || bytes > keep.bytes
                || stored.ts < keep.oldest_ts(self.newest_ts)
            {
                floor = (stored.offset, stored.ts);
                break;
            }
            left.push(stored.clone());
        }
        left.reverse();
        (left, floor)
    }

    fn read(&self, range: Range, bounds: &Bounds) -> Stretch {
        let (mut left, (floor, floor_ts)) = self.under(&bounds.keep);
        let is_known = |at: Position| at.epoch == self.epoch && at.offset >= floor && at.offset <= self.head;
        let lost_since = |moment: u64| {
            if floor == 0 { bounds.keep.oldest_ts(self.newest_ts) > moment } else { floor_ts >= moment }
        };
        let mut reached = floor;
        let gap = match range {
            Range::Since(StartPoint::Earliest) => false,
            Range::Since(StartPoint::After(at)) if is_known(at) => {
                left.retain(|stored| stored.offset > at.offset);
                reached = at.offset;
                false
            }
            Range::Since(StartPoint::After(_)) => true,
            Range::Since(StartPoint::Moment(moment)) => {
                reached =
                    left.iter().rfind(|stored| stored.ts < moment).map_or(floor, |stored| stored.offset);
                left.retain(|stored| stored.ts >= moment);
                lost_since(moment)
            }
            Range::Newest(count) => {
                let more = left.len() - usize::try_from(count).unwrap_or(usize::MAX).min(left.len());
                reached = left[..more].last().map_or(floor, |stored| stored.offset);
                left.drain(..more);
                false
            }
            Range::Before(start) => {
                let gap = match start {
                    StartPoint::Earliest => false,
                    StartPoint::After(at) if at.epoch == self.epoch => {
                        left.retain(|stored| stored.offset < at.offset);
                        at.offset > 1 && at.offset <= floor
                    }
                    StartPoint::After(_) => true,
                    StartPoint::Moment(moment) => {
                        left.retain(|stored| stored.ts < moment);
                        lost_since(moment)
                    }
                };
                left.reverse();
                gap
            }
        };
        let (mut publications, mut bytes) = (Vec::new(), 0);
        let mut more = false;
        for stored in left {
            bytes += stored.payload.json_len_max();
            if publications.len() >= bounds.limit || (!publications.is_empty() && bytes > bounds.bytes_max) {
                more = true;
                break;
            }
            reached = stored.offset;
            publications.push(stored);
        }
        Stretch { publications, record: self.record(), reached, gap, damaged: false, more }
    }
}

impl Archive for Stepped {
    fn deliver_to(&self, arrivals: Arrivals) {
        let _second = self.arrivals.set(arrivals);
    }

    fn append(&self, append: Append, done: Done<Committed>) -> Result<(), ArchiveError> {
        let mut kept = self.kept();
        let (committed, arrival) = kept.accept(append);
        let receipt: Call = Box::new(move || done(Ok(committed)));
        if fastrand::bool() {
            self.call(receipt);
            self.deliver(arrival);
        } else {
            self.deliver(arrival);
            self.call(receipt);
        }
        Ok(())
    }

    fn load(&self, topic: &Topic, _keep: Keep) -> Pending<Option<TopicRecord>> {
        let (kept, topic) = (self.kept.clone(), topic.clone());
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(lock(&kept).topics.get(&topic).map(KeptTopic::record))
        })
    }

    fn read(&self, topic: &Topic, range: Range, bounds: Bounds) -> Pending<Option<Stretch>> {
        let (kept, topic) = (self.kept.clone(), topic.clone());
        Box::pin(async move {
            tokio::task::yield_now().await;
            let stretch = lock(&kept).topics.get(&topic).map(|kept| kept.read(range, &bounds));
            tokio::task::yield_now().await;
            Ok(stretch)
        })
    }

    fn remove(&self, topic: &Topic, removal: Removal, done: Done<()>) -> Result<(), ArchiveError> {
        let mut kept = self.kept();
        match removal {
            Removal::Numbering => drop(kept.topics.remove(topic)),
            Removal::History => {
                if let Some(kept) = kept.topics.get_mut(topic) {
                    kept.floor = (kept.head, kept.newest_ts);
                    kept.held.clear();
                    kept.keys.clear();
                }
            }
        }
        self.call(Box::new(move || done(Ok(()))));
        Ok(())
    }

    fn tidy(&self, now_ms: u64, keep_of: &dyn Fn(&Topic) -> Option<Keep>) -> Vec<Topic> {
        let kept = self.kept();
        let is_forgettable = |(topic, kept): &(&Topic, &KeptTopic)| {
            keep_of(topic).is_some_and(|keep| kept.under(&keep).0.is_empty())
                && kept.newest_ts + KNOWN_MS < now_ms
        };
        kept.topics.iter().filter(is_forgettable).map(|(topic, _)| topic.clone()).collect()
    }

    fn interest(&self, _pattern: &Pattern, _change: Interest) {}

    fn status(&self) -> Status {
        Status { scope: self.scope, queued_bytes: 0 }
    }
}
