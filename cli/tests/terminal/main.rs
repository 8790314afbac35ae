//! `fanwire pub` and `fanwire sub` as a terminal runs them, against the broker of the client's tests that does exactly
//! what it is told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![allow(clippy::result_large_err, reason = "the handshake callback of tungstenite is typed so")]

#[path = "../../../client-sdk/rust/tests/client/fake_broker.rs"]
#[allow(dead_code, reason = "the client's own tests need more of it")]
mod fake_broker;
mod files;
mod process;
mod publishing;
mod subscribing;
mod tokens;
