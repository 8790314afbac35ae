//! The load itself: connections, publishers, and the loop that reads every subscriber on one thread.
//!
//! It knows no peer: drivers hand it open connections and ready-made publications.

mod churn;
mod connection;
mod flow;
mod opening;
mod pacing;
mod publisher;
mod socket;
mod storm;
mod subscriber;
mod tally;

pub(crate) use churn::Churning;
pub(crate) use connection::{Connection, connect, raise_open_files};
#[cfg(test)]
pub(crate) use flow::Measured;
pub(crate) use flow::{Flow, FlowPlan, FlowRun, Waiting};
pub(crate) use opening::{Answer, Opening};
pub(crate) use pacing::{Gate, Pace, Window};
pub(crate) use publisher::Publisher;
pub(crate) use socket::Socket;
pub(crate) use storm::{Weathered, weather};
pub(crate) use subscriber::{Listening, Subscriber};
pub(crate) use tally::Tally;
