//! The outbox: what waits to be written to one session, bounded in bytes.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Delivery, Encoding, Publication};

/// How many pieces of an outbox go into one write.
pub const SLICES_MAX: usize = 16;

/// How many bytes of a replay are encoded ahead of the socket.
const REPLAY_AHEAD_BYTES: usize = 64 * 1024;

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
}

#[derive(Debug)]
enum Item {
    Chunk(Bytes),
    /// Oldest first.
    Replay(VecDeque<Arc<Publication>>),
    Publication(Arc<Publication>),
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
        Self { encoding, queue: VecDeque::new(), bytes: 0, bytes_max, written: 0 }
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
        let bytes = match &delivery {
            Delivery::Chunk(bytes, _) => bytes.len(),
            Delivery::Publications(publications) => {
                publications.iter().map(|publication| publication.cost()).sum()
            }
        };
        if self.bytes > 0 && self.bytes + bytes > self.bytes_max {
            return Err(OutboxFull);
        }
        self.bytes += bytes;
        match delivery {
            Delivery::Chunk(bytes, _) => self.queue.push_back(Item::Chunk(bytes)),
            Delivery::Publications(publications) => {
                self.queue.extend(publications.into_iter().map(Item::Publication));
            }
        }
        Ok(())
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
        self.bytes > self.bytes_max / 2 || self.is_replaying()
    }

    /// Fills `slices` with what to write next and returns how many were filled.
    pub fn fill<'a>(&'a mut self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        self.encode_replay();
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

    /// If a replay is first in line, encodes its next piece in front of it.
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
            // Most outboxes are empty most of the time; what a burst took is given back.
            self.queue.shrink_to(SLICES_MAX);
            return Written::All;
        }
        Written::Partly
    }

    /// Takes the next publication of an [`Encoding::Unshared`] session.
    pub fn pop_publication(&mut self) -> Option<Arc<Publication>> {
        let Some(Item::Publication(_)) = self.queue.front() else { return None };
        let Some(Item::Publication(publication)) = self.queue.pop_front() else { return None };
        self.bytes -= publication.cost();
        Some(publication)
    }

    /// Takes the next chunk, for transports that pass chunks on instead of writing them.
    pub fn pop_chunk(&mut self) -> Option<Bytes> {
        self.encode_replay();
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
        self.bytes = match self.queue.front() {
            Some(Item::Chunk(first)) => first.len() - self.written,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Epoch, Message, Payload, Position};

    use super::*;

    fn chunk(text: &'static str) -> Delivery {
        Delivery::Chunk(Bytes::from_static(text.as_bytes()), 1)
    }

    fn publication(offset: u64) -> Arc<Publication> {
        let position = Some(Position { epoch: Epoch::from_random(1), offset });
        let topic = "t".parse().unwrap();
        let message =
            Message { topic, payload: Payload::text(offset.to_string()), position, ts: None, from: None };
        Arc::new(Publication { message, offset, accepted_us: 0 })
    }

    /// Writes out all that waits, at most `step` bytes at a time.
    fn drain(outbox: &mut Outbox, step: usize) -> String {
        let mut out = Vec::new();
        while !outbox.is_empty() {
            let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
            let count = outbox.fill(&mut slices);
            let bytes: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            outbox.advance(bytes.len());
            out.extend(bytes);
        }
        assert_eq!(outbox.bytes(), 0);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn everything_goes_out_in_order_however_it_is_cut() {
        for step in [1, 2, 3, 100] {
            let mut outbox = Outbox::new(Encoding::Sse, 1_000);
            outbox.push_own(Bytes::from_static(b"hello;"));
            outbox.push_replay(vec![publication(1), publication(2)]);
            outbox.push(chunk("live;")).unwrap();
            assert_eq!(drain(&mut outbox, step), "hello;id: 1:1\ndata: 1\n\nid: 1:2\ndata: 2\n\nlive;");
        }
    }

    #[test]
    fn the_bound_holds_and_an_empty_outbox_takes_any_message() {
        let mut outbox = Outbox::new(Encoding::Bare, 4);
        outbox.push(chunk("longer than four")).unwrap();
        assert_eq!(outbox.push(chunk("x")), Err(OutboxFull));
        assert_eq!(drain(&mut outbox, 100), "longer than four");
        outbox.push(chunk("ab")).unwrap();
        outbox.push(chunk("cd")).unwrap();
        assert_eq!(outbox.push(chunk("e")), Err(OutboxFull));
        assert_eq!(drain(&mut outbox, 100), "abcd");
    }

    #[test]
    fn clearing_never_cuts_a_chunk_in_two() {
        let mut outbox = Outbox::new(Encoding::Bare, 100);
        outbox.push(chunk("abc")).unwrap();
        outbox.push(chunk("def")).unwrap();
        outbox.advance(1);
        outbox.clear_unbegun();
        outbox.push_own(Bytes::from_static(b"!"));
        assert_eq!(drain(&mut outbox, 100), "bc!");
        outbox.push(chunk("abc")).unwrap();
        outbox.clear_unbegun();
        assert_eq!((outbox.bytes(), outbox.is_empty()), (0, true));
    }

    #[test]
    fn a_long_replay_is_encoded_piece_by_piece() {
        let mut outbox = Outbox::new(Encoding::Json, 100);
        outbox.push_replay((1..=10_000).map(publication).collect());
        let first = outbox.pop_chunk().unwrap();
        assert!((REPLAY_AHEAD_BYTES..2 * REPLAY_AHEAD_BYTES).contains(&first.len()), "{} bytes", first.len());
        assert!(outbox.is_replaying());
    }

    #[test]
    fn publications_are_handed_over_as_they_are() {
        let mut outbox = Outbox::new(Encoding::Unshared, 10_000);
        outbox.push_replay(vec![publication(1)]);
        outbox.push(Delivery::Publications(vec![publication(2)])).unwrap();
        let offsets: Vec<u64> =
            std::iter::from_fn(|| outbox.pop_publication()).map(|held| held.offset).collect();
        assert_eq!(offsets, [1, 2]);
        assert_eq!(outbox.bytes(), 0);
    }
}
