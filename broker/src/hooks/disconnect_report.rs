//! What the application is told when a connection is over: whoever holds a farewell need not remember to say it.

use std::borrow::Cow;
use std::sync::Arc;

use fanwire_core::identity::Identity;

use super::event::{Departed, Happening};
use super::webhooks::Webhooks;
use crate::clock;

/// The close code of a connection that ended without a word (RFC 6455 §7.1.5).
const CODE_ABNORMAL: u16 = 1006;

/// Told when it is dropped, unless nobody has been there.
pub(crate) struct DisconnectReport {
    webhooks: Arc<Webhooks>,
    identity: Option<Identity>,
    connection: u64,
    transport: &'static str,
    connected_ts: u64,
    is_said: bool,
    code: u16,
    reason: Cow<'static, str>,
}

impl DisconnectReport {
    /// The farewell of a connection that begins now, of somebody who may yet have to say who it is.
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
            is_said: false,
            code: CODE_ABNORMAL,
            reason: Cow::Borrowed("the connection ended without a word"),
        }
    }

    /// Notes who has been there in the end; `None` if nobody was let in.
    pub(crate) fn is_of(&mut self, identity: Option<Identity>) {
        self.identity = identity;
    }

    /// Notes how the connection ends. The first who says so is believed.
    pub(crate) fn ends_by(&mut self, code: u16, reason: impl Into<Cow<'static, str>>) {
        if !self.is_said {
            (self.is_said, self.code, self.reason) = (true, code, reason.into());
        }
    }

    /// Notes how the connection ends if nobody says anything else.
    pub(crate) fn ends_otherwise_by(&mut self, code: u16, reason: &'static str) {
        (self.code, self.reason) = (code, Cow::Borrowed(reason));
    }
}

impl Drop for DisconnectReport {
    fn drop(&mut self) {
        // What connects with the keys of the administrator is the application itself, which was not asked about it either.
        let Some(identity) = self.identity.take().filter(|identity| !identity.is_admin()) else { return };
        self.webhooks.tell(Happening::Disconnect(&Departed {
            identity: &identity,
            connection: self.connection,
            transport: self.transport,
            connected_ts: self.connected_ts,
            code: self.code,
            reason: &self.reason,
        }));
    }
}
