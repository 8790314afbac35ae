//! The answer of history and long polling, made piece by piece as the socket takes it.
//!
//! What counts against the bound of an answer is its encoded size. When the bound is reached the answer ends with `more` and a
//! cursor that says where to continue.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::frame::Frame;
use fanwire_core::publication::Publication;
use fanwire_formats::ENTRY;
use fanwire_protocol::{Cursor, Epoch, Position, Topic};
use hyper::body::Body;

use super::body::ResponseBody;
use super::long_message::{LongMessage, PART_BYTES};
use super::merged_history::MergedHistory;
use super::write_watch::WriteWatch;
use crate::clock;
use crate::telemetry::WorkerCounters;

/// About how many bytes are encoded at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer on its way.
pub(super) struct Answer {
    content: Content,
    /// The number of messages that may still be added.
    messages_left: usize,
    /// The number of encoded bytes that may still be written before the last message.
    bytes_left: usize,
    /// The message that is being written.
    unfinished: Option<Unfinished>,
    has_begun: bool,
    /// The presence events, each encoded.
    pub(super) presence: Vec<Bytes>,
    /// Whether something in the range is no longer held.
    pub(super) gap: bool,
    /// Whether the answer was cut.
    pub(super) more: bool,
    /// The cursor to continue backwards from the oldest message, if the request had no cursor.
    pub(super) before: Option<Vec<(Topic, Position)>>,
    /// The time at which the token of the client expires, in milliseconds since 1970: the answer ends then.
    pub(super) ends_at_ms: Option<u64>,
}

/// The source of the messages.
pub(super) enum Content {
    /// Publications that come from history.
    Held(MergedHistory),
    /// They came while the poll waited; with the reader's position in each topic.
    Live(VecDeque<Frame>, Vec<(Topic, Position)>),
}

/// The rest of a message.
enum Unfinished {
    /// Entries that are encoded bytes already.
    Encoded(Bytes),
    /// A message that is encoded part by part, and the publication, whose memory counts as long as its payload is kept.
    Long { message: LongMessage, _publication: Arc<Publication> },
}

impl Answer {
    /// An answer of at most `messages_max` messages and about `bytes_max` encoded bytes.
    pub(super) fn new(content: Content, messages_max: usize, bytes_max: usize) -> Self {
        Self {
            content,
            messages_left: messages_max,
            bytes_left: bytes_max,
            unfinished: None,
            has_begun: false,
            presence: Vec::new(),
            gap: false,
            more: false,
            before: None,
            ends_at_ms: None,
        }
    }

    /// Encodes the next piece. Returns whether it is the last.
    ///
    /// # Errors
    /// If history cannot be read.
    pub(super) async fn next_piece(&mut self) -> Result<(Vec<u8>, bool), Refusal> {
        let mut piece = Vec::new();
        if !self.has_begun {
            piece.extend_from_slice(b"{\"messages\":[");
        }
        loop {
            self.write_unfinished(&mut piece);
            if piece.len() >= PIECE_BYTES {
                break;
            }
            let is_cut = self.has_begun && (self.bytes_left <= piece.len() || self.is_expired());
            if self.messages_left == 0 || is_cut {
                self.more |= self.has_more();
                return Ok((self.ended(piece), true));
            }
            match self.next_message().await {
                Ok(true) => {}
                Ok(false) => return Ok((self.ended(piece), true)),
                // What has been read is given; the next request is refused if the cause lasts.
                Err(_) if self.has_begun => {
                    self.more = true;
                    return Ok((self.ended(piece), true));
                }
                Err(refusal) => return Err(refusal),
            }
            if std::mem::replace(&mut self.has_begun, true) {
                piece.push(b',');
            }
            self.messages_left -= 1;
        }
        self.bytes_left = self.bytes_left.saturating_sub(piece.len());
        Ok((piece, false))
    }

    fn is_expired(&self) -> bool {
        self.ends_at_ms.is_some_and(|ends_at_ms| ends_at_ms <= clock::unix_ms())
    }

    /// Returns whether there is a message to write.
    pub(super) fn has_messages(&self) -> bool {
        self.has_more()
    }

    /// Returns whether something in the range that was read so far is no longer held.
    pub(super) fn has_gap(&self) -> bool {
        matches!(&self.content, Content::Held(history) if history.has_gap())
    }

    /// Returns the reader's position in each topic.
    pub(super) fn positions(&self) -> Vec<(Topic, Position)> {
        match &self.content {
            Content::Held(history) => history.positions(),
            Content::Live(_, positions) => positions.clone(),
        }
    }

    fn has_more(&self) -> bool {
        match &self.content {
            Content::Held(history) => history.has_more(),
            Content::Live(frames, _) => !frames.is_empty(),
        }
    }

    /// Takes the next message to be written, if there is one.
    async fn next_message(&mut self) -> Result<bool, Refusal> {
        let next = match &mut self.content {
            Content::Held(history) => {
                history.next().await?.map(|(_, publication)| Unfinished::of(publication))
            }
            Content::Live(frames, positions) => frames.pop_front().map(|frame| {
                if let Some((_, at)) = positions.iter_mut().find(|(topic, _)| *topic == frame.topic) {
                    frame.advance(at);
                }
                Unfinished::Encoded(frame.bytes)
            }),
        };
        self.unfinished = next;
        Ok(self.unfinished.is_some())
    }

    /// Appends what is left of a message, as far as the piece has room.
    fn write_unfinished(&mut self, piece: &mut Vec<u8>) {
        while let Some(unfinished) = &mut self.unfinished
            && piece.len() < PIECE_BYTES
        {
            if unfinished.write_part(piece) {
                self.unfinished = None;
            }
        }
    }

    /// Appends everything after the messages.
    fn ended(&mut self, mut piece: Vec<u8>) -> Vec<u8> {
        piece.push(b']');
        if !self.presence.is_empty() {
            piece.extend_from_slice(b",\"presence\":[");
            piece.extend_from_slice(&self.presence.join(&b','));
            piece.push(b']');
        }
        self.gap |= self.has_gap();
        let positions = self.positions();
        let end =
            format!(",\"cursor\":\"{}\",\"gap\":{},\"more\":{}", cursor(&positions), self.gap, self.more);
        piece.extend_from_slice(end.as_bytes());
        if let Some(before) = self.before.as_ref().filter(|_| self.more) {
            piece.extend_from_slice(format!(",\"before\":\"{}\"", cursor(before)).as_bytes());
        }
        piece.push(b'}');
        piece
    }
}

/// Returns the cursor of a reader. A reader of patterns only stands nowhere: it receives a gap when it continues.
pub(super) fn cursor(positions: &[(Topic, Position)]) -> Cursor {
    if positions.is_empty() {
        return Cursor::one(Position { epoch: Epoch::FOREIGN, offset: 0 });
    }
    Cursor::many(positions.iter().map(|(topic, position)| (topic, *position)))
}

impl Unfinished {
    fn of(publication: Arc<Publication>) -> Self {
        if publication.message.payload.len() > PART_BYTES {
            let message = LongMessage::new(&publication.message);
            return Self::Long { message, _publication: publication };
        }
        Self::Encoded(Frame::encode(&publication, &ENTRY).bytes)
    }

    /// Appends one part. Returns whether it was the last.
    fn write_part(&mut self, piece: &mut Vec<u8>) -> bool {
        match self {
            Self::Encoded(bytes) => {
                piece.extend_from_slice(&bytes.split_to(bytes.len().min(PIECE_BYTES)));
                bytes.is_empty()
            }
            Self::Long { message, .. } => message.write_part(piece),
        }
    }
}

/// The state of an answer: the piece being made, which owns the answer meanwhile.
type Step = Pin<Box<dyn Future<Output = (Answer, Vec<u8>, bool)>>>;

/// The body of an answer that does not fit into one piece.
struct AnswerBody {
    /// The first piece, until it is taken.
    first: Option<Bytes>,
    /// `None` when the last piece has been taken.
    step: Option<Step>,
    watch: WriteWatch,
    /// The pieces count in the memory that is held for clients.
    counters: Arc<WorkerCounters>,
}

impl Answer {
    /// Returns the body of the answer: whole if it fits into one piece, else streamed. `watch` is called in the second case.
    ///
    /// # Errors
    /// If history cannot be read.
    pub(super) async fn into_body(
        mut self,
        counters: &Arc<WorkerCounters>,
        watch: impl FnOnce() -> WriteWatch,
    ) -> Result<ResponseBody, Refusal> {
        let (first, is_last) = self.next_piece().await?;
        let first = counters.held.bytes_of(first);
        if is_last {
            return Ok(ResponseBody::full(first));
        }
        Ok(ResponseBody::streamed(AnswerBody {
            first: Some(first),
            step: Some(step(self)),
            watch: watch(),
            counters: counters.clone(),
        }))
    }
}

fn step(mut answer: Answer) -> Step {
    Box::pin(async move {
        // An error after the first piece ends the answer early, and `more` says so.
        let (piece, is_last) = answer.next_piece().await.unwrap_or_default();
        (answer, piece, is_last)
    })
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let body = self.get_mut();
        body.watch.progressed();
        if let Some(first) = body.first.take() {
            return Poll::Ready(Some(Ok(hyper::body::Frame::data(first))));
        }
        let Some(running) = &mut body.step else { return Poll::Ready(None) };
        let (answer, piece, is_last) = ready!(running.as_mut().poll(context));
        body.step = (!is_last).then(|| step(answer));
        Poll::Ready(Some(Ok(hyper::body::Frame::data(body.counters.held.bytes_of(piece)))))
    }
}
