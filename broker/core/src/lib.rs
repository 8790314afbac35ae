//! The pure heart of the fanwire broker: everything that decides, nothing that does I/O.
//!
//! Logs, patterns, rules, access, outboxes, the audience of a worker and the state of a session live here as plain
//! synchronous values. There is no socket, no task, no clock and no randomness in this crate: time and random numbers
//! come in as arguments, so that whole swarms of sessions can be run in one test under one seed.

pub mod access;
pub mod broadcast;
pub mod channels;
pub mod fanout;
pub mod format;
pub mod frame;
pub mod held;
pub mod identity;
pub mod keys;
pub mod limits;
pub mod liveness;
pub mod log;
pub mod notice;
pub mod occupancy;
pub mod outbox;
pub mod pattern_tree;
pub mod presence;
pub mod publication;
pub mod rate;
pub mod rule_pattern;
pub mod rules;
pub mod session;
pub mod subscribers;
pub mod webhook_queue;
