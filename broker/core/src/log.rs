//! The log of one topic: its positions and what it still holds of its past.

mod entries;

use std::sync::Arc;

use fanwire_protocol::{Epoch, Message, Position, StartPoint, Topic};

use crate::limits::HistoryLimits;
use crate::publication::{Publication, Publish};
use entries::Entries;

/// The numbering of one topic and the publications still held.
///
/// `floor` is the offset of the newest publication that is *not* held any more. A reader that has seen everything up
/// to the floor or beyond can be given all the rest; anybody else has lost something and is told so.
///
/// The `ts` of its publications never go back, whatever the wall clock does: a publication accepted after the clock was
/// set back has the `ts` of the one before it. So everything from a moment on is one stretch, found by halving.
#[derive(Debug)]
pub struct TopicLog {
    epoch: Epoch,
    head: u64,
    floor: u64,
    /// The `ts` of the newest publication, or when the log began if there is none yet.
    newest_ts: u64,
    /// The first moment from which on nothing is missing: when the log began, or the millisecond after the publication
    /// at the floor was accepted. What was published before the log began had another epoch, and is not known here.
    whole_from_ts: u64,
    bytes: usize,
    entries: Entries,
}

/// What somebody missed who comes back.
#[derive(Debug)]
pub struct Missed {
    /// What is held of it, oldest first.
    pub publications: Vec<Arc<Publication>>,
    /// Whether that is all: `false` when something after the asked position is no longer held, and only then.
    pub recovered: bool,
}

/// A stretch of a topic's history.
#[derive(Debug)]
pub struct Page {
    /// What was found, in the order of reading.
    pub publications: Vec<Arc<Publication>>,
    /// Whether something between the asked position and the first publication is no longer held.
    pub gap: bool,
    /// Whether there is more in the direction of reading.
    pub more: bool,
}

impl Page {
    /// The same page cut off where it passes `bytes_max`, but never before its first publication.
    #[must_use]
    pub fn within(mut self, bytes_max: usize) -> Self {
        let mut bytes = 0;
        let fitting = self.publications.iter().position(|publication| {
            bytes += publication.cost();
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
    /// An empty log that numbers under `epoch` from now, `began_ts`, on (milliseconds since 1970).
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

    /// The newest position: that of the last publication accepted, held or not.
    pub fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    /// When the newest publication was accepted, in milliseconds since 1970; `None` if there was none in this epoch.
    pub fn newest_ts(&self) -> Option<u64> {
        (self.head > 0).then_some(self.newest_ts)
    }

    /// How many publications are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The memory accounted for what is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Accepts a publication: gives it the next position and holds it as far as `limits` allow. `ts` is in
    /// milliseconds since 1970, `now_us` in microseconds of the monotonic clock; `topic` is the name this log is kept
    /// under, so that all its publications share one allocation of it.
    pub fn append(
        &mut self,
        publish: Publish,
        topic: &Topic,
        limits: &HistoryLimits,
        ts: u64,
        now_us: u64,
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
        let publication = Arc::new(Publication { message, offset: self.head, accepted_us: now_us });
        if kept {
            self.hold(publication.clone(), limits, now_us);
        } else {
            // Where a rule has just been taken away, older publications may still be held; nothing may be missing after them.
            self.clear();
            self.lose_through(self.head, ts);
        }
        publication
    }

    /// Takes a publication that was given its position elsewhere, and holds it if it comes right after the head. One that
    /// does not makes the log begin anew after it, unless it stands before the head and so was counted already.
    pub fn append_placed(
        &mut self,
        publish: Publish,
        topic: &Topic,
        position: Position,
        limits: &HistoryLimits,
        ts: u64,
        now_us: u64,
    ) -> Arc<Publication> {
        let message = Message {
            topic: topic.clone(),
            payload: publish.payload,
            position: Some(position),
            ts: Some(ts),
            from: publish.from,
        };
        let publication = Arc::new(Publication { message, offset: position.offset, accepted_us: now_us });
        if position.epoch == self.epoch && position.offset <= self.head {
            return publication;
        }
        if position.epoch != self.epoch || position.offset != self.head + 1 {
            self.begin_after(Position { offset: position.offset - 1, ..position }, ts);
        }
        (self.head, self.newest_ts) = (position.offset, ts);
        self.hold(publication.clone(), limits, now_us);
        publication
    }

    /// Lets go of everything and goes on after `head`, which may be of another epoch, and was accepted at `ts` or before.
    pub fn begin_after(&mut self, head: Position, ts: u64) {
        (self.epoch, self.head, self.newest_ts, self.floor) = (head.epoch, head.offset, ts, 0);
        self.clear();
        self.lose_through(head.offset, ts);
    }

    fn hold(&mut self, publication: Arc<Publication>, limits: &HistoryLimits, now_us: u64) {
        // The oldest goes first, so that a topic that keeps one publication never has to make room for two.
        while self.entries.len() >= limits.messages {
            self.forget_oldest();
        }
        self.bytes += publication.cost();
        self.entries.push_back(publication);
        self.trim(limits, now_us);
    }

    /// Lets go of what `limits` no longer allow.
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

    /// Lets go of everything held. Positions stay as they are: whoever needs what is gone will be told of the loss.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.lose_through(self.head, self.newest_ts);
        }
        self.bytes = 0;
        self.entries = Entries::Few(None);
    }

    /// Notes that something at `offset`, accepted at `ts`, is not held any more. What is held before it, because the rule
    /// has been changed in between, goes later and takes nothing of that back.
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

    /// Whether everything after `position` is still held.
    fn holds_all_after(&self, position: Position) -> bool {
        position.epoch == self.epoch && (self.floor..=self.head).contains(&position.offset)
    }

    /// Whether everything from `place` on is still held, as far as this log can know.
    pub fn holds_all_from(&self, place: StartPoint) -> bool {
        match place {
            StartPoint::Earliest => false,
            StartPoint::After(position) => self.holds_all_after(position),
            StartPoint::Moment(moment) => self.whole_from_ts <= moment,
        }
    }

    /// The index of the first held publication after `offset`.
    fn index_after(&self, offset: u64) -> usize {
        self.entries.partition_point(|publication| publication.offset <= offset)
    }

    /// The index of the first held publication accepted at `moment` or later.
    fn index_at(&self, moment: u64) -> usize {
        self.entries.partition_point(|publication| publication.message.ts < Some(moment))
    }

    /// What somebody missed who has seen everything up to `place`.
    ///
    /// A position that is not of this log, or from its future, recovers nothing, and gives all that is held. A moment
    /// recovers if nothing that was accepted since has been let go of, and the log was there at that moment already: what
    /// was published before it began cannot be known.
    pub fn since(&self, place: StartPoint) -> Missed {
        let (start, recovered) = match place {
            StartPoint::Earliest => (0, true),
            StartPoint::After(position) if self.holds_all_after(position) => {
                (self.index_after(position.offset), true)
            }
            StartPoint::After(_) => (0, false),
            StartPoint::Moment(moment) => (self.index_at(moment), self.holds_all_from(place)),
        };
        Missed { publications: self.entries.range(start, self.len()).cloned().collect(), recovered }
    }

    /// The newest `count` publications, oldest first.
    pub fn last(&self, count: usize) -> Vec<Arc<Publication>> {
        let start = self.entries.len().saturating_sub(count);
        self.entries.range(start, self.len()).cloned().collect()
    }

    /// At most `limit` publications after `since`, oldest first.
    pub fn page_forward(&self, since: StartPoint, limit: usize) -> Page {
        let Missed { mut publications, recovered } = self.since(since);
        let more = publications.len() > limit;
        publications.truncate(limit);
        Page { publications, gap: !recovered, more }
    }

    /// At most `limit` publications before `until`, newest first; [`StartPoint::Earliest`] begins with the newest held and
    /// reads down to the earliest.
    pub fn page_backward(&self, until: StartPoint, limit: usize) -> Page {
        let (end, gap) = match until {
            StartPoint::Earliest => (self.entries.len(), false),
            StartPoint::After(position) if position.epoch == self.epoch => {
                // Nothing was ever published before an epoch's first offset, so nothing of it can be missing.
                let is_lost = (2..=self.floor).contains(&position.offset);
                (self.index_after(position.offset.saturating_sub(1)), is_lost)
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
