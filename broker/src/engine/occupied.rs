//! Which topics and patterns are listened to at all, for the application that wants to be told.
//!
//! Listening begins and ends under the topic's lock, a pattern's under that of the pattern tree, so what is told of each is in order.

use std::sync::Arc;

use fanwire_protocol::{Pattern, Topic};

use super::Engine;
use super::topic::Locked;
use crate::hooks::Webhooks;

impl Engine {
    /// Has `webhooks` told who comes to topics and leaves them.
    pub(crate) fn with_webhooks(self, webhooks: Option<Arc<Webhooks>>) -> Self {
        Self { webhooks, ..self }
    }

    /// Notes that `worker` has one more subscription to a topic.
    pub(super) fn begin_listening(&self, locked: &mut Locked<'_>, name: &Topic, worker: usize) {
        let was_vacant = locked.listen(worker, self.inboxes.len());
        if was_vacant && let Some(webhooks) = &self.webhooks {
            webhooks.occupied(&name.clone().into());
        }
    }

    /// Notes that `worker` has one subscription to a topic less.
    pub(super) fn end_listening(&self, locked: &mut Locked<'_>, name: &Topic, worker: usize) {
        let is_vacant = locked.stop_listening(worker);
        if is_vacant && let Some(webhooks) = &self.webhooks {
            webhooks.vacated(&name.clone().into());
        }
    }

    /// Begins to listen to all topics that match a pattern with wildcards.
    pub(crate) fn join_pattern(&self, pattern: &Pattern, worker: usize) {
        self.patterns.listen(pattern, worker, || {
            if let Some(webhooks) = &self.webhooks {
                webhooks.occupied(pattern);
            }
        });
    }

    /// Ends what [`Engine::join_pattern`] began.
    pub(crate) fn leave_pattern(&self, pattern: &Pattern, worker: usize) {
        self.patterns.stop_listening(pattern, worker, || {
            if let Some(webhooks) = &self.webhooks {
                webhooks.vacated(pattern);
            }
        });
    }

    /// Notes that somebody asks for what is new again and again, and need not listen because there is something already.
    pub(crate) fn look_in(&self, pattern: &Pattern) {
        if let Some(webhooks) = &self.webhooks {
            webhooks.looked_in(pattern);
        }
    }

    /// Tells that nobody is anywhere any more. All sessions are over, and the broker stops.
    pub(crate) fn conclude(&self) {
        if let Some(webhooks) = &self.webhooks {
            self.expire_presence(u64::MAX);
            webhooks.conclude();
        }
    }
}
