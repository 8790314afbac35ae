//! What a WebSocket's messages mean: frames of the protocol, or payloads of one topic.

use fanwire_core::access::Refusal;
use fanwire_core::encoding::Encoding;
use fanwire_core::session::{Close, PublishRequest};
use fanwire_protocol::{CloseCode, ErrorCode, Pattern, Payload, json, msgpack};
use tungstenite::Message;

use crate::sessions::LiveSession;
use crate::telemetry::Transport;

/// How the messages of one WebSocket are read.
pub(super) enum Dialect {
    /// Each message is a frame of the protocol in this encoding.
    Protocol(Encoding),
    /// Each message is a payload, published to the topic.
    Bare {
        /// The topic, or a pattern that can be listened to but not published to.
        pattern: Pattern,
        /// Whether the session receives what it publishes.
        has_echo: bool,
    },
}

impl Dialect {
    /// How what the session is sent is written.
    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Dialect::Protocol(encoding) => *encoding,
            Dialect::Bare { .. } => Encoding::Bare,
        }
    }

    /// What the session is connected over.
    pub(super) fn transport(&self) -> Transport {
        match self {
            Dialect::Protocol(_) => Transport::WebSocket,
            Dialect::Bare { .. } => Transport::Bare,
        }
    }

    /// Handles one text or binary message. Returns how to close the session if the message makes that necessary.
    pub(super) fn handle(&self, session: &mut LiveSession, message: &Message) -> Option<Close> {
        match (self, message) {
            (Dialect::Protocol(Encoding::Json), Message::Text(text)) => {
                session.handle(json::decode_client(text))
            }
            (Dialect::Protocol(Encoding::MessagePack), Message::Binary(bytes)) => {
                session.handle(msgpack::decode_client(bytes))
            }
            (Dialect::Protocol(Encoding::Json), _) => {
                let reason =
                    "this session speaks JSON in text messages: binary ones belong to fanwire.v1.msgpack";
                Some(Close::new(CloseCode::Unsupported, reason))
            }
            (Dialect::Protocol(_), _) => {
                let reason =
                    "this session speaks MessagePack in binary messages: text ones belong to fanwire.v1.json";
                Some(Close::new(CloseCode::Unsupported, reason))
            }
            (Dialect::Bare { pattern, has_echo }, message) => {
                let payload = match message {
                    Message::Text(text) => Payload::text(text.as_str()),
                    other => Payload::binary(&*other.clone().into_data()),
                };
                let Some(topic) = pattern.to_topic() else {
                    let reason =
                        format!("'{pattern}' is a pattern: it can be listened to, but not published to");
                    return Some(Close::new(CloseCode::Forbidden, reason));
                };
                let publish = PublishRequest { topic, payload, key: None, echo: *has_echo };
                let refusal = session.publish(None, publish).err()?;
                session.worker().counters.error(refusal.code);
                Some(close_for(&refusal))
            }
        }
    }
}

/// How a refusal is said to a session that has no frames to say it in.
pub(super) fn close_for(refusal: &Refusal) -> Close {
    let code = match refusal.code {
        ErrorCode::Unauthorized | ErrorCode::TokenExpired => CloseCode::Unauthorized,
        ErrorCode::Forbidden => CloseCode::Forbidden,
        ErrorCode::TooLarge => CloseCode::TooBig,
        ErrorCode::RateLimited => CloseCode::RateLimited,
        ErrorCode::Unavailable | ErrorCode::Internal => CloseCode::GoingAway,
        ErrorCode::BadFrame
        | ErrorCode::BadTopic
        | ErrorCode::NotSubscribed
        | ErrorCode::LimitExceeded
        | ErrorCode::HistoryOff => CloseCode::BadFrame,
    };
    Close::new(code, refusal.message.clone())
}
