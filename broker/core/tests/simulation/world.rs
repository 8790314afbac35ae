//! The world: topics, workers and clients, and the thin glue between them that the broker has too.
//!
//! `publish`, `join` and `tick` mirror `Locked::accept` and `Engine::join` of `broker/src/engine` and `Hub::tick` of
//! `broker/src/hub`; everything they call is the core itself.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::fanout::{CHUNK_BYTES_MAX, Fanout};
use fanwire_core::held::HeldSum;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::log::TopicLog;
use fanwire_core::outbox::{Outbox, Written};
use fanwire_core::publication::{Publication, Publish};
use fanwire_core::subscribers::{SessionKey, Subscribers, SubscriptionKey};
use fanwire_protocol::{Epoch, Payload, Position, StartPoint, Topic};
use fastrand::Rng;

use crate::client::Client;
use crate::disk::Disk;
use crate::format::EVENTS;

const LIMITS: HistoryLimits = HistoryLimits { messages: 12, bytes: usize::MAX, ttl_ms: 400 };
/// Room for some live deliveries beside what a replay refers to.
pub(crate) const OUTBOX_BYTES: usize = 1200;

/// A flaw, made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Reads what was missed first and subscribes only at the next step.
    RegistersLate,
    /// Delivers from the inbox what was replayed already.
    ForgetsWhereItJoined,
    /// Reports that all was recovered, whatever was lost.
    NeverTellsOfLoss,
    /// Reports a loss, although nothing was lost.
    AlwaysTellsOfLoss,
    /// Sends a publication back to a sender that wanted none.
    EchoesAnyway,
    /// Subscribes already while it receives what is on disk.
    ListensWhileItCatchesUp,
    /// Takes what has been delivered for all that is on disk.
    ForgetsThatTheDiskIsAhead,
}

pub(crate) struct TopicState {
    pub(crate) name: Topic,
    pub(crate) log: TopicLog,
    /// Everything ever published in this epoch, with the client and session that published without echo.
    pub(crate) published: Vec<(u64, Option<Sender>)>,
    /// The disk of a durable topic.
    pub(crate) disk: Option<Disk>,
}

/// A client, and the session over which it published.
pub(crate) type Sender = (usize, (usize, u32));

#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) subscribers: Subscribers,
    fanout: Fanout,
    pub(crate) inbox: VecDeque<Arc<Broadcast>>,
    pub(crate) sessions: HashMap<u32, Session>,
    pub(crate) next_key: u32,
}

pub(crate) struct Session {
    pub(crate) client: usize,
    pub(crate) outbox: Outbox,
    pub(crate) subscription: Option<SubscriptionKey>,
}

pub(crate) struct World {
    pub(crate) flaw: Flaw,
    now_ms: u64,
    epochs: u64,
    pub(crate) topics: Vec<TopicState>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Vec<Client>,
    /// Joins that the flaw [`Flaw::RegistersLate`] has delayed: worker and session.
    late: Vec<(usize, u32)>,
}

impl World {
    /// A world with a number of clients out of the range `clients`, some of whose topics are durable.
    pub(crate) fn new(random: &mut Rng, flaw: Flaw, clients: std::ops::Range<usize>) -> Self {
        let count = random.u64(1..4);
        let topic = |number: u64| {
            let name: Topic = format!("t.{number}").parse().expect("a topic");
            let log = TopicLog::new(Epoch::from_random(number + 1), 0);
            let stride = if random.bool() { 1 } else { random.u64(2..9) };
            let disk = random.bool().then(|| Disk::new(stride));
            TopicState { name, log, published: Vec::new(), disk }
        };
        let topics: Vec<_> = (0..count).map(topic).collect();
        let clients =
            (0..random.usize(clients)).map(|number| Client::new(topics[number % topics.len()].name.clone()));
        let clients = clients.collect();
        let workers = (0..random.usize(1..4)).map(|_| Worker::default()).collect();
        Self { flaw, now_ms: 0, epochs: 100, topics, workers, clients, late: Vec::new() }
    }

    /// Lets one thing happen.
    pub(crate) fn step(&mut self, random: &mut Rng) -> Result<(), String> {
        let client = random.usize(..self.clients.len());
        let worker = random.usize(..self.workers.len());
        let topic = random.usize(..self.topics.len());
        match random.u32(..100) {
            0..30 => self.publish(topic, random.bool().then_some(client)),
            30..50 => self.tick(worker, random.usize(1..20)),
            50..75 => self.write(client, random.usize(1..400))?,
            75..88 => self.connect(client, worker)?,
            88..93 => self.disconnect(client),
            93..96 => self.now_ms += random.u64(1..150),
            96..98 => self.topics[topic].log.trim(&LIMITS, self.now_ms * 1000),
            98 => self.topics[topic].log.clear(),
            _ => self.restart(topic),
        }
        self.work_on_disk(topic, random);
        self.catch_up(client);
        if random.bool() {
            self.register_late();
        }
        self.check_bounds()
    }

    /// Lets everything arrive, and checks that every connected client has seen everything.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.register_late();
        self.settle_disks()?;
        for worker in 0..self.workers.len() {
            self.tick(worker, usize::MAX);
        }
        for client in 0..self.clients.len() {
            self.write(client, usize::MAX)?;
            let Some(seen_to) =
                self.clients[client].seen_to.filter(|_| self.clients[client].session.is_some())
            else {
                continue;
            };
            self.check_nothing_between(client, seen_to, u64::MAX)?;
        }
        Ok(())
    }

    pub(crate) fn topic_of(&self, client: usize) -> &TopicState {
        let name = &self.clients[client].topic;
        self.topics.iter().find(|topic| topic.name == *name).expect("clients listen to topics that are there")
    }

    /// Under the topic's lock: position, log, inboxes.
    fn publish(&mut self, topic: usize, no_echo_for: Option<usize>) {
        let client = no_echo_for.filter(|client| self.clients[*client].topic == self.topics[topic].name);
        let sender: Option<Sender> = client.and_then(|client| Some((client, self.clients[client].session?)));
        if self.topics[topic].disk.is_some() {
            return self.ask(topic, sender);
        }
        let TopicState { name, log, published, .. } = &mut self.topics[topic];
        let offset = log.head().offset + 1;
        let publish = Publish {
            topic: name.clone(),
            payload: Payload::text(format!("{offset} in {name}")),
            key: None,
            from: None,
            except: None,
        };
        let publication: Arc<Publication> =
            log.append(publish, name, &LIMITS, self.now_ms, self.now_ms * 1000, &HeldSum::default());
        published.push((publication.offset, sender));
        let except = sender
            .filter(|_| self.flaw != Flaw::EchoesAnyway)
            .map(|(_, (worker, key))| (worker, SessionKey(key)));
        let broadcast = Arc::new(Broadcast::new(publication, except));
        for worker in &mut self.workers {
            worker.inbox.push_back(broadcast.clone());
        }
    }

    /// One tick of a hub, with at most `count` publications.
    fn tick(&mut self, number: usize, count: usize) {
        let Worker { subscribers, fanout, inbox, sessions, .. } = &mut self.workers[number];
        let batch: Vec<_> = inbox.drain(..count.min(inbox.len())).collect();
        let mut too_slow = Vec::new();
        fanout.run(number, subscribers, &batch, |key, delivery, _| {
            let Some(session) = sessions.get_mut(&key.0) else { return };
            if session.outbox.push(delivery).is_err() {
                too_slow.push(session.client);
            }
        });
        for client in too_slow {
            self.disconnect(client);
        }
    }

    /// Lets the client's socket take some bytes, and the client read them.
    pub(crate) fn write(&mut self, client: usize, mut bytes: usize) -> Result<(), String> {
        while let Some((worker, key)) = self.clients[client].session {
            let session =
                self.workers[worker].sessions.get_mut(&key).expect("connected clients have sessions");
            if session.outbox.is_empty() || bytes == 0 {
                break;
            }
            let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
            let count = session.outbox.fill(&mut slices);
            let sent: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(bytes).collect();
            bytes -= sent.len();
            let written = session.outbox.advance(sent.len());
            for position in self.clients[client].receive(&sent)? {
                self.see(client, position)?;
            }
            if written == Written::All {
                break;
            }
        }
        Ok(())
    }

    /// A client sees a message: it must be the next one after what it has seen.
    fn see(&mut self, client: usize, position: Position) -> Result<(), String> {
        let seen_to =
            self.clients[client].seen_to.ok_or("a message before the subscription was confirmed")?;
        if position.is_after(seen_to) != Some(true) {
            return Err(format!("client {client} has seen {seen_to:?} and then sees {position:?}"));
        }
        self.check_nothing_between(client, seen_to, position.offset)?;
        // A replay may contain a client's own publications: its session is another one than the one without echo.
        let own = self.clients[client].session.map(|session| (client, session));
        let topic = self.topic_of(client);
        if position.epoch == topic.log.head().epoch
            && topic.published.contains(&(position.offset, own))
            && own.is_some()
            && position.offset > self.clients[client].replayed_to
        {
            return Err(format!("client {client} hears itself at {position:?}"));
        }
        self.clients[client].seen_to = Some(position);
        Ok(())
    }

    /// Checks that nothing the client should have seen lies after `seen_to` and before `before`.
    fn check_nothing_between(&self, client: usize, seen_to: Position, before: u64) -> Result<(), String> {
        let topic = self.topic_of(client);
        if seen_to.epoch != topic.log.head().epoch {
            return Ok(());
        }
        let skipped = topic.published.iter().find(|(offset, sender)| {
            *offset > seen_to.offset && *offset < before && sender.is_none_or(|(sender, _)| sender != client)
        });
        match skipped {
            Some((offset, _)) => Err(format!("client {client} never sees {offset}, after {seen_to:?}")),
            None => Ok(()),
        }
    }

    /// A client connects and subscribes from where it was.
    fn connect(&mut self, client: usize, worker: usize) -> Result<(), String> {
        if self.clients[client].session.is_some() {
            return Ok(());
        }
        let asked = self.clients[client].seen_to;
        if self.topic_of(client).disk.is_some()
            && let Some(asked) = asked
            && let Err((at, recovered)) = self.join_tail(client, asked)
        {
            self.check_recovered(client, Some(asked), recovered)?;
            self.clients[client].seen_to = Some(at);
            self.begin_catching_up(client, worker, at);
            return Ok(());
        }
        let topic = self.topic_of(client);
        let (missed, mut recovered) = match asked {
            Some(position) => {
                let missed = topic.log.since(StartPoint::After(position));
                (missed.publications, missed.recovered)
            }
            None => (Vec::new(), true),
        };
        match self.flaw {
            Flaw::NeverTellsOfLoss => recovered = true,
            Flaw::AlwaysTellsOfLoss => recovered = asked.is_none(),
            _ => {}
        }
        let (head, name) = (topic.log.head(), topic.name.clone());
        self.check_recovered(client, asked, recovered)?;
        let mut before_first = topic.published.iter().map(|(offset, _)| *offset);
        let before_first =
            before_first.rfind(|offset| missed.first().is_none_or(|first| *offset < first.offset));
        if asked.is_none() {
            self.clients[client].seen_to = Some(head);
        } else if !recovered {
            self.clients[client].seen_to = Some(Position { offset: before_first.unwrap_or(0), ..head });
        }
        let Worker { subscribers, sessions, next_key, .. } = &mut self.workers[worker];
        let key = *next_key;
        *next_key += 1;
        let mut outbox = Outbox::new(&EVENTS, OUTBOX_BYTES);
        outbox.push_replay(missed);
        let after = if self.flaw == Flaw::ForgetsWhereItJoined { 0 } else { head.offset };
        let subscription = if self.flaw == Flaw::RegistersLate {
            self.late.push((worker, key));
            None
        } else {
            Some(subscribers.join(&name.into(), SessionKey(key), &EVENTS, after))
        };
        sessions.insert(key, Session { client, outbox, subscription });
        self.clients[client].session = Some((worker, key));
        Ok(())
    }

    fn register_late(&mut self) {
        for (worker, key) in std::mem::take(&mut self.late) {
            let Some(client) = self.workers[worker].sessions.get(&key).map(|session| session.client) else {
                continue;
            };
            let name = self.clients[client].topic.clone();
            let head = self.topic_of(client).log.head().offset;
            let Worker { subscribers, sessions, .. } = &mut self.workers[worker];
            let joined = subscribers.join(&name.into(), SessionKey(key), &EVENTS, head);
            sessions.get_mut(&key).expect("it was just there").subscription = Some(joined);
        }
    }

    /// Checks that a loss is reported exactly when something after the requested position is no longer held.
    fn check_recovered(&self, client: usize, asked: Option<Position>, recovered: bool) -> Result<(), String> {
        let (Some(asked), topic) = (asked, self.topic_of(client)) else { return Ok(()) };
        let held: BTreeSet<u64> = match &topic.disk {
            Some(disk) => disk.held.iter().copied().collect(),
            None => {
                topic.log.since(StartPoint::Earliest).publications.iter().map(|held| held.offset).collect()
            }
        };
        let all_held = topic
            .published
            .iter()
            .filter(|(offset, _)| *offset > asked.offset)
            .all(|(offset, _)| held.contains(offset));
        let expected = asked.epoch == topic.log.head().epoch && all_held;
        if recovered == expected {
            return Ok(());
        }
        Err(format!("client {client} asks for what came after {asked:?} and is told recovered: {recovered}"))
    }

    pub(crate) fn disconnect(&mut self, client: usize) {
        let Some((worker, key)) = self.clients[client].session else { return };
        let name = self.clients[client].topic.clone();
        let Worker { subscribers, sessions, .. } = &mut self.workers[worker];
        let session = sessions.remove(&key).expect("connected clients have sessions");
        if let Some(subscription) = session.subscription {
            subscribers.leave(&name.into(), subscription);
        }
        self.clients[client].disconnect();
    }

    /// Restarts the broker, as far as one topic is concerned: its numbering begins anew unless it is on disk, and every subscriber
    /// must reconnect.
    fn restart(&mut self, topic: usize) {
        let name = self.topics[topic].name.clone();
        for client in 0..self.clients.len() {
            if self.clients[client].topic == name {
                self.disconnect(client);
            }
        }
        for worker in &mut self.workers {
            worker.inbox.retain(|broadcast| broadcast.publication.message.topic != name);
        }
        if self.topics[topic].disk.is_some() {
            return self.kill(topic);
        }
        self.epochs += 1;
        let log = TopicLog::new(Epoch::from_random(self.epochs), 0);
        self.topics[topic] = TopicState { name, log, published: Vec::new(), disk: None };
    }

    fn check_bounds(&self) -> Result<(), String> {
        let fullest = self
            .workers
            .iter()
            .flat_map(|worker| worker.sessions.values())
            .map(|session| session.outbox.bytes());
        match fullest.max() {
            Some(bytes) if bytes > OUTBOX_BYTES + CHUNK_BYTES_MAX => {
                Err(format!("an outbox holds {bytes} bytes"))
            }
            _ => Ok(()),
        }
    }
}
