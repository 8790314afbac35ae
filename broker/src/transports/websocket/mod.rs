//! WebSockets (RFC 6455): `/ws` in both encodings, and the bare WebSocket of a topic's URL.

mod connection;
mod dialect;
mod handshake;
mod reader;

use std::rc::Rc;

use fanwire_core::{Encoding, Start};
use fanwire_protocol::{Pattern, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};
use http::{HeaderMap, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub(crate) use reader::ReaderPool;

use super::{ResponseBody, TransportRequest, Transports};
use crate::hub::{Keepalive, Outlet, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionTicket, LiveSession, Worker};
use crate::telemetry::Transport;
use connection::Connection;
use dialect::Dialect;

/// A ping without content (RFC 6455 §5.5.2).
const PING: &[u8] = &[0x89, 0];

/// Answers the handshake of `/ws`, or with `bare` that of a topic's bare WebSocket, and starts the session.
///
/// # Errors
/// If the request is no handshake, or the session may not subscribe to the bare topic.
pub(super) fn upgrade(
    transports: &Transports,
    asked: TransportRequest,
    bare: Option<(Pattern, bool)>,
) -> Result<Response<ResponseBody>, Problem> {
    let TransportRequest { mut request, ticket, identity } = asked;
    let accept = handshake::check(&request)?;
    let (dialect, subprotocol) = match bare {
        Some((pattern, has_echo)) => {
            fanwire_core::decide(&identity, fanwire_core::Action::Subscribe, &pattern)?;
            (Dialect::Bare { pattern, has_echo }, None)
        }
        None => choose_encoding(request.headers())?,
    };
    let response = handshake::answer(accept, subprotocol);
    let upgrade = hyper::upgrade::on(&mut request);
    let (worker, readers) = (transports.worker.clone(), transports.readers.clone());
    tokio::task::spawn_local(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "the client left during the WebSocket handshake"),
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
            return tracing::error!("a WebSocket was upgraded from something that is no TCP connection");
        };
        let session = open_session(&worker, parts.io.into_inner(), &dialect, identity, &ticket);
        let mut connection = Box::new(Connection::new(session, dialect, readers, ticket));
        connection.begin(&parts.read_buf);
        drop(parts.read_buf);
        connection.await;
    });
    Ok(response)
}

fn open_session(
    worker: &Rc<Worker>,
    stream: TcpStream,
    dialect: &Dialect,
    identity: fanwire_core::Identity,
    ticket: &ConnectionTicket,
) -> LiveSession {
    let is_bare = matches!(dialect, Dialect::Bare { .. });
    ticket.become_transport(if is_bare { Transport::Bare } else { Transport::WebSocket });
    let limits = &worker.limits;
    let keepalive = Keepalive {
        bytes: PING,
        interval_ms: limits.ping_interval.as_millis() as u64,
        timeout_ms: Some(limits.ping_timeout.as_millis() as u64),
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
    };
    let encoding = dialect.encoding();
    let outlet = Rc::new(Outlet::new(Sink::Socket(stream), encoding, limits.outbox_bytes_max, keepalive));
    let mut session = LiveSession::open(worker.clone(), outlet, encoding, identity);
    if let Dialect::Bare { pattern, .. } = dialect
        && let Err(refusal) = session.subscribe(pattern.clone(), &Start::Now)
    {
        session.outlet().want_close(dialect::close_for(&refusal));
    }
    session
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
