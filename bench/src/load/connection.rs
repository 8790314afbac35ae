//! One connection: how it is opened, waited for step by step with a time-out, and what it is afterwards.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::opening::{Opening, Progress};
use crate::error::BenchError;
use crate::wire::Decoder;

/// How long a server may take to answer one step of opening a connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections from one source address: fewer than the 28,232 ports the kernel gives out by default, so that ports
/// still in TIME-WAIT from a run before do not matter.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// A connection that is open and, for a subscriber, subscribed.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, non-blocking.
    pub(crate) stream: TcpStream,
    /// Reads what the server sends from now on.
    pub(crate) decoder: Decoder,
    /// What was read beyond the last reply, to be decoded first.
    pub(crate) unread: Vec<u8>,
}

impl Connection {
    /// Connects to `address` and goes through all steps of `opening`. `number` counts the run's connections: every 20,000
    /// leave from another address of 127.0.0.0/8, because one address has ports for 28,000.
    pub(crate) fn open(address: SocketAddr, number: usize, mut opening: Opening) -> Result<Self, BenchError> {
        let mut stream =
            connect_from(address, number).map_err(|error| BenchError::Connect { address, error })?;
        let mut unread = Vec::new();
        stream.write_all(&opening.begin()).map_err(BenchError::Handshake)?;
        loop {
            match opening.advance(&mut unread)? {
                Progress::Waiting => read_more(&mut stream, &mut unread)?,
                Progress::Send(bytes) => stream.write_all(&bytes).map_err(BenchError::Handshake)?,
                Progress::Open => break,
            }
        }
        stream.set_nonblocking(true).map_err(BenchError::Handshake)?;
        Ok(Self { stream, decoder: opening.into_decoder(), unread })
    }

    /// Whether the server has ended the connection, which nobody has read: reads what it sent, and throws it away.
    pub(crate) fn is_cut_off(&mut self) -> bool {
        let mut piece = [0; 65_536];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<(), BenchError> {
    let mut piece = [0; 4096];
    match stream.read(&mut piece) {
        Ok(0) => Err(BenchError::Refused("the server closed the connection while opening".into())),
        Ok(length) => {
            received.extend_from_slice(&piece[..length]);
            Ok(())
        }
        Err(error) => Err(BenchError::Handshake(error)),
    }
}

/// The address that connection `number` leaves from; `None` is whatever the kernel takes.
fn source(address: SocketAddr, number: usize) -> io::Result<Option<SocketAddr>> {
    let source = number / CONNECTIONS_PER_SOURCE;
    if source == 0 || !address.is_ipv4() {
        return Ok(None);
    }
    let last = u8::try_from(source + 1).map_err(|_| io::Error::other("too many source addresses"))?;
    Ok(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)))
}

fn connect_from(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let stream = match source(address, number)? {
        Some(source) => {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP))?;
            bind(&socket, &source)?;
            connect(&socket, &address)?;
            TcpStream::from(socket)
        }
        None => TcpStream::connect_timeout(&address, STEP_TIMEOUT)?,
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    Ok(stream)
}

/// Begins to connect, without waiting: the socket can be written to once it is connected.
pub(super) fn begin_connect(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let Some(source) = source(address, number)? {
        bind(&socket, &source)?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Raises this process's soft limit of open files to the hard one, so that a server started from here inherits it.
///
/// # Errors
/// When even the hard limit is too low for `connections`.
pub(crate) fn raise_open_files(connections: usize) -> Result<(), BenchError> {
    /// Standard streams, the poll, the server's output, files under `/proc`.
    const BESIDES: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| BenchError::System("raising the limit of open files", error.into()))?;
    let needed = connections as u64 + BESIDES;
    match limit.maximum {
        Some(maximum) if maximum < needed => Err(BenchError::Plan(format!(
            "{connections} connections need {needed} open files, and the hard limit is {maximum}: ask for fewer, or raise it (ulimit -Hn)"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::wire::{Frames, Vocabulary};

    fn opening() -> Opening {
        Opening::new(Decoder::Frames(Frames::new(Vocabulary::Bare)))
    }

    #[test]
    fn connections_leave_from_another_address_when_one_has_no_ports_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (number, source) in [(0, 1), (19_999, 1), (20_000, 2), (249_999, 13)] {
            for begun in [false, true] {
                let _connection: TcpStream = if begun {
                    begin_connect(address, number).unwrap()
                } else {
                    Connection::open(address, number, opening()).unwrap().stream
                };
                let (_, from) = listener.accept().unwrap();
                assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, source), "connection {number}");
            }
        }
    }

    #[test]
    fn a_connection_that_the_server_ended_is_cut_off_and_a_silent_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap(), 0, opening()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        assert!(!connection.is_cut_off());
        let ending = thread::spawn(move || stream.write_all(b"the last word"));
        ending.join().unwrap().unwrap();
        // The end was sent before the thread was joined; over loopback it has arrived.
        assert!(connection.is_cut_off());
    }

    #[test]
    fn more_connections_than_files_are_refused_before_any_is_opened() {
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let error = raise_open_files(usize::MAX >> 8).unwrap_err();
            assert!(error.to_string().contains("the hard limit is"), "{error}");
        }
    }
}
