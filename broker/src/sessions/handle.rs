//! What a worker knows of each of its sessions while their tasks own everything else.
//!
//! It is shared between the session and the worker's roster, on one thread. It decides nothing: it is what operators and the
//! application are shown, and the way to reach the session.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::session::Close;
use fanwire_protocol::{Pattern, Topic};

use super::command::CommandQueue;
use crate::clock;
use crate::hub::SessionWriter;
use crate::telemetry::Transport;

/// A connection over which a session is to be opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionInfo {
    /// Its number, from [`Worker::next_connection`](super::Worker::next_connection).
    pub(crate) connection: u64,
    /// Whose it is: the address on its other side, or whom a trusted proxy speaks for.
    pub(crate) client: IpAddr,
}

/// One session as its worker sees it.
pub(crate) struct SessionHandle {
    connection: u64,
    client: IpAddr,
    transport: Transport,
    opened_ms: u64,
    user: RefCell<Option<Arc<str>>>,
    name: RefCell<Option<Box<str>>>,
    subscriptions: RefCell<Vec<Pattern>>,
    commands: CommandQueue,
    writer: Rc<SessionWriter>,
}

impl SessionHandle {
    /// A session that begins now, without subscriptions.
    pub(super) fn new(
        ConnectionInfo { connection, client }: ConnectionInfo,
        transport: Transport,
        user: Option<Arc<str>>,
        writer: Rc<SessionWriter>,
    ) -> Self {
        Self {
            connection,
            client,
            transport,
            opened_ms: clock::unix_ms(),
            user: RefCell::new(user),
            name: RefCell::default(),
            subscriptions: RefCell::default(),
            commands: CommandQueue::default(),
            writer,
        }
    }

    /// The broker's number for the connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Whose connection it is, by its address.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// What it is connected over.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// When it began, in milliseconds since 1970.
    pub(crate) fn opened_ms(&self) -> u64 {
        self.opened_ms
    }

    /// Whose it is, where that is known.
    pub(crate) fn user(&self) -> Option<Arc<str>> {
        self.user.borrow().clone()
    }

    /// The name the client gave itself.
    pub(crate) fn name(&self) -> Option<String> {
        self.name.borrow().as_deref().map(str::to_owned)
    }

    /// What it is subscribed to, in no order.
    pub(crate) fn subscriptions(&self) -> Vec<Pattern> {
        self.subscriptions.borrow().clone()
    }

    /// Whether it is subscribed to `topic` itself or by a pattern.
    pub(crate) fn listens_to(&self, topic: &Topic) -> bool {
        self.subscriptions.borrow().iter().any(|pattern| pattern.matches(topic))
    }

    /// How many subscriptions it holds.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.borrow().len()
    }

    /// Where its deliveries go.
    pub(crate) fn writer(&self) -> &SessionWriter {
        &self.writer
    }

    /// Whether it can be given subscriptions beside those it asks for: it has frames to be told of them.
    pub(crate) fn can_be_subscribed(&self) -> bool {
        self.transport == Transport::WebSocket
    }

    /// What the application has ordered and the session has not done yet.
    pub(crate) fn commands(&self) -> &CommandQueue {
        &self.commands
    }

    /// Whether it is subscribed to exactly this.
    pub(crate) fn is_subscribed(&self, pattern: &Pattern) -> bool {
        self.subscriptions.borrow().contains(pattern)
    }

    /// Asks for the session to be closed. `false` if it is on its way out already.
    pub(crate) fn disconnect(&self, close: &Close) -> bool {
        let is_open = !self.writer.is_closing();
        self.writer.want_close(close.clone());
        is_open
    }

    pub(super) fn identify(&self, user: Option<Arc<str>>) {
        *self.user.borrow_mut() = user;
    }

    pub(super) fn rename(&self, name: Option<&str>) {
        *self.name.borrow_mut() = name.map(Box::from);
    }

    pub(super) fn subscribed(&self, pattern: Pattern) {
        self.subscriptions.borrow_mut().push(pattern);
    }

    /// Forgets all subscriptions, at the end of the session.
    pub(super) fn end(&self) {
        self.subscriptions.take();
    }

    pub(super) fn unsubscribed(&self, pattern: &Pattern) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        if let Some(index) = subscriptions.iter().position(|known| known == pattern) {
            subscriptions.swap_remove(index);
        }
    }
}
