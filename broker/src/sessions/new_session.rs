//! What a session is opened with, and what a subscription begins with.
//!
//! It owns the two records and knows nothing of what is done with them.

use std::sync::Arc;

use fanwire_core::identity::Identity;
use fanwire_core::publication::Publication;
use fanwire_protocol::Position;

use super::handle::ConnectionInfo;
use crate::hooks::DisconnectReport;
use crate::telemetry::Transport;

/// Who a session is to be opened for.
pub(crate) struct NewSession {
    /// Who.
    pub(crate) identity: Identity,
    /// Its connection.
    pub(crate) connection_info: ConnectionInfo,
    /// What it is connected over.
    pub(crate) transport: Transport,
    /// What the application is to be told when the session is over.
    pub(crate) disconnect_report: Option<Box<DisconnectReport>>,
}

/// What a subscription that was just opened begins with.
pub(crate) struct Opened {
    /// Where the topic stands; `None` for a pattern.
    pub(crate) head: Option<Position>,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// What was missed, oldest first; to be put into the outlet after whatever announces it.
    pub(crate) missed: Vec<Arc<Publication>>,
}
