//! The publication that was accepted last, as the mark names it, and what a database lacks that does not have it.
//!
//! Commits are lost from the end only: a database that has the newest publication has all that were acknowledged before it.

use fanwire_protocol::Epoch;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use super::numbering::epoch;
use super::row::{self, TOPIC_ID_MAX};

/// The place of a publication in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    /// The id of the row of its topic.
    pub(super) topic: i64,
    /// The epoch of its offset.
    pub(super) epoch: Epoch,
    /// Its offset; 0 if nothing was accepted yet.
    pub(super) offset: u64,
}

impl Newest {
    /// The place before the first publication, which every database has.
    pub(super) const NONE: Self = Self { topic: 0, epoch: Epoch::FOREIGN, offset: 0 };

    /// Returns what the database lacks, for the operator; `None` if it has the publication, or had it and deleted it.
    pub(super) fn lacking(&self, connection: &Connection) -> Result<Option<String>, StoreError> {
        if self.offset == 0 {
            return Ok(None);
        }
        let mut find = connection.prepare("SELECT epoch, floor FROM topics WHERE id = ?1")?;
        let found =
            find.query_row([self.topic], |row| Ok((epoch(row.get(0)?), row.get::<_, i64>(1)? as u64)));
        let lacks_topic = "the database lacks the topic that was published to last".to_owned();
        let Some((epoch, floor)) = found.optional()? else {
            return Ok((!self.was_forgotten(connection)?).then_some(lacks_topic));
        };
        if epoch != self.epoch {
            return Ok(Some(lacks_topic));
        }
        let range = params![row::id(self.topic, 0), row::id(self.topic, row::OFFSET_MAX)];
        let newest = "SELECT max(id) FROM publications WHERE id BETWEEN ?1 AND ?2";
        let newest: Option<i64> = connection.query_row(newest, range, |row| row.get(0))?;
        let head = newest.map_or(floor, row::offset);
        Ok((head < self.offset).then(|| {
            let lost = self.offset - head;
            format!("the database lacks the last {lost} publications of the topic that was published to last")
        }))
    }

    /// Whether the topic existed and was forgotten later: ids are counted up. Once they are used up and assigned again that is
    /// not known, and new epochs are right in any case.
    fn was_forgotten(&self, connection: &Connection) -> Result<bool, StoreError> {
        let mut last = connection.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'topics'")?;
        let last: Option<i64> = last.query_row([], |row| row.get(0)).optional()?;
        Ok(last.is_some_and(|last| (self.topic..=TOPIC_ID_MAX).contains(&last)))
    }
}
