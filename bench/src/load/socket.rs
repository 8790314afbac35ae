//! A socket in the clear or under TLS, read and written alike. It knows no protocol above that.
//!
//! In the clear every call is one of the system's. Under TLS the sans-I/O connection of rustls stands between, and what the
//! system does not take at once waits in it for the next call.

use std::io::{self, Read, Write};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::server::Endpoint;

/// The longest record (RFC 8446 §5.2; RFC 5246 §6.2.3 allows more) with its header, in bytes.
const RECORD_BYTES_MAX: usize = (16 << 10) + 2048 + 5;

/// The smallest buffer that can be read into under TLS: one half takes records, the other what is in them.
const TLS_BUFFER_BYTES_MIN: usize = 3 * RECORD_BYTES_MAX;

/// A non-blocking socket, with or without TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A socket without TLS.
    Plain(TcpStream),
    /// Under TLS. Boxed, so that sockets in the clear do not carry its size.
    Tls(Box<TlsSocket>),
}

/// A socket and the state of its encryption.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    session: ClientConnection,
    /// Whether the last read took all that the system had.
    is_emptied: bool,
}

impl Socket {
    /// Speaks over `tcp`, which may or may not block, as `endpoint` wants it. Under TLS, hands are shaken with the first reads
    /// and writes.
    pub(super) fn new(tcp: StdTcpStream, endpoint: &Endpoint) -> io::Result<Self> {
        let tcp = TcpStream::from_std(tcp);
        let Some(config) = &endpoint.tls else { return Ok(Self::Plain(tcp)) };
        let name = ServerName::IpAddress(endpoint.address.ip().into());
        let session = ClientConnection::new(Arc::clone(config), name).map_err(invalid)?;
        Ok(Self::Tls(Box::new(TlsSocket { tcp, session, is_emptied: false })))
    }

    /// Shakes hands over a socket that blocks, if that has to be done.
    pub(super) fn shake_hands(&mut self) -> io::Result<()> {
        let Self::Tls(socket) = self else { return Ok(()) };
        while socket.session.is_handshaking() {
            socket.session.complete_io(&mut socket.tcp)?;
        }
        Ok(())
    }

    /// From now on, nothing blocks.
    pub(super) fn stop_blocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self.tcp(), true)?)
    }

    /// Watches it for `interest`, and under TLS for room as well: an answer may be waiting for room even where no caller
    /// ever writes.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => registry.register(tcp, token, interest),
            Self::Tls(socket) => registry.register(&mut socket.tcp, token, interest | Interest::WRITABLE),
        }
    }

    /// Reads once, appends what came to `received`, and says how much that was; 0 is the end.
    pub(crate) fn read_onto(&mut self, received: &mut Vec<u8>) -> io::Result<usize> {
        let mut piece = [0; 4096];
        let mut large = Vec::new();
        let buffer: &mut [u8] = match self {
            Self::Plain(_) => &mut piece,
            Self::Tls(_) => {
                large.resize(TLS_BUFFER_BYTES_MIN, 0);
                &mut large
            }
        };
        let length = self.read(buffer)?;
        received.extend_from_slice(&buffer[..length]);
        Ok(length)
    }

    /// Whether a read of `length` bytes into a buffer of `capacity` has left nothing to be read. Readiness is edge-triggered,
    /// so the reader continues until then (epoll(7)).
    #[inline]
    pub(super) fn is_emptied_by(&self, length: usize, capacity: usize) -> bool {
        match self {
            Self::Plain(_) => length < capacity,
            // A short read says nothing: what was read came out of records.
            Self::Tls(socket) => socket.is_emptied,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(socket) => &socket.tcp,
        }
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    /// Sends what was taken but has not gone out; in the clear there is no such thing.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(socket) => socket.send(),
        }
    }
}

impl TlsSocket {
    /// Reads what the system has with one call into one half of `buffer`, and what is in the records into the other, which
    /// holds it all: it is never more than what came now and the beginning of a record that came before.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() < TLS_BUFFER_BYTES_MIN {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (plain, cipher) = buffer.split_at_mut((buffer.len() + RECORD_BYTES_MAX).div_ceil(2));
        loop {
            self.send_if_it_goes()?;
            let received = self.tcp.read(cipher)?;
            self.is_emptied = received < cipher.len();
            let length = self.decrypt(&cipher[..received], plain)?;
            if length > 0 || received == 0 || self.is_ended() {
                return Ok(length);
            }
        }
    }

    fn decrypt(&mut self, mut cipher: &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while !cipher.is_empty() {
            self.session.read_tls(&mut cipher)?;
            let state = self.session.process_new_packets().map_err(invalid)?;
            let end = length + state.plaintext_bytes_to_read();
            let room = plain.get_mut(length..end).ok_or(io::ErrorKind::OutOfMemory)?;
            self.session.reader().read_exact(room)?;
            length = end;
            if state.peer_has_closed() {
                // The end of the connection may have come along, and then nothing else would tell of it.
                self.is_emptied = false;
                break;
            }
        }
        Ok(length)
    }

    /// Whether the server has said that nothing more comes.
    fn is_ended(&mut self) -> bool {
        matches!(self.session.reader().read(&mut [0]), Ok(0))
    }

    /// Takes as much as there is room for, and sends what goes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_if_it_goes()?;
        let taken = self.session.writer().write(bytes)?;
        self.send_if_it_goes()?;
        if taken == 0 && !bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    fn send_if_it_goes(&mut self) -> io::Result<()> {
        match self.send() {
            Err(error) if is_early(&error) => Ok(()),
            result => result,
        }
    }
}

/// Whether the socket is not connected, or not ready, yet.
pub(super) fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use mio::{Events, Poll};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::error::BenchError;
    use crate::load::connect;
    use crate::server::Certificate;

    type Served = StreamOwned<ServerConnection, StdTcpStream>;

    /// A server that shakes hands with one client by `certificate` and then does as it is told.
    fn serve(
        certificate: &Certificate,
        mut to_do: impl FnMut(&mut Served) + Send + 'static,
    ) -> (std::net::SocketAddr, thread::JoinHandle<()>) {
        let chain = vec![CertificateDer::from_pem_file(certificate.path()).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificate.key_path()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut session = ServerConnection::new(Arc::new(config)).unwrap();
            while session.is_handshaking() {
                if session.complete_io(&mut tcp).is_err() {
                    return;
                }
            }
            to_do(&mut StreamOwned::new(session, tcp));
        });
        (address, server)
    }

    fn endpoint(address: std::net::SocketAddr, certificate: &Certificate) -> Endpoint {
        Endpoint { address, tls: Some(certificate.client().unwrap()) }
    }

    /// Waits for readiness, and lets `turn` do what can be done until it says that it is done.
    fn go_on(socket: &mut Socket, mut turn: impl FnMut(&mut Socket) -> bool) {
        let mut poll = Poll::new().unwrap();
        socket.stop_blocking().unwrap();
        socket.watch(poll.registry(), Token(0), Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(4);
        loop {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "nothing happens any more");
            if turn(socket) {
                return;
            }
        }
    }

    #[test]
    fn all_that_is_sent_under_tls_arrives_however_it_is_cut() {
        let certificate = Certificate::make().unwrap();
        let text: Vec<u8> = (0..1_500_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = text.clone();
        let (address, server) = serve(&certificate, move |stream| {
            let mut rest = text.as_slice();
            for size in [1, 17, 1400, 16_384, 40_000, 200_000].into_iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(size));
                stream.write_all(piece).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        });
        let mut socket = connect(&endpoint(address, &certificate), 0).unwrap();
        let (mut received, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        go_on(&mut socket, |socket| {
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(length) => received.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    Err(error) => panic!("{error}"),
                }
                if socket.is_emptied_by(1, buffer.len()) {
                    return false;
                }
            }
        });
        server.join().unwrap();
        assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
    }

    #[test]
    fn what_the_socket_does_not_take_goes_out_when_it_has_room() {
        const BYTES: usize = 8 << 20;
        let certificate = Certificate::make().unwrap();
        let (may_read, wait) = std::sync::mpsc::channel();
        let (address, server) = serve(&certificate, move |stream| {
            wait.recv().unwrap();
            let mut piece = vec![0; 64 << 10];
            let mut received = 0;
            while received < BYTES {
                let length = stream.read(&mut piece).unwrap();
                assert!(piece[..length].iter().all(|byte| *byte == b'x'));
                received += length;
            }
        });
        let mut socket = connect(&endpoint(address, &certificate), 0).unwrap();
        let text = vec![b'x'; BYTES];
        let mut written = 0;
        go_on(&mut socket, |socket| {
            while written < BYTES {
                match socket.write(&text[written..]) {
                    Ok(length) => written += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // Sent again and again: the server takes the first.
                        may_read.send(()).unwrap();
                        return false;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            match socket.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                result => result.map(|()| true).unwrap(),
            }
        });
        server.join().unwrap();
    }

    #[test]
    fn a_certificate_of_another_run_is_not_trusted() {
        let (certificate, other) = (Certificate::make().unwrap(), Certificate::make().unwrap());
        let (address, server) = serve(&certificate, |_| {});
        let error = connect(&endpoint(address, &other), 0).unwrap_err();
        assert!(matches!(&error, BenchError::Handshake(_)), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_buffer_with_no_room_for_records_is_refused() {
        let certificate = Certificate::make().unwrap();
        let (address, server) = serve(&certificate, |_| {});
        let mut socket = connect(&endpoint(address, &certificate), 0).unwrap();
        server.join().unwrap();
        assert_eq!(socket.read(&mut [0; 4096]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
