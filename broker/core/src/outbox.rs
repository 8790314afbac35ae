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

use crate::encoding::Encoding;
use crate::fanout::Delivery;
use crate::publication::Publication;

/// How many pieces of an outbox go into one write.
pub const SLICES_MAX: usize = 16;

/// How many bytes of a replay are encoded ahead of the socket.
const REPLAY_AHEAD_BYTES: usize = 64 * 1024;

/// What one piece costs at least, in bytes, however short it is: its place in the queue, and its share of an allocation. With it,
/// the bound in bytes is one on the number of pieces, too.
const PIECE_BYTES: usize = 128;

/// So many pieces an outbox may always hold.
const PIECES_MIN: usize = 64;

/// What waits for one session, in the order in which it must go out.
///
/// Replays wait as the publications themselves and are encoded piece by piece as the socket takes them, so that
/// somebody who missed much costs no more than somebody who missed little. They are held by history anyway and do not
/// count against the bound.
#[derive(Debug)]
pub struct Outbox {
    encoding: Encoding,
    queue: VecDeque<Item>,
    bytes: usize,
    bytes_max: usize,
    /// How much of the first chunk has been written already.
    written: usize,
    /// What was skipped and has not been told yet, by topic. Boxed, for hardly any session ever needs it.
    skipped: Option<Box<Skipped>>,
}

#[derive(Debug)]
enum Item {
    Chunk(Bytes),
    /// Oldest first.
    Replay(VecDeque<Arc<Publication>>),
    Publication(Arc<Publication>),
    /// The newest of a topic; one that comes while this waits takes its place.
    Latest(Topic),
}

/// What a slow session misses.
#[derive(Debug, Default)]
struct Skipped {
    /// How many publications of a topic were skipped since the session was last told.
    missed: HashMap<Topic, u64, RandomState>,
    /// What stands where the queue says [`Item::Latest`].
    latest: HashMap<Topic, Delivery, RandomState>,
}

/// The outbox cannot take more; what to do about it is the rule's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub struct OutboxFull;

/// What a write did to the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Something still waits.
    Partly,
    /// Nothing waits any more.
    All,
}

impl Outbox {
    /// An empty outbox for a session that reads `encoding`, bounded by `bytes_max`.
    pub fn new(encoding: Encoding, bytes_max: usize) -> Self {
        Self { encoding, queue: VecDeque::new(), bytes: 0, bytes_max, written: 0, skipped: None }
    }

    /// How what waits is written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How much waits, in bytes, replays not counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a replay is still on its way.
    pub fn is_replaying(&self) -> bool {
        self.queue.iter().any(|item| matches!(item, Item::Replay(_)))
    }

    /// Adds a delivery. An empty outbox takes any, so that one message larger than the bound is delivered to whoever
    /// keeps up.
    ///
    /// # Errors
    /// If the bound would be passed; then nothing was added.
    pub fn push(&mut self, delivery: Delivery) -> Result<(), OutboxFull> {
        if self.is_full_for(&delivery) {
            return Err(OutboxFull);
        }
        self.append(delivery);
        Ok(())
    }

    fn is_full_for(&self, delivery: &Delivery) -> bool {
        self.bytes > 0 && !self.has_room_for(delivery.bytes())
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes <= self.bytes_max && self.queue.len() < self.pieces_max()
    }

    fn pieces_max(&self) -> usize {
        PIECES_MIN.max(self.bytes_max / PIECE_BYTES)
    }

    fn append(&mut self, delivery: Delivery) {
        self.bytes += delivery.bytes();
        match delivery {
            Delivery::Chunk(bytes, _) => self.queue.push_back(Item::Chunk(bytes)),
            Delivery::Publications(held) => self.queue.extend(held.into_iter().map(Item::Publication)),
        }
    }

    /// Adds a delivery of `topic`, or skips it if it does not fit; the session is told of what it missed before the
    /// next delivery of the topic, or as soon as it has caught up. Returns how many publications were skipped.
    pub fn push_or_skip(&mut self, topic: &Topic, delivery: Delivery) -> usize {
        let count = delivery.count();
        if self.is_full_for(&delivery) {
            self.note_missed(topic, count);
            return count;
        }
        self.tell_missed(topic);
        // Word of what was missed may itself have filled the outbox; the bound is passed by that much at most.
        self.append(delivery);
        0
    }

    /// Adds a delivery of `topic` of which only the newest publication, `newest`, needs to arrive. If the session keeps
    /// up it gets all; if something waits already, only the newest waits too, in the place of the one before. Returns
    /// how many publications were skipped.
    pub fn push_latest(&mut self, topic: &Topic, delivery: Delivery, newest: Delivery) -> usize {
        if self.queue.is_empty() {
            return self.push_or_skip(topic, delivery);
        }
        let pieces_max = self.pieces_max();
        let skipped = self.skipped.get_or_insert_default();
        let mut missed = delivery.count() - newest.count();
        let bytes = newest.bytes();
        if let Some(waiting) = skipped.latest.get_mut(topic) {
            missed += waiting.count();
            self.bytes -= waiting.bytes();
            self.bytes += bytes;
            *waiting = newest;
        } else if self.bytes + bytes > self.bytes_max || self.queue.len() >= pieces_max {
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

    /// Puts word of what was missed of `topic` at the end.
    fn tell_missed(&mut self, topic: &Topic) {
        let Some(missed) = self.skipped.as_mut().and_then(|skipped| skipped.missed.remove(topic)) else {
            return;
        };
        let mut word = Vec::new();
        self.encoding.encode_lagged(topic, missed, &mut word);
        self.push_own(Bytes::from(word));
    }

    /// Puts word of everything that was missed at the end: the session has caught up.
    fn tell_all_missed(&mut self) {
        let Some(skipped) = &mut self.skipped else { return };
        let missed = std::mem::take(&mut skipped.missed);
        if skipped.latest.is_empty() {
            self.skipped = None;
        }
        let mut word = Vec::new();
        for (topic, missed) in missed {
            self.encoding.encode_lagged(&topic, missed, &mut word);
        }
        self.push_own(Bytes::from(word));
    }

    /// Adds bytes of the broker's own, replies and farewells, whatever the bound: whoever sends requests faster than
    /// it reads replies is stopped by not being read from, see [`Outbox::is_over`].
    pub fn push_own(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.queue.push_back(Item::Chunk(bytes));
        }
    }

    /// Adds what a session missed, oldest first.
    pub fn push_replay(&mut self, publications: Vec<Arc<Publication>>) {
        if self.encoding == Encoding::Unshared {
            self.bytes += publications.iter().map(|publication| publication.cost()).sum::<usize>();
            self.queue.extend(publications.into_iter().map(Item::Publication));
        } else if !publications.is_empty() {
            self.queue.push_back(Item::Replay(publications.into()));
        }
    }

    /// Whether so much waits that the session should not be read from until some of it is gone.
    pub fn is_over(&self) -> bool {
        self.bytes > self.bytes_max / 2 || self.queue.len() > self.pieces_max() / 2 || self.is_replaying()
    }

    /// Fills `slices` with what to write next and returns how many were filled.
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

    /// Makes what is first in line ready to be taken: the next piece of a replay is encoded, the newest of a topic stays
    /// what it is from now on.
    fn settle_front(&mut self) {
        match self.queue.front() {
            Some(Item::Replay(_)) => self.encode_replay(),
            Some(Item::Latest(_)) => self.settle_latest(),
            _ => {}
        }
    }

    /// Puts the newest of a topic, after word of what it replaced, in the place that was kept for it.
    fn settle_latest(&mut self) {
        let Some(Item::Latest(topic)) = self.queue.pop_front() else { return };
        let Some(skipped) = &mut self.skipped else { return };
        let Some(newest) = skipped.latest.remove(&topic) else { return };
        match newest {
            Delivery::Chunk(bytes, _) => self.queue.push_front(Item::Chunk(bytes)),
            Delivery::Publications(held) => {
                for publication in held.into_iter().rev() {
                    self.queue.push_front(Item::Publication(publication));
                }
            }
        }
        if let Some(missed) = skipped.missed.remove(&topic) {
            let mut word = Vec::new();
            self.encoding.encode_lagged(&topic, missed, &mut word);
            self.bytes += word.len();
            if !word.is_empty() {
                self.queue.push_front(Item::Chunk(Bytes::from(word)));
            }
        }
    }

    /// Encodes the next piece of the replay that is first in line, in front of it.
    fn encode_replay(&mut self) {
        let Some(Item::Replay(publications)) = self.queue.front_mut() else { return };
        let mut chunk = Vec::new();
        while chunk.len() < REPLAY_AHEAD_BYTES
            && let Some(publication) = publications.pop_front()
        {
            self.encoding.encode(&publication.message, &mut chunk);
        }
        if publications.is_empty() {
            self.queue.pop_front();
        }
        self.bytes += chunk.len();
        self.queue.push_front(Item::Chunk(Bytes::from(chunk)));
    }

    /// Notes that `count` bytes of what [`Outbox::fill`] gave have been written.
    pub fn advance(&mut self, count: usize) -> Written {
        self.bytes -= count;
        self.written += count;
        while let Some(Item::Chunk(first)) = self.queue.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.tell_all_missed();
        }
        if self.queue.is_empty() {
            // Most outboxes are empty most of the time; what a burst took is given back.
            self.queue.shrink_to(SLICES_MAX);
            return Written::All;
        }
        Written::Partly
    }

    /// Takes the next publication of an [`Encoding::Unshared`] session.
    pub fn pop_publication(&mut self) -> Option<Arc<Publication>> {
        self.settle_front();
        let Some(Item::Publication(_)) = self.queue.front() else { return None };
        let Some(Item::Publication(publication)) = self.queue.pop_front() else { return None };
        self.bytes -= publication.cost();
        Some(publication)
    }

    /// Takes the next chunk, for transports that pass chunks on instead of writing them.
    pub fn pop_chunk(&mut self) -> Option<Bytes> {
        self.settle_front();
        let Some(Item::Chunk(_)) = self.queue.front() else { return None };
        let Some(Item::Chunk(mut bytes)) = self.queue.pop_front() else { return None };
        let rest = bytes.split_off(self.written);
        self.written = 0;
        self.bytes -= rest.len();
        Some(rest)
    }

    /// Drops all that waits, but for a chunk that is partly written: cutting it would garble what comes after.
    pub fn clear_unbegun(&mut self) {
        let keep = usize::from(self.written > 0);
        self.queue.truncate(keep);
        self.skipped = None;
        self.bytes = match self.queue.front() {
            Some(Item::Chunk(first)) => first.len() - self.written,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests;
