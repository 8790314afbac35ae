//! The rates of topics that do not exist yet. A publish is held against its topic's rate before the application is asked about it, and
//! the topic is created only when the publish is accepted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fanwire_core::rate::{Meter, Rate};
use fanwire_protocol::Topic;
use foldhash::fast::RandomState;

/// The maximum number of topics counted. Topics beyond it are not held to a rate until they exist.
const METERS_MAX: usize = 65_536;

/// The meters of topics that do not exist yet.
#[derive(Debug, Default)]
pub(super) struct NewTopicMeters(Mutex<HashMap<Topic, Meter, RandomState>>);

impl NewTopicMeters {
    /// Takes one publication of the rate of `topic`, at `now_us` of the monotonic clock.
    ///
    /// # Errors
    /// If the rate does not allow it yet: after how many microseconds it will.
    pub(super) fn take(&self, topic: &Topic, rate: Rate, now_us: u64) -> Result<(), u64> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= METERS_MAX && !meters.contains_key(topic) {
            meters.retain(|_, meter| !meter.is_rested(now_us));
            if meters.len() >= METERS_MAX {
                return Ok(());
            }
        }
        meters.entry(topic.clone()).or_default().take(rate, now_us)
    }

    /// Removes the meter of a topic that is being created.
    pub(super) fn remove(&self, topic: &Topic) -> Meter {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(topic).unwrap_or_default()
    }

    /// Forgets the meters that are as good as new at `now_us`.
    pub(super) fn forget_rested(&self, now_us: u64) {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.retain(|_, meter| !meter.is_rested(now_us));
        if meters.len() * 4 < meters.capacity() {
            meters.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 2 };

    #[test]
    fn a_topic_that_does_not_exist_has_the_rate_it_will_have() {
        let (meters, topic): (_, Topic) = (NewTopicMeters::default(), "a".parse().unwrap());
        assert!(meters.take(&topic, RATE, 0).is_ok() && meters.take(&topic, RATE, 0).is_ok());
        assert_eq!(meters.take(&topic, RATE, 0), Err(100_000));
        let mut meter = meters.remove(&topic);
        assert_eq!(meter.take(RATE, 0), Err(100_000), "the topic takes its meter over");
        assert!(meters.take(&topic, RATE, 0).is_ok());
    }

    #[test]
    fn the_number_of_topics_counted_is_bounded() {
        let meters = NewTopicMeters::default();
        for number in 0..=METERS_MAX {
            assert!(meters.take(&format!("t.{number}").parse().unwrap(), RATE, 0).is_ok());
        }
        assert_eq!(meters.0.lock().unwrap().len(), METERS_MAX);
        meters.forget_rested(1_000_000);
        assert!(meters.0.lock().unwrap().capacity() < 100);
    }
}
