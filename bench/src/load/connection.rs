//! One connection: how it is opened, waited for step by step with a time-out, and what it is afterwards.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect as connect_socket, ipproto, socket, socket_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Socket;
use super::opening::{Opening, Progress};
use crate::error::BenchError;
use crate::server::Endpoint;
use crate::wire::Decoder;

/// The time that a server may take to answer one step of opening a connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections from one source address: fewer than the 28,232 ports the kernel gives out by default, so that ports
/// still in TIME-WAIT from a run before do not matter.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// A connection that is open and, for a subscriber, subscribed.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, in non-blocking mode.
    pub(crate) socket: Socket,
    /// Reads what the server sends from now on.
    pub(crate) decoder: Decoder,
    /// The bytes read beyond the last reply, to be decoded first.
    pub(crate) unread: Vec<u8>,
    /// The endpoint that it connects to.
    pub(super) endpoint: Endpoint,
    /// Its number in the run.
    pub(super) number: usize,
}

impl Connection {
    /// Connects to `endpoint` and goes through all steps of `opening`. `number` counts the run's connections: every 20,000
    /// leave from another address of 127.0.0.0/8, because one address has ports for 28,000.
    pub(crate) fn open(endpoint: &Endpoint, number: usize, mut opening: Opening) -> Result<Self, BenchError> {
        let mut socket = connect(endpoint, number)?;
        let mut unread = Vec::new();
        socket.write_all(&opening.begin()).map_err(BenchError::Handshake)?;
        loop {
            match opening.advance(&mut unread)? {
                Progress::Waiting => read_more(&mut socket, &mut unread)?,
                Progress::Send(bytes) => socket.write_all(&bytes).map_err(BenchError::Handshake)?,
                Progress::Open => break,
            }
        }
        socket.stop_blocking().map_err(BenchError::Handshake)?;
        Ok(Self { socket, decoder: opening.into_decoder(), unread, endpoint: endpoint.clone(), number })
    }

    /// Returns whether the server has ended a connection that is otherwise not read: reads what it sent, and discards it.
    pub(crate) fn is_cut_off(&mut self) -> bool {
        let mut piece = [0; 65_536];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// Connects to `endpoint`, and shakes hands where TLS is spoken. Reading and writing block, for 10 seconds at most.
pub(crate) fn connect(endpoint: &Endpoint, number: usize) -> Result<Socket, BenchError> {
    let address = endpoint.address;
    let mut socket = connect_from(address, number)
        .and_then(|stream| Socket::new(stream, endpoint))
        .map_err(|error| BenchError::Connect { address, error })?;
    socket.shake_hands().map_err(BenchError::Handshake)?;
    Ok(socket)
}

fn read_more(socket: &mut Socket, received: &mut Vec<u8>) -> Result<(), BenchError> {
    match socket.read_onto(received) {
        Ok(0) => Err(BenchError::Refused("the server closed the connection while opening".into())),
        Ok(_) => Ok(()),
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
            connect_socket(&socket, &address)?;
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
    match connect_socket(&socket, &address) {
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
        let endpoint = Endpoint::plain(address);
        for (number, source) in [(0, 1), (19_999, 1), (20_000, 2), (249_999, 13)] {
            for begun in [false, true] {
                let _connection: Socket = if begun {
                    Socket::new(begin_connect(address, number).unwrap(), &endpoint).unwrap()
                } else {
                    Connection::open(&endpoint, number, opening()).unwrap().socket
                };
                let (_, from) = listener.accept().unwrap();
                assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, source), "connection {number}");
            }
        }
    }

    #[test]
    fn a_connection_that_the_server_ended_is_cut_off_and_a_silent_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap());
        let mut connection = Connection::open(&endpoint, 0, opening()).unwrap();
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
