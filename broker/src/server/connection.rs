//! One connection: its preamble, then HTTP requests until it becomes a WebSocket or ends.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dispatch::Dispatch;
use super::handshakes::Handshake;
use super::http2_streams::{StreamBody, StreamTasks};
use super::open_connections::OpenConnection;
use super::preamble;
use super::request_body;
use super::unserved::UnservedConnections;
use crate::config::Limits;
use crate::sessions::ConnectionGuard;
use crate::socket::{self, Lender, lend};
use crate::telemetry::HandshakeFailure;
use crate::transports::ResponseBody;

/// The maximum number of bytes of one HTTP/2 stream that wait inside the HTTP library, beyond the session's outbox.
const STREAM_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The maximum number of bytes that are read and thrown away after the last answer of a connection.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The number of bytes in both directions up to which an HTTP/2 connection counts as idle over a period. The pings of both
/// sides take less.
const IDLE_BYTES_MAX: u64 = 1024;

/// The counts that a connection is part of while it is open.
pub(super) struct Counted {
    /// Held for its drop: the worker waits for it when it drains.
    pub(super) connection: OpenConnection,
    /// Dropped with the first request.
    pub(super) handshake: Handshake,
}

/// A connection that its worker begins to serve.
pub(super) struct Visitor {
    pub(super) stream: std::net::TcpStream,
    pub(super) guard: Rc<ConnectionGuard>,
    pub(super) counted: Counted,
    /// Answers the connection if the client that a proxy names is refused.
    pub(super) unserved: UnservedConnections,
}

/// The end of a connection after HTTP has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The stream is shut down and dropped.
    Shutdown,
    /// The client may still be sending. What it sends is read until it has had the chance to read the answer.
    Linger,
    /// The stream is dropped.
    Drop,
}

/// One connection on its way through HTTP.
struct Visit {
    guard: Rc<ConnectionGuard>,
    dispatch: Rc<Dispatch>,
    draining: watch::Receiver<Option<Instant>>,
    /// There until the first request.
    handshake: RefCell<Option<Handshake>>,
    /// The number of requests so far.
    requests: Cell<u64>,
    /// The number of requests that are being answered.
    answering: Cell<u64>,
    ending: Cell<Ending>,
}

/// Serves one connection. If it becomes a WebSocket, that continues in a task of its own.
pub(super) async fn serve(
    visitor: Visitor,
    dispatch: Rc<Dispatch>,
    draining: watch::Receiver<Option<Instant>>,
) {
    let Visitor { stream, guard, counted, unserved } = visitor;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::error!(%error, "a connection could not be registered"),
    };
    let Counted { connection: _connection, handshake } = counted;
    let visit = Rc::new(Visit {
        guard,
        dispatch,
        draining,
        handshake: RefCell::new(Some(handshake)),
        requests: Cell::new(0),
        answering: Cell::new(0),
        ending: Cell::new(Ending::Shutdown),
    });
    if let Err(failure) = visit.clone().serve(stream, &unserved).await {
        visit.guard.counters().handshake_failed(failure);
        tracing::debug!(?failure, "a connection ended before its first request");
    }
}

impl Visit {
    async fn serve(
        self: Rc<Self>,
        mut stream: TcpStream,
        unserved: &UnservedConnections,
    ) -> Result<(), HandshakeFailure> {
        let preamble = self.dispatch.preamble();
        if preamble.proxies.sends_header(self.guard.peer())
            && let Some(client) = self.in_time(preamble::begin_proxied(&mut stream)).await?
            && let Err(reason) = self.guard.introduce(client)
        {
            unserved.refuse_introduced(stream, client, reason);
            return Err(HandshakeFailure::Refused);
        }
        let Some(certificates) = &preamble.certificates else {
            self.in_time(preamble::begin_plain(&stream)).await?;
            return self.serve_http1(stream).await;
        };
        // Boxed, so that connections without TLS do not have the size of those with TLS.
        let stream = Box::pin(self.in_time(preamble::begin_tls(stream, certificates))).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            Box::pin(self.serve_http2(stream)).await
        } else {
            Box::pin(self.serve_http1(stream)).await
        }
    }

    fn limits(&self) -> &Limits {
        self.dispatch.limits()
    }

    /// Waits for a part of the preamble within `limits.handshake_timeout`. Ends early if the connection must make room for others,
    /// or if the broker stops.
    async fn in_time<T>(
        &self,
        part: impl Future<Output = Result<T, HandshakeFailure>>,
    ) -> Result<T, HandshakeFailure> {
        let mut draining = self.draining.clone();
        tokio::select! {
            result = tokio::time::timeout(self.limits().handshake_timeout, part) => {
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
        let is_shared = request.version() >= Version::HTTP_2;
        let (parts, body) = request.into_parts();
        let (body, rest) = request_body::watch(body, &parts.headers, visit.dispatch.counters());
        let request = Request::from_parts(parts, body);
        let mut response = visit.dispatch.answer(request, visit.guard.clone()).await;
        let is_closing =
            response.headers().get(header::CONNECTION).is_some_and(|value| value.as_bytes() == b"close");
        // On HTTP/2 the stream is reset, and the connection serves the others.
        if !is_shared && (!rest.discard().await || is_closing) {
            visit.ending.set(Ending::Linger);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn serve_http1<S>(self: Rc<Self>, stream: S) -> Result<(), HandshakeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits().handshake_timeout)
            .max_buf_size(self.dispatch.head_bytes_max());
        let service = service_fn(|request| Self::answer(Answering::begin(&self), request));
        let (socket, lender) = lend(stream, self.limits().write_timeout);
        let result = {
            let connection = builder.serve_connection(TokioIo::new(socket), service).with_upgrades();
            self.drive(pin!(connection), &lender, std::future::pending()).await
        };
        self.end(&lender).await;
        result
    }

    async fn serve_http2<S>(self: Rc<Self>, stream: S) -> Result<(), HandshakeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let limits = self.limits();
        let tasks = StreamTasks {
            write_timeout: limits.write_timeout,
            close_timeout: limits.close_timeout,
            draining: self.draining.clone(),
            counters: self.dispatch.counters().clone(),
        };
        let mut builder = http2::Builder::new(tasks);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(u32::try_from(limits.streams_per_connection_max).unwrap_or(u32::MAX))
            .max_header_list_size(u32::try_from(self.dispatch.head_bytes_max()).unwrap_or(u32::MAX))
            .max_send_buf_size(STREAM_BUFFER_BYTES_MAX)
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_timeout);
        let service = service_fn(|request| {
            let answer = Self::answer(Answering::begin(&self), request);
            async { answer.await.map(|response| response.map(StreamBody::new)) }
        });
        let (socket, lender) = lend(stream, self.limits().write_timeout);
        let result = {
            let connection = builder.serve_connection(TokioIo::new(socket), service);
            let idle = self.idle(&lender, limits.handshake_timeout);
            self.drive(pin!(connection), &lender, idle).await
        };
        self.end(&lender).await;
        result
    }

    /// Shuts the stream down, if HTTP has given it back. A client that is still sending gets the chance to read the answer
    /// first: a socket that is closed with unread bytes is reset, and the answer with it.
    async fn end<S: AsyncRead + AsyncWrite + Unpin>(&self, lender: &Lender<S>) {
        let ending = self.ending.get();
        let Some(mut stream) = lender.take().filter(|_| ending != Ending::Drop) else { return };
        let mut draining = self.draining.clone();
        let ended = async {
            if stream.shutdown().await.is_ok() && ending == Ending::Linger {
                socket::discard(&mut stream, LINGER_BYTES_MAX).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(self.limits().close_timeout, ended) => {}
            () = self.guard.abort().notified() => {}
            _ = draining.wait_for(Option::is_some) => {}
        }
    }

    /// Drives a connection to its end. When the broker stops, or `idle` completes, the connection is asked to end. In the second
    /// case it has `limits.close_timeout` for that; in the first, it may take nothing of an answer for that long.
    async fn drive<C: Graceful, S>(
        &self,
        mut connection: Pin<&mut C>,
        lender: &Lender<S>,
        idle: impl Future<Output = ()>,
    ) -> Result<(), HandshakeFailure> {
        let mut idle = pin!(idle);
        let mut draining = self.draining.clone();
        let mut is_ending = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => return result.or_else(|error| self.judge(&error)),
                () = self.guard.abort().notified() => {
                    tracing::debug!("HTTP connection aborted: its client neither sends a request nor reads an answer");
                    self.ending.set(Ending::Drop);
                    // It was counted where the abort was decided.
                    return Ok(());
                }
                _ = draining.wait_for(Option::is_some), if !is_ending => {
                    lender.hurry(self.limits().close_timeout);
                }
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

    /// Waits until the connection was idle for a whole `period`: no request came, none is being answered, and no more bytes
    /// moved in either direction than pings take. A slow reader of a large answer is not idle. HTTP/2 has no such limit of its
    /// own.
    async fn idle<S>(&self, lender: &Lender<S>, period: Duration) {
        let (mut requests, mut moved_bytes) = (u64::MAX, 0);
        loop {
            let is_idle = self.answering.get() == 0 && self.guard.streams() == 0;
            let moved = lender.moved_bytes();
            if is_idle && requests == self.requests.get() && moved - moved_bytes <= IDLE_BYTES_MAX {
                return;
            }
            (requests, moved_bytes) = (self.requests.get(), moved);
            tokio::time::sleep(period).await;
        }
    }

    /// Returns whether a connection that ended with an error had failed before its first request.
    fn judge(&self, error: &hyper::Error) -> Result<(), HandshakeFailure> {
        tracing::debug!(%error, "HTTP connection ended");
        if error.is_parse() {
            // The HTTP library has answered with 400 or 431, and the client may still be sending.
            self.ending.set(Ending::Linger);
        }
        match &*self.handshake.borrow() {
            None => Ok(()),
            Some(_) if error.is_timeout() => Err(HandshakeFailure::TimedOut),
            Some(_) => Err(HandshakeFailure::Malformed),
        }
    }
}

/// A request that is being answered. Dropping it ends that.
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

/// A connection that can be asked to end after the requests that it is answering.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Requests the end of the connection.
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

impl<S, I> Graceful for http2::Connection<I, S, StreamTasks>
where
    S: hyper::service::HttpService<Incoming, ResBody = StreamBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    I: Read + Write + Unpin + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}
