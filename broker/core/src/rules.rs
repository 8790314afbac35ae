//! Rules: the policy of all topics that match a pattern. The first match wins.

use std::sync::Arc;

use fanwire_protocol::Topic;

use crate::limits::HistoryLimits;
use crate::rate::Rate;
use crate::rule_pattern::RulePattern;

/// The identities that a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Every identity, anonymous included.
    #[default]
    Anyone,
    /// Every identity with credentials that were accepted.
    Authenticated,
    /// Identities whose credentials grant the topic.
    Granted,
}

/// The rule for a delivery that does not fit into a session's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowPolicy {
    /// The session is closed, so that a client that needs every publication reconnects and resumes.
    #[default]
    Disconnect,
    /// The delivery is skipped, and the session receives the number of publications it missed.
    Skip,
    /// Of each topic only the newest publication waits; the session receives the number of those it replaced.
    Latest,
}

/// The policy of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPolicy {
    /// The bounds of its history.
    pub history: HistoryLimits,
    /// The rule for sessions that do not keep up.
    pub slow: SlowPolicy,
    /// The maximum rate of publications; `None` is no limit.
    pub rate: Option<Rate>,
    /// Whether it is kept on disk, and a publish is acknowledged only once it is there.
    pub durable: bool,
    /// Whether it keeps presence: its members can be listed, and subscribers receive changes.
    pub presence: bool,
}

impl TopicPolicy {
    /// The policy of a topic that matches no rule.
    pub const DEFAULT: TopicPolicy = TopicPolicy {
        history: HistoryLimits::DEFAULT,
        slow: SlowPolicy::Disconnect,
        rate: None,
        durable: false,
        presence: false,
    };
}

/// The policy of all topics that match a pattern.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The pattern of the topics.
    pub pattern: RulePattern,
    /// The policy of these topics.
    pub policy: TopicPolicy,
    /// The identities that may publish to them; `None` leaves that to [`Rules::unruled`].
    pub publish: Option<Access>,
    /// The identities that may subscribe to them and read them; `None` leaves that to [`Rules::unruled`].
    pub subscribe: Option<Access>,
}

/// All rules, in the order of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The policies of the rules in the same order, and last that of topics without a rule, to be shared by all topics.
    policies: Vec<Arc<TopicPolicy>>,
    unruled: Access,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Vec::new(), Access::default())
    }
}

impl Rules {
    /// Creates rules from a list in which the first match wins; `unruled` is the access to topics that match none.
    pub fn new(rules: Vec<Rule>, unruled: Access) -> Self {
        let policies =
            rules.iter().map(|rule| rule.policy).chain([TopicPolicy::DEFAULT]).map(Arc::new).collect();
        Self { rules, policies, unruled }
    }

    /// Returns whether any rule limits the rate of publications.
    pub fn has_rates(&self) -> bool {
        self.rules.iter().any(|rule| rule.policy.rate.is_some())
    }

    /// Returns the policy of `topic`: that of the first matching rule, else [`TopicPolicy::DEFAULT`].
    pub fn policy_of(&self, topic: &Topic) -> TopicPolicy {
        **self.shared_policy_of(topic)
    }

    /// Returns the same, to be shared by many topics.
    pub fn shared_policy_of(&self, topic: &Topic) -> &Arc<TopicPolicy> {
        let rule = self.rules.iter().position(|rule| rule.pattern.every_user().matches(topic));
        &self.policies[rule.unwrap_or(self.rules.len())]
    }

    /// Returns the rule that applies to `topic`: the first that matches.
    pub fn rule_of(&self, topic: &Topic) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.pattern.every_user().matches(topic))
    }

    /// Returns the rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Returns the access to topics that match no rule.
    pub fn unruled(&self) -> Access {
        self.unruled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_decides() {
        let rule = |pattern: &str, messages| Rule {
            pattern: pattern.parse().unwrap(),
            policy: TopicPolicy {
                history: HistoryLimits { messages, bytes: 1, ttl_ms: 1 },
                slow: SlowPolicy::Skip,
                rate: None,
                durable: false,
                presence: false,
            },
            publish: None,
            subscribe: None,
        };
        let rules =
            Rules::new(vec![rule("chat.lobby", 1), rule("{user}.own", 3), rule("chat.>", 2)], Access::Anyone);
        let check = |topic: &str, messages| {
            assert_eq!(rules.policy_of(&topic.parse().unwrap()).history.messages, messages, "{topic}");
        };
        check("chat.lobby", 1);
        check("chat.other", 2);
        check("ann.own", 3);
        check("news", HistoryLimits::DEFAULT.messages);
    }
}
