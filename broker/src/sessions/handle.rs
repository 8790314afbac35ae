//! Session handles: a worker's view of each of its sessions, and the way to reach one.
//!
//! A handle is shared between the session's task and the worker's registry, on one thread. It holds the core's [`Session`], which is the
//! only place where the user, the name and the subscriptions of a session are kept. It decides nothing and does not know how a session runs.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::access::{DIRECT, Refusal};
use fanwire_core::fanout::Delivery;
use fanwire_core::identity::Identity;
use fanwire_core::session::{Close, Session};
use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{CloseCode, ErrorCode, Message, Pattern, Payload, ServerFrame, Topic};
use tokio::sync::oneshot;

use super::command::{CommandQueue, SessionCommand};
use crate::clock;
use crate::hub::SessionWriter;
use crate::telemetry::{Transport, WorkerCounters};

/// A connection over which a session is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionInfo {
    /// The broker's number for it.
    pub(crate) connection: u64,
    /// The client's address: that of the socket, or the one that a trusted proxy has named.
    pub(crate) client: IpAddr,
}

/// Stands for no key. No worker has that many sessions.
const NO_KEY: SessionKey = SessionKey(u32::MAX);

/// One session as its worker sees it.
pub(crate) struct SessionHandle {
    session: RefCell<Session>,
    client: IpAddr,
    transport: Transport,
    opened_ms: u64,
    commands: CommandQueue,
    writer: Rc<SessionWriter>,
    /// The key of the session in its worker, or [`NO_KEY`] until the hub knows it.
    key: Cell<SessionKey>,
}

impl SessionHandle {
    /// The handle of a session that begins now.
    pub(super) fn new(
        session: Session,
        client: IpAddr,
        transport: Transport,
        writer: Rc<SessionWriter>,
    ) -> Self {
        Self {
            session: RefCell::new(session),
            client,
            transport,
            opened_ms: clock::unix_ms(),
            commands: CommandQueue::default(),
            writer,
            key: Cell::new(NO_KEY),
        }
    }

    /// Notes the key of the session in its worker.
    pub(super) fn set_key(&self, key: SessionKey) {
        self.key.set(key);
    }

    /// Returns the key of the session in its worker, by which a publication can leave it out.
    pub(crate) fn key(&self) -> SessionKey {
        self.key.get()
    }

    /// Returns the core's session. It must not be held across a call that may change it.
    pub(super) fn session(&self) -> Ref<'_, Session> {
        self.session.borrow()
    }

    /// Returns the core's session, to change it. It must not be held across a call that may read it.
    pub(super) fn session_mut(&self) -> RefMut<'_, Session> {
        self.session.borrow_mut()
    }

    /// Returns the broker's number for the connection.
    pub(crate) fn connection(&self) -> u64 {
        self.session().connection_number()
    }

    /// Returns the client's address.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Returns the transport of the session.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns when the session began, in milliseconds since 1970.
    pub(crate) fn opened_ms(&self) -> u64 {
        self.opened_ms
    }

    /// Returns the user, if known.
    pub(crate) fn user(&self) -> Option<Arc<str>> {
        self.session().identity().user().cloned()
    }

    /// Returns whether the session was admitted by the same app as `guest`.
    pub(crate) fn rests_on(&self, guest: &Identity) -> bool {
        let voucher = |identity: &Identity| match identity {
            Identity::Holder(holder) => holder.voucher,
            Identity::Anonymous => None,
        };
        let own = voucher(self.session().identity());
        own.is_some() && own == voucher(guest)
    }

    /// Returns the name that the client gave itself.
    pub(crate) fn name(&self) -> Option<String> {
        self.session().name().map(str::to_owned)
    }

    /// Returns the subscriptions, in no order.
    pub(crate) fn subscriptions(&self) -> Vec<Pattern> {
        self.session().subscriptions().map(|(pattern, _)| pattern.clone()).collect()
    }

    /// Returns whether the session is subscribed to `topic` itself or by a pattern.
    pub(crate) fn listens_to(&self, topic: &Topic) -> bool {
        self.session().subscriptions().any(|(pattern, _)| pattern.matches(topic))
    }

    /// Returns the number of subscriptions.
    pub(crate) fn subscription_count(&self) -> usize {
        self.session().subscriptions().len()
    }

    /// Returns whether the session is subscribed to exactly this.
    pub(crate) fn is_subscribed(&self, pattern: &Pattern) -> bool {
        self.session().is_subscribed(pattern)
    }

    /// Returns the session's writer.
    pub(crate) fn writer(&self) -> &Rc<SessionWriter> {
        &self.writer
    }

    /// Returns whether the application can subscribe the session, which needs frames to announce that.
    pub(crate) fn can_be_subscribed(&self) -> bool {
        self.writer.format().has_frames
    }

    /// Returns the commands that wait.
    pub(super) fn commands(&self) -> &CommandQueue {
        &self.commands
    }

    /// Requests that the session is closed. Returns `false` if it is being closed already.
    pub(crate) fn disconnect(&self, close: &Close) -> bool {
        let is_open = !self.writer.is_closing();
        self.writer.request_close(close.clone());
        is_open
    }

    /// Sends a command to the session, and returns the channel for its outcome.
    ///
    /// The subscriptions of a session without frames are named by its URL. It cannot be given others, and the end of one that it has
    /// ends the session.
    pub(crate) fn command(&self, command: SessionCommand) -> oneshot::Receiver<Result<(), Refusal>> {
        let (reply, outcome) = oneshot::channel();
        let answer = match command {
            command if self.can_be_subscribed() => match self.commands.push(command, reply) {
                Ok(()) => {
                    self.writer.wake();
                    return outcome;
                }
                // The channel went with the command.
                Err(refusal) => Err(refusal),
            },
            SessionCommand::Subscribe { .. } => Err(Refusal {
                code: ErrorCode::Unavailable,
                message: format!(
                    "this session is connected over {}, and its URL names its subscriptions: only sessions at /ws can be \
                     subscribed to something else",
                    self.transport.label()
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
        let (reply, outcome) = oneshot::channel();
        // The receiver is in this function.
        let _received = reply.send(answer);
        outcome
    }

    /// Sends `message` to this session alone, as a message of [`DIRECT`]. Returns `false` if the session's format has no frame for it,
    /// or the session is being closed.
    pub(crate) fn send_direct(&self, message: &Message, counters: &WorkerCounters) -> bool {
        let frame = ServerFrame::Message(message.clone());
        let mut bytes = Vec::new();
        self.writer.format().encoder.frame(&frame, &mut bytes);
        if bytes.is_empty() {
            return false;
        }
        self.writer.push_direct(Delivery::Chunk(counters.held.bytes_of(bytes), 1), counters)
    }
}

/// Returns the message for single sessions with this payload. It has no position, because no history holds it.
pub(crate) fn direct_message(payload: Payload) -> Arc<Message> {
    let topic: Topic = DIRECT.parse().expect("it keeps the rules of names");
    Arc::new(Message { topic, payload, position: None, ts: None, from: None })
}

/// Returns the refusal to end a subscription that the session does not have.
pub(super) fn not_subscribed(pattern: &Pattern) -> Refusal {
    let message = format!("this session is not subscribed to '{pattern}'");
    Refusal { code: ErrorCode::NotSubscribed, message }
}
