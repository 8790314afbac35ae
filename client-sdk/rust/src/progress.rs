//! The progress of one subscription: the start point for subscribing again, which messages are new, and when
//! something was lost.
//!
//! This file is pure: it knows no sockets and no queues. Offsets are never counted, only compared, as they need not be
//! consecutive.

use std::collections::HashMap;

use fanwire_protocol::{Pattern, Position, Since, SubscribeOptions, Topic};

/// The maximum number of topics of one wildcard subscription that are remembered. When there are more, all are forgotten at once;
/// nothing is lost by that, only a message that the broker repeats would no longer be recognised.
const WILDCARD_TOPICS_MAX: usize = 4096;

/// Whether joining a topic (again) left a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// No publication is missing.
    Whole,
    /// Something may have been published that will never be delivered.
    Lossy,
}

/// The progress of one subscription.
#[derive(Debug)]
pub(crate) struct Progress {
    start: SubscribeOptions,
    seen: Seen,
    /// The newest position at the last joining, when nothing has been seen since.
    head: Option<Position>,
    joined_before: bool,
}

#[derive(Debug)]
enum Seen {
    One(Option<Position>),
    Many(HashMap<Topic, Position>),
}

impl Progress {
    pub(crate) fn new(pattern: &Pattern, start: SubscribeOptions) -> Self {
        let seen = match pattern.to_topic() {
            // Where the start is no position, the same question is asked again until something has come.
            Some(topic) => Seen::One(start.since.as_ref().and_then(|since| since.position_in(&topic))),
            None => Seen::Many(HashMap::new()),
        };
        Self { start, seen, head: None, joined_before: false }
    }

    /// Returns the start point for subscribing now.
    pub(crate) fn options(&self) -> SubscribeOptions {
        match self.seen {
            Seen::One(Some(position)) => SubscribeOptions {
                since: Some(Since::Position(position)),
                last: None,
                token: self.start.token.clone(),
            },
            Seen::One(None) => self.start.clone(),
            Seen::Many(_) if self.joined_before => {
                SubscribeOptions { since: None, last: None, token: self.start.token.clone() }
            }
            Seen::Many(_) => self.start.clone(),
        }
    }

    /// Takes note of the broker's `subscribed` reply to [`Progress::options`].
    pub(crate) fn joined(&mut self, head: Option<Position>, recovered: bool) -> Joined {
        let before = std::mem::replace(&mut self.joined_before, true);
        let Seen::One(seen) = &mut self.seen else {
            // A pattern cannot be resumed: whatever was published while away is gone.
            return if before || !recovered { Joined::Lossy } else { Joined::Whole };
        };
        let live_only = self.start.since.is_none() && self.start.last.is_none();
        let moved = before && (self.head.is_none() || self.head != head);
        // Asking for the newest few again says nothing of what was published before them meanwhile.
        let blind = seen.is_none() && moved && self.start.since.is_none();
        let nothing_held = head.is_some_and(|head| head.offset == 0);
        if (seen.is_none() && live_only) || nothing_held {
            *seen = head.or(*seen);
        } else if seen.is_none() && self.start.since == Some(Since::Earliest) {
            // All publications held at this joining were promised. A position at the beginning of the epoch makes the
            // broker report a loss if it drops some of them before they have arrived.
            *seen = head.map(|head| Position { offset: 0, ..head });
        }
        self.head = head;
        if blind || !recovered { Joined::Lossy } else { Joined::Whole }
    }

    /// Forgets where the subscription was, because the broker keeps nothing to resume from.
    pub(crate) fn forget(&mut self) {
        self.start.since = None;
        self.start.last = None;
        if let Seen::One(seen) = &mut self.seen {
            *seen = None;
        }
    }

    /// Whether a publication at this position has not been delivered yet. One without a position always counts as new:
    /// its topic keeps no history, so the broker has nothing to repeat it from.
    pub(crate) fn is_new(&self, topic: &Topic, position: Option<Position>) -> bool {
        let seen = match &self.seen {
            Seen::One(seen) => *seen,
            Seen::Many(topics) => topics.get(topic).copied(),
        };
        match (position, seen) {
            (Some(position), Some(seen)) => position.is_after(seen).unwrap_or(true),
            _ => true,
        }
    }

    /// Takes note that the publication at this position was delivered.
    pub(crate) fn delivered(&mut self, topic: &Topic, position: Option<Position>) {
        let Some(position) = position else { return };
        match &mut self.seen {
            Seen::One(seen) => *seen = Some(position),
            Seen::Many(topics) => {
                if let Some(seen) = topics.get_mut(topic) {
                    *seen = position;
                    return;
                }
                if topics.len() >= WILDCARD_TOPICS_MAX {
                    topics.clear();
                }
                topics.insert(topic.clone(), position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::Epoch;

    use super::*;

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch::from_random(epoch), offset }
    }

    fn topic(name: &str) -> Topic {
        name.parse().unwrap()
    }

    fn progress(pattern: &str, start: SubscribeOptions) -> Progress {
        Progress::new(&pattern.parse().unwrap(), start)
    }

    fn since(position: Position) -> SubscribeOptions {
        SubscribeOptions { since: Some(Since::Position(position)), ..SubscribeOptions::default() }
    }

    fn last(count: u32) -> SubscribeOptions {
        SubscribeOptions { last: Some(count), ..SubscribeOptions::default() }
    }

    fn earliest() -> SubscribeOptions {
        SubscribeOptions { since: Some(Since::Earliest), ..SubscribeOptions::default() }
    }

    #[test]
    fn a_live_subscription_resumes_from_where_it_joined_and_then_from_its_last_message() {
        let mut progress = progress("a", SubscribeOptions::default());
        assert_eq!(progress.options(), SubscribeOptions::default());
        assert_eq!(progress.joined(Some(at(1, 10)), true), Joined::Whole);
        assert_eq!(progress.options(), since(at(1, 10)));
        progress.delivered(&topic("a"), Some(at(1, 17)));
        assert_eq!(progress.options(), since(at(1, 17)));
        assert_eq!(progress.joined(Some(at(1, 30)), true), Joined::Whole);
        assert_eq!(progress.options(), since(at(1, 17)), "the replay up to 30 has not been seen yet");
    }

    #[test]
    fn the_token_of_the_subscription_goes_with_every_resumption() {
        let start = SubscribeOptions { token: Some("secret".to_owned()), ..SubscribeOptions::default() };
        let mut progress = progress("a", start);
        progress.joined(Some(at(1, 1)), true);
        assert_eq!(progress.options().token.as_deref(), Some("secret"));
    }

    #[test]
    fn what_was_delivered_is_not_news_again() {
        let mut progress = progress("a", SubscribeOptions::default());
        let a = topic("a");
        progress.joined(Some(at(1, 10)), true);
        assert!(!progress.is_new(&a, Some(at(1, 10))));
        assert!(progress.is_new(&a, Some(at(1, 14))));
        progress.delivered(&a, Some(at(1, 14)));
        assert!(!progress.is_new(&a, Some(at(1, 14))));
        assert!(!progress.is_new(&a, Some(at(1, 11))));
        assert!(progress.is_new(&a, Some(at(2, 1))), "another epoch says nothing of this one");
        assert!(progress.is_new(&a, None));
    }

    #[test]
    fn a_history_cut_short_is_asked_for_again() {
        let mut from_start = progress("a", earliest());
        from_start.joined(Some(at(1, 10)), true);
        assert_eq!(from_start.options(), since(at(1, 0)), "so that a loss in between is told");
        let moment = SubscribeOptions { since: Some(Since::Time(5)), ..SubscribeOptions::default() };
        let mut from_moment = progress("a", moment.clone());
        from_moment.joined(Some(at(1, 10)), true);
        assert_eq!(from_moment.options(), moment, "the broker says whether all since then is held");
        let mut newest = progress("a", last(5));
        newest.joined(Some(at(1, 10)), true);
        assert_eq!(newest.options(), last(5));
        assert_eq!(newest.joined(Some(at(1, 10)), true), Joined::Whole);
        assert_eq!(newest.joined(Some(at(1, 90)), true), Joined::Lossy, "90 may be far past the newest five");
    }

    #[test]
    fn an_empty_history_is_not_asked_for_again() {
        for start in [earliest(), last(5)] {
            let mut progress = progress("a", start);
            progress.joined(Some(at(1, 0)), true);
            assert_eq!(progress.options(), since(at(1, 0)));
        }
    }

    #[test]
    fn what_the_broker_no_longer_holds_is_a_loss_once() {
        let mut progress = progress("a", since(at(1, 5)));
        assert_eq!(progress.joined(Some(at(2, 0)), false), Joined::Lossy);
        assert_eq!(progress.options(), since(at(2, 0)), "the new epoch is joined from its beginning");
        assert_eq!(progress.joined(Some(at(2, 0)), true), Joined::Whole);
    }

    #[test]
    fn a_pattern_starts_over_and_says_so() {
        let mut progress = progress("a.*", SubscribeOptions::default());
        assert_eq!(progress.joined(None, true), Joined::Whole);
        progress.delivered(&topic("a.b"), Some(at(1, 5)));
        assert_eq!(progress.options(), SubscribeOptions::default());
        assert_eq!(progress.joined(None, true), Joined::Lossy);
        assert!(!progress.is_new(&topic("a.b"), Some(at(1, 5))));
        assert!(progress.is_new(&topic("a.c"), Some(at(1, 5))));
    }

    #[test]
    fn a_pattern_remembers_a_bounded_number_of_topics() {
        let mut progress = progress("a.*", SubscribeOptions::default());
        for number in 0..WILDCARD_TOPICS_MAX * 2 {
            progress.delivered(&topic(&format!("a.{number}")), Some(at(1, 1)));
        }
        let Seen::Many(topics) = &progress.seen else { unreachable!() };
        assert!(topics.len() <= WILDCARD_TOPICS_MAX);
    }

    #[test]
    fn a_topic_without_positions_is_a_loss_at_every_return() {
        let mut progress = progress("a", SubscribeOptions::default());
        assert_eq!(progress.joined(None, true), Joined::Whole);
        assert_eq!(progress.joined(None, true), Joined::Lossy);
    }
}
