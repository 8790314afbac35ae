//! The topics and patterns that are occupied, as webhooks report it: with a grace, so that a client that reconnects soon, or polls,
//! causes no events.
//!
//! This file owns what was reported and what is due. It knows neither subscribers nor webhooks.

use std::collections::{BTreeSet, HashMap};

use fanwire_protocol::Pattern;
use foldhash::fast::RandomState;

/// The maximum number of graces at once. Clients can begin graces faster than they end, for topics that they invent.
pub const GRACES_MAX: usize = 100_000;

/// The topics and patterns that were reported as occupied.
#[derive(Debug, Default)]
pub struct Occupancy {
    /// The end of the grace after the last subscriber; `None` while there is a subscriber.
    occupied: HashMap<Pattern, Option<u64>, RandomState>,
    due: BTreeSet<(u64, Pattern)>,
}

impl Occupancy {
    /// Takes the first subscriber of `pattern` into account. Returns whether to report the pattern as occupied.
    pub fn occupy(&mut self, pattern: &Pattern) -> bool {
        self.settle(pattern, None)
    }

    /// Takes a poll of `pattern` into account, which counts as a subscriber until `until_ms`. Returns whether to report the pattern
    /// as occupied.
    pub fn occupy_until(&mut self, pattern: &Pattern, until_ms: u64) -> bool {
        match self.occupied.get(pattern) {
            Some(None) => false,
            Some(Some(due_ms)) if *due_ms >= until_ms => false,
            _ => self.settle(pattern, Some(until_ms)),
        }
    }

    /// Takes the end of the last subscription to `pattern` into account. If there is no other at `until_ms`, [`Occupancy::expire`]
    /// returns the pattern.
    pub fn vacate(&mut self, pattern: &Pattern, until_ms: u64) {
        if self.occupied.contains_key(pattern) {
            self.settle(pattern, Some(until_ms));
        }
    }

    /// Removes and returns the patterns whose grace has ended at `now_ms`, in the order of those ends.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Pattern> {
        let mut vacated = Vec::new();
        while let Some((due_ms, _)) = self.due.first()
            && *due_ms <= now_ms
            && let Some((_, pattern)) = self.due.pop_first()
        {
            self.occupied.remove(&pattern);
            vacated.push(pattern);
        }
        vacated
    }

    /// Ends the grace that is due first if there are more than [`GRACES_MAX`], and returns its pattern. The caller repeats this
    /// after each call that begins a grace.
    pub fn end_excess(&mut self) -> Option<Pattern> {
        if self.due.len() <= GRACES_MAX {
            return None;
        }
        let (_, pattern) = self.due.pop_first()?;
        self.occupied.remove(&pattern);
        Some(pattern)
    }

    /// Returns the number of patterns that have no subscriber and whose grace has not ended.
    pub fn graces(&self) -> usize {
        self.due.len()
    }

    /// Removes and returns all, because the broker stops.
    pub fn conclude(&mut self) -> Vec<Pattern> {
        self.due.clear();
        let mut vacated: Vec<Pattern> = self.occupied.drain().map(|(pattern, _)| pattern).collect();
        vacated.sort();
        vacated
    }

    /// Returns when the next grace ends.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Sets until when `pattern` counts as occupied. Returns whether it was vacant before.
    fn settle(&mut self, pattern: &Pattern, until_ms: Option<u64>) -> bool {
        let before = self.occupied.insert(pattern.clone(), until_ms);
        if let Some(Some(due_ms)) = before {
            self.due.remove(&(due_ms, pattern.clone()));
        }
        if let Some(until_ms) = until_ms {
            self.due.insert((until_ms, pattern.clone()));
        }
        before.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, proptest};

    use super::*;

    fn pattern(name: &str) -> Pattern {
        Pattern::new(name).unwrap()
    }

    #[test]
    fn a_client_that_reconnects_soon_causes_no_events() {
        let (mut occupancy, room) = (Occupancy::default(), pattern("room"));
        assert!(occupancy.occupy(&room));
        occupancy.vacate(&room, 100);
        assert_eq!(occupancy.next_due_ms(), Some(100));
        assert_eq!(occupancy.expire(99), []);
        assert!(!occupancy.occupy(&room));
        assert_eq!(occupancy.expire(1000), []);
        occupancy.vacate(&room, 1100);
        assert_eq!(occupancy.expire(1100), std::slice::from_ref(&room));
        assert!(occupancy.occupy(&room));
    }

    #[test]
    fn graces_are_bounded_and_the_one_that_is_due_first_ends_early() {
        let mut occupancy = Occupancy::default();
        for number in 0..GRACES_MAX as u64 {
            assert!(occupancy.occupy_until(&pattern(&format!("a.{number}")), 1000 + number));
        }
        let subscribed = pattern("subscribed");
        assert!(occupancy.occupy(&subscribed));
        assert_eq!((occupancy.graces(), occupancy.end_excess()), (GRACES_MAX, None));
        occupancy.vacate(&subscribed, 1_000_000);
        assert_eq!(occupancy.end_excess(), Some(pattern("a.0")));
        assert_eq!((occupancy.graces(), occupancy.end_excess()), (GRACES_MAX, None));
        assert!(occupancy.occupy(&pattern("a.0")), "it was reported as vacated");
    }

    #[test]
    fn a_pattern_that_is_polled_stays_occupied() {
        let (mut occupancy, room) = (Occupancy::default(), pattern("room"));
        assert!(occupancy.occupy_until(&room, 100));
        assert!(!occupancy.occupy_until(&room, 150));
        assert!(!occupancy.occupy_until(&room, 120), "an earlier end changes nothing");
        assert_eq!((occupancy.expire(149), occupancy.expire(150)), (vec![], vec![room.clone()]));
        assert!(occupancy.occupy(&room));
        assert!(!occupancy.occupy_until(&room, 300));
        assert_eq!(occupancy.expire(1000), [], "a subscriber is there until it leaves");
    }

    #[test]
    fn a_pattern_that_was_never_occupied_is_not_vacated() {
        let mut occupancy = Occupancy::default();
        occupancy.vacate(&pattern("room"), 100);
        assert_eq!(occupancy.expire(100), []);
    }

    #[test]
    fn all_patterns_are_vacated_when_the_broker_stops() {
        let mut occupancy = Occupancy::default();
        for name in ["b", "a.>", "c"] {
            occupancy.occupy(&pattern(name));
        }
        occupancy.vacate(&pattern("b"), 100);
        assert_eq!(occupancy.conclude(), [pattern("a.>"), pattern("b"), pattern("c")]);
        assert_eq!((occupancy.expire(1000), occupancy.next_due_ms()), (vec![], None));
    }

    proptest! {
        /// After any order of events, the reports of each topic alternate, and a topic reported as occupied has a subscriber or had one
        /// less than the grace ago.
        #[test]
        fn reports_follow_from_subscribers_and_graces(steps in prop::collection::vec((0usize..4, 0u8..4, 0u64..15), 0..150)) {
            const GRACE_MS: u64 = 20;
            let names = ["a", "b", "c.>", "d.*"].map(pattern);
            let mut occupancy = Occupancy::default();
            let mut reported: BTreeMap<&str, bool> = BTreeMap::new();
            let mut subscribers = [0u32; 4];
            let mut left_at: [Option<u64>; 4] = [None; 4];
            let mut now = 0;
            for (index, what, passed) in steps {
                now += passed;
                let mut changes: Vec<(Pattern, bool)> =
                    occupancy.expire(now).into_iter().map(|pattern| (pattern, false)).collect();
                let name = &names[index];
                match what {
                    0 => {
                        subscribers[index] += 1;
                        if subscribers[index] == 1 && occupancy.occupy(name) {
                            changes.push((name.clone(), true));
                        }
                    }
                    1 | 2 if subscribers[index] > 0 => {
                        subscribers[index] -= 1;
                        if subscribers[index] == 0 {
                            occupancy.vacate(name, now + GRACE_MS);
                            left_at[index] = Some(now);
                        }
                    }
                    3 => {
                        if occupancy.occupy_until(name, now + GRACE_MS) {
                            changes.push((name.clone(), true));
                        }
                        left_at[index] = Some(now);
                    }
                    _ => {}
                }
                for (pattern, is_occupied) in changes {
                    let name = names.iter().find(|name| **name == pattern).unwrap().as_str();
                    assert_ne!(reported.insert(name, is_occupied).unwrap_or(false), is_occupied, "by turns");
                }
                for (index, name) in names.iter().enumerate() {
                    let is_there = subscribers[index] > 0 || left_at[index].is_some_and(|at| at + GRACE_MS > now);
                    assert_eq!(reported.get(name.as_str()).copied().unwrap_or(false), is_there, "{name}");
                }
            }
        }
    }
}
