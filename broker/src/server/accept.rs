//! Accepting connections and dealing them to the workers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::Rate;
use fanwire_protocol::ErrorCode;
use http::{StatusCode, header};
use tokio::net::{TcpListener, TcpStream};

use super::rate;
use super::worker::{NewConnection, WorkerHandle};
use crate::clock;
use crate::config::Limits;
use crate::problem::Problem;
use crate::sessions::{ArrivalMeters, HeldPermits, Network, Permit};
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
    permits: HeldPermits,
    connections_max: usize,
    per_address_max: usize,
    arrival_rate: Option<Rate>,
    arrivals: ArrivalMeters,
    counters: Arc<Shared>,
    has_tls: bool,
    next: usize,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, limits: &Limits, has_tls: bool, counters: Arc<Shared>) -> Self {
        Self {
            listener,
            permits: HeldPermits::default(),
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            arrival_rate: limits.connection_rate_per_address.map(rate),
            arrivals: ArrivalMeters::default(),
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
        let permit = match self.permit(address.into()) {
            Ok(permit) => permit,
            Err(reason) => return self.refuse(&stream, reason),
        };
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "the client left before it was served"),
        };
        self.next = (self.next + 1) % workers.len();
        workers[self.next].serve(NewConnection { stream, permit }).await;
    }

    fn permit(&mut self, network: Network) -> Result<Permit, RefusalReason> {
        if let Some(rate) = self.arrival_rate
            && self.arrivals.take(network, rate, clock::monotonic_us()).is_err()
        {
            return Err(RefusalReason::ConnectionRatePerAddress);
        }
        Permit::take(&self.permits, network, self.connections_max, self.per_address_max)
    }

    /// Says why and hangs up. The answer is one small write to an empty socket; if it does not go, it does not matter.
    fn refuse(&self, stream: &TcpStream, reason: RefusalReason) {
        self.counters.refused(reason);
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
