//! The socket of a session, in the clear or under TLS, read and written without blocking and without a task.
//!
//! Under TLS the sans-I/O connection of rustls stands between: what is written is encrypted into its buffer, at most
//! [`TLS_BUFFER_BYTES_MAX`] at a time, and goes out in one vectored write, as it does in the clear.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The most bytes that are encrypted ahead of the socket.
const TLS_BUFFER_BYTES_MAX: usize = 128 * 1024;

/// The socket of a session.
pub(crate) enum Link {
    /// A connection without TLS.
    Plain(TcpStream),
    /// Under TLS. Boxed, so that sessions in the clear do not carry its size.
    Tls(Box<TlsLink>),
}

/// A socket and the state of its encryption.
pub(crate) struct TlsLink {
    socket: TcpStream,
    tls: RefCell<ServerConnection>,
}

impl Link {
    /// A socket under TLS, its hand-shake done.
    pub(crate) fn tls(socket: TcpStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
        Self::Tls(Box::new(TlsLink { socket, tls: RefCell::new(tls) }))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Link::Plain(socket) => socket,
            Link::Tls(link) => &link.socket,
        }
    }

    /// Takes as much of `slices` as goes without blocking.
    ///
    /// # Errors
    /// `WouldBlock` if nothing goes; anything else if the connection is broken.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Link::Plain(socket), [one]) => socket.try_write(one),
            (Link::Plain(socket), several) => socket.try_write_vectored(several),
            (Link::Tls(link), slices) => {
                // What was encrypted earlier goes first; until it has gone, nothing is encrypted on top.
                link.try_send()?;
                link.tls.borrow_mut().writer().write_vectored(slices)
            }
        }
    }

    /// Sends what was taken but has not gone out yet. In the clear there is no such thing.
    ///
    /// # Errors
    /// `WouldBlock` if not all of it goes; anything else if the connection is broken.
    pub(super) fn try_send(&self) -> io::Result<()> {
        match self {
            Link::Plain(_) => Ok(()),
            Link::Tls(link) => link.try_send(),
        }
    }

    /// Waits until the socket may take something again.
    pub(super) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(context)
    }

    /// Reads into `buffer`. 0 says that the peer has hung up.
    ///
    /// # Errors
    /// If the connection is broken, or a record cannot be decrypted.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Link::Plain(socket) => poll_read_plain(socket, context, buffer),
            Link::Tls(link) => link.poll_read(context, buffer),
        }
    }

    /// Announces that nothing more is sent, and continues to read.
    pub(super) fn shut_writing(&self) {
        if let Link::Tls(link) = self {
            link.tls.borrow_mut().send_close_notify();
            // If it cannot be sent, the end of the connection says the same.
            let _unsent = link.try_send();
        }
        // A connection that is gone already needs no shutdown.
        let _gone_already = socket2::SockRef::from(self.socket()).shutdown(Shutdown::Write);
    }
}

/// Reads once. A read that leaves room in the buffer has emptied the socket, so the socket is not read again, as in tokio's own
/// streams: that saves one system call per read. What comes meanwhile, the end of the connection included, is a new event
/// (epoll(7), edge-triggered).
fn poll_read_plain(
    socket: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(context))?;
        let mut last = None;
        let result = socket.try_io(Interest::READABLE, || {
            let count = rustix::io::read(socket, &mut *buffer)?;
            if cfg!(target_os = "linux") && (1..buffer.len()).contains(&count) {
                last = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        match (last, result) {
            (Some(count), _) => return Poll::Ready(Ok(count)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, result) => return Poll::Ready(result),
        }
    }
}

impl TlsLink {
    fn try_send(&self) -> io::Result<()> {
        let mut tls = self.tls.borrow_mut();
        while tls.wants_write() {
            tls.write_tls(&mut NonBlocking(&self.socket))?;
        }
        Ok(())
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.tls.borrow_mut().reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer closed without a close alert. An incomplete message is noticed by the reader of messages.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                result => return Poll::Ready(result),
            }
            ready!(self.socket.poll_read_ready(context))?;
            let mut tls = self.tls.borrow_mut();
            match tls.read_tls(&mut NonBlocking(&self.socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => {}
            }
            let processed = tls.process_new_packets();
            drop(tls);
            // A new key or an alert that is due: what does not go now goes with the next write.
            let _goes_later = self.try_send();
            if let Err(error) = processed {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}

/// A socket as rustls wants it, which reports that it would block in place of blocking.
struct NonBlocking<'a>(&'a TcpStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
