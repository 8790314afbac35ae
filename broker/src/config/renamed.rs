//! Keys of earlier versions and their names today.
//!
//! An old key stops the start like an unknown one, because a setting that is silently ignored is worse than a broker
//! that does not start. The message contains the new key.

/// Pairs of an old dotted key and its new dotted key.
pub(super) const RENAMED: [(&str, &str); 14] = [
    ("hooks.ask", "hooks.callouts"),
    ("hooks.ask_about", "hooks.callout_topics"),
    ("hooks.asks_at_once_max", "hooks.callouts_at_once_max"),
    ("hooks.asks_waiting_max", "hooks.callouts_waiting_max"),
    ("hooks.tell", "webhooks.events"),
    ("hooks.tell_about", "webhooks.topics"),
    ("hooks.tell_vacated_after", "webhooks.vacated_after"),
    ("hooks.tell_delay", "webhooks.delay"),
    ("hooks.tell_batch_events_max", "webhooks.batch_events_max"),
    ("hooks.tell_batch_bytes_max", "webhooks.batch_bytes_max"),
    ("hooks.tell_queue_events_max", "webhooks.queue_events_max"),
    ("hooks.tell_queue_bytes_max", "webhooks.queue_bytes_max"),
    ("hooks.tell_backoff_max", "webhooks.backoff_max"),
    ("hooks.tell_age_max", "webhooks.age_max"),
];

/// Returns today's name of the dotted key `old`, if it is a key of an earlier version.
pub(super) fn new_name(old: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(known, _)| *known == old).map(|(_, new)| *new)
}
