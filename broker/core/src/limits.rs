//! Limits as values: the history of a topic and the use that one session may make of the broker.
//!
//! This file does not know where the values come from, nor what happens at a limit.

/// The bounds of a topic's history. Zero messages is no history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// The maximum number of publications.
    pub messages: usize,
    /// The maximum number of bytes, counted as [`crate::publication::Publication::cost`].
    pub bytes: usize,
    /// The maximum age, in milliseconds.
    pub ttl_ms: u64,
}

impl HistoryLimits {
    /// The history of a topic that no rule matches: its last 100 publications, for two minutes.
    pub const DEFAULT: HistoryLimits = HistoryLimits { messages: 100, bytes: usize::MAX, ttl_ms: 120_000 };

    /// Limits that keep no history.
    pub const OFF: HistoryLimits = HistoryLimits { messages: 0, bytes: 0, ttl_ms: 0 };

    /// Returns whether any history is kept.
    pub fn keeps(&self) -> bool {
        self.messages > 0
    }
}

/// The limits of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The largest payload, in bytes.
    pub message_bytes_max: usize,
    /// The largest number of subscriptions.
    pub subscriptions_max: usize,
    /// The largest number of publications in one answer about history.
    pub history_limit_max: usize,
    /// The interval in which an idle session is pinged, in seconds. Clients receive it in `connected`.
    pub ping_interval_s: u32,
}
