//! The replies to one session: frames that go into its outbox together, after all requests that were read at once.

use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::publication::Publication;
use fanwire_protocol::{Reply, ServerFrame};

use crate::hub::SessionWriter;
use crate::telemetry::WorkerCounters;

/// The number of bytes that are gathered before they go into the outbox.
const GATHERED_BYTES: usize = 64 * 1024;

/// Appends what a client receives for a frame that answers one of its requests. Returns `false` to have the format write the frame.
/// Dialects whose answers name what was asked for, or say more than the frame, write them with this.
pub(crate) type ReplyWriter = Rc<dyn Fn(&ServerFrame, &mut Vec<u8>) -> bool>;

/// The replies that are gathered for one session.
pub(super) struct Replies {
    writer: Rc<SessionWriter>,
    counters: Arc<WorkerCounters>,
    gathered: Vec<u8>,
    /// Boxed, because most sessions have none.
    reply_writer: Option<Box<ReplyWriter>>,
}

impl Replies {
    /// No replies; they will go into the outbox of `writer`.
    pub(super) fn new(writer: Rc<SessionWriter>, counters: Arc<WorkerCounters>) -> Self {
        Self { writer, counters, gathered: Vec::new(), reply_writer: None }
    }

    /// Has all further frames written by `reply_writer` first.
    pub(super) fn write_by(&mut self, reply_writer: ReplyWriter) {
        self.reply_writer = Some(Box::new(reply_writer));
    }

    /// Adds a frame to the replies.
    pub(super) fn send(&mut self, frame: &ServerFrame) {
        if let ServerFrame::Error { code, .. } = frame {
            self.counters.error(*code);
        }
        let is_written = self.reply_writer.as_ref().is_some_and(|write| write(frame, &mut self.gathered));
        if !is_written {
            self.writer.format().encoder.frame(frame, &mut self.gathered);
        }
    }

    /// Adds the reply to a request, if the request has an `id`.
    pub(super) fn reply(&mut self, id: Option<u32>, make: impl FnOnce() -> Reply) {
        if let Some(id) = id {
            self.send(&ServerFrame::Reply { id, reply: make() });
        }
    }

    /// Adds bytes of the transport's own.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Moves the replies into the outbox.
    pub(super) fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.writer.push_own(self.counters.held.bytes_of(std::mem::take(&mut self.gathered)));
        }
    }

    /// Moves the replies into the outbox, and then what the session missed.
    pub(super) fn replay(&mut self, missed: Vec<Arc<Publication>>) {
        self.flush();
        self.writer.push_replay(missed, &self.counters);
    }

    /// Returns whether so many replies wait that no more requests should be handled until some are written.
    pub(super) fn are_enough(&mut self) -> bool {
        if self.gathered.len() < GATHERED_BYTES {
            return false;
        }
        self.flush();
        self.writer.is_backed_up()
    }
}
