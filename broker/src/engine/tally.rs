//! Subscriptions counted by worker and role.
//!
//! Observers receive what subscribers receive, but they are not counted as subscribers and cause no events.

/// The role in which a session is subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    /// It is counted, and is a member of topics with presence.
    #[default]
    Subscriber,
    /// It is neither counted nor a member.
    Observer,
}

/// The worker and role of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The number of the worker.
    pub(crate) worker: usize,
    /// The role of the subscriber.
    pub(crate) role: Role,
}

impl From<usize> for Seat {
    /// The seat of a subscriber on this worker.
    fn from(worker: usize) -> Self {
        Self { worker, role: Role::Subscriber }
    }
}

/// The meaning of a change of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether it is the first subscription of any role, or was the last.
    pub(super) of_interest: bool,
    /// Whether it is the first subscription of a subscriber, or was the last.
    pub(super) of_occupancy: bool,
}

/// Subscriptions by worker: first those of subscribers, then those of observers. Empty while there are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Vec<u32>);

impl Tally {
    /// Adds a subscription; there are `workers` workers.
    pub(super) fn add(&mut self, Seat { worker, role }: Seat, workers: usize) -> Change {
        let (of_interest, was_vacant) = (self.is_empty(), self.subscribers() == 0);
        self.0.resize(2 * workers, 0);
        self.0[worker + if role == Role::Observer { workers } else { 0 }] += 1;
        Change { of_interest, of_occupancy: was_vacant && role == Role::Subscriber }
    }

    /// Removes one subscription from the tally.
    pub(super) fn remove(&mut self, Seat { worker, role }: Seat) -> Change {
        let (was_empty, was_vacant) = (self.is_empty(), self.subscribers() == 0);
        let index = worker + if role == Role::Observer { self.0.len() / 2 } else { 0 };
        if let Some(count) = self.0.get_mut(index) {
            *count = count.saturating_sub(1);
        }
        if self.0.iter().all(|count| *count == 0) {
            self.0 = Vec::new();
        }
        Change {
            of_interest: !was_empty && self.is_empty(),
            of_occupancy: !was_vacant && self.subscribers() == 0,
        }
    }

    /// Adds all subscriptions of another tally.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Returns the number of subscriptions of one worker, of any role.
    pub(super) fn of_worker(&self, worker: usize) -> u32 {
        let of = |index: usize| self.0.get(index).copied().unwrap_or(0);
        of(worker) + of(worker + self.0.len() / 2)
    }

    /// Returns the number of subscriptions of subscribers.
    pub(super) fn subscribers(&self) -> u64 {
        self.0[..self.0.len() / 2].iter().map(|count| u64::from(*count)).sum()
    }

    /// Returns whether there is no subscription.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observer(worker: usize) -> Seat {
        Seat { worker, role: Role::Observer }
    }

    #[test]
    fn observers_are_delivered_to_and_not_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(observer(1), 2), Change { of_interest: true, of_occupancy: false });
        assert_eq!((tally.of_worker(0), tally.of_worker(1), tally.subscribers()), (0, 1, 0));
        assert_eq!(tally.add(1.into(), 2), Change { of_interest: false, of_occupancy: true });
        assert_eq!((tally.of_worker(1), tally.subscribers()), (2, 1));
        assert_eq!(tally.remove(1.into()), Change { of_interest: false, of_occupancy: true });
        assert_eq!(tally.remove(observer(1)), Change { of_interest: true, of_occupancy: false });
        assert!(tally.is_empty());
    }
}
