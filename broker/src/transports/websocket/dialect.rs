//! Dialects: what the messages of a WebSocket mean.
//!
//! A dialect translates each message into a [`ClientFrame`] and names the [`Format`] in which its sessions are written to.
//! One that checks credentials of its own, or answers by itself, also overrides [`Dialect::handle`]. To add one, implement [`Dialect`] in a file of its own and list it in [`DIALECTS`], or give
//! it a URL of its own.

use fanwire_core::format::Format;
use fanwire_core::session::{Close, Start};
use fanwire_formats::{BARE, JSON, MSGPACK};
use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, Pattern, Payload, Request, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK,
    json, msgpack,
};
use tungstenite::Message;

use super::reader::frame_bytes_max;
use crate::sessions::SessionRuntime;
use crate::telemetry::Transport;

/// A way to read the messages of one WebSocket.
pub(in crate::transports) trait Dialect {
    /// Reads one text or binary message. The inner error is answered by the session; the outer one closes it.
    fn read(&self, message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close>;

    /// Handles one text or binary message. Returns how to close the session if the message makes that necessary.
    fn handle(&self, message: &Message, session: &mut SessionRuntime) -> Option<Close> {
        match self.read(message) {
            Ok(frame) => session.handle(frame),
            Err(close) => Some(close),
        }
    }

    /// Begins a session whose WebSocket is open, before its first message is read.
    fn greet(&self, _session: &mut SessionRuntime) {}

    /// Returns the number of the close frame for `close`.
    fn close_number(&self, close: &Close) -> u16 {
        close.number()
    }

    /// Returns the format in which the session is written to.
    fn format(&self) -> &'static Format;

    /// Returns the transport under which the session is counted and reported.
    fn label(&self) -> Transport;

    /// Returns the largest message in bytes, where a payload may have `payload_bytes_max`.
    fn message_bytes_max(&self, payload_bytes_max: usize) -> usize {
        frame_bytes_max(payload_bytes_max)
    }

    /// Returns the subscription that the session begins with. It stands before the handshake is answered; if it is refused,
    /// there is no session.
    fn begin(&self) -> Option<(Pattern, Start)> {
        None
    }
}

/// A dialect that a client chooses by its WebSocket subprotocol.
pub(in crate::transports) struct Subprotocol {
    /// The name that clients offer.
    pub(in crate::transports) name: &'static str,
    /// Makes the dialect of one session.
    pub(in crate::transports) dialect: fn() -> Box<dyn Dialect>,
}

/// The subprotocols of `/ws`. The first is chosen for clients that offer none.
pub(in crate::transports) static DIALECTS: [Subprotocol; 2] = [
    Subprotocol { name: SUBPROTOCOL_JSON, dialect: || Box::new(Json) },
    Subprotocol { name: SUBPROTOCOL_MSGPACK, dialect: || Box::new(MessagePack) },
];

/// Each text message is a frame of the protocol in JSON.
struct Json;

impl Dialect for Json {
    fn read(&self, message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        match message {
            Message::Text(text) => Ok(json::decode_client(text)),
            _ => Err(Close::new(
                CloseCode::Unsupported,
                "this session speaks JSON in text messages: binary ones belong to fanwire.v1.msgpack",
            )),
        }
    }

    fn format(&self) -> &'static Format {
        &JSON
    }

    fn label(&self) -> Transport {
        Transport::WebSocket
    }
}

/// Each binary message is a frame of the protocol in MessagePack.
struct MessagePack;

impl Dialect for MessagePack {
    fn read(&self, message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        match message {
            Message::Binary(bytes) => Ok(msgpack::decode_client(bytes)),
            _ => Err(Close::new(
                CloseCode::Unsupported,
                "this session speaks MessagePack in binary messages: text ones belong to fanwire.v1.json",
            )),
        }
    }

    fn format(&self) -> &'static Format {
        &MSGPACK
    }

    fn label(&self) -> Transport {
        Transport::WebSocket
    }
}

/// Each message is a payload, published to the topic of the URL.
pub(in crate::transports) struct Bare {
    /// The topic, or a pattern that can be subscribed to but not published to.
    pub(in crate::transports) pattern: Pattern,
    /// Whether the session receives what it publishes.
    pub(in crate::transports) has_echo: bool,
    /// The start point of the subscription.
    pub(in crate::transports) start: Start,
}

impl Dialect for Bare {
    fn read(&self, message: &Message) -> Result<Result<ClientFrame, DecodeError>, Close> {
        let Some(topic) = self.pattern.to_topic() else {
            let reason =
                format!("'{}' is a pattern: it can be subscribed to, but not published to", self.pattern);
            return Err(Close::new(CloseCode::Forbidden, reason));
        };
        let payload = match message {
            Message::Text(text) => Payload::text(text.as_str()),
            other => Payload::binary(&*other.clone().into_data()),
        };
        let request = Request::Publish { topic, payload, key: None, echo: self.has_echo };
        Ok(Ok(ClientFrame { id: None, request }))
    }

    fn format(&self) -> &'static Format {
        &BARE
    }

    fn label(&self) -> Transport {
        Transport::Bare
    }

    fn message_bytes_max(&self, payload_bytes_max: usize) -> usize {
        payload_bytes_max
    }

    fn begin(&self) -> Option<(Pattern, Start)> {
        Some((self.pattern.clone(), self.start.clone()))
    }
}
