//! One topic as operators are shown it: where it stands, what it holds, who listens, and by which rule.

use std::sync::Arc;

use fanwire_core::access::Refusal;
use fanwire_core::rules::TopicPolicy;
use fanwire_protocol::{Position, Topic};

use super::Engine;

/// What is known of one topic.
#[derive(Debug)]
pub(crate) struct TopicDetails {
    /// The pattern of the rule that holds for it, as it is configured; `None` if no rule speaks of it.
    pub(crate) rule: Option<String>,
    pub(crate) policy: TopicPolicy,
    /// What it is doing; `None` if it does not exist now, because nobody listens to it and nothing is held.
    pub(crate) state: Option<TopicActivity>,
}

/// What a topic holds and who listens to it.
#[derive(Debug)]
pub(crate) struct TopicActivity {
    /// Where it stands.
    pub(crate) head: Position,
    /// When the newest publication was accepted, in milliseconds since 1970.
    pub(crate) newest_ts: Option<u64>,
    /// How many publications are held in memory, and the memory accounted for them.
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// How many subscriptions there are, and how many of them are to patterns.
    pub(crate) subscribers: u64,
    pub(crate) pattern_subscribers: u64,
    /// How many members are present.
    pub(crate) members: usize,
}

impl Engine {
    /// What is known of a topic. Asking makes none; of one that rests on disk, what the disk knows is read.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) async fn describe(self: &Arc<Self>, topic: &Topic) -> Result<TopicDetails, Refusal> {
        let (rule, policy) = {
            let rules = self.rules();
            (rules.rule_of(topic).map(|rule| rule.pattern.to_string()), rules.policy_of(topic))
        };
        if policy.durable
            && self.has_store()
            && self.find(topic).is_none_or(|state| !state.lock().is_loaded())
        {
            self.load_head(topic).await?;
        }
        Ok(TopicDetails { rule, policy, state: self.activity(topic) })
    }

    fn activity(&self, topic: &Topic) -> Option<TopicActivity> {
        let state = self.find(topic)?;
        let mut locked = state.lock();
        let before = locked.held();
        locked.trim(crate::clock::monotonic_us());
        self.released(before, locked.held());
        locked.refresh_patterns(state.name(), &self.patterns);
        let (bytes, messages) = locked.held();
        Some(TopicActivity {
            head: locked.log().head(),
            newest_ts: locked.log().newest_ts(),
            messages,
            bytes,
            subscribers: locked.subscribers(),
            pattern_subscribers: locked.pattern_subscribers(),
            members: locked.member_count(),
        })
    }
}
