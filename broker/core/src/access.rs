//! Access: the one decision that guards every path that delivers or accepts publications.
//!
//! It is a pure function of the rules, the identity and the request. A pattern is allowed only if every topic that it can match is
//! allowed. Where only several grants or rules together would show that, the pattern is refused. This file does not know sessions.

use fanwire_protocol::{ErrorCode, Pattern};

use crate::identity::{Grants, Identity};
use crate::rules::{Access, Rule, Rules};

/// An action on topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publishing to a topic.
    Publish,
    /// Receiving what is published from now on.
    Subscribe,
    /// Reading what was published before.
    ReadHistory,
    /// Reading the members of a topic.
    ReadPresence,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Action; 4] =
        [Action::Publish, Action::Subscribe, Action::ReadHistory, Action::ReadPresence];

    fn phrase(self) -> &'static str {
        match self {
            Action::Publish => "publish to",
            Action::Subscribe => "subscribe to",
            Action::ReadHistory => "read the history of",
            Action::ReadPresence => "see who is present in",
        }
    }
}

/// An error that refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The error code, for programs.
    pub code: ErrorCode,
    /// The sentence for people: what is refused and what to do instead.
    pub message: String,
}

/// The topic of messages that the application sends to one session. Any session may subscribe to it, because nothing is ever published
/// there.
pub const DIRECT: &str = "$direct";

/// The first level of the topics that carry events to single users of a Pusher app. Only the broker joins sessions to them, by a
/// grant of exactly one topic, and only it publishes there.
pub const OF_USERS: &str = "$pusher";

/// Decides whether `identity` may do `action` with every topic of `pattern`.
///
/// Every path calls this: live delivery, replay, history, presence, HTTP, SSE, polling and bare WebSocket. Permission to subscribe
/// includes permission to read history and presence.
///
/// # Errors
/// Says what is refused and what to do instead.
pub fn decide(rules: &Rules, identity: &Identity, action: Action, pattern: &Pattern) -> Result<(), Refusal> {
    if action == Action::Publish && pattern.as_str().starts_with('$') {
        let message = "topics that start with '$' are the broker's own: publish to another topic".to_owned();
        return Err(Refusal { code: ErrorCode::Forbidden, message });
    }
    if is_of_users(pattern) {
        let is_granted = |grants: &Grants| grants.subscribe.iter().any(|granted| granted == pattern);
        let is_joined_by_broker = !pattern.is_wild() && identity.grants().is_some_and(is_granted);
        return if is_joined_by_broker { Ok(()) } else { Err(refusal(identity, action, pattern)) };
    }
    if pattern.as_str() == DIRECT
        || is_granted(identity, action, pattern)
        || rules_allow(rules, identity, action, pattern)
    {
        return Ok(());
    }
    let is_open = rules.unruled() == Access::Anyone;
    if is_open && !identity.is_authenticated() && rules.default_access(pattern) == Access::Granted {
        return Err(refusal_of_channel(action, pattern));
    }
    Err(refusal(identity, action, pattern))
}

/// Returns the refusal of a private channel on an open broker, where a token would not help.
fn refusal_of_channel(action: Action, pattern: &Pattern) -> Refusal {
    let phrase = action.phrase();
    let message = format!(
        "'{pattern}' is, or may match, a private channel of a Pusher app: to {phrase} it, sign the subscription or the request with the \
         secret of the app, or write a rule for the topic"
    );
    Refusal { code: ErrorCode::Forbidden, message }
}

fn is_of_users(pattern: &Pattern) -> bool {
    pattern.as_str().starts_with('$') && pattern.levels().next() == Some(OF_USERS)
}

/// Returns whether one grant contains all of `pattern`.
fn is_granted(identity: &Identity, action: Action, pattern: &Pattern) -> bool {
    identity.grants().is_some_and(|grants| {
        let patterns = if action == Action::Publish { &grants.publish } else { &grants.subscribe };
        patterns.iter().any(|granted| granted.contains(pattern))
    })
}

/// Returns whether every rule that can be the first to match a topic of `pattern` allows the topics that both contain.
fn rules_allow(rules: &Rules, identity: &Identity, action: Action, pattern: &Pattern) -> bool {
    let default = rules.default_access(pattern);
    for rule in rules.iter().filter(|rule| rule.pattern.every_user().intersects(pattern)) {
        let every_user = rule.pattern.every_user();
        if !(rule_allows(rule, default, identity, action, pattern)
            || is_granted(identity, action, every_user))
        {
            return false;
        }
        if every_user.contains(pattern) {
            return true;
        }
    }
    has_access(default, identity)
}

fn rule_allows(rule: &Rule, default: Access, identity: &Identity, action: Action, pattern: &Pattern) -> bool {
    let access = if action == Action::Publish { rule.publish } else { rule.subscribe };
    let is_own = || identity.user().is_some_and(|user| rule.pattern.is_owned_by(user, pattern));
    has_access(access.unwrap_or(default), identity) && (!rule.pattern.names_user() || is_own())
}

fn has_access(access: Access, identity: &Identity) -> bool {
    match access {
        Access::Anyone => true,
        Access::Authenticated => identity.is_authenticated(),
        // `is_granted` has looked for a grant before.
        Access::Granted => false,
    }
}

fn refusal(identity: &Identity, action: Action, pattern: &Pattern) -> Refusal {
    let (phrase, grants) = (action.phrase(), if action == Action::Publish { "publish" } else { "subscribe" });
    if !identity.is_authenticated() {
        let message =
            format!("to {phrase} '{pattern}' you must show a token: connect with one that grants it");
        return Refusal { code: ErrorCode::Unauthorized, message };
    }
    let all = if pattern.is_wild() { ", for everything the pattern can match" } else { "" };
    let message = format!(
        "your token does not let you {phrase} '{pattern}': ask for one with this topic under '{grants}'{all}"
    );
    Refusal { code: ErrorCode::Forbidden, message }
}

#[cfg(test)]
mod tests;
