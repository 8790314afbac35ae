//! Rules: the policy of all topics matching a pattern, first match wins.

use fanwire_protocol::{Pattern, Topic};

use crate::HistoryLimits;

/// The policy of all topics that match a pattern.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which topics.
    pub pattern: Pattern,
    /// What they keep.
    pub history: HistoryLimits,
}

/// All rules, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Takes rules in the order in which they are asked.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// What `topic` keeps: the first matching rule's word, else [`HistoryLimits::DEFAULT`].
    pub fn history_of(&self, topic: &Topic) -> HistoryLimits {
        let rule = self.0.iter().find(|rule| rule.pattern.matches(topic));
        rule.map_or(HistoryLimits::DEFAULT, |rule| rule.history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_decides() {
        let rule = |pattern: &str, messages| Rule {
            pattern: pattern.parse().unwrap(),
            history: HistoryLimits { messages, bytes: 1, ttl_ms: 1 },
        };
        let rules = Rules::new(vec![rule("chat.lobby", 1), rule("chat.>", 2)]);
        let check = |topic: &str, messages| {
            assert_eq!(rules.history_of(&topic.parse().unwrap()).messages, messages, "{topic}");
        };
        check("chat.lobby", 1);
        check("chat.other", 2);
        check("news", HistoryLimits::DEFAULT.messages);
    }
}
