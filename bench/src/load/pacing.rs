//! The time at which the next publication may go out. Pure arithmetic: no clock, no socket.

/// The pace of a publisher.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    /// As fast as it goes, with a bounded number on the way.
    Window(Window),
    /// At a fixed rate.
    Pace(Pace),
    /// At a fixed rate, as far as a bounded number on the way allows it.
    PaceWithin(Pace, Window),
}

impl Gate {
    /// Returns the number of publications that may be sent now, when `published` are sent and the run is `now_nanos` old.
    pub(crate) fn room(&self, published: u64, now_nanos: u64) -> u64 {
        match self {
            Self::Window(window) => window.room(),
            Self::Pace(pace) => pace.due_count(now_nanos).saturating_sub(published),
            Self::PaceWithin(pace, window) => {
                pace.due_count(now_nanos).saturating_sub(published).min(window.room())
            }
        }
    }

    /// Returns when publication `number` is due; latency is measured from then. Without a rate, that is `now_nanos`.
    pub(crate) fn due_nanos(&self, number: u64, now_nanos: u64) -> u64 {
        match self {
            Self::Window(_) => now_nanos,
            Self::Pace(pace) | Self::PaceWithin(pace, _) => pace.due_nanos(number),
        }
    }

    /// Returns when publication `number` is due at a fixed rate; `None` when it waits for an acknowledgement instead.
    pub(crate) fn next_due_nanos(&self, number: u64) -> Option<u64> {
        match self {
            Self::Window(_) => None,
            Self::PaceWithin(_, window) if window.room() == 0 => None,
            Self::Pace(pace) | Self::PaceWithin(pace, _) => Some(pace.due_nanos(number)),
        }
    }

    /// Notes that `count` publications went out.
    pub(crate) fn published(&mut self, count: u64) {
        if let Self::Window(window) | Self::PaceWithin(_, window) = self {
            window.outstanding += count * window.weight;
        }
    }

    /// Returns the number of publications without an acknowledgement, as far as they are followed.
    pub(crate) fn waiting(&self) -> u64 {
        match self {
            Self::Window(window) | Self::PaceWithin(_, window) => window.outstanding.div_ceil(window.weight),
            Self::Pace(_) => 0,
        }
    }

    /// Notes that `count` publications were acknowledged.
    pub(crate) fn acknowledged(&mut self, count: u64) {
        if let Self::Window(window) | Self::PaceWithin(_, window) = self {
            window.outstanding = window.outstanding.saturating_sub(count);
        }
    }
}

/// At most `size` publications without an acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    size: u64,
    group: u64,
    /// The number of answers to one publication.
    weight: u64,
    outstanding: u64,
}

impl Window {
    /// A window of `size` that lets publications out in whole groups, since a server that gathers `group` of them
    /// before it sends would wait for the rest of a broken one. Two groups always fit, so that one is on its way
    /// while the other is served.
    pub(crate) fn new(size: u64, group: u64) -> Self {
        let group = group.max(1);
        Self {
            size: if group == 1 { size.max(1) } else { size.max(2 * group) },
            group,
            weight: 1,
            outstanding: 0,
        }
    }

    /// A window of `size` rounds, each of which is answered `answers` times.
    pub(crate) fn answered(size: u64, answers: u64) -> Self {
        Self { size: size.max(1) * answers, group: answers, weight: answers, outstanding: 0 }
    }

    fn room(&self) -> u64 {
        let room = self.size.saturating_sub(self.outstanding);
        (room - room % self.group) / self.weight
    }
}

/// Evenly spaced publications: number `n` is due at `first + n × interval`, whatever became of those before it, so
/// that a server that stalls is charged for everything it holds up (no coordinated omission).
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    first_nanos: f64,
    interval_nanos: f64,
}

impl Pace {
    /// The pace of publisher `index` out of `publishers` that share `per_second` publications evenly, from
    /// `start_nanos` on.
    pub(crate) fn shared(per_second: f64, index: usize, publishers: usize, start_nanos: u64) -> Self {
        let step = 1e9 / per_second;
        Self {
            first_nanos: start_nanos as f64 + step * index as f64,
            interval_nanos: step * publishers as f64,
        }
    }

    fn due_count(&self, now_nanos: u64) -> u64 {
        let since = now_nanos as f64 - self.first_nanos;
        if since < 0.0 { 0 } else { (since / self.interval_nanos) as u64 + 1 }
    }

    fn due_nanos(&self, number: u64) -> u64 {
        (self.first_nanos + self.interval_nanos * number as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_lets_the_next_out_only_for_an_acknowledgement() {
        let mut gate = Gate::Window(Window::new(3, 1));
        assert_eq!(gate.room(0, 0), 3);
        gate.published(3);
        assert_eq!(gate.room(3, 0), 0);
        gate.acknowledged(2);
        assert_eq!(gate.room(3, 0), 2);
        assert_eq!(gate.due_nanos(3, 55), 55);
        gate.acknowledged(9);
        assert_eq!(gate.room(3, 0), 3, "surplus acknowledgements do not widen the window");
    }

    #[test]
    fn a_round_with_two_answers_is_done_with_the_second() {
        let mut gate = Gate::Window(Window::answered(3, 2));
        assert_eq!(gate.room(0, 0), 3);
        gate.published(3);
        gate.acknowledged(1);
        assert_eq!((gate.room(3, 0), gate.waiting()), (0, 3));
        gate.acknowledged(5);
        assert_eq!((gate.room(3, 0), gate.waiting()), (3, 0));
    }

    #[test]
    fn a_grouped_window_lets_out_whole_groups_and_never_locks_up() {
        let mut window = Window::new(10, 4);
        assert_eq!(window.room(), 8);
        window.outstanding = 3;
        assert_eq!(window.room(), 4);
        window.outstanding = 8;
        assert_eq!(window.room(), 0);
        assert_eq!(Window::new(2, 64).room(), 128);
    }

    #[test]
    fn late_publications_are_due_when_they_should_have_been() {
        let gate = Gate::Pace(Pace::shared(1000.0, 0, 1, 5_000_000));
        assert_eq!(gate.room(0, 4_999_999), 0);
        assert_eq!(gate.room(0, 5_000_000), 1);
        assert_eq!(gate.room(1, 5_500_000), 0);
        assert_eq!(gate.room(1, 9_000_000), 4);
        assert_eq!(gate.due_nanos(1, 9_000_000), 6_000_000);
    }

    #[test]
    fn what_is_due_waits_for_what_is_not_acknowledged() {
        let mut gate = Gate::PaceWithin(Pace::shared(1000.0, 0, 1, 0), Window::new(1, 1));
        assert_eq!((gate.room(0, 3_500_000), gate.next_due_nanos(0)), (1, Some(0)));
        gate.published(1);
        assert_eq!((gate.room(1, 3_500_000), gate.next_due_nanos(1), gate.waiting()), (0, None, 1));
        gate.acknowledged(1);
        assert_eq!((gate.room(1, 3_500_000), gate.due_nanos(1, 3_500_000)), (1, 1_000_000));
    }

    proptest! {
        #[test]
        fn publishers_share_a_rate_exactly(per_second in 1.0f64..100_000.0, publishers in 1usize..50, millis in 0u64..5000) {
            let now = millis * 1_000_000;
            let due: u64 =
                (0..publishers).map(|index| Pace::shared(per_second, index, publishers, 0).due_count(now)).sum();
            let expected = (now as f64 / 1e9 * per_second) as u64 + 1;
            prop_assert!(due.abs_diff(expected) <= 1, "{} against {}", due, expected);
        }

        #[test]
        fn what_is_counted_as_due_is_due(per_second in 1.0f64..100_000.0, now in 0u64..5_000_000_000) {
            let pace = Pace::shared(per_second, 0, 1, 0);
            let due = pace.due_count(now);
            prop_assert!(pace.due_nanos(due - 1) <= now + 1);
            prop_assert!(pace.due_nanos(due) + 1 >= now);
        }
    }
}
