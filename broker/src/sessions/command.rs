//! Commands of the application to one session: begin a subscription, or end one.
//!
//! A session's task owns it, so commands wait in a queue until the task runs. No callout is made and no grant is needed, because the
//! application decides; limits hold as for every other subscription. This file owns the queue and does not know how a session runs.

use std::cell::RefCell;
use std::collections::VecDeque;

use fanwire_core::access::Refusal;
use fanwire_core::session::Start;
use fanwire_protocol::{ErrorCode, Pattern};
use tokio::sync::oneshot;

/// The maximum number of commands that wait for one session.
const COMMANDS_MAX: usize = 64;

/// A command to a session.
pub(crate) enum SessionCommand {
    /// Begin a subscription, unless the session has it.
    Subscribe {
        /// The topic or pattern.
        pattern: Pattern,
        /// The start point of the subscription.
        start: Start,
    },
    /// End one subscription of the session.
    Unsubscribe {
        /// The topic or pattern.
        pattern: Pattern,
        /// The reason that the client receives.
        reason: String,
    },
}

/// Receives the outcome of a command. It is dropped unused if the session ends before.
pub(super) type CommandReply = oneshot::Sender<Result<(), Refusal>>;

/// The commands that wait for one session.
#[derive(Default)]
pub(super) struct CommandQueue(RefCell<VecDeque<(SessionCommand, CommandReply)>>);

/// The party that has requested a subscription, and receives its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestedBy {
    /// The client, by the request with this `id`.
    Client(Option<u32>),
    /// The application, over the server API.
    Application,
}

impl CommandQueue {
    /// Adds a command.
    ///
    /// # Errors
    /// If [`COMMANDS_MAX`] commands wait.
    pub(super) fn push(&self, command: SessionCommand, reply: CommandReply) -> Result<(), Refusal> {
        let mut waiting = self.0.borrow_mut();
        if waiting.len() >= COMMANDS_MAX {
            let message = format!("{COMMANDS_MAX} commands wait for this session already: try again later");
            return Err(Refusal { code: ErrorCode::Unavailable, message });
        }
        waiting.push_back((command, reply));
        Ok(())
    }

    /// Takes the oldest command.
    pub(super) fn pop(&self) -> Option<(SessionCommand, CommandReply)> {
        self.0.borrow_mut().pop_front()
    }
}
