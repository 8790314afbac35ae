//! The parameters of a new session. This file does not know how they are used.

use fanwire_core::identity::Identity;

use super::handle::ConnectionInfo;
use crate::engine::Role;
use crate::hooks::DisconnectReport;
use crate::telemetry::Transport;

/// A session that is to be opened.
pub(crate) struct NewSession {
    /// The identity of the session.
    pub(crate) identity: Identity,
    /// The connection of the session.
    pub(crate) connection_info: ConnectionInfo,
    /// The transport of the session.
    pub(crate) transport: Transport,
    /// Whether it is a subscriber of its topics, or observes them only.
    pub(crate) role: Role,
    /// The report that the application receives when the session is over.
    pub(crate) disconnect_report: Option<Box<DisconnectReport>>,
}
