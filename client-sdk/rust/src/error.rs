//! The errors of the client, by what the caller can do about them.

use std::io;
use std::sync::Arc;

use fanwire_protocol::{ErrorCode, Pattern, PayloadError, TopicError};

/// An error of a [`Client`](crate::client::Client).
///
/// Cheap to clone: one broken connection answers every request that was waiting on it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is no broker's: correct it.
    #[error("this is no broker address: {reason}")]
    InvalidAddress {
        /// The reason why it is not valid.
        reason: &'static str,
    },
    /// The argument of [`Builder::authorities`](crate::builder::Builder::authorities) is not valid: correct it.
    #[error("these are no certificates (PEM) of authorities: {reason}")]
    InvalidAuthorities {
        /// The reason why it is not valid.
        reason: String,
    },
    /// The server does not prove to be the broker, or does not speak TLS.
    #[error("the server at {url} cannot be trusted: {reason}")]
    Untrusted {
        /// The address of the server.
        url: String,
        /// The reason why it is not trusted.
        reason: String,
    },
    /// The topic or pattern breaks a rule of names: correct it.
    #[error("'{name}' cannot be used here: {source}")]
    InvalidTopic {
        /// The name as it was given.
        name: String,
        /// Which rule it breaks.
        source: TopicError,
    },
    /// The value given to [`Client::publish_value`](crate::client::Client::publish_value) cannot be a payload: correct it.
    #[error("this value cannot be published: {0}")]
    InvalidPayload(PayloadError),
    /// Nothing accepts connections at the address: start the broker there, or correct the address.
    #[error("no broker can be reached at {url}: {source}")]
    Unreachable {
        /// The address that was tried.
        url: String,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// Something answers at the address, but does not let this client in or is no fanwire broker.
    #[error("{url} does not answer as a fanwire broker should: {reason}")]
    Refused {
        /// The address that was tried.
        url: String,
        /// The HTTP status, when the answer was a plain HTTP response.
        status: Option<u16>,
        /// The answer of the server.
        reason: String,
    },
    /// The application's own source of tokens failed: see [`Builder::token_source`](crate::builder::Builder::token_source).
    #[error("there is no token: {source}")]
    Token {
        /// The error of the source.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The broker understood and said no; `code` says what kind of no.
    #[error("{message} ({code})")]
    Rejected {
        /// The word for programs.
        code: ErrorCode,
        /// The broker's sentence for people.
        message: String,
    },
    /// This client has a subscription to exactly this topic or pattern: share its messages, or drop it first.
    #[error("this client is already subscribed to '{0}'")]
    AlreadySubscribed(Pattern),
    /// The connection broke after a publish was sent and before its receipt came: the outcome is unknown. Publish
    /// with an idempotency key, and the client asks again by itself and never publishes twice.
    #[error("the connection broke before the receipt came; whether the message was published is unknown")]
    ConnectionLost,
    /// No answer came in time. For a publish without idempotency key the outcome is unknown.
    #[error("the broker did not answer in time")]
    TimedOut,
    /// The broker closed the connection and does not want this client back as it is, or reconnecting was given up. The
    /// outcome of a publish under way is unknown, unless the reason tells.
    #[error("{reason}{}", close_number(*.code))]
    Disconnected {
        /// The WebSocket close code, when there was one.
        code: Option<u16>,
        /// The reason of the close.
        reason: String,
    },
    /// The application called [`Client::close`](crate::client::Client::close).
    #[error("this client has been closed")]
    Closed,
}

fn close_number(code: Option<u16>) -> String {
    code.map(|code| format!(" (close code {code})")).unwrap_or_default()
}
