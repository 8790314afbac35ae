//! The rate at which one session publishes, and when it is closed because it ignores refusals.

use std::sync::{Mutex, PoisonError};

use fanwire_core::access::Refusal;
use fanwire_core::rate::{Meter, Rate};
use fanwire_protocol::ErrorCode;

/// The rate of refusals that a session may reach. A client that waits as a refusal says stays far below.
const REFUSALS: Rate = Rate { per_second: 10, burst: 100 };

/// The recent publications and refusals of one session or one HTTP connection.
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
    /// Says when the rate allows the next publication.
    pub(super) fn take(&self, rate: Rate, now_us: u64) -> Result<(), Refusal> {
        let wait_us = match self.lock().publications.take(rate, now_us) {
            Ok(()) => return Ok(()),
            Err(wait_us) => wait_us,
        };
        let what = "this session may publish (limits.publish_rate_per_session)";
        Err(refusal(what, rate, wait_us))
    }

    /// Counts a publication that was refused for a rate.
    pub(super) fn note_refusal(&self, now_us: u64) {
        let mut taken = self.lock();
        taken.is_flooding |= taken.refusals.take(REFUSALS, now_us).is_err();
    }

    /// Returns whether the session has ignored so many refusals that it is to be closed.
    pub(super) fn is_flooding(&self) -> bool {
        self.lock().is_flooding
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Nothing that holds this lock can panic half-way, so the contents are whole after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the refusal for a rate that is used up. `what` names the rate's owner and is followed by the rate in the sentence.
pub(super) fn refusal(what: &str, rate: Rate, wait_us: u64) -> Refusal {
    let Rate { per_second, burst } = rate;
    let wait_ms = wait_us.div_ceil(1000);
    let message = format!(
        "{what} {per_second} publications a second, at most {burst} at once: publish again in {wait_ms} ms"
    );
    Refusal { code: ErrorCode::RateLimited, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_that_ignores_many_refusals_is_flooding() {
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
    fn a_refusal_says_the_rate_and_when_to_publish_again() {
        let (meter, rate) = (PublishMeter::default(), Rate { per_second: 4, burst: 1 });
        assert_eq!(meter.take(rate, 0), Ok(()));
        let refusal = meter.take(rate, 1).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        assert!(
            refusal.message.ends_with("4 publications a second, at most 1 at once: publish again in 250 ms")
        );
    }
}
