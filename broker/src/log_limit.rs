//! Rate limits of log lines that clients can trigger: a burst of each kind is written, and the rest is counted.
//!
//! Each place that writes such a line has a `static` [`LogLimit`]. It does not know what the line says.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::clock;

/// The maximum number of lines of one kind in [`WINDOW_MS`].
const LINES_MAX: u32 = 10;

/// The length of one window in milliseconds.
const WINDOW_MS: u64 = 10_000;

/// All limits that have left out a line at least once.
static KNOWN: Mutex<Vec<&'static LogLimit>> = Mutex::new(Vec::new());

/// The rate limit of one kind of log line.
///
/// ```ignore
/// static LIMIT: LogLimit = LogLimit::new("origin refused");
/// if let Some(left_out) = LIMIT.allow() {
///     tracing::info!(left_out, %origin, "origin refused: add it to 'origins'");
/// }
/// ```
#[derive(Debug)]
pub(crate) struct LogLimit {
    kind: &'static str,
    window: AtomicU64,
    written: AtomicU32,
    left_out: AtomicU64,
    is_known: AtomicBool,
}

impl LogLimit {
    /// A limit for lines of one kind; `kind` names them in the line that reports what was left out.
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            window: AtomicU64::new(0),
            written: AtomicU32::new(0),
            left_out: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
        }
    }

    /// Returns whether the line may be written now. If so, the value is the number of lines left out since the last one.
    pub(crate) fn allow(&'static self) -> Option<u64> {
        let allowed = self.allow_at(clock::monotonic_ms());
        if allowed.is_none() && !self.is_known.swap(true, Ordering::Relaxed) {
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
        allowed
    }

    /// The same at `now_ms` of the monotonic clock.
    fn allow_at(&self, now_ms: u64) -> Option<u64> {
        let window = now_ms / WINDOW_MS;
        // Two threads at the start of a window may both reset the count; then a few lines more are written.
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.written.store(0, Ordering::Relaxed);
        }
        if self.written.fetch_add(1, Ordering::Relaxed) < LINES_MAX {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        // The count stays far from the end of its range, however many lines a window would have.
        self.written.store(LINES_MAX, Ordering::Relaxed);
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Takes the number of lines left out, once the window in which they were is over.
    fn take_left_out(&self, now_ms: u64) -> u64 {
        if self.window.load(Ordering::Relaxed) == now_ms / WINDOW_MS {
            return 0;
        }
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

/// Writes how many lines of each kind were left out and not reported yet.
pub(crate) fn report_left_out() {
    let now_ms = clock::monotonic_ms();
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for limit in known {
        let left_out = limit.take_left_out(now_ms);
        if left_out > 0 {
            tracing::warn!(kind = limit.kind, left_out, "similar log lines were left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_off_and_counted() {
        let limit = LogLimit::new("test");
        let written = (0..20_000).filter(|_| limit.allow_at(5).is_some()).count();
        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(limit.take_left_out(5), 0, "the window is not over");
        assert_eq!(limit.allow_at(WINDOW_MS), Some(20_000 - u64::from(LINES_MAX)));
        assert_eq!(limit.allow_at(WINDOW_MS), Some(0));
    }

    #[test]
    fn what_was_left_out_is_reported_once_the_window_is_over() {
        let limit = LogLimit::new("test");
        for _ in 0..=LINES_MAX {
            limit.allow_at(0);
        }
        assert_eq!((limit.take_left_out(WINDOW_MS), limit.take_left_out(WINDOW_MS)), (1, 0));
    }
}
