//! Bodies of requests as the connection sees them: counted, and looked at again if the answer came before their end.
//!
//! RFC 9112 §9.3: a server that answers without reading the whole body must either read the rest or close the connection. If
//! the rest is small, it is read and thrown away, so that the client can use the connection again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::telemetry::WorkerCounters;

/// The largest rest of a body that is read and thrown away, in bytes. After a larger one the connection ends.
const REST_BYTES_MAX: u64 = 64 * 1024;

/// The time in which the rest of a body must arrive. After that the connection ends.
const REST_TIMEOUT: Duration = Duration::from_millis(500);

/// The body of one request. Dropping it leaves what was not read to its [`BodyRest`].
pub(super) struct RequestBody {
    /// There until the body is dropped.
    incoming: Option<Incoming>,
    /// `None` if the request has no body.
    rest: Option<Arc<Rest>>,
}

/// The part of a body that the answer did not wait for.
pub(super) struct BodyRest {
    rest: Option<Arc<Rest>>,
    awaits_continue: bool,
}

struct Rest {
    counters: Arc<WorkerCounters>,
    state: Mutex<RestState>,
}

#[derive(Default)]
struct RestState {
    was_polled: bool,
    unread: Option<Incoming>,
}

/// Wraps the body of a request with these headers. The bytes that arrive are counted in `counters`.
pub(super) fn watch(
    incoming: Incoming,
    headers: &HeaderMap,
    counters: &Arc<WorkerCounters>,
) -> (RequestBody, BodyRest) {
    let awaits_continue = headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if incoming.is_end_stream() {
        let body = RequestBody { incoming: Some(incoming), rest: None };
        return (body, BodyRest { rest: None, awaits_continue: false });
    }
    let rest = Arc::new(Rest { counters: counters.clone(), state: Mutex::default() });
    let body = RequestBody { incoming: Some(incoming), rest: Some(rest.clone()) };
    (body, BodyRest { rest: Some(rest), awaits_continue })
}

impl BodyRest {
    /// Reads and throws away what is left of the body. Returns whether the connection can be used for another request.
    pub(super) async fn discard(self) -> bool {
        let Some(rest) = self.rest else { return true };
        let RestState { was_polled, unread } = std::mem::take(&mut *rest.lock());
        let Some(mut body) = unread else { return true };
        let is_invited = was_polled || !self.awaits_continue;
        // A body of unknown length may end at once, or never: the bound below decides.
        if !is_invited || body.size_hint().lower() > REST_BYTES_MAX {
            return false;
        }
        let discard = async {
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                rest.counters.received_bytes.add(frame.data_ref().map_or(0, |data| data.len() as u64));
                if bytes > REST_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(REST_TIMEOUT, discard).await.unwrap_or(false)
    }
}

impl Rest {
    fn lock(&self) -> std::sync::MutexGuard<'_, RestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = self.incoming.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(context);
        if let Some(rest) = &self.rest {
            rest.lock().was_polled = true;
            if let Poll::Ready(Some(Ok(frame))) = &polled {
                rest.counters.received_bytes.add(frame.data_ref().map_or(0, |data| data.len() as u64));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(incoming), Some(rest)) = (self.incoming.take(), &self.rest)
            && !incoming.is_end_stream()
        {
            rest.lock().unread = Some(incoming);
        }
    }
}
