//! How fast one session publishes, and when it is sent away for going on although it is refused.

use std::sync::{Mutex, PoisonError};

use fanwire_core::access::Refusal;
use fanwire_core::rate::{Meter, Rate};
use fanwire_protocol::ErrorCode;

/// How often a session may be refused for its rate: a client that heeds what it is told stays far below.
const REFUSALS: Rate = Rate { per_second: 10, burst: 100 };

/// What one session, or one HTTP connection, has published and been refused of late.
#[derive(Debug, Default)]
pub(crate) struct PublishMeter(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    publications: Meter,
    refusals: Meter,
    is_flooding: bool,
}

impl PublishMeter {
    /// Takes one publication of the session's own rate.
    ///
    /// # Errors
    /// If the rate does not allow it yet.
    pub(super) fn take(&self, rate: Rate, now_us: u64) -> Result<(), Refusal> {
        let wait_us = match self.lock().publications.take(rate, now_us) {
            Ok(()) => return Ok(()),
            Err(wait_us) => wait_us,
        };
        let what = "this session may publish (limits.publish_rate_per_session)";
        Err(refusal(what, rate, wait_us))
    }

    /// Notes that a publication was refused for a rate.
    pub(super) fn note_refusal(&self, now_us: u64) {
        let mut taken = self.lock();
        taken.is_flooding |= taken.refusals.take(REFUSALS, now_us).is_err();
    }

    /// Whether the session goes on publishing although it is refused again and again.
    pub(super) fn is_flooding(&self) -> bool {
        self.lock().is_flooding
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Two numbers and a flag are whole whatever happened to whoever held them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a rate is used up and when to come back; `what` is whose rate it is, ready to be followed by the rate.
pub(super) fn refusal(what: &str, rate: Rate, wait_us: u64) -> Refusal {
    let Rate { per_second, burst } = rate;
    let wait_ms = wait_us.div_ceil(1000);
    let message = format!(
        "{what} {per_second} publications a second, at most {burst} at once: come back in {wait_ms} ms"
    );
    Refusal { code: ErrorCode::RateLimited, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_goes_on_and_on_is_flooding() {
        let (patient, pushing) = (PublishMeter::default(), PublishMeter::default());
        for second in 0..60 {
            patient.note_refusal(second * 1_000_000);
        }
        assert!(!patient.is_flooding());
        for step in 0..=100 {
            assert!(!pushing.is_flooding(), "after {step}");
            pushing.note_refusal(step);
        }
        assert!(pushing.is_flooding());
    }

    #[test]
    fn a_refusal_says_the_rate_and_when_to_come_back() {
        let (meter, rate) = (PublishMeter::default(), Rate { per_second: 4, burst: 1 });
        assert_eq!(meter.take(rate, 0), Ok(()));
        let refusal = meter.take(rate, 1).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        assert!(refusal.message.ends_with("4 publications a second, at most 1 at once: come back in 250 ms"));
    }
}
