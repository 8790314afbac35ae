//! Rules: the policy of all topics matching a pattern, first match wins.

use std::sync::Arc;

use fanwire_protocol::Topic;

use crate::limits::HistoryLimits;
use crate::rate::Rate;
use crate::rule_pattern::RulePattern;

/// The identities that a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Every identity.
    #[default]
    Anyone,
    /// Every identity with credentials that were accepted.
    Authenticated,
    /// Identities whose credentials grant the topic.
    Granted,
}

/// What happens to a delivery that does not fit into a session's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowPolicy {
    /// The session is closed: whoever must see everything comes back and resumes.
    #[default]
    Disconnect,
    /// The delivery is skipped, and the session is told how many it missed.
    Skip,
    /// Of each topic only the newest publication waits; what it replaces is missed, and the session is told.
    Latest,
}

/// What holds for one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPolicy {
    /// What it keeps.
    pub history: HistoryLimits,
    /// What happens to sessions that do not keep up with it.
    pub slow: SlowPolicy,
    /// How many publications it takes; `None` is no limit.
    pub rate: Option<Rate>,
    /// Whether it is kept on disk, and publishes are acknowledged only once they are there.
    pub durable: bool,
    /// Whether it is known who is subscribed, and told who comes and goes.
    pub presence: bool,
}

impl TopicPolicy {
    /// What holds for a topic that no rule speaks of.
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
    /// Which topics.
    pub pattern: RulePattern,
    /// What holds for them.
    pub policy: TopicPolicy,
    /// Who may publish to them; `None` leaves that to [`Rules::unruled`].
    pub publish: Option<Access>,
    /// Who may subscribe to and read them; `None` leaves that to [`Rules::unruled`].
    pub subscribe: Option<Access>,
}

/// All rules, in the order of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The rules' policies in the same order, and at the end that of topics without a rule, to be shared by all topics.
    policies: Vec<Arc<TopicPolicy>>,
    unruled: Access,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Vec::new(), Access::default())
    }
}

impl Rules {
    /// Takes rules in the order in which they are asked, and who may do what no rule speaks of.
    pub fn new(rules: Vec<Rule>, unruled: Access) -> Self {
        let policies =
            rules.iter().map(|rule| rule.policy).chain([TopicPolicy::DEFAULT]).map(Arc::new).collect();
        Self { rules, policies, unruled }
    }

    /// Whether any rule limits how many publications a topic takes.
    pub fn has_rates(&self) -> bool {
        self.rules.iter().any(|rule| rule.policy.rate.is_some())
    }

    /// What holds for `topic`: the first matching rule's word, else [`TopicPolicy::DEFAULT`].
    pub fn policy_of(&self, topic: &Topic) -> TopicPolicy {
        **self.shared_policy_of(topic)
    }

    /// The same, to be held by many topics.
    pub fn shared_policy_of(&self, topic: &Topic) -> &Arc<TopicPolicy> {
        let rule = self.rules.iter().position(|rule| rule.pattern.every_user().matches(topic));
        &self.policies[rule.unwrap_or(self.rules.len())]
    }

    /// The rule that holds for `topic`, which is the first that matches.
    pub fn rule_of(&self, topic: &Topic) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.pattern.every_user().matches(topic))
    }

    /// The rules in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Who may do what no rule speaks of.
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
        check("anybody.own", 3);
        check("news", HistoryLimits::DEFAULT.messages);
    }
}
