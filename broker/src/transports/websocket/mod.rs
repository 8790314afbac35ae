//! WebSockets (RFC 6455): `/ws` in both encodings, and the bare WebSocket of a topic's URL.

mod connection;
pub(super) mod dialect;
mod handshake;
mod reader;

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::format::Format;
use fanwire_core::identity::Identity;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{ErrorCode, Pattern};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::body::ResponseBody;
use super::request::TransportRequest;
use crate::auth::Admission;
use crate::hooks::DisconnectReport;
use crate::hub::{Keepalive, Link, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, ConnectionInfo, LiveSession, NewSession, Worker};
use crate::socket::LentSocket;
use connection::Connection;
use dialect::{Dialect, Subprotocol};
use reader::ReaderPool;

/// A ping without content (RFC 6455 §5.5.2).
const PING: &[u8] = &[0x89, 0];

/// Upgrades requests of one worker to WebSockets.
pub(super) struct Upgrades {
    worker: Rc<Worker>,
    readers: Rc<ReaderPool>,
    /// What clients of `/ws` may choose from.
    dialects: &'static [Subprotocol],
}

impl Upgrades {
    /// The upgrades of this worker, with these dialects at `/ws`.
    pub(super) fn new(worker: Rc<Worker>, dialects: &'static [Subprotocol]) -> Self {
        let readers = Rc::new(ReaderPool::new(&worker.limits));
        Self { worker, readers, dialects }
    }

    /// Answers the handshake of a WebSocket of `dialect`, or of the dialect of `/ws` that its subprotocols name, and starts the
    /// session.
    ///
    /// The session is subscribed before the answer is written: a client that sees the WebSocket open misses nothing from then on.
    ///
    /// # Errors
    /// If the request is no handshake, or the session may not have the subscription that it begins with.
    pub(super) async fn upgrade(
        &self,
        asked: TransportRequest,
        dialect: Option<Box<dyn Dialect>>,
    ) -> Result<Response<ResponseBody>, Problem> {
        let TransportRequest { mut request, guard, admission, connection_info, disconnect_report } = asked;
        let accept = handshake::check(&request)?;
        let (dialect, subprotocol) = match dialect {
            Some(dialect) => (dialect, None),
            None => choose_dialect(self.dialects, request.headers())?,
        };
        let comer = Comer { admission, connection_info, disconnect_report };
        let session = match begin(&self.worker, &*dialect, comer).await? {
            Ok(session) => session,
            Err(refusal) => refused_session(&self.worker, &*dialect, connection_info, refusal),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let readers = self.readers.clone();
        tokio::task::spawn_local(start_when_upgraded(upgrade, session, dialect, readers, guard));
        Ok(handshake::answer(accept, subprotocol))
    }
}

/// Starts the session's task once the connection has become a WebSocket.
async fn start_when_upgraded(
    upgrade: OnUpgrade,
    session: LiveSession,
    dialect: Box<dyn Dialect>,
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
    guard.become_transport(dialect.label());
    session.writer().connect(link);
    let mut connection = Connection::new(session, dialect, readers, guard);
    connection.begin(&ahead);
    // A task of its own, so that nothing of the handshake stays in memory for as long as the session lives.
    tokio::task::spawn_local(connection);
}

/// The socket under an upgraded connection, and what was read from it ahead of time.
fn link_of(upgraded: Upgraded) -> Option<(Link, Bytes)> {
    let upgraded = match upgraded.downcast::<TokioIo<LentSocket<TcpStream>>>() {
        Ok(parts) => return Some((Link::Plain(parts.io.into_inner().into_inner()?), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<LentSocket<TlsStream<TcpStream>>>>().ok()?;
    let (socket, tls) = parts.io.into_inner().into_inner()?.into_inner();
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
    dialect: &dyn Dialect,
    Comer { admission, connection_info, disconnect_report }: Comer,
) -> Result<Result<LiveSession, Refusal>, Problem> {
    let (format, transport) = (dialect.format(), dialect.label());
    let Some((pattern, start)) = dialect.begin() else {
        return Ok(match admission {
            Admission::Missing => {
                let writer = writer(worker, format);
                Ok(LiveSession::open_unknown(
                    worker.clone(),
                    writer,
                    format,
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
                Ok(open(worker, format, guest))
            }
            Admission::Admitted(identity) => Ok(open(
                worker,
                format,
                NewSession { identity, connection_info, transport, disconnect_report },
            )),
            Admission::Refused(refusal) => Err(refusal),
        });
    };
    let mut session = match admission.into_identity() {
        Ok(identity) => {
            open(worker, format, NewSession { identity, connection_info, transport, disconnect_report })
        }
        Err(refusal) => return Ok(Err(refusal)),
    };
    let begun = begin_subscribed(&mut session, pattern, start).await;
    if let Err(BeginFailure::Refused(refusal)) = &begun {
        session.ends_by(Close::refused(refusal).code.number(), || refusal.message.clone());
    }
    match begun {
        Ok(()) => Ok(Ok(session)),
        Err(BeginFailure::Refused(refusal)) if is_about_access(&refusal) => Ok(Err(refusal)),
        Err(BeginFailure::Refused(refusal)) => Err(refusal.into()),
        Err(BeginFailure::Lost(problem)) => Err(problem),
    }
}

fn is_about_access(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::Forbidden)
}

/// A session that may do nothing and is told why at once.
fn refused_session(
    worker: &Rc<Worker>,
    dialect: &dyn Dialect,
    connection_info: ConnectionInfo,
    refusal: Refusal,
) -> LiveSession {
    worker.counters.error(refusal.code);
    let guest = NewSession {
        identity: Identity::Anonymous,
        connection_info,
        transport: dialect.label(),
        disconnect_report: None,
    };
    let session = open(worker, dialect.format(), guest);
    let close = Close::refused(&refusal);
    session.writer().want_close(Close { error: Some(refusal.code), ..close });
    session
}

fn open(worker: &Rc<Worker>, format: &'static Format, guest: NewSession) -> LiveSession {
    LiveSession::open(worker.clone(), writer(worker, format), format, guest)
}

fn writer(worker: &Rc<Worker>, format: &'static Format) -> Rc<SessionWriter> {
    let limits = &worker.limits;
    let keepalive = Keepalive {
        bytes: PING,
        interval_ms: limits.ping_interval.as_millis() as u64,
        timeout_ms: Some(limits.ping_timeout.as_millis() as u64),
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
    };
    let sink = Sink::Socket(OnceCell::new());
    Rc::new(SessionWriter::new(sink, format, limits.outbox_bytes_max, keepalive))
}

/// Why a WebSocket that begins with a subscription was not subscribed.
enum BeginFailure {
    Refused(Refusal),
    /// Something since the asked position is no longer held.
    Lost(Problem),
}

/// Subscribes a WebSocket to what it begins with.
///
/// # Errors
/// If that is refused, or something since the asked position is no longer held: a bare WebSocket has no frame to say so in
/// later.
async fn begin_subscribed(
    session: &mut LiveSession,
    pattern: Pattern,
    start: Start,
) -> Result<(), BeginFailure> {
    let opened = session.subscribe(pattern, &start).await.map_err(BeginFailure::Refused)?;
    if !opened.recovered {
        let detail = "something after this cursor is no longer held: read the topic's history again, which says what \
                      there is, and connect with the cursor it gives";
        let problem = Problem::new(StatusCode::CONFLICT, ErrorCode::Unavailable, detail);
        return Err(BeginFailure::Lost(problem));
    }
    session.replay(opened.missed);
    Ok(())
}

/// A dialect with the subprotocol to confirm, if the client offered any.
type Chosen = (Box<dyn Dialect>, Option<&'static str>);

/// Returns the first dialect that the client's subprotocols name; if it offers none, the first of `dialects`.
fn choose_dialect(dialects: &'static [Subprotocol], headers: &HeaderMap) -> Result<Chosen, Problem> {
    let mut offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .peekable();
    if offered.peek().is_none()
        && let Some(first) = dialects.first()
    {
        return Ok(((first.dialect)(), None));
    }
    let known = |name: &str| dialects.iter().find(|subprotocol| subprotocol.name == name);
    let chosen = offered.find_map(known).map(|known| ((known.dialect)(), Some(known.name)));
    chosen.ok_or_else(|| {
        let names: Vec<String> = dialects.iter().map(|known| format!("'{}'", known.name)).collect();
        Problem::bad_request(format!(
            "none of the offered subprotocols is spoken here: offer {}, or none for JSON",
            names.join(" or ")
        ))
    })
}
