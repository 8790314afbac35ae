//! The numbering of one topic: its epoch, its head, its floor, and how far retention reaches.
//!
//! The writer and every reader read it in the same way, so that they agree on what is still held. The store assigns
//! offsets, and they are consecutive here, and only here: a row that is missing between floor and head is damage.

use fanwire_protocol::{Epoch, Topic};
use rusqlite::{Connection, OptionalExtension, Row};

use super::error::StoreError;
use super::publication::Keep;
use super::row;

/// The numbering of a topic as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The id of the topic's row.
    pub(super) id: i64,
    /// The epoch of its offsets.
    pub(super) epoch: Epoch,
    /// Its newest publication, held or not; offset 0 before the first.
    pub(super) head: Point,
    /// The newest publication that is not held any more; offset 0 while all are.
    pub(super) floor: Point,
}

/// One publication without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    /// The offset of the publication.
    pub(super) offset: u64,
    /// The costs of all publications of the epoch up to and with this one.
    pub(super) total: u64,
    /// The time at which it was accepted, in milliseconds since 1970.
    pub(super) ts: u64,
}

impl Numbering {
    /// Reads the numbering of `topic`, if the topic is known.
    pub(super) fn load(connection: &Connection, topic: &Topic) -> Result<Option<Self>, StoreError> {
        let mut find = connection
            .prepare_cached("SELECT id, epoch, floor, floor_total, floor_ts FROM topics WHERE name = ?1")?;
        let found = find.query_row([topic.as_str()], |row| {
            let floor = Point { offset: number(row, 2)?, total: number(row, 3)?, ts: number(row, 4)? };
            Ok(Self { id: row.get(0)?, epoch: epoch(row.get(1)?), head: floor, floor })
        });
        let Some(mut numbering) = found.optional()? else { return Ok(None) };
        numbering.load_head(connection)?;
        Ok(Some(numbering))
    }

    /// Sets the head to the last publication, or to the floor when none is held.
    pub(super) fn load_head(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut newest = connection.prepare_cached(
            "SELECT id, total, ts FROM publications WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
        )?;
        let range = [row::id(self.id, 0), row::id(self.id, row::OFFSET_MAX)];
        self.head = newest.query_row(range, publication).optional()?.unwrap_or(self.floor);
        if self.head.offset < self.floor.offset || self.head.total < self.floor.total {
            return Err(StoreError::damaged(
                "a topic's newest publication is older than what was deleted of it",
            ));
        }
        Ok(())
    }

    /// Reads the publication at `offset`, which lies between floor and head.
    pub(super) fn point_at(&self, connection: &Connection, offset: u64) -> Result<Point, StoreError> {
        if offset == self.floor.offset {
            return Ok(self.floor);
        }
        if offset == self.head.offset {
            return Ok(self.head);
        }
        let mut find = connection.prepare_cached("SELECT id, total, ts FROM publications WHERE id = ?1")?;
        let found = find.query_row([row::id(self.id, offset)], publication).optional()?;
        found.ok_or_else(|| StoreError::damaged("a publication is missing between two that are held"))
    }

    /// Returns the last offset that `keep` does not keep: the floor as it ought to be, however far deletion has come.
    pub(super) fn floor_under(&self, connection: &Connection, keep: &Keep) -> Result<u64, StoreError> {
        let by_count = self.head.offset.saturating_sub(keep.messages);
        let mut floor = self.floor.offset.max(by_count);
        let spent = self.head.total.saturating_sub(keep.bytes);
        if spent > self.floor.total {
            // Between floor and head the running sum passes the excess.
            floor = self.first(connection, floor, |point| point.total >= spent)?;
        }
        let oldest_ts = keep.oldest_ts(self.head.ts);
        if self.head.ts < oldest_ts {
            return Ok(self.head.offset);
        }
        if floor < self.head.offset {
            floor = self.last_before(connection, floor, oldest_ts)?;
        }
        Ok(floor)
    }

    /// Returns the last offset from `low` on whose publication was accepted before `ts`; `low` itself if there is none.
    pub(super) fn last_before(&self, connection: &Connection, low: u64, ts: u64) -> Result<u64, StoreError> {
        if low >= self.head.offset || self.point_at(connection, low + 1)?.ts >= ts {
            return Ok(low);
        }
        let first = self.first(connection, low + 1, |point| point.ts >= ts)?;
        let is_found = self.point_at(connection, first)?.ts >= ts;
        Ok(if is_found { first - 1 } else { first })
    }

    /// Finds the first publication from `low` on for which `is_far` holds, by bisection; the head if there is none.
    fn first(
        &self,
        connection: &Connection,
        low: u64,
        is_far: impl Fn(&Point) -> bool,
    ) -> Result<u64, StoreError> {
        let (mut low, mut high) = (low, self.head.offset);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_far(&self.point_at(connection, middle)?) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }
}

/// Epochs use all 64 bits; SQLite's integers have a sign, so the bits are kept and the number is not.
pub(super) fn epoch(stored: i64) -> Epoch {
    Epoch::from_random(stored as u64)
}

/// Reads the id, total and ts of a publication.
fn publication(row: &Row<'_>) -> rusqlite::Result<Point> {
    Ok(Point { offset: row::offset(row.get(0)?), total: number(row, 1)?, ts: number(row, 2)? })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}
