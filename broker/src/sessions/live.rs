//! A session at work: the core's state machine, run against the engine and the hub.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::{
    Close, Effect, Encoding, Identity, Page, Publication, Publish, Refusal, Session, SessionKey, Start,
};
use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Message, Pattern, Position, Receipt, Reply, ServerFrame,
    Topic,
};

use super::{PublishMeter, Worker};
use crate::engine::{Accepted, Joined, Reading};
use crate::hub::Outlet;

/// How many bytes of replies are gathered before they are put into the outbox.
const REPLIES_GATHERED_BYTES: usize = 64 * 1024;

/// One connected client. Dropping it ends all its subscriptions.
pub(crate) struct LiveSession {
    worker: Rc<Worker>,
    outlet: Rc<Outlet>,
    key: SessionKey,
    encoding: Encoding,
    session: Session,
    meter: PublishMeter,
    /// Replies that go into the outlet together, after all frames read at once have been handled.
    replies: Vec<u8>,
}

/// What a subscription that was just opened begins with.
pub(crate) struct Opened {
    /// Where the topic stands; `None` for a pattern.
    pub(crate) head: Option<Position>,
    /// `false` when something that was missed is no longer held.
    pub(crate) recovered: bool,
    /// What was missed, oldest first; to be put into the outlet after whatever announces it.
    pub(crate) missed: Vec<Arc<Publication>>,
}

impl LiveSession {
    /// Opens a session of `identity` whose deliveries go to `outlet`.
    pub(crate) fn open(
        worker: Rc<Worker>,
        outlet: Rc<Outlet>,
        encoding: Encoding,
        identity: Identity,
    ) -> Self {
        let key = worker.hub.open(outlet.clone());
        let session = Session::new(worker.next_connection(), identity);
        let meter = PublishMeter::default();
        Self { worker, outlet, key, encoding, session, meter, replies: Vec::new() }
    }

    /// What all sessions of this worker share.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Where the session's deliveries go.
    pub(crate) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// The broker's name for the connection, for logs.
    pub(crate) fn connection(&self) -> String {
        self.session.connection()
    }

    /// Starts a subscription, after the same checks as every other way to start one.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) fn subscribe(&mut self, pattern: Pattern, start: &Start) -> Result<Opened, Refusal> {
        let rules = self.worker.engine.rules();
        self.session.check_subscribe(&pattern, start, self.worker.terms(&rules))?;
        Ok(self.join(pattern, start))
    }

    fn join(&mut self, pattern: Pattern, start: &Start) -> Opened {
        let (hub, engine) = (&self.worker.hub, &self.worker.engine);
        let (opened, after) = match pattern.to_topic() {
            Some(topic) => {
                let Joined { head, missed, recovered } = engine.join(&topic, hub.worker(), start);
                (Opened { head: Some(head), recovered, missed }, head.offset)
            }
            None => {
                engine.join_pattern(&pattern, hub.worker());
                (Opened { head: None, recovered: true, missed: Vec::new() }, 0)
            }
        };
        let key = hub.join(&pattern, self.key, self.encoding, after);
        self.session.subscribed(pattern, key);
        opened
    }

    /// Puts what was missed into the outlet, after all replies given so far.
    pub(crate) fn replay(&mut self, missed: Vec<Arc<Publication>>) {
        self.flush_replies();
        self.outlet.push_replay(missed, &self.worker.counters);
    }

    /// Publishes for this session, after the same checks as every other way to publish.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) fn publish(&self, mut publish: Publish, has_echo: bool) -> Result<Accepted, Refusal> {
        publish.except = (!has_echo).then_some((self.worker.hub.worker(), self.key));
        self.worker.publisher.publish(self.session.identity(), &self.meter, publish)
    }

    /// Handles one frame. Replies wait until [`LiveSession::flush_replies`]. Returns how to close the session if the
    /// frame makes that necessary.
    pub(crate) fn handle(&mut self, frame: Result<ClientFrame, DecodeError>) -> Option<Close> {
        let rules = self.worker.engine.rules();
        let effect = self.session.handle(frame, self.worker.terms(&rules));
        drop(rules);
        match effect {
            Effect::Nothing => {}
            Effect::Send(frame) => self.send(&frame),
            Effect::Fail(frame, close) => {
                self.send(&frame);
                return Some(close);
            }
            Effect::Publish { id, publish } => {
                if let Err(refusal) = self.worker.publisher.admit(&publish.topic, &self.meter) {
                    return self.refuse_publish(id, refusal);
                }
                let topic = publish.topic.clone();
                let place = (self.worker.hub.worker(), self.key);
                let publish = publish.into_publish(self.session.identity(), place);
                let Accepted { position, is_duplicate, .. } = self.worker.publisher.accept(publish);
                self.reply(id, || Reply::Published(Receipt { topic, position, duplicate: is_duplicate }));
            }
            Effect::Subscribe { id, pattern, start } => {
                let opened = self.join(pattern.clone(), &start);
                let (position, recovered) = (opened.head, opened.recovered);
                self.reply(id, || Reply::Subscribed { pattern, position, recovered });
                self.replay(opened.missed);
            }
            Effect::ConfirmSubscription { id, pattern } => {
                let position = pattern.to_topic().map(|topic| self.worker.engine.head(&topic));
                self.reply(Some(id), || Reply::Subscribed { pattern, position, recovered: true });
            }
            Effect::Unsubscribe { id, pattern, key } => {
                self.leave(&pattern, key);
                self.reply(id, || Reply::Unsubscribed { pattern });
            }
            Effect::History { id, topic, since, limit, reverse } => {
                let reading = if reverse {
                    Reading::Backward { until: since, limit }
                } else {
                    Reading::Forward { since, limit }
                };
                if let Some(frame) = self.history(id, topic, &reading) {
                    self.send(&frame);
                }
            }
        }
        None
    }

    /// Says that a publish came too fast; a session that has been told so again and again is to be closed.
    fn refuse_publish(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        self.send(&ServerFrame::Error { id, code: refusal.code, message: refusal.message });
        self.meter.is_flooding().then(|| {
            let reason =
                "the session goes on publishing faster than it may, although it was told so many times";
            Close::new(CloseCode::RateLimited, reason)
        })
    }

    fn history(&self, id: Option<u32>, topic: Topic, reading: &Reading) -> Option<ServerFrame> {
        let engine = &self.worker.engine;
        if !engine.keeps_history(&topic) {
            let message = format!("'{topic}' keeps no history: a [[topic]] rule of the broker says so");
            return Some(ServerFrame::Error { id, code: ErrorCode::HistoryOff, message });
        }
        let id = id?;
        let history = engine.history(&topic, reading, self.worker.limits.outbox_bytes_max / 2);
        let messages: Vec<Message> =
            history.page.publications.iter().map(|publication| publication.message.clone()).collect();
        let Page { more, gap, .. } = history.page;
        let reply = Reply::History { topic, position: history.head, messages, more, gap };
        Some(ServerFrame::Reply { id, reply })
    }

    fn reply(&mut self, id: Option<u32>, make: impl FnOnce() -> Reply) {
        if let Some(id) = id {
            self.send(&ServerFrame::Reply { id, reply: make() });
        }
    }

    /// Adds a frame to the replies.
    pub(crate) fn send(&mut self, frame: &ServerFrame) {
        if let ServerFrame::Error { code, .. } = frame {
            self.worker.counters.error(*code);
        }
        self.encoding.encode_server(frame, &mut self.replies);
    }

    /// Adds bytes of the transport's own to the replies.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    /// Whether so many replies wait that no more requests should be handled until some are gone.
    pub(crate) fn has_replied_enough(&mut self) -> bool {
        if self.replies.len() < REPLIES_GATHERED_BYTES {
            return false;
        }
        self.flush_replies();
        self.outlet.is_over()
    }

    /// Moves all replies given so far into the outlet.
    pub(crate) fn flush_replies(&mut self) {
        if !self.replies.is_empty() {
            self.outlet.push_own(Bytes::from(std::mem::take(&mut self.replies)));
        }
    }

    fn leave(&self, pattern: &Pattern, key: fanwire_core::SubscriptionKey) {
        let (hub, engine) = (&self.worker.hub, &self.worker.engine);
        hub.leave(pattern, key);
        match pattern.to_topic() {
            Some(topic) => engine.leave(&topic, hub.worker()),
            None => engine.leave_pattern(pattern, hub.worker()),
        }
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        for (pattern, key) in self.session.end() {
            self.leave(&pattern, key);
        }
        self.worker.hub.close(self.key);
    }
}
