//! History and long polling: what a topic holds, or the next that comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use fanwire_core::access::{Action, decide};
use fanwire_core::session::Start;
use fanwire_formats::ENTRY;
use fanwire_protocol::{CloseCode, ErrorCode, Pattern, Position, Since, Topic};
use http::{HeaderValue, Response, StatusCode, header};

use super::answer::{Answer, Content};
use super::body::ResponseBody;
use super::merged_history::{Direction, MergedHistory};
use super::query::Query;
use super::request::KnownRequest;
use super::write_watch::WriteWatch;
use crate::hooks::CalloutClient;
use crate::hub::{Keepalive, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, NewSession, SessionEvent, SessionRuntime, Worker};
use crate::telemetry::Transport;

/// The default number of publications of one answer.
const LIMIT_DEFAULT: usize = 100;

/// The most presence events in one answer.
const PRESENCE_EVENTS_MAX: usize = 1000;

/// The beginning of the entry that reports skipped publications.
const LAGGED: &[u8] = br#"{"type":"lagged""#;

/// A wait needs no keep-alive: it is over in a minute.
const NO_KEEPALIVE: Keepalive = Keepalive {
    bytes: b"",
    interval_ms: u64::MAX / 4,
    timeout_ms: None,
    write_timeout_ms: u64::MAX,
    close_timeout_ms: 0,
};

/// Answers with what there is, or waits for what comes.
///
/// # Errors
/// If the client may not read one of the topics, or the topic keeps no history and no wait is asked for.
pub(super) async fn poll(
    worker: &Rc<Worker>,
    asked: KnownRequest,
    patterns: Vec<Pattern>,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    check_direction(&patterns, query)?;
    check_access(worker, &asked.session, &patterns).await?;
    let limit = query.limit.or(query.last).unwrap_or(LIMIT_DEFAULT.min(worker.limits.history_limit_max));
    let (guard, expires_ms) = (asked.guard.clone(), asked.session.identity.expires_ms());
    let mut answer = read_held(worker, &patterns, query, limit).await?;
    if !query.wait.is_zero() && !answer.has_messages() && !answer.gap {
        let positions = answer.positions();
        let waiting = Waiting::begin(worker, asked, &patterns, &positions).await?;
        answer = waiting.until(query.wait, limit, positions).await?;
    } else if !query.wait.is_zero() {
        // An observer causes no event.
        patterns.iter().filter(|_| !query.observe).for_each(|pattern| worker.engine.report_poll(pattern));
    }
    // A loop of polls on a pattern would never receive anything if what may have come between two of them ended the wait.
    answer.gap |= query.start_point().is_some() && patterns.iter().any(Pattern::is_wild);
    answer.ends_at_ms = expires_ms;
    respond(worker, &guard, answer).await
}

/// Refuses to read the newest publications of a pattern, or to read backwards: a pattern holds none.
fn check_direction(patterns: &[Pattern], query: &Query) -> Result<(), Problem> {
    let reads_past = query.last.is_some() || query.reverse;
    match patterns.iter().find(|pattern| reads_past && pattern.is_wild()) {
        Some(pattern) => {
            let detail = format!("'{pattern}' is a pattern, which has no history: read each topic by itself");
            Err(Problem::new(StatusCode::BAD_REQUEST, ErrorCode::BadTopic, detail))
        }
        None => Ok(()),
    }
}

/// Checks that a client may read and subscribe to all of `patterns`.
///
/// # Errors
/// Says what is refused.
pub(super) async fn check_access(
    worker: &Worker,
    session: &NewSession,
    patterns: &[Pattern],
) -> Result<(), Problem> {
    for pattern in patterns {
        let rules = worker.engine.rules();
        decide(&rules, &session.identity, Action::ReadHistory, pattern)?;
        decide(&rules, &session.identity, Action::Subscribe, pattern)?;
    }
    let identity = session.identity.clone();
    let client = CalloutClient { identity, connection: Some(session.connection_info.connection) };
    worker.hooks.subscribe_all(&client, patterns.iter()).await?;
    Ok(())
}

/// Returns the answer; if it is long, it is made as the socket takes it.
async fn respond(
    worker: &Rc<Worker>,
    guard: &Rc<ConnectionGuard>,
    answer: Answer,
) -> Result<Response<ResponseBody>, Problem> {
    let (counters, timeout) = (&worker.counters, worker.limits.write_timeout);
    let watch =
        || WriteWatch::begin(timeout, guard.abort().clone(), worker.hub.memory_short(), counters.clone());
    let mut response = Response::new(answer.into_body(counters, watch).await?);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Returns the encoded bytes that one answer may have, however many topics it is about.
fn answer_bytes_max(worker: &Worker) -> usize {
    worker.limits.outbox_bytes_max / 2
}

/// Begins to read what is held of every plain topic. Patterns have no history.
async fn read_held(
    worker: &Worker,
    patterns: &[Pattern],
    query: &Query,
    limit: usize,
) -> Result<Answer, Problem> {
    let topics: Vec<Topic> = patterns.iter().filter_map(Pattern::to_topic).collect();
    if query.wait.is_zero()
        && let Some(topic) = topics.iter().find(|topic| !worker.engine.keeps_history(topic))
    {
        let detail =
            format!("'{topic}' keeps no history: wait for what comes with ?wait=SECONDS, or subscribe");
        return Err(Problem::new(StatusCode::NOT_FOUND, ErrorCode::HistoryOff, detail));
    }
    let (engine, bytes_max) = (&worker.engine, answer_bytes_max(worker));
    if query.start_point().is_none() && !query.reverse {
        let newest = MergedHistory::newest(engine, topics, limit, bytes_max).await?;
        let mut answer = Answer::new(Content::Held(newest.history), newest.count, usize::MAX);
        (answer.more, answer.before) = (newest.is_cut, Some(newest.before));
        return Ok(answer);
    }
    let direction = if query.reverse { Direction::Backward } else { Direction::Forward };
    let history = MergedHistory::open(engine, topics, query.start_point(), direction).await?;
    let mut answer = Answer::new(Content::Held(history), limit, bytes_max);
    answer.gap = answer.has_gap();
    Ok(answer)
}

/// A long poll that waits. Dropping it ends its session.
struct Waiting {
    session: SessionRuntime,
    guard: Rc<ConnectionGuard>,
    /// Whether something before the wait is no longer held.
    gap: bool,
}

impl Waiting {
    /// Subscribes from `positions` on, the reader's position in each plain topic.
    async fn begin(
        worker: &Rc<Worker>,
        asked: KnownRequest,
        patterns: &[Pattern],
        positions: &[(Topic, Position)],
    ) -> Result<Self, Problem> {
        let sink = Sink::Task(asked.guard.abort().clone());
        // A poll whose session is closed, as when its token expires, still answers.
        let close_timeout_ms = worker.limits.close_timeout.as_millis() as u64;
        let keepalive = Keepalive { close_timeout_ms, ..NO_KEEPALIVE };
        let writer = Rc::new(SessionWriter::new(sink, &ENTRY, worker.limits.outbox_bytes_max, keepalive));
        let session = SessionRuntime::open(worker.clone(), writer, asked.session);
        asked.guard.become_transport(Transport::Poll);
        let mut waiting = Self { session, guard: asked.guard, gap: false };
        let start_of = |pattern: &Pattern| {
            let known = positions.iter().find(|(topic, _)| topic.as_str() == pattern.as_str());
            known.map_or(Start::Now, |(_, position)| Start::Since(Since::Position(*position)))
        };
        let wanted: Vec<_> = patterns.iter().map(|pattern| (pattern.clone(), start_of(pattern))).collect();
        let subscribed = waiting.session.subscribe_authorized(&wanted).await?;
        waiting.gap = subscribed.iter().any(|subscribed| !subscribed.recovered);
        Ok(waiting)
    }

    /// Waits until something comes, the session is closed, or the time is up, and returns the answer.
    ///
    /// # Errors
    /// If the session is disconnected and is not to return.
    async fn until(
        mut self,
        wait: Duration,
        limit: usize,
        positions: Vec<(Topic, Position)>,
    ) -> Result<Answer, Problem> {
        let (session, has_gap) = (&mut self.session, self.gap);
        let mut close = None;
        let something = poll_fn(|context| {
            if let Poll::Ready(SessionEvent::Close(requested)) = session.poll(context) {
                close = Some(requested);
            }
            let is_over = !session.writer().is_empty() || has_gap || close.is_some();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        });
        // An answer without messages says that the time is up.
        let _time_is_up = tokio::time::timeout(wait, something).await;
        let answer = self.take_answer(limit, positions);
        let Some(close) = close else {
            self.session.complete();
            return Ok(answer);
        };
        self.session.close(&close);
        let is_refused = matches!(close.code, CloseCode::Disconnected | CloseCode::Forbidden);
        if is_refused && !close.should_reconnect() {
            return Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, close.reason));
        }
        Ok(answer)
    }

    /// Moves what has come into an answer.
    fn take_answer(&self, limit: usize, positions: Vec<(Topic, Position)>) -> Answer {
        let writer = self.session.writer();
        let bytes_max = answer_bytes_max(self.session.worker());
        let (mut frames, mut presence) = (VecDeque::new(), Vec::new());
        let (mut bytes, mut gap) = (0, self.gap);
        while frames.len() < limit && presence.len() < PRESENCE_EVENTS_MAX && bytes < bytes_max {
            if let Some(frame) = writer.pop_frame() {
                bytes += frame.bytes.len();
                frames.push_back(frame);
            } else if let Some(chunk) = writer.pop_chunk() {
                // What is no message is a presence event, or reports that this session was too slow.
                if chunk.starts_with(LAGGED) {
                    gap = true;
                } else {
                    bytes += chunk.len();
                    presence.push(chunk);
                }
            } else {
                break;
            }
        }
        let mut answer = Answer::new(Content::Live(frames, positions), limit, usize::MAX);
        (answer.gap, answer.presence, answer.more) = (gap, presence, !writer.is_empty());
        answer
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.guard.become_transport(Transport::Http);
    }
}
