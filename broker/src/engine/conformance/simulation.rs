//! Sessions that come and go under a seed, over the engine and an archive.
//!
//! A seed decides the order in which a topic is published to, sessions subscribe and leave, history is read, memory is forgotten
//! and the broker restarts. What every session receives is held against the plain list of everything that was published. Over
//! every archive the same must hold, so nothing here knows how offsets grow.

use fanwire_core::limits::HistoryLimits;
use fanwire_core::presence::Departure;
use fanwire_core::session::Start;
use fanwire_protocol::{Position, Since};
use fastrand::Rng;

use super::engine::{Broker, EVERYTHING};
use super::{Open, numbers, topic};
use crate::engine::Reading;

/// The number of seeds, of steps under each, and of sessions.
const SEEDS: u64 = 4;
const STEPS: usize = 300;
const SESSIONS: usize = 5;

/// The number of publications that the topic keeps.
const KEPT: u64 = 8;

/// Runs this part of the suite. A failed test shows the seed.
pub(super) fn check(empty: &dyn Fn() -> Open) {
    for _ in 0..SEEDS {
        let seed = std::env::var("FANWIRE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("FANWIRE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let mut world = World::over(empty());
        (0..STEPS).for_each(|_| world.step(&mut random));
        assert!(world.losses > 0 && world.recoveries > 0, "{} and {}", world.losses, world.recoveries);
    }
}

/// A topic, and the sessions that subscribe to it.
struct World {
    open: Open,
    /// `None` only while it restarts.
    broker: Option<Broker>,
    /// The position of each publication; its text is its index.
    published: Vec<Position>,
    sessions: Vec<Session>,
    losses: u32,
    recoveries: u32,
}

#[derive(Clone, Copy, Default)]
struct Session {
    /// The number it has seen, and the position up to which that is; `None` before it has first subscribed.
    seen: Option<(u64, Position)>,
    is_subscribed: bool,
}

fn broker(open: &Open) -> Broker {
    Broker::keeping(HistoryLimits { messages: KEPT as usize, ..EVERYTHING }, open())
}

impl World {
    fn over(open: Open) -> Self {
        let broker = Some(broker(&open));
        let sessions = vec![Session::default(); SESSIONS];
        Self { open, broker, published: Vec::new(), sessions, losses: 0, recoveries: 0 }
    }

    fn step(&mut self, random: &mut Rng) {
        let session = random.usize(..SESSIONS);
        match random.u32(..100) {
            0..55 => self.publish(),
            55..60 => drop(self.broker().publish("another", 0)),
            60..80 => self.subscribe(session),
            80..90 => self.leave(session),
            90..96 => self.read(random),
            96..98 => self.forget(),
            _ => self.restart(),
        }
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs between two steps")
    }

    fn count(&self) -> u64 {
        self.published.len() as u64
    }

    fn publish(&mut self) {
        let number = self.count();
        let accepted = self.broker().publish("a", number);
        let position = accepted.position;
        let subscribed = self.sessions.iter().filter(|session| session.is_subscribed).count();
        assert_eq!(accepted.subscribers, subscribed as u64);
        let newest = self.published.last();
        assert!(
            newest.is_none_or(|newest| position.is_after(*newest) == Some(true)),
            "{position:?}, {newest:?}"
        );
        self.published.push(position);
        let expected = (subscribed > 0).then(|| (position.offset, number.to_string()));
        assert_eq!(self.broker().delivered(), expected.into_iter().collect::<Vec<_>>());
        for session in self.sessions.iter_mut().filter(|session| session.is_subscribed) {
            let (seen, at) = session.seen.expect("it has subscribed");
            assert_eq!((seen, position.is_after(at)), (number, Some(true)), "all before was seen");
            session.seen = Some((number + 1, position));
        }
    }

    fn subscribe(&mut self, session: usize) {
        let Session { seen, is_subscribed } = self.sessions[session];
        if is_subscribed {
            return;
        }
        let start = seen.map_or(Start::Now, |(_, position)| Start::Since(Since::Position(position)));
        let (missed, recovered, head) = self.broker().subscribe("a", &start);
        let (count, oldest) = (self.count(), self.count().saturating_sub(KEPT));
        let first = seen.map_or(count, |(seen, _)| seen);
        assert_eq!(
            (missed, recovered),
            (numbers(first.max(oldest)..count), first >= oldest),
            "after {seen:?}"
        );
        assert!(self.published.last().is_none_or(|newest| *newest == head), "{head:?}");
        *(if first < oldest { &mut self.losses } else { &mut self.recoveries }) += 1;
        self.sessions[session] = Session { seen: Some((count, head)), is_subscribed: true };
    }

    fn leave(&mut self, session: usize) {
        if std::mem::take(&mut self.sessions[session].is_subscribed) {
            self.broker().engine.leave(&topic("a"), 0, None, Departure::Left);
        }
    }

    /// Reads history from a publication on, and back from it.
    fn read(&self, random: &mut Rng) {
        if self.published.is_empty() {
            return;
        }
        let (count, oldest) = (self.count(), self.count().saturating_sub(KEPT));
        let number = random.u64(..count);
        let at = Some(Since::Position(self.published[number as usize]));
        let forward = self.broker().read("a", Reading::Forward { since: at.clone(), limit: 100 });
        assert_eq!(
            forward,
            (numbers((number + 1).max(oldest)..count), number + 1 < oldest),
            "after {number}"
        );
        let (mut backward, gap) = self.broker().read("a", Reading::Backward { until: at, limit: 100 });
        backward.reverse();
        assert_eq!(backward, numbers(oldest.min(number)..number), "before {number}");
        // An archive need not know that nothing was before the first.
        assert!(number == 0 || gap == (number < oldest), "before {number}");
    }

    /// Forgets the topics in memory, as if they had been idle for long.
    fn forget(&mut self) {
        if self.sessions.iter().all(|session| !session.is_subscribed) {
            self.broker().engine.topics.forget_all();
        }
    }

    /// Opens the archive again under another engine.
    fn restart(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.is_subscribed = false);
        // An archive is closed before it is opened again.
        self.broker = None;
        self.broker = Some(broker(&self.open));
    }
}
