//! Fan-out: from the publications of one tick to what each session of a worker receives.
//!
//! The publications of a topic are joined into one chunk per format, and every subscriber receives that same chunk. Only a
//! subscriber that joined in the middle of it, or that asked for no echo, receives a chunk of its own.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

use crate::broadcast::Broadcast;
use crate::format::{DeliveryMode, FORMATS_MAX, Format};
use crate::frame::Frame;
use crate::subscribers::{SessionKey, Subscriber, Subscribers};

/// The size, in bytes of payload, from which on a chunk is cut: large enough for an efficient send, small enough not to fill
/// an outbox at once.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// The deliveries of one tick to one session.
#[derive(Debug)]
pub enum Delivery {
    /// Joined frames, and the number of publications in them.
    Chunk(Bytes, usize),
    /// Frames one by one, for [`DeliveryMode::Separate`].
    Frames(Vec<Frame>),
}

impl Delivery {
    /// Returns the number of publications.
    pub fn count(&self) -> usize {
        match self {
            Delivery::Chunk(_, count) => *count,
            Delivery::Frames(frames) => frames.len(),
        }
    }

    /// Returns the encoded size in bytes, which counts against the bound of an outbox.
    pub fn bytes(&self) -> usize {
        match self {
            Delivery::Chunk(bytes, _) => bytes.len(),
            Delivery::Frames(frames) => frames.iter().map(|frame| frame.bytes.len()).sum(),
        }
    }

    /// A delivery of one publication alone.
    pub fn one(broadcast: &Broadcast, format: &Format) -> Self {
        match format.delivery {
            DeliveryMode::Separate => Delivery::Frames(vec![broadcast.frame(format)]),
            DeliveryMode::Joined => Delivery::Chunk(broadcast.bytes(format), 1),
        }
    }
}

/// The fan-out of one worker. It keeps only its working memory from tick to tick.
#[derive(Debug, Default)]
pub struct Fanout {
    groups_by_topic: HashMap<usize, usize, RandomState>,
    groups: Vec<Vec<Arc<Broadcast>>>,
    /// The serial number at which a session was last served, by session key: a session with overlapping subscriptions is
    /// served once.
    served_at: Vec<u64>,
    serial: u64,
}

impl Fanout {
    /// Calls `deliver` for every subscriber with its share of `batch`, each topic's publications in their order, and with the
    /// newest broadcast of the share. `worker` is the number of this worker, which identifies senders that want no echo.
    pub fn run(
        &mut self,
        worker: usize,
        subscribers: &Subscribers,
        batch: &[Arc<Broadcast>],
        mut deliver: impl FnMut(SessionKey, Delivery, &Broadcast),
    ) {
        let count = self.group(batch);
        for index in 0..count {
            let mut group = std::mem::take(&mut self.groups[index]);
            for segment in segments(&group) {
                self.serve(worker, subscribers, segment, &mut deliver);
            }
            group.clear();
            self.groups[index] = group;
        }
    }

    /// Sorts the batch by topic, keeps the order within each, and returns the number of topics.
    fn group(&mut self, batch: &[Arc<Broadcast>]) -> usize {
        self.groups_by_topic.clear();
        let mut count = 0;
        for broadcast in batch {
            // All publications of one log share the allocation of its topic's name.
            let address = broadcast.publication.message.topic.as_str().as_ptr() as usize;
            let index = *self.groups_by_topic.entry(address).or_insert_with(|| {
                count += 1;
                count - 1
            });
            if index == self.groups.len() {
                self.groups.push(Vec::new());
            }
            self.groups[index].push(broadcast.clone());
        }
        count
    }

    /// Delivers one segment of one topic to its subscribers.
    fn serve(
        &mut self,
        worker: usize,
        subscribers: &Subscribers,
        segment: &[Arc<Broadcast>],
        deliver: &mut impl FnMut(SessionKey, Delivery, &Broadcast),
    ) {
        let mut share = Share::new(worker, segment);
        let topic = &segment[0].publication.message.topic;
        let plain = subscribers.of_topic(topic);
        let mut wild: Vec<&Subscriber> = Vec::new();
        subscribers.of_patterns(topic, |matching| wild.extend(matching));
        if wild.is_empty() {
            return plain.iter().for_each(|subscriber| share.give(subscriber, deliver));
        }
        // Of a session's overlapping subscriptions the one that resumed serves it, else the oldest: it has missed the least.
        self.serial += 1;
        let straddles = plain.iter().any(|subscriber| subscriber.after >= share.first_offset);
        if straddles {
            wild.extend(plain);
            wild.sort_by_key(|subscriber| subscriber.rank());
        }
        for subscriber in wild.into_iter().chain(plain) {
            if self.mark(subscriber.session) {
                share.give(subscriber, deliver);
            }
        }
    }

    /// Calls `visit` once for every session that is subscribed to `topic`, by name or by a pattern.
    pub fn visit_once(
        &mut self,
        subscribers: &Subscribers,
        topic: &Topic,
        mut visit: impl FnMut(&Subscriber),
    ) {
        let mut wild: Vec<&Subscriber> = Vec::new();
        subscribers.of_patterns(topic, |matching| wild.extend(matching));
        self.serial += 1;
        for subscriber in subscribers.of_topic(topic).iter().chain(wild) {
            if self.mark(subscriber.session) {
                visit(subscriber);
            }
        }
    }

    /// Returns whether the session is met for the first time since the serial number was raised.
    fn mark(&mut self, session: SessionKey) -> bool {
        let index = session.0 as usize;
        if index >= self.served_at.len() {
            self.served_at.resize(index + 1, 0);
        }
        let first = self.served_at[index] != self.serial;
        self.served_at[index] = self.serial;
        first
    }
}

/// Cuts a group into segments of about [`CHUNK_BYTES_MAX`].
fn segments(group: &[Arc<Broadcast>]) -> impl Iterator<Item = &[Arc<Broadcast>]> {
    let mut rest = group;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = rest.iter().position(|broadcast| {
            bytes += broadcast.publication.cost();
            bytes > CHUNK_BYTES_MAX
        });
        let (segment, after) = rest.split_at(full.map_or(rest.len(), |index| index.max(1)));
        rest = after;
        (!segment.is_empty()).then_some(segment)
    })
}

/// One segment and the chunks made of it so far.
struct Share<'a> {
    worker: usize,
    segment: &'a [Arc<Broadcast>],
    first_offset: u64,
    /// Whether a sender on this worker asked for no echo.
    has_exception: bool,
    /// By the slot of the format.
    chunks: [Option<Bytes>; FORMATS_MAX],
    /// By the slot of formats beyond the table.
    chunks_beyond: Vec<(usize, Bytes)>,
}

impl<'a> Share<'a> {
    fn new(worker: usize, segment: &'a [Arc<Broadcast>]) -> Self {
        let has_exception =
            segment.iter().any(|broadcast| broadcast.except.is_some_and(|(excepted, _)| excepted == worker));
        let first_offset = segment[0].publication.offset;
        let (chunks, chunks_beyond) = Default::default();
        Self { worker, segment, first_offset, has_exception, chunks, chunks_beyond }
    }

    /// Returns the chunk of the whole segment in `format`, which is joined once.
    fn chunk(&mut self, format: &Format) -> Bytes {
        if let Some(chunk) = self.chunks.get_mut(format.slot) {
            return chunk.get_or_insert_with(|| join(self.segment.iter(), format)).clone();
        }
        if let Some((_, chunk)) = self.chunks_beyond.iter().find(|(slot, _)| *slot == format.slot) {
            return chunk.clone();
        }
        let chunk = join(self.segment.iter(), format);
        self.chunks_beyond.push((format.slot, chunk.clone()));
        chunk
    }

    fn give(&mut self, subscriber: &Subscriber, deliver: &mut impl FnMut(SessionKey, Delivery, &Broadcast)) {
        let format = subscriber.format;
        let wants_all = self.first_offset > subscriber.after && !self.has_exception;
        if wants_all && format.delivery == DeliveryMode::Joined {
            let delivery = Delivery::Chunk(self.chunk(format), self.segment.len());
            return deliver(subscriber.session, delivery, &self.segment[self.segment.len() - 1]);
        }
        let wanted: Vec<_> = self.wanted_by(subscriber).collect();
        let Some(newest) = wanted.last() else { return };
        let delivery = match format.delivery {
            DeliveryMode::Separate => {
                Delivery::Frames(wanted.iter().map(|broadcast| broadcast.frame(format)).collect())
            }
            DeliveryMode::Joined => Delivery::Chunk(join(wanted.iter().copied(), format), wanted.len()),
        };
        deliver(subscriber.session, delivery, newest);
    }

    fn wanted_by(&self, subscriber: &Subscriber) -> impl Iterator<Item = &'a Arc<Broadcast>> {
        let (after, sender) = (subscriber.after, Some((self.worker, subscriber.session)));
        self.segment
            .iter()
            .filter(move |broadcast| broadcast.publication.offset > after && broadcast.except != sender)
    }
}

/// Joins frames into one chunk; a lone frame is its own chunk.
fn join<'a>(mut broadcasts: impl Iterator<Item = &'a Arc<Broadcast>>, format: &Format) -> Bytes {
    let Some(first_broadcast) = broadcasts.next() else {
        return Bytes::new();
    };
    let first = first_broadcast.bytes(format);
    let (remaining, _) = broadcasts.size_hint();
    if remaining == 0 {
        return first;
    }
    let mut chunk = Vec::with_capacity((first.len() + 16) * (1 + remaining));
    chunk.extend_from_slice(&first);
    for broadcast in broadcasts {
        chunk.extend_from_slice(&broadcast.bytes(format));
    }
    first_broadcast.publication.held().bytes_of(chunk)
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Epoch, Message, Pattern, Payload};

    use super::*;
    use crate::format::testing::{BEYOND, PLAIN, SEPARATE};
    use crate::held::HeldSum;
    use crate::publication::Publication;

    struct Bench {
        subscribers: Subscribers,
        fanout: Fanout,
        topics: Vec<Topic>,
    }

    fn bench() -> Bench {
        let topics = ["a.1", "a.2"].map(|name| name.parse().unwrap()).to_vec();
        Bench { subscribers: Subscribers::default(), fanout: Fanout::default(), topics }
    }

    impl Bench {
        fn join(&mut self, pattern: &str, session: u32, format: &'static Format, after: u64) {
            let pattern: Pattern = pattern.parse().unwrap();
            self.subscribers.join(&pattern, SessionKey(session), format, after);
        }

        fn broadcast(
            &self,
            topic: usize,
            offset: u64,
            except: Option<(usize, SessionKey)>,
        ) -> Arc<Broadcast> {
            let message = Message {
                topic: self.topics[topic].clone(),
                payload: Payload::text(format!("{topic}/{offset} ")),
                position: Some(fanwire_protocol::Position { epoch: Epoch::from_random(1), offset }),
                ts: None,
                from: None,
            };
            let publication = Arc::new(Publication::new(message, offset, 0, &HeldSum::default()));
            Arc::new(Broadcast::new(publication, except))
        }

        /// The deliveries that each session received, and their number.
        fn run(&mut self, batch: &[Arc<Broadcast>]) -> Vec<(u32, String, usize)> {
            let mut given: Vec<(u32, String, usize)> = Vec::new();
            self.fanout.run(0, &self.subscribers, batch, |session, delivery, _| {
                let text = match delivery {
                    Delivery::Chunk(bytes, _) => bytes
                        .iter()
                        .filter(|byte| byte.is_ascii_graphic() || **byte == b' ')
                        .map(|b| *b as char)
                        .collect(),
                    Delivery::Frames(frames) => frames
                        .iter()
                        .map(|frame| format!("[{}]", frame.position.map_or(0, |position| position.offset)))
                        .collect::<String>(),
                };
                match given.iter_mut().find(|(known, ..)| *known == session.0) {
                    Some((_, all, times)) => {
                        all.push_str(&text);
                        *times += 1;
                    }
                    None => given.push((session.0, text, 1)),
                }
            });
            given.sort();
            given
        }
    }

    fn given(session: u32, text: &str, times: usize) -> (u32, String, usize) {
        (session, text.to_owned(), times)
    }

    #[test]
    fn each_topic_is_one_chunk_in_order_for_all() {
        let mut bench = bench();
        bench.join("a.1", 1, &PLAIN, 0);
        bench.join("a.1", 2, &PLAIN, 0);
        bench.join("a.2", 2, &PLAIN, 0);
        let batch = [bench.broadcast(0, 1, None), bench.broadcast(1, 1, None), bench.broadcast(0, 2, None)];
        assert_eq!(bench.run(&batch), [given(1, "0/1 0/2 ", 1), given(2, "0/1 0/2 1/1 ", 2)]);
    }

    #[test]
    fn formats_beyond_the_table_share_their_chunks_too() {
        let mut bench = bench();
        for (session, format) in [(1, &BEYOND[0]), (2, &BEYOND[1]), (3, &BEYOND[0]), (4, &PLAIN)] {
            bench.join("a.1", session, format, 0);
        }
        let batch = [bench.broadcast(0, 1, None), bench.broadcast(0, 2, None)];
        let all = [1, 2, 3, 4].map(|session| given(session, "0/1 0/2 ", 1));
        assert_eq!(bench.run(&batch), all);
    }

    #[test]
    fn subscriber_that_joined_in_the_middle_receives_the_rest_only() {
        let mut bench = bench();
        bench.join("a.1", 1, &PLAIN, 1);
        bench.join("a.1", 2, &PLAIN, 2);
        bench.join("a.1", 3, &SEPARATE, 1);
        let batch = [bench.broadcast(0, 1, None), bench.broadcast(0, 2, None)];
        assert_eq!(bench.run(&batch), [given(1, "0/2 ", 1), given(3, "[2]", 1)]);
    }

    #[test]
    fn sender_without_echo_is_left_out_on_its_own_worker_only() {
        let mut bench = bench();
        bench.join("a.1", 1, &PLAIN, 0);
        bench.join("a.1", 2, &PLAIN, 0);
        let batch = [
            bench.broadcast(0, 1, Some((0, SessionKey(1)))),
            bench.broadcast(0, 2, Some((9, SessionKey(2)))),
        ];
        assert_eq!(bench.run(&batch), [given(1, "0/2 ", 1), given(2, "0/1 0/2 ", 1)]);
    }

    #[test]
    fn overlapping_subscriptions_deliver_once() {
        let mut bench = bench();
        for pattern in ["a.1", "a.*", ">"] {
            bench.join(pattern, 1, &PLAIN, 0);
        }
        bench.join(">", 2, &PLAIN, 0);
        let batch = [bench.broadcast(0, 1, None), bench.broadcast(1, 1, None)];
        assert_eq!(bench.run(&batch), [given(1, "0/1 1/1 ", 2), given(2, "0/1 1/1 ", 2)]);
    }

    #[test]
    fn joining_a_topic_under_a_pattern_loses_nothing_that_waits_and_doubles_nothing_that_was_replayed() {
        let mut bench = bench();
        bench.join("a.*", 1, &PLAIN, 0);
        bench.join("a.1", 1, &PLAIN, 2);
        bench.join("a.1", 2, &PLAIN, 1);
        bench.join("a.*", 2, &PLAIN, 0);
        bench.join(">", 1, &PLAIN, 0);
        let batch: Vec<_> = (1..=3).map(|offset| bench.broadcast(0, offset, None)).collect();
        assert_eq!(bench.run(&batch), [given(1, "0/1 0/2 0/3 ", 1), given(2, "0/2 0/3 ", 1)]);
        let later = [bench.broadcast(0, 4, None)];
        assert_eq!(bench.run(&later), [given(1, "0/4 ", 1), given(2, "0/4 ", 1)]);
    }

    #[test]
    fn resumed_topic_is_delivered_once_and_in_order_even_under_a_pattern() {
        let mut bench = bench();
        bench.join(">", 1, &PLAIN, 0);
        let topic: Pattern = "a.1".parse().unwrap();
        let key = bench.subscribers.join_held(&topic, SessionKey(1), &PLAIN);
        let batch: Vec<_> = (1..=3).map(|offset| bench.broadcast(0, offset, None)).collect();
        let mut both = batch.clone();
        both.push(bench.broadcast(1, 1, None));
        assert_eq!(bench.run(&both), [given(1, "1/1 ", 1)], "what was missed is on its way");
        bench.subscribers.deliver_after(&topic, key, 2);
        assert_eq!(bench.run(&batch), [given(1, "0/3 ", 1)]);
        bench.subscribers.leave(&topic, key);
        assert_eq!(bench.run(&batch), [given(1, "0/1 0/2 0/3 ", 1)]);
    }

    #[test]
    fn a_huge_tick_is_cut_into_chunks() {
        let mut bench = bench();
        bench.join("a.1", 1, &SEPARATE, 0);
        let cost = bench.broadcast(0, 1, None).publication.cost();
        let count = 2 * CHUNK_BYTES_MAX as u64 / cost as u64 + 1;
        let batch: Vec<_> = (1..=count).map(|offset| bench.broadcast(0, offset, None)).collect();
        let expected: String = (1..=count).map(|offset| format!("[{offset}]")).collect();
        let got = bench.run(&batch);
        assert_eq!(got[0].1, expected);
        assert!(got[0].2 >= 2, "cut into {}", got[0].2);
    }
}
