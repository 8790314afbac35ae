//! What the application orders a session to do: begin a subscription, end one, or hear something said to it alone.
//!
//! A session's task owns it, so orders wait until the task comes by. Grants are not asked, for the application decides; limits
//! hold as for every other subscription.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::access::{DIRECT, Refusal};
use fanwire_core::fanout::Delivery;
use fanwire_core::identity::{Grants, Holder};
use fanwire_core::presence::Departure;
use fanwire_core::publication::Publication;
use fanwire_core::session::{Close, Start};
use fanwire_protocol::{CloseCode, ErrorCode, Message, Pattern, Payload, ServerFrame, Topic};
use tokio::sync::oneshot;

use super::handle::SessionHandle;
use super::work::Reading as Work;
use super::{LiveSession, Opened};
use crate::clock;
use crate::telemetry::WorkerCounters;

/// How many orders may wait for one session.
const COMMANDS_MAX: usize = 64;

/// Something that a session is to do.
pub(crate) enum SessionCommand {
    /// Begin a subscription, unless there is one.
    Subscribe {
        /// To what.
        pattern: Pattern,
        /// Where it begins.
        start: Start,
    },
    /// End a subscription.
    Unsubscribe {
        /// To what.
        pattern: Pattern,
        /// Why, for the client.
        reason: String,
    },
}

/// Told what became of an order; dropped unused if the session ended before.
type Told = oneshot::Sender<Result<(), Refusal>>;

/// What waits to be done by one session.
#[derive(Default)]
pub(crate) struct CommandQueue(RefCell<VecDeque<(SessionCommand, Told)>>);

/// For whom a subscription is begun, who is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initiator {
    /// The client, by the request of this `id`.
    Client(Option<u32>),
    /// The application.
    Application,
}

impl CommandQueue {
    fn push(&self, command: SessionCommand, told: Told) -> Result<(), Refusal> {
        let mut waiting = self.0.borrow_mut();
        if waiting.len() >= COMMANDS_MAX {
            let message = format!("{COMMANDS_MAX} commands wait for this session already: try again later");
            return Err(Refusal { code: ErrorCode::Unavailable, message });
        }
        waiting.push_back((command, told));
        Ok(())
    }

    fn pop(&self) -> Option<(SessionCommand, Told)> {
        self.0.borrow_mut().pop_front()
    }
}

impl SessionHandle {
    /// Gives the session an order, and returns where the outcome is told.
    ///
    /// What a session hears that has no frames is named by its URL: it can be given no other subscription, and if the one it
    /// has is to end, so does the session.
    pub(crate) fn command(
        self: &Rc<Self>,
        command: SessionCommand,
    ) -> oneshot::Receiver<Result<(), Refusal>> {
        let (told, outcome) = oneshot::channel();
        let refused = match command {
            command if self.writer().format().has_frames => {
                match self.commands().push(command, told) {
                    Ok(()) => {
                        self.writer().wake();
                        return outcome;
                    }
                    // The sender went with the order.
                    Err(refusal) => Err(refusal),
                }
            }
            SessionCommand::Subscribe { .. } => Err(Refusal {
                code: ErrorCode::Unavailable,
                message: format!(
                    "this session is connected over {}, and hears what its URL names: only sessions at /ws can be \
                     subscribed to something else",
                    self.transport().label()
                ),
            }),
            SessionCommand::Unsubscribe { pattern, .. } if !self.is_subscribed(&pattern) => {
                Err(not_subscribed(&pattern))
            }
            SessionCommand::Unsubscribe { reason, .. } => {
                self.disconnect(&Close::new(CloseCode::Forbidden, reason));
                Ok(())
            }
        };
        let (told, outcome) = oneshot::channel();
        // The other end is right here.
        let _heard = told.send(refused);
        outcome
    }

    /// Says something to this session alone, as a message of [`DIRECT`]. `false` if it cannot be told apart from a publication
    /// there, or would be lost between two polls, or the session is about to end.
    pub(crate) fn send_direct(&self, message: &Arc<Publication>, counters: &WorkerCounters) -> bool {
        let frame = ServerFrame::Message(message.message.clone());
        let mut bytes = Vec::new();
        self.writer().format().encoder.frame(&frame, &mut bytes);
        if bytes.is_empty() {
            return false;
        }
        self.writer().push_direct(Delivery::Chunk(Bytes::from(bytes), 1), counters)
    }
}

/// What is said to sessions alone, as the publication that it is for them. It has no position: it is held nowhere.
pub(crate) fn direct_message(payload: Payload) -> Arc<Publication> {
    let topic: Topic = DIRECT.parse().expect("it keeps the rules of names");
    let message = Message { topic, payload, position: None, ts: None, from: None };
    Arc::new(Publication { message, offset: 0, accepted_us: clock::monotonic_us() })
}

fn not_subscribed(pattern: &Pattern) -> Refusal {
    let message = format!("this session is not subscribed to '{pattern}'");
    Refusal { code: ErrorCode::NotSubscribed, message }
}

impl LiveSession {
    /// Does what the application has ordered meanwhile. Not while something is being decided, which may be the same.
    pub(super) fn run_commands(&mut self) {
        while !self.awaits_decision()
            && let Some((command, told)) = self.handle.commands().pop()
        {
            let outcome = match command {
                SessionCommand::Subscribe { pattern, start } => self.subscribe_by_command(pattern, start),
                SessionCommand::Unsubscribe { pattern, reason } => {
                    self.unsubscribe_by_command(pattern, &reason)
                }
            };
            // Whoever ordered it may have given up waiting.
            let _gone = told.send(outcome);
            self.flush_replies();
        }
    }

    fn subscribe_by_command(&mut self, pattern: Pattern, start: Start) -> Result<(), Refusal> {
        if self.session.owes_credentials() {
            let message = "this session has not said who it is yet".to_owned();
            return Err(Refusal { code: ErrorCode::Unauthorized, message });
        }
        if self.session.is_subscribed(&pattern) {
            return Ok(());
        }
        {
            let rules = self.worker.engine.rules();
            self.session.check_start(&pattern, &start, self.worker.terms(&rules))?;
        }
        match self.join(&pattern, &start) {
            Some(opened) => self.announce(Initiator::Application, pattern.clone(), opened),
            None => {
                let topic = self.hold_place(&pattern);
                let engine = self.worker.engine.clone();
                self.read(Work::resume(engine, Initiator::Application, topic, start));
            }
        }
        // As if a token for this one subscription had been shown, so that it outlives the session's own next token.
        let grants = Grants { publish: Vec::new(), subscribe: vec![pattern.clone()] };
        self.note_permit(&pattern, Some(Arc::new(Holder { grants, ..Holder::default() })));
        Ok(())
    }

    fn unsubscribe_by_command(&mut self, pattern: Pattern, reason: &str) -> Result<(), Refusal> {
        let Some(key) = self.session.unsubscribed(&pattern) else { return Err(not_subscribed(&pattern)) };
        self.leave(&pattern, key, Departure::Left);
        self.send(&ServerFrame::Unsubscribed {
            pattern,
            code: ErrorCode::Forbidden,
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// Tells whoever asked for a subscription that there is one.
    pub(super) fn announce(&mut self, initiator: Initiator, pattern: Pattern, opened: Opened) {
        let Opened { head: position, recovered, missed } = opened;
        match initiator {
            Initiator::Client(id) => self.reply_subscribed(id, pattern, position, recovered),
            Initiator::Application => {
                self.send(&ServerFrame::Subscribed { pattern, position, recovered });
            }
        }
        self.replay(missed);
    }

    /// Tells whoever asked for a subscription that there is none after all.
    pub(super) fn refuse_subscription(&mut self, initiator: Initiator, pattern: Pattern, refusal: Refusal) {
        let Refusal { code, message } = refusal;
        match initiator {
            Initiator::Client(id) => self.send(&ServerFrame::Error { id, code, message }),
            Initiator::Application => {
                self.send(&ServerFrame::Unsubscribed { pattern, code, reason: message });
            }
        }
    }
}
