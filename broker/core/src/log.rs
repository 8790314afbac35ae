//! The log of one topic: its positions and the publications it still holds.
//!
//! Positions are compared, never computed: the offsets of a topic grow, and need not be consecutive. Only [`TopicLog::append`]
//! gives offsets; [`TopicLog::append_placed`] takes those that an archive has given.

mod entries;

use std::sync::Arc;

use fanwire_protocol::{Epoch, Message, Position, StartPoint, Topic};

use crate::held::HeldSum;
use crate::limits::HistoryLimits;
use crate::publication::{Publication, Publish};
use entries::Entries;

/// The smallest offset of a publication in any numbering: nothing was ever published before it, so nothing is missing there.
const OFFSET_MIN: u64 = 1;

/// The place that an archive has given to a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The position of the publication.
    pub position: Position,
    /// An offset such that no publication of the topic lies between it and the position, both exclusive; 0 if the
    /// publication is the first of its epoch.
    pub after: u64,
    /// The time at which it was accepted, in milliseconds since 1970; never before the publication before it.
    pub ts: u64,
}

/// The numbering of one topic and the publications still held.
///
/// `floor` is the offset of the newest publication that is *not* held any more. A reader that has seen everything up
/// to the floor or beyond receives all the rest. Any other reader has missed something, and the log reports that.
///
/// The `ts` of its publications never go back, whatever the wall clock does: a publication accepted after the clock was
/// set back has the `ts` of the one before it. So everything from a moment on is one stretch, found by binary search.
#[derive(Debug)]
pub struct TopicLog {
    epoch: Epoch,
    head: u64,
    floor: u64,
    /// The `ts` of the newest publication, or when the log began if there is none yet.
    newest_ts: u64,
    /// The earliest moment since which nothing is missing: when the log began, or the millisecond after the publication
    /// at the floor was accepted. What was published before the log began had another epoch, and is not known here.
    whole_from_ts: u64,
    bytes: usize,
    entries: Entries,
}

/// The publications that a returning subscriber missed.
#[derive(Debug)]
pub struct Missed {
    /// Those that are still held, oldest first.
    pub publications: Vec<Arc<Publication>>,
    /// Whether these are all: `false` exactly when something after the requested position is no longer held.
    pub recovered: bool,
}

/// A stretch of a topic's history.
#[derive(Debug)]
pub struct Page {
    /// The publications found, in the order of reading.
    pub publications: Vec<Arc<Publication>>,
    /// Whether something between the requested position and the first publication is no longer held.
    pub gap: bool,
    /// Whether there is more in the direction of reading.
    pub more: bool,
}

impl Missed {
    /// Returns the memory that the publications are accounted for, in bytes.
    pub fn cost(&self) -> usize {
        self.publications.iter().map(|publication| publication.cost()).sum()
    }
}

impl Page {
    /// Returns the same page, cut off where it passes `bytes_max`, but never before its first publication.
    #[must_use]
    pub fn within(mut self, bytes_max: usize) -> Self {
        let mut bytes = 0;
        let fitting = self.publications.iter().position(|publication| {
            bytes += publication.encoded_bytes_max();
            bytes > bytes_max
        });
        if let Some(fitting) = fitting {
            self.publications.truncate(fitting.max(1));
            self.more = true;
        }
        self
    }
}

impl TopicLog {
    /// Returns an empty log that numbers under `epoch`. `began_ts` is the present time in milliseconds since 1970.
    pub fn new(epoch: Epoch, began_ts: u64) -> Self {
        Self {
            epoch,
            head: 0,
            floor: 0,
            newest_ts: began_ts,
            whole_from_ts: began_ts,
            bytes: 0,
            entries: Entries::Few(None),
        }
    }

    /// Returns the newest position: that of the last publication accepted, held or not.
    pub fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    /// Returns when the newest publication was accepted, in milliseconds since 1970; `None` if there was none in this epoch.
    pub fn newest_ts(&self) -> Option<u64> {
        (self.head > 0).then_some(self.newest_ts)
    }

    /// Returns the number of publications held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Returns the memory accounted for what is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Accepts a publication: gives it the next position and holds it as far as `limits` allow. `ts` is in
    /// milliseconds since 1970, `now_us` in microseconds of the monotonic clock; `topic` is the name this log is kept
    /// under, so that all its publications share one allocation of it. Its memory counts in `held`.
    pub fn append(
        &mut self,
        publish: Publish,
        topic: &Topic,
        limits: &HistoryLimits,
        ts: u64,
        now_us: u64,
        held: &HeldSum,
    ) -> Arc<Publication> {
        self.head += 1;
        let ts = ts.max(self.newest_ts);
        self.newest_ts = ts;
        let kept = limits.keeps();
        let message = Message {
            topic: topic.clone(),
            payload: publish.payload,
            position: kept.then_some(self.head()),
            ts: kept.then_some(ts),
            from: publish.from,
        };
        let publication = Arc::new(Publication::new(message, self.head, now_us, held));
        self.hold_if_kept(publication.clone(), limits, now_us);
        publication
    }

    /// Takes a publication to which an archive has given its position, and holds it if nothing is missing before it.
    ///
    /// `after` says that nothing of this topic lies between it and the position, both exclusive. If `after` is beyond the head,
    /// something was missed, and the log starts again after `after`. A publication at or before the head is counted already.
    pub fn append_placed(
        &mut self,
        publish: Publish,
        topic: &Topic,
        placed: Placed,
        limits: &HistoryLimits,
        now_us: u64,
        held: &HeldSum,
    ) -> Arc<Publication> {
        let Placed { position, after, ts } = placed;
        let kept = limits.keeps();
        let message = Message {
            topic: topic.clone(),
            payload: publish.payload,
            position: kept.then_some(position),
            ts: kept.then_some(ts),
            from: publish.from,
        };
        let publication = Arc::new(Publication::new(message, position.offset, now_us, held));
        if position.epoch == self.epoch && position.offset <= self.head {
            return publication;
        }
        if position.epoch != self.epoch || after > self.head {
            self.begin_after(Position { offset: after, ..position }, ts);
        }
        (self.head, self.newest_ts) = (position.offset, ts);
        self.hold_if_kept(publication.clone(), limits, now_us);
        publication
    }

    /// Drops everything and continues after `head`, which may be of another epoch, and was accepted at `ts` or before.
    pub fn begin_after(&mut self, head: Position, ts: u64) {
        (self.epoch, self.head, self.newest_ts, self.floor) = (head.epoch, head.offset, ts, 0);
        self.clear();
        self.lose_through(head.offset, ts);
    }

    /// Holds the publication at the head, if the topic keeps anything.
    fn hold_if_kept(&mut self, publication: Arc<Publication>, limits: &HistoryLimits, now_us: u64) {
        if limits.keeps() {
            return self.hold(publication, limits, now_us);
        }
        // If a rule was removed just now, older publications may still be held; nothing may be missing after them.
        self.clear();
        self.lose_through(self.head, self.newest_ts);
    }

    fn hold(&mut self, publication: Arc<Publication>, limits: &HistoryLimits, now_us: u64) {
        // The oldest is dropped first, so that a topic that keeps one publication never needs room for two.
        while self.entries.len() >= limits.messages {
            self.forget_oldest();
        }
        self.bytes += publication.cost();
        self.entries.push_back(publication);
        self.trim(limits, now_us);
    }

    /// Drops what `limits` no longer allow.
    pub fn trim(&mut self, limits: &HistoryLimits, now_us: u64) {
        let too_old_us = now_us.saturating_sub(limits.ttl_ms.saturating_mul(1000));
        while let Some(oldest) = self.entries.front()
            && (oldest.accepted_us < too_old_us
                || self.entries.len() > limits.messages
                || self.bytes > limits.bytes)
        {
            self.forget_oldest();
        }
        self.entries.give_back();
    }

    /// Drops everything held. Positions stay as they are, so a subscriber that missed what was dropped learns of the loss.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.lose_through(self.head, self.newest_ts);
        }
        self.bytes = 0;
        self.entries = Entries::Few(None);
    }

    /// Records that the publication at `offset`, accepted at `ts`, is not held any more. Publications before it may still be
    /// held, because the rule was changed in between; when they are dropped later, the floor stays where it is.
    fn lose_through(&mut self, offset: u64, ts: u64) {
        if offset >= self.floor {
            self.floor = offset;
            self.whole_from_ts = ts.saturating_add(1);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.lose_through(oldest.offset, oldest.message.ts.unwrap_or(self.newest_ts));
            self.bytes -= oldest.cost();
        }
    }

    /// Returns the number of publications after `position` that are no longer held, for a log that gives the offsets itself; 0
    /// for a position of another epoch, about which nothing is known.
    pub fn dropped_after(&self, position: Position) -> u64 {
        if position.epoch == self.epoch { self.floor.saturating_sub(position.offset) } else { 0 }
    }

    /// Returns whether everything after `position` is still held.
    fn holds_all_after(&self, position: Position) -> bool {
        position.epoch == self.epoch && (self.floor..=self.head).contains(&position.offset)
    }

    /// Returns whether everything since `place` is still held, as far as this log can know.
    pub fn holds_all_from(&self, place: StartPoint) -> bool {
        match place {
            StartPoint::Earliest => false,
            StartPoint::After(position) => self.holds_all_after(position),
            StartPoint::Moment(moment) => self.whole_from_ts <= moment,
        }
    }

    /// Returns the index of the first held publication after `offset`.
    fn index_after(&self, offset: u64) -> usize {
        self.entries.partition_point(|publication| publication.offset <= offset)
    }

    /// Returns the index of the first held publication at `offset` or after it.
    fn index_from(&self, offset: u64) -> usize {
        self.entries.partition_point(|publication| publication.offset < offset)
    }

    /// Returns the index of the first held publication accepted at `moment` or later.
    fn index_at(&self, moment: u64) -> usize {
        self.entries.partition_point(|publication| publication.message.ts < Some(moment))
    }

    /// Returns what a subscriber missed that has seen everything up to `place`.
    ///
    /// A position that is not of this log, or from its future, recovers nothing, and gives all that is held. A moment
    /// recovers if nothing that was accepted since has been dropped, and the log existed at that moment: what
    /// was published before it began is not known.
    pub fn since(&self, place: StartPoint) -> Missed {
        let (start, recovered) = self.beginning(place);
        Missed { publications: self.entries.range(start, self.len()).cloned().collect(), recovered }
    }

    /// Returns the index of the first publication that a subscriber missed, and whether nothing is missing before it.
    #[inline(always)]
    fn beginning(&self, place: StartPoint) -> (usize, bool) {
        match place {
            StartPoint::Earliest => (0, true),
            StartPoint::After(position) if self.holds_all_after(position) => {
                (self.index_after(position.offset), true)
            }
            StartPoint::After(_) => (0, false),
            StartPoint::Moment(moment) => (self.index_at(moment), self.holds_all_from(place)),
        }
    }

    /// Returns at most the first `limit` publications of the newest `count`, oldest first.
    pub fn page_of_last(&self, count: usize, limit: usize) -> Page {
        let start = self.len().saturating_sub(count);
        let end = self.len().min(start.saturating_add(limit));
        let publications = self.entries.range(start, end).cloned().collect();
        Page { publications, gap: false, more: end < self.len() }
    }

    /// Returns the newest `count` publications, oldest first.
    pub fn last(&self, count: usize) -> Vec<Arc<Publication>> {
        let start = self.entries.len().saturating_sub(count);
        self.entries.range(start, self.len()).cloned().collect()
    }

    /// Returns at most `limit` publications after `since`, oldest first.
    pub fn page_forward(&self, since: StartPoint, limit: usize) -> Page {
        let (start, recovered) = self.beginning(since);
        let end = self.len().min(start.saturating_add(limit));
        let publications = self.entries.range(start, end).cloned().collect();
        Page { publications, gap: !recovered, more: end < self.len() }
    }

    /// Returns at most `limit` publications before `until`, newest first; [`StartPoint::Earliest`] begins with the newest held
    /// and reads down to the earliest.
    pub fn page_backward(&self, until: StartPoint, limit: usize) -> Page {
        let (end, gap) = match until {
            StartPoint::Earliest => (self.entries.len(), false),
            StartPoint::After(position) if position.epoch == self.epoch => {
                let is_lost = position.offset > OFFSET_MIN && position.offset <= self.floor;
                (self.index_from(position.offset), is_lost)
            }
            StartPoint::After(_) => (self.entries.len(), true),
            StartPoint::Moment(moment) => (self.index_at(moment), moment < self.whole_from_ts),
        };
        let publications: Vec<_> = self.entries.range(0, end).rev().take(limit).cloned().collect();
        Page { more: end > publications.len(), publications, gap }
    }
}

#[cfg(test)]
mod tests;
