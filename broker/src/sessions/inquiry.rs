//! What may be asked without a session: who is present in a topic, and what only the application knows.

use std::sync::Arc;

use fanwire_core::access::{Action, Refusal, decide};
use fanwire_core::identity::Identity;
use fanwire_protocol::{ErrorCode, Member, Pattern, Payload, Topic};

use crate::engine::Engine;
use crate::hooks::{CalloutClient, Hooks};

/// Answers questions of those who come over plain HTTP, after the same checks that a session's frames go through.
#[derive(Clone)]
pub(crate) struct Inquiry {
    engine: Arc<Engine>,
    hooks: Arc<Hooks>,
    members_max: usize,
}

impl Inquiry {
    /// One answer names at most `members_max` members.
    pub(crate) fn new(engine: Arc<Engine>, hooks: Arc<Hooks>, members_max: usize) -> Self {
        Self { engine, hooks, members_max }
    }

    /// Says who is present in `topic`, and whether there are more than are named; `None` where no presence is kept.
    ///
    /// # Errors
    /// If `identity` may not know, or the application cannot be asked whether it may.
    pub(crate) async fn members(
        &self,
        identity: &Identity,
        topic: &Topic,
    ) -> Result<Option<(Vec<Member>, bool)>, Refusal> {
        let pattern = Pattern::from(topic.clone());
        {
            let rules = self.engine.rules();
            decide(&rules, identity, Action::ReadPresence, &pattern)?;
        }
        self.hooks.subscribe(asker(identity), &pattern).await?;
        Ok(self.engine.members(topic, self.members_max))
    }

    /// Asks the application.
    ///
    /// # Errors
    /// If it does not answer `identity`, or cannot be asked.
    pub(crate) async fn request(
        &self,
        identity: &Identity,
        method: &str,
        data: &Payload,
    ) -> Result<Payload, Refusal> {
        self.hooks.request(asker(identity), method, data).await
    }
}

fn asker(identity: &Identity) -> CalloutClient {
    CalloutClient { identity: identity.clone(), connection: None }
}

/// What is said of a topic that keeps no presence.
pub(crate) fn no_presence(topic: &Topic) -> Refusal {
    let message = format!("'{topic}' keeps no presence: a [[topic]] rule with presence = true changes that");
    Refusal { code: ErrorCode::Unavailable, message }
}
