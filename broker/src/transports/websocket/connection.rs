//! One WebSocket connection as a task: it reads, writes what the hub could not, and says good-bye.
//!
//! The task is woken when the socket has something to read, when a blocked socket can be written to again, and when
//! somebody wants the session closed. Deliveries do not wake it: the hub writes them itself.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use fanwire_core::presence::Departure;
use fanwire_core::session::Close;
use fanwire_protocol::{CloseCode, ServerFrame};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message};

use super::dialect::Dialect;
use super::reader::{Next, ReadEnd, Reader, ReaderPool};
use crate::clock;
use crate::sessions::{ConnectionGuard, Ending, LiveSession};
use crate::telemetry::WorkerCounters;

/// How many times a socket is read from before others get their turn.
const READS_PER_TURN: usize = 8;

/// How long a connection may go on reading before others get their turn, in microseconds. It is looked at after each go of the
/// reader, which is bounded in frames.
const TURN_US_MAX: u64 = 1000;

/// The close code of a close frame without one (RFC 6455 §7.1.5).
const CODE_NONE: u16 = 1005;

/// The longest reason a close frame has room for (RFC 6455 §5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// One WebSocket, from the handshake to the end of the TCP connection.
pub(super) struct Connection {
    session: LiveSession,
    dialect: Box<dyn Dialect>,
    reader: Reader,
    readers: Rc<ReaderPool>,
    phase: Phase,
    /// Waits until publishers may go on; reading pauses as long as it is there.
    relief: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Held for its drop.
    _ticket: Rc<ConnectionGuard>,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Messages go both ways.
    Open,
    /// The last word has been put into the outbox and is on its way.
    Leaving,
    /// All has been written; what the peer still sends is thrown away until it hangs up. Hanging up first, with
    /// something unread, would make the peer's system throw our last word away.
    Lingering,
}

impl Connection {
    pub(super) fn new(
        session: LiveSession,
        dialect: Box<dyn Dialect>,
        readers: Rc<ReaderPool>,
        guard: Rc<ConnectionGuard>,
    ) -> Self {
        let reader = Reader::new(dialect.message_bytes_max(session.worker().limits.message_bytes_max));
        Self { session, dialect, reader, readers, phase: Phase::Open, relief: None, _ticket: guard }
    }

    /// Handles what the client sent right after its handshake, before the answer.
    pub(super) fn begin(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.read_bytes(bytes);
        }
    }

    fn counters(&self) -> &WorkerCounters {
        &self.session.worker().counters
    }

    /// Reads messages out of `bytes` and handles them.
    fn read_bytes(&mut self, bytes: &[u8]) {
        self.counters().received_bytes.add(bytes.len() as u64);
        self.session.writer().heard();
        self.handle_messages(Some(bytes));
    }

    /// Handles the messages in `bytes`, or those that were put off. As soon as the replies fill the outbox, the rest is put
    /// off: a small request may have a large answer.
    fn handle_messages(&mut self, bytes: Option<&[u8]>) {
        let Self { session, dialect, reader, readers, .. } = self;
        let mut close = None;
        let mut answers = Vec::new();
        let visit = |message: Message, answers: &mut Vec<u8>| {
            // Answers and replies go out in the order in which they were asked for.
            if !answers.is_empty() {
                session.send_raw(answers);
                answers.clear();
            }
            match &message {
                Message::Text(_) | Message::Binary(_) => {
                    close = match dialect.read(&message) {
                        Ok(frame) => session.handle(frame),
                        Err(close) => Some(close),
                    }
                }
                Message::Close(frame) => note_close(session, frame.as_ref()),
                _ => {}
            }
            if close.is_some() {
                Next::Stop
            } else if session.awaits_decision() || session.has_replied_enough() {
                Next::Pause
            } else {
                Next::Read
            }
        };
        let result = match bytes {
            Some(bytes) => reader.read(readers, bytes, &mut answers, visit),
            None => reader.read_backlog(readers, &mut answers, visit),
        };
        if close.is_some() || result.is_err() {
            // What the session published right before the end comes back to it before the close does.
            session.flush_replies();
            session.worker().hub.deliver_waiting();
        }
        session.send_raw(&answers);
        session.flush_replies();
        match (close, result) {
            (Some(close), _) => self.leave(&close),
            (None, Ok(())) => {}
            (None, Err(ReadEnd::WebSocket(Error::ConnectionClosed))) => {
                self.counters().closes_by_client.add(1);
                self.session.depart(Departure::Left);
                self.begin_leaving(false);
            }
            (None, Err(error)) => self.leave(&close_for(&error)),
        }
    }

    /// Says why the session ends and begins to leave.
    fn leave(&mut self, close: &Close) {
        tracing::debug!(
            connection = self.session.connection(),
            code = close.number(),
            reason = close.reason,
            "session closed"
        );
        self.counters().close(close.code);
        self.session.ends_by(close.number(), || close.reason.clone());
        if !close.should_reconnect() {
            self.session.depart(Departure::Left);
        }
        self.begin_leaving(close.code == CloseCode::TooSlow);
        if let Some(code) = close.error {
            let message = close.reason.clone();
            self.session.send(&ServerFrame::Error { id: None, code, message });
        }
        self.session.send(&close.to_frame());
        self.session.send_raw(&close_frame(close));
        self.session.flush_replies();
    }

    fn begin_leaving(&mut self, drop_waiting: bool) {
        self.session.writer().begin_closing(drop_waiting);
        self.phase = Phase::Leaving;
        self.relief = None;
        // Nothing more is read: half a message need not be kept until the peer has hung up.
        self.reader.discard();
    }

    /// Whether the session should not be listened to for now: its replies wait, or the workers cannot keep up.
    fn poll_may_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.session.writer().is_over() || self.session.is_reading_enough() {
            return Poll::Pending;
        }
        if self.relief.is_none() && self.session.worker().engine.is_under_pressure() {
            self.relief = Some(Box::pin(self.session.worker().engine.relieved()));
        }
        if let Some(relief) = &mut self.relief {
            ready!(relief.as_mut().poll(context));
            self.relief = None;
        }
        Poll::Ready(())
    }

    /// Reads once and handles what came. `Ok(false)` says that the peer has hung up.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let readers = self.readers.clone();
        let mut scratch = readers.scratch().borrow_mut();
        let Some(link) = self.session.writer().link() else { return Poll::Ready(Ok(false)) };
        let count = ready!(link.poll_read(context, &mut scratch))?;
        if count > 0 && self.phase == Phase::Open {
            self.read_bytes(&scratch[..count]);
        }
        Poll::Ready(Ok(count > 0))
    }

    /// Goes on with what the session waits for, unless its last word has been said.
    fn poll_waiting(&mut self, context: &mut Context<'_>) {
        if self.phase == Phase::Open
            && let Some(refusal) = self.session.poll_waiting(context)
        {
            self.leave(&Close::refused(&refusal));
        }
    }

    /// Gives the session what it waited for, and writes all there is to write, as far as the socket takes it.
    fn poll_give(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        loop {
            self.poll_waiting(context);
            let flushed = self.session.writer().poll_flush(context, self.counters())?;
            // Now that there is room, more of what is being read may come.
            if flushed.is_pending() || self.phase != Phase::Open || !self.session.is_reading() {
                return Ok(flushed);
            }
            self.poll_waiting(context);
            if self.session.writer().is_empty() {
                return Ok(flushed);
            }
        }
    }

    /// Drives the connection; ready when it is over.
    fn poll_io(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let began_us = clock::monotonic_us();
        for read in 0..READS_PER_TURN {
            if read > 0 && clock::monotonic_us() - began_us > TURN_US_MAX {
                break;
            }
            if self.phase == Phase::Open {
                self.session.answer_question();
            }
            // Somebody who is to leave is still given the receipts of what is on its way to the disk.
            if self.phase == Phase::Open
                && !self.session.is_owed_receipts()
                && let Some(close) = self.session.writer().take_close()
            {
                self.leave(&close);
            }
            if self.phase == Phase::Open {
                self.session.end_expired();
            }
            let flushed = self.poll_give(context)?;
            match self.phase {
                Phase::Open => {
                    if self.session.awaits_decision() {
                        let ending = ready!(self.session.poll_decision(context));
                        self.session.flush_replies();
                        match ending {
                            Some(Ending::Close(close)) => self.leave(&close),
                            Some(Ending::Refused(refusal)) => self.leave(&Close::refused(&refusal)),
                            None => {}
                        }
                        continue;
                    }
                    ready!(self.poll_may_read(context));
                    if self.reader.is_paused() {
                        self.handle_messages(None);
                        continue;
                    }
                }
                Phase::Leaving => {
                    ready!(flushed);
                    self.session.writer().shut_writing();
                    self.phase = Phase::Lingering;
                }
                Phase::Lingering => {}
            }
            if !ready!(self.poll_read(context))? {
                return Poll::Ready(Ok(()));
            }
        }
        let_others_go_first(context);
        Poll::Pending
    }
}

/// Asks for another turn, but not before every other socket, timer and task of the worker has been looked at. Waking oneself
/// would not do that: the runtime runs dozens of tasks that are ready, or one of them dozens of times, before it looks at its
/// sockets again, and a few peers that never stop sending would keep newcomers waiting for as many turns.
fn let_others_go_first(context: &mut Context<'_>) {
    // The runtime keeps the waker for later by itself; the future is not needed for that.
    let _pending = pin!(tokio::task::yield_now()).poll(context);
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let connection = self.get_mut();
        connection.session.writer().remember_task(context);
        let Poll::Ready(result) = connection.poll_io(context) else {
            let is_given_up = connection.session.writer().is_given_up();
            return if is_given_up { Poll::Ready(()) } else { Poll::Pending };
        };
        if connection.phase == Phase::Open {
            connection.counters().closes_by_client.add(1);
            if let Err(error) = result {
                tracing::debug!(connection = connection.session.connection(), %error, "connection broken");
            }
        }
        Poll::Ready(())
    }
}

/// Notes how the client ends its session, for the application. A close frame without a code has the code of none (RFC 6455 §7.1.5).
fn note_close(session: &mut LiveSession, frame: Option<&CloseFrame>) {
    let code = frame.map_or(CODE_NONE, |frame| frame.code.into());
    session.ends_by(code, || match frame.map(|frame| frame.reason.as_str()) {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ => "the client has left".to_owned(),
    });
}

/// How to close a WebSocket whose peer broke the protocol.
fn close_for(end: &ReadEnd) -> Close {
    match end {
        ReadEnd::WebSocket(Error::Capacity(_)) => {
            Close::new(CloseCode::TooBig, "the message is larger than limits.message_bytes_max allows")
        }
        ReadEnd::WebSocket(Error::Utf8(_)) => {
            Close::new(CloseCode::InvalidUtf8, "a text message is not UTF-8")
        }
        ReadEnd::WebSocket(other) => Close::new(CloseCode::Protocol, other.to_string()),
        ReadEnd::TooManyFragments | ReadEnd::TooLarge => Close::new(CloseCode::TooBig, end.to_string()),
    }
}

/// The close frame (RFC 6455 §5.5.1).
fn close_frame(close: &Close) -> Vec<u8> {
    let mut end = close.reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !close.reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut frame = vec![0x88, 2 + end as u8];
    frame.extend_from_slice(&close.number().to_be_bytes());
    frame.extend_from_slice(&close.reason.as_bytes()[..end]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let frame = close_frame(&Close::new(CloseCode::TooSlow, format!("a{}", "ä".repeat(100))));
        assert_eq!(frame[..4], [0x88, 2 + 123, 0x11, 0x3d]);
        assert_eq!(std::str::from_utf8(&frame[4..]).map(str::len), Ok(123));
    }
}
