//! Presence: who comes to the topics whose rule asks for it and leaves them, told to their subscribers in the topic's order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use fanwire_core::notice::Notice;
use fanwire_core::presence::{Departure, MemberSession, PresenceEvent};
use fanwire_core::subscribers::SessionKey;
use fanwire_protocol::{Member, Topic};

use super::Engine;
use super::topic::Locked;
use crate::clock;

/// The topics in which somebody's connection broke, and when the time to come back is up, in order.
#[derive(Debug)]
pub(super) struct Expected {
    grace_ms: u64,
    waiting: Mutex<VecDeque<(u64, Topic)>>,
}

impl Expected {
    /// Whoever does not come back within `grace_ms` is taken for gone.
    pub(super) fn new(grace_ms: u64) -> Self {
        Self { grace_ms, waiting: Mutex::default() }
    }

    /// Takes the next topic whose time is up at `now_ms`.
    fn take(&self, now_ms: u64) -> Option<Topic> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front_if(|(due_ms, _)| *due_ms <= now_ms).map(|(_, topic)| topic)
    }

    fn add(&self, due_ms: u64, topic: &Topic) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((due_ms, topic.clone()));
    }
}

impl Engine {
    /// Notes that the session at `place` has come to a topic, if presence is kept there.
    pub(crate) fn enter(&self, topic: &Topic, member_session: &MemberSession, place: (usize, SessionKey)) {
        self.with_topic(topic, |locked, state| {
            if !locked.policy().presence {
                return;
            }
            let movement = locked.presence().get_or_insert_default().enter(member_session);
            if let Some(movement) = movement {
                self.tell(locked, state.name(), movement, Some(place));
            }
        });
    }

    /// Notes that a session has gone from a topic, if it was present there.
    pub(super) fn exit(
        &self,
        locked: &mut Locked<'_>,
        topic: &Topic,
        member_session: &MemberSession,
        departure: Departure,
    ) {
        let Some(presence) = locked.presence() else { return };
        let (now_ms, grace_ms) = (clock::monotonic_ms(), self.expected.grace_ms);
        let (user, connection) = (member_session.user.as_ref(), member_session.connection);
        let movement = presence.exit(user, connection, departure, now_ms, grace_ms);
        match movement {
            Some(movement) => self.tell(locked, topic, movement, None),
            None if departure == Departure::Broken => self.expected.add(now_ms + grace_ms, topic),
            None => {}
        }
        locked.presence().take_if(|presence| presence.is_empty());
    }

    /// Takes those for gone whose time to come back is up at `now_ms`.
    pub(crate) fn expire_presence(&self, now_ms: u64) {
        while let Some(topic) = self.expected.take(now_ms) {
            self.with_topic(&topic, |locked, state| {
                let gone = locked.presence().as_mut().map(|presence| presence.expire(now_ms));
                for movement in gone.unwrap_or_default() {
                    self.tell(locked, state.name(), movement, None);
                }
                locked.presence().take_if(|presence| presence.is_empty());
            });
        }
    }

    /// At most `limit` of those who are present in a topic, and whether there are more; `None` if presence is not kept there.
    pub(crate) fn members(&self, topic: &Topic, limit: usize) -> Option<(Vec<Member>, bool)> {
        if !self.policy_of(topic).presence {
            return None;
        }
        let Some(state) = self.find(topic) else { return Some((Vec::new(), false)) };
        let mut locked = state.lock();
        Some(locked.presence().as_ref().map_or((Vec::new(), false), |presence| presence.members(limit)))
    }

    fn tell(
        &self,
        locked: &mut Locked<'_>,
        topic: &Topic,
        movement: PresenceEvent,
        except: Option<(usize, SessionKey)>,
    ) {
        if let Some(webhooks) = &self.webhooks {
            webhooks.moved(topic, &movement);
        }
        let slow = locked.policy().slow;
        let notice = Arc::new(Notice::new(topic.clone(), movement, except, slow));
        locked.refresh_patterns(topic, &self.patterns);
        for inbox in locked.listening_inboxes(&self.inboxes) {
            inbox.push_notice(notice.clone());
        }
    }
}
