//! Durable topics of the world: an archive that is ahead of what has been delivered, a tail of it in memory, and sessions
//! that catch up from the archive before they subscribe.
//!
//! The archive gives offsets in steps of the topic's stride: 1 as the store does, or more as an archive does whose topics share
//! one numbering. `commit`, `complete`, `begin_catching_up` and `catch_up` mirror `broker/src/engine/archived.rs` and
//! `broker/src/sessions/reads.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::held::HeldSum;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::{Missed, Placed};
use fanwire_core::outbox::Outbox;
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{Message, Payload, Position, StartPoint};
use fastrand::Rng;

use crate::format::EVENTS;
use crate::world::{Flaw, OUTBOX_BYTES, Sender, Session, World};

/// The part of a durable topic that is in memory.
pub(crate) const TAIL: HistoryLimits = HistoryLimits { messages: 4, bytes: usize::MAX, ttl_ms: 1_000_000 };

/// The number of publications that the disk keeps.
const KEPT: usize = 40;

/// The publications of one topic on disk, and on their way there.
pub(crate) struct Disk {
    /// The difference between two offsets.
    stride: u64,
    /// The newest offset that is on disk.
    pub(crate) head: u64,
    /// The newest offset that is not held any more.
    pub(crate) floor: u64,
    /// All offsets that are held.
    pub(crate) held: VecDeque<u64>,
    /// Published and not on disk yet.
    pending: VecDeque<Option<Sender>>,
    /// On disk and not delivered yet: the offset, the one before it, and the sender.
    committed: VecDeque<(u64, u64, Option<Sender>)>,
}

impl Disk {
    /// An empty disk that numbers in steps of `stride`.
    pub(crate) fn new(stride: u64) -> Self {
        let (held, pending, committed) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { stride, head: 0, floor: 0, held, pending, committed }
    }
}

impl World {
    /// Publishes to a durable topic.
    pub(crate) fn ask(&mut self, topic: usize, sender: Option<Sender>) {
        if let Some(disk) = &mut self.topics[topic].disk {
            disk.pending.push_back(sender);
        }
    }

    /// Puts some publications on disk, or delivers some that are there.
    pub(crate) fn work_on_disk(&mut self, topic: usize, random: &mut Rng) {
        let count = random.usize(1..8);
        if random.bool() { self.commit(topic, count) } else { self.complete(topic, count) }
    }

    /// Lets the disk and its readers finish.
    pub(crate) fn settle_disks(&mut self) -> Result<(), String> {
        for topic in 0..self.topics.len() {
            self.commit(topic, usize::MAX);
            self.complete(topic, usize::MAX);
        }
        for client in 0..self.clients.len() {
            while self.clients[client].catching_up.is_some() {
                self.catch_up(client);
                self.write(client, usize::MAX)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, topic: usize, count: usize) {
        let topic = &mut self.topics[topic];
        let Some(disk) = &mut topic.disk else { return };
        for sender in disk.pending.drain(..count.min(disk.pending.len())) {
            let before = disk.head;
            disk.head += disk.stride;
            disk.committed.push_back((disk.head, before, sender));
            disk.held.push_back(disk.head);
            topic.published.push((disk.head, sender));
        }
        while disk.held.len() > KEPT {
            disk.floor = disk.held.pop_front().expect("there are more than are kept");
        }
    }

    fn complete(&mut self, topic: usize, count: usize) {
        let epoch = self.topics[topic].log.head().epoch;
        for _ in 0..count {
            let state = &mut self.topics[topic];
            let Some((offset, after, sender)) =
                state.disk.as_mut().and_then(|disk| disk.committed.pop_front())
            else {
                return;
            };
            let payload = Payload::text(format!("{offset} in {}", state.name));
            let publish = Publish { topic: state.name.clone(), payload, key: None, from: None, except: None };
            let position = Position { epoch, offset };
            let placed = Placed { position, after, ts: 0 };
            let publication =
                state.log.append_placed(publish, &state.name, placed, &TAIL, 0, &HeldSum::default());
            let except = sender.map(|(_, (worker, key))| (worker, SessionKey(key)));
            let broadcast = Arc::new(Broadcast::new(publication, except));
            for worker in &mut self.workers {
                worker.inbox.push_back(broadcast.clone());
            }
        }
    }

    /// Kills the broker: what was not on disk is lost, what was not delivered is found there.
    pub(crate) fn kill(&mut self, topic: usize) {
        let state = &mut self.topics[topic];
        let Some(disk) = &mut state.disk else { return };
        disk.pending.clear();
        disk.committed.clear();
        let head = Position { offset: disk.head, ..state.log.head() };
        state.log.begin_after(head, 0);
    }

    /// Returns what a client missed of a durable topic after `asked` from memory, or else, as `Err`, the position after which to
    /// read the disk, and whether everything is there.
    pub(crate) fn join_tail(&self, client: usize, asked: Position) -> Result<Missed, (Position, bool)> {
        let topic = self.topic_of(client);
        let (Some(disk), place) = (&topic.disk, StartPoint::After(asked)) else { return Err((asked, false)) };
        if topic.log.holds_all_from(place) {
            return Ok(topic.log.since(place));
        }
        let recovered = (disk.floor..=disk.head).contains(&asked.offset);
        let offset = if recovered { asked.offset } else { disk.floor };
        Err((Position { offset, ..asked }, recovered))
    }

    /// Opens a session that receives what is on disk after `at` before it subscribes.
    pub(crate) fn begin_catching_up(&mut self, client: usize, worker: usize, at: Position) {
        let name = self.clients[client].topic.clone();
        let flaw = self.flaw;
        let live = self.topic_of(client).log.head().offset;
        let crate::world::Worker { subscribers, sessions, next_key, .. } = &mut self.workers[worker];
        let key = *next_key;
        *next_key += 1;
        let pattern = name.into();
        let subscription = match flaw {
            Flaw::ListensWhileItCatchesUp => subscribers.join(&pattern, SessionKey(key), &EVENTS, live),
            _ => subscribers.join_held(&pattern, SessionKey(key), &EVENTS),
        };
        let outbox = Outbox::new(&EVENTS, OUTBOX_BYTES);
        sessions.insert(key, Session { client, outbox, subscription: Some(subscription) });
        self.clients[client].session = Some((worker, key));
        self.clients[client].catching_up = Some(at);
        self.clients[client].replayed_to = u64::MAX;
    }

    /// Sends a client the next piece from the disk if it has room for it, or subscribes it if memory has the rest.
    pub(crate) fn catch_up(&mut self, client: usize) {
        let (Some(at), Some((worker, key))) =
            (self.clients[client].catching_up, self.clients[client].session)
        else {
            return;
        };
        let flaw = self.flaw;
        let topic = self.topic_of(client);
        let (head, place) = (topic.log.head(), StartPoint::After(at));
        let is_ahead = at.offset > head.offset;
        let joined = (is_ahead || topic.log.holds_all_from(place)).then(|| {
            let missed = if is_ahead { Vec::new() } else { topic.log.since(place).publications };
            let after = if flaw == Flaw::ForgetsThatTheDiskIsAhead {
                head.offset
            } else {
                head.offset.max(at.offset)
            };
            (missed, after)
        });
        let piece = topic.disk.as_ref().map(|disk| {
            let next = disk.held.iter().copied().filter(|offset| *offset > at.offset);
            (disk.floor, next.take(5).collect::<Vec<u64>>())
        });
        let name = topic.name.clone();
        let crate::world::Worker { subscribers, sessions, .. } = &mut self.workers[worker];
        let session = sessions.get_mut(&key).expect("connected clients have sessions");
        if let Some((missed, after)) = joined {
            session.outbox.push_replay(missed);
            let subscription = session.subscription.expect("its place is held");
            subscribers.deliver_after(&name.into(), subscription, after);
            self.clients[client].catching_up = None;
            self.clients[client].replayed_to = after;
        } else if let Some((floor, _)) = piece
            && floor > at.offset
        {
            // What it needs was deleted in the meantime: it is disconnected, and learns of the loss when it reconnects.
            self.disconnect(client);
        } else if let Some((_, offsets)) = piece
            && !session.outbox.is_over()
        {
            let end = offsets.last().copied().unwrap_or(at.offset);
            session
                .outbox
                .push_replay(offsets.into_iter().map(|offset| on_disk(&name, at, offset)).collect());
            self.clients[client].catching_up = Some(Position { offset: end, ..at });
        }
    }
}

fn on_disk(topic: &fanwire_protocol::Topic, at: Position, offset: u64) -> Arc<Publication> {
    let message = Message {
        topic: topic.clone(),
        payload: Payload::text(format!("{offset} in {topic}")),
        position: Some(Position { offset, ..at }),
        ts: Some(0),
        from: None,
    };
    Arc::new(Publication::new(message, offset, 0, &HeldSum::default()))
}
