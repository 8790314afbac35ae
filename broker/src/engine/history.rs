//! Reading history: what a reader asks for and receives, and how memory answers.

use std::sync::Arc;

use fanwire_core::log::{Missed, Page, TopicLog};
use fanwire_core::publication::Publication;
use fanwire_core::rules::SlowPolicy;
use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Position, Since, StartPoint, Topic};

use super::topic::Locked;
use super::topics::Topics;
use crate::clock;

/// A request to read history.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// Oldest first, after a position.
    Forward {
        /// The start point; `None` is the oldest held.
        since: Option<Since>,
        /// The maximum number of publications.
        limit: usize,
    },
    /// Newest first, before a position.
    Backward {
        /// The start point; `None` is the newest held.
        until: Option<Since>,
        /// The maximum number of publications.
        limit: usize,
    },
}

/// A page of history, and the newest position at the moment of reading.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) head: Position,
    pub(crate) page: Page,
}

/// The maximum of missed publications that are read at once, in publications and in bytes of payload.
pub(super) const PIECE_MESSAGES: usize = 1000;
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// The start of a subscription that cannot be sent all at once.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// The newest position in the archive.
    pub(crate) head: Position,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// The first piece of what was missed.
    pub(crate) piece: Piece,
}

/// A piece of what a session missed.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The publications, oldest first.
    pub(crate) publications: Vec<Arc<Publication>>,
    /// The position after which the next piece begins.
    pub(crate) at: Position,
    /// Whether publications before these are no longer held, because their time was over meanwhile.
    pub(crate) has_gap: bool,
    /// The number of publications in that gap, if the topic's rule lets slow sessions skip.
    pub(crate) skipped: Option<u64>,
    /// Whether publications were left out because they are damaged in the archive.
    pub(crate) is_damaged: bool,
}

impl Piece {
    /// A piece without publications, which ends at `at`.
    pub(super) fn empty(at: Position) -> Self {
        Self { publications: Vec::new(), at, has_gap: false, skipped: None, is_damaged: false }
    }
}

impl Reading {
    /// Returns the maximum number of publications.
    pub(super) fn limit(&self) -> usize {
        match self {
            Reading::Forward { limit, .. } | Reading::Backward { limit, .. } => *limit,
        }
    }

    /// Returns the point in `topic`, whose epoch is `epoch`, at which it begins; [`StartPoint::Earliest`] backward is the newest
    /// publication.
    pub(super) fn start_in(&self, topic: &Topic, epoch: Epoch) -> StartPoint {
        self.start().map_or(StartPoint::Earliest, |start| start.place_in(topic, epoch))
    }

    /// Returns the place at which the reader asks to begin.
    pub(super) fn start(&self) -> Option<&Since> {
        match self {
            Reading::Forward { since: start, .. } | Reading::Backward { until: start, .. } => start.as_ref(),
        }
    }

    fn page_of(&self, log: &TopicLog, start: StartPoint) -> Page {
        match self {
            Reading::Forward { limit, .. } => log.page_forward(start, *limit),
            Reading::Backward { limit, .. } => log.page_backward(start, *limit),
        }
    }
}

/// Reads a page of about `bytes_max` bytes at most from memory. Returns `None` if only the archive has what is asked for. Creates no
/// topic: one that does not exist has an empty history under the epoch with which it will begin.
pub(super) fn read_memory(
    topics: &Topics,
    topic: &Topic,
    reading: &Reading,
    bytes_max: usize,
) -> Option<History> {
    let found = topics.with_existing(topic, |locked, _| {
        locked.trim(clock::monotonic_us());
        let log = locked.log();
        let start = reading.start_in(topic, log.head().epoch);
        let is_complete = match reading {
            _ if !locked.is_archived() => true,
            Reading::Forward { .. } => locked.is_loaded() && log.holds_all_from(start),
            Reading::Backward { .. } => false,
        };
        is_complete.then(|| History { head: log.head(), page: reading.page_of(log, start).within(bytes_max) })
    });
    found.unwrap_or_else(|| {
        let is_archived = topics.is_archived(&topics.policy_of(topic));
        let (epoch, began_ts) = topics.beginning_of(topic);
        let empty = TopicLog::new(epoch, began_ts);
        let start = reading.start_in(topic, epoch);
        (!is_archived).then(|| History { head: empty.head(), page: reading.page_of(&empty, start) })
    })
}

/// Returns what a session missed that asks for `start`; `None` if the archive must be read for it, or if it takes more than
/// `bytes_max` of memory and must be read piece by piece.
pub(super) fn missed(locked: &Locked<'_>, name: &Topic, start: &Start, bytes_max: usize) -> Option<Missed> {
    let missed = missed_of_any_size(locked, name, start)?;
    is_within(&missed, bytes_max).then_some(missed)
}

fn missed_of_any_size(locked: &Locked<'_>, name: &Topic, start: &Start) -> Option<Missed> {
    let (log, is_archived) = (locked.log(), locked.is_archived());
    let all = |publications| Some(Missed { publications, recovered: true });
    match start {
        _ if !locked.is_loaded() => None,
        Start::Now => all(Vec::new()),
        Start::Last(count) if is_archived && *count > log.len() => None,
        Start::Last(count) => all(log.last(*count)),
        Start::Since(since) => {
            let place = since.place_in(name, log.head().epoch);
            (!is_archived || log.holds_all_from(place)).then(|| log.since(place))
        }
    }
}

/// Returns what follows `at`, if memory holds it and it takes at most `bytes_max`, and the head after it. The archive may be ahead of
/// what has arrived: then all that arrives up to `at` is known already.
pub(super) fn rest(
    locked: &Locked<'_>,
    at: Position,
    bytes_max: usize,
) -> Option<(Vec<Arc<Publication>>, Position)> {
    let log = locked.log();
    let head = log.head();
    if !locked.is_loaded() {
        return None;
    }
    if head.epoch == at.epoch && at.offset > head.offset {
        return Some((Vec::new(), at));
    }
    let missed = log.holds_all_from(StartPoint::After(at)).then(|| log.since(StartPoint::After(at)))?;
    is_within(&missed, bytes_max).then_some((missed.publications, head))
}

/// Returns whether what was missed can be sent at once. One publication cannot be cut.
fn is_within(missed: &Missed, bytes_max: usize) -> bool {
    missed.publications.len() <= 1 || missed.cost() <= bytes_max
}

/// Returns where a session begins in a topic that only memory holds, and the first piece of what it missed.
pub(super) fn resume_in_memory(locked: &Locked<'_>, name: &Topic, start: &Start) -> Resumed {
    let log = locked.log();
    let (page, recovered) = match start {
        Start::Now => (log.page_of_last(0, 0), true),
        Start::Last(count) => (log.page_of_last(*count, PIECE_MESSAGES), true),
        Start::Since(since) => {
            let page = log.page_forward(since.place_in(name, log.head().epoch), PIECE_MESSAGES);
            let recovered = !page.gap;
            (page, recovered)
        }
    };
    let piece = piece_of(page.within(PIECE_BYTES), log.head());
    Resumed { head: log.head(), recovered, piece: Piece { has_gap: false, ..piece } }
}

/// Returns the piece after `at` of what a session missed of a topic that only memory holds.
pub(super) fn read_on_in_memory(locked: &Locked<'_>, at: Position) -> Piece {
    let log = locked.log();
    let page = log.page_forward(StartPoint::After(at), PIECE_MESSAGES).within(PIECE_BYTES);
    let piece = piece_of(page, log.head());
    if !piece.has_gap || locked.policy().slow == SlowPolicy::Disconnect {
        return piece;
    }
    Piece { skipped: Some(log.dropped_after(at)), ..piece }
}

/// Makes a piece of a page, which ends at `head` unless there is more.
fn piece_of(page: Page, head: Position) -> Piece {
    let at = match page.publications.last() {
        Some(last) if page.more => Position { offset: last.offset, ..head },
        _ => head,
    };
    Piece { publications: page.publications, has_gap: page.gap, ..Piece::empty(at) }
}
