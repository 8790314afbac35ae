//! The load itself: connections, publishers, and the loop that reads every subscriber on one thread.
//!
//! It knows no peer: drivers hand it open connections and ready-made publications.

mod connection;
mod flow;
mod pacing;
mod publisher;
mod subscriber;
mod tally;

pub(crate) use connection::{Connection, Handshake, raise_open_files};
#[cfg(test)]
pub(crate) use flow::Measured;
pub(crate) use flow::{Flow, FlowPlan, FlowRun, Waiting};
pub(crate) use pacing::{Gate, Pace, Window};
pub(crate) use publisher::Publisher;
pub(crate) use subscriber::Subscriber;
pub(crate) use tally::Tally;
