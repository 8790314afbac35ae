//! Server-Sent Events (WHATWG HTML §9.2): a topic or several as one endless answer.
//!
//! A stream over one topic or pattern gets the events that all such streams share. A stream over several topics has a
//! cursor of its own over all of them, and so writes the `id:` of each event itself.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::frame::Frame;
use fanwire_core::session::{Close, Start};
use fanwire_formats::{SSE, SSE_ENVELOPES, SSE_PAYLOADS, sse};
use fanwire_protocol::{CloseCode, Cursor, Epoch, Pattern, Position, Since, Topic};
use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Body;

use super::body::ResponseBody;
use super::query::{Query, resume_point};
use super::request::KnownRequest;
use crate::hub::{Keepalive, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, LiveSession, Opened, Worker};
use crate::telemetry::Transport;

/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u64 = 1000;

/// How many bytes of events a stream that writes its own are gathered into one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// The header in which a browser that comes back says what it saw last.
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
        close_timeout_ms: limits.close_timeout.as_millis() as u64,
    };
    let sink = Sink::Task(asked.guard.abort().clone());
    let writer = Rc::new(SessionWriter::new(sink, format, limits.outbox_bytes_max, keepalive));
    let session = LiveSession::open(worker.clone(), writer, format, asked.session);
    let mut body = EventsBody { session, guard: asked.guard, positions: Vec::new(), is_over: false };
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

/// Returns where a client resumes that reconnects. A header that is not even text is no cursor of this broker, either.
fn last_event_id(headers: &HeaderMap) -> Option<Since> {
    let value = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty())?;
    Some(resume_point(value.to_str().unwrap_or_default()))
}

/// An endless answer. Dropping it ends the session.
pub(crate) struct EventsBody {
    session: LiveSession,
    guard: Rc<ConnectionGuard>,
    /// Where a stream that writes its own events stands in each of its plain topics.
    positions: Vec<(Topic, Position)>,
    is_over: bool,
}

impl EventsBody {
    /// Subscribes to everything and writes what comes first: how long to wait before coming back, what was lost, where
    /// the stream stands, what was missed.
    async fn open(
        &mut self,
        patterns: Vec<Pattern>,
        resumed: Option<Since>,
        query: &Query,
    ) -> Result<(), Problem> {
        let mut head = format!("retry: {RETRY_MS}\n\n").into_bytes();
        let mut missed = Vec::new();
        let mut has_pattern = false;
        for pattern in patterns {
            has_pattern |= pattern.is_wild();
            // A browser that comes back to a pattern cannot resume, but must learn that it has missed something.
            let is_lost = pattern.is_wild() && resumed.is_some();
            let start = match &resumed {
                _ if is_lost => Start::Now,
                Some(resumed) => Start::Since(resumed.clone()),
                None => query.start(),
            };
            let opened = self.session.subscribe(pattern.clone(), &start).await?;
            if is_lost || !opened.recovered {
                sse::gap(&mut head, pattern.as_str(), None);
            }
            self.note_position(&pattern, &opened);
            missed.extend(opened.missed);
        }
        if missed.is_empty() || has_pattern {
            head.extend_from_slice(format!("id: {}\n\n", self.cursor()).as_bytes());
        }
        missed.sort_by_key(|publication| publication.accepted_us);
        self.session.writer().push_own(Bytes::from(head));
        self.session.replay(missed);
        Ok(())
    }

    /// Remembers where the stream stands in the topic before the first event: right before what was missed.
    fn note_position(&mut self, pattern: &Pattern, opened: &Opened) {
        if let (Some(topic), Some(head)) = (pattern.to_topic(), opened.head) {
            let before_missed =
                opened.missed.first().map(|first| Position { offset: first.offset - 1, ..head });
            self.positions.push((topic, before_missed.unwrap_or(head)));
        }
    }

    /// Where the stream stands. A stream over patterns only stands nowhere: whoever comes back with that position is
    /// told of a gap.
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

    /// The next piece to send, if there is one.
    fn next_piece(&mut self) -> Option<Bytes> {
        if let Some(close) = self.session.writer().take_close() {
            return Some(self.disconnect_report(&close));
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

    /// The last event, after which the stream ends.
    fn disconnect_report(&mut self, close: &Close) -> Bytes {
        self.is_over = true;
        self.session.ends_by(close.number(), || close.reason.clone());
        self.session.worker().counters.close(close.code);
        self.session.writer().begin_closing(close.code == CloseCode::TooSlow);
        let mut text = Vec::new();
        while let Some(chunk) = self.session.writer().pop_chunk() {
            text.extend_from_slice(&chunk);
        }
        let data = serde_json::json!({
            "code": close.number(),
            "reason": close.reason,
            "reconnect": close.should_reconnect(),
            "after_ms": close.after_ms,
            "error": close.error.map(|code| code.as_str()),
        });
        let retry_ms = close.after_ms.unwrap_or(RETRY_MS);
        text.extend_from_slice(format!("retry: {retry_ms}\nevent: closing\ndata: {data}\n\n").as_bytes());
        Bytes::from(text)
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
        if body.is_over {
            return Poll::Ready(None);
        }
        body.session.writer().remember_task(context);
        // Nothing is published over a stream, so nothing of it can be refused.
        let _no_refusal = body.session.poll_waiting(context);
        body.session.answer_question();
        match body.next_piece() {
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
        let unsaid = self.session.writer().take_close().filter(|_| !self.is_over);
        if let Some(close) = &unsaid {
            self.session.ends_by(close.number(), || close.reason.clone());
        }
        let counters = &self.session.worker().counters;
        match unsaid {
            _ if self.is_over => {}
            // It was to be closed, but nothing could be written to it any more.
            Some(close) => counters.close(close.code),
            None => counters.closes_by_client.add(1),
        }
        self.guard.become_transport(Transport::Http);
    }
}
