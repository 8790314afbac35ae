//! One WebSocket connection as a task: it reads, writes what the hub could not write, and closes.
//!
//! The task is woken when the socket has something to read, when a blocked socket can be written to again, and when the session has
//! something to do. Deliveries do not wake it, because the hub writes them itself. It does not know what a message means.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use fanwire_core::session::Close;
use fanwire_protocol::CloseCode;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message};

use super::dialect::Dialect;
use super::reader::{Next, ReadEnd, Reader, ReaderPool};
use crate::clock;
use crate::sessions::{ConnectionGuard, SessionEvent, SessionRuntime};

/// The maximum number of reads from a socket before the worker runs other tasks.
const READS_PER_TURN: usize = 8;

/// The time after which a connection that is still reading lets the worker run other tasks, in microseconds. It is checked after each
/// call of the reader, which is bounded in frames.
const TURN_US_MAX: u64 = 1000;

/// The close code of a close frame without one (RFC 6455 §7.1.5).
const CODE_NONE: u16 = 1005;

/// The longest reason that a close frame has room for (RFC 6455 §5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// The time in which the client of a broker that shuts down has to answer the close frame, in milliseconds. By then everything has been
/// written to its socket, so nothing is lost if it does not.
const DRAIN_LINGER_MS: u64 = 500;

/// One WebSocket, from the handshake to the end of the TCP connection.
pub(super) struct Connection {
    session: SessionRuntime,
    dialect: Box<dyn Dialect>,
    reader: Reader,
    readers: Rc<ReaderPool>,
    phase: Phase,
    /// Held for its drop.
    _guard: Rc<ConnectionGuard>,
}

/// The phase of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Messages go both ways.
    Open,
    /// The close frame is in the outbox or on its way. If `is_draining`, the broker shuts down.
    Closing { is_draining: bool },
    /// Everything is written. What the peer still sends is dropped until it closes the connection. If the broker closed first, with
    /// something unread, the peer's system would drop what it has not read yet, the close frame included.
    Lingering,
}

impl Connection {
    pub(super) fn new(
        session: SessionRuntime,
        dialect: Box<dyn Dialect>,
        readers: Rc<ReaderPool>,
        guard: Rc<ConnectionGuard>,
    ) -> Self {
        let reader = Reader::new(dialect.message_bytes_max(session.worker().limits.message_bytes_max));
        Self { session, dialect, reader, readers, phase: Phase::Open, _guard: guard }
    }

    /// Begins the session, and handles what the client sent right after its handshake, before the answer.
    pub(super) fn begin(&mut self, bytes: &[u8]) {
        self.dialect.greet(&mut self.session);
        self.session.flush_replies();
        if !bytes.is_empty() {
            self.read_bytes(bytes);
        }
    }

    /// Reads messages from `bytes` and handles them.
    fn read_bytes(&mut self, bytes: &[u8]) {
        self.session.worker().counters.received_bytes.add(bytes.len() as u64);
        self.session.writer().heard();
        self.handle_messages(Some(bytes));
    }

    /// Handles the messages in `bytes`, or those in the reader's backlog. When the session takes no more frames, for instance because
    /// its replies fill the outbox, the rest stays in the backlog.
    fn handle_messages(&mut self, bytes: Option<&[u8]>) {
        let Self { session, dialect, reader, readers, .. } = self;
        let (mut close, mut client_close) = (None, None);
        let mut answers = Vec::new();
        let visit = |message: Message, answers: &mut Vec<u8>| {
            // Answers of RFC 6455 and replies go out in the order of the messages that they answer.
            if !answers.is_empty() {
                session.send_raw(answers);
                answers.clear();
            }
            match message {
                Message::Text(_) | Message::Binary(_) => {
                    close = dialect.handle(&message, session);
                }
                Message::Close(frame) => client_close = frame,
                _ => {}
            }
            if close.is_some() {
                Next::Stop
            } else if session.takes_frames() {
                Next::Read
            } else {
                Next::Pause
            }
        };
        let result = match bytes {
            Some(bytes) => reader.read(readers, bytes, &mut answers, visit),
            None => reader.read_backlog(readers, &mut answers, visit),
        };
        if close.is_some() || result.is_err() {
            session.deliver_waiting();
        }
        session.send_raw(&answers);
        session.flush_replies();
        match (close, result) {
            (Some(close), _) => self.close(&close),
            (None, Ok(())) => {}
            (None, Err(ReadEnd::WebSocket(Error::ConnectionClosed))) => {
                let code = client_close.as_ref().map_or(CODE_NONE, |frame| frame.code.into());
                self.session.closed_by_client(code, || reason_of(client_close));
                self.begin_closing(false);
            }
            (None, Err(error)) => self.close(&close_for(&error)),
        }
    }

    /// Closes the session and puts the close frame into the outbox.
    fn close(&mut self, close: &Close) {
        self.session.close(close);
        self.session.send_raw(&close_frame(self.dialect.close_number(close), &close.reason));
        self.session.flush_replies();
        self.begin_closing(close.code == CloseCode::GoingAway);
    }

    fn begin_closing(&mut self, is_draining: bool) {
        self.phase = Phase::Closing { is_draining };
        self.reader.discard();
    }

    /// Reads once and handles what came. Returns `false` when the peer has closed the connection.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let readers = self.readers.clone();
        let mut scratch = readers.scratch().borrow_mut();
        let Some(link) = self.session.writer().sink().link() else { return Poll::Ready(Ok(false)) };
        let count = ready!(link.poll_read(context, &mut scratch))?;
        if count > 0 && self.phase == Phase::Open {
            self.read_bytes(&scratch[..count]);
        }
        Poll::Ready(Ok(count > 0))
    }

    /// Drives the connection. Ready when it is over.
    fn poll_io(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let began_us = clock::monotonic_us();
        for read in 0..READS_PER_TURN {
            if read > 0 && clock::monotonic_us() - began_us > TURN_US_MAX {
                break;
            }
            if self.phase == Phase::Open {
                match ready!(self.session.poll(context)) {
                    SessionEvent::Ready if self.reader.is_paused() => {
                        self.handle_messages(None);
                        continue;
                    }
                    SessionEvent::Ready => {}
                    SessionEvent::Close(close) => self.close(&close),
                    SessionEvent::Broken(error) => return Poll::Ready(Err(error)),
                }
            }
            if let Phase::Closing { is_draining } = self.phase {
                let writer = self.session.writer();
                ready!(writer.poll_flush(context, &self.session.worker().counters))?;
                writer.sink().shut_writing();
                if is_draining {
                    writer.hurry_close(DRAIN_LINGER_MS);
                }
                self.phase = Phase::Lingering;
            }
            if !ready!(self.poll_read(context))? {
                return Poll::Ready(Ok(()));
            }
        }
        yield_to_others(context);
        Poll::Pending
    }
}

/// Has the task run again, but not before the worker has polled its sockets and timers and run its other tasks. Waking the task would not
/// do that: the runtime runs dozens of ready tasks before it polls its sockets again, and a few peers that never stop sending would delay
/// new connections by as many turns.
fn yield_to_others(context: &mut Context<'_>) {
    // The runtime keeps the waker; the future is not needed for that.
    let _pending = pin!(tokio::task::yield_now()).poll(context);
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let connection = self.get_mut();
        connection.session.writer().remember_task(context);
        match connection.poll_io(context) {
            Poll::Pending if connection.session.writer().is_close_overdue() => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                if let Err(error) = result {
                    tracing::debug!(connection = connection.session.connection(), %error, "connection broken");
                }
                Poll::Ready(())
            }
        }
    }
}

/// Returns the reason with which a client has closed.
fn reason_of(frame: Option<CloseFrame>) -> String {
    match frame.map(|frame| frame.reason.as_str().to_owned()) {
        Some(reason) if !reason.is_empty() => reason,
        _ => "the client has left".to_owned(),
    }
}

/// Returns how to close a WebSocket whose peer broke the protocol or a limit.
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

/// Returns the close frame (RFC 6455 §5.5.1).
fn close_frame(number: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut frame = vec![0x88, 2 + end as u8];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend_from_slice(&reason.as_bytes()[..end]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let frame = close_frame(CloseCode::TooSlow.number(), &format!("a{}", "ä".repeat(100)));
        assert_eq!(frame[..4], [0x88, 2 + 123, 0x11, 0x3d]);
        assert_eq!(std::str::from_utf8(&frame[4..]).map(str::len), Ok(123));
    }
}
