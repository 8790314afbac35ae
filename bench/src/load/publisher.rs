//! One publisher: stamps and sends what its gate lets out.

use std::io::{self, Read, Write};
use std::rc::Rc;

use super::{Connection, Gate, Socket, connect};
use crate::error::BenchError;
use crate::server::Endpoint;
use crate::stamp::Stamp;
use crate::wire::{Decoder, Event, Template};

/// Bytes a publisher may have waiting for its socket; past this the server has stopped reading, and what is due at a
/// fixed rate waits (its latency counts on).
const PENDING_BYTES_MAX: usize = 4 << 20;

/// A connection that publishes and counts its acknowledgements.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// The socket of the publisher.
    pub(crate) socket: Socket,
    /// The number of publications sent.
    pub(crate) published: u64,
    number: u16,
    decoder: Decoder,
    gate: Gate,
    /// One publication per topic; they take turns.
    templates: Rc<[Template]>,
    publications_max: u64,
    pending: Vec<u8>,
    ended: Option<String>,
    /// Whether the server wants the next publication on another connection.
    is_hung_up: bool,
    endpoint: Endpoint,
    connection_number: usize,
}

impl Publisher {
    /// Takes over an open connection. It stops by itself after `publications_max` publications.
    pub(crate) fn new(
        number: u16,
        connection: Connection,
        gate: Gate,
        templates: Rc<[Template]>,
        publications_max: u64,
    ) -> Self {
        let mut publisher = Self {
            socket: connection.socket,
            published: 0,
            number,
            decoder: connection.decoder,
            gate,
            templates,
            publications_max,
            pending: Vec::new(),
            ended: None,
            is_hung_up: false,
            endpoint: connection.endpoint,
            connection_number: connection.number,
        };
        publisher.take(&connection.unread);
        publisher
    }

    /// Whether everything it may publish has been published.
    pub(crate) fn is_done(&self) -> bool {
        self.published >= self.publications_max
    }

    /// Returns the number of acknowledged publications, as far as they are followed.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.published - self.gate.waiting()
    }

    /// Whether something it sent is not answered yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.gate.waiting() > 0
    }

    /// Returns the number of its publications to topic number `topic`.
    pub(crate) fn published_to(&self, topic: usize) -> u64 {
        let topics = self.templates.len() as u64;
        let (rounds, rest) = (self.published / topics, self.published % topics);
        rounds + u64::from((topic as u64) < rest)
    }

    /// The time at which the next publication is due, at a fixed rate; `None` when it waits for an acknowledgement instead.
    pub(crate) fn next_due_nanos(&self) -> Option<u64> {
        self.gate.next_due_nanos(self.published)
    }

    /// Sends what the gate lets out now.
    pub(crate) fn publish(&mut self, now_nanos: u64) -> Result<(), BenchError> {
        let room = self.gate.room(self.published, now_nanos).min(self.publications_max - self.published);
        let topics = self.templates.len() as u64;
        let before = self.published;
        for _ in 0..room {
            let template = &self.templates[(self.published % topics) as usize];
            if self.pending.len() + template.len() > PENDING_BYTES_MAX {
                break;
            }
            let stamp = Stamp {
                publisher: self.number,
                sequence: (self.published / topics) as u32,
                due_nanos: self.gate.due_nanos(self.published, now_nanos),
            };
            template.write(stamp, &mut self.pending);
            self.published += 1;
        }
        self.gate.published(self.published - before);
        self.flush()
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> Result<(), BenchError> {
        let mut written = 0;
        while written < self.pending.len() {
            match self.socket.write(&self.pending[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error.to_string())),
            }
        }
        self.pending.drain(..written);
        match self.socket.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.lost(error.to_string())),
            _ => Ok(()),
        }
    }

    /// Reads all acknowledgements there are.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<(), BenchError> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(self.lost("the server closed the connection".into())),
                Ok(length) => {
                    self.take(&buffer[..length]);
                    if let Some(reason) = self.ended.take() {
                        return Err(self.lost(reason));
                    }
                    if self.socket.is_emptied_by(length, buffer.len()) {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error.to_string())),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Self { decoder, gate, pending, ended, is_hung_up, .. } = self;
        decoder.feed(bytes, &mut |event| match event {
            Event::Acknowledged(count) => gate.acknowledged(count),
            // A publisher that is subscribed is so to its own topic, in which it is alone.
            Event::Message(_) => gate.acknowledged(1),
            // Its turn comes with the next flush, between two whole publications.
            Event::Answer(answer) => pending.extend_from_slice(&answer),
            Event::HungUp => *is_hung_up = true,
            Event::Ended(reason) => *ended = Some(reason),
        });
    }

    /// Whether the server has hung up, to be connected to again by [`Publisher::reconnect`].
    pub(crate) fn is_hung_up(&self) -> bool {
        self.is_hung_up
    }

    /// Connects anew where the last answer said that nothing more is taken. There are no steps to go through: a server that hangs
    /// up after an answer takes its requests at once.
    pub(crate) fn reconnect(&mut self) -> Result<(), BenchError> {
        self.is_hung_up = false;
        self.socket = connect(&self.endpoint, self.connection_number)?;
        self.socket.stop_blocking().map_err(BenchError::Handshake)
    }

    fn lost(&self, reason: String) -> BenchError {
        BenchError::PublisherLost { publisher: self.number, reason }
    }
}
