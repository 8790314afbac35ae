//! A request on its way to a transport: what is known of its connection, and which transport its headers ask for.

use std::rc::Rc;

use fanwire_core::access::Refusal;
use http::{HeaderMap, Request, header};

use crate::auth::Admission;
use crate::engine::Role;
use crate::hooks::DisconnectReport;
use crate::sessions::{ConnectionGuard, ConnectionInfo, NewSession};
use crate::telemetry::Transport;

/// A request on its way to a transport.
pub(crate) struct TransportRequest {
    /// The request without its body.
    pub(crate) request: Request<()>,
    /// Counts the connection under its transport.
    pub(crate) guard: Rc<ConnectionGuard>,
    /// The result of checking its credentials.
    pub(crate) admission: Admission,
    /// The connection that the request came over.
    pub(crate) connection_info: ConnectionInfo,
    /// The report that the application receives when the session is over.
    pub(crate) disconnect_report: Option<Box<DisconnectReport>>,
}

/// A request on its way to a transport that serves known identities only.
pub(super) struct KnownRequest {
    pub(super) request: Request<()>,
    pub(super) guard: Rc<ConnectionGuard>,
    /// The session to open for it.
    pub(super) session: NewSession,
}

impl TransportRequest {
    /// Returns the request with the identity of its session.
    ///
    /// # Errors
    /// If credentials are missing or were refused.
    pub(super) fn known(self, transport: Transport, role: Role) -> Result<KnownRequest, Refusal> {
        let Self { request, guard, admission, connection_info, disconnect_report } = self;
        let session = NewSession {
            identity: admission.into_identity()?,
            connection_info,
            transport,
            role,
            disconnect_report,
        };
        Ok(KnownRequest { request, guard, session })
    }
}

/// Returns whether the headers ask for a WebSocket (RFC 6455 §4.1).
pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|product| product.trim().eq_ignore_ascii_case("websocket"))
}

/// Returns whether the headers ask for Server-Sent Events (WHATWG HTML §9.2.2).
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("text/event-stream"))
}
