//! Ends that may not last: a channel without subscribers and a user without connections are reported only if they stay so.

use std::collections::{BTreeSet, HashMap};

use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

/// The maximum number of absences at once. Clients can begin them faster than they elapse.
pub(super) const ABSENCES_MAX: usize = 100_000;

/// A channel, and a user of it if the user is meant and not the channel.
pub(super) type Absent = (Topic, Option<Box<str>>);

/// The ends that are not reported yet.
#[derive(Debug, Default)]
pub(super) struct Absences {
    due_ms: HashMap<Absent, u64, RandomState>,
    by_time: BTreeSet<(u64, Absent)>,
}

impl Absences {
    /// Takes a beginning into account. Returns whether to report it: not if its end was not reported.
    pub(super) fn returned(&mut self, absent: &Absent) -> bool {
        match self.due_ms.remove(absent) {
            Some(due_ms) => {
                self.by_time.remove(&(due_ms, absent.clone()));
                false
            }
            None => true,
        }
    }

    /// Takes an end into account, to be reported at `due_ms`. Returns the end that is to be reported now because there are too many.
    pub(super) fn left(&mut self, absent: Absent, due_ms: u64) -> Option<Absent> {
        if let Some(before_ms) = self.due_ms.insert(absent.clone(), due_ms) {
            self.by_time.remove(&(before_ms, absent.clone()));
        }
        self.by_time.insert((due_ms, absent));
        if self.by_time.len() <= ABSENCES_MAX {
            return None;
        }
        self.pop()
    }

    /// Removes and returns the ends that are due at `now_ms`, in their order.
    pub(super) fn elapsed(&mut self, now_ms: u64) -> Vec<Absent> {
        let mut elapsed = Vec::new();
        while self.next_ms().is_some_and(|due_ms| due_ms <= now_ms)
            && let Some(absent) = self.pop()
        {
            elapsed.push(absent);
        }
        elapsed
    }

    /// Returns when the next end is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.by_time.first().map(|(due_ms, _)| *due_ms)
    }

    fn pop(&mut self) -> Option<Absent> {
        let (_, absent) = self.by_time.pop_first()?;
        self.due_ms.remove(&absent);
        Some(absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(topic: &str, user: Option<&str>) -> Absent {
        (topic.parse().unwrap(), user.map(Box::from))
    }

    #[test]
    fn an_end_that_does_not_last_is_never_reported() {
        let mut absences = Absences::default();
        let (channel, user) = (absent("a", None), absent("a", Some("7")));
        assert!(absences.returned(&channel), "the first beginning");
        assert_eq!(absences.left(channel.clone(), 10), None);
        assert_eq!(absences.left(user.clone(), 12), None);
        assert_eq!((absences.elapsed(9), absences.next_ms()), (Vec::new(), Some(10)));
        assert!(!absences.returned(&channel), "back in time");
        assert_eq!(absences.elapsed(12), std::slice::from_ref(&user));
        assert!(absences.returned(&user) && absences.next_ms().is_none());
    }

    #[test]
    fn their_number_is_bounded() {
        let mut absences = Absences::default();
        let early: Vec<Absent> = (0..=ABSENCES_MAX)
            .filter_map(|number| absences.left(absent(&format!("t{number}"), None), number as u64))
            .collect();
        assert_eq!(early, [absent("t0", None)]);
    }
}
