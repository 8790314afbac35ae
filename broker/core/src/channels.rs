//! Channels: the topics of Pusher apps, whose names alone say which of them are private, have presence or are cached.
//!
//! This file owns how such a name is recognized, in topics and in the patterns that may match one. It does not know access or rules.

use fanwire_protocol::{Pattern, Topic};

/// The character before a channel whose name had to be escaped to be a topic.
pub const ESCAPED: char = '%';

/// The beginnings of the names of channels that are not open to every client.
const RESTRICTED: [&str; 3] = ["private-", "presence-", "#"];

/// The beginning of the names of channels with presence.
const PRESENCE: &str = "presence-";

/// The beginnings of the names of channels that keep their last event.
const CACHE: [&str; 4] = ["cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"];

/// The topics that are channels: those below the prefixes of the apps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Channels {
    /// Each prefix without a dot at its end; the empty one makes every topic a channel.
    prefixes: Vec<Box<str>>,
    /// The prefixes of the apps whose subscribers receive the number of subscribers.
    counting: Vec<Box<str>>,
}

impl Channels {
    /// The channels of apps with these prefixes.
    pub fn new<P: AsRef<str>>(prefixes: impl IntoIterator<Item = P>) -> Self {
        let prefixes = prefixes.into_iter().map(|prefix| Box::from(prefix.as_ref())).collect();
        Self { prefixes, counting: Vec::new() }
    }

    /// The same channels, where the subscribers below these prefixes receive the number of subscribers.
    #[must_use]
    pub fn counting<P: AsRef<str>>(mut self, prefixes: impl IntoIterator<Item = P>) -> Self {
        self.counting = prefixes.into_iter().map(|prefix| Box::from(prefix.as_ref())).collect();
        self
    }

    /// Returns whether the subscribers of the topic receive the number of subscribers. Those of channels with presence know it.
    pub fn count_subscribers(&self, topic: &Topic) -> bool {
        let counted =
            |prefix: &str| name_below(prefix, topic).is_some_and(|name| !name.starts_with(PRESENCE));
        !topic.is_reserved() && self.counting.iter().any(|prefix| counted(prefix))
    }

    /// Returns whether the topic is a channel with presence.
    pub fn have_presence(&self, topic: &Topic) -> bool {
        self.names_of(topic).any(|name| name.starts_with(PRESENCE))
    }

    /// Returns whether the topic is a channel that keeps its last event.
    pub fn are_cached(&self, topic: &Topic) -> bool {
        self.names_of(topic).any(is_cached)
    }

    /// Returns whether the pattern may match a channel that is not open to every client.
    pub fn restrict(&self, pattern: &Pattern) -> bool {
        self.prefixes.iter().any(|prefix| may_match_restricted(prefix, pattern))
    }

    /// Returns the names of the channels that the topic is, one for each app that has it.
    fn names_of<'t>(&self, topic: &'t Topic) -> impl Iterator<Item = &'t str> {
        self.prefixes.iter().filter_map(|prefix| name_below(prefix, topic))
    }
}

/// Returns whether the channel with this name keeps its last event for new subscribers.
pub fn is_cached(channel: &str) -> bool {
    CACHE.iter().any(|start| channel.starts_with(start))
}

/// Returns what follows `prefix` in the name of a topic below it; `None` if the topic is not below it.
pub fn below<'t>(prefix: &str, topic: &'t Topic) -> Option<&'t str> {
    match prefix {
        "" => Some(topic.as_str()),
        prefix => topic.as_str().strip_prefix(prefix)?.strip_prefix('.'),
    }
}

/// Returns the name of the channel that the topic is for the app with this prefix, without resolving its escapes.
fn name_below<'t>(prefix: &str, topic: &'t Topic) -> Option<&'t str> {
    let name = below(prefix, topic)?;
    Some(name.strip_prefix(ESCAPED).unwrap_or(name))
}

fn may_match_restricted(prefix: &str, pattern: &Pattern) -> bool {
    let mut levels = pattern.levels();
    for expected in prefix.split('.').filter(|level| !level.is_empty()) {
        match levels.next() {
            Some(">") => return true,
            Some("*") => {}
            Some(level) if level == expected => {}
            _ => return false,
        }
    }
    match levels.next() {
        Some(">" | "*") => true,
        Some(level) => {
            let name = level.strip_prefix(ESCAPED).unwrap_or(level);
            RESTRICTED.iter().any(|restricted| name.starts_with(restricted))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        name.parse().unwrap()
    }

    #[test]
    fn a_channel_is_known_by_the_name_below_the_prefix_of_its_app() {
        let channels = Channels::new(["", "shop"]);
        for (name, presence, cached) in [
            ("presence-a", true, false),
            ("presence-cache-a", true, true),
            ("shop.presence-a", true, false),
            ("shop.a", false, false),
            ("%presence-a.%2Eb", true, false),
            ("cache-a", false, true),
            ("private-cache-a", false, true),
            ("private-encrypted-cache-a", false, true),
            ("shop.cache-a", false, true),
            ("other.cache-a", false, false),
        ] {
            assert_eq!(channels.have_presence(&topic(name)), presence, "{name}");
            assert_eq!(channels.are_cached(&topic(name)), cached, "{name}");
        }
        assert!(!Channels::new(["shop"]).have_presence(&topic("presence-a")));
        let counting = Channels::new(["", "shop"]).counting(["shop"]);
        for (name, counted) in [("shop.a", true), ("shop.presence-a", false), ("a", false), ("shop", false)] {
            assert_eq!(counting.count_subscribers(&topic(name)), counted, "{name}");
        }
    }

    #[test]
    fn a_pattern_is_restricted_as_soon_as_one_of_its_topics_may_be() {
        let (all, shop) = (Channels::new([""]), Channels::new(["shop.eu"]));
        let check = |channels: &Channels, pattern: &str, expected| {
            assert_eq!(channels.restrict(&pattern.parse().unwrap()), expected, "{pattern}");
        };
        for pattern in [">", "*", "*.a", "private-a", "private-a.b", "presence-a", "%private-a", "#a"] {
            check(&all, pattern, true);
        }
        for pattern in ["a", "a.private-b", "a.>", "cache-a", "privat"] {
            check(&all, pattern, false);
        }
        for pattern in [">", "shop.>", "*.eu.*", "shop.eu.private-a", "shop.*.>"] {
            check(&shop, pattern, true);
        }
        for pattern in ["shop.eu", "*.*", "shop.us.>", "shop.eu.a", "private-a"] {
            check(&shop, pattern, false);
        }
    }
}
