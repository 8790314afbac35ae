//! One subscriber: reads its socket until it is empty and counts what came.

use std::io::{self, Read, Write};

use super::{Connection, Socket, Tally};
use crate::wire::{Decoder, Event};

/// The subscription of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    /// The topic with this number.
    Topic(usize),
    /// Every topic of the run.
    Everything,
}

/// A connection that only listens, apart from answering pings.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// The socket of the subscriber.
    pub(crate) socket: Socket,
    /// The topic or pattern that it is subscribed to.
    pub(crate) listening: Listening,
    /// The number of messages received.
    pub(crate) received: u64,
    /// The reason why the server ended it, once it has.
    pub(crate) ended: Option<String>,
    decoder: Decoder,
    /// The next sequence of each publisher, if its messages are looked into; empty if they are only counted.
    expected: Vec<u32>,
}

impl Subscriber {
    /// Takes over an open connection that is subscribed to `listening`. With `publishers` greater than 0, every
    /// message is looked into for the order and latency of that many publishers.
    pub(crate) fn new(
        connection: Connection,
        listening: Listening,
        publishers: usize,
        tally: &mut Tally,
    ) -> Self {
        let mut subscriber = Self {
            socket: connection.socket,
            listening,
            received: 0,
            ended: None,
            decoder: connection.decoder,
            expected: vec![0; publishers],
        };
        subscriber.take(&connection.unread, 0, tally);
        subscriber
    }

    /// Reads all there is. `now_nanos` gives the age of the run.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now_nanos: &impl Fn() -> u64, tally: &mut Tally) {
        while self.ended.is_none() {
            match self.socket.read(buffer) {
                Ok(0) => self.ended = Some("the server closed the connection".into()),
                Ok(length) => {
                    self.take(&buffer[..length], now_nanos(), tally);
                    if self.socket.is_emptied_by(length, buffer.len()) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.ended = Some(error.to_string()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8], now_nanos: u64, tally: &mut Tally) {
        let Self { socket, received, ended, decoder, expected, .. } = self;
        let before = *received;
        decoder.feed(bytes, &mut |event| match event {
            Event::Message(message) => {
                *received += 1;
                if !expected.is_empty() {
                    tally.inspect(message, expected, now_nanos);
                }
            }
            Event::Acknowledged(_) => {}
            // A few bytes on a socket that sends nothing else: it has room for them.
            Event::Answer(answer) => {
                if let Err(error) = socket.write_all(&answer) {
                    *ended = Some(format!("a ping could not be answered: {error}"));
                }
            }
            Event::HungUp => *ended = Some("the server hung up".into()),
            Event::Ended(reason) => *ended = Some(reason),
        });
        tally.reads += 1;
        tally.bytes += bytes.len() as u64;
        if *received > before {
            tally.deliveries += *received - before;
            tally.last_delivery_nanos = now_nanos;
        }
    }
}
