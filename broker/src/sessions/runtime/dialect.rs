//! Requests of a dialect for its client, made after it has checked the credentials itself: signatures that the authenticator does not know.
//!
//! Rules, limits, callouts and rates hold for these requests as for all others. This file does not know what was signed.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::identity::{Holder, Identity};
use fanwire_core::session::{Close, PublishRequest};
use fanwire_protocol::{Pattern, Payload, Topic};

use super::SessionRuntime;
use crate::sessions::replies::ReplyWriter;

impl SessionRuntime {
    /// Has the answers to requests written by `reply_writer` before the format is asked for them.
    pub(crate) fn write_replies_by(&mut self, reply_writer: ReplyWriter) {
        self.replies.write_by(reply_writer);
    }

    /// Subscribes to a topic by the request `id`. `permit` allows it if the session itself may not, and names the user as which the
    /// session is a member of the topic.
    pub(crate) fn subscribe_under(
        &mut self,
        id: u32,
        topic: Topic,
        permit: Option<Arc<Holder>>,
    ) -> Option<Close> {
        let effect = {
            let rules = self.worker.engine.rules();
            self.handle.session_mut().subscribe_under(id, topic, permit, self.worker.terms(&rules))
        };
        self.run(effect)
    }

    /// Publishes by the request `id` in the name of `holder`, whose grants allow it if the rules do not.
    pub(crate) fn publish_under(
        &mut self,
        id: u32,
        request: PublishRequest,
        holder: Holder,
    ) -> Option<Close> {
        self.publish(Some(id), request, &Identity::holder(holder))
    }

    /// Gives the session of a guest its user, by which the registry of sessions finds it from then on.
    ///
    /// # Errors
    /// If the session has another user.
    pub(crate) fn sign_in(&mut self, user: Arc<str>, info: Option<Payload>) -> Result<(), Refusal> {
        let user_before = self.handle.user();
        self.handle.session_mut().sign_in(user, info)?;
        self.worker.registry.reindex(&self.handle, user_before);
        Ok(())
    }

    /// Returns whether the session is subscribed to exactly this topic.
    pub(crate) fn is_subscribed(&self, topic: &Topic) -> bool {
        self.handle.is_subscribed(&topic.clone().into())
    }

    /// Returns the user as which the session is a member of a topic.
    pub(crate) fn member_of(&self, topic: &Topic) -> Option<Arc<str>> {
        self.handle.session().member_session_in(&Pattern::from(topic.clone())).user
    }

    /// Returns the user of the session, and what presence shows of the user.
    pub(crate) fn signed_in(&self) -> Option<(Arc<str>, Option<Payload>)> {
        let session = self.handle.session();
        let identity = session.identity();
        Some((identity.user()?.clone(), identity.info().cloned()))
    }

    /// Returns the broker's number for the connection.
    pub(crate) fn connection_number(&self) -> u64 {
        self.handle.connection()
    }
}
