//! History and long polling: what a topic holds, or the next that comes.

use std::cmp::Reverse;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::access::{Action, decide};
use fanwire_core::frame::Frame;
use fanwire_core::publication::Publication;
use fanwire_core::session::Start;
use fanwire_formats::ENTRY;
use fanwire_protocol::{CloseCode, Cursor, Epoch, ErrorCode, Pattern, Position, Since, Topic};
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ResponseBody;
use super::query::Query;
use super::request::KnownRequest;
use crate::engine::{History, Reading};
use crate::hooks::CalloutClient;
use crate::hub::{Keepalive, SessionWriter, Sink};
use crate::problem::Problem;
use crate::sessions::{ConnectionGuard, LiveSession, Worker};
use crate::telemetry::Transport;

/// How many publications one answer has if the client does not say.
const LIMIT_DEFAULT: usize = 100;

/// A wait needs no keep-alive: it is over in a minute.
const NO_KEEPALIVE: Keepalive =
    Keepalive { bytes: b"", interval_ms: u64::MAX / 4, timeout_ms: None, close_timeout_ms: 0 };

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
    for pattern in &patterns {
        let rules = worker.engine.rules();
        decide(&rules, &asked.session.identity, Action::ReadHistory, pattern)?;
        decide(&rules, &asked.session.identity, Action::Subscribe, pattern)?;
    }
    for pattern in &patterns {
        let asker = CalloutClient {
            identity: asked.session.identity.clone(),
            connection: Some(asked.session.connection_info.connection),
        };
        worker.hooks.subscribe(asker, pattern).await?;
    }
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(worker.limits.history_limit_max);
    let mut answer = read_held(worker, &patterns, query, limit).await?;
    if query.wait.is_zero() {
        return Ok(answer.into_response(limit));
    }
    if answer.publications.is_empty() && !answer.gap {
        let waiting = Waiting::begin(worker, asked, &patterns, &mut answer).await?;
        waiting.until(query.wait, limit, &mut answer).await?;
    } else {
        patterns.iter().for_each(|pattern| worker.engine.look_in(pattern));
    }
    Ok(answer.into_response(limit))
}

/// What an answer is made of.
struct Answer {
    publications: Vec<Arc<Publication>>,
    /// What came while the poll waited, after `publications`.
    frames: Vec<Frame>,
    /// Where the reader stands in each plain topic before `publications`; reading backwards, right after the newest.
    positions: Vec<(Topic, Position)>,
    gap: bool,
    /// Whether something may have come to a pattern since the last poll. That is said, but is no reason not to wait: a
    /// loop of polls on a pattern would never hear anything.
    has_missed_pattern: bool,
    more: bool,
}

/// Reads what is held of every plain topic. Patterns have no history.
async fn read_held(
    worker: &Worker,
    patterns: &[Pattern],
    query: &Query,
    limit: usize,
) -> Result<Answer, Problem> {
    let mut answer = Answer {
        publications: Vec::new(),
        frames: Vec::new(),
        positions: Vec::new(),
        gap: false,
        has_missed_pattern: false,
        more: false,
    };
    let bytes_max = worker.limits.outbox_bytes_max / 2;
    for pattern in patterns {
        let Some(topic) = pattern.to_topic() else {
            // What came between two polls of a pattern is not held, and that is said.
            answer.has_missed_pattern |= query.since.is_some();
            continue;
        };
        if query.wait.is_zero() && !worker.engine.keeps_history(&topic) {
            let detail =
                format!("'{topic}' keeps no history: wait for what comes with ?wait=SECONDS, or subscribe");
            return Err(Problem::new(StatusCode::NOT_FOUND, ErrorCode::HistoryOff, detail));
        }
        let is_newest = query.since.is_none() && !query.reverse;
        let reading = match (&query.since, query.reverse) {
            (Some(since), false) => Reading::Forward { since: Some(since.clone()), limit },
            (until, _) => Reading::Backward { until: until.clone(), limit },
        };
        let History { head, mut page } = worker.engine.read_history(&topic, reading, bytes_max).await?;
        if is_newest {
            page.publications.reverse();
        }
        answer.gap |= page.gap;
        answer.more |= page.more && !is_newest;
        answer.positions.push((topic, start_of(&page.publications, head, query.reverse)));
        answer.publications.append(&mut page.publications);
    }
    // Each topic is in order already; among topics, what was accepted earlier comes first, or last in reverse.
    if query.reverse {
        answer.publications.sort_by_key(|publication| Reverse(publication.accepted_us));
    } else {
        answer.publications.sort_by_key(|publication| publication.accepted_us);
    }
    Ok(answer)
}

/// Where a reader stands before the first of `publications`. Reading backwards a position is never included, so that is
/// after it; and where nothing is left to read it is the first of all, before which there never was anything.
fn start_of(publications: &[Arc<Publication>], head: Position, reverse: bool) -> Position {
    match (publications.first(), reverse) {
        (Some(first), false) => Position { offset: first.offset - 1, ..head },
        (Some(first), true) => Position { offset: first.offset + 1, ..head },
        (None, false) => head,
        (None, true) => Position { offset: 1, ..head },
    }
}

impl Answer {
    /// The answer with at most `limit` publications, and the cursor to go on from.
    fn into_response(mut self, limit: usize) -> Response<ResponseBody> {
        if self.publications.len() > limit {
            self.publications.truncate(limit);
            self.more = true;
        }
        let mut body = b"{\"messages\":[".to_vec();
        let held = self.publications.iter().map(|publication| Frame::encode(publication, &ENTRY));
        for (index, frame) in held.chain(self.frames).enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&frame.bytes);
            let known = self.positions.iter_mut().find(|(known, _)| *known == frame.topic);
            if let Some((_, position)) = known {
                frame.advance(position);
            }
        }
        self.gap |= self.has_missed_pattern;
        let end = format!(
            "],\"cursor\":\"{}\",\"gap\":{},\"more\":{}}}",
            cursor_of(&self.positions),
            self.gap,
            self.more
        );
        body.extend_from_slice(end.as_bytes());
        let mut response = Response::new(ResponseBody::full(Bytes::from(body)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn cursor_of(positions: &[(Topic, Position)]) -> Cursor {
    if positions.is_empty() {
        return Cursor::one(Position { epoch: Epoch::FOREIGN, offset: 0 });
    }
    Cursor::many(positions.iter().map(|(topic, position)| (topic, *position)))
}

/// A long poll that waits. Dropping it ends its session.
struct Waiting {
    session: LiveSession,
    guard: Rc<ConnectionGuard>,
}

impl Waiting {
    /// Listens from where `answer` stands.
    async fn begin(
        worker: &Rc<Worker>,
        asked: KnownRequest,
        patterns: &[Pattern],
        answer: &mut Answer,
    ) -> Result<Self, Problem> {
        let sink = Sink::Task(asked.guard.abort().clone());
        // A poll that is told to end, as when its token does, still has an answer to give.
        let close_timeout_ms = worker.limits.close_timeout.as_millis() as u64;
        let keepalive = Keepalive { close_timeout_ms, ..NO_KEEPALIVE };
        let writer = Rc::new(SessionWriter::new(sink, &ENTRY, worker.limits.outbox_bytes_max, keepalive));
        let session = LiveSession::open(worker.clone(), writer, &ENTRY, asked.session);
        asked.guard.become_transport(Transport::Poll);
        let mut waiting = Self { session, guard: asked.guard };
        for pattern in patterns {
            let known = answer.positions.iter().find(|(topic, _)| topic.as_str() == pattern.as_str());
            let start = known.map_or(Start::Now, |(_, position)| Start::Since(Since::Position(*position)));
            let opened = waiting.session.subscribe_allowed(pattern.clone(), &start).await?;
            answer.gap |= !opened.recovered;
            waiting.session.replay(opened.missed);
        }
        Ok(waiting)
    }

    /// Waits until something comes, the session is closed, or the time is up, and moves what came to `answer`.
    ///
    /// # Errors
    /// If somebody disconnects the session and does not want to see it again.
    async fn until(mut self, wait: Duration, limit: usize, answer: &mut Answer) -> Result<(), Problem> {
        let session = &mut self.session;
        let mut close = None;
        let something = poll_fn(|context| {
            // Nothing is published by a poll, so nothing of it can be refused.
            let _no_refusal = session.poll_waiting(context);
            session.answer_question();
            let writer = session.writer();
            writer.remember_task(context);
            let has_gap = answer.gap;
            close = writer.take_close();
            let is_over = !writer.is_empty() || has_gap || close.is_some();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        });
        // That the time is up is an answer like any other: nothing came.
        let _time_is_up = tokio::time::timeout(wait, something).await;
        let writer = self.session.writer();
        while answer.frames.len() < limit
            && let Some(frame) = writer.pop_frame()
        {
            answer.frames.push(frame);
        }
        answer.more |= !writer.is_empty();
        if let Some(close) = &close {
            self.session.ends_by(close.number(), || close.reason.clone());
        }
        match close {
            Some(close) if matches!(close.code, CloseCode::Disconnected | CloseCode::Forbidden) => {
                self.session.worker().counters.close(close.code);
                if close.should_reconnect() {
                    return Ok(());
                }
                Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, close.reason))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.guard.become_transport(Transport::Http);
    }
}
