//! The pure heart of the fanwire broker: everything that decides, nothing that does I/O.
//!
//! Logs, patterns, rules, access, outboxes, the audience of a worker and the state of a session live here as plain
//! synchronous values. There is no socket, no task, no clock and no randomness in this crate: time and random numbers
//! come in as arguments, so that whole swarms of sessions can be run in one test under one seed.

mod access;
mod broadcast;
mod encoding;
mod fanout;
mod identity;
mod keys;
mod limits;
mod liveness;
mod log;
mod notice;
mod occupancy;
mod outbox;
mod pattern_tree;
mod presence;
mod publication;
mod rate;
mod rule_pattern;
mod rules;
mod session;
mod subscribers;
mod webhook_queue;

pub use access::{Access, Action, DIRECT, Refusal, decide};
pub use broadcast::Broadcast;
pub use encoding::{Encoding, MessageFormat, sse_event, sse_gap};
pub use fanout::{CHUNK_BYTES_MAX, Delivery, Fanout};
pub use identity::{GrantHolder, Grants, Holder, Identity};
pub use keys::{IdempotencyKeys, KEY_TTL_MS, KEYS_MAX};
pub use limits::{HistoryLimits, SessionLimits, Terms};
pub use liveness::{Liveness, Pulse};
pub use log::{Missed, Page, TopicLog};
pub use notice::Notice;
pub use occupancy::Occupancy;
pub use outbox::{Outbox, OutboxFull, SLICES_MAX, Written};
pub use pattern_tree::PatternTree;
pub use presence::{Departure, MemberSession, Presence, PresenceEvent};
pub use publication::{Publication, Publish};
pub use rate::{Meter, Rate};
pub use rule_pattern::{RulePattern, RulePatternError};
pub use rules::{Rule, Rules, SlowPolicy, TopicPolicy};
pub use session::{
    Admitted, Close, CustomClose, Effect, PublishRequest, Purpose, Session, Start, check_publish,
};
pub use subscribers::{SessionKey, Subscriber, Subscribers, SubscriptionKey};
pub use webhook_queue::{
    TELL_BACKOFF_BASE_MS, TELL_RETRY_AFTER_MAX_MS, WebhookBatch, WebhookCounts, WebhookLimits,
    WebhookOutcome, WebhookQueue, WebhookStep,
};
