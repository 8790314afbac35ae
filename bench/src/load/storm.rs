//! Ten thousand connections at once: all are begun before any is answered, and each goes on as soon as it can.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use super::Socket;
use super::connection::begin_connect;
use super::opening::{Opening, Progress};
use super::socket::is_early;
use crate::error::BenchError;
use crate::server::Endpoint;

/// The time that the last of them may take. A connection that the kernel turns away at first tries again after 1, 3 and 7 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest sleep of the loop.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// The results of a storm. The connections stay open until this is dropped.
#[derive(Debug)]
pub(crate) struct Weathered {
    /// Connections that were opened and subscribed.
    pub(crate) served: usize,
    /// The reason why the first of the others was not.
    pub(crate) refusal: Option<String>,
    /// From the first beginning to the last that was served.
    pub(crate) elapsed: Duration,
    /// From the beginning of each to when it was served, in microseconds.
    pub(crate) latency: Histogram<u64>,
    _connections: Vec<Option<Arriving>>,
}

/// A connection on its way.
#[derive(Debug)]
struct Arriving {
    socket: Socket,
    opening: Opening,
    began: Instant,
    to_send: Vec<u8>,
    received: Vec<u8>,
    is_served: bool,
}

/// Opens `count` connections at once, each as `opening` says.
pub(crate) fn weather(
    endpoint: &Endpoint,
    count: usize,
    opening: impl Fn() -> Result<Opening, BenchError>,
) -> Result<Weathered, BenchError> {
    let failed = |error| BenchError::System("watching sockets", error);
    let mut poll = Poll::new().map_err(failed)?;
    let began = Instant::now();
    let mut storm = Weathered {
        served: 0,
        refusal: None,
        elapsed: Duration::ZERO,
        latency: Histogram::new_with_bounds(1, PATIENCE.as_micros() as u64, 3)
            .expect("the bounds and the precision are constants that the histogram allows"),
        _connections: Vec::with_capacity(count),
    };
    let mut refused = 0;
    for number in 0..count {
        let address = endpoint.address;
        let mut socket = begin_connect(address, number)
            .and_then(|stream| Socket::new(stream, endpoint))
            .map_err(|error| BenchError::Connect { address, error })?;
        let mut opening = opening()?;
        let to_send = opening.begin();
        let interest = Interest::READABLE | Interest::WRITABLE;
        socket.watch(poll.registry(), Token(number), interest).map_err(failed)?;
        let began = Instant::now();
        let received = Vec::new();
        storm._connections.push(Some(Arriving {
            socket,
            opening,
            began,
            to_send,
            received,
            is_served: false,
        }));
    }
    let mut events = Events::with_capacity(4096);
    while storm.served + refused < count && began.elapsed() < PATIENCE {
        match poll.poll(&mut events, Some(SLEEP_MAX)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(failed)?,
        }
        for event in &events {
            let place = &mut storm._connections[event.token().0];
            let Some(arriving) = place.as_mut().filter(|arriving| !arriving.is_served) else { continue };
            match arriving.go_on() {
                Ok(false) => {}
                Ok(true) => {
                    arriving.is_served = true;
                    storm.served += 1;
                    storm.elapsed = began.elapsed();
                    storm.latency.saturating_record(arriving.began.elapsed().as_micros() as u64);
                }
                Err(error) => {
                    refused += 1;
                    storm.refusal.get_or_insert_with(|| error.to_string());
                    *place = None;
                }
            }
        }
    }
    if storm.served + refused < count {
        let patience = PATIENCE.as_secs();
        storm.refusal.get_or_insert_with(|| format!("it was not answered within {patience} s"));
    }
    Ok(storm)
}

impl Arriving {
    /// Sends and receives what can be; `true` once the connection is open.
    fn go_on(&mut self) -> Result<bool, BenchError> {
        loop {
            if !self.send()? {
                return Ok(false);
            }
            match self.opening.advance(&mut self.received)? {
                Progress::Send(bytes) => self.to_send = bytes,
                Progress::Open => return Ok(true),
                Progress::Waiting => {
                    if !self.receive()? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Sends what waits; `false` if it cannot all be sent yet.
    fn send(&mut self) -> Result<bool, BenchError> {
        while !self.to_send.is_empty() {
            match self.socket.write(&self.to_send) {
                Ok(length) => drop(self.to_send.drain(..length)),
                Err(error) if is_early(&error) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BenchError::Handshake(error)),
            }
        }
        match self.socket.flush() {
            Ok(()) => Ok(true),
            Err(error) if is_early(&error) => Ok(false),
            Err(error) => Err(BenchError::Handshake(error)),
        }
    }

    /// Receives more; `false` if there is nothing yet.
    fn receive(&mut self) -> Result<bool, BenchError> {
        loop {
            match self.socket.read_onto(&mut self.received) {
                Ok(0) => {
                    return Err(BenchError::Refused("the server closed the connection while opening".into()));
                }
                Ok(_) => return Ok(true),
                Err(error) if is_early(&error) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BenchError::Handshake(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::load::Answer;
    use crate::wire::{Decoder, Frames, Vocabulary};

    fn opening() -> Result<Opening, BenchError> {
        let decoder = Decoder::Frames(Frames::new(Vocabulary::Bare));
        Ok(Opening::new(decoder).then("hello", Answer::Byte(b'w')).then("again", Answer::Byte(b'w')))
    }

    /// A server that greets so many connections and turns the rest away.
    fn greet(listener: &TcpListener, greeted: usize, count: usize) {
        for number in 0..count {
            let (mut stream, _) = listener.accept().unwrap();
            if number < greeted {
                let mut words = [0; 5];
                for _ in 0..2 {
                    stream.read_exact(&mut words).unwrap();
                    stream.write_all(b"w").unwrap();
                }
                // Kept open: the storm's side closes it.
                thread::spawn(move || stream.read(&mut words));
            }
        }
    }

    #[test]
    fn all_are_served_and_those_turned_away_are_counted() {
        for (greeted, count) in [(50, 50), (30, 50)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = Endpoint::plain(listener.local_addr().unwrap());
            let server = thread::spawn(move || greet(&listener, greeted, count));
            let weathered = weather(&endpoint, count, opening).unwrap();
            server.join().unwrap();
            assert_eq!(weathered.served, greeted);
            assert_eq!(weathered.refusal.is_some(), greeted < count, "{:?}", weathered.refusal);
            assert_eq!(weathered.latency.len(), greeted as u64);
        }
    }
}
