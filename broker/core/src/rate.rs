//! Rates: how often something may happen. The time is an argument.
//!
//! A meter is a token bucket in the form that needs one number: the moment at which all tokens taken so far are paid for (the
//! generic cell rate algorithm, ITU-T I.371). This file does not know what is counted, or what follows from a refusal.

/// A rate limit: a number of times a second in the long run, and a number at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number a second, at least 1.
    pub per_second: u32,
    /// The number at once after a pause, at least 1.
    pub burst: u32,
}

/// The tokens taken of one rate. A new meter has taken none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// The time at which all taken tokens are restored, in nanoseconds of the caller's clock.
    paid_ns: u64,
}

impl Rate {
    /// Returns the time in which one token is paid for, in nanoseconds.
    fn interval_ns(self) -> u64 {
        1_000_000_000 / u64::from(self.per_second.max(1))
    }
}

impl Meter {
    /// Takes one at `now_us`, in microseconds of a clock that never goes back.
    ///
    /// # Errors
    /// If the rate does not allow it yet: after how many microseconds it will.
    pub fn take(&mut self, rate: Rate, now_us: u64) -> Result<(), u64> {
        let now_ns = now_us.saturating_mul(1000);
        let interval_ns = rate.interval_ns();
        let credit_ns = interval_ns.saturating_mul(u64::from(rate.burst.max(1)) - 1);
        let paid_ns = self.paid_ns.max(now_ns);
        if paid_ns - now_ns > credit_ns {
            return Err((paid_ns - now_ns - credit_ns).div_ceil(1000));
        }
        self.paid_ns = paid_ns.saturating_add(interval_ns);
        Ok(())
    }

    /// Returns whether the meter is equal to a new one at `now_us`, so that it can be dropped.
    pub fn is_rested(&self, now_us: u64) -> bool {
        self.paid_ns <= now_us.saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut meter = Meter::default();
        for _ in 0..3 {
            assert_eq!(meter.take(RATE, 5_000_000), Ok(()));
        }
        assert_eq!(meter.take(RATE, 5_000_000), Err(100_000));
        assert_eq!(meter.take(RATE, 5_099_999), Err(1));
        assert_eq!(meter.take(RATE, 5_100_000), Ok(()));
        assert_eq!(meter.take(RATE, 5_100_000), Err(100_000));
    }

    #[test]
    fn a_pause_gives_back_no_more_than_the_burst() {
        let mut meter = Meter::default();
        assert_eq!(meter.take(RATE, 0), Ok(()));
        assert!(!meter.is_rested(99_999));
        assert!(meter.is_rested(100_000));
        let taken = (0..100).filter(|_| meter.take(RATE, 60_000_000).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn in_the_long_run_the_rate_holds_whatever_is_asked() {
        for per_second in [1, 7, 1000, u32::MAX] {
            let (rate, mut meter) = (Rate { per_second, burst: 1 }, Meter::default());
            let taken =
                (0..2_000_000).step_by(100).filter(|now_us| meter.take(rate, *now_us).is_ok()).count();
            let most = 2 * u64::from(per_second) + 1;
            assert!(taken as u64 <= most.min(20_000), "{taken} at {per_second}/s");
            assert!(taken as u64 >= most.min(20_000) - 1, "{taken} at {per_second}/s");
        }
    }

    #[test]
    fn no_time_overflows() {
        let mut meter = Meter::default();
        let rate = Rate { per_second: 1, burst: u32::MAX };
        assert_eq!(meter.take(rate, u64::MAX), Ok(()));
        assert_eq!(
            meter.take(rate, 0),
            Err((u64::MAX - 1_000_000_000 * (u64::from(u32::MAX) - 1)).div_ceil(1000))
        );
    }
}
