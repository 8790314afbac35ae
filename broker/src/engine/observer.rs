//! The observer: learns what happens to topics, in order and as it happens.
//!
//! Webhooks are one implementation. The engine knows no other thing about them.

use fanwire_protocol::{Member, Pattern, Topic};

/// Learns what happens to topics. All calls concerning a topic are made under its lock, and those concerning a pattern with
/// wildcards under the lock of the pattern tree, so their order is the order of what happened. An observer must not block, and
/// must not call the engine.
pub(crate) trait Observer: Send + Sync {
    /// A topic or pattern has got its first subscriber.
    fn occupied(&self, pattern: &Pattern);

    /// A topic or pattern has lost its last subscriber.
    fn vacated(&self, pattern: &Pattern);

    /// A user has become a member of a topic.
    fn member_joined(&self, topic: &Topic, member: &Member);

    /// A user is no member of a topic any more.
    fn member_left(&self, topic: &Topic, member: &Member);

    /// A client polls a topic or pattern, and will probably do so again. Such a client has no subscription between its polls.
    fn interest(&self, pattern: &Pattern);

    /// The number of subscribers of a topic has been announced to them, which only some topics ask for.
    fn counted(&self, _topic: &Topic, _subscribers: u64) {}
}
