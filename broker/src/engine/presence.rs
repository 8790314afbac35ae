//! Presence: the members of topics whose rule asks for it. Subscribers receive each change in the topic's order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use fanwire_core::notice::Notice;
use fanwire_core::presence::{Departure, MemberSession, PresenceEvent};
use fanwire_protocol::{Member, Topic};

use super::archive::Origin;
use super::observer::Observer;
use super::topic::Locked;
use super::topics::Topics;
use crate::clock;

/// Graces are looked at once a second, so they are kept by the second in which they elapse.
const SECOND_MS: u64 = 1000;

/// The members of all topics.
pub(crate) struct Members {
    topics: Arc<Topics>,
    grace_ms: u64,
    /// The topics in which graces run, by the second in which they have elapsed. There is one entry for a topic and second, and
    /// such a topic has a member, so the accounting of members bounds this too.
    graces: Mutex<BTreeSet<(u64, Topic)>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Members {
    /// A user whose connection breaks stays a member for `grace_ms`. `observer` learns of every change.
    pub(super) fn new(topics: Arc<Topics>, grace_ms: u64, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { topics, grace_ms, graces: Mutex::default(), observer }
    }

    /// Adds a session to the members of a topic, if its rule keeps presence. The session at `place` receives no notice of itself.
    pub(crate) fn enter(&self, topic: &Topic, member_session: &MemberSession, place: Origin) {
        self.topics.with_existing(topic, |locked, state| {
            if !locked.policy().presence || self.topics.memory().check_presence().is_err() {
                return;
            }
            let event = locked.presence().get_or_insert_default().enter(member_session);
            if let Some(event) = event {
                self.announce(locked, state.name(), event, Some(place));
            }
        });
    }

    /// Removes a session from the members of a topic.
    pub(super) fn exit(
        &self,
        locked: &mut Locked<'_>,
        topic: &Topic,
        member_session: &MemberSession,
        departure: Departure,
    ) {
        let Some(presence) = locked.presence() else { return };
        let (now_ms, grace_ms) = (clock::monotonic_ms(), self.grace_ms);
        let (user, connection) = (member_session.user.as_ref(), member_session.connection);
        let event = presence.exit(user, connection, departure, now_ms, grace_ms);
        match event {
            Some(event) => self.announce(locked, topic, event, None),
            None if departure == Departure::Broken => {
                let second = now_ms.saturating_add(grace_ms).div_ceil(SECOND_MS);
                let mut graces = self.graces.lock().unwrap_or_else(PoisonError::into_inner);
                graces.insert((second, topic.clone()));
            }
            None => {}
        }
        locked.presence().take_if(|presence| presence.is_empty());
    }

    /// Removes the users whose graces have elapsed at `now_ms`.
    pub(crate) fn expire(&self, now_ms: u64) {
        while let Some(topic) = self.take_elapsed(now_ms) {
            self.topics.with_existing(&topic, |locked, state| {
                let gone = locked.presence().as_mut().map(|presence| presence.expire(now_ms));
                for event in gone.unwrap_or_default() {
                    self.announce(locked, state.name(), event, None);
                }
                locked.presence().take_if(|presence| presence.is_empty());
            });
        }
    }

    /// Returns whether the rule of a topic keeps presence.
    pub(crate) fn are_kept(&self, topic: &Topic) -> bool {
        self.topics.policy_of(topic).presence
    }

    /// Returns at most `limit` members of a topic, and whether there are more; `None` if its rule keeps no presence.
    pub(crate) fn list(&self, topic: &Topic, limit: usize) -> Option<(Vec<Member>, bool)> {
        let list = || {
            self.topics.with_existing(topic, |locked, _| {
                locked.presence().as_ref().map(|presence| presence.members(limit))
            })
        };
        self.are_kept(topic).then(|| list().flatten().unwrap_or_default())
    }

    fn take_elapsed(&self, now_ms: u64) -> Option<Topic> {
        let mut graces = self.graces.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, _) = graces.first()?;
        if second.saturating_mul(SECOND_MS) > now_ms {
            return None;
        }
        graces.pop_first().map(|(_, topic)| topic)
    }

    /// Reports a change to the observer and to all subscribers but `except`.
    fn announce(&self, locked: &mut Locked<'_>, topic: &Topic, event: PresenceEvent, except: Option<Origin>) {
        if let Some(observer) = &self.observer {
            match &event {
                PresenceEvent::Join(member) => observer.member_joined(topic, member),
                PresenceEvent::Leave(member) => observer.member_left(topic, member),
            }
        }
        let notice = Arc::new(Notice::new(topic.clone(), event, except, locked.policy().slow));
        locked.refresh_patterns(topic, self.topics.patterns());
        for inbox in locked.subscribed_inboxes(self.topics.inboxes()) {
            inbox.push_notice(notice.clone());
        }
    }
}
