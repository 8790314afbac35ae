//! The JSON encoding (subprotocol `fanwire.v1.json`): one frame is one JSON object (RFC 8259).
//!
//! This folder owns how frames look in JSON, the check of JSON payloads and what a MessagePack payload becomes in
//! JSON: nested binary becomes base64 text, a map key that is no string becomes its text, NaN and the infinities
//! become null; 64-bit integers and all other floats keep their value. Which fields a frame has is the business of
//! the layouts both encodings share.

mod batch;
mod from_msgpack;
mod scan;
mod text;
mod value;
mod write;

pub use batch::{BatchEntry, decode_batch};
pub(crate) use scan::payload_from_json;

use crate::decode::DecodeError;
use crate::frame::{ClientFrame, Member, Message, ServerFrame};
use crate::topic::Topic;
use crate::{decode, encode};
pub use text::write_string;
use write::JsonEncoder;

/// Reads a frame of a client.
///
/// # Errors
/// [`DecodeError::Unreadable`] if `text` is no JSON object with a text `type`, [`DecodeError::Rejected`] if it is one
/// but no valid frame.
pub fn decode_client(text: &str) -> Result<ClientFrame, DecodeError> {
    decode::client_frame(&value::frame_object(text)?)
}

/// Reads a frame of the broker, or rather of a broker: its fields are checked like a client's.
///
/// An error code of a newer broker is read as [`crate::code::ErrorCode::Internal`].
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(text: &str) -> Result<ServerFrame, DecodeError> {
    decode::server_frame(&value::frame_object(text)?)
}

/// Appends a frame of a client to `out`.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    encode::client_frame(&mut JsonEncoder::new(out), frame);
}

/// Appends a frame of the broker to `out`.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    encode::server_frame(&mut JsonEncoder::new(out), frame);
}

/// Appends the whole `message` frame to `out`. All subscribers of the topic receive the same bytes.
pub fn encode_message(message: &Message, out: &mut Vec<u8>) {
    reserve(message, out);
    encode::message_frame(&mut JsonEncoder::new(out), message);
}

/// Appends the message to `out` as it stands in `history` frames and HTTP pages: the `message` frame without `type`.
pub fn encode_message_entry(message: &Message, out: &mut Vec<u8>) {
    reserve(message, out);
    encode::message_entry(&mut JsonEncoder::new(out), message);
}

/// Appends the `join` or `leave` frame of `member` without `type`, as event streams have it.
pub fn encode_member_event(topic: &Topic, member: &Member, out: &mut Vec<u8>) {
    encode::member_event(&mut JsonEncoder::new(out), topic, member);
}

/// Appends who is present in `topic` to `out`, as the HTTP interface answers it: the `presence` frame without `type` and `id`.
pub fn encode_presence(topic: &Topic, members: &[Member], more: bool, out: &mut Vec<u8>) {
    encode::presence_page(&mut JsonEncoder::new(out), topic, members, more);
}

/// The value that the checked MessagePack payload `bytes` is in JSON.
pub(crate) fn from_msgpack_value(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    from_msgpack::write_value(bytes, &mut out);
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Makes room for the usual message at once; one that needs more, for its escapes, grows `out` again.
fn reserve(message: &Message, out: &mut Vec<u8>) {
    const AROUND: usize = 128;
    let from = message.from.as_ref().map_or(0, |from| from.len());
    let payload = message.payload.len();
    let payload = if message.payload.is_binary() { payload.div_ceil(3) * 4 } else { payload };
    out.reserve(AROUND + message.topic.as_str().len() + from + payload);
}
