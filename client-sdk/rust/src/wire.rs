//! The two encodings as WebSocket messages: text for JSON, binary for MessagePack.

use bytes::Bytes;
use fanwire_protocol::{
    ClientFrame, DecodeError, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerFrame, json, msgpack,
};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// The encoding of frames on the connection. Payloads are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Text: readable with any tool; binary payloads grow by a third.
    #[default]
    Json,
    /// Binary: smaller, and the better choice for binary payloads.
    MessagePack,
}

impl Encoding {
    pub(crate) fn subprotocol(self) -> &'static str {
        match self {
            Encoding::Json => SUBPROTOCOL_JSON,
            Encoding::MessagePack => SUBPROTOCOL_MSGPACK,
        }
    }

    pub(crate) fn encode(self, frame: &ClientFrame) -> Message {
        let mut bytes = Vec::new();
        match self {
            Encoding::Json => {
                json::encode_client(frame, &mut bytes);
                let text =
                    Utf8Bytes::try_from(Bytes::from(bytes)).expect("JSON is written from UTF-8 text only");
                Message::Text(text)
            }
            Encoding::MessagePack => {
                msgpack::encode_client(frame, &mut bytes);
                Message::Binary(bytes.into())
            }
        }
    }

    /// Reads a text or binary message; one of the wrong kind is unreadable.
    pub(crate) fn decode(self, message: &Message) -> Result<ServerFrame, DecodeError> {
        match (self, message) {
            (Encoding::Json, Message::Text(text)) => json::decode_server(text),
            (Encoding::MessagePack, Message::Binary(bytes)) => msgpack::decode_server(bytes),
            _ => Err(DecodeError::Unreadable("a WebSocket message of the wrong kind".to_owned())),
        }
    }
}
