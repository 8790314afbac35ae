//! Subscribing: starting points, patterns, slow sessions, and connections that break.

mod cut_connections;
mod event_streams;
mod long_cursors;
mod patterns;
mod rust_client;
mod several_topics;
mod slow_sessions;
mod starting_points;
mod streams;
