//! Answers to connections that no worker serves: a limit refuses them, or the broker drains.
//!
//! An answer depends on the request: a browser's `EventSource` that receives an error status never reconnects, so it receives a stream
//! that says when to reconnect, and ends. The requests are read on a thread of their own, so that neither accepting nor the workers
//! wait for them. Their number, their bytes and their time are bounded; beyond these bounds a connection is closed without an answer,
//! after which all clients reconnect.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::rate::{Meter, Rate};
use http::{HeaderValue, Method, Request, Response, header};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::cors;
use super::http2_streams::LocalTasks;
use super::origin_check::OriginCheck;
use super::preamble::{self, Preamble};
use super::refusal::problem_of;
use crate::clock;
use crate::http::Readiness;
use crate::problem::Problem;
use crate::socket;
use crate::telemetry::{RefusalAnswer, RefusalReason, Shared};
use crate::transports::{ResponseBody, Transports};

/// The maximum number of connections that are answered at once.
const CONNECTIONS_MAX: usize = 256;

/// The time that one connection has for its request and the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The time after which a refused connection that sends nothing is answered without a request.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// The TLS handshakes with refused clients. A handshake costs more than all else that the limits on connections save.
const HANDSHAKE_RATE: Rate = Rate { per_second: 100, burst: 100 };

/// The maximum number of bytes of a request body that are thrown away.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// The handle to the thread that answers. All clones use one thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct UnservedConnections {
    /// The connections on their way to the thread, at most as many as `room` has permits.
    connections: mpsc::UnboundedSender<Unserved>,
    room: Arc<Semaphore>,
    /// Meters the TLS handshakes; there if the port speaks TLS.
    handshakes: Option<Arc<Mutex<Meter>>>,
    counters: Arc<Shared>,
}

/// A connection on its way to the thread.
struct Unserved {
    stream: std::net::TcpStream,
    /// The client, or a proxy that has not named it yet.
    peer: IpAddr,
    /// Whether the PROXY header, if there is one, has been read.
    is_introduced: bool,
    reason: Reason,
    _room: OwnedSemaphorePermit,
}

/// The reason why no worker serves a connection.
#[derive(Clone, Copy)]
enum Reason {
    Limit(RefusalReason),
    Draining,
}

impl Reason {
    fn problem(self) -> Problem {
        match self {
            Reason::Limit(reason) => problem_of(reason),
            Reason::Draining => Readiness::draining(),
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// If the system gives no thread or no runtime.
pub(super) fn start(
    preamble: Preamble,
    origin_check: OriginCheck,
    counters: Arc<Shared>,
) -> io::Result<UnservedConnections> {
    let (connections, mut incoming) = mpsc::unbounded_channel::<Unserved>();
    let handshakes = preamble.certificates.is_some().then(Arc::default);
    let shared = counters.clone();
    std::thread::Builder::new().name("fanwire-refusals".to_owned()).spawn(move || {
        let options = tokio::runtime::LocalOptions::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(options);
        match runtime {
            // The connections end with the runtime.
            Ok(runtime) => runtime.block_on(async {
                let desk = Rc::new(Desk { preamble, origin_check, counters: shared });
                while let Some(connection) = incoming.recv().await {
                    tokio::task::spawn_local(desk.clone().serve(connection));
                }
            }),
            Err(error) => tracing::error!(%error, "connections that a limit refuses are not answered"),
        }
    })?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    Ok(UnservedConnections { connections, room, handshakes, counters })
}

impl UnservedConnections {
    /// Answers a connection that a limit refuses, if that is affordable. Returns at once.
    pub(super) fn refuse(&self, stream: TcpStream, peer: IpAddr, reason: RefusalReason) {
        self.refuse_if_affordable(stream, peer, reason, false);
    }

    /// Does the same for a connection whose PROXY header has been read, and names `client`.
    pub(super) fn refuse_introduced(&self, stream: TcpStream, client: IpAddr, reason: RefusalReason) {
        self.refuse_if_affordable(stream, client, reason, true);
    }

    fn refuse_if_affordable(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        reason: RefusalReason,
        is_introduced: bool,
    ) {
        let room = self.room.clone().try_acquire_owned();
        match (room, stream.into_std()) {
            (Ok(room), Ok(stream)) if self.may_do_handshake() => {
                self.send(Unserved {
                    stream,
                    peer,
                    is_introduced,
                    reason: Reason::Limit(reason),
                    _room: room,
                });
            }
            _ => self.counters.refusal_answered(RefusalAnswer::None),
        }
    }

    /// Answers a connection that arrives while the broker drains. Waits while as many are answered as may be.
    pub(super) async fn answer_draining(&self, stream: TcpStream, peer: IpAddr) {
        if let Ok(room) = self.room.clone().acquire_owned().await
            && let Ok(stream) = stream.into_std()
        {
            let reason = Reason::Draining;
            self.send(Unserved { stream, peer, is_introduced: false, reason, _room: room });
        }
    }

    fn may_do_handshake(&self) -> bool {
        self.handshakes.as_ref().is_none_or(|meter| {
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.take(HANDSHAKE_RATE, clock::monotonic_us()).is_ok()
        })
    }

    fn send(&self, connection: Unserved) {
        if self.connections.send(connection).is_err() {
            self.counters.refusal_answered(RefusalAnswer::None);
        }
    }
}

/// The parts of which the thread makes answers.
struct Desk {
    preamble: Preamble,
    origin_check: OriginCheck,
    counters: Arc<Shared>,
}

/// One connection on the thread.
struct Visit {
    desk: Rc<Desk>,
    peer: Cell<IpAddr>,
    reason: Reason,
    answer: Cell<RefusalAnswer>,
    answered: Notify,
}

impl Desk {
    async fn serve(self: Rc<Self>, connection: Unserved) {
        let Unserved { stream, peer, is_introduced, reason, _room: _held } = connection;
        let visit = Rc::new(Visit {
            desk: self.clone(),
            peer: Cell::new(peer),
            reason,
            answer: Cell::new(RefusalAnswer::None),
            answered: Notify::new(),
        });
        if let Ok(stream) = TcpStream::from_std(stream) {
            let _out_of_time =
                tokio::time::timeout(CONNECTION_TIMEOUT, visit.serve(stream, is_introduced)).await;
        }
        self.counters.refusal_answered(visit.answer.get());
    }
}

impl Visit {
    async fn serve(self: &Rc<Self>, mut stream: TcpStream, is_introduced: bool) {
        let preamble = &self.desk.preamble;
        if !is_introduced && preamble.proxies.sends_header(self.peer.get()) {
            match preamble::begin_proxied(&mut stream).await {
                Ok(Some(client)) => self.peer.set(client),
                Ok(None) => {}
                Err(_) => return,
            }
        }
        let Some(certificates) = &preamble.certificates else {
            match tokio::time::timeout(SILENCE_TIMEOUT, preamble::begin_plain(&stream)).await {
                Ok(Ok(())) => self.serve_http1(stream).await,
                Ok(Err(_)) => {}
                Err(_) => self.answer_without_request(&stream),
            }
            return;
        };
        let Ok(stream) = preamble::begin_tls(stream, certificates).await else { return };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.serve_http2(stream).await;
        } else {
            self.serve_http1(stream).await;
        }
    }

    fn head_bytes_max(&self) -> usize {
        self.desk.origin_check.head_limit().total_bytes_max()
    }

    async fn serve_http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.respond(request)) });
        let (socket, lender) = socket::lend(stream, CONNECTION_TIMEOUT);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_buf_size(self.head_bytes_max())
            .serve_connection(TokioIo::new(socket), service);
        let _client_is_gone = connection.await;
        let Some(mut stream) = lender.take() else { return };
        if stream.shutdown().await.is_ok() {
            socket::discard(&mut stream, DISCARDED_BYTES_MAX).await;
        }
    }

    async fn serve_http2(self: &Rc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let visit = self.clone();
        let service = service_fn(move |request| {
            let response = visit.respond(request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http2::Builder::new(LocalTasks)
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(self.head_bytes_max()).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.answered.notified() => connection.as_mut().graceful_shutdown(),
        }
        let _client_is_gone = connection.await;
    }

    /// Answers a client that sends nothing. The answer is one small write to an empty socket. If that write fails, the client is gone.
    fn answer_without_request(&self, stream: &TcpStream) {
        let response = self.reason.problem().into_response();
        let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
        for (name, value) in response.headers() {
            head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        let body = response.into_body();
        head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        self.answer.set(RefusalAnswer::Problem);
        let _client_is_gone = stream.try_write(&[head.as_slice(), &body].concat());
    }

    fn respond<B>(&self, mut request: Request<B>) -> Response<ResponseBody> {
        let (result, readers) = match self.desk.origin_check.judge(&mut request, self.peer.get()) {
            Ok((_, readers)) => (self.refuse(&request), readers),
            Err((problem, readers)) => (Err(problem), readers),
        };
        self.answered.notify_one();
        let response = cors::finish(result, readers);
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let is_stream = content_type.is_some_and(|value| value == "text/event-stream");
        self.answer.set(if is_stream { RefusalAnswer::EventStream } else { RefusalAnswer::Problem });
        response
    }

    /// Returns the answer to a request, whose page may read it.
    fn refuse<B>(&self, request: &Request<B>) -> Result<Response<ResponseBody>, Problem> {
        if request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            // Without it, the page could not read why its request is refused.
            return Ok(cors::preflight(request.headers()));
        }
        if matches!(self.reason, Reason::Draining) && request.uri().path() == "/healthz" {
            let mut response = Response::new(ResponseBody::full(Bytes::from("alive\n")));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Ok(response);
        }
        if Transports::serves(request) {
            return Transports::refuse(request, self.reason.problem());
        }
        Err(self.reason.problem())
    }
}
