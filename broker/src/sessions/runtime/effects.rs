//! The effects of a frame.

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_core::log::Page;
use fanwire_core::presence::Departure;
use fanwire_core::session::{Close, Effect, PublishRequest};
use fanwire_protocol::{
    ClientFrame, CloseCode, DecodeError, ErrorCode, Message, Pattern, Payload, Receipt, Reply, ServerFrame,
    Topic,
};

use super::SessionRuntime;
use crate::config::Callout;
use crate::engine::{Accepted, History, Reading, ReceiptTo};
use crate::sessions::command::RequestedBy;
use crate::sessions::decision::{Decided, Decision};
use crate::sessions::lookups::no_presence;
use crate::sessions::publishing::{PublishClient, Publishing};
use crate::sessions::reads::Read;

impl SessionRuntime {
    /// Handles one frame. Returns how to close the session if the frame makes that necessary. Must not be called unless the session
    /// takes frames, see [`SessionRuntime::takes_frames`].
    pub(crate) fn handle(&mut self, frame: Result<ClientFrame, DecodeError>) -> Option<Close> {
        let effect = {
            let rules = self.worker.engine.rules();
            self.handle.session_mut().handle(frame, self.worker.terms(&rules))
        };
        self.run(effect)
    }

    /// Carries out an effect, after an authorization callout if it needs one.
    pub(super) fn run(&mut self, effect: Effect) -> Option<Close> {
        let effect = self.begin_read_callout(effect)?;
        self.carry_out(effect)
    }

    /// Carries out an effect that nothing else has to allow.
    fn carry_out(&mut self, effect: Effect) -> Option<Close> {
        match effect {
            Effect::Nothing => {}
            Effect::Send(ServerFrame::Error { id, code, message }) => {
                return self.refuse(id, Refusal { code, message });
            }
            Effect::Send(frame) => self.replies.send(&frame),
            Effect::Fail(frame, close) => {
                self.replies.send(&frame);
                return Some(close);
            }
            Effect::Publish { id, publish } => {
                let identity = self.handle.session().identity().clone();
                return self.publish(id, publish, &identity);
            }
            Effect::Authenticate { id, token, purpose } => return self.authenticate(id, token, purpose),
            Effect::Accept(accepted) => self.accept_credentials(accepted),
            Effect::Subscribe { id, pattern, start, permit } => {
                self.subscribe_for(RequestedBy::Client(id), &pattern, start, permit.as_ref());
            }
            Effect::ConfirmSubscription { id, pattern } => {
                let position = pattern.to_topic().and_then(|topic| self.worker.engine.head(&topic));
                self.replies.reply(Some(id), || Reply::Subscribed { pattern, position, recovered: true });
            }
            Effect::Unsubscribe { id, pattern, key } => {
                self.joins.leave(&pattern, key, Departure::Left);
                self.replies.reply(id, || Reply::Unsubscribed { pattern });
            }
            Effect::Call { id, method, data } => self.request(id, method, data),
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

    /// Publishes in the name of `identity`, and replies to the request `id` now, or when the publication is on disk or the application
    /// has decided.
    pub(super) fn publish(
        &mut self,
        id: Option<u32>,
        request: PublishRequest,
        identity: &Identity,
    ) -> Option<Close> {
        let publish = request.into_publish(self.worker.hub.worker(), self.joins.key());
        let topic = publish.topic.clone();
        let receipt_to = ReceiptTo::Session { queue: self.receipts.get_or_insert_default().clone(), id };
        let publishing = {
            let session = self.handle.session();
            let client = PublishClient {
                identity,
                meter: &self.meter,
                address: self.handle.client(),
                connection: Some(session.connection_number()),
            };
            self.worker.publishing.publish(publish, client, receipt_to)
        };
        match publishing {
            Ok(Publishing::Accepted(accepted)) => self.settle_publish(id, topic, Ok(accepted)),
            Ok(Publishing::ReceiptFollows) => None,
            Ok(Publishing::Callout(callout)) => {
                self.decision.begin(Decision::Publish { id, topic, callout });
                None
            }
            Err(refusal) => self.refuse_publish(id, refusal),
        }
    }

    /// Replies with a receipt, or with the reason why the publication was not accepted.
    pub(super) fn settle_publish(
        &mut self,
        id: Option<u32>,
        topic: Topic,
        result: Result<Accepted, Refusal>,
    ) -> Option<Close> {
        match result {
            Ok(Accepted { position, is_duplicate: duplicate, .. }) => {
                self.replies.reply(id, || Reply::Published(Receipt { topic, position, duplicate }));
                None
            }
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    /// Refuses a publish. Returns how to close a session that has ignored too many refusals for its rate.
    fn refuse_publish(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        let is_flooding = refusal.code == ErrorCode::RateLimited && self.meter.is_flooding();
        self.refuse(id, refusal).or_else(|| {
            is_flooding.then(|| {
                let reason = "the session publishes faster than its rate and has ignored many refusals";
                Close::new(CloseCode::RateLimited, reason)
            })
        })
    }

    /// Continues with a decision that was pending. Returns how to close the session if the decision makes that necessary.
    pub(super) fn decided(&mut self, decided: Decided) -> Option<Close> {
        match decided {
            Decided::Token(id, purpose, outcome) => self.authenticated(id, purpose, outcome),
            Decided::Publish(id, topic, Ok(Some(accepted))) => self.settle_publish(id, topic, Ok(accepted)),
            Decided::Publish(_, _, Ok(None)) => None,
            Decided::Publish(id, topic, Err(refusal)) => self.settle_publish(id, topic, Err(refusal)),
            Decided::Read(effect, Ok(())) => self.carry_out(effect),
            Decided::Read(effect, Err(refusal)) => self.refuse(id_of(&effect), refusal),
        }
    }

    /// Sends an error, or returns how to close the session if its format has no frame for one.
    pub(super) fn refuse(&mut self, id: Option<u32>, refusal: Refusal) -> Option<Close> {
        if self.writer().format().refuses_by_close {
            self.worker.counters.error(refusal.code);
            return Some(Close::refused(&refusal));
        }
        self.replies.send(&ServerFrame::Error { id, code: refusal.code, message: refusal.message });
        None
    }

    /// Begins the callout that `effect` needs, if it needs one. If not, returns the effect. A session may read a topic to which it is
    /// subscribed without another callout.
    fn begin_read_callout(&mut self, effect: Effect) -> Option<Effect> {
        let hooks = &self.worker.hooks;
        if !hooks.makes(Callout::Subscribe) {
            return Some(effect);
        }
        let pattern: Pattern = match &effect {
            Effect::Subscribe { pattern, .. } => pattern.clone(),
            Effect::History { topic, .. } | Effect::Presence { topic, .. } => topic.clone().into(),
            _ => return Some(effect),
        };
        let is_decided = {
            let session = self.handle.session();
            session.is_subscribed(&pattern)
                || !hooks.requires(Callout::Subscribe, session.identity(), &pattern)
        };
        if is_decided {
            return Some(effect);
        }
        let (hooks, client) = (hooks.clone(), self.callout_client());
        let answer = Box::pin(async move { hooks.subscribe(client, &pattern).await });
        self.decision.begin(Decision::Read { effect, answer });
        None
    }

    /// Begins an RPC callout. The session continues meanwhile.
    fn request(&mut self, id: Option<u32>, method: String, data: Payload) {
        let (hooks, client) = (self.worker.hooks.clone(), self.callout_client());
        self.joins.begin_read(Read::answer(async move {
            match hooks.request(client, &method, &data).await {
                Ok(data) => id.map(|id| ServerFrame::Reply { id, reply: Reply::Response { data } }),
                Err(Refusal { code, message }) => Some(ServerFrame::Error { id, code, message }),
            }
        }));
    }

    fn presence(&mut self, id: Option<u32>, topic: Topic) {
        match self.worker.engine.members().list(&topic, self.worker.limits.presence_members_max) {
            Some((members, more)) => {
                self.replies.reply(id, || Reply::Presence { topic, members, more });
            }
            None => {
                let Refusal { code, message } = no_presence(&topic);
                self.replies.send(&ServerFrame::Error { id, code, message });
            }
        }
    }

    fn history(&mut self, id: Option<u32>, topic: Topic, reading: Reading) {
        let engine = &self.worker.engine;
        if !engine.keeps_history(&topic) {
            let message = format!("'{topic}' keeps no history: a [[topic]] rule of the broker says so");
            return self.replies.send(&ServerFrame::Error { id, code: ErrorCode::HistoryOff, message });
        }
        let Some(id) = id else { return };
        let bytes_max = self.worker.limits.outbox_bytes_max / 2;
        match engine.history(&topic, &reading, bytes_max) {
            Some(history) => self.replies.send(&history_reply(id, topic, history)),
            None => {
                let engine = engine.clone();
                self.joins.begin_read(Read::answer(async move {
                    Some(match engine.read_history(&topic, reading, bytes_max).await {
                        Ok(history) => history_reply(id, topic, history),
                        Err(Refusal { code, message }) => ServerFrame::Error { id: Some(id), code, message },
                    })
                }));
            }
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

fn id_of(effect: &Effect) -> Option<u32> {
    match effect {
        Effect::Subscribe { id, .. } | Effect::History { id, .. } | Effect::Presence { id, .. } => *id,
        _ => None,
    }
}
