//! The bodies of answers: whole, made by the HTTP router, or a stream that a session feeds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// The body of an answer.
pub(crate) enum ResponseBody {
    /// A body whose bytes are all here.
    Full(Full<Bytes>),
    /// Made by the HTTP router.
    Routed(axum::body::Body),
    /// Made piece by piece as the socket takes it.
    Streamed(Pin<Box<dyn Body<Data = Bytes, Error = axum::Error>>>),
}

impl ResponseBody {
    /// A body of `bytes`.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }

    /// Creates a body without bytes.
    pub(crate) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// Returns the length in bytes, if it is known.
    pub(super) fn known_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// Returns whether the session or answer that feeds the body watches whether the client takes it.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }

    /// A body that is made piece by piece as the socket takes it.
    pub(super) fn streamed(body: impl Body<Data = Bytes, Error = axum::Error> + 'static) -> Self {
        Self::Streamed(Box::pin(body))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(context).map_err(axum::Error::new),
            Self::Routed(body) => Pin::new(body).poll_frame(context),
            Self::Streamed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
