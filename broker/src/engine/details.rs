//! One topic as operators see it: its rule, its head, what it holds, and how many subscribe to it.

use fanwire_core::access::Refusal;
use fanwire_core::rules::TopicPolicy;
use fanwire_protocol::{Position, Topic};

use super::archive::TopicRecord;
use super::archived::Archived;
use super::topics::Topics;
use crate::clock;

/// The details of one topic.
#[derive(Debug)]
pub(crate) struct TopicDetails {
    /// The pattern of the rule that applies to it, as it is configured; `None` if no rule does.
    pub(crate) rule: Option<String>,
    pub(crate) policy: TopicPolicy,
    /// Its state; `None` if it does not exist, because it has no subscribers and holds nothing.
    pub(crate) state: Option<TopicActivity>,
}

/// The history of a topic, and its subscribers.
#[derive(Debug)]
pub(crate) struct TopicActivity {
    /// The newest position of the topic.
    pub(crate) head: Position,
    /// The time at which the newest publication was accepted, in milliseconds since 1970.
    pub(crate) newest_ts: Option<u64>,
    /// The number of publications held in memory, and the memory accounted for them.
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// The number of subscriptions, and how many of them are to patterns.
    pub(crate) subscribers: u64,
    pub(crate) pattern_subscribers: u64,
    /// The number of members.
    pub(crate) members: usize,
}

/// Describes a topic. Creates none; the head of one that is not in memory is read from the archive.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn describe(
    topics: &Topics,
    archived: Option<&Archived>,
    topic: &Topic,
) -> Result<TopicDetails, Refusal> {
    let (rule, policy) = {
        let rules = topics.rules();
        (rules.rule_of(topic).map(|rule| rule.pattern.to_string()), rules.policy_of(topic))
    };
    let is_loaded = topics.with_existing(topic, |locked, _| locked.is_loaded());
    let mut record = None;
    if let Some(archived) = archived
        && topics.is_archived(&policy)
        && is_loaded != Some(true)
    {
        record = archived.load_head(topic).await?;
    }
    let state = activity(topics, topic).or_else(|| record.map(at_rest));
    Ok(TopicDetails { rule, policy, state })
}

/// Returns the state of a topic in memory; `None` if it does not exist.
pub(super) fn activity(topics: &Topics, topic: &Topic) -> Option<TopicActivity> {
    topics.with_existing(topic, |locked, state| {
        locked.trim(clock::monotonic_us());
        locked.refresh_patterns(state.name(), topics.patterns());
        let held = locked.held();
        TopicActivity {
            head: locked.log().head(),
            newest_ts: locked.log().newest_ts(),
            messages: held.publications,
            bytes: held.bytes,
            subscribers: locked.subscribers(),
            pattern_subscribers: locked.pattern_subscribers(),
            members: locked.member_count(),
        }
    })
}

/// A topic that is in the archive only.
fn at_rest(TopicRecord { head, newest_ts }: TopicRecord) -> TopicActivity {
    TopicActivity {
        head,
        newest_ts: (newest_ts > 0).then_some(newest_ts),
        messages: 0,
        bytes: 0,
        subscribers: 0,
        pattern_subscribers: 0,
        members: 0,
    }
}
