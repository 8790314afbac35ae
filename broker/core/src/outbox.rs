//! The outbox: what waits to be written to one session, bounded in bytes and thereby in pieces.
//!
//! What happens when it is full is the topic's policy: [`Outbox::push`] for those that cut slow sessions off,
//! [`Outbox::push_or_skip`] and [`Outbox::push_latest`] for those that would rather skip.

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

use crate::fanout::Delivery;
use crate::format::{DeliveryMode, Format};
use crate::frame::Frame;
use crate::publication::Publication;

/// The most pieces of an outbox that go into one write.
pub const SLICES_MAX: usize = 16;

/// The size in bytes of the pieces in which a replay is encoded, one at a time, when the socket takes it.
const REPLAY_AHEAD_BYTES: usize = 64 * 1024;

/// The least that one piece is counted for, in bytes: its place in the queue and its share of an allocation. So the bound in
/// bytes is a bound on the number of pieces, too.
const PIECE_BYTES: usize = 128;

/// The number of pieces that every outbox may hold.
const PIECES_MIN: usize = 64;

/// The queue of what is to be written to one session, in order.
///
/// Deliveries and replies count with their encoded size against the bound. Replays wait as the publications themselves and
/// are encoded piece by piece as the socket takes them; what they hold counts too, as [`Outbox::pinned_bytes`].
#[derive(Debug)]
pub struct Outbox {
    format: &'static Format,
    queue: VecDeque<Item>,
    bytes: usize,
    bytes_max: usize,
    /// The accounted memory of publications of replays, in bytes.
    pinned: usize,
    /// The number of bytes that have been written or taken so far.
    taken: u32,
    /// The number of bytes of the first chunk that are written.
    written: usize,
    /// The skipped publications that are not reported yet. Boxed, because few sessions ever need it.
    skipped: Option<Box<Skipped>>,
}

#[derive(Debug)]
enum Item {
    Chunk(Bytes),
    /// Publications of a replay, oldest first.
    Replay(VecDeque<Arc<Publication>>),
    /// Boxed, so that chunks do not carry its size.
    Frame(Box<Frame>),
    /// The newest of a topic. A newer one replaces it while it waits.
    Latest(Topic),
}

/// The publications that a slow session missed.
#[derive(Debug, Default)]
struct Skipped {
    /// The number of publications of a topic that were skipped since the last report.
    missed: HashMap<Topic, u64, RandomState>,
    /// The entry for [`Item::Latest`] in the queue.
    latest: HashMap<Topic, Delivery, RandomState>,
}

/// The outbox cannot take more. The rule of the topic says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub struct OutboxFull;

/// The state of the outbox after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Some of the bytes still wait.
    Partly,
    /// All bytes are written.
    All,
}

impl Outbox {
    /// An empty outbox for a session of `format`, bounded by `bytes_max`.
    pub fn new(format: &'static Format, bytes_max: usize) -> Self {
        Self {
            format,
            queue: VecDeque::new(),
            bytes: 0,
            bytes_max,
            pinned: 0,
            taken: 0,
            written: 0,
            skipped: None,
        }
    }

    /// Returns the format of the session.
    pub fn format(&self) -> &'static Format {
        self.format
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the encoded bytes that wait, without replays.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory accounted for the publications of replays, in bytes. They stay in memory until they are encoded,
    /// even after history has dropped them.
    pub fn pinned_bytes(&self) -> usize {
        self.pinned
    }

    /// Returns the number of bytes that have been written or taken so far, modulo 2^32: it changes with every progress.
    pub fn taken_bytes(&self) -> u32 {
        self.taken
    }

    /// Returns whether a replay waits.
    pub fn is_replaying(&self) -> bool {
        self.queue.iter().any(|item| matches!(item, Item::Replay(_)))
    }

    /// Adds a delivery. An empty outbox takes any, so that a message larger than the bound reaches a session that keeps up.
    ///
    /// # Errors
    /// If the bound would be passed. Then nothing was added.
    pub fn push(&mut self, delivery: Delivery) -> Result<(), OutboxFull> {
        if self.is_full_for(&delivery) {
            return Err(OutboxFull);
        }
        self.append(delivery);
        Ok(())
    }

    fn is_full_for(&self, delivery: &Delivery) -> bool {
        self.bytes + self.pinned > 0 && !self.has_room_for(delivery.bytes())
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + self.pinned + bytes <= self.bytes_max && self.queue.len() < self.pieces_max()
    }

    fn pieces_max(&self) -> usize {
        PIECES_MIN.max(self.bytes_max / PIECE_BYTES)
    }

    fn append(&mut self, delivery: Delivery) {
        self.bytes += delivery.bytes();
        match delivery {
            Delivery::Chunk(bytes, _) => self.queue.push_back(Item::Chunk(bytes)),
            Delivery::Frames(frames) => self.append_frames(frames),
        }
    }

    /// Out of the way of chunks, which most deliveries are.
    #[cold]
    fn append_frames(&mut self, frames: Vec<Frame>) {
        self.queue.extend(frames.into_iter().map(|frame| Item::Frame(Box::new(frame))));
    }

    /// Adds a delivery of `topic`, or skips it if it does not fit. A report of what was missed is written as soon as it fits,
    /// and before the next delivery of the topic. Returns the number of publications that were skipped.
    pub fn push_or_skip(&mut self, topic: &Topic, delivery: Delivery) -> usize {
        let count = delivery.count();
        if self.is_full_for(&delivery) {
            self.note_missed(topic, count);
            return count;
        }
        self.report_missed(topic);
        // The report may itself have filled the outbox; the bound is passed by that much at most.
        self.append(delivery);
        0
    }

    /// Adds a delivery of `topic` of which only the newest publication, `newest`, needs to arrive. A session that keeps up
    /// receives all. If something waits already, only the newest waits, in the place of the one before. Returns the number
    /// of publications that were skipped.
    pub fn push_latest(&mut self, topic: &Topic, delivery: Delivery, newest: Delivery) -> usize {
        if self.queue.is_empty() {
            return self.push_or_skip(topic, delivery);
        }
        let bytes = newest.bytes();
        let has_room = self.has_room_for(bytes);
        let skipped = self.skipped.get_or_insert_default();
        let mut missed = delivery.count() - newest.count();
        if let Some(waiting) = skipped.latest.get_mut(topic) {
            missed += waiting.count();
            self.bytes -= waiting.bytes();
            self.bytes += bytes;
            *waiting = newest;
        } else if !has_room {
            missed += newest.count();
        } else {
            self.bytes += bytes;
            skipped.latest.insert(topic.clone(), newest);
            self.queue.push_back(Item::Latest(topic.clone()));
        }
        self.note_missed(topic, missed);
        missed
    }

    fn note_missed(&mut self, topic: &Topic, count: usize) {
        if count > 0 {
            *self.skipped.get_or_insert_default().missed.entry(topic.clone()).or_default() += count as u64;
        }
    }

    /// Appends the report of what was missed of `topic`.
    fn report_missed(&mut self, topic: &Topic) {
        let Some(missed) = self.skipped.as_mut().and_then(|skipped| skipped.missed.remove(topic)) else {
            return;
        };
        let mut report = Vec::new();
        self.format.lagged(topic, missed, &mut report);
        self.push_own(Bytes::from(report));
    }

    /// Appends the report of everything that was missed, once a part of the outbox is free again.
    fn report_all_missed(&mut self) {
        if self.skipped.is_some() {
            self.report_skipped();
        }
    }

    #[cold]
    fn report_skipped(&mut self) {
        let Some(skipped) = &mut self.skipped else { return };
        let missed = std::mem::take(&mut skipped.missed);
        if skipped.latest.is_empty() {
            self.skipped = None;
        }
        let mut report = Vec::new();
        for (topic, missed) in missed {
            self.format.lagged(&topic, missed, &mut report);
        }
        self.push_own(Bytes::from(report));
    }

    /// Adds replies and closing frames, whatever the bound: a client that sends requests faster than it reads replies is not
    /// read from any more, see [`Outbox::is_over`].
    pub fn push_own(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.queue.push_back(Item::Chunk(bytes));
        }
    }

    /// Adds what a session missed, oldest first. The caller keeps it within a half of the bound.
    pub fn push_replay(&mut self, publications: Vec<Arc<Publication>>) {
        if !publications.is_empty() {
            self.pinned += publications.iter().map(|publication| publication.cost()).sum::<usize>();
            self.queue.push_back(Item::Replay(publications.into()));
        }
    }

    /// Reports that `count` publications of `topic` were dropped before the session was sent them.
    pub fn push_missed(&mut self, topic: &Topic, count: u64) {
        self.note_missed(topic, count as usize);
        self.report_missed(topic);
    }

    /// Returns whether so much waits that no requests of the session should be read until some of it is written.
    pub fn is_over(&self) -> bool {
        self.bytes > self.bytes_max / 2 || self.queue.len() > self.pieces_max() / 2 || self.is_replaying()
    }

    /// Fills `slices` with what to write next and returns the number of slices filled.
    pub fn fill<'a>(&'a mut self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        self.settle_front();
        let mut count = 0;
        for item in &self.queue {
            let Item::Chunk(bytes) = item else { break };
            if count == SLICES_MAX {
                break;
            }
            let start = if count == 0 { self.written } else { 0 };
            slices[count] = IoSlice::new(&bytes[start..]);
            count += 1;
        }
        count
    }

    /// Prepares the first item to be taken: encodes the next piece of a replay, and fixes the newest of a topic.
    fn settle_front(&mut self) {
        match self.queue.front() {
            Some(Item::Replay(_)) => self.encode_next(),
            Some(Item::Latest(_)) => self.settle_latest(),
            _ => {}
        }
    }

    /// Puts the newest of a topic, after the report of what it replaced, in the place that was kept for it.
    #[cold]
    fn settle_latest(&mut self) {
        let Some(Item::Latest(topic)) = self.queue.pop_front() else { return };
        let Some(skipped) = &mut self.skipped else { return };
        let Some(newest) = skipped.latest.remove(&topic) else { return };
        match newest {
            Delivery::Chunk(bytes, _) => self.queue.push_front(Item::Chunk(bytes)),
            Delivery::Frames(frames) => {
                for frame in frames.into_iter().rev() {
                    self.queue.push_front(Item::Frame(Box::new(frame)));
                }
            }
        }
        if let Some(missed) = skipped.missed.remove(&topic) {
            let mut report = Vec::new();
            self.format.lagged(&topic, missed, &mut report);
            self.bytes += report.len();
            if !report.is_empty() {
                self.queue.push_front(Item::Chunk(Bytes::from(report)));
            }
        }
    }

    /// Encodes what comes next of the replay that comes first.
    #[cold]
    fn encode_next(&mut self) {
        match self.format.delivery {
            DeliveryMode::Joined => self.encode_replay(),
            DeliveryMode::Separate => self.encode_one(),
        }
    }

    /// Encodes the next piece of the replay that comes first, and puts it before the rest.
    fn encode_replay(&mut self) {
        let Some(Item::Replay(publications)) = self.queue.front_mut() else { return };
        let Some(held) = publications.front().map(|publication| publication.held()) else { return };
        let mut chunk = Vec::new();
        while chunk.len() < REPLAY_AHEAD_BYTES
            && let Some(publication) = publications.pop_front()
        {
            self.pinned -= publication.cost();
            self.format.encoder.message(&publication.message, &mut chunk);
        }
        if publications.is_empty() {
            self.queue.pop_front();
        }
        self.bytes += chunk.len();
        self.queue.push_front(Item::Chunk(held.bytes_of(chunk)));
    }

    /// Encodes the next publication of the replay that comes first, and puts it before the rest.
    fn encode_one(&mut self) {
        let Some(Item::Replay(publications)) = self.queue.front_mut() else { return };
        let next = publications.pop_front();
        if publications.is_empty() {
            self.queue.pop_front();
        }
        let Some(publication) = next else { return };
        self.pinned -= publication.cost();
        let frame = Frame::encode(&publication, self.format);
        self.bytes += frame.bytes.len();
        self.queue.push_front(Item::Frame(Box::new(frame)));
    }

    /// Notes that `count` bytes of what [`Outbox::fill`] gave have been written.
    pub fn advance(&mut self, count: usize) -> Written {
        self.bytes -= count;
        self.taken = self.taken.wrapping_add(count as u32);
        self.written += count;
        while let Some(Item::Chunk(first)) = self.queue.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.report_all_missed();
        }
        if self.queue.is_empty() {
            // Most outboxes are empty most of the time, so the memory of a burst is released.
            self.queue.shrink_to(SLICES_MAX);
            return Written::All;
        }
        Written::Partly
    }

    /// Takes the next frame of a session of [`DeliveryMode::Separate`].
    pub fn pop_frame(&mut self) -> Option<Frame> {
        self.settle_front();
        let Some(Item::Frame(_)) = self.queue.front() else { return None };
        let Some(Item::Frame(frame)) = self.queue.pop_front() else { return None };
        self.bytes -= frame.bytes.len();
        self.taken = self.taken.wrapping_add(frame.bytes.len() as u32);
        self.report_when_drained();
        Some(*frame)
    }

    /// Appends the reports of what was missed, if nothing else waits.
    fn report_when_drained(&mut self) {
        if self.queue.is_empty() {
            self.report_all_missed();
        }
    }

    /// Takes the next chunk, for transports that pass chunks on.
    pub fn pop_chunk(&mut self) -> Option<Bytes> {
        self.settle_front();
        let Some(Item::Chunk(_)) = self.queue.front() else { return None };
        let Some(Item::Chunk(mut bytes)) = self.queue.pop_front() else { return None };
        let rest = bytes.split_off(self.written);
        self.written = 0;
        self.bytes -= rest.len();
        self.taken = self.taken.wrapping_add(rest.len() as u32);
        self.report_when_drained();
        Some(rest)
    }

    /// Drops all that waits except a chunk that is partly written, which would garble what follows if it were cut.
    pub fn clear_unbegun(&mut self) {
        let keep = usize::from(self.written > 0);
        self.queue.truncate(keep);
        self.skipped = None;
        self.pinned = 0;
        self.bytes = match self.queue.front() {
            Some(Item::Chunk(first)) => first.len() - self.written,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests;
