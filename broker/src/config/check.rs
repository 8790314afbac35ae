//! Checks settings against each other, after all sources have been read.
//!
//! Each check compares two sizes of which one must hold the other. The blame goes to the setting that was made last,
//! because that is the one the operator has just touched.

use super::error::ConfigError;
use super::settings::Loader;

/// A size that must be at least another size, and why.
struct AtLeast {
    larger: &'static str,
    larger_bytes: usize,
    smaller: &'static str,
    smaller_bytes: usize,
    because: &'static str,
}

/// Checks that every queue can hold the largest message.
pub(super) fn check(loader: &Loader) -> Result<(), ConfigError> {
    let limits = &loader.config.limits;
    let holds_message = |larger, larger_bytes, because| AtLeast {
        larger,
        larger_bytes,
        smaller: "limits.message_bytes_max",
        smaller_bytes: limits.message_bytes_max,
        because,
    };
    let checks = [
        holds_message(
            "limits.outbox_bytes_max",
            limits.outbox_bytes_max,
            "one message must fit into the outbox of a session",
        ),
        holds_message(
            "limits.inbox_bytes_max",
            limits.inbox_bytes_max,
            "one message must fit into the inbox of a worker",
        ),
        holds_message("limits.batch_bytes_max", limits.batch_bytes_max, "one message must fit into a batch"),
    ];
    checks.iter().find(|check| check.larger_bytes < check.smaller_bytes).map_or(Ok(()), |check| {
        let (larger, smaller) = (loader.place(check.larger), loader.place(check.smaller));
        let (place, key) = if smaller.0.rank() > larger.0.rank() { smaller } else { larger };
        let reason = format!(
            "{} ({} bytes) is less than {} ({} bytes), but {}",
            check.larger, check.larger_bytes, check.smaller, check.smaller_bytes, check.because
        );
        Err(ConfigError::BadValue { place, key, reason })
    })
}
