//! Reads the clocks. All other code receives the time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::failpoint;

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Returns the microseconds of the monotonic clock since its first use.
pub(crate) fn monotonic_us() -> u64 {
    STARTED.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Returns the milliseconds of the monotonic clock since its first use.
pub(crate) fn monotonic_ms() -> u64 {
    monotonic_us() / 1000
}

/// Returns the milliseconds since 1970 (UTC), as in `ts`.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
    now.saturating_add_signed(failpoint::clock_shift_ms())
}
