//! Sessions that subscribe and unsubscribe again and again, each with a bounded number of requests unanswered.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::{Connection, Gate, Publisher, Window};
use crate::error::BenchError;
use crate::wire::Template;

/// The longest sleep of the loop.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// The time for which to wait for the last answers.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);

/// Subscriptions that come and go.
pub(crate) struct Churning {
    poll: Poll,
    sessions: Vec<Publisher>,
    buffer: Vec<u8>,
}

impl Churning {
    /// Lets every connection go through all of `rounds` in turn, each of which is answered `answers` times, with at most
    /// `window` of them unanswered.
    pub(crate) fn new(
        connections: Vec<Connection>,
        rounds: &Rc<[Template]>,
        answers: u64,
        window: u64,
    ) -> Result<Self, BenchError> {
        let failed = |error| BenchError::System("watching sockets", error);
        let poll = Poll::new().map_err(failed)?;
        let mut sessions = Vec::new();
        for (index, connection) in connections.into_iter().enumerate() {
            let gate = Gate::Window(Window::answered(window, answers));
            let mut session = Publisher::new(index as u16, connection, gate, rounds.clone(), u64::MAX);
            let interest = Interest::READABLE | Interest::WRITABLE;
            session.socket.watch(poll.registry(), Token(index), interest).map_err(failed)?;
            sessions.push(session);
        }
        Ok(Self { poll, sessions, buffer: vec![0; 64 << 10] })
    }

    /// Churns for `duration`, waits for the answers, and gives how many rounds were gone through.
    pub(crate) fn run(&mut self, duration: Duration) -> Result<u64, BenchError> {
        let mut events = Events::with_capacity(1024);
        let before = self.rounds();
        let until = Instant::now() + duration;
        while Instant::now() < until {
            for session in &mut self.sessions {
                session.publish(0)?;
            }
            self.turn(&mut events)?;
        }
        let until = Instant::now() + DRAIN_PATIENCE;
        while self.sessions.iter().any(Publisher::is_waiting) && Instant::now() < until {
            self.turn(&mut events)?;
        }
        Ok(self.rounds() - before)
    }

    fn rounds(&self) -> u64 {
        self.sessions.iter().map(|session| session.published).sum()
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), BenchError> {
        match self.poll.poll(events, Some(SLEEP_MAX)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|error| BenchError::System("waiting for sockets", error))?,
        }
        for event in events.iter() {
            let session = &mut self.sessions[event.token().0];
            if event.is_readable() || event.is_read_closed() {
                session.read(&mut self.buffer)?;
            }
            session.flush()?;
        }
        Ok(())
    }
}
