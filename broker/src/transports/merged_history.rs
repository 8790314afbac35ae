//! History of one or many topics as one sequence, read page by page.
//!
//! Each topic keeps its own order. Among topics the publication accepted earlier comes first, or last when reading backwards.
//! At most one small page per topic is in memory, so that a long answer costs no more than a short one.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::frame::Frame;
use fanwire_core::publication::Publication;
use fanwire_formats::ENTRY;
use fanwire_protocol::{Position, Since, Topic};

use crate::engine::{Engine, History, Reading};

/// The accounted size in bytes of the pages of all topics together; each page has one publication at least.
const PAGES_BYTES_MAX: usize = 256 * 1024;

/// The most publications in a page.
const PAGE_PUBLICATIONS_MAX: usize = 256;

/// The order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Reads with the oldest first.
    Forward,
    /// Reads with the newest first.
    Backward,
}

/// The history of several topics, read in one direction.
pub(super) struct MergedHistory {
    engine: Arc<Engine>,
    direction: Direction,
    sources: Vec<Source>,
}

/// The reading of one topic.
struct Source {
    topic: Topic,
    /// The start point of the next page.
    next: Option<Since>,
    page: VecDeque<Arc<Publication>>,
    /// Whether there are publications after the page.
    has_more: bool,
    /// The last offset to read.
    last: Option<u64>,
    /// The newest position of the topic when reading began.
    head: Position,
    /// The reader's position: what was taken from here lies before it.
    at: Position,
    /// Whether something was no longer held.
    has_gap: bool,
}

/// The newest publications of several topics.
pub(super) struct Newest {
    /// The publications held, oldest first.
    pub(super) history: MergedHistory,
    /// The number of these messages.
    pub(super) count: usize,
    /// Whether older ones were left out.
    pub(super) is_cut: bool,
    /// The cursor to continue backwards.
    pub(super) before: Vec<(Topic, Position)>,
}

impl MergedHistory {
    /// Reads the first page of each topic after `since`, or before it when reading backwards.
    ///
    /// # Errors
    /// If the history of a topic cannot be read.
    pub(super) async fn open(
        engine: &Arc<Engine>,
        topics: impl IntoIterator<Item = Topic>,
        since: Option<&Since>,
        direction: Direction,
    ) -> Result<Self, Refusal> {
        let mut merged = Self { engine: engine.clone(), direction, sources: Vec::new() };
        let topics: Vec<Topic> = topics.into_iter().collect();
        let bytes_max = PAGES_BYTES_MAX / topics.len().max(1);
        for topic in topics {
            let History { head, page } =
                engine.read_history(&topic, merged.reading(since.cloned()), bytes_max).await?;
            let at = start_of(&page.publications, head, direction);
            let mut source = Source {
                topic,
                next: None,
                page: VecDeque::new(),
                has_more: false,
                last: None,
                head,
                at,
                has_gap: page.gap,
            };
            source.take_page(page.publications, page.more);
            merged.sources.push(source);
        }
        Ok(merged)
    }

    /// Reads the newest `count_max` publications of all topics together, about `bytes_max` encoded bytes at most, and returns
    /// them from the oldest on.
    ///
    /// # Errors
    /// If the history of a topic cannot be read.
    pub(super) async fn newest(
        engine: &Arc<Engine>,
        topics: impl IntoIterator<Item = Topic>,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Newest, Refusal> {
        let mut backward = Self::open(engine, topics, None, Direction::Backward).await?;
        let mut ranges: Vec<Option<(u64, u64)>> = vec![None; backward.sources.len()];
        let mut kept = Some(Vec::new());
        let (mut count, mut bytes, mut cost, mut is_cut) = (0, 0, 0, false);
        while count < count_max {
            let Some((index, publication)) = backward.next().await? else { break };
            bytes += Frame::encode(&publication, &ENTRY).bytes.len();
            if count > 0 && bytes > bytes_max {
                is_cut = true;
                break;
            }
            count += 1;
            cost += publication.cost();
            let newest = ranges[index].map_or(publication.offset, |(_, newest)| newest);
            ranges[index] = Some((publication.offset, newest));
            if cost > PAGES_BYTES_MAX {
                kept = None;
            } else if let Some(kept) = &mut kept {
                kept.push((index, publication));
            }
        }
        is_cut |= backward.has_more();
        let mut forward = Self { engine: engine.clone(), direction: Direction::Forward, sources: Vec::new() };
        let mut before = Vec::new();
        for (source, range) in backward.sources.into_iter().zip(ranges) {
            let (source, continued) = source.turned(range);
            before.push((source.topic.clone(), continued));
            forward.sources.push(source);
        }
        for (index, publication) in kept.into_iter().flatten() {
            // Newest first, so each goes before those of its topic that are there.
            let source = &mut forward.sources[index];
            source.has_more = false;
            source.page.push_front(publication);
        }
        Ok(Newest { history: forward, count, is_cut, before })
    }

    fn reading(&self, next: Option<Since>) -> Reading {
        match self.direction {
            Direction::Forward => Reading::Forward { since: next, limit: PAGE_PUBLICATIONS_MAX },
            Direction::Backward => Reading::Backward { until: next, limit: PAGE_PUBLICATIONS_MAX },
        }
    }

    /// Takes the next publication, with the number of its topic.
    ///
    /// # Errors
    /// If the history of a topic cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<(usize, Arc<Publication>)>, Refusal> {
        let bytes_max = PAGES_BYTES_MAX / self.sources.len().max(1);
        for index in 0..self.sources.len() {
            let source = &self.sources[index];
            if !source.page.is_empty() || !source.has_more {
                continue;
            }
            let (topic, next) = (source.topic.clone(), source.next.clone());
            // Others have their turn between two pages, even where none waits for the disk.
            tokio::task::yield_now().await;
            let page = self.engine.read_history(&topic, self.reading(next), bytes_max).await?.page;
            let source = &mut self.sources[index];
            source.has_gap |= page.gap;
            source.take_page(page.publications, page.more);
        }
        let waiting = self.sources.iter().enumerate().filter_map(|(index, source)| {
            let first = source.page.front()?;
            Some((index, (first.message.ts, first.accepted_us)))
        });
        let chosen = match self.direction {
            Direction::Forward => waiting.min_by_key(|(index, order)| (*order, *index)),
            Direction::Backward => waiting.min_by_key(|(index, order)| (Reverse(*order), *index)),
        };
        Ok(chosen.and_then(|(index, _)| self.sources[index].take().map(|publication| (index, publication))))
    }

    /// Returns whether there is more to take.
    pub(super) fn has_more(&self) -> bool {
        self.sources.iter().any(|source| !source.page.is_empty() || source.has_more)
    }

    /// Returns whether something in the range that was read is no longer held.
    pub(super) fn has_gap(&self) -> bool {
        self.sources.iter().any(|source| source.has_gap)
    }

    /// Returns the reader's position in each topic.
    pub(super) fn positions(&self) -> Vec<(Topic, Position)> {
        self.sources.iter().map(|source| (source.topic.clone(), source.at)).collect()
    }
}

impl Source {
    fn take_page(&mut self, mut publications: Vec<Arc<Publication>>, more: bool) {
        self.has_more = more;
        if let Some(last) = self.last {
            let wanted = publications.partition_point(|publication| publication.offset <= last);
            self.has_more &= wanted == publications.len();
            publications.truncate(wanted);
        }
        if let Some(last) = publications.last() {
            self.next = Some(Since::Position(Position { offset: last.offset, ..self.at }));
        } else {
            self.has_more = false;
        }
        self.page = publications.into();
    }

    fn take(&mut self) -> Option<Arc<Publication>> {
        let publication = self.page.pop_front()?;
        self.at.offset = publication.offset;
        Some(publication)
    }

    /// Returns a source of the same topic that reads `range`, from its first to its last offset, forward, and where to continue
    /// backwards.
    fn turned(self, range: Option<(u64, u64)>) -> (Self, Position) {
        let Self { topic, head, .. } = self;
        let (range, at, continued) = match range {
            Some((oldest, newest)) => {
                let oldest = Position { offset: oldest, ..head };
                // Reading begins after a position.
                let before = oldest.bound_before();
                (Some((before, newest)), before, oldest)
            }
            // Nothing of the topic was taken: its newest is left to be read backwards.
            None => (None, head, head.bound_after()),
        };
        let source = Self {
            topic,
            next: range.map(|(before, _)| Since::Position(before)),
            page: VecDeque::new(),
            has_more: range.is_some(),
            last: range.map(|(_, newest)| newest),
            head,
            at,
            has_gap: false,
        };
        (source, continued)
    }
}

/// Returns where a reader stands before the first of `publications`. Reading backwards, a position is never included, so that
/// is after it; where nothing is left to read it is the first of all, before which there never was anything.
fn start_of(publications: &[Arc<Publication>], head: Position, direction: Direction) -> Position {
    let first = publications.first().map(|first| Position { offset: first.offset, ..head });
    match (first, direction) {
        (Some(first), Direction::Forward) => first.bound_before(),
        (Some(first), Direction::Backward) => first.bound_after(),
        (None, Direction::Forward) => head,
        (None, Direction::Backward) => Position { offset: 0, ..head }.bound_after(),
    }
}
