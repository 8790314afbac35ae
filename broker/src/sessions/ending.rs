//! The end of a session: its close is counted, logged and reported to the application here, exactly once.
//!
//! It does not know how a close is written.

use fanwire_core::identity::Identity;
use fanwire_core::presence::Departure;
use fanwire_core::session::Close;

use crate::hooks::DisconnectReport;
use crate::telemetry::WorkerCounters;

/// The end of one session: its report to the application, and its close.
pub(super) struct Ending {
    departure: Departure,
    /// The report that the application receives when the session is over.
    report: Option<Box<DisconnectReport>>,
    is_accounted: bool,
}

impl Ending {
    /// The ending of a session that has just begun. Until something else is known, its connection breaks.
    pub(super) fn new(report: Option<Box<DisconnectReport>>) -> Self {
        Self { departure: Departure::Broken, report, is_accounted: false }
    }

    /// Accounts for a close by the broker.
    pub(super) fn by_broker(&mut self, close: &Close, connection: &str, counters: &WorkerCounters) {
        if std::mem::replace(&mut self.is_accounted, true) {
            return;
        }
        tracing::debug!(connection, code = close.number(), reason = close.reason, "session closed");
        counters.close(close.code);
        self.report(close.number(), || close.reason.clone());
        if !close.should_reconnect() {
            self.departure = Departure::Left;
        }
    }

    /// Accounts for a close by the client with this code and reason.
    pub(super) fn by_client(
        &mut self,
        code: u16,
        reason: impl FnOnce() -> String,
        connection: &str,
        counters: &WorkerCounters,
    ) {
        if std::mem::replace(&mut self.is_accounted, true) {
            return;
        }
        tracing::debug!(connection, code, "session closed by the client");
        counters.closes_by_client.add(1);
        self.report(code, reason);
        self.departure = Departure::Left;
    }

    /// Accounts for a connection that ended without a close.
    pub(super) fn by_loss(&mut self, connection: &str, counters: &WorkerCounters) {
        if !std::mem::replace(&mut self.is_accounted, true) {
            tracing::debug!(connection, "connection lost");
            counters.closes_by_client.add(1);
        }
    }

    /// Accounts for a session that was refused before it began, or whose one request is answered. It is not counted as closed.
    pub(super) fn uncounted(&mut self, refused: Option<&Close>) {
        if !std::mem::replace(&mut self.is_accounted, true)
            && let Some(close) = refused
        {
            self.report(close.number(), || close.reason.clone());
        }
    }

    fn report(&mut self, code: u16, reason: impl FnOnce() -> String) {
        if let Some(report) = &mut self.report {
            report.set_close(code, reason());
        }
    }

    /// Returns how the session departs from topics with presence.
    pub(super) fn departure(&self) -> Departure {
        self.departure
    }

    /// Sends the report. `identity` is that of the session in the end; `None` if it has never shown one.
    pub(super) fn send_report(&mut self, identity: Option<Identity>) {
        if let Some(mut report) = self.report.take() {
            report.set_identity(identity);
        }
    }
}
