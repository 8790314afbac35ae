//! The webhook event of a connection that has ended. It is reported when its value is dropped, so no path can forget it.

use std::borrow::Cow;
use std::sync::Arc;

use fanwire_core::identity::Identity;

use super::event::{EndedConnection, Event};
use super::webhooks::Webhooks;
use crate::clock;

/// The close code of a connection that ended without a close frame (RFC 6455 §7.1.5).
const CODE_ABNORMAL: u16 = 1006;

/// The report of the end of one connection. It is sent on drop, unless the connection was never authenticated.
pub(crate) struct DisconnectReport {
    webhooks: Arc<Webhooks>,
    identity: Option<Identity>,
    connection: u64,
    transport: &'static str,
    connected_ts: u64,
    is_set: bool,
    code: u16,
    reason: Cow<'static, str>,
}

impl DisconnectReport {
    /// A report of a connection that begins now. The identity may follow.
    pub(super) fn new(
        webhooks: Arc<Webhooks>,
        identity: Option<Identity>,
        connection: u64,
        transport: &'static str,
    ) -> Self {
        Self {
            webhooks,
            identity,
            connection,
            transport,
            connected_ts: clock::unix_ms(),
            is_set: false,
            code: CODE_ABNORMAL,
            reason: Cow::Borrowed("the connection ended without a close frame"),
        }
    }

    /// Sets the identity at the end; `None` if the connection was not admitted.
    pub(crate) fn set_identity(&mut self, identity: Option<Identity>) {
        self.identity = identity;
    }

    /// Sets how the connection ends. The first call counts.
    pub(crate) fn set_close(&mut self, code: u16, reason: impl Into<Cow<'static, str>>) {
        if !self.is_set {
            (self.is_set, self.code, self.reason) = (true, code, reason.into());
        }
    }

    /// Sets how the connection ends if `set_close` is not called.
    pub(crate) fn set_default_close(&mut self, code: u16, reason: &'static str) {
        (self.code, self.reason) = (code, Cow::Borrowed(reason));
    }
}

impl Drop for DisconnectReport {
    fn drop(&mut self) {
        // Keys of the administrator are the application's own, for which no callouts are made either.
        let Some(identity) = self.identity.take().filter(|identity| !identity.is_admin()) else { return };
        self.webhooks.report(Event::Disconnect(&EndedConnection {
            identity: &identity,
            connection: self.connection,
            transport: self.transport,
            connected_ts: self.connected_ts,
            code: self.code,
            reason: &self.reason,
        }));
    }
}
