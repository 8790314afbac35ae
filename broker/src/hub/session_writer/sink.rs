//! The sink of a session's outbox: a socket that the hub writes to, or a task that takes what waits.

use std::cell::{OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};

use fanwire_core::outbox::{Outbox, Written};
use tokio::sync::Notify;

use crate::hub::link::Link;
use crate::telemetry::WorkerCounters;

/// The receiver of the outbox's bytes.
pub(crate) enum Sink {
    /// The hub writes to this socket. The session's task helps only when the socket would block. The socket is connected when the
    /// answer to the handshake has been written; until then the outbox keeps what comes.
    Socket(OnceCell<Link>),
    /// The session's task takes what waits. This signal ends the whole connection if the task is blocked when its time is up.
    Task(Rc<Notify>),
}

impl Sink {
    /// A sink whose socket is connected later.
    pub(crate) fn socket() -> Self {
        Self::Socket(OnceCell::new())
    }

    /// Returns the socket, if it is connected.
    pub(crate) fn link(&self) -> Option<&Link> {
        match self {
            Self::Socket(link) => link.get(),
            Self::Task(_) => None,
        }
    }

    /// Connects the socket of an upgraded connection.
    pub(crate) fn connect(&self, link: Link) {
        if let Self::Socket(socket) = self
            && socket.set(link).is_err()
        {
            tracing::error!("a session was given a second socket");
        }
    }

    /// Shuts down the writing half. Bytes from the peer can still be read.
    pub(crate) fn shut_writing(&self) {
        if let Some(link) = self.link() {
            link.shut_writing();
        }
    }

    /// Returns whether the socket is not connected yet.
    pub(super) fn awaits_socket(&self) -> bool {
        matches!(self, Self::Socket(link) if link.get().is_none())
    }

    /// Ends the whole connection of a session whose task is blocked.
    pub(super) fn abort(&self) {
        if let Self::Task(abort) = self {
            abort.notify_one();
        }
    }

    /// Writes from `outbox` what the socket takes without blocking. `None` if there is no socket.
    pub(super) fn write(
        &self,
        outbox: &RefCell<Outbox>,
        counters: &WorkerCounters,
    ) -> Option<io::Result<Written>> {
        self.link().map(|link| write(link, &mut outbox.borrow_mut(), counters))
    }

    /// Waits until the socket may take more. Ready at once if there is none.
    pub(super) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link().map_or(Poll::Ready(Ok(())), |link| link.poll_write_ready(context))
    }
}

fn write(link: &Link, outbox: &mut Outbox, counters: &WorkerCounters) -> io::Result<Written> {
    while !outbox.is_empty() {
        let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
        let count = outbox.fill(&mut slices);
        let written = match link.try_write(&slices[..count]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Partly),
            Err(error) => return Err(error),
        };
        counters.sent_bytes.add(written as u64);
        outbox.advance(written);
    }
    match link.try_send() {
        Ok(()) => Ok(Written::All),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Partly),
        Err(error) => Err(error),
    }
}
