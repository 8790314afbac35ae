//! One connection: how it is opened (blocking, one after the other, with a time-out) and what it is afterwards.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::BenchError;
use crate::wire::Decoder;
use crate::wire::websocket::{self, Header, client_frame};

/// How long a server may take to answer one step of opening a connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections from one source address: fewer than the 28,232 ports the kernel gives out by default, so that ports
/// still in TIME-WAIT from a run before do not matter.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// The longest head of a response and the longest reply while connecting.
const HANDSHAKE_BYTES_MAX: usize = 1 << 20;

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

/// A connection on its way: sends requests and waits for their answers.
#[derive(Debug)]
pub(crate) struct Handshake {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Handshake {
    /// Connects to `address`. `number` counts the run's connections: every 20,000 leave from another address of
    /// 127.0.0.0/8, because one address has ports for 28,000.
    pub(crate) fn connect(address: SocketAddr, number: usize) -> Result<Self, BenchError> {
        let stream = connect_from(address, number).map_err(|error| BenchError::Connect { address, error })?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends `bytes` as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream.write_all(bytes).map_err(BenchError::Handshake)
    }

    /// Asks for a WebSocket and waits until it is granted.
    pub(crate) fn upgrade(&mut self, path: &str, subprotocol: Option<&str>) -> Result<(), BenchError> {
        let host = self.stream.peer_addr().map_err(BenchError::Handshake)?.to_string();
        self.send(websocket::upgrade_request(&host, path, subprotocol).as_bytes())?;
        let head = self.read_head()?;
        if head.starts_with("HTTP/1.1 101") {
            return Ok(());
        }
        Err(BenchError::Refused(format!(
            "the server did not grant a WebSocket at {path}: {}",
            first_line(&head)
        )))
    }

    /// Waits for the head of an HTTP response and gives it.
    pub(crate) fn read_head(&mut self) -> Result<String, BenchError> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.received, b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.read_more()?;
        }
    }

    /// Sends one WebSocket message.
    pub(crate) fn send_message(&mut self, opcode: u8, payload: &[u8]) -> Result<(), BenchError> {
        self.send(&client_frame(opcode, payload).0)
    }

    /// Waits for the next WebSocket message and gives its payload. Pings are passed over: opening takes no minute.
    pub(crate) fn read_message(&mut self) -> Result<Vec<u8>, BenchError> {
        loop {
            if let Some(header) = Header::read(&self.received)
                && self.received.len() >= header.frame_bytes()
            {
                let frame: Vec<u8> = self.received.drain(..header.frame_bytes()).collect();
                match header.opcode {
                    websocket::CLOSE => {
                        return Err(BenchError::Refused(
                            "the server closed the WebSocket while opening".into(),
                        ));
                    }
                    websocket::PING | websocket::PONG => continue,
                    _ => return Ok(frame[header.header_bytes..].to_vec()),
                }
            }
            self.read_more()?;
        }
    }

    /// Waits for one byte and gives it.
    pub(crate) fn read_byte(&mut self) -> Result<u8, BenchError> {
        while self.received.is_empty() {
            self.read_more()?;
        }
        Ok(self.received.remove(0))
    }

    /// Hands the connection over to the load, which reads it with `decoder`.
    pub(crate) fn finish(self, decoder: Decoder) -> Result<Connection, BenchError> {
        self.stream.set_nonblocking(true).map_err(BenchError::Handshake)?;
        Ok(Connection { stream: self.stream, decoder, unread: self.received })
    }

    fn read_more(&mut self) -> Result<(), BenchError> {
        let mut piece = [0; 4096];
        if self.received.len() > HANDSHAKE_BYTES_MAX {
            return Err(BenchError::Refused("the server's answer has no end".into()));
        }
        match self.stream.read(&mut piece) {
            Ok(0) => Err(BenchError::Refused("the server closed the connection while opening".into())),
            Ok(length) => {
                self.received.extend_from_slice(&piece[..length]);
                Ok(())
            }
            Err(error) => Err(BenchError::Handshake(error)),
        }
    }
}

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

fn connect_from(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let source = number / CONNECTIONS_PER_SOURCE;
    let stream = if source > 0 && address.is_ipv4() {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP))?;
        let last = u8::try_from(source + 1).map_err(|_| io::Error::other("too many source addresses"))?;
        bind(&socket, &SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))?;
        connect(&socket, &address)?;
        TcpStream::from(socket)
    } else {
        TcpStream::connect_timeout(&address, STEP_TIMEOUT)?
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
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

    #[test]
    fn connections_leave_from_another_address_when_one_has_no_ports_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (number, source) in [(0, 1), (19_999, 1), (20_000, 2), (249_999, 13)] {
            let _connection = Handshake::connect(address, number).unwrap();
            let (_, from) = listener.accept().unwrap();
            assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, source), "connection {number}");
        }
    }

    #[test]
    fn a_refused_upgrade_is_told_with_the_servers_words() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
        });
        let error = Handshake::connect(address, 0).unwrap().upgrade("/nowhere", None).unwrap_err();
        assert!(error.to_string().ends_with("at /nowhere: HTTP/1.1 404 Not Found"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn more_connections_than_files_are_refused_before_any_is_opened() {
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let error = raise_open_files(usize::MAX >> 8).unwrap_err();
            assert!(error.to_string().contains("the hard limit is"), "{error}");
        }
    }
}
