//! The one place that reads clocks. Everything else is given the time.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::failpoint;

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Microseconds of the monotonic clock since it was first asked.
pub(crate) fn monotonic_us() -> u64 {
    STARTED.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Milliseconds of the monotonic clock since it was first asked.
pub(crate) fn monotonic_ms() -> u64 {
    monotonic_us() / 1000
}

/// Milliseconds since 1970 (UTC), as subscribers see them in `ts`.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
    now.saturating_add_signed(failpoint::clock_shift_ms())
}
