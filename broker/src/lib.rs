//! The fanwire broker as a library: everything between the sockets and the pure core.
//!
//! Start with [`server`]: it knows all the parts. The floors below it are `transports` and `http`, then `sessions`,
//! `engine` and `hub`; `auth`, `telemetry`, `config` and `store`, which keeps durable topics, are
//! leaves. ARCHITECTURE.md walks a publication through them.

mod auth;
mod client;
mod clock;
pub mod config;
mod engine;
mod failpoint;
mod hooks;
mod http;
mod hub;
pub mod key_hash;
mod log_limit;
pub mod operator_file;
mod owned_task;
mod problem;
mod proxy;
mod pusher;
pub mod secret;
pub mod server;
mod sessions;
mod socket;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod token;
mod topic_path;
mod transports;
