//! Which topics and patterns have subscribers, as the application is told: with a grace, so that somebody who comes right back, or asks
//! again and again, has not been away.
//!
//! This file owns what was told and what is due. Who subscribes, and who is told, it does not know.

use std::collections::{BTreeSet, HashMap};

use fanwire_protocol::Pattern;
use foldhash::fast::RandomState;

/// The topics and patterns of which the application was told that they have subscribers.
#[derive(Debug, Default)]
pub struct Occupancy {
    /// Since when there is no subscriber any more, plus the grace; `None` while there is one.
    told: HashMap<Pattern, Option<u64>, RandomState>,
    due: BTreeSet<(u64, Pattern)>,
}

impl Occupancy {
    /// Notes that `pattern` has got its first subscriber. Returns whether that is to be told.
    pub fn occupy(&mut self, pattern: &Pattern) -> bool {
        self.settle(pattern, None)
    }

    /// Notes that somebody looked in on `pattern`, and is taken for a subscriber until `until_ms`. Returns whether that is to be told.
    pub fn look_in(&mut self, pattern: &Pattern, until_ms: u64) -> bool {
        match self.told.get(pattern) {
            Some(None) => false,
            Some(Some(due_ms)) if *due_ms >= until_ms => false,
            _ => self.settle(pattern, Some(until_ms)),
        }
    }

    /// Notes that `pattern` has lost its last subscriber. If there is no other at `until_ms`, [`Occupancy::expire`] says so.
    pub fn vacate(&mut self, pattern: &Pattern, until_ms: u64) {
        if self.told.contains_key(pattern) {
            self.settle(pattern, Some(until_ms));
        }
    }

    /// Takes those out that have been without a subscriber for long enough at `now_ms`, in the order in which they became so.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Pattern> {
        let mut vacated = Vec::new();
        while let Some((due_ms, _)) = self.due.first()
            && *due_ms <= now_ms
            && let Some((_, pattern)) = self.due.pop_first()
        {
            self.told.remove(&pattern);
            vacated.push(pattern);
        }
        vacated
    }

    /// Takes all out, because the broker stops.
    pub fn conclude(&mut self) -> Vec<Pattern> {
        self.due.clear();
        let mut vacated: Vec<Pattern> = self.told.drain().map(|(pattern, _)| pattern).collect();
        vacated.sort();
        vacated
    }

    /// When the next is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Sets until when `pattern` counts as occupied. Returns whether it did not before.
    fn settle(&mut self, pattern: &Pattern, until_ms: Option<u64>) -> bool {
        let before = self.told.insert(pattern.clone(), until_ms);
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
    fn who_comes_right_back_has_not_been_away() {
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
    fn whoever_asks_again_and_again_stays() {
        let (mut occupancy, room) = (Occupancy::default(), pattern("room"));
        assert!(occupancy.look_in(&room, 100));
        assert!(!occupancy.look_in(&room, 150));
        assert!(!occupancy.look_in(&room, 120), "an earlier end changes nothing");
        assert_eq!((occupancy.expire(149), occupancy.expire(150)), (vec![], vec![room.clone()]));
        assert!(occupancy.occupy(&room));
        assert!(!occupancy.look_in(&room, 300));
        assert_eq!(occupancy.expire(1000), [], "a subscriber is there until it leaves");
    }

    #[test]
    fn what_was_never_told_cannot_end() {
        let mut occupancy = Occupancy::default();
        occupancy.vacate(&pattern("room"), 100);
        assert_eq!(occupancy.expire(100), []);
    }

    #[test]
    fn in_the_end_nobody_is_anywhere() {
        let mut occupancy = Occupancy::default();
        for name in ["b", "a.>", "c"] {
            occupancy.occupy(&pattern(name));
        }
        occupancy.vacate(&pattern("b"), 100);
        assert_eq!(occupancy.conclude(), [pattern("a.>"), pattern("b"), pattern("c")]);
        assert_eq!((occupancy.expire(1000), occupancy.next_due_ms()), (vec![], None));
    }

    proptest! {
        /// After any order of events, each topic has been told of by turns, and those told to be occupied have a subscriber or had one
        /// less than the grace ago.
        #[test]
        fn what_was_told_is_what_is(steps in prop::collection::vec((0usize..4, 0u8..4, 0u64..15), 0..150)) {
            const GRACE_MS: u64 = 20;
            let names = ["a", "b", "c.>", "d.*"].map(pattern);
            let mut occupancy = Occupancy::default();
            let mut told: BTreeMap<&str, bool> = BTreeMap::new();
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
                        if occupancy.look_in(name, now + GRACE_MS) {
                            changes.push((name.clone(), true));
                        }
                        left_at[index] = Some(now);
                    }
                    _ => {}
                }
                for (pattern, is_occupied) in changes {
                    let name = names.iter().find(|name| **name == pattern).unwrap().as_str();
                    assert_ne!(told.insert(name, is_occupied).unwrap_or(false), is_occupied, "by turns");
                }
                for (index, name) in names.iter().enumerate() {
                    let is_there = subscribers[index] > 0 || left_at[index].is_some_and(|at| at + GRACE_MS > now);
                    assert_eq!(told.get(name.as_str()).copied().unwrap_or(false), is_there, "{name}");
                }
            }
        }
    }
}
