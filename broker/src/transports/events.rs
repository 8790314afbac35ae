//! Server-Sent Events (WHATWG HTML §9.2): one topic or several as one endless answer.
//!
//! A stream over one topic or pattern receives the events that all such streams share. A stream over several topics has a
//! cursor of its own over all of them, and so writes the `id:` of each event itself.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::frame::Frame;
use fanwire_core::session::{Close, CustomClose, Start};
use fanwire_formats::{SSE, SSE_ENVELOPES, SSE_PAYLOADS, sse};
use fanwire_protocol::{CloseCode, Cursor, Epoch, ErrorCode, Pattern, Position, Since, Topic};
use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Body;

use super::body::ResponseBody;
use super::query::{Query, resume_point};
use super::request::KnownRequest;
use crate::hub::{Keepalive, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, SessionEvent, SessionRuntime, Worker};
use crate::telemetry::Transport;

/// The time after which a browser reconnects, in milliseconds.
const RETRY_MS: u64 = 1000;

/// The time over which the clients of refused streams are spread when they reconnect, in milliseconds.
const RETRY_SPREAD_MS: u64 = 4000;

/// The size from which on events of a stream that writes its own ids are sent, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// The header in which a browser that reconnects names the last event it received.
const LAST_EVENT_ID: &str = "last-event-id";

/// Starts a stream of events.
///
/// # Errors
/// If the session may not subscribe to one of the patterns, or a position makes no sense.
pub(super) async fn stream(
    worker: &Rc<Worker>,
    asked: KnownRequest,
    patterns: Vec<Pattern>,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let resumed = last_event_id(asked.request.headers()).or(query.resumed.clone());
    let format = match (query.envelope, patterns.len()) {
        (true, _) => &SSE_ENVELOPES,
        (false, 1) => &SSE,
        (false, _) => &SSE_PAYLOADS,
    };
    let limits = &worker.limits;
    let keepalive = Keepalive {
        bytes: b":\n\n",
        interval_ms: limits.sse_comment_interval.as_millis() as u64,
        timeout_ms: None,
        write_timeout_ms: limits.write_timeout.as_millis() as u64,
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
    };
    let sink = Sink::Task(asked.guard.abort().clone());
    let writer = Rc::new(SessionWriter::new(sink, format, limits.outbox_bytes_max, keepalive));
    let session = SessionRuntime::open(worker.clone(), writer, asked.session);
    let mut body =
        EventsBody { session, guard: asked.guard, positions: Vec::new(), head: None, phase: Phase::Open };
    body.open(patterns, resumed, query).await?;
    body.guard.become_transport(Transport::Sse);
    Ok(response(ResponseBody::streamed(body)))
}

/// Returns an answer that is an event stream.
pub(super) fn response(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would gather events otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Returns the stream of a request that is refused for a passing reason: it says when to reconnect, and ends. A browser's
/// `EventSource` that receives an error status never reconnects (WHATWG HTML §9.2.3).
pub(super) fn refused(problem: &Problem) -> Response<ResponseBody> {
    let error = problem.counted_as();
    let code = if error == ErrorCode::RateLimited { CloseCode::RateLimited } else { CloseCode::GoingAway };
    let after_ms = problem.retry_after_ms().unwrap_or(RETRY_MS) + fastrand::u64(..=RETRY_SPREAD_MS);
    let close = Close {
        after_ms: Some(after_ms),
        error: Some(error),
        custom: Some(CustomClose { number: code.number(), reconnect: true }),
        ..Close::new(code, problem.detail())
    };
    let mut response = response(ResponseBody::full(Bytes::from(closing_event(&close))));
    response.extensions_mut().insert(error);
    response
}

/// Returns the last event of a stream.
fn closing_event(close: &Close) -> String {
    let data = serde_json::json!({
        "code": close.number(),
        "reason": close.reason,
        "reconnect": close.should_reconnect(),
        "after_ms": close.after_ms,
        "error": close.error.map(|code| code.as_str()),
    });
    let retry_ms = close.after_ms.unwrap_or(RETRY_MS);
    format!("retry: {retry_ms}\nevent: closing\ndata: {data}\n\n")
}

/// Returns where a client resumes that reconnects. A header that is not even text is no cursor of this broker, either.
fn last_event_id(headers: &HeaderMap) -> Option<Since> {
    let value = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty())?;
    Some(resume_point(value.to_str().unwrap_or_default()))
}

/// An endless answer. Dropping it ends the session.
pub(crate) struct EventsBody {
    session: SessionRuntime,
    guard: Rc<ConnectionGuard>,
    /// The positions of a stream that writes its own events, by plain topic.
    positions: Vec<(Topic, Position)>,
    /// The bytes that are sent first.
    head: Option<Bytes>,
    phase: Phase,
}

/// The phase of a stream.
enum Phase {
    /// Events are sent as they come.
    Open,
    /// Waiting bytes are sent, and then this event.
    Closing(Bytes),
    /// The stream has sent everything.
    Ended,
}

impl EventsBody {
    /// Subscribes to everything, and prepares what is sent first: the time to wait before reconnecting, what was lost, and the stream's
    /// position. What was missed follows.
    async fn open(
        &mut self,
        patterns: Vec<Pattern>,
        resumed: Option<Since>,
        query: &Query,
    ) -> Result<(), Problem> {
        // A browser that reconnects to a pattern cannot resume, but must learn that it has missed something.
        let is_lost = |pattern: &Pattern| pattern.is_wild() && resumed.is_some();
        let start_of = |pattern: &Pattern| match &resumed {
            _ if is_lost(pattern) => Start::Now,
            Some(resumed) => Start::Since(resumed.clone()),
            None => query.start(),
        };
        let starts: Vec<Start> = patterns.iter().map(start_of).collect();
        let wanted: Vec<(Pattern, Start)> = patterns.into_iter().zip(starts).collect();
        let subscribed = self.session.subscribe_all(&wanted).await?;
        let mut head = format!("retry: {RETRY_MS}\n\n").into_bytes();
        for ((pattern, _), subscribed) in wanted.iter().zip(&subscribed) {
            if is_lost(pattern) || !subscribed.recovered {
                sse::gap(&mut head, pattern.as_str(), None);
            }
            if let (Some(topic), Some(after)) = (pattern.to_topic(), subscribed.after) {
                self.positions.push((topic, after));
            }
        }
        let has_missed = subscribed.iter().any(|subscribed| subscribed.has_missed);
        if !has_missed || wanted.iter().any(|(pattern, _)| pattern.is_wild()) {
            head.extend_from_slice(format!("id: {}\n\n", self.cursor()).as_bytes());
        }
        self.head = Some(Bytes::from(head));
        Ok(())
    }

    /// Returns the stream's position in all its topics. A stream over patterns alone has none: a client that reconnects with
    /// its cursor receives a gap.
    fn cursor(&self) -> Cursor {
        if self.positions.is_empty() {
            return Cursor::one(Position { epoch: Epoch::FOREIGN, offset: 0 });
        }
        Cursor::many(self.positions.iter().map(|(topic, position)| (topic, *position)))
    }

    /// Appends a frame after an `id:` over all topics of this stream.
    fn write_own(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if let Some((_, at)) = self.positions.iter_mut().find(|(topic, _)| *topic == frame.topic) {
            frame.advance(at);
        }
        sse::id(out, &self.cursor());
        out.extend_from_slice(&frame.bytes);
    }

    /// Returns the next piece to send.
    fn next_piece(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        if let Some(chunk) = self.session.writer().pop_chunk() {
            return Some(chunk);
        }
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES
            && let Some(frame) = self.session.writer().pop_frame()
        {
            self.write_own(&frame, &mut piece);
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }

    /// Closes the session. What waits is sent first, then the event that says why.
    fn close(&mut self, close: &Close) {
        self.session.close(close);
        self.phase = Phase::Closing(Bytes::from(closing_event(close)));
    }

    /// Returns the last event, to be sent when nothing else waits.
    fn last_piece(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Closing(event) => Some(event),
            other => {
                self.phase = other;
                None
            }
        }
    }
}

impl Body for EventsBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let body = self.get_mut();
        if matches!(body.phase, Phase::Ended) {
            return Poll::Ready(None);
        }
        if matches!(body.phase, Phase::Open)
            && let Poll::Ready(SessionEvent::Close(close)) = body.session.poll(context)
        {
            body.close(&close);
        }
        match body.next_piece().or_else(|| body.last_piece()) {
            Some(piece) => {
                body.session.worker().counters.sent_bytes.add(piece.len() as u64);
                Poll::Ready(Some(Ok(hyper::body::Frame::data(piece))))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for EventsBody {
    fn drop(&mut self) {
        self.guard.become_transport(Transport::Http);
    }
}
