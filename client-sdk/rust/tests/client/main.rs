//! The client over real sockets, against a broker that breaks on demand.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![allow(clippy::result_large_err, reason = "the handshake callback of tungstenite is typed so")]

mod closing;
mod fake_broker;
mod history;
mod journey;
mod presence;
mod publishing;
mod resuming;
mod slow_reader;
