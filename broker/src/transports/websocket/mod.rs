//! WebSockets (RFC 6455): `/ws` in both encodings, and the bare WebSocket of a topic's URL.

mod connection;
mod dialect;
mod handshake;
mod reader;

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::encoding::Encoding;
use fanwire_core::identity::Identity;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{ErrorCode, Pattern, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, Since};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub(crate) use reader::ReaderPool;

use super::{ResponseBody, TransportRequest, Transports};
use crate::auth::Admission;
use crate::hooks::DisconnectReport;
use crate::hub::{Keepalive, Link, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, ConnectionInfo, LiveSession, NewSession, Worker};
use connection::Connection;
use dialect::Dialect;

/// A ping without content (RFC 6455 §5.5.2).
const PING: &[u8] = &[0x89, 0];

/// What a bare WebSocket asks for in its URL.
pub(super) struct Bare {
    /// What to listen to, and if it is a plain topic, to publish to.
    pub(super) pattern: Pattern,
    /// Whether the session receives what it publishes.
    pub(super) has_echo: bool,
    /// Where to begin.
    pub(super) since: Option<Since>,
}

/// Answers the handshake of `/ws`, or with `bare` that of a topic's bare WebSocket, and starts the session.
///
/// The session listens before the answer is written: whoever sees the WebSocket open misses nothing from then on.
///
/// # Errors
/// If the request is no handshake, or the session may not subscribe to the bare topic or not begin where it wants to.
pub(super) async fn upgrade(
    transports: &Transports,
    asked: TransportRequest,
    bare: Option<Bare>,
) -> Result<Response<ResponseBody>, Problem> {
    let TransportRequest { mut request, guard, admission, connection_info, disconnect_report } = asked;
    let accept = handshake::check(&request)?;
    let (dialect, subprotocol) = match &bare {
        Some(Bare { pattern, has_echo, .. }) => {
            (Dialect::Bare { pattern: pattern.clone(), has_echo: *has_echo }, None)
        }
        None => choose_encoding(request.headers())?,
    };
    let comer = Comer { admission, connection_info, disconnect_report };
    let session = match begin(&transports.worker, &dialect, comer, bare).await? {
        Ok(session) => session,
        Err(refusal) => refused_session(&transports.worker, &dialect, connection_info, refusal),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::task::spawn_local(start_when_upgraded(
        upgrade,
        session,
        dialect,
        transports.readers.clone(),
        guard,
    ));
    Ok(handshake::answer(accept, subprotocol))
}

/// Starts the session's task once the connection has become a WebSocket.
async fn start_when_upgraded(
    upgrade: OnUpgrade,
    session: LiveSession,
    dialect: Dialect,
    readers: Rc<ReaderPool>,
    guard: Rc<ConnectionGuard>,
) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "the client left during the WebSocket handshake"),
    };
    let Some((link, ahead)) = link_of(upgraded) else {
        return tracing::error!("a WebSocket was upgraded from something that is no connection of ours");
    };
    guard.become_transport(dialect.transport());
    session.writer().connect(link);
    let mut connection = Connection::new(session, dialect, readers, guard);
    connection.begin(&ahead);
    // A task of its own, so that nothing of the handshake stays in memory for as long as the session lives.
    tokio::task::spawn_local(connection);
}

/// The socket under an upgraded connection, and what was read from it ahead of time.
fn link_of(upgraded: Upgraded) -> Option<(Link, Bytes)> {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Some((Link::Plain(parts.io.into_inner()), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
    let (socket, tls) = parts.io.into_inner().into_inner();
    Some((Link::tls(socket, tls), parts.read_buf))
}

/// Who opens a session.
struct Comer {
    admission: Admission,
    connection_info: ConnectionInfo,
    disconnect_report: Option<Box<DisconnectReport>>,
}

/// Opens the session. The inner error is for those who may not be here: they are told so over the WebSocket, because a browser
/// shows a page nothing of the answer to a handshake that fails.
async fn begin(
    worker: &Rc<Worker>,
    dialect: &Dialect,
    Comer { admission, connection_info, disconnect_report }: Comer,
    bare: Option<Bare>,
) -> Result<Result<LiveSession, Refusal>, Problem> {
    let (encoding, transport) = (dialect.encoding(), dialect.transport());
    let Some(bare) = bare else {
        return Ok(match admission {
            Admission::Missing => {
                let writer = writer(worker, encoding);
                Ok(LiveSession::open_unknown(
                    worker.clone(),
                    writer,
                    encoding,
                    connection_info,
                    disconnect_report,
                ))
            }
            Admission::Open => {
                let guest = NewSession {
                    identity: Identity::Anonymous,
                    connection_info,
                    transport,
                    disconnect_report,
                };
                Ok(open(worker, encoding, guest))
            }
            Admission::Admitted(identity) => Ok(open(
                worker,
                encoding,
                NewSession { identity, connection_info, transport, disconnect_report },
            )),
            Admission::Refused(refusal) => Err(refusal),
        });
    };
    let mut session = match admission.into_identity() {
        Ok(identity) => {
            open(worker, encoding, NewSession { identity, connection_info, transport, disconnect_report })
        }
        Err(refusal) => return Ok(Err(refusal)),
    };
    let begun = begin_bare(&mut session, bare).await;
    if let Err(BareFailure::Refused(refusal)) = &begun {
        session.ends_by(dialect::close_for(refusal).code.number(), || refusal.message.clone());
    }
    match begun {
        Ok(()) => Ok(Ok(session)),
        Err(BareFailure::Refused(refusal)) if is_about_access(&refusal) => Ok(Err(refusal)),
        Err(BareFailure::Refused(refusal)) => Err(refusal.into()),
        Err(BareFailure::Lost(problem)) => Err(problem),
    }
}

fn is_about_access(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::Forbidden)
}

/// A session that may do nothing and is told why at once.
fn refused_session(
    worker: &Rc<Worker>,
    dialect: &Dialect,
    connection_info: ConnectionInfo,
    refusal: Refusal,
) -> LiveSession {
    worker.counters.error(refusal.code);
    let guest = NewSession {
        identity: Identity::Anonymous,
        connection_info,
        transport: dialect.transport(),
        disconnect_report: None,
    };
    let session = open(worker, dialect.encoding(), guest);
    let close = dialect::close_for(&refusal);
    session.writer().want_close(Close { error: Some(refusal.code), ..close });
    session
}

fn open(worker: &Rc<Worker>, encoding: Encoding, guest: NewSession) -> LiveSession {
    LiveSession::open(worker.clone(), writer(worker, encoding), encoding, guest)
}

fn writer(worker: &Rc<Worker>, encoding: Encoding) -> Rc<SessionWriter> {
    let limits = &worker.limits;
    let keepalive = Keepalive {
        bytes: PING,
        interval_ms: limits.ping_interval.as_millis() as u64,
        timeout_ms: Some(limits.ping_timeout.as_millis() as u64),
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
    };
    let sink = Sink::Socket(OnceCell::new());
    Rc::new(SessionWriter::new(sink, encoding, limits.outbox_bytes_max, keepalive))
}

/// Why a bare WebSocket was not subscribed.
enum BareFailure {
    Refused(Refusal),
    /// Something since the asked position is no longer held.
    Lost(Problem),
}

/// Subscribes a bare WebSocket to its topic or pattern.
///
/// # Errors
/// If that is refused, or something since the asked position is no longer held: a bare WebSocket has no frame to say so in
/// later.
async fn begin_bare(session: &mut LiveSession, bare: Bare) -> Result<(), BareFailure> {
    let start = bare.since.map_or(Start::Now, Start::Since);
    let opened = session.subscribe(bare.pattern, &start).await.map_err(BareFailure::Refused)?;
    if !opened.recovered {
        let detail = "something after this cursor is no longer held: read the topic's history again, which says what \
                      there is, and connect with the cursor it gives";
        let problem = Problem::new(StatusCode::CONFLICT, ErrorCode::Unavailable, detail);
        return Err(BareFailure::Lost(problem));
    }
    session.replay(opened.missed);
    Ok(())
}

/// The encoding that the client's subprotocols ask for, and the subprotocol to confirm.
fn choose_encoding(headers: &HeaderMap) -> Result<(Dialect, Option<&'static str>), Problem> {
    let mut offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .peekable();
    if offered.peek().is_none() {
        return Ok((Dialect::Protocol(Encoding::Json), None));
    }
    offered
        .find_map(|name| match name {
            SUBPROTOCOL_JSON => Some((Dialect::Protocol(Encoding::Json), Some(SUBPROTOCOL_JSON))),
            SUBPROTOCOL_MSGPACK => {
                Some((Dialect::Protocol(Encoding::MessagePack), Some(SUBPROTOCOL_MSGPACK)))
            }
            _ => None,
        })
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "none of the offered subprotocols is spoken here: offer '{SUBPROTOCOL_JSON}' or \
                 '{SUBPROTOCOL_MSGPACK}', or none for JSON"
            ))
        })
}
