//! Limits as values: what a topic may keep and what a session may hold.

use crate::rules::Rules;

/// How much of a topic's past is kept. Zero messages means no history at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// At most so many publications.
    pub messages: usize,
    /// At most so many bytes, counted as [`crate::publication::Publication::cost`].
    pub bytes: usize,
    /// No older than this, in milliseconds.
    pub ttl_ms: u64,
}

impl HistoryLimits {
    /// What a topic keeps that no rule speaks of: its last 100 publications for two minutes.
    pub const DEFAULT: HistoryLimits = HistoryLimits { messages: 100, bytes: usize::MAX, ttl_ms: 120_000 };

    /// No history.
    pub const OFF: HistoryLimits = HistoryLimits { messages: 0, bytes: 0, ttl_ms: 0 };

    /// Whether anything is kept.
    pub fn keeps(&self) -> bool {
        self.messages > 0
    }
}

/// What one session may hold and send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The largest payload, in bytes.
    pub message_bytes_max: usize,
    /// The largest number of subscriptions.
    pub subscriptions_max: usize,
    /// The largest number of publications in one answer about history.
    pub history_limit_max: usize,
    /// How often an idle session is pinged, in seconds; told to clients.
    pub ping_interval_s: u32,
}

/// What holds for every session at the moment it asks for something.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What one session may hold and send.
    pub limits: &'a SessionLimits,
    /// Who may do what with which topic.
    pub rules: &'a Rules,
    /// Whether tokens are looked at. If not, the broker is open, and whoever shows one is as anonymous as all others.
    pub asks_for_credentials: bool,
}
