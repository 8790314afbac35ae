//! The words on the wire of fanwire, shared by the broker and every client written in Rust.
//!
//! This crate owns the vocabulary ([`Topic`], [`Pattern`], [`Payload`], [`Position`], [`Cursor`]), the frames of the
//! WebSocket protocol ([`ClientFrame`], [`ServerFrame`]), the codes that errors and closes carry, and the two
//! encodings of it all ([`json`] and [`msgpack`]). It does no I/O, reads no clock and knows nothing of brokers or
//! clients.
//!
//! ```
//! use fanwire_protocol::{Pattern, Topic};
//!
//! let topic: Topic = "orders.berlin.paid".parse().unwrap();
//! let pattern: Pattern = "orders.*.paid".parse().unwrap();
//! assert!(pattern.matches(&topic));
//! ```

mod code;
mod conversion;
mod cursor;
mod decode;
mod encode;
mod frame;
pub mod json;
pub mod msgpack;
mod payload;
mod position;
mod relation;
mod since;
mod topic;

pub use code::{CloseCode, ErrorCode};
pub use cursor::{Cursor, CursorError, EARLIEST};
pub use decode::DecodeError;
pub use encode::FrameEncoder;
pub use frame::{ClientFrame, Member, Message, Receipt, Reply, Request, ServerFrame, SubscribeOptions};
pub use payload::{PAYLOAD_DEPTH_MAX, Payload, PayloadError, PayloadView};
pub use position::{Epoch, Position};
pub use since::{Since, SinceError, StartPoint};
pub use topic::{Pattern, TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX, Topic, TopicError};

/// WebSocket subprotocol of the JSON encoding: one frame is one text message.
pub const SUBPROTOCOL_JSON: &str = "fanwire.v1.json";

/// WebSocket subprotocol of the MessagePack encoding: one frame is one binary message.
pub const SUBPROTOCOL_MSGPACK: &str = "fanwire.v1.msgpack";
