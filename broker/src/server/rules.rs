//! From the configuration to the rules of topics, in the types of the core.

use fanwire_core::channels::Channels;
use fanwire_core::limits::HistoryLimits;
use fanwire_core::rate::Rate;
use fanwire_core::rules::{Rule, Rules, SlowPolicy, TopicPolicy};

use super::credentials::unruled_access;
use super::error::ServeError;
use crate::config::{Config, HistoryRule, RateLimit, SlowRule};

/// Builds the rules of `config`, in the order of the configuration.
///
/// # Errors
/// If a pattern is not valid.
pub(super) fn rules_of(config: &Config) -> Result<Rules, ServeError> {
    let mut rules = Vec::new();
    for rule in &config.topics {
        let pattern = rule
            .pattern
            .parse()
            .map_err(|source| ServeError::Pattern { pattern: rule.pattern.clone(), source })?;
        let history = rule.history.as_ref().map_or(HistoryLimits::OFF, history_limits);
        let slow = match rule.slow {
            SlowRule::Disconnect => SlowPolicy::Disconnect,
            SlowRule::Skip => SlowPolicy::Skip,
            SlowRule::Latest => SlowPolicy::Latest,
        };
        let policy = TopicPolicy {
            history,
            slow,
            rate: rule.rate.map(rate),
            durable: rule.durable,
            presence: rule.presence,
        };
        rules.push(Rule { pattern, policy, publish: rule.publish, subscribe: rule.subscribe });
    }
    let rules = Rules::new(rules, unruled_access(config));
    let prefixes = config.pusher_apps.iter().map(|app| app.prefix.as_deref().unwrap_or_default());
    let counting = config.pusher_apps.iter().filter(|app| app.subscription_count);
    let counting = counting.map(|app| app.prefix.as_deref().unwrap_or_default());
    let channels = Channels::new(prefixes).counting(counting);
    Ok(if config.pusher_apps.is_empty() { rules } else { rules.with_channels(channels) })
}

/// Converts a configured rate into the rate of the core.
pub(super) fn rate(limit: RateLimit) -> Rate {
    Rate { per_second: limit.per_second, burst: limit.burst }
}

fn history_limits(rule: &HistoryRule) -> HistoryLimits {
    let number =
        |value: Option<u64>| value.map_or(usize::MAX, |value| usize::try_from(value).unwrap_or(usize::MAX));
    HistoryLimits {
        messages: number(rule.messages),
        bytes: number(rule.bytes),
        ttl_ms: rule.ttl.map_or(u64::MAX / 2000, |ttl| ttl.as_millis() as u64),
    }
}
