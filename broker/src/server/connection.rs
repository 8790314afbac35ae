//! One connection: its beginning, then HTTP requests until it becomes a WebSocket or ends.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dispatch::Dispatch;
use super::handshakes::Handshake;
use super::open_connections::OpenConnection;
use super::preamble;
use crate::config::Limits;
use crate::sessions::ConnectionGuard;
use crate::telemetry::HandshakeFailure;
use crate::transports::ResponseBody;

/// How much of one HTTP/2 stream may wait inside the HTTP library, beyond the session's outbox.
const STREAM_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What a connection counts as while it is there.
pub(super) struct Presence {
    /// Held for its drop: the worker waits for it when it drains.
    pub(super) inhabitant: OpenConnection,
    /// Dropped with the first request.
    pub(super) handshake: Handshake,
}

/// One connection on its way through HTTP.
struct Visit {
    guard: Rc<ConnectionGuard>,
    dispatch: Rc<Dispatch>,
    draining: watch::Receiver<Option<Instant>>,
    /// There until the first request.
    handshake: RefCell<Option<Handshake>>,
    /// Requests that have come so far.
    requests: Cell<u64>,
    /// Requests that are being answered.
    answering: Cell<u64>,
}

/// Serves one connection. WebSockets that it becomes go on in a task of their own.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    guard: Rc<ConnectionGuard>,
    dispatch: Rc<Dispatch>,
    draining: watch::Receiver<Option<Instant>>,
    presence: Presence,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::error!(%error, "a connection could not be registered"),
    };
    let Presence { inhabitant: _inhabitant, handshake } = presence;
    let visit = Rc::new(Visit {
        guard,
        dispatch,
        draining,
        handshake: RefCell::new(Some(handshake)),
        requests: Cell::new(0),
        answering: Cell::new(0),
    });
    if let Err(failure) = visit.clone().serve(stream).await {
        visit.guard.counters().handshake_failed(failure);
        tracing::debug!(?failure, "a connection ended before its first request");
    }
}

impl Visit {
    async fn serve(self: Rc<Self>, mut stream: TcpStream) -> Result<(), HandshakeFailure> {
        let beginning = self.dispatch.beginning();
        if beginning.proxies.sends_header(self.guard.peer())
            && let Some(client) = self.in_time(preamble::begin_proxied(&mut stream)).await?
        {
            // There are no words for a refusal at this point, only for a request.
            self.guard.introduce(client).map_err(|_| HandshakeFailure::Refused)?;
        }
        let Some(certificates) = &beginning.certificates else {
            self.in_time(preamble::begin_plain(&stream)).await?;
            return self.serve_http1(TokioIo::new(stream)).await;
        };
        // Boxed, so that connections in the clear do not carry the size of those that are not.
        let stream = Box::pin(self.in_time(preamble::begin_tls(stream, certificates))).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            Box::pin(self.serve_http2(TokioIo::new(stream))).await
        } else {
            Box::pin(self.serve_http1(TokioIo::new(stream))).await
        }
    }

    fn limits(&self) -> &Limits {
        self.dispatch.limits()
    }

    /// Waits for a part of the beginning, as long as that may take, others leave room for it, and the broker does not stop.
    async fn in_time<T>(
        &self,
        beginning: impl Future<Output = Result<T, HandshakeFailure>>,
    ) -> Result<T, HandshakeFailure> {
        let mut draining = self.draining.clone();
        tokio::select! {
            result = tokio::time::timeout(self.limits().handshake_timeout, beginning) => {
                result.unwrap_or(Err(HandshakeFailure::TimedOut))
            }
            () = self.guard.abort().notified() => Err(HandshakeFailure::CrowdedOut),
            _ = draining.wait_for(Option::is_some) => Err(HandshakeFailure::Left),
        }
    }

    async fn answer(
        answering: Answering,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let Answering(visit) = &answering;
        Ok(visit.dispatch.answer(request, visit.guard.clone()).await)
    }

    async fn serve_http1<S>(self: Rc<Self>, stream: S) -> Result<(), HandshakeFailure>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits().handshake_timeout)
            .max_buf_size(self.limits().header_bytes_max);
        let service = service_fn(|request| Self::answer(Answering::begin(&self), request));
        let connection = builder.serve_connection(stream, service).with_upgrades();
        self.drive(pin!(connection), std::future::pending()).await
    }

    async fn serve_http2<S>(self: Rc<Self>, stream: S) -> Result<(), HandshakeFailure>
    where
        S: Read + Write + Unpin + 'static,
    {
        let limits = self.limits();
        let mut builder = http2::Builder::new(LocalTasks);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(u32::try_from(limits.streams_per_connection_max).unwrap_or(u32::MAX))
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .max_send_buf_size(STREAM_BUFFER_BYTES_MAX)
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_timeout);
        let service = service_fn(|request| Self::answer(Answering::begin(&self), request));
        let connection = builder.serve_connection(stream, service);
        let idle_after = limits.handshake_timeout;
        self.drive(pin!(connection), self.idle(idle_after)).await
    }

    /// Drives a connection to its end. It is asked to end when the broker stops or when `idle` is over, and then only has
    /// as long to go as any other close.
    async fn drive<C: Graceful>(
        &self,
        mut connection: Pin<&mut C>,
        idle: impl Future<Output = ()>,
    ) -> Result<(), HandshakeFailure> {
        let mut idle = pin!(idle);
        let mut draining = self.draining.clone();
        let mut is_ending = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => return result.or_else(|error| self.judge(&error)),
                () = self.guard.abort().notified() => {
                    tracing::debug!("HTTP connection given up: its client neither sends a request nor reads an answer");
                    // Whoever crowded it out has counted it.
                    return Ok(());
                }
                _ = draining.wait_for(Option::is_some), if !is_ending => {}
                () = &mut idle, if !is_ending => {
                    connection.as_mut().graceful_shutdown();
                    let gone = tokio::time::timeout(self.limits().close_timeout, connection).await;
                    let is_silent = self.handshake.borrow().is_some();
                    return if gone.is_err() && is_silent { Err(HandshakeFailure::TimedOut) } else { Ok(()) };
                }
            }
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }

    /// Waits until nothing was asked, and nothing is being answered, for as long as `period`. HTTP/2 has no such limit of
    /// its own.
    async fn idle(&self, period: Duration) {
        let mut requests = u64::MAX;
        loop {
            let is_idle = self.answering.get() == 0 && self.guard.streams() == 0;
            if is_idle && requests == self.requests.get() {
                return;
            }
            requests = self.requests.get();
            tokio::time::sleep(period).await;
        }
    }

    /// Whether a connection that ended in an error had failed before its first request.
    fn judge(&self, error: &hyper::Error) -> Result<(), HandshakeFailure> {
        tracing::debug!(%error, "HTTP connection ended");
        match &*self.handshake.borrow() {
            None => Ok(()),
            Some(_) if error.is_timeout() => Err(HandshakeFailure::TimedOut),
            Some(_) => Err(HandshakeFailure::Malformed),
        }
    }
}

/// A request that is being answered, until it is dropped.
struct Answering(Rc<Visit>);

impl Answering {
    fn begin(visit: &Rc<Visit>) -> Self {
        visit.handshake.take();
        visit.requests.set(visit.requests.get() + 1);
        visit.answering.set(visit.answering.get() + 1);
        Self(visit.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.set(self.0.answering.get() - 1);
    }
}

/// A connection that can be asked to end after what it is answering.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Asks it to.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<S, I> Graceful for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: Read + Write + Unpin + Send + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http1::UpgradeableConnection::graceful_shutdown(self);
    }
}

impl<S, I> Graceful for http2::Connection<I, S, LocalTasks>
where
    S: hyper::service::HttpService<Incoming, ResBody = ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    I: Read + Write + Unpin + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}

/// Runs the streams of an HTTP/2 connection on the connection's own worker. Each ends with its connection.
#[derive(Clone, Copy)]
struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
