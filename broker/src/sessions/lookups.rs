//! Lookups over HTTP, without a session: the members of a topic, and RPC callouts.

use std::sync::Arc;

use fanwire_core::access::{Action, Refusal, decide};
use fanwire_core::identity::Identity;
use fanwire_protocol::{ErrorCode, Member, Pattern, Payload, Topic};

use crate::engine::Engine;
use crate::hooks::{CalloutClient, Hooks};

/// Answers lookups after the same checks that a session's frames go through.
#[derive(Clone)]
pub(crate) struct Lookups {
    engine: Arc<Engine>,
    hooks: Arc<Hooks>,
    members_max: usize,
}

impl Lookups {
    /// Lookups of which one names at most `members_max` members.
    pub(crate) fn new(engine: Arc<Engine>, hooks: Arc<Hooks>, members_max: usize) -> Self {
        Self { engine, hooks, members_max }
    }

    /// Returns the members of `topic` and whether there are more than are named; `None` if the topic keeps no presence.
    ///
    /// # Errors
    /// If `identity` may not read them, or the callout fails.
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
        self.hooks.subscribe(client(identity), &pattern).await?;
        Ok(self.engine.members().list(topic, self.members_max))
    }

    /// Makes an RPC callout and returns the answer.
    ///
    /// # Errors
    /// If the application refuses it, or the callout fails.
    pub(crate) async fn request(
        &self,
        identity: &Identity,
        method: &str,
        data: &Payload,
    ) -> Result<Payload, Refusal> {
        self.hooks.request(client(identity), method, data).await
    }
}

fn client(identity: &Identity) -> CalloutClient {
    CalloutClient { identity: identity.clone(), connection: None }
}

/// Returns the refusal to read the members of a topic that keeps no presence.
pub(crate) fn no_presence(topic: &Topic) -> Refusal {
    let message = format!("'{topic}' keeps no presence: a [[topic]] rule with presence = true changes that");
    Refusal { code: ErrorCode::Unavailable, message }
}
