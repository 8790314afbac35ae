//! Accepting connections and dealing them to the workers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};
use tokio::net::{TcpListener, TcpStream};

use super::rate;
use super::worker::{NewConnection, WorkerHandle};
use crate::clock;
use crate::config::Limits;
use crate::problem::Problem;
use crate::proxy::Proxies;
use crate::sessions::{ConnectionLimiter, ConnectionLimits, Permit};
use crate::telemetry::{RefusalReason, Shared};

/// How many connections may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// How long to wait after the system had no socket to give, so that the loop does not spin.
const NO_SOCKET_PAUSE: Duration = Duration::from_millis(100);

/// Opens the listening socket.
pub(super) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restarted broker must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the soft limit on open files to the hard one: each connection is one.
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

/// Accepts connections within the limits and deals them out in turn.
pub(super) struct Acceptor {
    listener: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    proxies: Arc<Proxies>,
    counters: Arc<Shared>,
    has_tls: bool,
    next: usize,
}

impl Acceptor {
    pub(super) fn new(
        listener: TcpListener,
        limits: &Limits,
        proxies: Arc<Proxies>,
        has_tls: bool,
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
            has_tls,
            next: 0,
        }
    }

    /// Accepts until it is dropped.
    pub(super) async fn run(&mut self, workers: &[WorkerHandle]) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.admit(stream, address.ip(), workers).await,
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    self.counters.refused(RefusalReason::NoSocket);
                    tracing::error!(%error, "no connection can be accepted: raise the limit on open files");
                    tokio::time::sleep(NO_SOCKET_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&mut self, stream: TcpStream, address: IpAddr, workers: &[WorkerHandle]) {
        // A proxy has as many connections as it has clients; it is they who are held to the limits of one address.
        let network = (!self.proxies.trusts(address)).then(|| address.into());
        let permit = match Permit::take(&self.limiter, network, clock::monotonic_us()) {
            Ok(permit) => permit,
            Err(reason) => return self.refuse(&stream, reason),
        };
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "the client left before it was served"),
        };
        self.next = (self.next + 1) % workers.len();
        workers[self.next].serve(NewConnection { stream, peer: address, permit }).await;
    }

    /// Says why and hangs up. The answer is one small write to an empty socket; if it does not go, it does not matter.
    fn refuse(&self, stream: &TcpStream, reason: RefusalReason) {
        if self.has_tls {
            // There are no words for it before the hand-shake, and that is the costly part.
            return;
        }
        let response = problem_of(reason).into_response();
        let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
        for (name, value) in response.headers() {
            head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        let body = response.into_body();
        head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        let _nobody_listens = stream.try_write(&[head.as_slice(), &body].concat());
    }
}

/// How a refused connection, or a request that would be one, is answered.
pub(super) fn problem_of(reason: RefusalReason) -> Problem {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, retry_after, detail) = match reason {
        RefusalReason::ConnectionRate => (
            unavailable,
            ErrorCode::RateLimited,
            "1",
            "more clients come back at once than the broker takes: try again in a second, and later each time",
        ),
        RefusalReason::ConnectionRatePerAddress => (
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            "1",
            "connections from your address come too fast: try again in a second, and keep connections open",
        ),
        RefusalReason::ConnectionsPerAddressMax => (
            unavailable,
            ErrorCode::LimitExceeded,
            "5",
            "too many connections from your address: close some first",
        ),
        RefusalReason::ConnectionsMax | RefusalReason::NoSocket => (
            unavailable,
            ErrorCode::LimitExceeded,
            "5",
            "the broker serves as many connections as it may: try again later, or another one",
        ),
    };
    Problem::new(status, code, detail).with_header(header::RETRY_AFTER, retry_after)
}

/// Whether an accept failed because that one client is gone already (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
