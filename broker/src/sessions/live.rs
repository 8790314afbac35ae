//! A session at work: the core's state machine, run against the engine and the hub.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::access::Refusal;
use fanwire_core::format::Format;
use fanwire_core::log::Page;
use fanwire_core::presence::{Departure, MemberSession};
use fanwire_core::publication::Publication;
use fanwire_core::session::{Close, Effect, PublishRequest, Session, Start};
use fanwire_core::subscribers::{SessionKey, SubscriptionKey};
use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Message, Pattern, Position, Receipt, Reply, Request,
    ServerFrame, Topic,
};

use super::admission::Checking;
use super::command::Initiator;
use super::handle::{ConnectionInfo, SessionHandle};
use super::new_session::{NewSession, Opened};
use super::pending_callout::PendingCallout;
use super::publishing::{PublishClient, Publishing};
use super::waiting::Waiting;
use super::work::Reading as Work;
use super::{PublishMeter, Worker};
use crate::clock;
use crate::engine::{Accepted, Engine, History, Joined, Reading, ReceiptQueue, ReceiptTo};
use crate::hooks::DisconnectReport;
use crate::hub::SessionWriter;
use crate::telemetry::Transport;

/// How many bytes of replies are gathered before they are put into the outbox.
const REPLIES_GATHERED_BYTES: usize = 64 * 1024;

/// One connected client. Dropping it ends all its subscriptions.
pub(crate) struct LiveSession {
    pub(super) worker: Rc<Worker>,
    pub(super) writer: Rc<SessionWriter>,
    pub(super) key: SessionKey,
    pub(super) format: &'static Format,
    pub(super) session: Session,
    /// The session as its worker sees it.
    pub(super) handle: Rc<SessionHandle>,
    meter: PublishMeter,
    /// Replies that go into the outlet together, after all frames read at once have been handled.
    replies: Vec<u8>,
    /// Where it is present, and as whom.
    pub(super) present: Vec<(Topic, MemberSession)>,
    /// How it ends, if it ends now.
    departure: Departure,
    /// The receipts it is owed, once it has published.
    pub(super) receipts: Option<Arc<ReceiptQueue>>,
    /// What the session waits for. Most never do.
    pub(super) waiting: Option<Box<Waiting>>,
    /// A token of the session that is being checked.
    pub(super) checking: Option<Checking>,
    /// A question to the application that the session waits for.
    pub(super) asking: Option<PendingCallout>,
    /// What the application is told when the session is over.
    disconnect_report: Option<Box<DisconnectReport>>,
}

impl LiveSession {
    /// Opens a session of `guest` whose deliveries go to `writer`.
    pub(crate) fn open(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        format: &'static Format,
        NewSession { identity, connection_info, transport, disconnect_report }: NewSession,
    ) -> Self {
        writer.end_session_at(identity.expires_ms());
        let session = Session::new(connection_info.connection, identity);
        Self::begin(worker, writer, format, (session, transport, connection_info.client), disconnect_report)
    }

    /// Opens a session that has yet to say who it is.
    pub(crate) fn open_unknown(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        format: &'static Format,
        connection_info: ConnectionInfo,
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> Self {
        let patience_ms = worker.limits.handshake_timeout.as_millis() as u64;
        writer.await_credentials_until(clock::unix_ms() + patience_ms);
        let session = Session::awaiting_credentials(connection_info.connection);
        Self::begin(
            worker,
            writer,
            format,
            (session, Transport::WebSocket, connection_info.client),
            disconnect_report,
        )
    }

    fn begin(
        worker: Rc<Worker>,
        writer: Rc<SessionWriter>,
        format: &'static Format,
        (session, transport, client): (Session, Transport, IpAddr),
        disconnect_report: Option<Box<DisconnectReport>>,
    ) -> Self {
        worker.release_keys();
        let key = worker.hub.open(writer.clone());
        let connection_info = ConnectionInfo { connection: session.connection_number(), client };
        let user = session.identity().user().cloned();
        let handle = Rc::new(SessionHandle::new(connection_info, transport, user, writer.clone()));
        worker.registry.enter(handle.clone());
        let (meter, departure) = (PublishMeter::default(), Departure::Broken);
        Self {
            worker,
            writer,
            key,
            format,
            session,
            handle,
            meter,
            replies: Vec::new(),
            present: Vec::new(),
            departure,
            receipts: None,
            waiting: None,
            checking: None,
            asking: None,
            disconnect_report,
        }
    }

    /// What all sessions of this worker share.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Where the session's deliveries go.
    pub(crate) fn writer(&self) -> &SessionWriter {
        &self.writer
    }

    /// The broker's name for the connection, for logs.
    pub(crate) fn connection(&self) -> String {
        self.session.connection()
    }

    /// Starts a subscription, after the same checks as every other way to start one, and if the application allows it. What
    /// lies far back comes later, by [`LiveSession::poll_waiting`].
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) async fn subscribe(&mut self, pattern: Pattern, start: &Start) -> Result<Opened, Refusal> {
        {
            let rules = self.worker.engine.rules();
            self.session.check_subscribe(&pattern, start, self.worker.terms(&rules))?;
        }
        self.worker.hooks.subscribe(self.asker(), &pattern).await?;
        self.subscribe_allowed(pattern, start).await
    }

    /// Does the same where the application has just been asked.
    ///
    /// # Errors
    /// Says why it is refused.
    pub(crate) async fn subscribe_allowed(
        &mut self,
        pattern: Pattern,
        start: &Start,
    ) -> Result<Opened, Refusal> {
        {
            let rules = self.worker.engine.rules();
            self.session.check_subscribe(&pattern, start, self.worker.terms(&rules))?;
        }
        if let Some(opened) = self.join(&pattern, start) {
            return Ok(opened);
        }
        let topic = self.hold_place(&pattern);
        let resumed = self.worker.engine.resume(&topic, start).await;
        self.begin_catching_up(topic, resumed)
    }

    /// Joins what needs no reading of the disk.
    pub(super) fn join(&mut self, pattern: &Pattern, start: &Start) -> Option<Opened> {
        let (hub, engine) = (&self.worker.hub, &self.worker.engine);
        let (opened, after) = match pattern.to_topic() {
            Some(topic) => {
                let Joined { head, missed, recovered, has_presence } =
                    engine.join(&topic, hub.worker(), start)?;
                if has_presence {
                    let member_session = self.session.member_session();
                    engine.enter(&topic, &member_session, (hub.worker(), self.key));
                    self.present.push((topic, member_session));
                }
                (Opened { head: Some(head), recovered, missed }, head.offset)
            }
            None => {
                engine.join_pattern(pattern, hub.worker());
                (Opened { head: None, recovered: true, missed: Vec::new() }, 0)
            }
        };
        let key = hub.join(pattern, self.key, self.format, after);
        if *start != Start::Now {
            hub.resume(pattern, key, after);
        }
        self.note_subscription(pattern.clone(), key);
        Some(opened)
    }

    /// Notes that the session listens to `pattern` under `key`.
    pub(super) fn note_subscription(&mut self, pattern: Pattern, key: SubscriptionKey) {
        self.handle.subscribed(pattern.clone());
        self.session.subscribed(pattern, key);
    }

    pub(super) fn reply_subscribed(
        &mut self,
        id: Option<u32>,
        pattern: Pattern,
        position: Option<Position>,
        recovered: bool,
    ) {
        self.reply(id, || Reply::Subscribed { pattern, position, recovered });
    }

    pub(super) fn send_receipt(&mut self, id: Option<u32>, topic: Topic, result: Result<Accepted, Refusal>) {
        match result {
            Ok(Accepted { position, is_duplicate, .. }) => {
                self.reply(id, || Reply::Published(Receipt { topic, position, duplicate: is_duplicate }));
            }
            Err(Refusal { code, message }) => self.send(&ServerFrame::Error { id, code, message }),
        }
    }

    /// Puts what was missed into the outlet, after all replies given so far.
    pub(crate) fn replay(&mut self, missed: Vec<Arc<Publication>>) {
        self.flush_replies();
        self.writer.push_replay(missed, &self.worker.counters);
    }

    /// Publishes for this session, and replies to the request `id` now, or when the publication is on disk or the application has
    /// decided.
    ///
    /// # Errors
    /// Says what is refused. Nothing has been replied then.
    pub(crate) fn publish(&mut self, id: Option<u32>, request: PublishRequest) -> Result<(), Refusal> {
        let publish = request.into_publish(self.worker.hub.worker(), self.key);
        let topic = publish.topic.clone();
        let receipt_to = ReceiptTo::Session { queue: self.receipts.get_or_insert_default().clone(), id };
        let client = PublishClient {
            identity: self.session.identity(),
            meter: &self.meter,
            address: self.handle.client(),
            connection: Some(self.session.connection_number()),
        };
        match self.worker.publishing.publish(publish, client, receipt_to)? {
            Publishing::Accepted(accepted) if id.is_some() => self.send_receipt(id, topic, Ok(accepted)),
            Publishing::Accepted(_) | Publishing::ReceiptFollows => {}
            Publishing::Callout(callout) => {
                self.asking = Some(PendingCallout::Publish { id, topic, callout });
            }
        }
        Ok(())
    }

    /// Handles one frame. Replies wait until [`LiveSession::flush_replies`]. Returns how to close the session if the
    /// frame makes that necessary.
    pub(crate) fn handle(&mut self, frame: Result<ClientFrame, DecodeError>) -> Option<Close> {
        let is_connect = matches!(&frame, Ok(ClientFrame { request: Request::Connect { .. }, .. }));
        let rules = self.worker.engine.rules();
        let effect = self.session.handle(frame, self.worker.terms(&rules));
        drop(rules);
        if is_connect {
            self.handle.rename(self.session.name());
        }
        self.run(effect)
    }

    /// Does what the core has decided, once the application allows it where that is asked. Returns how to close the session if
    /// that is what has been decided.
    pub(super) fn run(&mut self, effect: Effect) -> Option<Close> {
        let effect = self.ask_read(effect)?;
        self.carry_out(effect)
    }

    /// Does what nobody needs to be asked about any more.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<Close> {
        match effect {
            Effect::Nothing => {}
            Effect::Send(ServerFrame::Error { id, code, message }) => {
                return self.refuse(id, Refusal { code, message });
            }
            Effect::Send(frame) => self.send(&frame),
            Effect::Fail(frame, close) => {
                self.send(&frame);
                return Some(close);
            }
            Effect::Publish { id, publish } => {
                if let Err(refusal) = self.publish(id, publish) {
                    return self.refuse_publish(id, refusal);
                }
            }
            Effect::Authenticate { id, token, purpose } => return self.authenticate(id, token, purpose),
            Effect::Admitted(admitted) => self.admitted(admitted),
            Effect::Subscribe { id, pattern, start, permit } => {
                match self.join(&pattern, &start) {
                    Some(opened) => self.announce(Initiator::Client(id), pattern.clone(), opened),
                    None => {
                        let topic = self.hold_place(&pattern);
                        let (engine, initiator) = (self.worker.engine.clone(), Initiator::Client(id));
                        self.read(Work::resume(engine, initiator, topic, start));
                    }
                }
                self.note_permit(&pattern, permit);
            }
            Effect::ConfirmSubscription { id, pattern } => {
                let position = pattern.to_topic().and_then(|topic| self.worker.engine.head(&topic));
                self.reply(Some(id), || Reply::Subscribed { pattern, position, recovered: true });
            }
            Effect::Unsubscribe { id, pattern, key } => {
                self.leave(&pattern, key, Departure::Left);
                self.reply(id, || Reply::Unsubscribed { pattern });
            }
            Effect::Call { id, method, data } => self.call(id, method, data),
            Effect::Presence { id, topic } => self.presence(id, topic),
            Effect::History { id, topic, since, limit, reverse } => {
                let reading = if reverse {
                    Reading::Backward { until: since, limit }
                } else {
                    Reading::Forward { since, limit }
                };
                self.history(id, topic, reading);
            }
        }
        None
    }

    /// Sends an error, or returns how to close the session if its format has no frame for one.
    fn refuse(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        if self.format.refuses_by_close {
            self.worker.counters.error(refusal.code);
            return Some(Close::refused(&refusal));
        }
        self.send(&ServerFrame::Error { id, code: refusal.code, message: refusal.message });
        None
    }

    /// Refuses a publish. Returns how to close a session that has ignored too many refusals for its rate.
    fn refuse_publish(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        let is_flooding = refusal.code == ErrorCode::RateLimited && self.meter.is_flooding();
        if let Some(close) = self.refuse(id, refusal) {
            return Some(close);
        }
        is_flooding.then(|| {
            let reason = "the session publishes faster than its rate and has ignored many refusals";
            Close::new(CloseCode::RateLimited, reason)
        })
    }

    fn presence(&mut self, id: Option<u32>, topic: Topic) {
        match self.worker.engine.members(&topic, self.worker.limits.presence_members_max) {
            Some((members, more)) => self.reply(id, || Reply::Presence { topic, members, more }),
            None => {
                let Refusal { code, message } = super::no_presence(&topic);
                self.send(&ServerFrame::Error { id, code, message });
            }
        }
    }

    fn history(&mut self, id: Option<u32>, topic: Topic, reading: Reading) {
        let engine = &self.worker.engine;
        if !engine.keeps_history(&topic) {
            let message = format!("'{topic}' keeps no history: a [[topic]] rule of the broker says so");
            return self.send(&ServerFrame::Error { id, code: ErrorCode::HistoryOff, message });
        }
        let Some(id) = id else { return };
        let bytes_max = self.worker.limits.outbox_bytes_max / 2;
        match engine.history(&topic, &reading, bytes_max) {
            Some(history) => self.send(&history_reply(id, topic, history)),
            None => {
                let engine: Arc<Engine> = engine.clone();
                self.read(Work::answer(async move {
                    Some(match engine.read_history(&topic, reading, bytes_max).await {
                        Ok(history) => history_reply(id, topic, history),
                        Err(Refusal { code, message }) => ServerFrame::Error { id: Some(id), code, message },
                    })
                }));
            }
        }
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
        self.format.encoder.frame(frame, &mut self.replies);
    }

    /// Adds bytes of the transport's own to the replies.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    /// Whether so many replies wait that no more requests should be handled until some are gone.
    pub(crate) fn has_replied_enough(&mut self) -> bool {
        if self.is_reading_enough() {
            return true;
        }
        if self.replies.len() < REPLIES_GATHERED_BYTES {
            return false;
        }
        self.flush_replies();
        self.writer.is_over()
    }

    /// Moves all replies given so far into the outlet.
    pub(crate) fn flush_replies(&mut self) {
        if !self.replies.is_empty() {
            self.writer.push_own(Bytes::from(std::mem::take(&mut self.replies)));
        }
    }

    /// Notes how the session ends, for those who see it leave. Unless it says otherwise, its connection broke.
    pub(crate) fn depart(&mut self, departure: Departure) {
        self.departure = departure;
    }

    /// Notes how the session ends, for the application. The first who says so is believed.
    pub(crate) fn ends_by(&mut self, code: u16, reason: impl FnOnce() -> String) {
        if let Some(disconnect_report) = &mut self.disconnect_report {
            disconnect_report.ends_by(code, reason());
        }
    }

    pub(super) fn leave(&mut self, pattern: &Pattern, key: SubscriptionKey, departure: Departure) {
        self.handle.unsubscribed(pattern);
        let (hub, engine) = (&self.worker.hub, &self.worker.engine);
        hub.leave(pattern, key);
        let Some(topic) = pattern.to_topic() else { return engine.leave_pattern(pattern, hub.worker()) };
        let catching_up = self.waiting.as_mut().and_then(|waiting| {
            let index = waiting.catching_up.iter().position(|catching_up| *catching_up == topic)?;
            waiting.readings.retain(|reading| !reading.is_for(&topic));
            Some(waiting.catching_up.swap_remove(index))
        });
        if catching_up.is_none() {
            let present = self.present.iter().position(|(present, _)| *present == topic);
            let present = present.map(|index| self.present.swap_remove(index).1);
            engine.leave(&topic, hub.worker(), present.as_ref(), departure);
        }
    }
}

fn history_reply(id: u32, topic: Topic, history: History) -> ServerFrame {
    let messages: Vec<Message> =
        history.page.publications.iter().map(|publication| publication.message.clone()).collect();
    let Page { more, gap, .. } = history.page;
    let reply = Reply::History { topic, position: history.head, messages, more, gap };
    ServerFrame::Reply { id, reply }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.worker.registry.leave(&self.handle);
        self.handle.end();
        for (pattern, key) in self.session.end() {
            self.leave(&pattern, key, self.departure);
        }
        self.worker.hub.close(self.key);
        match self.receipts.take() {
            Some(receipts) if receipts.is_owed() => self.worker.linger(self.key, receipts),
            _ => self.worker.hub.release(self.key),
        }
        if let Some(disconnect_report) = &mut self.disconnect_report {
            let identity = self.session.identity();
            disconnect_report.is_of((!self.session.owes_credentials()).then(|| identity.clone()));
        }
    }
}
