//! The fanwire broker as a library: everything between the sockets and the pure core.
//!
//! Start with [`server`]: it knows all the parts. The floors below it are `transports` and `http`, then `sessions`,
//! `engine` and `hub`; `auth`, `telemetry` and `config` are leaves. ARCHITECTURE.md walks a publication through them.
//! `store`, the embedded store of durable topics, is there with its tests but not wired to the engine yet.

mod auth;
mod clock;
pub mod config;
mod engine;
mod http;
mod hub;
mod problem;
pub mod server;
mod sessions;
#[cfg(test)]
mod store;
pub mod telemetry;
mod topic_path;
mod transports;
