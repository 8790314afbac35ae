//! The store as an archive of the engine: durable topics on the local disk.
//!
//! Offsets are consecutive here, and only here and below they are computed with. Publications arrive on the writer's thread
//! before their receipts. Reads run on blocking threads, [`READS_MAX`] at a time; each holds its permit only while the disk is read.

use std::sync::PoisonError;
use std::time::Duration;

use fanwire_protocol::{Pattern, Position, StartPoint, Topic};
use tokio::task::spawn_blocking;

use super::Store;
use super::error::StoreError;
use super::readers::Readers;
use super::record::{Bounds, TopicRecord};
use crate::engine::{
    self, Append, Archive, ArchiveError, Arrivals, Committed, Done, Interest, Keep, Pending, Range, Removal,
    Scope, Status,
};
use crate::owned_task;

/// The maximum number of reads at a time; the others wait for their turn.
pub(super) const READS_MAX: usize = 4;

/// The number of topics on disk that one call of [`Archive::tidy`] looks at.
const TOPICS_AT_ONCE: usize = 10_000;

/// The time for which a topic that holds nothing stays known after its last publication, so that the positions of clients that reconnect are
/// still recognised.
const NUMBERING_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::TooManyTopics => Self::TooManyTopics,
            StoreError::Unavailable(_)
            | StoreError::NoSpace(_)
            | StoreError::Damaged(_)
            | StoreError::Closed => Self::Unavailable,
        }
    }
}

impl Archive for Store {
    fn deliver_to(&self, arrivals: Arrivals) {
        let _already_set = self.arrivals.set(arrivals);
    }

    fn append(&self, append: Append, done: Done<Committed>) -> Result<(), ArchiveError> {
        Ok(self.append(append, Box::new(|result| done(result.map_err(ArchiveError::from))))?)
    }

    fn load(&self, topic: &Topic, keep: Keep) -> Pending<Option<engine::TopicRecord>> {
        let topic = topic.clone();
        self.read_later(move |readers| Ok(readers.load(&topic, &keep)?.as_ref().map(head_of)))
    }

    fn read(&self, topic: &Topic, range: Range, bounds: engine::Bounds) -> Pending<Option<engine::Stretch>> {
        let topic = topic.clone();
        self.read_later(move |readers| {
            let Some(record) = readers.load(&topic, &bounds.keep)? else { return Ok(None) };
            let known = Known { readers, topic: &topic, record };
            match range {
                Range::Since(start) => known.since(start, &bounds),
                Range::Newest(count) => known.after(known.record.head.saturating_sub(count), true, &bounds),
                Range::Before(start) => known.before(start, &bounds),
            }
        })
    }

    fn remove(&self, topic: &Topic, removal: Removal, done: Done<()>) -> Result<(), ArchiveError> {
        let removed =
            Box::new(move |result: Result<(), StoreError>| done(result.map_err(ArchiveError::from)));
        match removal {
            Removal::History => self.clear_topic(topic, removed)?,
            Removal::Numbering => self.forget_topic(topic, removed)?,
        }
        Ok(())
    }

    fn tidy(&self, now_ms: u64, keep_of: &dyn Fn(&Topic) -> Option<Keep>) -> Vec<Topic> {
        // A full queue or a failing disk is no loss here: the next call asks for the same.
        let _asked_again = self.forget_keys(now_ms);
        let mut last = self.tidied_until.lock().unwrap_or_else(PoisonError::into_inner);
        let keep_or_all = |topic: &Topic| keep_of(topic).unwrap_or(Keep::ALL);
        let Ok(topics) = self.topics(last.as_ref(), TOPICS_AT_ONCE, keep_or_all) else { return Vec::new() };
        *last = (topics.len() == TOPICS_AT_ONCE).then(|| topics[topics.len() - 1].0.clone());
        drop(last);
        let forgotten_before = now_ms.saturating_sub(NUMBERING_KEPT.as_millis() as u64);
        let mut forgettable = Vec::new();
        for (topic, record) in topics {
            // What no rule calls durable any more is left alone, for the next rule that does.
            let Some(keep) = keep_of(&topic) else { continue };
            if record.floor == record.head && record.newest_ts < forgotten_before {
                forgettable.push(topic);
            } else {
                let _asked_again = self.trim(&topic, keep);
            }
        }
        forgettable
    }

    fn interest(&self, _pattern: &Pattern, _change: Interest) {}

    fn status(&self) -> Status {
        Status { scope: Scope::Durable, queued_bytes: self.queued_bytes() }
    }
}

impl Store {
    /// Runs `work` on a blocking thread, in a task that owns its permit.
    fn read_later<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Readers) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        let (readers, permits) = (self.readers.clone(), self.read_permits.clone());
        Box::pin(async move {
            let read = owned_task::run(async move {
                let permit = permits.acquire_owned().await;
                let work = move || {
                    let _permit = permit;
                    work(&readers)
                };
                spawn_blocking(work).await
            });
            match read.await.and_then(|read| read) {
                Ok(result) => result.map_err(ArchiveError::from),
                Err(error) => {
                    tracing::error!(%error, "a read of the store ended early");
                    Err(ArchiveError::Unavailable)
                }
            }
        })
    }
}

fn head_of(record: &TopicRecord) -> engine::TopicRecord {
    let head = Position { epoch: record.epoch, offset: record.head };
    engine::TopicRecord { head, newest_ts: record.newest_ts }
}

/// A topic that the store knows.
struct Known<'a> {
    readers: &'a Readers,
    topic: &'a Topic,
    record: TopicRecord,
}

impl Known<'_> {
    /// Reads what comes after `start`.
    fn since(
        &self,
        start: StartPoint,
        bounds: &engine::Bounds,
    ) -> Result<Option<engine::Stretch>, StoreError> {
        let (after, is_whole) = self.place(start, &bounds.keep)?;
        let is_exact = start != StartPoint::Earliest;
        let mut stretch = self.after(after, !is_exact, bounds)?;
        if let Some(stretch) = &mut stretch {
            stretch.gap |= !is_whole;
        }
        Ok(stretch)
    }

    /// Reads what comes after the offset `after`. If `may_begin_later`, what is no longer held there is not missing.
    fn after(
        &self,
        after: u64,
        may_begin_later: bool,
        bounds: &engine::Bounds,
    ) -> Result<Option<engine::Stretch>, StoreError> {
        let stretch = self.readers.read_after(self.topic, self.record.epoch, after, &inner(bounds))?;
        Ok(stretch.map(|stretch| {
            engine::Stretch {
                reached: stretch.last,
                damaged: stretch.damaged > 0,
                // Something may have become too old since the record was read.
                gap: !may_begin_later && stretch.floor > after,
                record: head_of(&self.record),
                more: stretch.more,
                publications: stretch.publications,
            }
        }))
    }

    /// Reads what comes before `start`, newest first.
    fn before(
        &self,
        start: StartPoint,
        bounds: &engine::Bounds,
    ) -> Result<Option<engine::Stretch>, StoreError> {
        let (before, gap) = match start {
            StartPoint::Earliest => (u64::MAX, false),
            // Nothing was ever published before an epoch's first offset, so nothing of it can be missing.
            StartPoint::After(at) if at.epoch == self.record.epoch => {
                (at.offset, (2..=self.record.floor).contains(&at.offset))
            }
            StartPoint::After(_) => (u64::MAX, true),
            StartPoint::Moment(_) => {
                let (after, is_whole) = self.place(start, &bounds.keep)?;
                (after.saturating_add(1), !is_whole)
            }
        };
        let stretch = self.readers.read_before(self.topic, self.record.epoch, before, &inner(bounds))?;
        Ok(stretch.map(|stretch| engine::Stretch {
            publications: stretch.publications,
            record: head_of(&self.record),
            reached: self.record.head,
            gap,
            damaged: stretch.damaged > 0,
            more: stretch.more,
        }))
    }

    /// Returns the offset after which `start` begins, and whether everything from there on is held.
    fn place(&self, start: StartPoint, keep: &Keep) -> Result<(u64, bool), StoreError> {
        let record = &self.record;
        Ok(match start {
            StartPoint::Earliest => (record.floor, true),
            StartPoint::After(at)
                if at.epoch == record.epoch && (record.floor..=record.head).contains(&at.offset) =>
            {
                (at.offset, true)
            }
            StartPoint::After(_) => (record.floor, false),
            StartPoint::Moment(moment) => {
                let after = self.readers.offset_before(self.topic, record.epoch, moment, keep)?;
                (after.unwrap_or(record.head), self.holds_all_since(moment, keep))
            }
        })
    }

    /// Returns whether nothing accepted at `moment` or later is missing. A topic of which nothing is missing may have begun anew, but
    /// only when everything of it was too old to be kept.
    fn holds_all_since(&self, moment: u64, keep: &Keep) -> bool {
        let record = &self.record;
        if record.floor == 0 { keep.oldest_ts(record.newest_ts) <= moment } else { record.floor_ts < moment }
    }
}

fn inner(bounds: &engine::Bounds) -> Bounds {
    let engine::Bounds { limit, bytes_max, keep } = *bounds;
    Bounds { through: u64::MAX, limit, bytes_max, keep }
}
