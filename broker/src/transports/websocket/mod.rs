//! WebSockets (RFC 6455): `/ws` in both encodings, and the bare WebSocket of a topic's URL.

mod connection;
pub(super) mod dialect;
mod handshake;
mod reader;

use std::rc::Rc;

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::session::Close;
use fanwire_protocol::ErrorCode;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::body::ResponseBody;
use super::request::TransportRequest;
use crate::auth::Admission;
use crate::engine::Role;
use crate::hooks::DisconnectReport;
use crate::hub::{Keepalive, Link, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, ConnectionInfo, NewSession, SessionRuntime, Worker};
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
    /// The subprotocols that clients of `/ws` may choose.
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
        role: Role,
    ) -> Result<Response<ResponseBody>, Problem> {
        let TransportRequest { mut request, guard, admission, connection_info, disconnect_report } = asked;
        let accept = handshake::check(&request)?;
        let (dialect, subprotocol) = match dialect {
            Some(dialect) => (dialect, None),
            None => choose_dialect(self.dialects, request.headers())?,
        };
        let opening = Opening { worker: &self.worker, dialect: &*dialect, connection_info, role };
        let session = match opening.open(admission, disconnect_report).await? {
            Ok(session) => session,
            Err(refusal) => opening.refused(refusal),
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
    session: SessionRuntime,
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
    session.writer().sink().connect(link);
    let mut connection = Connection::new(session, dialect, readers, guard);
    connection.begin(&ahead);
    // A task of its own, so that nothing of the handshake stays in memory for as long as the session lives.
    tokio::task::spawn_local(connection);
}

/// Returns the socket of an upgraded connection, and what was read from it ahead of time.
fn link_of(upgraded: Upgraded) -> Option<(Link, Bytes)> {
    let upgraded = match upgraded.downcast::<TokioIo<LentSocket<TcpStream>>>() {
        Ok(parts) => return Some((Link::Plain(parts.io.into_inner().into_inner()?), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<LentSocket<TlsStream<TcpStream>>>>().ok()?;
    let (socket, tls) = parts.io.into_inner().into_inner()?.into_inner();
    Some((Link::tls(socket, tls), parts.read_buf))
}

/// A session that is being opened.
struct Opening<'a> {
    worker: &'a Rc<Worker>,
    dialect: &'a dyn Dialect,
    connection_info: ConnectionInfo,
    role: Role,
}

impl Opening<'_> {
    /// Opens the session. The inner error is a refusal of access. It is sent over the WebSocket, because a browser shows a page nothing
    /// of the answer to a handshake that fails.
    async fn open(
        &self,
        admission: Admission,
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> Result<Result<SessionRuntime, Refusal>, Problem> {
        let (worker, connection_info) = (self.worker.clone(), self.connection_info);
        let subscription = self.dialect.begin();
        if subscription.is_none() && matches!(admission, Admission::Missing) {
            return Ok(Ok(SessionRuntime::open_unidentified(
                worker,
                self.writer(),
                self.dialect.label(),
                connection_info,
                disconnect_report,
            )));
        }
        let mut session = match admission.into_identity() {
            Ok(identity) => self.open_as(identity, disconnect_report),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(subscription) = subscription else { return Ok(Ok(session)) };
        match session.subscribe_all(&[subscription]).await {
            Ok(subscribed) if subscribed.iter().all(|subscribed| subscribed.recovered) => Ok(Ok(session)),
            Ok(_) => {
                // There may be no frame that could say so later.
                let message = "something after this cursor is no longer held: read the topic's history again, which says \
                               what there is, and connect with the cursor it gives"
                    .to_owned();
                let refusal = Refusal { code: ErrorCode::Unavailable, message };
                session.reject(&refusal);
                Err(Problem::new(StatusCode::CONFLICT, refusal.code, refusal.message))
            }
            Err(refusal) if is_about_access(&refusal) => Ok(Err(refusal)),
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn open_as(
        &self,
        identity: Identity,
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> SessionRuntime {
        let (connection_info, transport) = (self.connection_info, self.dialect.label());
        let role = self.role;
        let new = NewSession { identity, connection_info, transport, role, disconnect_report };
        SessionRuntime::open(self.worker.clone(), self.writer(), new)
    }

    /// Opens a session that is closed with a refusal at once.
    fn refused(&self, refusal: Refusal) -> SessionRuntime {
        self.worker.counters.error(refusal.code);
        let session = self.open_as(Identity::Anonymous, None);
        let close = Close::refused(&refusal);
        session.writer().request_close(Close { error: Some(refusal.code), ..close });
        session
    }

    fn writer(&self) -> Rc<SessionWriter> {
        let limits = &self.worker.limits;
        let keepalive = Keepalive {
            bytes: PING,
            interval_ms: limits.ping_interval.as_millis() as u64,
            timeout_ms: Some(limits.ping_timeout.as_millis() as u64),
            write_timeout_ms: limits.write_timeout.as_millis() as u64,
            close_timeout_ms: limits.close_timeout.as_millis() as u64,
        };
        let format = self.dialect.format();
        Rc::new(SessionWriter::new(Sink::socket(), format, limits.outbox_bytes_max, keepalive))
    }
}

fn is_about_access(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::Forbidden)
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
