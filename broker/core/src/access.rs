//! Who may do what: the one decision that guards every path that delivers or accepts.

use std::sync::Arc;

use fanwire_protocol::{ErrorCode, Pattern};

/// Who a session or request is, as far as the broker knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular, on a broker that is open to all.
    Anonymous,
    /// A user whose id is known.
    User(Arc<str>),
}

impl Identity {
    /// The user id, when there is one.
    pub fn user(&self) -> Option<&Arc<str>> {
        match self {
            Identity::Anonymous => None,
            Identity::User(user) => Some(user),
        }
    }
}

/// What somebody wants to do with topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send to a topic.
    Publish,
    /// Receive what is published from now on.
    Subscribe,
    /// Read what was published before.
    ReadHistory,
    /// See who is subscribed.
    ReadPresence,
}

/// Why somebody may not do what they want.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The word for programs.
    pub code: ErrorCode,
    /// The sentence for people: what is refused and what to do.
    pub message: String,
}

/// Decides whether `identity` may do `action` with everything that `pattern` stands for.
///
/// Every path asks here: live, replay, history, presence, HTTP, SSE, polling and bare WebSocket.
///
/// # Errors
/// Says what is refused and what to do instead.
pub fn decide(_identity: &Identity, action: Action, pattern: &Pattern) -> Result<(), Refusal> {
    if action == Action::Publish && pattern.as_str().starts_with('$') {
        let message = "topics that start with '$' are the broker's own: publish to another topic".to_owned();
        return Err(Refusal { code: ErrorCode::Forbidden, message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_publishes_to_the_brokers_own_topics() {
        let own: Pattern = "$sys.stats".parse().unwrap();
        let refusal = decide(&Identity::Anonymous, Action::Publish, &own).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Forbidden);
        assert_eq!(decide(&Identity::Anonymous, Action::Subscribe, &own), Ok(()));
    }
}
