//! Subscriptions of a session: those that its URL names, and those that it or the application requests.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Holder;
use fanwire_core::publication::Publication;
use fanwire_core::session::Start;
use fanwire_protocol::{Pattern, Position, Reply, ServerFrame, Topic};

use super::SessionRuntime;
use crate::sessions::command::RequestedBy;
use crate::sessions::joins::Opened;
use crate::sessions::reads::{Read, ReadResult};

/// The beginning of a subscription that a URL names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscribed {
    /// The position after which the session receives the topic; `None` for a pattern.
    pub(crate) after: Option<Position>,
    /// `false` when something that the session missed is no longer held.
    pub(crate) recovered: bool,
    /// Whether the session is sent something that it missed.
    pub(crate) has_missed: bool,
}

impl SessionRuntime {
    /// Subscribes to all that a URL names, if access rules and authorization callouts allow all of it. What the session missed is in
    /// its outbox afterwards, oldest first.
    ///
    /// The callouts are made first, side by side, and the disk is read for the topics that need it. Then all other topics are joined without waiting in
    /// between, so that deliveries have the order that a replay has.
    ///
    /// # Errors
    /// Says what is refused. The session has been rejected then.
    pub(crate) async fn subscribe_all(
        &mut self,
        wanted: &[(Pattern, Start)],
    ) -> Result<Vec<Subscribed>, Refusal> {
        let authorized = self.authorize_all(wanted).await;
        authorized.inspect_err(|refusal| self.reject(refusal))?;
        self.subscribe_authorized(wanted).await
    }

    async fn authorize_all(&self, wanted: &[(Pattern, Start)]) -> Result<(), Refusal> {
        for (pattern, start) in wanted {
            self.check_subscribe(pattern, start)?;
        }
        let patterns = wanted.iter().map(|(pattern, _)| pattern);
        self.worker.hooks.subscribe_all(&self.callout_client(), patterns).await
    }

    fn check_subscribe(&self, pattern: &Pattern, start: &Start) -> Result<(), Refusal> {
        let rules = self.worker.engine.rules();
        self.handle.session().check_subscribe(pattern, start, self.worker.terms(&rules))
    }

    /// Does the same after the authorization callouts have been made.
    ///
    /// # Errors
    /// Says what is refused. The session has been rejected then.
    pub(crate) async fn subscribe_authorized(
        &mut self,
        wanted: &[(Pattern, Start)],
    ) -> Result<Vec<Subscribed>, Refusal> {
        let subscribed = self.join_all(wanted).await;
        subscribed.inspect_err(|refusal| self.reject(refusal))
    }

    async fn join_all(&mut self, wanted: &[(Pattern, Start)]) -> Result<Vec<Subscribed>, Refusal> {
        let mut opened: Vec<Option<Opened>> = Vec::with_capacity(wanted.len());
        // What several topics send at once is held to the bound of one session together.
        let mut room = self.worker.limits.outbox_bytes_max / 2;
        for (pattern, start) in wanted {
            self.check_subscribe(pattern, start)?;
            let topic = pattern.to_topic().filter(|topic| {
                let bytes = self.worker.engine.joined_bytes(topic, start).filter(|bytes| *bytes <= room);
                room -= bytes.unwrap_or(0);
                bytes.is_none()
            });
            opened.push(match topic {
                Some(topic) => Some(self.join_in_pieces(topic, start).await?),
                None => None,
            });
        }
        // Nothing may wait between the first of these joins and the replay, or deliveries would go before what was missed.
        let mut late = Vec::new();
        for (index, (pattern, start)) in wanted.iter().enumerate() {
            if opened[index].is_none() {
                self.check_subscribe(pattern, start)?;
                opened[index] = self.joins.join(pattern, start, None);
                if opened[index].is_none() {
                    // Memory has let go of the topic since the check above.
                    late.push((index, self.joins.hold(pattern, None)));
                }
            }
        }
        let mut missed = Vec::new();
        let mut subscribed: Vec<_> =
            opened.into_iter().map(|opened| opened.map(|opened| take_missed(opened, &mut missed))).collect();
        missed.sort_by_key(|publication| publication.accepted_us);
        self.replies.replay(missed);
        for (index, topic) in late {
            let resumed = self.worker.engine.resume(&topic, &wanted[index].1).await;
            let opened = self.joins.begin_catching_up(topic, resumed)?;
            let mut missed = Vec::new();
            subscribed[index] = Some(take_missed(opened, &mut missed));
            self.replies.replay(missed);
        }
        Ok(subscribed.into_iter().flatten().collect())
    }

    /// Subscribes to a topic of which the session missed more than it can be sent at once, or what is on disk. Nothing of it is delivered before [`SessionRuntime::poll`] has sent the session
    /// the rest of what it missed.
    async fn join_in_pieces(&mut self, topic: Topic, start: &Start) -> Result<Opened, Refusal> {
        let topic = self.joins.hold(&topic.into(), None);
        let resumed = self.worker.engine.resume(&topic, start).await;
        self.joins.begin_catching_up(topic, resumed)
    }

    /// Subscribes to what a request names, and announces the subscription now or when the disk has been read. `permit` allows it, if
    /// the session itself may not.
    pub(super) fn subscribe_for(
        &mut self,
        requested_by: RequestedBy,
        pattern: &Pattern,
        start: Start,
        permit: Option<&Arc<Holder>>,
    ) {
        match self.joins.join(pattern, &start, permit) {
            Some(opened) => self.announce(requested_by, pattern.clone(), opened),
            None => {
                let topic = self.joins.hold(pattern, permit);
                let engine = self.worker.engine.clone();
                self.joins.begin_read(Read::resume(engine, requested_by, topic, start));
            }
        }
        if permit.is_some() {
            self.schedule_expiry();
        }
    }

    /// Continues with the result of a background read.
    pub(super) fn read_ended(&mut self, result: ReadResult) {
        match result {
            ReadResult::Resumed { requested_by, topic, result } => {
                let pattern = Pattern::from(topic.clone());
                match self.joins.begin_catching_up(topic, result) {
                    Ok(opened) => self.announce(requested_by, pattern, opened),
                    Err(refusal) => self.refuse_subscription(requested_by, pattern, refusal),
                }
            }
            ReadResult::CaughtUp { topic, joined } => {
                let missed = self.joins.caught_up(&topic, joined);
                self.replies.replay(missed);
            }
            ReadResult::Answered(Some(frame)) => self.replies.send(&frame),
            ReadResult::Answered(None) => {}
        }
    }

    /// Announces a subscription, and sends what the session missed.
    fn announce(&mut self, requested_by: RequestedBy, pattern: Pattern, opened: Opened) {
        let Opened { head: position, recovered, missed } = opened;
        match requested_by {
            RequestedBy::Client(id) => {
                self.replies.reply(id, || Reply::Subscribed { pattern, position, recovered });
            }
            RequestedBy::Application => {
                self.replies.send(&ServerFrame::Subscribed { pattern, position, recovered });
            }
        }
        self.replies.replay(missed);
    }

    /// Announces that a subscription failed.
    fn refuse_subscription(&mut self, requested_by: RequestedBy, pattern: Pattern, refusal: Refusal) {
        let Refusal { code, message } = refusal;
        self.replies.send(&match requested_by {
            RequestedBy::Client(id) => ServerFrame::Error { id, code, message },
            RequestedBy::Application => ServerFrame::Unsubscribed { pattern, code, reason: message },
        });
    }
}

/// Moves what was missed to `missed`.
fn take_missed(opened: Opened, missed: &mut Vec<Arc<Publication>>) -> Subscribed {
    let Opened { head, recovered, missed: mut own } = opened;
    let has_missed = !own.is_empty();
    let first = own.first().map(|first| first.offset);
    let after = head.map(|head| match first {
        Some(offset) => Position { offset, ..head }.bound_before(),
        None => head,
    });
    missed.append(&mut own);
    Subscribed { after, recovered, has_missed }
}
