//! The session runtime: the core's state machine, run against the engine and the hub.
//!
//! A transport hands in frames, drives the session by [`SessionRuntime::poll`] and ends it by [`SessionRuntime::close`]. What is sent to the
//! client goes into the session's writer. The runtime does not know sockets, HTTP, or how a frame is written.

mod authorization;
mod commands;
mod dialect;
mod effects;
mod subscribing;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fanwire_core::access::Refusal;
use fanwire_core::session::{Close, Session};
use fanwire_protocol::{CloseCode, ErrorCode, ServerFrame};

use super::decision::PendingDecision;
use super::ending::Ending;
use super::handle::{ConnectionInfo, SessionHandle};
use super::joins::Joins;
use super::new_session::NewSession;
use super::publish_meter::PublishMeter;
use super::replies::Replies;
use super::worker::Worker;
use crate::clock;
use crate::engine::{LateReceipt, ReceiptQueue, Role};
use crate::hooks::{CalloutClient, DisconnectReport};
use crate::hub::SessionWriter;
use crate::telemetry::Transport;

/// The wait of a publisher. Boxed twice, because most sessions never wait, and a thin pointer is half as large.
type Relief = Box<Pin<Box<dyn Future<Output = ()>>>>;

/// One connected client. Dropping it ends its subscriptions.
pub(crate) struct SessionRuntime {
    worker: Rc<Worker>,
    handle: Rc<SessionHandle>,
    joins: Joins,
    replies: Replies,
    meter: PublishMeter,
    /// The receipts that the session is owed. Made when it publishes for the first time.
    receipts: Option<Arc<ReceiptQueue>>,
    decision: PendingDecision,
    /// Waits until publishers may continue. The session takes no frames meanwhile.
    relief: Option<Relief>,
    ending: Ending,
}

/// An event that a transport must act on.
pub(crate) enum SessionEvent {
    /// The session can take the next frame, see [`SessionRuntime::handle`].
    Ready,
    /// The session has to be closed, see [`SessionRuntime::close`].
    Close(Close),
    /// The session's socket is broken.
    Broken(io::Error),
}

impl SessionRuntime {
    /// Opens a session whose deliveries go to `writer`.
    pub(crate) fn open(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        NewSession { identity, connection_info, transport, role, disconnect_report }: NewSession,
    ) -> Self {
        writer.review().end_session_at(identity.expires_ms());
        let ConnectionInfo { connection, client } = connection_info;
        let handle = SessionHandle::new(Session::new(connection, identity), client, transport, writer);
        Self::begin(worker, Rc::new(handle), role, disconnect_report)
    }

    /// Opens a session at `/ws` that has yet to show a token.
    pub(crate) fn open_unidentified(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        transport: Transport,
        ConnectionInfo { connection, client }: ConnectionInfo,
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> Self {
        let timeout_ms = worker.limits.handshake_timeout.as_millis() as u64;
        writer.review().await_credentials_until(clock::unix_ms() + timeout_ms);
        let session = Session::awaiting_credentials(connection);
        let handle = SessionHandle::new(session, client, transport, writer);
        Self::begin(worker, Rc::new(handle), Role::Subscriber, disconnect_report)
    }

    fn begin(
        worker: Rc<Worker>,
        handle: Rc<SessionHandle>,
        role: Role,
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> Self {
        worker.release_keys();
        worker.registry.enter(handle.clone());
        let joins = Joins::new(worker.clone(), handle.clone(), role);
        let replies = Replies::new(handle.writer().clone(), worker.counters.clone());
        Self {
            worker,
            handle,
            joins,
            replies,
            meter: PublishMeter::default(),
            receipts: None,
            decision: PendingDecision::default(),
            relief: None,
            ending: Ending::new(disconnect_report),
        }
    }

    /// Returns what all sessions of this worker share.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Returns the session's writer.
    pub(crate) fn writer(&self) -> &SessionWriter {
        self.handle.writer()
    }

    /// Returns the broker's name for the connection, for logs.
    pub(crate) fn connection(&self) -> String {
        self.handle.session().connection()
    }

    /// Returns the session as authorization callouts name it.
    fn callout_client(&self) -> CalloutClient {
        let session = self.handle.session();
        CalloutClient { identity: session.identity().clone(), connection: Some(session.connection_number()) }
    }

    /// Does all that is due: review of permissions, commands, receipts, background reads, decisions, and writing to a socket. Pending
    /// means that the session waits for one of these or for room in its outbox; its task is woken then.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<SessionEvent> {
        self.writer().remember_task(context);
        loop {
            self.review();
            // Receipts of publications that are on their way to the disk go before the close.
            if !self.receipts.as_ref().is_some_and(|receipts| receipts.has_any())
                && let Some(close) = self.writer().take_close()
            {
                return Poll::Ready(SessionEvent::Close(close));
            }
            self.end_expired();
            match self.poll_background(context) {
                Ok(None) => {}
                Ok(Some(close)) => return Poll::Ready(SessionEvent::Close(close)),
                Err(error) => return Poll::Ready(SessionEvent::Broken(error)),
            }
            let Some(decided) = ready!(self.decision.poll(context)) else { break };
            let close = self.decided(decided);
            // The session did not listen while the decision was pending, so its silence is no sign of death.
            self.writer().heard();
            self.replies.flush();
            if let Some(close) = close {
                return Poll::Ready(SessionEvent::Close(close));
            }
        }
        ready!(self.poll_room(context));
        Poll::Ready(SessionEvent::Ready)
    }

    /// Continues commands, receipts and reads, and writes to the socket until it takes no more or nothing is left. Returns how to close
    /// the session, if something makes that necessary.
    fn poll_background(&mut self, context: &mut Context<'_>) -> io::Result<Option<Close>> {
        loop {
            if let Some(close) = self.poll_results(context) {
                return Ok(Some(close));
            }
            let flushed = self.writer().poll_flush(context, &self.worker.counters)?;
            // Room in the outbox lets a background read continue, which nothing else would wake.
            if flushed.is_pending() || !self.joins.are_reading() || self.writer().sink().link().is_none() {
                return Ok(None);
            }
            if let Some(close) = self.poll_results(context) {
                return Ok(Some(close));
            }
            if self.writer().is_empty() {
                return Ok(None);
            }
        }
    }

    /// Handles commands, receipts and reads that are due.
    fn poll_results(&mut self, context: &mut Context<'_>) -> Option<Close> {
        loop {
            self.run_commands();
            let mut close = None;
            let receipts = self.receipts.as_ref().map_or_else(Vec::new, |receipts| receipts.take(context));
            for LateReceipt { id, topic, result } in receipts {
                close = close.or(self.settle_publish(id, topic, result));
            }
            let results = self.joins.poll_reads(context);
            let has_results = !results.is_empty();
            for result in results {
                self.read_ended(result);
            }
            self.replies.flush();
            // A read that has just begun has to be polled once, or nothing would wake the task for it.
            if !has_results || close.is_some() {
                return close;
            }
        }
    }

    /// Waits until there is room for the replies to another request, and until publishers may continue.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.writer().is_backed_up() || self.joins.are_reading_enough() {
            return Poll::Pending;
        }
        let can_publish =
            matches!(self.handle.transport(), Transport::WebSocket | Transport::Bare | Transport::Pusher);
        if self.relief.is_none() && can_publish && self.worker.engine.pressure().is_high() {
            self.relief = Some(Box::new(Box::pin(self.worker.engine.pressure().clone().relieved())));
        }
        if let Some(relief) = &mut self.relief {
            ready!(relief.as_mut().as_mut().poll(context));
            self.relief = None;
        }
        Poll::Ready(())
    }

    /// Returns whether the session can take another frame at once. If not, [`SessionRuntime::poll`] says when it can.
    pub(crate) fn takes_frames(&mut self) -> bool {
        !self.decision.is_pending() && !self.joins.are_reading_enough() && !self.replies.are_enough()
    }

    /// Adds bytes of the transport's own to the replies.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.replies.send_raw(bytes);
    }

    /// Moves all replies into the outbox.
    pub(crate) fn flush_replies(&mut self) {
        self.replies.flush();
    }

    /// Delivers what was published before now, ahead of the hub's next tick. What a session published right before its end is
    /// delivered to it before the close by this.
    pub(crate) fn deliver_waiting(&mut self) {
        self.replies.flush();
        self.worker.hub.deliver_waiting();
    }

    /// Closes the session: accounts for the close, refuses deliveries from now on, and adds the frames that announce the close, if the
    /// format has any. The transport writes its own end after them.
    pub(crate) fn close(&mut self, close: &Close) {
        self.ending.by_broker(close, &self.connection(), &self.worker.counters);
        let has_lost_access = matches!(close.error, Some(ErrorCode::TokenExpired | ErrorCode::Unauthorized));
        self.begin_closing(close.code == CloseCode::TooSlow || has_lost_access);
        if let Some(code) = close.error {
            self.replies.send(&ServerFrame::Error { id: None, code, message: close.reason.clone() });
        }
        self.replies.send(&close.to_frame());
        self.replies.flush();
    }

    /// Closes a session that its client has closed with this code and reason.
    pub(crate) fn closed_by_client(&mut self, code: u16, reason: impl FnOnce() -> String) {
        self.ending.by_client(code, reason, &self.connection(), &self.worker.counters);
        self.begin_closing(false);
    }

    /// Ends a session that never began, because its first request was refused.
    pub(crate) fn reject(&mut self, refusal: &Refusal) {
        self.ending.uncounted(Some(&Close::refused(refusal)));
    }

    /// Ends a session whose one request has been answered.
    pub(crate) fn complete(&mut self) {
        self.ending.uncounted(None);
    }

    fn begin_closing(&mut self, drops_waiting: bool) {
        self.writer().begin_closing(drops_waiting);
        self.relief = None;
    }
}

impl Drop for SessionRuntime {
    fn drop(&mut self) {
        let (connection, counters) = (self.connection(), &self.worker.counters);
        match self.handle.writer().take_close() {
            // The session had to be closed, but nothing could be written to it any more.
            Some(close) => self.ending.by_broker(&close, &connection, counters),
            None => self.ending.by_loss(&connection, counters),
        }
        let identity = {
            let session = self.handle.session();
            (!session.owes_credentials()).then(|| session.identity().clone())
        };
        self.worker.registry.leave(&self.handle);
        self.joins.end(self.ending.departure());
        self.worker.release_key(self.joins.key(), self.receipts.take());
        self.ending.send_report(identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        let bytes = size_of::<SessionRuntime>() + size_of::<SessionHandle>() + size_of::<SessionWriter>();
        // It was 896 bytes before what only few sessions need was boxed.
        assert!(bytes <= 704, "{bytes} bytes");
    }
}
