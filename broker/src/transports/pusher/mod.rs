//! The Pusher Channels protocol, versions 5 to 7, at `/app/{key}`.
//!
//! `opening` decides about a connection, `dialect` reads the messages of its client, `message` owns their form, and `answers` writes
//! what the client receives for its requests. Rules, topics and deliveries are those of every session.

mod answers;
mod dialect;
mod message;
mod opening;
mod sign_in;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::rate::Meter;
use fanwire_protocol::{ErrorCode, Member, Topic};

pub(super) use opening::{PREFIX, open};

use crate::pusher::{PusherApp, SocketId};
use crate::sessions::{SessionRuntime, Worker};

/// One connection of the protocol: what its messages and the answers to them need.
struct Client {
    app: Arc<PusherApp>,
    worker: Rc<Worker>,
    /// Set when the connection is established.
    socket_id: OnceCell<SocketId>,
    /// The requests that are not answered yet, by their number.
    pending: RefCell<Vec<(u32, Pending)>>,
    next_request: Cell<u32>,
    /// The part of the rate of client events that was used.
    meter: Cell<Meter>,
    /// The user as which the client has signed in.
    user: OnceCell<Arc<str>>,
}

/// A request that is not answered yet.
enum Pending {
    /// A subscription to a channel, as this member if the channel has presence.
    Subscribe { channel: Box<str>, topic: Topic, member: Option<Box<Member>> },
    /// The end of a subscription, or the watch over a user, which have no answer.
    Silent,
    /// An event that the client sends, which has no answer but an error. It is what webhooks report, if any do.
    Event(Option<Box<Sent>>),
}

/// An event that a client sends, to be reported once it is published.
struct Sent {
    channel: String,
    event: String,
    data: String,
    user_id: Option<Arc<str>>,
}

impl Client {
    fn new(app: Arc<PusherApp>, worker: Rc<Worker>) -> Self {
        Self {
            app,
            worker,
            socket_id: OnceCell::new(),
            pending: RefCell::default(),
            next_request: Cell::new(1),
            meter: Cell::default(),
            user: OnceCell::new(),
        }
    }

    fn socket_id(&self) -> Result<&SocketId, Refusal> {
        let message = "the connection is not established yet".to_owned();
        self.socket_id.get().ok_or(Refusal { code: ErrorCode::Unavailable, message })
    }

    /// Notes a request and returns its number.
    fn begin(&self, pending: Pending) -> u32 {
        let id = self.next_request.get();
        self.next_request.set(id.wrapping_add(1));
        self.pending.borrow_mut().push((id, pending));
        id
    }

    /// Takes the request with this number, which is answered now.
    fn end(&self, id: u32) -> Option<Pending> {
        let mut pending = self.pending.borrow_mut();
        let index = pending.iter().position(|(known, _)| *known == id)?;
        let (_, request) = pending.swap_remove(index);
        if pending.is_empty() {
            pending.shrink_to_fit();
        }
        Some(request)
    }
}

/// A message that cannot be followed, and the connection stays.
struct Wrong {
    message: String,
    /// The code that Pusher has for it.
    code: Option<u16>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { message, code: None }
    }
}

impl From<&str> for Wrong {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Adds a message to the replies of the session.
fn send(session: &mut SessionRuntime, write: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    session.send_raw(&out);
}
