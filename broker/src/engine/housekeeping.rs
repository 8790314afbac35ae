//! The periodic work of an engine: what is too old, too much, or waits in the archive. The caller decides when.

use std::sync::Arc;

use super::archived::Archived;
use super::catalog::Catalog;
use super::topics::Topics;
use crate::clock;

/// The periodic work of one engine. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Housekeeping {
    topics: Arc<Topics>,
    archived: Option<Arc<Archived>>,
    catalog: Arc<Catalog>,
}

impl Housekeeping {
    /// The work for these topics.
    pub(super) fn new(topics: Arc<Topics>, archived: Option<Arc<Archived>>, catalog: Arc<Catalog>) -> Self {
        Self { topics, archived, catalog }
    }

    /// Drops what is too old, and topics that are not needed.
    pub(crate) fn tidy(&self) {
        self.catalog.forget_stale(clock::monotonic_us());
        self.topics.tidy();
    }

    /// Waits until memory is over its cap.
    pub(crate) async fn outgrown(&self) {
        self.topics.memory().outgrown().await;
    }

    /// Drops the history of the topics longest unused until memory has room again.
    pub(crate) fn evict(&self) {
        self.topics.evict();
    }

    /// Deletes what archived topics need not keep any longer. Waits for the disk.
    pub(crate) fn tidy_archive(&self) {
        if let Some(archived) = &self.archived {
            archived.tidy();
        }
    }

    /// Counts what waits to be written by the archive.
    pub(crate) fn measure_archive(&self) {
        if let Some(archived) = &self.archived {
            archived.measure();
        }
    }
}
