//! Several observers of the engine as one.

use std::sync::Arc;

use fanwire_protocol::{Member, Pattern, Topic};

use crate::engine::Observer;

/// Passes every call to each of its observers, in their order.
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// Returns the observer that stands for all of these; `None` if there are none.
    pub(crate) fn of(mut observers: Vec<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
        match observers.len() {
            0 | 1 => observers.pop(),
            _ => Some(Arc::new(Self(observers))),
        }
    }
}

impl Observer for Observers {
    fn occupied(&self, pattern: &Pattern) {
        self.0.iter().for_each(|observer| observer.occupied(pattern));
    }

    fn vacated(&self, pattern: &Pattern) {
        self.0.iter().for_each(|observer| observer.vacated(pattern));
    }

    fn member_joined(&self, topic: &Topic, member: &Member) {
        self.0.iter().for_each(|observer| observer.member_joined(topic, member));
    }

    fn member_left(&self, topic: &Topic, member: &Member) {
        self.0.iter().for_each(|observer| observer.member_left(topic, member));
    }

    fn interest(&self, pattern: &Pattern) {
        self.0.iter().for_each(|observer| observer.interest(pattern));
    }

    fn counted(&self, topic: &Topic, subscribers: u64) {
        self.0.iter().for_each(|observer| observer.counted(topic, subscribers));
    }
}
