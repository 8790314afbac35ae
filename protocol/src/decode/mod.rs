//! Reading of frames, once for both encodings: which fields a frame must have, of which type, and what is said of
//! one that is wrong.
//!
//! This folder knows no encoding. An encoding splits an object into the raw values of the fields this version knows
//! ([`Object`]) and can say what a raw value is ([`FieldValue`]); everything else happens here. Whatever a peer sends
//! is untrusted: nothing here recurses over the input or reserves memory the input only announces.

mod client;
mod object;
mod server;

pub(crate) use client::{client_frame, publication};
pub(crate) use object::{Field, FieldValue, Object, Rejection};
pub(crate) use server::server_frame;

use crate::code::ErrorCode;

/// An error of bytes that are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no object of the session's encoding at all, or one without a `type`: the peer does not speak the
    /// protocol, and nothing it sends later can be trusted to be read rightly.
    #[error("{0}")]
    Unreadable(String),
    /// The object could be read, but is no valid frame; the next one may be.
    #[error("{message}")]
    Rejected {
        /// The frame's `id`, when it could be read.
        id: Option<u32>,
        /// The code, [`ErrorCode::BadFrame`] or [`ErrorCode::BadTopic`].
        code: ErrorCode,
        /// The field and what is expected of it.
        message: String,
    },
}
