//! The MessagePack encoding (subprotocol `fanwire.v1.msgpack`): one frame is one map with text keys
//! (<https://github.com/msgpack/msgpack/blob/master/spec.md>).
//!
//! This folder owns how frames look in MessagePack, the check of MessagePack payloads and what a JSON payload becomes
//! in MessagePack: whole numbers that fit 64 bits become integers, all other numbers the nearest 64-bit float, which
//! for a number beyond all floats is an infinity, as in JavaScript. Which fields a frame has is the business of the
//! layouts both encodings share.

mod from_json;
mod token;
mod value;
mod write;
mod writer;

pub(crate) use token::{Reader, Token};
pub(crate) use value::payload_from_msgpack;

use crate::decode::DecodeError;
use crate::frame::{ClientFrame, Message, ServerFrame};
use crate::{decode, encode};
use write::append;

/// Reads a frame of a client.
///
/// # Errors
/// [`DecodeError::Unreadable`] if `bytes` are no MessagePack map with a text `type`, [`DecodeError::Rejected`] if
/// they are one but no valid frame.
pub fn decode_client(bytes: &[u8]) -> Result<ClientFrame, DecodeError> {
    decode::client_frame(&value::frame_object(bytes)?)
}

/// Reads a frame of the broker, or rather of a broker: its fields are checked like a client's.
///
/// An error code of a newer broker is read as [`crate::code::ErrorCode::Internal`].
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(bytes: &[u8]) -> Result<ServerFrame, DecodeError> {
    decode::server_frame(&value::frame_object(bytes)?)
}

/// Appends a frame of a client to `out`.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    append(out, |encoder| encode::client_frame(encoder, frame));
}

/// Appends a frame of the broker to `out`.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    append(out, |encoder| encode::server_frame(encoder, frame));
}

/// Appends the whole `message` frame to `out`. All subscribers of the topic receive the same bytes.
pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
    const AROUND: usize = 96;
    let from = message.from.as_ref().map_or(0, |from| from.len());
    out.reserve(AROUND + message.topic.as_str().len() + from + message.payload.len());
    append(out, |encoder| encode::message_frame(encoder, message));
}
