//! The bodies of answers: whole, made by the HTTP router, or flowing for as long as somebody listens.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::events::EventsBody;

/// The body of an answer.
pub(crate) enum ResponseBody {
    /// All there is.
    Full(Full<Bytes>),
    /// Made by the HTTP router.
    Routed(axum::body::Body),
    /// A stream of events. Boxed, for it is much larger than the others.
    Events(Box<EventsBody>),
}

impl ResponseBody {
    /// A body that is there already.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::full(Bytes::new())
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
            Self::Events(body) => Pin::new(&mut **body).poll_frame(context).map_err(axum::Error::new),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
