//! The wire formats of the broker: how publications and frames are encoded, framing included.
//!
//! This crate owns the static table of formats and one encoder per format. What stands inside the framing is the protocol
//! crate's. It knows nothing of sessions or sockets, and the core knows nothing of it: the core is handed a [`Format`].
//!
//! To add a format, write its encoder in a file of its own and give it a slot here.

mod bare;
mod entry;
mod json;
mod msgpack;
pub mod pusher;
pub mod sse;
mod websocket;

use fanwire_core::format::{DeliveryMode, Encoder, FORMATS_MAX, Format};

/// The protocol in JSON (`fanwire.v1.json`), each frame in a WebSocket text message.
pub static JSON: Format = Format { has_frames: true, ..format(0, "json", DeliveryMode::Joined, &json::Json) };

/// The protocol in MessagePack (`fanwire.v1.msgpack`), each frame in a WebSocket binary message.
pub static MSGPACK: Format = Format {
    has_frames: true,
    keeps_messagepack: true,
    ..format(1, "msgpack", DeliveryMode::Joined, &msgpack::MessagePack)
};

/// Payloads alone, each in a WebSocket text or binary message.
pub static BARE: Format =
    Format { refuses_by_close: true, ..format(2, "bare", DeliveryMode::Joined, &bare::Bare) };

/// Server-Sent Events of one topic or pattern: the payload alone, with the position in `id:`.
pub static SSE: Format = format(3, "sse", DeliveryMode::Joined, &sse::OneTopic);

/// Server-Sent Events of a stream that writes the `id:` of each event itself: the payload alone.
pub static SSE_PAYLOADS: Format = format(4, "sse-payloads", DeliveryMode::Separate, &sse::Payloads);

/// Server-Sent Events of a stream that writes the `id:` of each event itself: the whole `message` frame in JSON.
pub static SSE_ENVELOPES: Format = format(5, "sse-envelopes", DeliveryMode::Separate, &sse::Envelopes);

/// Entries of an HTTP answer in JSON.
pub static ENTRY: Format = format(6, "entry", DeliveryMode::Separate, &entry::Entry);

/// The first slot that no format of this crate has: for a format that is registered by others, as tests do.
pub const SLOT_FREE: usize = 7;

const _: () = assert!(SLOT_FREE < FORMATS_MAX);

const fn format(
    slot: usize,
    label: &'static str,
    delivery: DeliveryMode,
    encoder: &'static dyn Encoder,
) -> Format {
    Format {
        slot,
        label,
        delivery,
        has_frames: false,
        refuses_by_close: false,
        keeps_messagepack: false,
        encoder,
    }
}

pub use websocket::{binary_message, text_message};

#[cfg(test)]
mod tests;
