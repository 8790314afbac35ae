//! The log of one topic: its positions and what it still holds of its past.

use std::collections::VecDeque;
use std::sync::Arc;

use fanwire_protocol::{Epoch, Message, Position, Topic};

use crate::{HistoryLimits, Publication, Publish};

/// The numbering of one topic and the publications still held.
///
/// `floor` is the offset of the newest publication that is *not* held any more. A reader that has seen everything up
/// to the floor or beyond can be given all the rest; anybody else has lost something and is told so.
#[derive(Debug)]
pub struct TopicLog {
    epoch: Epoch,
    head: u64,
    floor: u64,
    bytes: usize,
    /// When the oldest publication held was accepted; kept here so that most appends need not touch it.
    oldest_us: u64,
    entries: VecDeque<Arc<Publication>>,
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
    /// An empty log that numbers under `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, head: 0, floor: 0, bytes: 0, oldest_us: u64::MAX, entries: VecDeque::new() }
    }

    /// The newest position: that of the last publication accepted, held or not.
    pub fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    /// How many publications are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
            self.bytes += publication.cost();
            self.oldest_us = self.oldest_us.min(now_us);
            self.entries.push_back(publication.clone());
            self.trim(limits, now_us);
        } else {
            self.floor = self.head;
        }
        publication
    }

    /// Lets go of what `limits` no longer allow.
    pub fn trim(&mut self, limits: &HistoryLimits, now_us: u64) {
        let too_old_us = now_us.saturating_sub(limits.ttl_ms.saturating_mul(1000));
        while self.oldest_us < too_old_us
            || self.entries.len() > limits.messages
            || (self.bytes > limits.bytes && !self.entries.is_empty())
        {
            self.forget_oldest();
        }
        // A burst must not pin its high-water mark for ever; a quarter in use is the usual point to give back.
        if self.entries.capacity() > 16 && self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Lets go of everything held. Positions stay as they are: whoever needs what is gone will be told of the loss.
    pub fn clear(&mut self) {
        self.floor = self.head;
        self.bytes = 0;
        self.oldest_us = u64::MAX;
        self.entries = VecDeque::new();
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.floor = oldest.offset;
            self.bytes -= oldest.cost();
        }
        self.oldest_us = self.entries.front().map_or(u64::MAX, |oldest| oldest.accepted_us);
    }

    /// Whether everything after `position` is still held.
    fn holds_all_after(&self, position: Position) -> bool {
        position.epoch == self.epoch && (self.floor..=self.head).contains(&position.offset)
    }

    /// The index of the first held publication after `offset`.
    fn index_after(&self, offset: u64) -> usize {
        self.entries.partition_point(|publication| publication.offset <= offset)
    }

    /// What somebody missed who has seen everything up to `position`; `None` asks for all that is held.
    ///
    /// A position that is not of this log, or from its future, recovers nothing, and gives all that is held.
    pub fn since(&self, position: Option<Position>) -> Missed {
        let (start, recovered) = match position {
            None => (0, true),
            Some(position) if self.holds_all_after(position) => (self.index_after(position.offset), true),
            Some(_) => (0, false),
        };
        Missed { publications: self.entries.range(start..).cloned().collect(), recovered }
    }

    /// The newest `count` publications, oldest first.
    pub fn last(&self, count: usize) -> Vec<Arc<Publication>> {
        let start = self.entries.len().saturating_sub(count);
        self.entries.range(start..).cloned().collect()
    }

    /// At most `limit` publications after `since`, oldest first; `None` begins with the oldest held.
    pub fn page_forward(&self, since: Option<Position>, limit: usize) -> Page {
        let Missed { mut publications, recovered } = self.since(since);
        let more = publications.len() > limit;
        publications.truncate(limit);
        Page { publications, gap: !recovered, more }
    }

    /// At most `limit` publications before `until`, newest first; `None` begins with the newest held.
    pub fn page_backward(&self, until: Option<Position>, limit: usize) -> Page {
        let (end, gap) = match until {
            None => (self.entries.len(), false),
            Some(position) if position.epoch == self.epoch => {
                (self.index_after(position.offset.saturating_sub(1)), position.offset <= self.floor)
            }
            Some(_) => (self.entries.len(), true),
        };
        let publications: Vec<_> = self.entries.range(..end).rev().take(limit).cloned().collect();
        Page { more: end > publications.len(), publications, gap }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::Payload;
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const LIMITS: HistoryLimits = HistoryLimits { messages: 3, bytes: usize::MAX, ttl_ms: 1_000 };

    fn log() -> TopicLog {
        TopicLog::new(Epoch::from_random(9))
    }

    fn append(log: &mut TopicLog, limits: &HistoryLimits, now_ms: u64) -> Arc<Publication> {
        let topic: Topic = "t".parse().unwrap();
        let publish = Publish {
            topic: topic.clone(),
            payload: Payload::text("x"),
            key: None,
            from: None,
            except: None,
        };
        log.append(publish, &topic, limits, now_ms, now_ms * 1000)
    }

    fn offsets(publications: &[Arc<Publication>]) -> Vec<u64> {
        publications.iter().map(|publication| publication.offset).collect()
    }

    fn at(offset: u64) -> Option<Position> {
        Some(Position { epoch: Epoch::from_random(9), offset })
    }

    fn check_since(log: &TopicLog, since: Option<Position>, expected: &[u64], recovered: bool) {
        let missed = log.since(since);
        assert_eq!(
            (offsets(&missed.publications).as_slice(), missed.recovered),
            (expected, recovered),
            "{since:?}"
        );
    }

    #[test]
    fn resuming_tells_of_loss_exactly_when_there_is_one() {
        let mut log = log();
        check_since(&log, at(0), &[], true);
        for now in 0..5 {
            append(&mut log, &LIMITS, now);
        }
        check_since(&log, None, &[3, 4, 5], true);
        check_since(&log, at(5), &[], true);
        check_since(&log, at(3), &[4, 5], true);
        check_since(&log, at(2), &[3, 4, 5], true);
        check_since(&log, at(1), &[3, 4, 5], false);
        check_since(&log, at(6), &[3, 4, 5], false);
        check_since(&log, at(u64::MAX), &[3, 4, 5], false);
        check_since(&log, Some(Position { epoch: Epoch::FOREIGN, offset: 5 }), &[3, 4, 5], false);
    }

    #[test]
    fn old_publications_go_when_their_time_is_up() {
        let mut log = log();
        append(&mut log, &LIMITS, 0);
        append(&mut log, &LIMITS, 900);
        log.trim(&LIMITS, 1_001_000);
        check_since(&log, None, &[2], true);
        log.trim(&LIMITS, 9_000_000);
        assert!(log.is_empty());
        assert_eq!(log.bytes(), 0);
        check_since(&log, at(2), &[], true);
        check_since(&log, at(1), &[], false);
    }

    #[test]
    fn bytes_are_bounded_even_if_nothing_fits() {
        let mut log = log();
        let limits = HistoryLimits { messages: 10, bytes: 1, ttl_ms: 1_000 };
        append(&mut log, &limits, 0);
        assert!(log.is_empty());
        check_since(&log, at(0), &[], false);
    }

    #[test]
    fn without_history_positions_go_on_and_are_not_shown() {
        let mut log = log();
        let publication = append(&mut log, &HistoryLimits::OFF, 0);
        assert_eq!((publication.offset, publication.message.position), (1, None));
        check_since(&log, at(1), &[], true);
        check_since(&log, at(0), &[], false);
    }

    #[test]
    fn clearing_is_never_hidden() {
        let mut log = log();
        append(&mut log, &LIMITS, 0);
        log.clear();
        check_since(&log, at(0), &[], false);
        check_since(&log, at(1), &[], true);
    }

    #[test]
    fn pages_run_both_ways() {
        let mut log = log();
        for now in 0..5 {
            append(&mut log, &LIMITS, now);
        }
        let check = |page: Page, expected: &[u64], gap, more| {
            assert_eq!((offsets(&page.publications).as_slice(), page.gap, page.more), (expected, gap, more));
        };
        check(log.page_forward(None, 2), &[3, 4], false, true);
        check(log.page_forward(at(4), 2), &[5], false, false);
        check(log.page_forward(at(0), 2), &[3, 4], true, true);
        check(log.page_backward(None, 2), &[5, 4], false, true);
        check(log.page_backward(at(4), 2), &[3], false, false);
        check(log.page_backward(at(2), 2), &[], true, false);
        check(log.page_backward(at(0), 2), &[], true, false);
        let cost = log.last(1)[0].cost();
        check(log.page_forward(None, 3).within(2 * cost), &[3, 4], false, true);
        check(log.page_forward(None, 3).within(1), &[3], false, true);
        check(log.page_forward(None, 3).within(3 * cost), &[3, 4, 5], false, false);
    }

    proptest! {
        /// The log against the simplest thing that could be right: a plain list of all offsets ever given.
        #[test]
        fn the_log_behaves_like_a_list(steps in prop::collection::vec((any::<bool>(), 0u64..400), 1..60), ask in 0u64..70) {
            let mut log = log();
            let mut all: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (publish, pause) in steps {
                now += pause;
                if publish {
                    all.push((append(&mut log, &LIMITS, now).offset, now));
                } else {
                    log.trim(&LIMITS, now * 1000);
                }
                let kept: Vec<u64> = all.iter().rev().take(LIMITS.messages).rev()
                    .filter(|(_, at)| at + LIMITS.ttl_ms >= now).map(|(offset, _)| *offset).collect();
                assert_eq!(offsets(&log.since(None).publications), kept);
                let missed = log.since(at(ask));
                let wanted: Vec<u64> = all.iter().map(|(offset, _)| *offset).filter(|offset| *offset > ask).collect();
                let known = ask <= all.len() as u64;
                assert_eq!(missed.recovered, known && wanted.iter().all(|offset| kept.contains(offset)));
                if missed.recovered {
                    assert_eq!(offsets(&missed.publications), wanted);
                }
            }
        }
    }
}
