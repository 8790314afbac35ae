//! Reading: a few connections of their own, so that a reader neither waits for the writer nor holds it up.
//!
//! Everything that one call returns is of one moment. Rows that should be there and are not are damage, never a short
//! answer. Rows that are there and damaged are left out, counted, and reported.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use fanwire_protocol::{Epoch, Topic};
use rusqlite::{Connection, params};

use super::error::StoreError;
use super::event::{Event, Observer};
use super::health::{Health, Operation};
use super::numbering::Numbering;
use super::open::DataDirectory;
use super::publication::Keep;
use super::record::{Bounds, Stretch, TopicRecord};
use super::row::{self, COLUMNS};
use crate::failpoint::{self, Failpoint};

/// The maximum number of connections that read at once. A further reader waits for one of them.
const CONNECTIONS_MAX: usize = 4;

/// The maximum number of damaged publications that one read passes over.
const DAMAGED_MAX: u64 = 1_000;

pub(super) struct Readers {
    pool: Mutex<Pool>,
    returned: Condvar,
    health: Arc<Health>,
    observer: Observer,
    /// Last, so that the directory is released when the connections are closed.
    directory: Arc<DataDirectory>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
}

/// Which end of a range is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

impl Readers {
    pub(super) fn new(directory: Arc<DataDirectory>, health: Arc<Health>, observer: Observer) -> Self {
        Self { pool: Mutex::default(), returned: Condvar::new(), health, observer, directory }
    }

    /// Reads a topic's record, see [`super::Store::load`].
    pub(super) fn load(&self, topic: &Topic, keep: &Keep) -> Result<Option<TopicRecord>, StoreError> {
        self.at_one_moment(|connection| match Numbering::load(connection, topic)? {
            Some(numbering) => Ok(Some(record(connection, &numbering, keep)?)),
            None => Ok(None),
        })
    }

    /// Lists topics, see [`super::Store::topics`].
    pub(super) fn topics(
        &self,
        after: Option<&Topic>,
        limit: usize,
        keep_of: impl Fn(&Topic) -> Keep,
    ) -> Result<Vec<(Topic, TopicRecord)>, StoreError> {
        self.at_one_moment(|connection| {
            let mut names = connection
                .prepare_cached("SELECT name FROM topics WHERE name > ?1 ORDER BY name LIMIT ?2")?;
            let names = names.query_map(params![after.map_or("", Topic::as_str), limit as i64], |row| {
                row.get::<_, String>(0)
            })?;
            let mut topics = Vec::new();
            for name in names {
                let topic = Topic::new(&name?).map_err(|error| StoreError::damaged(&error.to_string()))?;
                if let Some(numbering) = Numbering::load(connection, &topic)? {
                    let record = record(connection, &numbering, &keep_of(&topic))?;
                    topics.push((topic, record));
                }
            }
            Ok(topics)
        })
    }

    /// Reads forward, see [`super::Store::read_after`].
    pub(super) fn read_after(
        &self,
        topic: &Topic,
        epoch: Epoch,
        after: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.in_topic(topic, epoch, |connection, numbering| {
            let floor = numbering.floor_under(connection, &bounds.keep)?;
            let high = bounds.through.min(numbering.head.offset);
            let range = (after.max(floor), high);
            self.stretch(connection, (topic, numbering.id), floor, range, Order::OldestFirst, bounds)
        })
    }

    /// Reads backward, see [`super::Store::read_before`].
    pub(super) fn read_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        before: u64,
        bounds: &Bounds,
    ) -> Result<Option<Stretch>, StoreError> {
        self.in_topic(topic, epoch, |connection, numbering| {
            let floor = numbering.floor_under(connection, &bounds.keep)?;
            let high = before.saturating_sub(1).min(bounds.through).min(numbering.head.offset);
            self.stretch(connection, (topic, numbering.id), floor, (floor, high), Order::NewestFirst, bounds)
        })
    }

    /// Finds an offset, see [`super::Store::offset_before`].
    pub(super) fn offset_before(
        &self,
        topic: &Topic,
        epoch: Epoch,
        ts: u64,
        keep: &Keep,
    ) -> Result<Option<u64>, StoreError> {
        self.in_topic(topic, epoch, |connection, numbering| {
            let floor = numbering.floor_under(connection, keep)?;
            numbering.last_before(connection, floor, ts)
        })
    }

    fn in_topic<T>(
        &self,
        topic: &Topic,
        epoch: Epoch,
        work: impl FnOnce(&Connection, &Numbering) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.at_one_moment(|connection| match Numbering::load(connection, topic)? {
            Some(numbering) if numbering.epoch == epoch => work(connection, &numbering).map(Some),
            _ => Ok(None),
        })
    }

    /// Runs `work` on a connection that sees the database as it is now, whatever is written meanwhile.
    fn at_one_moment<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        failpoint::reach(Failpoint::StoreRead)?;
        let connection = self.borrow();
        let result = connection.and_then(|connection| {
            let result = connection
                .unchecked_transaction()
                .map_err(StoreError::from)
                .and_then(|transaction| work(&transaction));
            self.give_back(connection, result.is_ok());
            result
        });
        self.health.note(Operation::Read, result.as_ref().err());
        result
    }

    fn borrow(&self) -> Result<Connection, StoreError> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = |pool: &mut Pool| pool.idle.is_empty() && pool.in_use >= CONNECTIONS_MAX;
        let mut pool = self.returned.wait_while(pool, is_taken).unwrap_or_else(PoisonError::into_inner);
        pool.in_use += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => self.directory.open_reader(),
        };
        if connection.is_err() {
            self.pool.lock().unwrap_or_else(PoisonError::into_inner).in_use -= 1;
            self.returned.notify_one();
        }
        connection
    }

    /// Takes a connection back. One that failed is closed, so that its state ends with it.
    fn give_back(&self, connection: Connection, is_well: bool) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.in_use -= 1;
        if is_well {
            pool.idle.push(connection);
        }
        drop(pool);
        self.returned.notify_one();
    }

    /// Reads what lies after `range.0` up to and with `range.1`, in `order`, as far as the bounds allow.
    fn stretch(
        &self,
        connection: &Connection,
        (topic, topic_id): (&Topic, i64),
        floor: u64,
        (low, high): (u64, u64),
        order: Order,
        bounds: &Bounds,
    ) -> Result<Stretch, StoreError> {
        let last = if order == Order::OldestFirst { low } else { high.saturating_add(1) };
        let mut stretch = Stretch { publications: Vec::new(), floor, damaged: 0, last, more: false };
        if high <= low {
            return Ok(stretch);
        }
        let direction = match order {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        };
        let mut select = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM publications WHERE id > ?1 AND id <= ?2 ORDER BY id {direction}"
        ))?;
        let mut rows = select.query([row::id(topic_id, low), row::id(topic_id, high)])?;
        let (mut bytes, mut read) = (0, 0);
        while let Some(row) = rows.next()? {
            let (offset, publication) = row::publication(row)?;
            let next = match order {
                Order::OldestFirst => low + 1 + read,
                Order::NewestFirst => high - read,
            };
            if offset != next {
                return Err(StoreError::damaged("a publication is missing between two that are held"));
            }
            bytes += publication.as_ref().map_or(0, |publication| publication.payload.json_len_max());
            let is_full = stretch.publications.len() >= bounds.limit || stretch.damaged >= DAMAGED_MAX;
            if is_full || (read > 0 && bytes > bounds.bytes_max) {
                stretch.more = true;
                return Ok(stretch);
            }
            (read, stretch.last) = (read + 1, offset);
            match publication {
                Ok(publication) => stretch.publications.push(publication),
                Err(StoreError::Damaged(_)) => {
                    stretch.damaged += 1;
                    (self.observer)(Event::PublicationDamaged { topic: topic.clone(), offset });
                }
                Err(error) => return Err(error),
            }
        }
        if read != high - low {
            return Err(StoreError::damaged("publications are missing at the end of a topic"));
        }
        Ok(stretch)
    }
}

fn record(connection: &Connection, numbering: &Numbering, keep: &Keep) -> Result<TopicRecord, StoreError> {
    let floor = numbering.floor_under(connection, keep)?;
    let point = numbering.point_at(connection, floor)?;
    Ok(TopicRecord {
        epoch: numbering.epoch,
        head: numbering.head.offset,
        floor,
        floor_ts: point.ts,
        bytes: numbering.head.total - point.total,
        newest_ts: numbering.head.ts,
    })
}
