//! One WebSocket connection: frames out of the exchange and in from the broker, reading and writing at the same time.
//!
//! Writing must never keep this side from reading: a broker whose deliveries to a session stall stops reading from it,
//! and two sides that both only write would wait for each other for ever.

use std::pin::Pin;
use std::task::{Context, Poll};

use fanwire_protocol::{ClientFrame, DecodeError, ServerFrame};
use futures_core::Stream;
use futures_sink::Sink;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::debug;

use crate::tls::Carrier;
use crate::wire::Encoding;

/// Whether to take in what the broker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    On,
    /// The kernel's buffers fill, then the broker's: that is the back-pressure.
    Off,
}

/// An input from the broker.
#[derive(Debug)]
pub(crate) enum Heard {
    Frame(ServerFrame),
    /// A ping or pong, or a frame of a later protocol version: the broker is alive.
    Life,
    /// The broker closed the connection.
    Close {
        code: Option<u16>,
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<Carrier>,
    encoding: Encoding,
    unflushed: bool,
    /// Writing failed. Reading continues until it fails too: the last frames of the broker may contain the reason.
    write_error: Option<String>,
}

impl Socket {
    pub(crate) fn new(stream: WebSocketStream<Carrier>, encoding: Encoding) -> Self {
        Self { stream, encoding, unflushed: false, write_error: None }
    }

    /// Sends the frames `source` gives and returns what the broker says; how the connection broke, as text, if it does.
    ///
    /// Cancel-safe: a frame taken from `source` is in the socket's buffer before this yields.
    pub(crate) async fn turn(
        &mut self,
        mut source: impl FnMut() -> Option<ClientFrame>,
        reading: Reading,
    ) -> Result<Heard, String> {
        std::future::poll_fn(|context| self.poll_turn(context, &mut source, reading)).await
    }

    /// Sends what there is to send and returns when it is on its way. Takes nothing in.
    pub(crate) async fn flush(
        &mut self,
        mut source: impl FnMut() -> Option<ClientFrame>,
    ) -> Result<(), String> {
        std::future::poll_fn(|context| {
            self.poll_write(context, &mut source);
            match &self.write_error {
                Some(error) => Poll::Ready(Err(error.clone())),
                None if self.unflushed => Poll::Pending,
                None => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Puts a WebSocket ping behind what was sent so far.
    pub(crate) fn ping(&mut self) {
        self.start_send(Message::Ping(bytes::Bytes::new()));
    }

    /// Puts a close frame behind what was sent so far; [`Socket::turn`] then returns [`Heard::Close`].
    pub(crate) fn start_close(&mut self) {
        self.start_send(Message::Close(Some(tungstenite::protocol::CloseFrame {
            code: tungstenite::protocol::frame::coding::CloseCode::Normal,
            reason: "".into(),
        })));
    }

    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        source: &mut impl FnMut() -> Option<ClientFrame>,
        reading: Reading,
    ) -> Poll<Result<Heard, String>> {
        self.poll_write(context, source);
        match (reading, &self.write_error) {
            (Reading::On, _) => self.poll_read(context),
            (Reading::Off, Some(error)) => Poll::Ready(Err(error.clone())),
            (Reading::Off, None) => Poll::Pending,
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, source: &mut impl FnMut() -> Option<ClientFrame>) {
        while self.write_error.is_none() {
            match Pin::new(&mut self.stream).poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.fail_writing(&error),
                Poll::Pending => return,
            }
            let Some(frame) = source() else { break };
            self.start_send(self.encoding.encode(&frame));
        }
        if self.unflushed && self.write_error.is_none() {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.fail_writing(&error),
                Poll::Pending => {}
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Heard, String>> {
        let message = match std::task::ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(Err(in_words(&error))),
            None => return Poll::Ready(Err("the broker ended the connection".to_owned())),
        };
        let heard = match &message {
            Message::Close(frame) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                let reason = frame.as_ref().map(|frame| frame.reason.to_string()).unwrap_or_default();
                Heard::Close { code, reason }
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Heard::Life,
            Message::Text(_) | Message::Binary(_) => match self.encoding.decode(&message) {
                Ok(frame) => Heard::Frame(frame),
                // An answer that cannot be read is an answer all the same; its asker must not wait on.
                Err(DecodeError::Rejected { id: id @ Some(_), code, message }) => {
                    Heard::Frame(ServerFrame::Error { id, code, message })
                }
                Err(DecodeError::Rejected { message, .. }) => {
                    debug!(message, "a frame this version does not know");
                    Heard::Life
                }
                Err(DecodeError::Unreadable(reason)) => {
                    return Poll::Ready(Err(format!("the broker sent what cannot be read: {reason}")));
                }
            },
        };
        Poll::Ready(Ok(heard))
    }

    fn start_send(&mut self, message: Message) {
        match Pin::new(&mut self.stream).start_send(message) {
            Ok(()) => self.unflushed = true,
            Err(error) => self.fail_writing(&error),
        }
    }

    fn fail_writing(&mut self, error: &tungstenite::Error) {
        self.write_error = Some(in_words(error));
    }
}

/// A broken connection as people would say it.
fn in_words(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection broke".to_owned()
        }
        tungstenite::Error::Io(error) => format!("the connection broke: {error}"),
        other => other.to_string(),
    }
}
