//! The arrivals: counts of everything, and order and latency of those messages that are decoded.

use hdrhistogram::Histogram;

use crate::stamp::StampFinder;

/// Latencies are kept in microseconds up to this; a slower one is counted as this.
const LATENCY_MICROS_MAX: u64 = 120_000_000;

/// Counts of one run.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Messages that reached subscribers.
    pub(crate) deliveries: u64,
    /// Bytes read by subscribers.
    pub(crate) bytes: u64,
    /// Reads that returned something, by subscribers.
    pub(crate) reads: u64,
    /// Messages that were looked into.
    pub(crate) inspected: u64,
    /// Of those, how many were not the next of their stream.
    pub(crate) out_of_order: u64,
    /// Of those, how many had no stamp to be read.
    pub(crate) unstamped: u64,
    /// From when a publication was due to when it was read, in microseconds, of those looked into.
    pub(crate) latency: Histogram<u64>,
    /// The time at which the last message arrived, in nanoseconds since the run began.
    pub(crate) last_delivery_nanos: u64,
    finder: StampFinder,
}

impl Tally {
    /// A tally of nothing.
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3)
            .expect("the bounds and the precision are constants that the histogram allows");
        Self {
            deliveries: 0,
            bytes: 0,
            reads: 0,
            inspected: 0,
            out_of_order: 0,
            unstamped: 0,
            latency,
            last_delivery_nanos: 0,
            finder: StampFinder::default(),
        }
    }

    /// Looks into `message`, which arrived at `now_nanos`. `expected` holds, for each publisher, the sequence that its
    /// next publication to the subscriber's topic has.
    pub(crate) fn inspect(&mut self, message: &[u8], expected: &mut [u32], now_nanos: u64) {
        self.inspected += 1;
        let Some(stamp) = self.finder.find(message) else {
            self.unstamped += 1;
            return;
        };
        let Some(next) = expected.get_mut(usize::from(stamp.publisher)) else {
            self.unstamped += 1;
            return;
        };
        if stamp.sequence != *next {
            self.out_of_order += 1;
        }
        *next = stamp.sequence.wrapping_add(1);
        self.latency.saturating_record(now_nanos.saturating_sub(stamp.due_nanos) / 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    #[test]
    fn gaps_repeats_and_strangers_are_counted() {
        let mut tally = Tally::new();
        let mut expected = [0, 0];
        let mut see = |publisher, sequence| {
            let stamp = Stamp { publisher, sequence, due_nanos: 1_000_000 };
            tally.inspect(&stamp.to_bytes(), &mut expected, 3_000_000);
        };
        see(0, 0);
        see(1, 0);
        see(0, 1);
        see(0, 3);
        see(0, 4);
        see(0, 2);
        see(7, 0);
        tally.inspect(b"nothing to see", &mut expected, 0);
        assert_eq!(tally.inspected, 8);
        assert_eq!(tally.out_of_order, 2);
        assert_eq!(tally.unstamped, 2);
        assert_eq!(tally.latency.len(), 6);
        assert_eq!(tally.latency.max(), tally.latency.highest_equivalent(2000));
    }
}
