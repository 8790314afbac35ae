//! Rules: the policy of all topics that match a pattern. The first match wins.

use std::sync::Arc;

use fanwire_protocol::{Pattern, Topic};

use crate::channels::Channels;
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

/// The time for which a channel without a rule keeps the events that late subscribers receive, in milliseconds.
const CACHE_TTL_MS: u64 = 30 * 60 * 1000;

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
    channels: Option<Box<ChannelPolicies>>,
}

/// The policies of topics that are channels of Pusher apps.
#[derive(Debug, Clone)]
struct ChannelPolicies {
    channels: Channels,
    /// In the order of the policies of [`Rules`]: the same with presence.
    with_presence: Vec<Arc<TopicPolicy>>,
    /// The policies of cached channels without a rule: without and with presence.
    cached: [Arc<TopicPolicy>; 2],
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
        Self { rules, policies, unruled, channels: None }
    }

    /// Returns the same rules where some topics are channels: those that are private or have presence require a grant unless a
    /// rule says otherwise, those with presence always keep it, and cached ones keep history.
    #[must_use]
    pub fn with_channels(mut self, channels: Channels) -> Self {
        let with_presence = |policy: &TopicPolicy| Arc::new(TopicPolicy { presence: true, ..*policy });
        let history = HistoryLimits { ttl_ms: CACHE_TTL_MS, ..HistoryLimits::DEFAULT };
        let cached = TopicPolicy { history, ..TopicPolicy::DEFAULT };
        self.channels = Some(Box::new(ChannelPolicies {
            channels,
            with_presence: self.policies.iter().map(|policy| with_presence(policy)).collect(),
            cached: [Arc::new(cached), with_presence(&cached)],
        }));
        self
    }

    /// Returns the access to `pattern` where no rule names any: a pattern that may match a private channel requires a grant.
    pub fn default_access(&self, pattern: &Pattern) -> Access {
        match &self.channels {
            Some(policies) if policies.channels.restrict(pattern) => Access::Granted,
            _ => self.unruled,
        }
    }

    /// Returns whether the subscribers of `topic` receive the number of subscribers.
    pub fn counts_subscribers_of(&self, topic: &Topic) -> bool {
        self.channels.as_ref().is_some_and(|policies| policies.channels.count_subscribers(topic))
    }

    /// Returns whether a rule names the access that subscribers of `topic` need.
    pub fn rule_subscribers_of(&self, topic: &Topic) -> bool {
        self.rule_of(topic).is_some_and(|rule| rule.subscribe.is_some())
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
        let index = rule.unwrap_or(self.rules.len());
        let Some(policies) = &self.channels else { return &self.policies[index] };
        let has_presence = policies.channels.have_presence(topic);
        if rule.is_none() && policies.channels.are_cached(topic) {
            return &policies.cached[usize::from(has_presence)];
        }
        if has_presence { &policies.with_presence[index] } else { &self.policies[index] }
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

    #[test]
    fn channels_have_the_presence_and_the_history_that_their_names_say() {
        let rule = Rule {
            pattern: "ruled".parse().unwrap(),
            policy: TopicPolicy { history: HistoryLimits::OFF, ..TopicPolicy::DEFAULT },
            publish: None,
            subscribe: Some(Access::Authenticated),
        };
        let rules = Rules::new(vec![], Access::Anyone);
        let topic = |name: &str| name.parse::<Topic>().unwrap();
        assert!(!rules.policy_of(&topic("presence-a")).presence, "without apps there are no channels");
        let patterns = ["presence-ruled", "cache-ruled"]
            .map(|name| Rule { pattern: name.parse().unwrap(), ..rule.clone() });
        let rules = Rules::new(patterns.to_vec(), Access::Anyone).with_channels(Channels::new([""]));
        let of = |name: &str| rules.policy_of(&topic(name));
        assert!(of("presence-a").presence && of("presence-cache-a").presence && !of("private-a").presence);
        assert!(of("presence-ruled").presence, "whatever the rule says");
        assert_eq!(of("presence-ruled").history, HistoryLimits::OFF);
        assert_eq!(of("cache-a").history.ttl_ms, CACHE_TTL_MS);
        assert_eq!(of("presence-cache-a").history.ttl_ms, CACHE_TTL_MS);
        assert_eq!(of("cache-ruled").history, HistoryLimits::OFF, "a rule decides");
        assert_eq!(of("a"), TopicPolicy::DEFAULT);
        assert_eq!(rules.default_access(&"private-a".parse().unwrap()), Access::Granted);
        assert_eq!(rules.default_access(&"a".parse().unwrap()), Access::Anyone);
        assert!(rules.rule_subscribers_of(&topic("cache-ruled")) && !rules.rule_subscribers_of(&topic("a")));
    }
}
