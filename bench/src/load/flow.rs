//! The loop that runs publishers and subscribers: warms up, measures, and waits for what is still on its way.

use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::{Listening, Publisher, Subscriber, Tally};
use crate::error::BenchError;
use crate::server::{Probe, Threads};

/// One buffer serves all sockets, so it stays in the processor's cache.
const READ_BUFFER_BYTES: usize = 128 << 10;

/// The time for which to wait for what is on its way, from the last delivery on.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);

/// The longest sleep of the loop, so that deadlines are met without a timer of their own.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// The poll sleeps whole milliseconds, so a publication due sooner than this is waited for awake.
const SLEEP_GRAIN: Duration = Duration::from_millis(2);

/// The readiness of a publisher's socket.
const PUBLISHER_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The time for which each part of a run lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowPlan {
    /// Publishing before anything is measured.
    pub(crate) warmup: Duration,
    /// Publishing while measuring, unless the publishers are done earlier.
    pub(crate) duration: Duration,
}

/// The results of a run.
#[derive(Debug)]
pub(crate) struct FlowRun {
    /// Publications sent over the whole run.
    pub(crate) publications: u64,
    /// Deliveries these should have made.
    pub(crate) expected: u64,
    /// Deliveries that arrived, over the whole run.
    pub(crate) deliveries: u64,
    /// The part after the warm-up.
    pub(crate) measured: Measured,
    /// Order and latency, the latter of the measured part only.
    pub(crate) tally: Tally,
    /// Subscribers that the server ended.
    pub(crate) closed: usize,
    /// The reason why the first of them was ended.
    pub(crate) closed_because: Option<String>,
}

/// Differences over the measured part of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Messages that reached subscribers.
    pub(crate) deliveries: u64,
    /// Reads of subscribers that returned something.
    pub(crate) reads: u64,
    /// From the beginning of the measured part to its last delivery.
    pub(crate) elapsed: Duration,
    /// The server's processor time, when it is known which process it is.
    pub(crate) server_cpu: Option<Duration>,
    /// That of the server's busiest thread, which is what bounds it however many cores there are.
    pub(crate) busiest_thread_cpu: Option<Duration>,
    /// The time for which this thread had nothing to do, awake or asleep.
    pub(crate) waited: Duration,
}

/// The way in which the load waits for work while it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// By asking again and again, on a core of its own: waking a sleeping reader is work that the kernel does in the
    /// sender's name, and it would be taken for the server's.
    Awake,
    /// In the kernel, until a socket is ready or a publication is due.
    Asleep,
}

/// All counters at one moment.
struct Mark {
    at_nanos: u64,
    deliveries: u64,
    reads: u64,
    server_cpu: Option<Duration>,
    threads: Threads,
    waited: Duration,
}

/// Publishers and subscribers on one thread.
pub(crate) struct Flow<'a> {
    poll: Poll,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    tally: Tally,
    server: Option<&'a Probe>,
    waiting: Waiting,
    /// The time waited, see [`Measured::waited`].
    waited: Duration,
    origin: Instant,
    buffer: Vec<u8>,
}

impl<'a> Flow<'a> {
    /// Registers every socket. `server` is asked for processor time; `waiting` is how the load waits.
    pub(crate) fn new(
        mut subscribers: Vec<Subscriber>,
        mut publishers: Vec<Publisher>,
        tally: Tally,
        server: Option<&'a Probe>,
        waiting: Waiting,
    ) -> Result<Self, BenchError> {
        let failed = |error| BenchError::System("watching sockets", error);
        let poll = Poll::new().map_err(failed)?;
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            subscriber.socket.watch(poll.registry(), Token(index), Interest::READABLE).map_err(failed)?;
        }
        for (index, publisher) in publishers.iter_mut().enumerate() {
            let token = Token(subscribers.len() + index);
            publisher.socket.watch(poll.registry(), token, PUBLISHER_INTEREST).map_err(failed)?;
        }
        Ok(Self {
            poll,
            subscribers,
            publishers,
            tally,
            server,
            waiting,
            waited: Duration::ZERO,
            origin: Instant::now(),
            buffer: vec![0; READ_BUFFER_BYTES],
        })
    }

    /// Keeps the connections open for `duration`, answering pings, and gives how many the server ended, with the
    /// first reason.
    pub(crate) fn hold(&mut self, duration: Duration) -> Result<(usize, Option<String>), BenchError> {
        let mut events = Events::with_capacity(1024);
        let deadline = Instant::now() + duration;
        while Instant::now() < deadline {
            self.turn(&mut events, SLEEP_MAX)?;
        }
        Ok(self.closed())
    }

    /// Reads until `expected` messages have come or nothing comes any more. Gives what was counted, and why the first
    /// subscriber was ended, if one was.
    pub(crate) fn receive(mut self, expected: u64) -> Result<(Tally, Option<String>), BenchError> {
        self.drain(expected, &mut Events::with_capacity(1024))?;
        let (_, reason) = self.closed();
        Ok((self.tally, reason))
    }

    /// Publishes until every publisher is done, and gives how many publications were acknowledged.
    pub(crate) fn settle(mut self, plan: FlowPlan) -> Result<u64, BenchError> {
        let mut events = Events::with_capacity(1024);
        self.origin = Instant::now();
        self.publish_for(plan.warmup + plan.duration, &mut events)?;
        let until = Instant::now() + DRAIN_PATIENCE;
        while self.publishers.iter().any(Publisher::is_waiting) && Instant::now() < until {
            for publisher in &mut self.publishers {
                publisher.flush()?;
            }
            self.turn(&mut events, SLEEP_MAX)?;
        }
        Ok(self.publishers.iter().map(Publisher::acknowledged).sum())
    }

    /// Runs the whole flow and returns what was measured.
    pub(crate) fn run(mut self, plan: FlowPlan) -> Result<FlowRun, BenchError> {
        let mut events = Events::with_capacity(1024);
        self.origin = Instant::now();
        self.publish_for(plan.warmup, &mut events)?;
        self.tally.latency.reset();
        let start = self.mark()?;
        self.publish_for(plan.warmup + plan.duration, &mut events)?;
        let expected = self.expected();
        self.drain(expected, &mut events)?;
        let end = self.mark()?;
        let (closed, closed_because) = self.closed();
        Ok(FlowRun {
            publications: self.publishers.iter().map(|publisher| publisher.published).sum(),
            expected,
            deliveries: self.tally.deliveries,
            measured: Measured {
                deliveries: end.deliveries - start.deliveries,
                reads: end.reads - start.reads,
                elapsed: Duration::from_nanos(self.tally.last_delivery_nanos.saturating_sub(start.at_nanos)),
                server_cpu: end.server_cpu.zip(start.server_cpu).map(|(end, start)| end - start),
                busiest_thread_cpu: end.threads.busiest_since(&start.threads),
                waited: end.waited - start.waited,
            },
            tally: self.tally,
            closed,
            closed_because,
        })
    }

    /// Publishes until the run is `until` old or every publisher is done.
    fn publish_for(&mut self, until: Duration, events: &mut Events) -> Result<(), BenchError> {
        loop {
            let age = self.origin.elapsed();
            if age >= until || self.publishers.iter().all(Publisher::is_done) {
                return Ok(());
            }
            let mut sleep = SLEEP_MAX.min(until - age);
            for publisher in self.publishers.iter_mut().filter(|publisher| !publisher.is_done()) {
                publisher.publish(age.as_nanos() as u64)?;
                if let Some(due_nanos) = publisher.next_due_nanos() {
                    sleep = sleep.min(Duration::from_nanos(due_nanos).saturating_sub(age));
                }
            }
            let awake = self.waiting == Waiting::Awake || sleep < SLEEP_GRAIN;
            self.turn(events, if awake { Duration::ZERO } else { sleep - SLEEP_GRAIN / 2 })?;
        }
    }

    /// Reads until everything expected has come or nothing comes any more.
    fn drain(&mut self, expected: u64, events: &mut Events) -> Result<(), BenchError> {
        let mut deliveries = self.tally.deliveries;
        let mut patient_until = Instant::now() + DRAIN_PATIENCE;
        while self.tally.deliveries < expected && Instant::now() < patient_until {
            for publisher in &mut self.publishers {
                publisher.flush()?;
            }
            self.turn(events, SLEEP_MAX)?;
            if self.tally.deliveries > deliveries {
                deliveries = self.tally.deliveries;
                patient_until = Instant::now() + DRAIN_PATIENCE;
            }
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events, sleep: Duration) -> Result<(), BenchError> {
        let began = Instant::now();
        match self.poll.poll(events, Some(sleep)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|error| BenchError::System("waiting for sockets", error))?,
        }
        // Time asleep counts even when something ended it; awake, only a look that found nothing is waiting.
        if !sleep.is_zero() || events.is_empty() {
            self.waited += began.elapsed();
        }
        let Self { poll, subscribers, publishers, tally, origin, buffer, .. } = self;
        let now_nanos = || origin.elapsed().as_nanos() as u64;
        for event in events.iter() {
            match event.token().0.checked_sub(subscribers.len()) {
                None => subscribers[event.token().0].read(buffer, &now_nanos, tally),
                Some(index) => {
                    let publisher = &mut publishers[index];
                    serve_publisher(publisher, event, buffer)?;
                    if publisher.is_hung_up() {
                        publisher.reconnect()?;
                        publisher
                            .socket
                            .watch(poll.registry(), event.token(), PUBLISHER_INTEREST)
                            .map_err(|error| BenchError::System("watching sockets", error))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn expected(&self) -> u64 {
        let all = self.publishers.iter().map(|publisher| publisher.published).sum();
        let topic_of = |subscriber: &Subscriber| match subscriber.listening {
            Listening::Topic(topic) => Some(topic),
            Listening::Everything => None,
        };
        let topics = self.subscribers.iter().filter_map(topic_of).max().map_or(0, |last| last + 1);
        let published: Vec<u64> = (0..topics)
            .map(|topic| self.publishers.iter().map(|publisher| publisher.published_to(topic)).sum())
            .collect();
        self.subscribers
            .iter()
            .map(|subscriber| topic_of(subscriber).map_or(all, |topic| published[topic]))
            .sum()
    }

    fn closed(&self) -> (usize, Option<String>) {
        let mut reasons = self.subscribers.iter().filter_map(|subscriber| subscriber.ended.as_ref());
        let first = reasons.next().cloned();
        (usize::from(first.is_some()) + reasons.count(), first)
    }

    fn mark(&self) -> Result<Mark, BenchError> {
        Ok(Mark {
            at_nanos: self.origin.elapsed().as_nanos() as u64,
            deliveries: self.tally.deliveries,
            reads: self.tally.reads,
            server_cpu: self.server.map(Probe::cpu).transpose()?,
            threads: self.server.map_or_else(Threads::default, Probe::threads),
            waited: self.waited,
        })
    }
}

fn serve_publisher(publisher: &mut Publisher, event: &Event, buffer: &mut [u8]) -> Result<(), BenchError> {
    if event.is_readable() || event.is_read_closed() {
        publisher.read(buffer)?;
    }
    if event.is_writable() {
        publisher.flush()?;
    }
    Ok(())
}
