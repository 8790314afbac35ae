//! Accepts connections and distributes them to the workers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::rules::rate;
use super::unserved::UnservedConnections;
use super::worker::{NewConnection, WorkerHandle};
use crate::clock;
use crate::config::Limits;
use crate::log_limit::LogLimit;
use crate::proxy::Proxies;
use crate::sessions::{ConnectionLimiter, ConnectionLimits, Permit};
use crate::telemetry::{RefusalReason, Shared};

/// The maximum number of connections that wait to be accepted. The operating system may allow fewer.
const BACKLOG: i32 = 4096;

/// The pause after the operating system had no socket, so that the loop does not spin.
const NO_SOCKET_PAUSE: Duration = Duration::from_millis(100);

static NO_SOCKET: LogLimit = LogLimit::new("no connection can be accepted");

/// Opens the listening socket.
pub(super) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restarted broker must not wait until old connections time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the soft limit on open files to the hard limit, because each connection is an open file.
pub(super) fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files could not be raised");
        }
    }
}

/// Accepts connections within the limits and distributes them to the workers in turn.
pub(super) struct Acceptor {
    listener: Arc<TcpListener>,
    limiter: Arc<ConnectionLimiter>,
    proxies: Arc<Proxies>,
    counters: Arc<Shared>,
    unserved: UnservedConnections,
    next: usize,
}

impl Acceptor {
    /// Creates an acceptor for `listener` with the limits of `limits`.
    pub(super) fn new(
        listener: Arc<TcpListener>,
        limits: &Limits,
        proxies: Arc<Proxies>,
        unserved: UnservedConnections,
        counters: Arc<Shared>,
    ) -> Self {
        let limits = ConnectionLimits {
            total_max: limits.connections_max,
            per_network_max: limits.connections_per_address_max,
            total_rate: limits.connection_rate.map(rate),
            arrival_rate: limits.connection_rate_per_address.map(rate),
        };
        Self {
            listener,
            limiter: ConnectionLimiter::new(limits, counters.clone()),
            proxies,
            counters,
            unserved,
            next: 0,
        }
    }

    /// Accepts connections until the future is dropped.
    pub(super) async fn run(&mut self, workers: &[WorkerHandle]) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.admit(stream, address.ip(), workers).await,
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    self.counters.refused(RefusalReason::NoSocket);
                    if let Some(left_out) = NO_SOCKET.allow() {
                        tracing::error!(%error, left_out, "no connection can be accepted: raise the limit on open files");
                    }
                    tokio::time::sleep(NO_SOCKET_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&mut self, stream: TcpStream, address: IpAddr, workers: &[WorkerHandle]) {
        // The limits per address hold for the clients of a trusted proxy, not for the proxy itself.
        let network = (!self.proxies.trusts(address)).then(|| address.into());
        let permit = match Permit::take(&self.limiter, network, clock::monotonic_us()) {
            Ok(permit) => permit,
            Err(reason) => return self.unserved.refuse(stream, address, reason),
        };
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "the client disconnected before it was served"),
        };
        self.next = (self.next + 1) % workers.len();
        workers[self.next].serve(NewConnection { stream, peer: address, permit }).await;
    }
}

/// Accepts connections while the broker drains, and has each of them answered, until the future is dropped.
pub(super) async fn answer_while_draining(listener: &TcpListener, unserved: &UnservedConnections) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => unserved.answer_draining(stream, address.ip()).await,
            Err(_) => tokio::time::sleep(NO_SOCKET_PAUSE).await,
        }
    }
}

/// Returns whether an accept failed only because this one client is gone already (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
