//! Reading history: what a reader asks for and receives, and how memory answers.

use fanwire_core::log::{Missed, Page, TopicLog};
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

/// Returns what a session missed that asks for `start`; `None` if the archive must be read for it.
pub(super) fn missed(locked: &Locked<'_>, name: &Topic, start: &Start) -> Option<Missed> {
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
